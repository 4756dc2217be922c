"""What the prediction log holds, a day a line: counts that can be added up, never the rows.

Ten million logged predictions become a few hundred numbers a day. Drift, quality and the thresholds
are all made of these, and so is every longer period: the counts of a week are the sum of its days.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flight_delays.features import NAMES
from flight_delays.monitoring.bins import Bins, Counts
from flight_delays.monitoring.clock import TimeOf, as_day, bounds, by_clock, day_of
from flight_delays.monitoring.scan import scan
from flight_delays.prediction_log import LogChunk, read_vocabularies

__all__ = ["Bins", "Summariser", "Summary", "summarise", "summary_of"]

Days = NDArray[np.datetime64]
"""Shape (days,), datetime64[D], ascending."""

UNTOLD = -1
NEW_SLOTS = 61
"""New values are told apart by their bits modulo this, a prime: few enough to keep, and a reading
that stands still has one slot whatever its value."""
FEW_READINGS = 50  # at an airport on a day
OPEN_DAYS = 3  # so many of the newest days are kept open for rows that repeat each other


@dataclass(frozen=True)
class Summary:
    """Counts of flights by day.

    Attributes:
        days: those that have flights, ascending, datetime64[D].
        rows: flights a day, shape (days,).
        counts: feature name, or `prediction`, to shape (days, buckets), int64.
        new: number feature to how many of its values the reference never had, though they lie
            within its range, shape (days,).
        distinct: number feature to how many different values it took at the airport where it took
            fewest, shape (days,). Airports with few readings on a day are left out, and with none
            left it is `UNTOLD`. The one figure here that does not add up: two summaries of parts
            of one day give the larger.
        impossible: flights with a dew point above the temperature, shape (days,).
        repeated: flights whose features are those of an earlier flight of the day, shape (days,).
    """

    days: Days
    rows: NDArray[np.int64]
    counts: Counts
    new: Counts
    distinct: Counts
    impossible: NDArray[np.int64]
    repeated: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.days)

    def between(self, first: date | None, last: date | None) -> Summary:
        """The days from one to another, both included; None for no bound."""
        keep = np.ones(len(self), bool)
        if first is not None:
            keep &= self.days >= as_day(first)
        if last is not None:
            keep &= self.days <= as_day(last)
        return self.take(np.flatnonzero(keep))

    def take(self, positions: NDArray[np.intp]) -> Summary:
        """Some of the days, by position."""
        return Summary(
            self.days[positions],
            self.rows[positions],
            _each(self.counts, positions),
            _each(self.new, positions),
            _each(self.distinct, positions),
            self.impossible[positions],
            self.repeated[positions],
        )

    def total(self) -> Counts:
        """The counts of all days together, shape (buckets,)."""
        return {name: counts.sum(axis=0) for name, counts in self.counts.items()}

    @classmethod
    def joined(cls, parts: Sequence[Summary]) -> Summary:
        """Summaries one after the other, whose days are later from part to part; at least one."""

        def each(of: str) -> Counts:
            first = getattr(parts[0], of)
            return {n: np.concatenate([getattr(part, of)[n] for part in parts]) for n in first}

        def whole(of: str) -> NDArray[Any]:
            return np.concatenate([getattr(part, of) for part in parts])

        return cls(
            whole("days"), whole("rows"), each("counts"), each("new"), each("distinct"),
            whole("impossible"), whole("repeated"),
        )  # fmt: skip

    def __add__(self, other: Summary) -> Summary:
        """Both together; a day that is in both is added up."""
        days = np.union1d(self.days, other.days)
        at = [np.searchsorted(days, one.days) for one in (self, other)]

        def both(of: str, name: str | None = None) -> NDArray[np.int64]:
            parts = [getattr(one, of) for one in (self, other)]
            first, second = parts if name is None else [part[name] for part in parts]
            empty = UNTOLD if of == "distinct" else 0
            result = np.full((len(days), *first.shape[1:]), empty, np.int64)
            result[at[0]] = first
            if of == "distinct":
                result[at[1]] = np.maximum(result[at[1]], second)
            else:
                result[at[1]] += second
            return result

        return Summary(
            days,
            both("rows"),
            {name: both("counts", name) for name in self.counts},
            {name: both("new", name) for name in self.new},
            {name: both("distinct", name) for name in self.distinct},
            both("impossible"),
            both("repeated"),
        )

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` takes."""
        return {
            "days": [str(day) for day in self.days],
            "rows": self.rows.tolist(),
            "counts": {name: counts.tolist() for name, counts in self.counts.items()},
            "new": {name: counts.tolist() for name, counts in self.new.items()},
            "distinct": {name: counts.tolist() for name, counts in self.distinct.items()},
            "impossible": self.impossible.tolist(),
            "repeated": self.repeated.tolist(),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], bins: Bins) -> Summary:
        """Read what `to_json` returned.

        Raises:
            ValueError: the counts do not fit the bins.
        """
        days = np.array(content["days"], "datetime64[D]")

        def read(name: str, *width: int) -> NDArray[np.int64]:
            of, _, key = name.partition(" ")
            values = content[of][key] if key else content[of]
            array = np.array(values, np.int64).reshape(-1, *width) if width else np.array(values)
            if array.shape != (len(days), *width):
                raise ValueError(
                    f"summary: {name}: expected {len(days)} days, found {array.shape[0]}"
                )
            return array.astype(np.int64)

        return cls(
            days,
            read("rows"),
            {scale.name: read(f"counts {scale.name}", scale.buckets) for scale in bins.scales},
            {name: read(f"new {name}") for name in content["new"]},
            {name: read(f"distinct {name}") for name in content["distinct"]},
            read("impossible"),
            read("repeated"),
        )


