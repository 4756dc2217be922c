"""Lab 05, exercises 2 and 3: an interval that knows about days, and the gate that uses it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from checks.lab05_data import expect_keys, findings, is_count, over_there
from labkit.answer import Answer, Result
from labkit.exercise import Exercise, case, expect
from labkit.values import show

Interval = tuple[float, float]
SIMULATIONS, FEW_DRAWS, ENOUGH = 30, 100, 20  # by days about 27 of the 30 hold the truth, by rows about 8


def simulate(rng: np.random.Generator, days: int, effect: float, day_effect: float, rows: int = 20) -> pd.DataFrame:
    """A window of flights with two models' predictions.

    On each day the challenger's advantage moves by `day_effect` (standard deviation of the mean difference of the
    Brier score), around `effect`. Days differ in size, by a factor of up to three.
    """
    sizes = rng.integers(rows // 2, rows * 3 // 2 + 1, days)
    day = np.repeat(np.arange(days), sizes)
    late = rng.random(len(day)) < 0.25
    champion = np.clip(0.25 + 0.2 * (late - 0.25) + rng.normal(0, 0.08, len(day)), 0.02, 0.98)
    shift = (effect + rng.normal(0, day_effect, days))[day]
    # The squared error moves by the shift exactly where the prediction can follow.
    error = np.clip((champion - late) ** 2 + shift, 0.0001, 0.96)
    challenger = np.where(late, 1 - np.sqrt(error), np.sqrt(error))
    names = np.array([f"2013-{7 + place // 28:02}-{place % 28 + 1:02}" for place in range(days)])
    columns = {"day": names[day].astype(object), "late": late, "champion": champion, "challenger": challenger}
    return pd.DataFrame(columns).sample(frac=1, random_state=int(rng.integers(2**31))).reset_index(drop=True)


def differences(window: pd.DataFrame) -> NDArray[np.float64]:
    """Challenger less champion, each flight's squared error."""
    late = window["late"].to_numpy(dtype=float)
    return (window["challenger"].to_numpy() - late) ** 2 - (window["champion"].to_numpy() - late) ** 2


def by_days(window: pd.DataFrame, draws: int = 4_000, level: float = 95) -> Interval:
    """What a right answer gives, but for chance."""
    table = pd.DataFrame({"sum": differences(window), "day": window["day"]}).groupby("day")["sum"].agg(["sum", "size"])
    sums, sizes = table["sum"].to_numpy(), table["size"].to_numpy()
    drawn = np.random.default_rng(1).integers(0, len(sums), (draws, len(sums)))
    return _ends(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), level)


def _by_rows(window: pd.DataFrame) -> Interval:
    each = differences(window)
    drawn = np.random.default_rng(1).integers(0, len(each), (1_000, len(each)))
    return _ends(each[drawn].mean(axis=1), 95)


def _unpaired(window: pd.DataFrame) -> Interval:
    late = window["late"].to_numpy(dtype=float)
    means = []
    for seed, name in enumerate(("champion", "challenger")):
        error = (window[name].to_numpy() - late) ** 2
        table = pd.DataFrame({"sum": error, "day": window["day"]}).groupby("day")["sum"].agg(["sum", "size"])
        drawn = np.random.default_rng(seed).integers(0, len(table), (4_000, len(table)))
        means.append(table["sum"].to_numpy()[drawn].sum(axis=1) / table["size"].to_numpy()[drawn].sum(axis=1))
    return _ends(means[1] - means[0], 95)


def _ends(values: NDArray[np.float64], level: float) -> Interval:
    low, high = np.percentile(values, [(100 - level) / 2, (100 + level) / 2])
    return float(low), float(high)


def _width(interval: Interval) -> float:
    return interval[1] - interval[0]


def _told(interval: Interval) -> str:
    return f"{interval[0]:+.5f} to {interval[1]:+.5f}"


