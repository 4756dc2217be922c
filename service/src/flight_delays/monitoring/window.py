"""The flights of a period: what was asked, what was answered, and what became of them.

The columns lie in memory, about 100 bytes a flight. For a count of ten million predictions see
`summary.py`; for scores of many windows see `outcomes.py`. Needs NumPy only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from flight_delays.features import CATEGORIES, NAMES, UNKNOWN, Vocabulary, number_values
from flight_delays.monitoring.clock import TimeOf, bounds, by_clock
from flight_delays.monitoring.labels import LabelStore
from flight_delays.monitoring.outcomes import Outcomes
from flight_delays.monitoring.slices import slices_of
from flight_delays.prediction_log import LogChunk, read_log, read_vocabularies

ROWS_AT_A_TIME = 100_000


@dataclass(frozen=True)
class Window:
    """The flights of some days, in the order in which the log has them.

    Attributes, one entry a flight unless said otherwise:
        matrix: shape (rows, features), float32, columns as in `features.FEATURES`; the codes of
            categories are those of `vocabulary`, whatever the version that answered.
        probabilities: float32.
        late: float32, 1 late, 0 punctual, NaN not known at `as_of`.
        day: datetime64[D], by the clock the window was cut with.
        version: object array of str, the version that answered.
        vocabulary: one for the window; category feature to its values, each with its code.
        as_of: what was known then is in `late`; a day stands for its end.
        repeated: flights that the log has more than once (a request sent again with the same id);
            each is in the window once.
    """

    matrix: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    late: NDArray[np.float32]
    day: NDArray[np.datetime64]
    version: NDArray[np.object_]
    vocabulary: Vocabulary
    as_of: date
    repeated: int = 0

    def __len__(self) -> int:
        return len(self.probabilities)

    @property
    def known(self) -> NDArray[np.bool_]:
        """Whether the label of each flight is known."""
        return ~np.isnan(self.late)

    def of(self, rows: NDArray[np.bool_]) -> Self:
        """Only some of the flights."""
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        rest = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in _COLUMNS}
        return type(self)(**columns, **rest)

    def between(self, first: date, last: date) -> Self:
        """Only the flights of some days, both included."""
        return self.of((self.day >= np.datetime64(first)) & (self.day <= np.datetime64(last)))

    def outcomes(self) -> Outcomes:
        """The daily counts of predictions and labels."""
        slices = slices_of(self.matrix, self.vocabulary)
        return Outcomes.count(self.day, self.probabilities, self.late, slices)

    def names(self, feature: str) -> NDArray[np.object_]:
        """The values of a category feature as text, None where it is missing or unknown."""
        values = np.array([*self.vocabulary[feature], None], object)
        return values[self.matrix[:, NAMES.index(feature)].astype(int)]  # -1 is the last


_COLUMNS = ("matrix", "probabilities", "late", "day", "version")


def read_window(
    log: Path,
    labels: LabelStore | None,
    first: date,
    last: date,
    as_of: date,
    time_of: TimeOf = by_clock,
    vocabulary: Vocabulary | None = None,
) -> Window:
    """Read the flights of the days from `first` to `last`, both included, and join their labels.

    Args:
        labels: None for a window without labels.
        as_of: labels known by the end of that day are joined; a datetime stands for its moment.
        time_of: which time a flight belongs to, see `clock.py`.
        vocabulary: the vocabulary to recode categories to; by default that of the newest version
            in the log.

    Raises:
        FileNotFoundError: there is no log.
        ValueError: it is not a prediction log, or a record in it is damaged.
    """
    vocabularies = read_vocabularies(log)
    if vocabulary is None:
        vocabulary = vocabularies[max(vocabularies)] if vocabularies else _empty()
    codes = Codes(vocabularies, vocabulary)
    seen: set[tuple[str, int]] = set()
    parts: list[list[NDArray]] = []
    repeated = 0
    for chunk, day in _chunks(log, first, last, time_of):
        new = _first_time(chunk, seen)
        repeated += len(chunk) - int(new.sum())
        late = (
            np.full(len(chunk), np.nan, np.float32) if labels is None else labels.join(chunk, as_of)
        )
        columns = codes.recode(chunk), chunk.probabilities, late, day, chunk.version
        parts.append([column[new] for column in columns])
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] or _no_rows()
    return Window(*columns, vocabulary=vocabulary, as_of=as_of, repeated=repeated)


class Codes:
    """Turn the category codes of any version into those of one vocabulary.

    Attributes:
        vocabulary: the one.
    """

    def __init__(self, vocabularies: dict[str, Vocabulary], vocabulary: Vocabulary) -> None:
        """Args: vocabularies: of each version, from `prediction_log.read_vocabularies`."""
        self.vocabulary = vocabulary
        self._tables = {
            version: _tables(own, vocabulary)
            for version, own in vocabularies.items()
            if any(dict(own[name]) != dict(vocabulary[name]) for name in CATEGORIES)
        }

    def recode(self, chunk: LogChunk) -> NDArray[np.float32]:
        """Return the chunk's matrix; a value the vocabulary lacks becomes `features.UNKNOWN`."""
        if not self._tables:
            return chunk.matrix
        matrix = chunk.matrix.copy()
        for version in set(chunk.version.tolist()) & self._tables.keys():
            rows = chunk.version == version
            for name, table in self._tables[version].items():
                column = NAMES.index(name)
                matrix[rows, column] = table[chunk.matrix[rows, column].astype(int)]
        return matrix


def _tables(own: Vocabulary, common: Vocabulary) -> dict[str, NDArray[np.float32]]:
    """For each category the new code of every old one; the last entry is that of -1."""
    return {
        name: np.array([*(common[name].get(value, UNKNOWN) for value in own[name]), UNKNOWN])
        for name in CATEGORIES
    }


def _chunks(
    log: Path, first: date, last: date, time_of: TimeOf
) -> Iterator[tuple[LogChunk, NDArray[np.datetime64]]]:
    """The rows of the period, and the day of each."""
    since, until = bounds(first, last, time_of)
    for chunk in read_log(log, since, until, ROWS_AT_A_TIME):
        day = time_of(chunk).astype("datetime64[D]")
        rows = (day >= np.datetime64(first)) & (day <= np.datetime64(last))
        if rows.all():
            yield chunk, day
        elif rows.any():
            columns = {field.name: getattr(chunk, field.name)[rows] for field in fields(chunk)}
            yield LogChunk(**columns), day[rows]


def _first_time(chunk: LogChunk, seen: set[tuple[str, int]]) -> NDArray[np.bool_]:
    """Mark the flights that have not been seen before, and note them."""
    new = np.ones(len(chunk), bool)
    for place, key in enumerate(zip(chunk.request_id, chunk.row.tolist(), strict=True)):
        if key in seen:
            new[place] = False
        seen.add(key)
    return new


def _empty() -> Vocabulary:
    return {name: number_values([]) for name in CATEGORIES}


def _no_rows() -> list[NDArray]:
    numbers = np.empty(0, np.float32)
    day, version = np.empty(0, "datetime64[D]"), np.empty(0, object)
    return [np.empty((0, len(NAMES)), np.float32), numbers, numbers, day, version]
