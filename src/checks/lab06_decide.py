"""Lab 06, exercise 7: from evidence to a decision, and the days to train on."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from labkit.answer import Answer, Result
from labkit.exercise import Exercise, case, expect
from labkit.values import show

ACTIONS = ("quarantine", "wait", "retrain", "watch", "nothing")
POLICY = {"rows": 1_000, "days": 14, "decay": 0.01}
READINGS = ("temperature", "wind_speed", "visibility", "hour", "carrier")


def calm(rng: np.random.Generator) -> dict[str, Any]:
    """Evidence of a window in which nothing is wrong."""
    low = -float(rng.uniform(0.005, 0.02))
    return {
        "faults": [],
        "drift": [],
        "rows": int(rng.integers(1_500, 4_000)),
        "ripe_days": int(rng.integers(16, 25)),
        "decay": (low, low + 0.018),
    }


class Decide(Exercise):
    id = "decide"
    title = "What is to be done?"
    names = ("decide", "training_days")
    points = 3.0
    hints = (
        "One `if` for each row of the table, in its order, each with a `return`. Whatever comes first wins: that is "
        "what the order is for.",
        "`decay` may be None, and it may hold NaN, with which every comparison is False. So ask for what you need to "
        "go on, `low > limit`, only after `math.isfinite` of both ends.",
        "Days as texts such as '2014-07-03' compare like dates: `first <= day <= last` works as it stands.",
    )

    def _decide(
        self, answer: Answer, evidence: dict[str, Any], policy: dict[str, Any]
    ) -> tuple[str, list[str], Result]:
        result = answer.call("decide", evidence, policy)
        pair = result.value
        form = "Give a pair: the action, and a list of reasons, each a text."
        fits = isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[1], list | tuple)
        expect(fits and all(isinstance(one, str) for one in pair[1]), form, result, expected="('wait', ['...'])")
        told = f"There is no action {show(pair[0])}."
        expect(pair[0] in ACTIONS, told, result, expected=", ".join(ACTIONS))
        return pair[0], list(pair[1]), result

    def _expect(
        self, answer: Answer, evidence: dict[str, Any], right: str, told: str, policy: dict[str, Any] = POLICY
    ) -> list[str]:
        action, reasons, result = self._decide(answer, evidence, policy)
        got = f"{action} for {show(evidence)}"
        expect(action == right, told, result, got=got, expected=right)
        return reasons

    @case("nothing is wrong, and nothing is done")
    def quiet(self, answer: Answer, rng: np.random.Generator) -> None:
        told = "No fault, no drift, enough flights and ripe days, and a loss as estimated: leave the model alone."
        for _ in range(3):
            self._expect(answer, calm(rng), "nothing", told)
        at = calm(rng) | {"rows": POLICY["rows"], "ripe_days": POLICY["days"], "decay": (POLICY["decay"], 0.03)}
        told = (
            "Rows and ripe days are exactly as many as the policy asks for, and the lower end of the decay is exactly "
            "its limit: enough evidence, and no decay."
        )
        self._expect(answer, at, "nothing", told)
        easy = {"rows": 300, "days": 5, "decay": 0.08}
        seen = calm(rng) | {"decay": (0.03, 0.05)}
        few = seen | {"rows": 400, "ripe_days": 6}
        for evidence, policy, right in (
            (few, easy, "nothing"),
            (seen, easy | {"rows": 9_000}, "wait"),
            (seen, easy | {"days": 40}, "wait"),
        ):
            told = f"The policy is another one here, {show(policy)}: its numbers come with each call."
            self._expect(answer, evidence, right, told, policy)

    @case("a data fault is quarantined, whatever else is true", weight=2)
    def fault(self, answer: Answer, rng: np.random.Generator) -> None:
        faults = [f"{name} missing" for name in rng.choice(READINGS, 2, replace=False)]
        others = (
            {},
            {"drift": ["temperature"], "decay": (0.05, 0.09)},
            {"rows": 60, "ripe_days": 0, "decay": None},
        )
        for more in others:
            told = "The readings are broken. Take the window out; a model must not be trained, or judged, on it."
            if more.get("decay"):
                told = (
                    "The loss is far too large, since the readings are broken. A model that is retrained on this "
                    "learns the fault, and is wrong once it is mended: `quarantine` comes first."
                )
            elif "rows" in more:
                told = "There are few rows, and what there is is broken. A fault is known without a single label."
            reasons = self._expect(answer, calm(rng) | {"faults": faults} | more, "quarantine", told)
            told = "Whoever is woken by this wants to know why: name each fault among the reasons."
            named = all(any(fault in reason for reason in reasons) for fault in faults)
            expect(named, told, "decide(evidence, policy)", got=show(reasons), expected=show(faults))

    @case("no decision on too little: it waits", weight=2)
    def little(self, answer: Answer, rng: np.random.Generator) -> None:
        told = {
            "rows": "There are fewer rows than the policy asks for: wait, however bad they look.",
            "ripe_days": "Too few days are ripe. The labels that are there are those that came quickly, and late "
            "flights report late: wait.",
            "decay": "Nobody could compute the decay: it is None, or holds NaN. That is not the same as no decay: "
            "wait.",
        }
        cases = (
            ("rows", {"rows": POLICY["rows"] - 1, "decay": (0.05, 0.2)}),
            ("ripe_days", {"ripe_days": POLICY["days"] - 1, "decay": (0.05, 0.2)}),
            ("decay", {"decay": None}),
            ("decay", {"decay": None, "drift": ["hour"]}),
            ("decay", {"decay": (math.nan, math.nan)}),
            ("decay", {"decay": (0.05, math.nan)}),
            ("ripe_days", {"ripe_days": 0, "decay": None, "drift": ["carrier"]}),
        )
        for name, more in cases:
            self._expect(answer, calm(rng) | more, "wait", told[name])

    @case("decay retrains, drift alone is watched", weight=2)
    def decay(self, answer: Answer, rng: np.random.Generator) -> None:
        low = float(rng.uniform(0.02, 0.05))
        for drift in ([], ["carrier", "hour"]):
            told = (
                "Even the lower end of the decay is above the policy's limit, on ripe labels and sound data: retrain."
            )
            self._expect(answer, calm(rng) | {"decay": (low, low + 0.03), "drift": drift}, "retrain", told)
        unsure = calm(rng) | {"decay": (-0.004, 0.04)}
        told = (
            "The decay lies somewhere between -0.004 and 0.04: it may be none at all. The **lower** end has to be "
            "above the limit, or you retrain on noise."
        )
        self._expect(answer, unsure, "nothing", told)
        drift = rng.choice(READINGS, 2, replace=False).tolist()
        told = "The inputs moved and the loss did not. Retraining would mend nothing: `watch`."
        reasons = self._expect(answer, calm(rng) | {"drift": drift}, "watch", told)
        named = all(any(name in reason for reason in reasons) for name in drift)
        told = "Name among the reasons what has drifted."
        expect(named, told, "decide(evidence, policy)", got=show(reasons), expected=show(drift))

    def _days(self, answer: Answer, told: str, right: list[str], *arguments: Any) -> None:
        result = answer.call("training_days", *arguments)
        found = result.value
        form = "Give a list of the days, as texts, in their order."
        listed = isinstance(found, list | tuple) and all(isinstance(day, str) for day in found)
        expect(listed, form, result, expected="a list of texts")
        expect(list(found) == right, told, result, expected=show(right))

    @case("training_days: no broken day, no old world, no day that is not ripe", weight=2)
    def days(self, answer: Answer, rng: np.random.Generator) -> None:
        days = [str(day.date()) for day in pd.date_range("2014-06-20", periods=40)]
        told = "Nothing is broken and nothing has changed: all days up to the last ripe one, itself included."
        ripe = int(rng.integers(25, 35))
        self._days(answer, told, days[: ripe + 1], days, [], None, days[ripe])
        told = "Leave out the quarantined days, of each span from its first to its last, both included, and no others."
        spans = [(4, 7), (12, 12), (30, 39)]
        right = [day for place, day in enumerate(days[: ripe + 1]) if not any(a <= place <= b for a, b in spans)]
        named = [(days[a], days[b]) for a, b in spans]
        self._days(answer, told, right, days, named, None, days[ripe])
        told = (
            "On the day `changed` the world became another. What was before teaches the old one: begin with that day."
        )
        changed = int(rng.integers(9, 12))
        right = [day for day in right if day >= days[changed]]
        self._days(answer, told, right, days, named, days[changed], days[ripe])
        told = "Every day since the change is broken or not ripe, so there is none to train on: an empty list."
        self._days(answer, told, [], days, [(days[20], days[-1])], days[20], days[ripe])
