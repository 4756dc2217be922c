"""Lab 06, exercise 8: which window, which limit, for the price of an alarm and of a day of delay."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from checks.lab06_common import is_number
from labkit.answer import Answer
from labkit.exercise import Exercise, case, expect

Numbers = NDArray[np.float64]
LENGTHS = [1, 2, 4, 7, 14, 28]
START, DRIFTED_DAYS, YEAR = 30, 120, 365


@dataclass(frozen=True)
class Prices:
    alarm: float
    day: float
    drifts: float = 4.0

    def cost(self, quiet: Numbers, after: Numbers, limit: float) -> float:
        """What a year costs with this limit.

        Parameters
        ----------
        quiet, after
            Means of the last days: of quiet years, and of drifting runs from their first drifted day on.
        """
        alarms = (quiet > limit).sum() / len(quiet)
        over = after > limit
        delay = np.where(over.any(axis=1), over.argmax(axis=1), after.shape[1])
        return float(self.alarm * alarms + self.day * self.drifts * delay.mean())


def means(series: Numbers, length: int) -> Numbers:
    """The mean of the last `length` days, shape (runs, days - length + 1)."""
    sums = np.cumsum(np.pad(series, ((0, 0), (1, 0))), axis=1)
    return (sums[:, length:] - sums[:, :-length]) / length


@dataclass(frozen=True)
class Monitor:
    """One figure a day, about `level`, that rises by `rise` when something drifts."""

    level: float
    noise: float
    rise: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Monitor:
        noise = float(rng.uniform(0.05, 0.3))
        return cls(float(rng.uniform(0.1, 2)), noise, noise * float(rng.uniform(0.8, 1.3)))

    def quiet(self, rng: np.random.Generator, runs: int) -> Numbers:
        return rng.normal(self.level, self.noise, (runs, YEAR))

    def drifted(self, rng: np.random.Generator, runs: int, start: int) -> Numbers:
        series = rng.normal(self.level, self.noise, (runs, DRIFTED_DAYS))
        series[:, start:] += self.rise
        return series


def after_start(drifted: Numbers, length: int, start: int) -> Numbers:
    """The means from the day start on; every window of LENGTHS is full by then."""
    return means(drifted, length)[:, start - length + 1 :]


def best(quiet: Numbers, drifted: Numbers, start: int, prices: Prices) -> float:
    """What the cheapest of a fine grid costs."""
    costs = []
    for length in LENGTHS:
        calm, moving = means(quiet, length), after_start(drifted, length, start)
        limits = np.quantile(moving, np.linspace(0.01, 0.99, 50))
        costs += [prices.cost(calm, moving, float(limit)) for limit in limits]
    return min(costs)


class Alarms(Exercise):
    id = "alarms"
    title = "What an alarm may cost"
    names = ("choose",)
    points = 2.0
    hints = (
        "Two loops: each length, and for each some fifty limits, quantiles of the means of `drifted`. Compute the cost "
        "of a year for each pair and keep the smallest.",
        "The means of the last `length` days: `np.lib.stride_tricks.sliding_window_view(series, length, "
        "axis=1).mean(-1)`; its first column belongs to day `length - 1`. False alarms a year: `(means > "
        "limit).sum() / len(quiet)`.",
        "The delay: days from `start` to the first day from `start` on that is over the limit. If none is, the drift "
        "was never seen, and costs all the days that are left.",
    )

    def _judge(self, answer: Answer, rng: np.random.Generator, prices: Prices, told: str, start: int = START) -> None:
        monitor = Monitor.draw(rng)
        quiet, drifted = monitor.quiet(rng, 80), monitor.drifted(rng, 150, start)
        result = answer.call("choose", quiet, drifted, start, LENGTHS, prices.alarm, prices.day, prices.drifts)
        pair = result.value
        pair = pair.tolist() if isinstance(pair, np.ndarray) else pair
        fits = isinstance(pair, list | tuple) and len(pair) == 2 and all(map(is_number, pair))
        expect(fits, "Give two numbers, the length and the limit.", result, expected="(length, limit)")
        expect(pair[0] in LENGTHS, "The length is one of `lengths`.", result, expected=f"one of {LENGTHS}")
        quiet, drifted = monitor.quiet(rng, 100), monitor.drifted(rng, 200, start)
        length = int(pair[0])
        cost = prices.cost(means(quiet, length), after_start(drifted, length, start), float(pair[1]))
        least = best(quiet, drifted, start, prices)
        dear = f"{cost:.0f} a year on fresh data, with {pair[0]:g} days and {pair[1]:.3g}"
        expect(cost < 1.3 * least, told, result, got=dear, expected=f"about {least:.0f} a year")

    @case("dear days, cheap alarms")
    def days(self, answer: Answer, rng: np.random.Generator) -> None:
        told = (
            "A day of delay costs ten times as much as a false alarm here. This choice is too slow, or sleeps: it is "
            "cheaper to be woken more often."
        )
        self._judge(answer, rng, Prices(1.0, 10.0), told)

    @case("dear alarms, cheap days")
    def dear(self, answer: Answer, rng: np.random.Generator) -> None:
        told = (
            "A false alarm costs forty times as much as a day of delay here. This choice wakes people too "
            "often, or sleeps."
        )
        self._judge(answer, rng, Prices(40.0, 1.0), told)

    @case("prices between")
    def between(self, answer: Answer, rng: np.random.Generator) -> None:
        told = "There is a cheaper pair. Is a drift that is never seen counted, with all the days that are left?"
        for alarm, day in ((10.0, 2.0), (30.0, 5.0)):
            self._judge(answer, rng, Prices(alarm, day), told)

    @case("other numbers of drifts, another first day")
    def others(self, answer: Answer, rng: np.random.Generator) -> None:
        for drifts, start in ((20.0, START), (0.5, START), (4.0, 80)):
            told = (
                f"Here are {drifts:g} drifts a year, and they begin on day {start}: both come with the call, and both "
                "change what is cheapest."
            )
            self._judge(answer, rng, Prices(20.0, 4.0, drifts), told, start)