class DayInterval(Exercise):
    id = "interval"
    title = "How sure is the difference?"
    names = ("difference_interval",)
    points = 3.0
    hints = (
        "For each flight: the challenger's squared error less the champion's, `(challenger - late) ** 2 - (champion - "
        "late) ** 2`. From here on there is one column, so whatever is drawn is drawn for both models.",
        "Draw days, not flights. The mean of the drawn days is the sum of their differences through the number of "
        "their flights: `groupby('day')` gives a sum and a size for each day, and the flights are not needed again.",
        "`rng = np.random.default_rng(seed)`; `rng.integers(0, len(sums), (draws, len(sums)))` draws all at once, one "
        "row for each draw. Then `np.percentile(means, [2.5, 97.5])`.",
    )

    def _ask(self, answer: Answer, window: pd.DataFrame, draws: int, seed: int) -> tuple[Interval, Result]:
        there = over_there(answer, window)
        result = answer.call("difference_interval", there.ref, draws, seed)
        value = result.value
        value = value.tolist() if isinstance(value, np.ndarray) else value
        form = "Give two numbers, the lower and the upper end."
        pair = isinstance(value, list | tuple) and len(value) == 2 and all(map(is_count, value))
        expect(pair, form, result, expected="(low, high)")
        expect(value[0] <= value[1], "The lower end comes first.", result, expected="(low, high)")
        return (float(value[0]), float(value[1])), result

    @case("two ends, the same for the same seed")
    def form(self, answer: Answer, rng: np.random.Generator) -> None:
        window = simulate(rng, 28, 0.0, 0.01)
        first, result = self._ask(answer, window, 200, 3)
        again, _ = self._ask(answer, window, 200, 3)
        told = (
            "The same window and the same seed gave another interval. A gate that decides by chance is run again until "
            "it passes."
        )
        expect(first == again, told, result, got=f"{_told(first)}, then {_told(again)}", expected="the same twice")
        flat = "The interval has no width: each draw gave the same. Draw with replacement, as many days as there are."
        expect(_width(first) > 1e-9, flat, result, expected="an interval with some width")
        other, _ = self._ask(answer, window, 200, 4)
        told = "Another seed gave the same interval: `seed` is not used."
        expect(first != other, told, result, got=f"{_told(first)}, then {_told(other)}", expected="seed decides")

    @case("below 0 where the challenger is better, above 0 where it is worse")
    def sign(self, answer: Answer, rng: np.random.Generator) -> None:
        for effect in (-0.03, 0.03):
            window = simulate(rng, 28, effect, 0.004)
            found, result = self._ask(answer, window, 300, int(rng.integers(1000)))
            right = by_days(window)
            told = "The sign is turned: challenger less champion, so that below 0 the challenger's error is smaller."
            turned = found[0] * right[0] < 0 and found[1] * right[1] < 0
            expect(not turned, told, result, got=_told(found), expected=f"about {_told(right)}")
            told = "The interval should hold the difference of the mean squared errors."
            mean = float(differences(window).mean())
            inside = found[0] <= mean <= found[1]
            expect(inside, told, result, got=_told(found), expected=f"about {_told(right)}")

    @case("as wide as whole days make it", weight=2)
    def width(self, answer: Answer, rng: np.random.Generator) -> None:
        for _ in range(2):
            window = simulate(rng, 40, -0.004, 0.02)
            found, result = self._ask(answer, window, 2_000, int(rng.integers(1000)))
            right = by_days(window)
            ratio = _width(found) / _width(right)
            told = f"The interval is {ratio:.2f} times as wide as it should be."
            if abs(_width(found) / _width(_by_rows(window)) - 1) < 0.12:
                told = (
                    "This is as narrow as if every flight were drawn by itself. Flights of one day share the weather: "
                    "they are not many independent witnesses. Draw whole days."
                )
            elif abs(_width(found) / _width(by_days(window, level=90)) - 1) < 0.06:
                told = "This is about as wide as a 90% interval. 95% leaves out 2.5% on each side."
            elif ratio > 1.2 and abs(_width(found) / _width(_unpaired(window)) - 1) < 0.2:
                told = (
                    "This is too wide: the two models were compared on different days. Draw the days once and look at "
                    "both models on them."
                )
            expect(abs(ratio - 1) < 0.09, told, result, got=_told(found), expected=f"about {_told(right)}")

    @case("a day counts by its flights")
    def sizes(self, answer: Answer, rng: np.random.Generator) -> None:
        window = simulate(rng, 40, 0.0, 0.003)
        # On the busy days the challenger is worse, on the quiet ones better.
        size = window.groupby("day")["late"].transform("size").to_numpy()
        late = window["late"].to_numpy(dtype=float)
        error = (window["champion"].to_numpy() - late) ** 2 + np.where(size > np.median(size), 0.03, -0.03)
        error = np.clip(error, 0.0001, 0.96)
        window["challenger"] = np.where(late > 0, 1 - np.sqrt(error), np.sqrt(error))
        found, result = self._ask(answer, window, 2_000, int(rng.integers(1000)))
        right = by_days(window)
        told = (
            "On busy days this challenger is worse, on quiet days better, and the interval treats them alike. The mean "
            "is over flights: divide the sum of the drawn days by the number of their flights."
        )
        near = abs(sum(found) - sum(right)) / 2 < 0.15 * _width(right)
        expect(near, told, result, got=_told(found), expected=f"about {_told(right)}")

    @case("on 30 simulated windows it holds the truth as often as it claims", weight=2)
    def coverage(self, answer: Answer, rng: np.random.Generator) -> None:
        held = 0
        truth = 0.01
        for number in range(SIMULATIONS):
            window = simulate(rng, 24, truth, 0.03)
            found, result = self._ask(answer, window, FEW_DRAWS, number)
            held += found[0] <= truth <= found[1]
        told = (
            f"The windows were simulated, so the truth is known: a difference of {truth}. An interval of 95% should "
            f"hold it in nearly all of {SIMULATIONS}. This one is too sure: whole days go well or badly for a model, "
            "and the flights of a day are no independent witnesses."
        )
        expected = f"the truth inside in at least {ENOUGH} of {SIMULATIONS} windows"
        expect(held >= ENOUGH, told, result, got=f"the truth inside in {held} of {SIMULATIONS}", expected=expected)


