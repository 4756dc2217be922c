"""Lab 05, exercise 4: tests of a model's behaviour, tried on models that misbehave in known ways."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from checks.lab05_data import SETUP, expect_keys, findings, is_count, over_there
from labkit.answer import Answer, Result, Thing
from labkit.exercise import Exercise, case, expect
from labkit.values import Ref, show
from lessonkit.easy_cases import easy_cases
from lessonkit.flight_tables import columns_of, sample_flights
from lessonkit.scorecard import HONEST, Scorecard

ROWS = 60
INVARIANCE = {"flight": "largest change", "batch": "largest change"}
DIRECTION = {"precipitation": "mean change", "visibility": "mean change"}
TOLERANCE = 1e-4
RAIN, FOG = 0.3, 0.5


def draw_flights(rng: np.random.Generator) -> pd.DataFrame:
    """Some flights with no reading missing, of several carriers and kinds of weather."""
    month = int(rng.integers(2, 12))
    table = sample_flights(ROWS, f"2013-{month:02}-01", f"2013-{month:02}-20", int(rng.integers(1, 2**31)))
    table = table.dropna().reset_index(drop=True)
    table["visibility"] = np.where(rng.random(len(table)) < 0.3, 6.0, 10.0).astype("float32")
    table["precipitation"] = np.where(rng.random(len(table)) < 0.2, 0.1, 0.0).astype("float32")
    return table


def weights(rng: np.random.Generator, **changed: float) -> dict[str, float]:
    """An honest model's weights, somewhat different each time, with some of them replaced."""
    drawn = {name: value * float(rng.uniform(0.8, 1.2)) for name, value in HONEST.items()}
    # As a real one: the sums of a large batch differ in the last digits from those of a small one.
    return {**drawn, "jitter": 1e-8, **changed}


def model_there(answer: Answer, made: Mapping[str, float]) -> Ref:
    """The same model on the answer's side."""
    thing = answer.call("Scorecard", dict(made)).value
    expect(isinstance(thing, Thing), SETUP.format(name="Scorecard"), "Scorecard(...)", got=thing)
    return thing.ref


def changes(made: Mapping[str, float], table: pd.DataFrame) -> dict[str, float]:
    """What the four changes do to a model: largest absolute ones of the first two, means of the last two."""
    model = Scorecard(made)
    before = model(table)
    alone = np.concatenate([model(table.iloc[[place]]) for place in range(20)])
    return {
        "flight": float(np.abs(model(table.assign(flight=table["flight"] + 1)) - before).max()),
        "batch": float(np.abs(alone - before[:20]).max()),
        "precipitation": float((model(table.assign(precipitation=table["precipitation"] + RAIN)) - before).mean()),
        "visibility": float((model(table.assign(visibility=FOG)) - before).mean()),
    }


