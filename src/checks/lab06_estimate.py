"""Lab 06, exercise 5: performance estimated without labels, and the month it cannot see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import log_loss, roc_auc_score

from checks.lab06_common import is_number
from labkit.answer import Answer
from labkit.exercise import Exercise, case, expect
from labkit.values import show

Numbers = NDArray[np.float64]
KEYS = ("late_share", "log_loss", "roc_auc")
MONTHS, ROWS = 8, 1_200


def expected_loss(probability: Numbers) -> Numbers:
    """What each flight's log loss will be in the mean, if the probabilities are right."""
    p = np.clip(probability, 1e-15, 1 - 1e-15)
    return -(p * np.log(p) + (1 - p) * np.log(1 - p))


def estimate(probability: Numbers) -> dict[str, float]:
    """What a right answer gives."""
    p = np.asarray(probability, dtype=float)
    # How many punctual flights each late one is ahead of, weighted: half of those with the same probability.
    order = np.argsort(p, kind="stable")
    value, first, counts = np.unique(p[order], return_index=True, return_counts=True)
    punctual = np.add.reduceat(1 - p[order], first)
    ahead = np.cumsum(punctual) - punctual / 2
    late = value * counts
    auc = float((late * ahead).sum() / (p.sum() * (1 - p).sum()))
    return {"late_share": float(p.mean()), "log_loss": float(expected_loss(p).mean()), "roc_auc": auc}


@dataclass
class Year:
    """Months of a service whose model is calibrated, until a case changes something."""

    month: NDArray[np.int64]
    probability: Numbers
    late: Numbers

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Year:
        month = np.repeat(np.arange(1, MONTHS + 1), ROWS)
        probability = rng.beta(1.6, 4.5, len(month)).round(4).clip(0.01, 0.99)
        return cls(month, probability, (rng.random(len(month)) < probability).astype(float))

    def rows(self, month: int) -> NDArray[np.int64]:
        return np.flatnonzero(self.month == month)

    def happens(self, rng: np.random.Generator, month: int, chance: Numbers) -> None:
        """In this month flights are late with these chances, shape (ROWS,)."""
        self.late[self.rows(month)] = rng.random(ROWS) < chance

    def lose(self, rng: np.random.Generator, share: float) -> None:
        self.late[rng.random(len(self.late)) < share] = np.nan


