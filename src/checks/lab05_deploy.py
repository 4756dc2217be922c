"""Lab 05, exercise 5: a deployment that takes itself back, tried on services that fail."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from checks.lab05_behaviour import draw_flights, weights
from checks.lab05_data import SETUP
from labkit.answer import Answer, Result, Thing, Wrong
from labkit.exercise import Exercise, case, expect
from labkit.values import show
from lessonkit.failing_service import golden_rows

OUTCOMES = ("deployed", "refused", "rolled back")


@dataclass
class Tried:
    """What one deployment left behind."""

    outcome: str
    champion: str
    requests: list[str]
    result: Result

    def expect(self, outcome: str, champion: str, message: str) -> None:
        """Raise Wrong unless it ended so."""
        got = f"{self.outcome}, champion {self.champion}; {'; '.join(self.requests[-12:])}"
        right = (self.outcome, self.champion) == (outcome, champion)
        expect(right, message, self.result, got=got, expected=f"{outcome}, champion {champion}")

    def count(self, start: str) -> int:
        return sum(line.startswith(start) for line in self.requests)


class Deploy(Exercise):
    id = "deploy"
    title = "Deploy, look, and take it back"
    names = ("deploy",)
    points = 3.0
    hints = (
        "GET /v1/champion first: its body names the version to go back to, its ETag is what you have seen. Then the "
        "two PUTs; each that does not succeed (`reply.is_success`) ends with 'refused', for nothing has changed.",
        "Put the smoke test into a function of its own that gives True or False: /readyz is 200, and for each golden "
        "row the status, then the version, then the probability, which is None where the service answers null. `except "
        "httpx.HTTPError` there means False.",
        "The way back is a PUT of the old version with the ETag that your own PUT brought. If somebody has switched "
        "since, it answers 412 and leaves their choice alone, which is what you want.",
    )

    def _try(self, answer: Answer, rng: np.random.Generator, one_row: bool = False, **trouble: Any) -> Tried:
        """Deploy to a service with this trouble; `one_row`: the last row alone, in the rain, goes wrong."""
        old, new = (f"2013-0{month}-01-{rng.integers(16**6):06x}" for month in (6, 7))
        made = {old: weights(rng), new: weights(rng, hour=0.13)}
        flights = draw_flights(rng).head(4).drop(columns="late")
        flights = flights.assign(departure=flights["departure"].dt.strftime("%Y-%m-%dT%H:%M:%S"))
        if one_row:
            flights["precipitation"] = [0.0] * (len(flights) - 1) + [0.3]
            trouble["weights"] = {"NEW": {**made[new], "precipitation": made[new]["precipitation"] - 0.02}}
        golden = golden_rows(made[new], flights.to_dict("records"))
        names = {"OLD": old, "NEW": new, "OTHER": "2013-05-01-000abc"}
        told = _named(trouble, names)
        versions = {old: made[old], names["OTHER"]: weights(rng, hour=0.02)}
        service = answer.call("SmallService", versions, old, told).value
        expect(isinstance(service, Thing), SETUP.format(name="SmallService"), "SmallService(...)", got=service)
        client = service.call("client").value
        result = answer.call("deploy", client.ref, new, dict(made[new]), golden)
        form = "Give one of the three words: " + ", ".join(f"'{word}'" for word in OUTCOMES) + "."
        expect(isinstance(result.value, str) and result.value in OUTCOMES, form, result, expected=" or ".join(OUTCOMES))
        requests = service.get("requests").value
        champion = service.get("champion").value
        if not isinstance(requests, list) or not isinstance(champion, str):
            raise Wrong("The service's own record is gone.", tried=result.tried, got=show(requests))
        names_back = {version: word for word, version in names.items()}
        lines = [str(line) for line in requests]
        for version, word in names_back.items():
            lines = [line.replace(version, word) for line in lines]
        return Tried(result.value, names_back.get(champion, champion), lines, result)

    @case("a good version is put, switched to, looked at: deployed", weight=2)
    def good(self, answer: Answer, rng: np.random.Generator) -> None:
        tried = self._try(answer, rng)
        tried.expect("deployed", "NEW", "Nothing is wrong with this service or this version.")
        looked = tried.requests.index("PUT /v1/champion 200")
        after = tried.requests[looked + 1 :]
        got = "; ".join(tried.requests)
        told = "Nobody looked at the service after the switch. A smoke test asks the version that serves now."
        expect(any("POST /v1/predictions" in line for line in after), told, tried.result, got=got)
        told = "Each golden row is to be asked: one that is right may be right by chance."
        expect(tried.count("POST /v1/predictions 200") >= 4, told, tried.result, got=got)
        expect("GET /readyz 200" in after, "Nobody asked /readyz after the switch.", tried.result, got=got)

    @case("the version is not taken, or the switch is refused: nothing changes, refused")
    def refused(self, answer: Answer, rng: np.random.Generator) -> None:
        for status in (422, 503):
            tried = self._try(answer, rng, refuse={"NEW": status})
            told = f"The PUT of the version got {status}: it is not there, and there is nothing to switch to."
            tried.expect("refused", "OLD", told)
            told = "The PUT of the version failed and the champion was put all the same. Stop at the first failure."
            expect(not tried.count("PUT /v1/champion"), told, tried.result, got="; ".join(tried.requests))
        for status in (404, 500):
            tried = self._try(answer, rng, switch={"NEW": status})
            told = f"The PUT of the champion got {status}: the old version still serves, so nothing is to be undone."
            tried.expect("refused", "OLD", told)

    @case("somebody switched between your look and your PUT: refused, their choice stays", weight=2)
    def overtaken(self, answer: Answer, rng: np.random.Generator) -> None:
        tried = self._try(answer, rng, switched={"after": "GET", "to": "OTHER"})
        told = (
            "Somebody made another version champion after you had looked. The gate compared with the one you saw, so "
            "this deployment rests on nothing: If-Match with the ETag of your GET, and 412 is a refusal, not a reason "
            "to try again."
        )
        tried.expect("refused", "OTHER", told)

    @case("the smoke test fails: rolled back", weight=3)
    def smoke(self, answer: Answer, rng: np.random.Generator) -> None:
        wrong = weights(rng, base=-0.8)
        troubles: list[tuple[dict[str, Any], str]] = [
            ({"ready": {"NEW": 503}}, "/readyz says 503 with the new version."),
            ({"predict": {"NEW": 500}}, "Each prediction of the new version is a 500."),
            (
                {"weights": {"NEW": wrong}},
                "The service answers 200, and other probabilities than the golden rows: it does not run the model that "
                "was judged.",
            ),
            ({"says": {"NEW": "OLD"}}, "The answers come from the old version: they say so. Look at `version`, too."),
            ({"null": ["NEW"]}, "The probability is null. That is not within the tolerance of anything."),
        ]
        for trouble, message in troubles:
            tried = self._try(answer, rng, **trouble)
            told = f"{message} The old version must be back."
            tried.expect("rolled back", "OLD", told)
        tried = self._try(answer, rng, one_row=True)
        told = (
            "The new version is wrong for one golden row, the one in the rain, by less than 0.01 and too low. Each row "
            "must be right, within 0.0001 up and down."
        )
        tried.expect("rolled back", "OLD", told)

    @case("the service does not answer in time: rolled back")
    def hangs(self, answer: Answer, rng: np.random.Generator) -> None:
        try:
            tried = self._try(answer, rng, hang=["NEW"])
        except Wrong as wrong:
            if "Timeout" not in wrong.got:
                raise
            told = (
                "The smoke test's request timed out, and your function ended with that error: the broken version "
                "serves on. A timeout is a failed smoke test: catch httpx.HTTPError there."
            )
            raise Wrong(told, tried=wrong.tried, got=wrong.got, expected="rolled back, champion OLD") from wrong
        tried.expect("rolled back", "OLD", "The new version does not answer in time. The old version must be back.")

    @case("somebody switched while you looked: their choice is not undone", weight=2)
    def meanwhile(self, answer: Answer, rng: np.random.Generator) -> None:
        trouble = {"switched": {"after": "PUT", "to": "OTHER"}}
        tried = self._try(answer, rng, **trouble)
        told = (
            "During your smoke test somebody made another version champion, and your roll-back has overwritten that. "
            "Put the old version back with the ETag that your own PUT brought: if it is not the current one any more, "
            "the champion is not yours to change."
        )
        right = tried.champion == "OTHER"
        got = f"champion {tried.champion}; {'; '.join(tried.requests[-8:])}"
        expect(right, told, tried.result, got=got, expected="champion OTHER")
        told = "The version you put does not serve, so 'deployed' would be untrue."
        expect(tried.outcome != "deployed", told, tried.result, got=tried.outcome, expected="refused or rolled back")


def _named(part: Any, names: dict[str, str]) -> Any:
    """The same with OLD, NEW and OTHER replaced by the versions' names."""
    if isinstance(part, dict):
        return {_named(key, names): _named(value, names) for key, value in part.items()}
    if isinstance(part, list):
        return [_named(value, names) for value in part]
    return names.get(part, part) if isinstance(part, str) else part