class Behaviour(Exercise):
    id = "behaviour"
    title = "Test what the model does"
    names = ("invariance", "direction", "minimum")
    points = 3.0
    hints = (
        "All three begin alike: `before = predict(flights)`, then a changed copy, `flights.assign(flight=flights"
        "['flight'] + 1)`, then predict again. `assign` gives a new table and leaves the old one alone.",
        "One row alone is `flights.iloc[[3]]`, a table of one row. Compare with a tolerance: the last digits of a "
        "float depend on the order of a sum. And direction asks for the mean of the changes, not for each flight.",
        "For minimum ask what must hold, `(p >= low) & (p <= high)`, and report the rest: a probability that is NaN is "
        "neither below nor above, so `(p < low) | (p > high)` lets it pass.",
    )

    @case("an honest model passes all three", weight=2)
    def honest(self, answer: Answer, rng: np.random.Generator) -> None:
        messages = {
            "flight": "The probabilities did not change.",
            "batch": "Alone and among others the probabilities differ by less than a millionth: floats are summed in "
            "another order. Compare with the tolerance of the table, 0.0001.",
            "precipitation": "For a few flights the probability falls, in the mean it rises. Trees are not smooth; "
            "the rule is about the mean.",
            "visibility": "For a few flights the probability falls, in the mean it rises. The rule is about the mean.",
        }
        for carrier in ("UA", "DL"):
            made = weights(rng, **{f"precipitation:{carrier}": -0.62, f"visibility:{carrier}": 0.3})
            table = draw_flights(rng)
            for name, keys in (("invariance", INVARIANCE), ("direction", DIRECTION)):
                found, result = self._ask(answer, name, made, table, keys)
                rises = changes(made, table)
                turned = [key for key in found if is_count(found[key]) and abs(found[key] + rises[key]) < 1e-3]
                told = "The sign is turned: after less before, so that it is below 0 where the probability falls."
                expect(name != "direction" or not turned, told, result, expected="{}: nothing")
                expect_keys(found, set(), result, messages)
            found, result = self._minimum(answer, weights(rng))
            expect_keys(found, set(), result, {})

    @case("invariance: the flight's number moves the probability")
    def flight(self, answer: Answer, rng: np.random.Generator) -> None:
        made = weights(rng, flight=float(rng.choice([-1, 1]) * rng.uniform(0.02, 0.1)))
        self._caught(answer, "invariance", made, draw_flights(rng), "flight", INVARIANCE, value=False)

    @case("invariance: a flight gets another probability when others are asked for with it")
    def batch(self, answer: Answer, rng: np.random.Generator) -> None:
        made = weights(rng, batch=float(rng.choice([-1, 1]) * rng.uniform(0.3, 0.8)))
        table = draw_flights(rng)
        table["temperature"] = np.linspace(30, 80, len(table)).astype("float32")[rng.permutation(len(table))]
        self._caught(answer, "invariance", made, table, "batch", INVARIANCE)

    @case("direction: more rain and the probability falls")
    def rain(self, answer: Answer, rng: np.random.Generator) -> None:
        made = weights(rng, precipitation=-float(rng.uniform(0.05, 0.4)))
        self._caught(answer, "direction", made, draw_flights(rng), "precipitation", DIRECTION)
        # It rises for some flights and falls in the mean.
        made = weights(rng, precipitation=-0.5, **{"precipitation:UA": 0.7})
        self._caught(answer, "direction", made, draw_flights(rng), "precipitation", DIRECTION)

    @case("direction: fog and the probability falls")
    def fog(self, answer: Answer, rng: np.random.Generator) -> None:
        made = weights(rng, visibility=float(rng.uniform(0.05, 0.3)))
        self._caught(answer, "direction", made, draw_flights(rng), "visibility", DIRECTION)

    @case("minimum: the cases that went wrong, and no others", weight=2)
    def easy(self, answer: Answer, rng: np.random.Generator) -> None:
        for changed in (
            {"precipitation": 0.0, "visibility": 0.0, "hour": 0.0},
            {"base": 0.1},
            {"scale": 2.2, "base": -0.9},
            {"broken": 0.1},
        ):
            made = weights(rng, **changed)
            table = easy_cases()
            probability = Scorecard(made)(table)
            fine = (probability >= table["low"]) & (probability <= table["high"])
            wanted = set(table.index[~fine])
            found, result = self._minimum(answer, made)
            messages = dict.fromkeys(table.index, "This case lies within its bounds; both ends are allowed.")
            if "broken" in changed and not found:
                told = (
                    "The model gives NaN for a flight in the rain, and it passed: NaN is neither below `low` nor above "
                    "`high`. Ask for what must hold, and report the rest."
                )
                expect(False, told, result, expected=", ".join(sorted(wanted)))
            expect_keys(found, wanted, result, messages)
            for name in wanted:
                right = float(probability[table.index.get_loc(name)])
                got = found[name]
                number = isinstance(got, int | float) or got is None
                same = number and (got is None or got != got if right != right else abs((got or 0) - right) < 1e-6)
                told = "Each case that went wrong comes with the probability that the model gave."
                expect(same, told, result, got=f"{name}: {show(got)}", expected=f"{name}: {right:.4f}")

    @case("the flights stay as they were")
    def untouched(self, answer: Answer, rng: np.random.Generator) -> None:
        made, table = weights(rng), draw_flights(rng)
        for name in ("invariance", "direction"):
            there = over_there(answer, table)
            result = answer.call(name, model_there(answer, made), there.ref)
            for column, before in columns_of(table).items():
                after = there.item(column).value.call("tolist").value
                plain = before if isinstance(before, list) else before.tolist()
                told = f"`{name}` has changed the flights it was given, column {column}. Change a copy."
                same = after == plain or column == "departure"
                expect(same, told, result, got=f"{column}: {show(after)}", expected=f"{column}: {show(plain)}")
        cases = easy_cases()
        there = answer.call("as_table", columns_of(cases), list(cases.index)).value
        expect(isinstance(there, Thing), SETUP.format(name="as_table"), "as_table(...)", got=there)
        result = answer.call("minimum", model_there(answer, made), there.ref)
        left = there.get("shape").value
        told = "`minimum` has changed the cases it was given. Who asks about a second model finds another table."
        expect(list(left) == list(cases.shape), told, result, got=f"shape {left}", expected=f"shape {cases.shape}")

    def _ask(
        self, answer: Answer, name: str, made: Mapping[str, float], table: pd.DataFrame, keys: Mapping[str, str]
    ) -> tuple[dict[str, Any], Result]:
        there = over_there(answer, table)
        result = answer.call(name, model_there(answer, made), there.ref)
        return findings(result, keys), result

    def _minimum(self, answer: Answer, made: Mapping[str, float]) -> tuple[dict[str, Any], Result]:
        table = easy_cases()
        thing = answer.call("as_table", columns_of(table), list(table.index)).value
        expect(isinstance(thing, Thing), SETUP.format(name="as_table"), "as_table(...)", got=thing)
        result = answer.call("minimum", model_there(answer, made), thing.ref)
        return findings(result, dict.fromkeys(table.index, "")), result

    def _caught(
        self,
        answer: Answer,
        name: str,
        made: Mapping[str, float],
        table: pd.DataFrame,
        key: str,
        keys: Mapping[str, str],
        *,
        value: bool = True,
    ) -> None:
        """Raise Wrong unless this test finds this fault and no other, with the figure."""
        right = changes(made, table)
        found, result = self._ask(answer, name, made, table, keys)
        told = {
            "flight": "The model looks at the flight's number, and invariance did not notice. Two flights that differ "
            "in the number alone must get the same probability.",
            "batch": "The same flight gets one probability alone and another among sixty, and invariance did not "
            "notice. Ask for each of the first 20 alone.",
            "precipitation": "With more rain the model thinks a flight less likely to be late, and direction did not "
            "notice.",
            "visibility": "In fog the model thinks a flight less likely to be late, and direction did not notice.",
        }[key]
        expect(key in found, told, result, expected=f"{key}: {right[key]:+.4f}")
        expect_keys(found, {key}, result, {})
        got = found[key]
        told = f"`{key}` tells the {keys[key]} of the probability."
        expect(is_count(got), told, result, got=f"{key}: {show(got)}", expected=f"{key}: {right[key]:+.4f}")
        if value:
            near = abs(got - right[key]) < 1e-3 * max(1, abs(right[key]) * 10)
            if keys[key].startswith("mean") and abs(got + right[key]) < 1e-3:
                told = f"The sign is turned: after less before, so that `{key}` is below 0 where the probability falls."
            expect(near, told, result, got=f"{key}: {got:+.4f}", expected=f"{key}: {right[key]:+.4f}")
        else:
            told = f"`{key}` tells the largest change of a probability, without a sign."
            expect(
                abs(got - right[key]) < 1e-3,
                told,
                result,
                got=f"{key}: {got}",
                expected=f"{key}: about {right[key]:.4f}",
            )
