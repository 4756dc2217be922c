"""Lab 06, exercises 1 and 2: how far a distribution has moved, and how sure a test is of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import ks_2samp

from checks.lab06_common import number
from labkit.answer import Answer, Result
from labkit.exercise import Exercise, case, expect
from labkit.values import show

FLOOR = 0.0001
Numbers = NDArray[np.float64]


def shares(values: Numbers, edges: Numbers) -> Numbers:
    """Share of the values in each bin, the missing ones last, shape (edges + 2,)."""
    place = np.where(np.isnan(values), len(edges) + 1, np.searchsorted(edges, values, side="right"))
    return np.bincount(place, minlength=len(edges) + 2) / len(values)


def psi(reference: Numbers, current: Numbers, edges: Numbers) -> float:
    """What a right answer gives."""
    before, after = (np.maximum(shares(values, edges), FLOOR) for values in (reference, current))
    return float(((after - before) * np.log(after / before)).sum())


class Psi(Exercise):
    id = "psi"
    title = "How far has it moved?"
    names = ("learner", "psi")
    points = 3.0
    hints = (
        "First the bin of each value: `np.searchsorted(edges, values, side='right')` gives 0 below the first edge and "
        "`len(edges)` from the last edge on. Missing values get a number of their own, `len(edges) + 1`.",
        "`np.bincount(place, minlength=len(edges) + 2) / len(values)` gives the shares, of all values, the missing "
        "ones included. `np.maximum(shares, 0.0001)` before the logarithm.",
        "`((after - before) * np.log(after / before)).sum()`. Each term is positive, whichever way the share went.",
    )

    def _ask(self, answer: Answer, reference: Numbers, current: Numbers, edges: Numbers) -> tuple[float, Result]:
        result = answer.call("psi", reference, current, edges)
        return number(result, "the PSI"), result

    def _compare(self, answer: Answer, reference: Numbers, current: Numbers, edges: Numbers, told: str) -> None:
        found, result = self._ask(answer, reference, current, edges)
        right = psi(reference, current, edges)
        expect(abs(found - right) < 0.002 + 0.01 * right, told, result, expected=f"about {right:.4f}")

    @case("a name that draws your year", weight=0.5)
    def named(self, answer: Answer, rng: np.random.Generator) -> None:
        result = answer.call("learner")
        name = result.value
        told = "Give your name, or a number that only you have, as a text. Your year is drawn from it."
        expect(isinstance(name, str) and name.strip(), told, result, expected="a text")
        told = "This is the name of the task. With your own the year is yours."
        expect(name.strip().casefold() not in {"your name", "name", "..."}, told, result, expected="your own name")

    @case("the worked example, and what samples give", weight=2)
    def values(self, answer: Answer, rng: np.random.Generator) -> None:
        reference, current = np.repeat([5.0, 15.0], [50, 50]), np.repeat([5.0, 15.0], [25, 75])
        edges = np.array([10.0])
        found, result = self._ask(answer, reference, current, edges)
        right = psi(reference, current, edges)
        told = "The shares are 0.5 and 0.5 before, 0.25 and 0.75 after."
        before, after = np.array([0.5, 0.5]), np.array([0.25, 0.75])
        one_way = float((after * np.log(after / before)).sum())
        other_way = float((before * np.log(before / after)).sum())
        if any(abs(found - right / np.log(base)) < 1e-3 for base in (2, 10)):
            told = "This is PSI with a logarithm to another base. It is the natural one, `np.log`."
        elif min(abs(found - one_way), abs(found - other_way)) < 1e-3:
            told = "This is the Kullback-Leibler divergence, which looks one way only. PSI weighs with the difference."
        elif abs(found - 100 * right) < 1:
            told = "These are percentages. The shares lie between 0 and 1."
        expect(abs(found - right) < 0.002, told, result, expected=f"about {right:.4f}")
        for _ in range(2):
            edges = np.sort(rng.normal(0, 1, 6)).round(2)
            reference, current = rng.normal(0, 1, 4_000), rng.normal(float(rng.uniform(0.3, 0.8)), 1.2, 1_500)
            told = "On two samples of 4,000 and 1,500 values the sum is another."
            self._compare(answer, reference, current, edges, told)

    @case("0 where nothing moved, and the same both ways")
    def symmetric(self, answer: Answer, rng: np.random.Generator) -> None:
        edges = np.array([-1.0, 0.0, 1.0])
        sample, other = rng.normal(0, 1, 900), rng.normal(0.7, 1, 700)
        found, result = self._ask(answer, sample, rng.permutation(sample), edges)
        told = "The same values in another order: nothing moved, and PSI is 0."
        expect(abs(found) < 1e-6, told, result, expected="0")
        one, _ = self._ask(answer, sample, other, edges)
        two, result = self._ask(answer, other, sample, edges)
        told = "PSI is the same whichever of the two samples comes first. Is the floor used for both?"
        expect(abs(one - two) < 1e-3, told, result, got=f"{one:.4f}, then {two:.4f}", expected="the same twice")

    @case("shares count, not rows")
    def rows(self, answer: Answer, rng: np.random.Generator) -> None:
        edges = np.array([0.0, 1.0])
        sample, other = rng.normal(0, 1, 500), rng.normal(0.6, 1, 500)
        found, _ = self._ask(answer, sample, other, edges)
        more, result = self._ask(answer, sample, np.repeat(other, 7), edges)
        told = "Every value of the second sample came seven times, so the shares are as before, and PSI is another."
        same = abs(found - more) < 1e-3
        expect(same, told, result, got=f"{found:.4f}, then {more:.4f}", expected="the same twice")

    @case("missing values have a bin of their own", weight=2)
    def missing(self, answer: Answer, rng: np.random.Generator) -> None:
        edges = np.array([-0.5, 0.5])
        sample = rng.normal(0, 1, 2_000)
        gone = sample.copy()
        gone[rng.random(2_000) < 0.3] = np.nan
        told = (
            "Nearly a third of the second sample is missing and nothing else changed. That is a change, and the "
            "largest there is here: count NaN in a bin of its own."
        )
        self._compare(answer, sample, gone, edges, told)
        told = "As much is missing in both samples, so that bin adds nothing."
        self._compare(answer, gone, rng.permutation(gone), edges, told)

    @case("a bin that is empty in one sample")
    def empty(self, answer: Answer, rng: np.random.Generator) -> None:
        edges = np.array([0.0, 10.0])
        reference, current = rng.uniform(-5, 5, 800), rng.uniform(5, 15, 800)
        told = (
            "One bin is empty before and one after. Each share counts as at least 0.0001: without a floor PSI would be "
            "infinite, with another it is another number."
        )
        self._compare(answer, reference, current, edges, told)

    @case("values beyond the edges, and exactly at one", weight=2)
    def edges(self, answer: Answer, rng: np.random.Generator) -> None:
        edges = np.array([10.0, 20.0, 30.0])
        reference, current = rng.uniform(10, 30, 1_000), rng.uniform(-20, 60, 1_000)
        told = (
            "Half of the second sample lies below the first edge or above the last one, and is counted otherwise. The "
            "two outer bins are open; `np.histogram` drops what lies outside its bins."
        )
        self._compare(answer, reference, current, edges, told)
        reference, current = np.repeat([15.0, 25.0], 200), np.repeat([20.0, 25.0], [150, 250])
        told = "A value that is exactly an edge belongs to the bin above it: 20 lies with 25 here."
        self._compare(answer, reference, current, edges, told)


def effect(reference: Numbers, current: Numbers) -> float:
    """One of many right answers."""
    return float(ks_2samp(reference, current).statistic)


class Trap(Exercise):
    id = "trap"
    title = "How sure is not how far"
    names = ("share_of_alarms", "effect")
    points = 3.0
    hints = (
        "`rng.choice(population, rows)` draws a window, `ks_2samp(reference, window).pvalue` tests it. Count how often "
        "that is below 0.05, and divide by `windows`.",
        "A p-value says how surely two samples differ, and surer with every row. What you want of `effect` estimates a "
        "property of the two distributions: a few rows estimate it roughly, many rows exactly, and it does not grow.",
        "Three that will do: the statistic of the KS test, the Wasserstein distance divided by the reference's "
        "standard deviation, your PSI with the reference's own deciles as edges.",
    )

    @case("a share, and the same for the same seed")
    def form(self, answer: Answer, rng: np.random.Generator) -> None:
        reference, population = rng.normal(0, 1, 12_000), rng.normal(0.2, 1, 50_000)
        found = []
        for _ in range(6):  # a share of few windows comes out the same now and then
            result = answer.call("share_of_alarms", reference, population, 150, 20, 1)
            found.append(number(result, "the share of the windows with an alarm"))
        told = "A share lies between 0 and 1."
        expect(0 <= found[0] <= 1, told, result, expected="between 0 and 1")
        told = "The same seed gave another share: draw from `np.random.default_rng(seed)`, made inside the function."
        got = ", ".join(f"{value:.3f}" for value in found)
        expect(len(set(found)) == 1, told, result, got=got, expected="the same each time")

    @case("on data that did not drift, about 1 window in 20")
    def quiet(self, answer: Answer, rng: np.random.Generator) -> None:
        reference, population = rng.normal(0, 1, 12_000), rng.normal(0, 1, 50_000)
        result = answer.call("share_of_alarms", reference, population, 200, 150, int(rng.integers(1_000)))
        found = number(result, "the share of the windows with an alarm")
        told = (
            "Nothing drifted: both samples come from one distribution. A p-value below 0.05 comes in about 1 window of "
            "20 all the same; that is what 0.05 says."
        )
        if found > 0.8:
            told = "Nothing drifted, and nearly every window alarms. Is a p-value **below** 0.05 counted?"
        expect(0.002 < found < 0.14, told, result, expected="about 0.05")

    @case("the same small shift: seldom seen in 200 rows, always in 20,000", weight=2)
    def grows(self, answer: Answer, rng: np.random.Generator) -> None:
        reference, population = rng.normal(0, 1, 20_000), rng.normal(0.06, 1, 100_000)
        found = {}
        for rows, windows in ((200, 60), (20_000, 15)):
            result = answer.call("share_of_alarms", reference, population, rows, windows, int(rng.integers(1_000)))
            found[rows] = number(result, "the share of the windows with an alarm")
        told = (
            "The mean moved by 0.06 standard deviations, in both the same. The test sees it in few windows of 200 rows "
            "and in nearly all of 20,000. Are `rows` values drawn for each window, and compared with all of the "
            "reference?"
        )
        seen = found[200] < 0.35 and found[20_000] > 0.75
        expect(seen, told, result, got=f"200 rows: {found[200]:.2f}, 20,000 rows: {found[20_000]:.2f}")

    def _effect(self, answer: Answer, reference: Numbers, current: Numbers) -> tuple[float, Result]:
        result = answer.call("effect", reference, current)
        return number(result, "how far the distribution has moved"), result

    @case("effect: the same for 2,000 rows and for 50,000", weight=2)
    def same(self, answer: Answer, rng: np.random.Generator) -> None:
        found = {}
        for rows in (2_000, 50_000):
            found[rows], result = self._effect(answer, rng.normal(0, 1, rows), rng.normal(0.5, 1, rows))
        few, many = found[2_000], found[50_000]
        told = (
            "The two distributions are as far apart as before; there are 25 times as many rows, and the effect is "
            f"{show(many)} instead of {show(few)}. What grows or shrinks with the rows says how sure, not how far."
        )
        close = few > 0 and many > 0 and 0.65 < many / few < 1.5
        expect(close, told, result, got=f"{few:.4g}, then {many:.4g}", expected="about the same twice")

    @case("effect: larger for a larger shift, up or down; hardly anything where nothing moved", weight=2)
    def order(self, answer: Answer, rng: np.random.Generator) -> None:
        reference = rng.normal(0, 1, 30_000)
        found = [self._effect(answer, reference, rng.normal(shift, 1, 30_000))[0] for shift in (0, 0.1, 0.5, 1)]
        got = ", ".join(f"{value:.3g}" for value in found)
        tried = "effect of shifts by 0, 0.1, 0.5 and 1 standard deviations"
        told = "A larger shift should give a larger effect."
        expect(found[0] < found[1] < found[2] < found[3], told, tried, got=got, expected="a rising row")
        told = "Where nothing moved the effect is as large as that of a real shift."
        expect(found[0] < 0.2 * found[2], told, tried, got=got, expected="near 0 for no shift")
        down, result = self._effect(answer, reference, rng.normal(-0.5, 1, 30_000))
        told = "A shift down is as far as a shift up, and an alarm on `effect > limit` must see it."
        expect(0.5 < down / found[2] < 2, told, result, expected=f"about {found[2]:.3g}")

    @case("effect: another unit, the same distance")
    def unit(self, answer: Answer, rng: np.random.Generator) -> None:
        reference, current = rng.normal(60, 15, 8_000), rng.normal(70, 15, 8_000)
        one, _ = self._effect(answer, reference, current)
        two, result = self._effect(answer, (reference - 32) / 1.8, (current - 32) / 1.8)
        told = (
            "The same temperatures in degrees Celsius, in both samples, give another effect. A limit for it would have "
            "to know the unit; divide by the spread of the reference, or compare ranks or shares."
        )
        expect(
            abs(one - two) < 0.03 * abs(one), told, result, got=f"{one:.4g}, then {two:.4g}", expected="the same twice"
        )

    @case("effect: twice the spread around the same mean is a change")
    def spread(self, answer: Answer, rng: np.random.Generator) -> None:
        reference = rng.normal(0, 1, 30_000)
        shifted, _ = self._effect(answer, reference, rng.normal(0.5, 1, 30_000))
        wide, result = self._effect(answer, reference, rng.normal(0, 2, 30_000))
        told = (
            "The values are spread twice as wide around the same mean, and the effect is next to nothing. Two "
            "distributions can have one mean: compare more of them than that."
        )
        expect(wide > 0.3 * shifted, told, result, expected=f"of the order of {shifted:.3g}")