LIMITS: dict[str, float] = {
    "worse": 0.002,
    "calibration": 0.03,
    "slice": 0.01,
    "slice_flights": 50,
    "threshold": 0.3,
    "missed": 4.0,
    "alarm": 1.0,
    "cost": 0.02,
}
GATE_KEYS = {
    "broken": "how many predictions are no probability",
    "worse": "the upper end of the interval",
    "calibration": "mean prediction less share late",
    "slice": "{carrier: rise of the Brier score}",
    "cost": "rise of the cost a flight",
}
CARRIERS = ("UA", "B6", "EV", "DL")
SMALL = "HA"


def gate_window(rng: np.random.Generator, rows: int = 1_200) -> pd.DataFrame:
    """Two equally good models on flights of four carriers, and a fifth with few flights.

    The predictions are calibrated in the mean exactly, and the same numbers lie above the threshold.
    """
    carrier = np.where(np.arange(rows) < 30, SMALL, rng.choice(CARRIERS, rows))
    truth = np.clip(rng.beta(1.6, 4.2, rows), 0.02, 0.95)
    late = rng.random(rows) < truth
    champion = np.clip(truth + late.mean() - truth.mean(), 0.01, 0.99)
    # The challenger: small changes that cancel, away from the threshold.
    moved = rng.permutation(np.repeat([-0.002, 0.002], rows // 2))
    near = np.abs(champion - LIMITS["threshold"]) < 0.01
    challenger = np.where(near, champion, champion + moved)
    order = rng.permutation(rows)
    columns = {"carrier": carrier.astype(object), "late": late, "champion": champion, "challenger": challenger}
    return pd.DataFrame(columns).iloc[order].reset_index(drop=True)


def cost_of(window: pd.DataFrame, name: str, limits: dict[str, float]) -> float:
    """Cost a flight of warning from the threshold on."""
    late, warned = window["late"].to_numpy(), window[name].to_numpy() >= limits["threshold"]
    return float((limits["missed"] * (late & ~warned) + limits["alarm"] * (~late & warned)).mean())


def brier_rise(window: pd.DataFrame, carrier: str) -> float:
    """How much worse the challenger is on one carrier."""
    return float(differences(window[window["carrier"] == carrier]).mean())


class Gate(Exercise):
    id = "gate"
    title = "Accept, or refuse with reasons"
    names = ("judge",)
    points = 3.0
    hints = (
        "As in exercise 1: `found = {}`, one `if` for each rule, and an empty dict accepts. Begin with `broken`: "
        "`~challenger.between(0, 1)` is also true for NaN, and what is broken is not judged any further.",
        "`worse` looks at the upper end, interval[1]: could the challenger be worse by more than the margin? An end "
        "that is NaN proves nothing, so write `not high <= limit`.",
        "For the slices: put the difference of the squared errors into a column, then `groupby('carrier')` and "
        "`.agg(['mean', 'size'])`. For the cost: `warned = p >= threshold`; missed are late and not warned.",
    )

    def _ask(
        self, answer: Answer, window: pd.DataFrame, interval: Interval = (-0.003, 0.001), **limits: float
    ) -> tuple[dict[str, Any], Result]:
        there = over_there(answer, window)
        result = answer.call("judge", there.ref, interval, {**LIMITS, **limits})
        return findings(result, GATE_KEYS), result

    @case("a challenger that is as good is accepted")
    def accepts(self, answer: Answer, rng: np.random.Generator) -> None:
        messages = {
            "worse": "The interval ends below the margin. Non-inferiority asks whether the challenger could be worse "
            "by more than the margin, not whether it is better for certain.",
            "slice": f"{SMALL} has fewer than {LIMITS['slice_flights']:.0f} flights: too few to judge, or chance "
            "would refuse most models.",
            "calibration": "The mean prediction and the share of late flights agree here.",
            "cost": "The two models warn of the same flights and cost the same.",
        }
        for interval in ((-0.003, 0.001), (-0.01, -0.002), (0.0005, LIMITS["worse"])):
            window = gate_window(rng)
            few = (window["carrier"] == SMALL).to_numpy()
            window.loc[few, "challenger"] = self._towards(window[few], 0.12)
            window = self._calibrated(window)
            found, result = self._ask(answer, window, interval, cost=9.0)
            expect_keys(found, set(), result, messages)

    @case("the interval reaches beyond the margin: refused")
    def worse(self, answer: Answer, rng: np.random.Generator) -> None:
        for low, high in ((-0.004, 0.0031), (0.0005, 0.0042)):
            found, result = self._ask(answer, gate_window(rng), (low, high))
            told = "The challenger could be worse by more than the margin, and it was accepted: look at the upper end."
            expect("worse" in found, told, result, expected="worse")
            expect_keys(found, {"worse"}, result, {})
            got = found["worse"]
            right = is_count(got) and abs(got - high) < 1e-9
            expect(right, "`worse` tells the upper end.", result, got=f"worse: {show(got)}", expected=f"worse: {high}")
        found, result = self._ask(answer, gate_window(rng), (math.nan, math.nan))
        told = (
            "The interval is NaN: nothing was measured, and the challenger was accepted. Every comparison with NaN is "
            "False, so ask whether the end is at most the limit, and refuse if not."
        )
        expect("worse" in found, told, result, expected="worse")

    @case("probabilities that do not fit what happened: refused")
    def calibration(self, answer: Answer, rng: np.random.Generator) -> None:
        for factor in (-1, 1):
            window = gate_window(rng)
            shift = factor * float(rng.uniform(0.045, 0.06))
            # Nothing crosses the threshold, so that the cost stays as it is.
            above = (window["challenger"] >= LIMITS["threshold"]).to_numpy()
            low, high = np.where(above, LIMITS["threshold"], 0.0), np.where(above, 1.0, LIMITS["threshold"] - 1e-6)
            moved = np.clip(window["challenger"].to_numpy() + 1.8 * shift, low, high)
            window["challenger"] = moved
            found, result = self._ask(answer, window, slice=1.0)
            gap = float(window["challenger"].mean() - window["late"].mean())
            told = "The mean prediction is far from the share of late flights, and the challenger was accepted."
            if factor < 0:
                told += " Too low is as wrong as too high."
            expect("calibration" in found, told, result, expected=f"calibration: {gap:+.3f}")
            expect_keys(found, {"calibration"}, result, {})
            got = found["calibration"]
            right = is_count(got) and abs(got - gap) < 1e-4
            told = "`calibration` is the mean prediction less the share of late flights, with its sign."
            expect(right, told, result, got=f"calibration: {show(got)}", expected=f"calibration: {gap:+.4f}")

    @case("one carrier got worse while the average improved: refused", weight=2)
    def slices(self, answer: Answer, rng: np.random.Generator) -> None:
        window = gate_window(rng)
        one = str(rng.choice(CARRIERS))
        mine = (window["carrier"] == one).to_numpy()
        window.loc[mine, "challenger"] = self._towards(window[mine], 0.1)
        window.loc[~mine, "challenger"] = self._towards(window[~mine], -0.12)
        window = self._calibrated(window)
        found, result = self._ask(answer, window, (-0.02, -0.004), cost=9.0)
        told = (
            f"On all flights together the challenger is better, on {one} it is worse by {brier_rise(window, one):.3f}. "
            "An average hides that."
        )
        expect("slice" in found, told, result, expected=f"slice: {one}")
        expect_keys(found, {"slice"}, result, {})
        got = found["slice"]
        told = "`slice` is a dict of the carriers that got worse, each with the rise of its mean squared error."
        fits = isinstance(got, dict) and set(got) == {one} and all(map(is_count, got.values()))
        fits = fits and abs(got[one] - brier_rise(window, one)) < 1e-4
        wanted = f"slice: {{{one!r}: {brier_rise(window, one):.4f}}}"
        expect(fits, told, result, got=f"slice: {show(got)}", expected=wanted)

    @case("warning at the threshold costs more than before: refused", weight=2)
    def cost(self, answer: Answer, rng: np.random.Generator) -> None:
        for kind in ("missed", "alarm"):
            window = gate_window(rng)
            p = window["challenger"].to_numpy(copy=True)
            limit, late = LIMITS["threshold"], window["late"].to_numpy()
            if kind == "missed":
                rows = np.flatnonzero(late & (p >= limit))[:40]
                p[rows] = limit - 0.001
            else:
                rows = np.flatnonzero(~late & (p < limit))[-150:]
                p[rows] = limit  # from the threshold on there is a warning
            window["challenger"] = p
            found, result = self._ask(answer, window, slice=1.0, calibration=1.0)
            rise = cost_of(window, "challenger", LIMITS) - cost_of(window, "champion", LIMITS)
            told = "More late flights are missed than before, each costs 4, and the challenger was accepted."
            if kind == "alarm":
                told = (
                    "More flights are warned of for nothing, and the challenger was accepted. A probability equal to "
                    "the threshold is a warning, too."
                )
            expect("cost" in found, told, result, expected=f"cost: {rise:+.3f}")
            expect_keys(found, {"cost"}, result, {})
            got = found["cost"]
            told = "`cost` is the rise of the cost a flight: (4 for each missed + 1 for each false alarm) / flights."
            right = is_count(got) and abs(got - rise) < 1e-4
            expect(right, told, result, got=f"cost: {show(got)}", expected=f"cost: {rise:.4f}")

    @case("predictions that are no probabilities: refused, and nothing else is said", weight=2)
    def broken(self, answer: Answer, rng: np.random.Generator) -> None:
        for value in (math.nan, 1.7, -0.2, math.inf):
            window = gate_window(rng)
            rows = rng.choice(len(window), int(rng.integers(1, 6)), replace=False)
            window.iloc[rows, window.columns.get_loc("challenger")] = value
            found, result = self._ask(answer, window)
            told = f"{len(rows)} of the challenger's predictions are {value}, and it was accepted."
            if value != value:
                told += " Every comparison with NaN is False: ask for what must hold, and refuse the rest."
            expect("broken" in found, told, result, expected=f"broken: {len(rows)}")
            told = "Where predictions are broken, the other figures mean nothing: tell `broken` alone."
            expect(set(found) == {"broken"}, told, result, expected=f"broken: {len(rows)}")
            got = found["broken"]
            right = is_count(got) and got == len(rows)
            told = "`broken` counts the challenger's predictions that are missing or not between 0 and 1."
            expect(right, told, result, got=f"broken: {show(got)}", expected=f"broken: {len(rows)}")

    @case("every reason is told, not the first alone")
    def every(self, answer: Answer, rng: np.random.Generator) -> None:
        window = gate_window(rng)
        window["challenger"] = np.clip(window["challenger"] * 0.4, 0, 1)
        found, result = self._ask(answer, window, (0.004, 0.012))
        wanted = {"worse", "calibration", "slice", "cost"}
        gone = sorted(wanted - set(found))
        told = f"Four rules are broken here; {', '.join(gone)} is not told. Whoever trains again wants all the reasons."
        expect(not gone, told, result, expected=", ".join(sorted(wanted)))
        expect_keys(found, wanted, result, {})

    @case("the limits are those that it is given")
    def given(self, answer: Answer, rng: np.random.Generator) -> None:
        window, interval = gate_window(rng), (0.004, 0.012)
        window["challenger"] = np.clip(window["challenger"] * 0.4, 0, 1)
        told = "The rule `{rule}` is not broken by these limits: is there a number in the place of `limits['{limit}']`?"
        for rule, limit, value in (
            ("worse", "worse", 0.02),
            ("calibration", "calibration", 0.9),
            ("slice", "slice", 0.9),
            ("slice", "slice_flights", float(len(window))),
            ("cost", "cost", 9.0),
        ):
            found, result = self._ask(answer, window, interval, **{limit: value})
            got = f"{rule}: {show(found.get(rule))}"
            expect(rule not in found, told.format(rule=rule, limit=limit), result, got=got, expected=f"no {rule}")
        sizes = window["carrier"].value_counts()
        worst = max(CARRIERS, key=lambda carrier: brier_rise(window, carrier))
        found, result = self._ask(answer, window, interval, slice_flights=float(sizes[worst]))
        message = f"{worst} is to be judged from {sizes[worst]} flights on, and it has exactly so many."
        expect(worst in found.get("slice", {}), message, result, expected=f"slice: {worst}")
        for limit, other in (("threshold", 0.22), ("missed", 7.0), ("alarm", 0.2)):
            limits = {**LIMITS, limit: other}
            rise = cost_of(window, "challenger", limits) - cost_of(window, "champion", limits)
            found, result = self._ask(answer, window, interval, **{limit: other})
            got = found.get("cost")
            message = f"The cost is another with this limit: is there a number in the place of `limits['{limit}']`?"
            right = is_count(got) and abs(got - rise) < 1e-4
            expect(right, message, result, got=f"cost: {show(got)}", expected=f"cost: {rise:.4f}")

    def _towards(self, window: pd.DataFrame, amount: float) -> NDArray[np.float64]:
        """The champion's predictions moved away from what happened (towards it, where negative)."""
        p = window["champion"].to_numpy()
        away = np.where(window["late"], -1, 1)
        return np.clip(p + amount * away, 0.005, 0.995)

    def _calibrated(self, window: pd.DataFrame) -> pd.DataFrame:
        """The challenger's mean brought to the share of late flights, away from the threshold's other side."""
        gap = window["challenger"].mean() - window["late"].mean()
        return window.assign(challenger=np.clip(window["challenger"] - gap, 0.001, 0.999))
