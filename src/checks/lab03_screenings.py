"""Lab 03: a candidate, and the screenings that are made of candidates."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlencode

import numpy as np

from checks.lab03_common import (
    PLACES,
    Office,
    draw_candidates,
    expect_same_candidate,
    expect_score,
    expect_status,
    object_of,
    open_office,
)
from labkit.answer import Answer, NotWritten, Thing
from labkit.exercise import Exercise, Report, case, expect
from labkit.http import Client, Reply

MISSING = object()
# What breaks the rules of a candidate, and which field is changed to what.
BROKEN: dict[str, tuple[str, Any]] = {
    "no skills": ("skills", MISSING),
    "no skill at all": ("skills", []),
    "a text where a list of skills should be": ("skills", "python"),
    "an empty skill": ("skills", ["python", ""]),
    "a skill of blanks": ("skills", ["   "]),
    "a skill of 41 characters": ("skills", ["x" * 41]),
    "31 skills": ("skills", ["python"] * 31),
    "a number among the skills": ("skills", ["python", 3]),
    "no years": ("years", MISSING),
    "years as a text": ("years", "7"),
    "years as true": ("years", True),
    "half a year": ("years", 7.5),
    "years below zero": ("years", -1),
    "61 years": ("years", 61),
    "no gap_years": ("gap_years", MISSING),
    "gap_years as a text": ("gap_years", "2"),
    "gap_years as true": ("gap_years", True),
    "gap_years as null": ("gap_years", None),
    "gap_years below zero": ("gap_years", -2),
    "61 gap years": ("gap_years", 61),
    "a field nobody asked for, the group": ("group", "B"),
}
WHY = {
    "years as a text": " Where a text passes for a number, nobody finds out that a client is broken.",
    "years as true": " To Python true is 1, so it passes unless the model is strict.",
    "a field nobody asked for, the group": " A field that is not known must not even be received.",
    "years below zero": " A model answers this, too, with a score that means nothing.",
}


# What no model of three typed fields lets pass: the finer rules are exercise 1's, and a slip there costs points once.
PLAINLY_BROKEN = ("a text where a list of skills should be", "no years", "gap_years as null")


def _broken(record: dict[str, Any], which: Iterable[str] = BROKEN) -> Iterator[tuple[str, dict[str, Any]]]:
    for what in which:
        name, value = BROKEN[what]
        changed = {**record, name: value}
        yield what, {key: kept for key, kept in changed.items() if kept is not MISSING}


class Candidate(Exercise):
    id = "candidate"
    title = "Say what a candidate is"
    names = ("candidate_model", "score_text")
    points = 2.0
    hints = (
        "`Annotated[int, Field(ge=0, le=60)]` is a number with bounds; a list has `min_length` and `max_length`, too, "
        "and each text inside it its own.",
        'Two settings of `ConfigDict` do the rest: one refuses fields that nobody declared, the other takes "7" and '
        "true for what they are. A pattern can ask for one character that is no blank.",
        'A format such as `f"{x:.4f}"` keeps the zeros at the end. `str(round(x, 4))` drops them, and writes small '
        "numbers with an e.",
    )

    @case("a right candidate is accepted, at the bounds as well")
    def accepts(self, answer: Answer, rng: np.random.Generator) -> None:
        model = self._model(answer)
        extremes = [
            {"skills": ["x" * 40], "years": 0, "gap_years": 60},
            {"skills": ["python"] * 30, "years": 60, "gap_years": 0},
        ]
        for record in [*draw_candidates(rng, 3), *extremes]:
            result = model.attempt("model_validate", record)
            expect(not result.error, "A candidate that keeps the rules is refused.", result)
            kept = result.value.call("model_dump") if isinstance(result.value, Thing) else result
            as_sent = "The model must keep the three fields as sent."
            expect(kept.value == record, as_sent, result, got=kept.value, expected=record)

    @case("what breaks the rules is refused", weight=2)
    def refuses(self, answer: Answer, rng: np.random.Generator) -> None:
        model = self._model(answer)
        (record,) = draw_candidates(rng, 1)
        for what, changed in _broken(record):
            result = model.attempt("model_validate", changed)
            told = f"This candidate is accepted: {what}.{WHY.get(what, '')}"
            expect(result.error, told, result, got="accepted", expected="a ValidationError")
            other = f"Refused for another reason than the rules of the model: {what}."
            expect("ValidationError" in result.error.kinds, other, result, expected="a ValidationError")

    @case("`score_text` gives four places, always")
    def text(self, answer: Answer, rng: np.random.Generator) -> None:
        # Far enough from a tie that every way of rounding agrees, on either side of it.
        drawn = [round(float(x), 4) + more for x in rng.uniform(0.01, 0.99, 2) for more in (2e-5, 7e-5)]
        for number in [0.5, 1.0, 0.0, 0.00003, 0.25, *drawn]:
            result = answer.call("score_text", number)
            wanted = f"{number:.4f}"
            is_text = "This is not a text. A number loses its last zeros on the way."
            expect(isinstance(result.value, str), is_text, result, expected=wanted)
            whole = "Not four places after the point."
            expect(PLACES.fullmatch(result.value), whole, result, expected=wanted)
            off = float(wanted) - float(result.value)
            cut = math.isclose(off, 1e-4, rel_tol=1e-6)
            told = "This is cut off after four places. Round to the nearest." if cut else "This is another number."
            expect(abs(off) < 1e-9, told, result, expected=wanted)

    def _model(self, answer: Answer) -> Thing:
        result = answer.call("candidate_model")
        told = "`candidate_model` must give the class itself, so that FastAPI can use it as a type."
        is_model = isinstance(result.value, Thing)
        expect(is_model, told, result, expected="a class that derives from BaseModel")
        fields = result.value.attempt("model_json_schema")  # a function or an instance of something else has none
        expect(not fields.error, told, result, expected="a class that derives from BaseModel")
        result.value.label = "Candidate"
        return result.value


class _Posts(Exercise):
    """What POST /screenings must do, with or without a key."""

    part: str

    def judge(self, answer: Answer, seed: int = 0) -> Report:
        if answer.missing(*self.names) or self._has_candidates(answer):
            return super().judge(answer, seed)
        told = "This builds on `candidate_model` and `score_text` of exercise 1: write both and run their cell first."
        return self._report("not attempted", message=told)

    def _has_candidates(self, answer: Answer) -> bool:
        """Whether exercise 1 is written, rightly or wrongly."""
        try:
            answer.attempt("candidate_model")
            answer.attempt("score_text", 0.5)
        except NotWritten:
            return False
        return not answer.missing("candidate_model", "score_text")

    def _right(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        first, second = draw_candidates(rng, 2)
        with office.client(self.part) as client:
            reply = client.post("/screenings", json=first)
            expect_created(reply, office, first)
            expect(office.count() == 1, "The screening was not kept: use `desk.add`.", reply, got=office.count())
            expect_on_record(reply, office)
            again = client.post("/screenings", json=second)
            expect_created(again, office, second)
            other = object_of(again)["id"] != object_of(reply)["id"]
            expect(other, "Two candidates got the same id.", again)


def expect_created(reply: Reply, office: Office, candidate: dict[str, Any]) -> dict[str, Any]:
    """Raise Wrong unless the reply says that a screening of this candidate was made; gives the screening."""
    expect_status(reply, 201, "POST has made something new, and 201 is the status that says so.")
    found = object_of(reply)
    keys = {"id", "candidate", "version", "score"}
    lacking = "The screening lacks " + ", ".join(sorted(keys - set(found))) + "."
    expect(keys <= set(found), lacking, reply, expected=", ".join(sorted(keys)))
    expect_same_candidate(found["candidate"], candidate, reply)
    active = office.active()
    another = "The version must be the one that was active when the candidate came in."
    expect(found["version"] == active, another, reply, got=found["version"], expected=active)
    wanted = office.here.models[active].score(candidate)
    expect_score(found["score"], wanted, reply, f"This is not the score that {active} gives this candidate.")
    place = reply.headers.get("location", "")
    where = f"/screenings/{found['id']}"
    told = "201 comes with a Location header that names the address of the new screening."
    right = place == where or (place.startswith("http") and place.endswith(where))
    expect(right, told, reply, got=f"Location: {place}" if place else "no Location", expected=where)
    return found


def expect_on_record(reply: Reply, office: Office) -> None:
    """Raise Wrong unless what the desk keeps of a new screening is what the client was told."""
    found, kept = object_of(reply), office.there.get("screenings").value
    record = kept.get(found["id"]) if isinstance(kept, dict) else None
    told = (
        "One screening is on record and another one is told to the client. Whoever looks it up next year must find "
        "the digits that were sent."
    )
    names = ("version", "score", "candidate")
    shown = {name: record.get(name) for name in names} if isinstance(record, dict) else record
    sent = {name: found[name] for name in names}
    expect(shown == sent, told, reply, got=f"on record: {shown}"[:300], expected=f"on record: {sent}"[:300])


class Create(_Posts):
    id = "create"
    title = "Receive a candidate, answer with a score"
    names = ("add_create",)
    points = 3.0
    part = "add_create"
    hints = (
        "`@app.post(path, status_code=...)` on a function inside `add_create`. A parameter whose type is your model is "
        "read from the body and checked before your function runs.",
        "A parameter `response: Response` lets you set `response.headers[...]`. The id for the Location is in what "
        "`desk.add` gives back.",
        "Read `desk.active` once and use that one value for the model and for the record: it may change while you "
        "work. Score first, keep then, and let errors pass: FastAPI answers them with a plain 500.",
    )

    @case("a right candidate gets 201, a Location, and the screening", weight=2)
    def right(self, answer: Answer, rng: np.random.Generator) -> None:
        self._right(answer, rng)

    @case("the active version scores, whichever it is")
    def active(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng, active="v2")
        first, second = draw_candidates(rng, 2)
        with office.client(self.part) as client:
            expect_created(client.post("/screenings", json=first), office, first)
            office.there.call("activate", "v1")
            expect_created(client.post("/screenings", json=second), office, second)

    @case("what breaks the rules gets 422, and nothing is scored or kept", weight=2)
    def refuses(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        (record,) = draw_candidates(rng, 1)
        with office.client(self.part) as client:
            replies = [
                (what, client.post("/screenings", json=changed)) for what, changed in _broken(record, PLAINLY_BROKEN)
            ]
            cut = client.post("/screenings", content=json.dumps(record).encode()[:-4], headers=JSON)
        for what, reply in replies:
            told = f"A client must learn from the status that this was refused: {what}."
            expect_status(reply, 422, told)
        expect_status(cut, (400, 422), "JSON that breaks off is the client's mistake.")
        expect_nothing_done(office, "It was refused with 422", replies[-1][1])

    @case("where the model cannot answer, the client gets a 5xx, and nothing is kept")
    def breaks(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng, active="v9")
        (record,) = draw_candidates(rng, 1)
        with office.client(self.part) as client:
            reply = client.post("/screenings", json=record)
        told = "The active version has no model here. That is the server's failure, and 5xx is what says so."
        expect_status(reply, tuple(range(500, 600)), told)
        text = reply.body.decode("utf-8", "replace")
        told = "The body names the exception of your code. Log it; the client has no use for it."
        expect("KeyError" not in text, told, reply)
        expect_nothing_done(office, "The model could not answer", reply)


JSON = {"content-type": "application/json"}


def expect_nothing_done(office: Office, so: str, reply: Reply) -> None:
    """Raise Wrong if a screening was kept or a candidate scored."""
    kept, scored = office.count(), office.scored()
    told = f"{so}, and a screening is kept all the same. Check first, act then."
    expect(kept == 0, told, reply, got=f"{kept} screenings", expected="none")
    told = f"{so}, and a model has scored it all the same. Check first, act then."
    expect(scored == 0, told, reply, got=f"{scored} scored", expected="none")


class Retry(_Posts):
    id = "retry"
    title = "Make POST safe to repeat"
    names = ("add_create_once",)
    points = 3.0
    part = "add_create_once"
    hints = (
        "A parameter `idempotency_key: Annotated[str | None, Header()] = None` is filled from the header of that name. "
        "`desk.receipts` is yours: what must you find there when the same key comes again?",
        "Three cases: the key is new, or it is known with the same candidate, or it is known with another one. Only "
        "the first makes something.",
        "Note the receipt when the screening is kept, not before: a request that failed has used up nothing. Hold "
        "`desk.lock` from the look-up to the note, or two retries at the same moment both find nothing.",
    )

    @case("without a key all is as before: each POST makes a screening")
    def without(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        one, two = draw_candidates(rng, 2)
        with office.client(self.part) as client:
            replies = [client.post("/screenings", json=record) for record in (one, two)]
        told = (
            "Two candidates came without a key. The first got 201, and then the second was refused. No key is None: "
            "neither note it among the receipts nor look it up there."
        )
        second_refused = replies[0].status == 201 and replies[1].status == 422
        expect(not second_refused, told, replies[1], expected="status 201")
        self._right(answer, rng)
        office = open_office(answer, rng)
        (record,) = draw_candidates(rng, 1)
        with office.client(self.part) as client:
            replies = [client.post("/screenings", json=record) for _ in range(2)]
        told = "Without a key nobody can know that the second POST is a repetition. It makes a second screening."
        expect_status(replies[1], 201, told)
        expect(office.count() == 2, told, replies[1].tried, got=f"{office.count()} screenings", expected="2 screenings")

    @case("the same key and candidate: one screening, and the same answer", weight=2)
    def repeated(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        one, two = draw_candidates(rng, 2)
        keys = [key(rng), key(rng)]
        with office.client(self.part) as client:
            first = self._post(client, one, keys[0])
            expect_created(first, office, one)
            expect_created(self._post(client, two, keys[1]), office, two)
            office.there.call("activate", "v2")
            again = self._post(client, one, keys[0])
        expect_status(again, 201, "The first answer may have been lost on the way. Give the same answer again.")
        kept = f"{office.count()} screenings"
        told = "The same Idempotency-Key came again, and a second screening was made."
        expect(office.count() == 2, told, again, got=kept, expected="2 screenings, one for each key")
        same = object_of(again) == object_of(first)
        told = "The repetition got another answer than the first request."
        expect(same, told, again, expected=first.got)
        places = [reply.headers.get("location", "no Location") for reply in (first, again)]
        told = "The repetition lacks the Location of the first answer."
        expect(places[0] == places[1], told, again, got=places[1], expected=places[0])
        told = "The repetition was scored again, and it cost as much as the first. Give the answer that is kept."
        expect(office.scored() == 2, told, again, got=f"{office.scored()} scored", expected="2 scored")

    @case("the same key with another candidate: 422, and nothing is made")
    def misused(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        one, two = draw_candidates(rng, 2)
        name = key(rng)
        with office.client(self.part) as client:
            expect_created(self._post(client, one, name), office, one)
            reply = self._post(client, two, name)
            told = "One key, two candidates: one of them would get the other's score. 422 tells the client."
            expect_status(reply, 422, told)
            for field, value in two.items():
                if value != one[field]:
                    reply = self._post(client, {**one, field: value}, name)
                    expect_status(reply, 422, f"{told} They differ in `{field}` alone.")
            expect(office.count() == 1, "It made a second screening all the same.", reply, got=office.count())
            again = self._post(client, one, name)
        expect_status(again, 201, "After that the key still stands for the first candidate.")

    @case("another key is another screening, even of the same candidate")
    def another(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        (record,) = draw_candidates(rng, 1)
        with office.client(self.part) as client:
            first, second = (self._post(client, record, key(rng)) for _ in range(2))
        told = "Two keys mean two requests that were meant. Two people may well have the same skills and years."
        expect_status(second, 201, told)
        expect(office.count() == 2, told, second, got=f"{office.count()} screenings", expected="2 screenings")
        expect(object_of(first)["id"] != object_of(second)["id"], told, second)

    @case("a request that failed has not used up its key")
    def spent(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        (record,) = draw_candidates(rng, 1)
        name = key(rng)
        with office.client(self.part) as client:
            bad = self._post(client, {**record, "years": -1}, name)
            expect_status(bad, 422, "A candidate that breaks the rules is refused, key or no key.")
            reply = self._post(client, record, name)
        told = "The first request with this key was refused; corrected, it must pass."
        expect_status(reply, 201, told)
        office = open_office(answer, rng, active="v9")
        with office.client(self.part) as client:
            reply = self._post(client, record, name)
            expect_status(reply, tuple(range(500, 600)), "The active version has no model here.")
            office.there.call("activate", "v2")
            reply = self._post(client, record, name)
        told = "The model failed the first time. The client repeats with the same key, and now it must work."
        expect_status(reply, 201, told)

    def _post(self, client: Client, record: dict[str, Any], name: str) -> Reply:
        return client.post("/screenings", json=record, headers={"idempotency-key": name})


def key(rng: np.random.Generator) -> str:
    """An Idempotency-Key as a client draws it."""
    return rng.bytes(8).hex()


class Read(Exercise):
    id = "read"
    title = "Read one screening, and page through all"
    names = ("add_read",)
    points = 3.0
    hints = (
        "Two routes. `raise HTTPException(404, ...)` where there is no such screening. Query parameters are "
        "parameters of the function; `Query(ge=..., le=...)` gives them bounds, and what breaks them gets 422.",
        "A page that counts from the start (skip 20, show 20) moves when something is added in front. Where did the "
        "last page end? The id of its last screening says it, whatever was added since.",
        "With the cursor as an id: take the ids below it, newest first, as many as `limit`. `next` is the last id of "
        "the page if anything older is left, else null. The kept screening is the answer; nothing is scored again.",
    )

    @case("GET of one gives what was kept; an unknown id gets 404")
    def one(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        kept = self._fill(office, rng, 3)
        with office.client("add_read") as client:
            for screening in kept:
                reply = client.get(f"/screenings/{screening['id']}")
                expect_status(reply, 200, "This screening exists.")
                told = "This is not the screening as it was kept."
                expect(reply.json() == screening, told, reply, expected=screening)
            told = "There is no such screening, and 404 is the status that says so. The client looks at that first."
            expect_status(client.get("/screenings/99"), 404, told)
            expect_status(client.get("/screenings/0"), (404, 422), told)
            expect_status(client.get("/screenings/abc"), (404, 422), told)

    @case("reading changes nothing: not the desk, not the score")
    def safe(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        kept = self._fill(office, rng, 2)
        with office.client("add_read") as client:
            before = [client.get(path) for path in ("/screenings/1", "/screenings")]
            office.there.call("activate", "v2")
            after = [client.get(path) for path in ("/screenings/1", "/screenings")]
        for first, second in zip(before, after, strict=True):
            expect_status(second, 200, "This was there a moment ago.")
            told = "The same GET gave another answer, though nobody wrote anything. A screening is a record: it stays."
            expect(first.body == second.body, told, second, expected=first.got)
        told = "GET has scored a candidate again. It reads what is kept and does no more."
        expect(office.scored() == 0, told, before[0].tried, got=f"{office.scored()} scored", expected="none")
        there = office.there.get("screenings").value
        told = "GET has changed the desk. It is a safe method: whoever may only read must not be able to write by it."
        expect(there == {one["id"]: one for one in kept}, told, before[0].tried, got=there)

    @case("pages: each screening once, newest first, until `next` is null", weight=2)
    def pages(self, answer: Answer, rng: np.random.Generator) -> None:
        for count, limit in ((7, 3), (6, 3), (1, 5)):
            office = open_office(answer, rng)
            filled = self._fill(office, rng, count)
            with office.client("add_read") as client:
                self._walk(client, limit, [one["id"] for one in filled][::-1])
                reply, items, _ = self._page(client, limit, None)
                told = "This is not the screening as it was kept: a page holds whole screenings."
                expect(items[0] == filled[-1], told, reply, got=items[0], expected=filled[-1])
        with open_office(answer, rng).client("add_read") as client:
            reply = client.get("/screenings")
            expect_status(reply, 200, "A list without screenings is an empty page, no error.")
            empty = {"items": [], "next": None}
            expect(reply.json() == empty, "This is not an empty page.", reply, expected=empty)

    @case("without `limit` a page holds 20")
    def twenty(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        self._fill(office, rng, 23)
        with office.client("add_read") as client:
            reply = client.get("/screenings")
            expect_status(reply, 200, "`limit` and `cursor` may be left out.")
            items = object_of(reply).get("items")
            told = "Without a limit a page holds 20. A list without end grows until it stops the server."
            count = len(items) if isinstance(items, list) else items
            expect(count == 20, told, reply, got=f"{count} items", expected="20 items")
            reply, items, _ = self._page(client, 50, None)
            told = "A limit of 50 is allowed, and there are 23 screenings: all of them fit on this page."
            expect(len(items) == 23, told, reply, got=f"{len(items)} items", expected="23 items")

    @case("pages stay whole while screenings are added", weight=2)
    def moving(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        there = [one["id"] for one in self._fill(office, rng, 8)]
        seen: list[int] = []
        cursor = None
        with office.client("add_read") as client:
            for _ in range(8):
                reply, items, cursor = self._page(client, 3, cursor)
                seen += [item["id"] for item in items]
                if cursor is None:
                    break
                self._fill(office, rng, 2)
        twice = sorted({id_ for id_ in seen if seen.count(id_) > 1})
        shown_ids = "ids " + ", ".join(map(str, seen))
        wanted = "ids " + ", ".join(map(str, there[::-1]))
        told = (
            "Screenings were added between the pages, and some stand on two of them. Counting from the start, every "
            "addition in front moves the rest. Let the cursor say where the last page ended."
        )
        expect(not twice, told, reply, got=shown_ids, expected=wanted)
        lost = [id_ for id_ in there if id_ not in seen]
        told = "Screenings were added between the pages, and some that were there from the start stand on none."
        expect(not lost, told, reply, got=shown_ids, expected=wanted)

    @case("a limit or a cursor that means nothing gets 422")
    def bounds(self, answer: Answer, rng: np.random.Generator) -> None:
        office = open_office(answer, rng)
        self._fill(office, rng, 3)
        with office.client("add_read") as client:
            for limit in ("0", "-1", "51", "many"):
                reply = client.get(f"/screenings?limit={limit}")
                told = "A limit lies between 1 and 50. Whoever may ask for a million gets a million."
                expect_status(reply, 422, told)
            expect_status(client.get("/screenings?limit=50"), 200, "50 is the largest limit that is allowed.")
            told = "This cursor was never given out. Say so; a first page would look like an answer."
            expect_status(client.get("/screenings?cursor=nonsense!"), 422, told)

    def _fill(self, office: Office, rng: np.random.Generator, count: int) -> list[dict[str, Any]]:
        """Keep screenings over there, as if they had come by POST; what was kept."""
        made = []
        for record in draw_candidates(rng, count):
            score = f"{rng.uniform(0, 1):.4f}"
            made.append(office.there.call("add", record, "v1", score).value)
        return made

    def _page(self, client: Client, limit: int, cursor: Any) -> tuple[Reply, list[dict[str, Any]], Any]:
        asked = {"limit": limit} | ({} if cursor is None else {"cursor": cursor})
        reply = client.get("/screenings?" + urlencode(asked))
        expect_status(reply, 200, "A page that exists.")
        page = object_of(reply)
        form = 'A page is {"items": [...], "next": ...}.'
        expect({"items", "next"} <= set(page), form, reply)
        items, following = page["items"], page["next"]
        fine = isinstance(items, list) and all(isinstance(item, dict) and "id" in item for item in items)
        expect(fine, f"{form} The items are screenings.", reply)
        plain = following is None or (isinstance(following, str | int) and not isinstance(following, bool))
        expect(plain, f"{form} `next` is a text or null.", reply, got=f"next: {following!r}")
        return reply, items, following

    def _walk(self, client: Client, limit: int, wanted: list[int]) -> None:
        cursor = None
        seen: list[int] = []
        for number in itertools.count(1):
            reply, items, cursor = self._page(client, limit, cursor)
            told = f"The page holds {len(items)} screenings; `limit` says {limit} at most."
            expect(len(items) <= limit, told, reply)
            seen += [item["id"] for item in items]
            ids = "ids " + ", ".join(map(str, seen))
            expected = "ids " + ", ".join(map(str, wanted))
            told = "The order is not newest first: the highest id stands at the top."
            expect(seen == sorted(seen, reverse=True), told, reply, got=ids, expected=expected)
            told = "A screening stands on two pages."
            expect(len(set(seen)) == len(seen), told, reply, got=ids, expected=expected)
            told = "The last screening has been shown, and `next` is not null: the client asks for a page in vain."
            last = len(seen) >= len(wanted)
            expect(not last or cursor is None, told, reply, got=f"next: {cursor!r}", expected="next: null")
            if cursor is None:
                break
            told = "`next` leads from page to page without an end."
            expect(number <= len(wanted), told, reply, got=ids, expected=expected)
        told = "`next` is null, and not every screening has been shown."
        expect(seen == wanted, told, reply, got=ids, expected=expected)
