"""How far two distributions are apart: four measures, and what each makes of the sample's size.

A test asks whether two samples can come from one distribution. With enough rows it says no to any
difference, however small: its p-value shrinks with n, and a million rows drift every day. A
distance asks how far apart they are, and settles at a value as n grows. Below that, noise keeps a
distance above zero: the PSI of two samples of one distribution is (bins - 1) * (1/n + 1/m) in the
mean, so a small window looks as if it had drifted. Neither tells which value is too much:
thresholds.py learns that from windows of the reference.

Functions that read counts take shape (..., bins), counts or shares, and return shape (...), so that
many windows are judged at once.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

SMALL = 1e-4
"""The share an empty bin counts as, so that PSI stays finite; one in 10,000."""

Values = NDArray[np.float64]


def psi(expected: ArrayLike, found: ArrayLike) -> Values | float:
    """The population stability index, sum of (f - e) * ln(f / e) over the shares of the bins.

    It is the symmetrized Kullback-Leibler divergence (Jeffreys 1946). The rule of 0.1 and 0.25
    comes from credit scoring (Siddiqi 2006, Credit Risk Scorecards) and knows neither the number
    of bins nor the size of the window: see Yurdakul and Naranjo 2020, Statistical properties of the
    population stability index. 0 for equal shares, without an upper bound.
    """
    e, f = np.maximum(shares(expected), SMALL), np.maximum(shares(found), SMALL)
    return _plain(((f - e) * np.log(f / e)).sum(axis=-1))


def jensen_shannon(expected: ArrayLike, found: ArrayLike) -> Values | float:
    """The Jensen-Shannon distance, base 2: from 0 for equal shares to 1 for no bin in common.

    The square root of the divergence, which is a metric (Endres and Schindelin 2003). Empty bins
    need no care. With noise alone it falls like 1 / sqrt(n).
    """
    e, f = np.broadcast_arrays(shares(expected), shares(found))
    middle = (e + f) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        first = np.where(e > 0, e * np.log2(e / middle), 0.0).sum(axis=-1)
        second = np.where(f > 0, f * np.log2(f / middle), 0.0).sum(axis=-1)
    return _plain(np.sqrt(np.maximum(first + second, 0) / 2))


def ks(reference: ArrayLike, current: ArrayLike) -> tuple[float, float]:
    """The two-sample Kolmogorov-Smirnov statistic and its p-value.

    The statistic, the largest gap between the two cumulative shares, does not grow with n; the
    p-value falls to zero for any gap that is really there. It also takes each row for a draw of its
    own, and flights of one hour share their weather. NaN is left out.

    Returns:
        statistic: 0 to 1.
        p_value: from the limit distribution (Stephens 1970), good from about 10 rows each.

    Raises:
        ValueError: one of the two has no value.
    """
    first, second = _sorted(reference, "reference"), _sorted(current, "current")
    every = np.concatenate([first, second])
    below_first = np.searchsorted(first, every, "right") / len(first)
    below_second = np.searchsorted(second, every, "right") / len(second)
    statistic = float(np.abs(below_first - below_second).max())
    return statistic, _ks_p_value(statistic, len(first), len(second))


def ks_counts(expected: ArrayLike, found: ArrayLike) -> Values | float:
    """The Kolmogorov-Smirnov statistic of ordered bins; never more than that of the values."""
    gap = np.cumsum(shares(expected), axis=-1) - np.cumsum(shares(found), axis=-1)
    return _plain(np.abs(gap).max(axis=-1))


def wasserstein(reference: ArrayLike, current: ArrayLike) -> float:
    """The Wasserstein-1 distance, in standard deviations of the reference.

    How far a value has to be moved on average to make one distribution of the other: the area
    between the two cumulative shares. It sees how far, where PSI and Jensen-Shannon see only how
    many. With noise alone it falls like 1 / sqrt(n). NaN is left out. A reference without any
    spread gives infinity for a current that differs.

    Raises:
        ValueError: one of the two has no value.
    """
    first, second = _sorted(reference, "reference"), _sorted(current, "current")
    every = np.sort(np.concatenate([first, second]))
    below_first = np.searchsorted(first, every[:-1], "right") / len(first)
    below_second = np.searchsorted(second, every[:-1], "right") / len(second)
    moved = float((np.abs(below_first - below_second) * np.diff(every)).sum())
    return moved / spread if (spread := float(first.std())) else (np.inf if moved else 0.0)


def wasserstein_counts(
    expected: ArrayLike, found: ArrayLike, positions: ArrayLike
) -> Values | float:
    """The Wasserstein-1 distance of bins, in standard deviations of the expected bins.

    Args:
        positions: shape (bins,), where the values of each bin lie, ascending.
    """
    e, at = shares(expected), np.asarray(positions, float)
    gap = np.cumsum(e, axis=-1) - np.cumsum(shares(found), axis=-1)
    moved = (np.abs(gap[..., :-1]) * np.diff(at)).sum(axis=-1)
    mean = (e * at).sum(axis=-1, keepdims=True)
    spread = np.sqrt((e * (at - mean) ** 2).sum(axis=-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        return _plain(np.where(moved == 0, 0.0, moved / spread))


def shares(counts: ArrayLike) -> Values:
    """Divide by the sum over the bins; where there is nothing, every bin has the same share."""
    counts = np.asarray(counts, float)
    total = counts.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(total > 0, counts / total, 1 / max(counts.shape[-1], 1))


def _sorted(values: ArrayLike, name: str) -> Values:
    values = np.asarray(values, float).ravel()
    values = np.sort(values[~np.isnan(values)])
    if not len(values):
        raise ValueError(f"{name}: expected at least one value that is not missing, found none")
    return values


def _ks_p_value(statistic: float, first: int, second: int) -> float:
    root = np.sqrt(first * second / (first + second))
    scaled = (root + 0.12 + 0.11 / root) * statistic
    if scaled < 0.2:  # the series converges slowly there, and the value is 1 to twelve digits
        return 1.0
    terms = np.arange(1, 101)
    series = 2 * ((-1.0) ** (terms - 1) * np.exp(-2 * (terms * scaled) ** 2)).sum()
    return float(np.clip(series, 0, 1))


def _plain(values: Values) -> Values | float:
    return float(values) if np.ndim(values) == 0 else values
