"""Lab 06, exercise 3: limits with a stated number of false alarms, from windows that did not drift."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from checks.lab06_common import array
from labkit.answer import Answer
from labkit.exercise import Exercise, case, expect

Numbers = NDArray[np.float64]
WINDOWS, FRESH, CHECKS = 1_000, 20_000, 8


@dataclass(frozen=True)
class Quiet:
    """A monitor on data that does not drift: checks of different scale and shape that go up together."""

    scale: Numbers
    shape: Numbers

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Quiet:
        return cls(10 ** rng.uniform(-2, 1.5, CHECKS), rng.uniform(2.0, 6.0, CHECKS))

    def windows(self, rng: np.random.Generator, count: int) -> Numbers:
        """Values of the checks, shape (count, CHECKS)."""
        together = rng.gamma(6, 1 / 6, (count, 1))
        return self.scale * together * rng.gamma(self.shape, 1 / self.shape, (count, CHECKS))


def alarm_rate(limits: Numbers, windows: Numbers) -> float:
    """Share of the windows in which at least one check is over its limit."""
    return float((windows > limits).any(axis=1).mean())


class Limits(Exercise):
    id = "limits"
    title = "A limit with a stated price"
    names = ("limits",)
    points = 3.0
    hints = (
        "So many alarms a year through so many windows a year is the share of windows that may alarm. For one check "
        "its limit would be a quantile: `np.quantile(quiet, 1 - share)`.",
        "With eight checks, each at that quantile, there are up to eight times as many alarms. Either give each check "
        "an eighth of the share, or look at the largest check of each window.",
        "The checks have different scales, so make them comparable first: divide each by its own quantile, say. Then "
        "`(quiet / typical).max(axis=1)` is one number a window, and its quantile times `typical` gives the limits.",
    )

    def _ask(self, answer: Answer, quiet: Numbers, alarms: float, windows_a_year: int) -> tuple[Numbers, str]:
        result = answer.call("limits", quiet, alarms, windows_a_year)
        found = array(result, (quiet.shape[1],), "one limit for each check")
        told = "A limit is not a finite number. With it that check would never alarm, or always."
        expect(np.isfinite(found).all(), told, result, expected="finite numbers")
        return found, result.tried

    @case("one limit a check, in that check's scale")
    def form(self, answer: Answer, rng: np.random.Generator) -> None:
        monitor = Quiet.draw(rng)
        quiet = monitor.windows(rng, WINDOWS)
        found, tried = self._ask(answer, quiet, 12, 365)
        told = (
            "A limit lies below the median of its check on windows that did not drift: it would alarm every other day. "
            "Is it one limit for each column?"
        )
        expect((found > np.median(quiet, axis=0)).all(), told, tried, got=found)
        factor = 10 ** rng.uniform(-1, 1, CHECKS)
        other, tried = self._ask(answer, quiet * factor, 12, 365)
        told = "Each check was multiplied by a number of its own, and its limit did not follow."
        expect(np.allclose(other, found * factor, rtol=0.02), told, tried, got=other, expected=found * factor)

    def _rates(self, answer: Answer, rng: np.random.Generator, alarms: float, windows_a_year: int) -> list[float]:
        rates = []
        for _ in range(5):
            monitor = Quiet.draw(rng)
            found, _ = self._ask(answer, monitor.windows(rng, WINDOWS), alarms, windows_a_year)
            rates.append(alarm_rate(found, monitor.windows(rng, FRESH)) * windows_a_year)
        return rates

    @case("on fresh windows that did not drift, no more alarms than stated", weight=2)
    def not_more(self, answer: Answer, rng: np.random.Generator) -> None:
        for alarms, year in ((12, 365), (4, 52)):
            rates = self._rates(answer, rng, alarms, year)
            mean = float(np.mean(rates))
            told = (
                f"Stated were {alarms} false alarms a year. On fresh windows there are {mean:.0f}, all checks together."
            )
            if mean > 2.5 * alarms:
                told += (
                    " Eight checks have eight chances a window to be wrong: the limits are for all of them together."
                )
            tried = f"limits(quiet, {alarms}, {year}), five monitors of {CHECKS} checks"
            expect(
                mean < 1.5 * alarms, told, tried, got=f"{mean:.1f} alarms a year", expected=f"at most about {alarms}"
            )

    @case("and not far fewer: a monitor that sleeps makes no false alarms, too", weight=2)
    def not_fewer(self, answer: Answer, rng: np.random.Generator) -> None:
        for alarms, year in ((12, 365), (40, 365)):
            mean = float(np.mean(self._rates(answer, rng, alarms, year)))
            told = (
                f"You may spend {alarms} false alarms a year, and these limits make {mean:.1f}. Each one not spent is "
                "paid for in days until a real drift is seen: set the limits lower."
            )
            tried = f"limits(quiet, {alarms}, {year}), five monitors of {CHECKS} checks"
            expect(mean > 0.3 * alarms, told, tried, got=f"{mean:.1f} alarms a year", expected=f"about {alarms}")

    @case("each check is heard")
    def heard(self, answer: Answer, rng: np.random.Generator) -> None:
        monitor = Quiet.draw(rng)
        found, tried = self._ask(answer, monitor.windows(rng, WINDOWS), 12, 365)
        fresh = monitor.windows(rng, 4_000)
        for check in range(CHECKS):
            heard = float((10 * fresh[:, check] > found[check]).mean())
            told = (
                f"Check {check} was ten times as large as usual, and was over its limit in {heard:.0%} of the windows. "
                "A limit that a loud check sets for a quiet one switches the quiet one off."
            )
            expect(heard > 0.4, told, tried, got=found, expected="a limit near the check's own large values")