class Estimate(Exercise):
    id = "estimate"
    title = "Performance before the labels come"
    names = ("estimated", "unseen_months")
    points = 3.0
    hints = (
        "If a probability of 0.3 is right, the flight is late 3 times in 10, and its log loss is `-log(0.3)` then and "
        "`-log(0.7)` otherwise. Its expected loss is the mean of the two with those weights; then the mean over "
        "flights.",
        "ROC AUC is the share of pairs of a late and a punctual flight in which the late one has the larger "
        "probability. Each pair (i, j) counts with `p[i] * (1 - p[j])`. `np.subtract.outer(p, p)` compares all pairs; "
        "or give every flight to `roc_auc_score` twice, as late with the weight p and as punctual with 1 - p.",
        "`unseen_months`: take the flights with a label only. Each one's loss less its expected loss is 0 in the mean "
        "if nothing has changed. The mean of a month is worse than chance explains if it is over 4 times "
        "`std / sqrt(flights)`, say.",
    )

    def _ask(self, answer: Answer, probability: Numbers, name: str) -> tuple[float, str]:
        result = answer.call("estimated", probability)
        found = result.value
        form = "Give a dict with the three keys, each with a number."
        fits = isinstance(found, dict) and set(found) == set(KEYS)
        expect(fits, form, result, expected=", ".join(KEYS))
        told = f"`{name}` is no finite number. 0 times the logarithm of 0 counts as 0."
        expect(is_number(found[name]), told, result, got=f"{name}: {show(found[name])}", expected="a finite number")
        return float(found[name]), result.tried

    @case("late_share and log_loss, as they come in the mean")
    def losses(self, answer: Answer, rng: np.random.Generator) -> None:
        for a, b in ((1.6, 4.5), (0.6, 0.6)):
            p = rng.beta(a, b, 800).round(4).clip(0.01, 0.99)
            right = estimate(p)
            told = {
                "late_share": "The share of late flights that right probabilities let one expect is another.",
                "log_loss": "The log loss that right probabilities let one expect is another. Nobody knows yet who is "
                "late: weigh both possibilities with their probabilities.",
            }
            for name, message in told.items():
                found, tried = self._ask(answer, p, name)
                close = abs(found - right[name]) < 0.003
                if name == "log_loss" and abs(found - float(log_loss(p >= 0.5, p))) < 0.003:
                    message = (
                        "This is the loss if every flight above 0.5 were late and no other. Of the flights with 0.3 "
                        "three in ten are late: weigh both possibilities with their probabilities."
                    )
                got = f"{name}: {found:.4f}"
                expect(close, message, tried, got=got, expected=f"{name}: about {right[name]:.4f}")

    @case("roc_auc, as it comes in the mean")
    def auc(self, answer: Answer, rng: np.random.Generator) -> None:
        for digits in (4, 1):
            p = rng.beta(1.6, 4.5, 700).round(digits).clip(0.01, 0.99)
            found, tried = self._ask(answer, p, "roc_auc")
            drawn = [roc_auc_score(rng.random(len(p)) < p, p) for _ in range(60)]
            told = (
                "Lateness was drawn 60 times from these very probabilities, and the ROC AUC measured each time. The "
                "mean is another."
            )
            if abs(found - float(roc_auc_score(rankdata(p) > len(p) / 2, p))) < 0.02 or found > 0.99:
                told += " Is the upper half taken as late? Then every model is perfect."
            elif digits == 1:
                told += " Many of these flights share a probability: such a pair counts half."
            right = estimate(p)["roc_auc"]
            got = f"roc_auc: {found:.4f}"
            expect(abs(found - right) < 0.006, told, tried, got=got, expected=f"about {np.mean(drawn):.3f}")

    @case("a certain flight is no trouble")
    def certain(self, answer: Answer, rng: np.random.Generator) -> None:
        p = np.append(rng.beta(1.6, 4.5, 200), [0.0, 1.0, 0.0])
        found, tried = self._ask(answer, p, "log_loss")
        told = "Two probabilities are 0 and one is 1. Such a flight costs nothing if its probability is right."
        expect(abs(found - estimate(p)["log_loss"]) < 0.003, told, tried, got=f"log_loss: {found:.4f}")

    def _months(self, answer: Answer, year: Year, right: list[int], told: str) -> None:
        result = answer.call("unseen_months", year.month, year.probability, year.late)
        found = result.value
        found = found.tolist() if isinstance(found, np.ndarray) else found
        form = "Give a list of the numbers of months, an empty one where there is none."
        fits = isinstance(found, list | tuple) and all(is_number(one) and one == int(one) for one in found)
        expect(fits, form, result, expected="a list such as [3, 5]")
        expect(sorted(map(int, found)) == right, told, result, expected=show(right))

    @case("unseen_months: none in years in which nothing changed", weight=2)
    def quiet(self, answer: Answer, rng: np.random.Generator) -> None:
        for _ in range(4):
            year = Year.draw(rng)
            year.lose(rng, 0.1)
            told = (
                "Nothing changed here: lateness was drawn from the very probabilities, and some labels never came. A "
                "realized loss differs from its estimate by chance; ask for more than chance explains."
            )
            self._months(answer, year, [], told)
        year = Year.draw(rng)
        month = int(rng.integers(1, MONTHS + 1))
        rows = year.rows(month)
        year.late[rows] = np.nan
        likely = rows[year.probability[rows] < 0.3][:7]
        year.late[likely] = [1, 1, 1, 0, 0, 0, 0]
        told = f"Of month {month} seven labels are there. That is too few to say anything, however they look."
        self._months(answer, year, [], told)

    @case("unseen_months: not a month that the estimate sees by itself, nor one that is better than it")
    def seen(self, answer: Answer, rng: np.random.Generator) -> None:
        year = Year.draw(rng)
        month = int(rng.integers(1, MONTHS + 1))
        rows = year.rows(month)
        year.probability[rows] = rng.uniform(0.4, 0.6, ROWS)
        year.happens(rng, month, year.probability[rows])
        told = (
            f"In month {month} the model can hardly tell the flights apart, and says so: its probabilities lie near "
            "0.5. The loss is large, and the estimate is as large. That is no month that it cannot see."
        )
        self._months(answer, year, [], told)
        year = Year.draw(rng)
        month = int(rng.integers(1, MONTHS + 1))
        year.happens(rng, month, 0.4 * year.probability[year.rows(month)])
        told = (
            f"In month {month} the flights were late less often than predicted, and the realized loss is lower than "
            "its estimate. Asked for are the months in which it is higher."
        )
        self._months(answer, year, [], told)

    @case("unseen_months: labels that are missing for some kinds of flights do not look like a change")
    def biased(self, answer: Answer, rng: np.random.Generator) -> None:
        year = Year.draw(rng)
        month = int(rng.integers(1, MONTHS + 1))
        rows = year.rows(month)
        year.late[rows[year.probability[rows] < 0.25]] = np.nan
        told = (
            f"In month {month} only the flights with large probabilities have labels, and those are as late as they "
            "should be. Compare like with like: the estimate for the same flights as the realized loss."
        )
        self._months(answer, year, [], told)

    @case("unseen_months: those in which the world has changed", weight=2)
    def changed(self, answer: Answer, rng: np.random.Generator) -> None:
        for missing in (0.1, 0.5):
            year = Year.draw(rng)
            more, turned = sorted(rng.permutation(np.arange(1, MONTHS + 1))[:2].tolist())
            year.happens(rng, more, (year.probability[year.rows(more)] + 0.2).clip(0, 1))
            year.happens(rng, turned, rng.permutation(year.probability[year.rows(turned)]))
            year.lose(rng, missing)
            told = (
                f"{missing:.0%} of the labels never came, of all kinds alike. In month {more} more flights were late "
                f"than the probabilities say. In month {turned} as many as they say, but others: the share of late "
                "flights is as expected, and the loss is not."
            )
            self._months(answer, year, sorted([more, turned]), told)