class Summariser:
    """Makes a summary of flights that come in pieces; what is new in the log costs only itself.

    Attributes:
        last_id: number of the last record read from a log by `read`, 0 before the first.
    """

    def __init__(self, bins: Bins) -> None:
        self.bins = bins
        self.last_id = 0
        self._days: dict[int, int] = {}  # days since 1970 to the position in the arrays below
        self._rows = _Growing()
        self._impossible = _Growing()
        self._repeated = _Growing()
        self._counts = {scale.name: _Growing(scale.buckets) for scale in bins.scales}
        self._listed = [scale for scale in bins.scales if len(scale.values)]
        origins = len(bins["origin"].names)
        self._seen = {
            scale.name: _Growing(origins, len(scale.values) + NEW_SLOTS, dtype=bool)
            for scale in self._listed
        }
        self._read = {scale.name: _Growing(origins) for scale in self._listed}
        self._new = {scale.name: _Growing() for scale in self._listed}
        self._hashes: dict[int, list[NDArray[np.uint64]]] = {}

    def read(
        self,
        path: Path,
        first: date | None = None,
        last: date | None = None,
        time_of: TimeOf = by_clock,
    ) -> int:
        """Read what the log has got since the last call; return how many flights were taken in.

        Raises:
            FileNotFoundError, ValueError: see `scan.scan` and `clock.by_request_id`.
        """
        since, until = bounds(first, last, time_of)
        taken, vocabularies = 0, read_vocabularies(path)
        ids = time_of is not by_clock
        for part in scan(path, self.last_id, since, until, request_ids=ids):
            chunk, days = part.chunk, day_of(time_of(part.chunk))
            keep = ~np.isnat(days)
            if first is not None:
                keep &= days >= as_day(first)
            if last is not None:
                keep &= days <= as_day(last)
            if not vocabularies.keys() >= set(chunk.version):
                vocabularies = read_vocabularies(path)
            matrix = _recoded(chunk, self.bins, vocabularies)
            if keep.all():
                self.add(days, matrix, chunk.probabilities)
            elif keep.any():
                self.add(days[keep], matrix[keep], chunk.probabilities[keep])
            taken += int(keep.sum())
            self.last_id = max(self.last_id, part.last_id)
        return taken

    def add(
        self, days: Days, matrix: NDArray[np.float32], probabilities: NDArray[np.float32]
    ) -> None:
        """Take in flights; `days` has one entry a flight, the codes are those of the bins."""
        if not len(days):
            return
        numbers, of_row = np.unique(days.astype("datetime64[D]").astype(int), return_inverse=True)
        at = np.array([self._days.setdefault(int(n), len(self._days)) for n in numbers])
        for growing in self._all():
            growing.make_room(len(self._days))
        size = len(numbers)
        self._rows.values[at] += np.bincount(of_row, minlength=size)
        impossible = matrix[:, _DEW_POINT] > matrix[:, _TEMPERATURE]
        self._impossible.values[at] += np.bincount(of_row[impossible], minlength=size)
        origin = self.bins["origin"].place(matrix[:, _ORIGIN])
        origins = len(self.bins["origin"].names)
        columns = [*matrix.T, np.asarray(probabilities, np.float32)]
        for scale, column in zip(self.bins.scales, columns, strict=True):
            column = np.ascontiguousarray(column)
            flat = of_row * scale.buckets + scale.place(column)
            counts = np.bincount(flat, minlength=size * scale.buckets)
            self._counts[scale.name].values[at] += counts.reshape(size, -1)
            if len(scale.values):
                found, there = scale.find(column), ~np.isnan(column)
                new = (found == len(scale.values)) & there
                found[new] += column[new].view(np.uint32) % NEW_SLOTS
                new &= scale.within(column)
                self._new[scale.name].values[at] += np.bincount(of_row[new], minlength=size)
                there &= origin < origins
                cell = of_row[there] * origins + origin[there]
                self._seen[scale.name].values[at[of_row[there]], origin[there], found[there]] = True
                readings = np.bincount(cell, minlength=size * origins).reshape(size, origins)
                self._read[scale.name].values[at] += readings
        self._note_repeated(numbers, of_row, _hashes(matrix))

    def summary(self) -> Summary:
        """What was taken in so far."""
        order = np.argsort(np.array([*self._days], int), kind="stable")
        days = np.array([*self._days], int)[order].astype("datetime64[D]")
        size = len(days)
        repeated = self._repeated.values[:size].copy()
        for day, parts in self._hashes.items():
            repeated[self._days[day]] += _repeats(parts)
        distinct = {name: self._fewest(name)[:size][order] for name in self._seen}
        return Summary(
            days,
            self._rows.values[:size][order],
            {name: growing.values[:size][order] for name, growing in self._counts.items()},
            {name: growing.values[:size][order] for name, growing in self._new.items()},
            distinct,
            self._impossible.values[:size][order],
            repeated[order],
        )

    def _all(self) -> Iterable[_Growing]:
        yield from (self._rows, self._impossible, self._repeated)
        for group in (self._counts, self._seen, self._read, self._new):
            yield from group.values()

    def _fewest(self, name: str) -> NDArray[np.int64]:
        """Different values at the airport that has fewest, shape (days,)."""
        values = self._seen[name].values.sum(axis=-1)
        values[self._read[name].values < FEW_READINGS] = _MANY
        fewest = values.min(axis=1)
        return np.where(fewest == _MANY, UNTOLD, fewest)

    def _note_repeated(
        self, numbers: NDArray[np.int64], of_row: NDArray[np.intp], hashes: NDArray[np.uint64]
    ) -> None:
        """Keep the hashes of the newest days; of an older day only the number of repeats is left.

        So memory stays bounded by a few days' rows. Rows that come for a day that was closed are
        compared with each other only.
        """
        for position, number in enumerate(numbers):
            own = hashes if len(numbers) == 1 else hashes[of_row == position]
            self._hashes.setdefault(int(number), []).append(own)
        for number in sorted(self._hashes)[:-OPEN_DAYS]:
            self._repeated.values[self._days[number]] += _repeats(self._hashes.pop(number))


