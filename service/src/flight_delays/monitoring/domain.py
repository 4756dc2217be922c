"""All features together: can a classifier tell the flights of the window from the reference's?

Each feature may be spread as before while they no longer go together as before. A classifier that
is asked where a flight is from finds that, too (Lopez-Paz and Oquab 2017, Revisiting classifier
two-sample tests). An AUC of 0.5 says that it cannot tell; 1 that it always can.

It is judged on days it was not trained on. Judged on other flights of the same days it would know
them by their weather, and 0.9 would mean nothing: that is one false alarm a month for ever. Even
so, some other weeks of the reference look like a place of their own, so the limit comes from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from flight_delays.monitoring.reference import Reference
from flight_delays.monitoring.summary import Days
from flight_delays.monitoring.thresholds import EULER
from flight_delays.pipeline.findings import Finding, Findings

GROUP = "all together"
FOLDS = 4
MOST_ROWS = 3_000  # of each of the two
WINDOW_DAYS = 28
FEWEST_DAYS = 2 * FOLDS
BETWEEN_FALSE_ALARMS = 13  # windows of four weeks: once a year


@dataclass(frozen=True)
class Domain:
    """How well the window can be told from the reference.

    Attributes:
        auc: on days that the classifier has not seen, 0.5 to 1; NaN if there are too few days.
        limit: what windows of the reference reach once a year.
    """

    auc: float
    limit: float

    def finding(self) -> Findings:
        """One finding in the group `all together`; none if there are too few days."""
        if np.isnan(self.auc):
            return Findings()
        passed = self.auc <= self.limit
        reason = (
            "A classifier tells the window from the reference better than it tells four weeks of "
            "the reference from the others. If no feature failed, look how they go together."
        )
        return Findings(
            [
                Finding(
                    "domain classifier", passed, f"AUC {self.auc:.3f}", f"AUC {self.limit:.3f}",
                    "" if passed else reason, GROUP,
                )
            ]
        )  # fmt: skip


def domain(
    reference: Reference, day: Days, matrix: NDArray[np.float32], *, seed: int = 0
) -> Domain:
    """Tell a window from the sample of the reference.

    Args:
        day: one entry a flight of the window.
        matrix: shape (rows, features), with the codes of the reference's bins.
    """
    sample = reference.sample
    found = domain_auc(sample.day, sample.matrix, day, matrix, seed=seed)
    return Domain(found, domain_limit(reference, seed=seed))


def domain_auc(
    reference_day: Days,
    reference_matrix: NDArray[np.float32],
    day: Days,
    matrix: NDArray[np.float32],
    *,
    seed: int = 0,
) -> float:
    """The AUC of a classifier of flights of a window and of the reference, cross-validated by days.

    Returns:
        0.5 to 1; NaN if one of the two has fewer than `FEWEST_DAYS` days.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.metrics import roc_auc_score

    rng = np.random.default_rng(seed)
    days, matrices = [], []
    for one_day, one_matrix in ((reference_day, reference_matrix), (day, matrix)):
        if len(np.unique(one_day)) < FEWEST_DAYS:
            return float("nan")
        drawn = rng.permutation(len(one_day))[:MOST_ROWS]
        days.append(one_day[drawn].astype("datetime64[D]"))
        matrices.append(one_matrix[drawn])
    where = np.repeat([0, 1], [len(one) for one in days])
    together = np.concatenate(matrices)
    scores = np.empty(len(where))
    for held_out in _folds(days, rng):
        model = HistGradientBoostingClassifier(max_iter=30, max_leaf_nodes=8, random_state=0)
        model.fit(together[~held_out], where[~held_out])
        scores[held_out] = model.predict_proba(together[held_out])[:, 1]
    return max(float(roc_auc_score(where, scores)), 0.5)


def domain_limit(reference: Reference, *, seed: int = 0) -> float:
    """The AUC that four weeks of the reference against the others reach once a year.

    Gumbel's distribution, fitted to the windows of the reference that do not overlap, extrapolates
    to the largest of a year's thirteen; never above 0.995.
    """
    sample = reference.sample
    every = np.unique(sample.day)
    found = []
    for start in range(0, len(every) - WINDOW_DAYS + 1, WINDOW_DAYS):
        inside = np.isin(sample.day, every[start : start + WINDOW_DAYS])
        auc = domain_auc(
            sample.day[~inside], sample.matrix[~inside],
            sample.day[inside], sample.matrix[inside], seed=seed,
        )  # fmt: skip
        found.append(auc)
    values = np.array(found)
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan")
    scale = values.std() * np.sqrt(6) / np.pi
    location = values.mean() - EULER * scale
    once = location - scale * np.log(-np.log1p(-1 / BETWEEN_FALSE_ALARMS))
    return float(np.clip(max(once, values.max()), 0.5, 0.995))


def _folds(days: list[Days], rng: np.random.Generator) -> Iterator[NDArray[np.bool_]]:
    """Rows held out, by whole days of each of the two."""
    folds = []
    for own in days:
        values, of_row = np.unique(own, return_inverse=True)
        folds.append((rng.permutation(len(values)) % FOLDS)[of_row])
    fold = np.concatenate(folds)
    for number in range(FOLDS):
        yield fold == number
