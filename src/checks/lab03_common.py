"""Lab 03: what the checks of its exercises share. A desk over there, the same desk here, words for statuses."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np

from labkit.answer import Answer, Name, Thing
from labkit.exercise import expect
from labkit.http import Client, Reply
from labkit.values import Ref
from lessonkit.candidates import make_candidates
from lessonkit.desk import Desk, open_desk

PAST = 150  # candidates that the models of a check are fitted to
PLACES = re.compile(r"[01]\.\d{4}")
LEAK = re.compile(r'Traceback|File "[^"]*", line \d+')
SETUP = "`{name}` is not the one of the set-up cells: run them again."


@dataclass
class Office:
    """A desk on the answer's side (`there`) and one with the same models on this side (`here`)."""

    answer: Answer
    there: Thing
    seed: int
    first: str

    @cached_property
    def here(self) -> Desk:
        return open_desk(self.seed, PAST, self.first)

    def client(self, *parts: str) -> AbstractContextManager[Client]:
        """Requests to an app with these parts of the answer."""
        return self.answer.client("make_app", self.there.ref, *(Name(part) for part in parts))

    def count(self) -> int:
        """How many screenings are kept."""
        kept = self.there.get("screenings").value
        expect(isinstance(kept, dict), "`desk.screenings` is no dict any more.", "desk.screenings", got=kept)
        return len(kept)

    def active(self) -> Any:
        return self.there.get("active").value

    def models(self) -> dict[str, Thing]:
        """Version to model over there."""
        kept = self.there.get("models").value
        fine = isinstance(kept, dict) and all(isinstance(model, Ref) for model in kept.values())
        expect(fine, "`desk.models` holds something else than models now.", "desk.models", got=kept)
        return {version: Thing(self.answer, ref, f"desk.models[{version!r}]") for version, ref in kept.items()}

    def scored(self) -> int:
        """How many candidates all models over there have scored."""
        return sum(model.get("scored").value for model in self.models().values())


def open_office(answer: Answer, rng: np.random.Generator, active: str = "v1") -> Office:
    """Two equal desks, one on each side; that on this side is fitted when it is first asked."""
    seed = int(rng.integers(1, 2**31))
    there = answer.call("open_desk", seed, PAST, active).value
    expect(isinstance(there, Thing), SETUP.format(name="open_desk"), "open_desk(...)", got=there)
    return Office(answer, there, seed, active)


def draw_candidates(rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
    """Different candidates as the API receives them."""
    drawn = make_candidates(8 * count, int(rng.integers(1, 2**31))).records()
    different = {(tuple(one["skills"]), one["years"], one["gap_years"]): one for one in drawn}
    return list(different.values())[:count]


def expect_status(reply: Reply, wanted: int | tuple[int, ...], message: str) -> None:
    """Raise Wrong unless the reply has one of these statuses and shows nothing of the answer's code."""
    statuses = (wanted,) if isinstance(wanted, int) else wanted
    expected = "status " + " or ".join(str(status) for status in statuses)
    leaks = LEAK.search(reply.body.decode("utf-8", "replace"))
    leaked = "The client is shown a traceback of your code: its paths and names are nobody else's business."
    told = f"{reply.status}, and in the body where in which file of yours it went wrong"
    expect(not leaks, leaked, reply, got=told, expected=expected)
    if reply.status == 500 and 500 not in statuses:
        message = f"Your app stopped with an error. {message}"
    expect(reply.status in statuses, message, reply, expected=expected)


def object_of(reply: Reply) -> dict[str, Any]:
    """The JSON object in the reply's body, or Wrong."""
    found = reply.json()
    expect(isinstance(found, dict), "The body is not a JSON object.", reply)
    return found


def expect_same_candidate(found: Any, candidate: dict[str, Any], reply: Reply) -> None:
    expected = f"candidate: {candidate}"
    said = "The screening must hold the candidate as sent: skills, years and gap_years."
    expect(found == candidate, said, reply, got=f"candidate: {found}"[:300], expected=expected[:300])


def expect_score(text: Any, expected: float, reply: Reply, other: str) -> None:
    """Raise Wrong unless the text is the score with four places; `other` is said of another score."""
    wanted = f"{expected:.4f}"
    number = (
        "The score is a number. The contract says a text with four places: a number loses its last zeros on the way, "
        "and each client rounds it in its own fashion."
    )
    expect(isinstance(text, str), number, reply, got=f"score: {text!r}", expected=f"score: {wanted!r}")
    places = "The score has not exactly four places."
    expect(PLACES.fullmatch(text), places, reply, got=f"score: {text!r}", expected=f"score: {wanted!r}")
    near = abs(Decimal(text) - Decimal(wanted)) <= Decimal("0.0001")
    expect(near, other, reply, got=f"score: {text!r}", expected=f"score: {wanted!r}")