def summarise(
    path: Path,
    bins: Bins,
    first: date | None = None,
    last: date | None = None,
    time_of: TimeOf = by_clock,
) -> Summary:
    """Summarise a prediction log.

    Needs memory for a few days' hashes of rows (8 bytes each) and one chunk, however long the log.

    Args:
        first, last: days to look at, both included; None for no bound.

    Raises:
        FileNotFoundError, ValueError: see `Summariser.read`.
    """
    summariser = Summariser(bins)
    summariser.read(path, first, last, time_of)
    return summariser.summary()


def summary_of(
    days: Days, matrix: NDArray[np.float32], probabilities: NDArray[np.float32], bins: Bins
) -> Summary:
    """Summarise flights at hand; `days` has one entry a flight."""
    summariser = Summariser(bins)
    summariser.add(np.asarray(days).astype("datetime64[D]"), matrix, probabilities)
    return summariser.summary()


class _Growing:
    """Zeros of shape (days, width) or (days,), made longer when more days come."""

    def __init__(self, *width: int, dtype: type = np.int64) -> None:
        self.values = np.zeros((16, *width), dtype)

    def make_room(self, days: int) -> None:
        if days > len(self.values):
            more = np.zeros((max(days, 2 * len(self.values)), *self.values.shape[1:]))
            more = more.astype(self.values.dtype)
            more[: len(self.values)] = self.values
            self.values = more


def _recoded(
    chunk: LogChunk, bins: Bins, vocabularies: Mapping[str, Mapping[str, Mapping[str, int]]]
) -> NDArray[np.float32]:
    versions = set(chunk.version)
    if len(versions) == 1:
        (version,) = versions
        return bins.recode(chunk.matrix, vocabularies.get(version, bins.vocabulary))
    matrix = chunk.matrix.copy()
    for version in versions:
        rows = chunk.version == version
        matrix[rows] = bins.recode(matrix[rows], vocabularies.get(version, bins.vocabulary))
    return matrix


_ORIGIN, _TEMPERATURE, _DEW_POINT = (
    NAMES.index(name) for name in ("origin", "temperature", "dew_point")
)
_MANY = np.iinfo(np.int64).max
_FACTORS = np.random.default_rng(2013).integers(1, 2**63, len(NAMES), dtype=np.uint64) * 2 + 1


def _hashes(matrix: NDArray[np.float32]) -> NDArray[np.uint64]:
    """A number of 64 bits for the features of each flight; equal rows have equal ones."""
    bits = np.ascontiguousarray(matrix, np.float32).view(np.uint32)
    result = np.zeros(len(matrix), np.uint64)
    for column, factor in enumerate(_FACTORS):
        result += bits[:, column] * factor
        result ^= result >> np.uint64(29)
        result *= np.uint64(0x9E3779B97F4A7C15)
    return result


def _repeats(parts: list[NDArray[np.uint64]]) -> int:
    together = np.sort(np.concatenate(parts))
    return int((together[1:] == together[:-1]).sum())


def _each(counts: Counts, positions: NDArray[np.intp]) -> Counts:
    return {name: values[positions] for name, values in counts.items()}
