"""The buckets into which monitoring counts each feature and the prediction.

They are learned once from the reference, so that every later day is counted in the same ones and
days can be added up. A number gets bins that held the same number of flights each in the reference,
one for values far below and one for values far above whatever it had, and one for missing. A
category gets a bucket for each known value, one for unknown and one for missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from flight_delays.features import FEATURES, NAMES, UNKNOWN, Vocabulary

PREDICTION = "prediction"
CHECKED = (*NAMES, PREDICTION)
"""What is counted: the features in their order, then the prediction."""

BINS = 20
FEW = 4  # with fewer bins than this a value that dominates has swallowed the others
MARGIN = 0.25  # of the range of the reference: farther out is far outside
MOST_VALUES = 4_096  # a number with more distinct values has no list of known ones

Counts = dict[str, NDArray[np.int64]]
"""Feature name, or `prediction`, to counts of shape (buckets,) or (days, buckets)."""


@dataclass(frozen=True)
class Scale:
    """The buckets of one feature.

    Attributes:
        edges: of a number: `low`, the inner edges, `high`. A value belongs to the bin whose upper
            edge it does not exceed. Empty for a category.
        values: of a number: the distinct values that the reference had, ascending; empty if they
            were more than `MOST_VALUES`.
        names: of a category: its known values in the order of their codes.
    """

    name: str
    kind: Literal["category", "number"]
    edges: NDArray[np.float32]
    values: NDArray[np.float32]
    names: tuple[str, ...] = ()

    @property
    def buckets(self) -> int:
        """How many there are."""
        return len(self.names) + 2 if self.kind == "category" else len(self.edges) + 2

    @property
    def missing(self) -> int:
        """The bucket of missing values: the last one."""
        return self.buckets - 1

    @property
    def strange(self) -> tuple[int, ...]:
        """The buckets of an unknown category, or of numbers far outside the reference."""
        return (self.buckets - 2,) if self.kind == "category" else (0, self.buckets - 2)

    @property
    def positions(self) -> NDArray[np.float64]:
        """Where the values of each bin of a number lie, without missing: shape (buckets - 1,)."""
        edges = self.edges.astype(float)
        return np.concatenate([edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]])

    def labels(self) -> list[str]:
        """What each bucket holds, in words."""
        if self.kind == "category":
            return [*self.names, "unknown", "missing"]
        edges = [f"{edge:g}" for edge in self.edges]
        inner = [f"{low} to {high}" for low, high in pairwise(edges)]
        return [f"up to {edges[0]}", *inner, f"above {edges[-1]}", "missing"]

    def place(self, column: NDArray[np.float32]) -> NDArray[np.intp]:
        """The bucket of each value, shape (rows,)."""
        missing = np.isnan(column)
        if self.kind == "category":
            known = (column >= 0) & (column < len(self.names))
            bucket = np.where(known, column, len(self.names))
            bucket[missing] = self.missing
            return bucket.astype(np.intp)
        bucket = np.searchsorted(self.edges, column, "left")
        bucket[missing] = self.missing
        return bucket

    def find(self, column: NDArray[np.float32]) -> NDArray[np.intp]:
        """The position of each value among `values`; their number for one that is new or missing.

        Empty if there is no list of values.
        """
        size = len(self.values)
        if not size:
            return np.empty(0, np.intp)
        at = np.searchsorted(self.values, column, "left")
        new = self.values[np.minimum(at, size - 1)] != column  # also where NaN
        at[new] = size
        return at

    def within(self, column: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which values lie between the smallest and the largest one of the reference."""
        return (column >= self.values[0]) & (column <= self.values[-1])

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` takes."""
        return {
            "name": self.name,
            "kind": self.kind,
            "edges": self.edges.tolist(),
            "values": self.values.tolist(),
            "names": list(self.names),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Scale:
        """Read what `to_json` returned."""
        return cls(
            content["name"],
            content["kind"],
            np.array(content["edges"], np.float32),
            np.array(content["values"], np.float32),
            tuple(content["names"]),
        )


@dataclass(frozen=True)
class Bins:
    """The buckets of all features and of the prediction, in the order of `CHECKED`."""

    scales: tuple[Scale, ...]

    @classmethod
    def learn(
        cls, matrix: NDArray[np.float32], probabilities: ArrayLike, vocabulary: Vocabulary
    ) -> Bins:
        """Learn the buckets from the flights of the reference.

        Args:
            matrix: shape (rows, features), from `features.encode` with this vocabulary.
            probabilities: shape (rows,).

        Raises:
            ValueError: there are no rows, or a number that is missing in all of them.
        """
        if not len(matrix):
            raise ValueError("matrix: expected flights to learn the bins from, found none")
        nothing = np.empty(0, np.float32)
        scales = []
        for feature, column in zip(FEATURES, matrix.T, strict=True):
            if feature.kind == "category":
                codes = vocabulary[feature.name]
                names = tuple(sorted(codes, key=codes.__getitem__))
                scales.append(Scale(feature.name, "category", nothing, nothing, names))
            else:
                scales.append(_number(feature.name, column))
        scales.append(_number(PREDICTION, np.asarray(probabilities, np.float32)))
        return cls(tuple(scales))

    def __getitem__(self, name: str) -> Scale:
        return self.scales[CHECKED.index(name)]

    @property
    def vocabulary(self) -> dict[str, dict[str, int]]:
        """Category feature to its known values, each with its code."""
        return {
            scale.name: {name: code for code, name in enumerate(scale.names)}
            for scale in self.scales
            if scale.kind == "category"
        }

    def count(self, matrix: NDArray[np.float32], probabilities: NDArray[np.float32]) -> Counts:
        """Count flights: feature name, or `prediction`, to shape (buckets,)."""
        columns = [*matrix.T, np.asarray(probabilities, np.float32)]
        return {
            scale.name: np.bincount(scale.place(column), minlength=scale.buckets)
            for scale, column in zip(self.scales, columns, strict=True)
        }

    def recode(self, matrix: NDArray[np.float32], vocabulary: Vocabulary) -> NDArray[np.float32]:
        """Turn the codes of another version's vocabulary into those of these bins.

        A value that the other version knew and the reference does not becomes `UNKNOWN`. The
        matrix itself is returned where nothing differs.
        """
        own = self.vocabulary
        result = matrix
        for name, codes in own.items():
            theirs = vocabulary[name]
            if dict(theirs) == codes:
                continue
            result = matrix.copy() if result is matrix else result
            table = np.full(max(theirs.values(), default=-1) + 2, UNKNOWN, np.float32)
            for value, code in theirs.items():
                table[code] = codes.get(value, UNKNOWN)
            column = matrix[:, NAMES.index(name)]
            known = (column >= 0) & (column < len(table) - 1)
            at = np.where(known, column, len(table) - 1).astype(np.intp)
            result[:, NAMES.index(name)] = np.where(np.isnan(column), column, table[at])
        return result

    def to_json(self) -> list[dict[str, Any]]:
        """Return what `json.dumps` takes."""
        return [scale.to_json() for scale in self.scales]

    @classmethod
    def from_json(cls, content: list[Mapping[str, Any]]) -> Bins:
        """Read what `to_json` returned.

        Raises:
            ValueError: it is of a release with other features.
        """
        scales = tuple(Scale.from_json(one) for one in content)
        if (found := tuple(scale.name for scale in scales)) != CHECKED:
            raise ValueError(f"bins: expected {', '.join(CHECKED)}, found {', '.join(found)}")
        return cls(scales)


def far_outside(low: float, high: float) -> tuple[float, float]:
    """The bounds below and above which a value is far outside of what went from `low` to `high`."""
    margin = MARGIN * (high - low) or max(MARGIN * abs(high), MARGIN)
    return low - margin, high + margin


def _number(name: str, column: NDArray[np.float32]) -> Scale:
    column = column[~np.isnan(column)]
    if not len(column):
        raise ValueError(f"{name}: expected a value in the reference, found only missing ones")
    values, counts = np.unique(column, return_counts=True)
    low, high = float(values[0]), float(values[-1])
    inner = _quantiles(column, BINS)
    if len(inner) < FEW:  # one value dominates, as no rain does: look at the others, too
        inner = np.union1d(inner, _quantiles(column[column != values[counts.argmax()]], FEW))
    inner = inner[inner < values[-1]]
    lowest, highest = far_outside(low, high)
    edges = np.concatenate([[lowest], inner, [highest]]).astype(np.float32)
    many = len(values) > MOST_VALUES or name == PREDICTION
    return Scale(name, "number", edges, values[:0] if many else values)


def _quantiles(column: NDArray[np.float32], bins: int) -> NDArray[np.float32]:
    if not len(column):
        return column
    return np.unique(np.quantile(column, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
