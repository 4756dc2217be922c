"""What monitoring compares with: the reference, learned once for a model and kept in one file.

The file is JSON of about a megabyte. Reading it needs NumPy only, so the image that serves can
watch; making it needs the flights, and scikit-learn where the model was trained on them.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flight_delays.disk import write_file
from flight_delays.features import NAMES
from flight_delays.monitoring.bins import Bins
from flight_delays.monitoring.clock import as_day
from flight_delays.monitoring.outcomes import Outcomes
from flight_delays.monitoring.slices import slices_of
from flight_delays.monitoring.summary import Days, Summary, summary_of
from flight_delays.monitoring.thresholds import RATE, Thresholds, learn_thresholds, novelty_of

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from flight_delays.bundle import Bundle

REFERENCE_FILE = "reference.json"
FORMAT_VERSION = 1
SAMPLE_ROWS = 5_000
FOLDS = 3
FOLD_DAYS = 14


@dataclass(frozen=True)
class Sample:
    """Flights of the reference, drawn at random, for the domain classifier and the report.

    Attributes:
        day: datetime64[D], shape (rows,), as all of them.
        matrix: shape (rows, features), coded by the bins of the reference.
        probabilities: what the model says of them.
        honest: what a model says of them that was not trained on their weeks.
        late: whether they were.
    """

    day: Days
    matrix: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    honest: NDArray[np.float32]
    late: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.late)


@dataclass(frozen=True)
class Reference:
    """The reference of one model.

    Attributes:
        version: of the model.
        first, last: its days.
        bins, summary, thresholds: see there. The prediction counted is the model's own.
        sample: see `Sample`.
        outcomes: honest predictions and what happened, by day; what `decay.py` judges against.
    """

    version: str
    first: date
    last: date
    bins: Bins
    summary: Summary
    thresholds: Thresholds
    sample: Sample
    outcomes: Outcomes

    def write(self, path: Path) -> Path:
        """Write the file, whole or not at all, and return its path."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        write_file(draft, json.dumps(self.to_json(), separators=(",", ":")).encode())
        draft.replace(path)
        return path

    @classmethod
    def read(cls, path: Path) -> Reference:
        """Read a file.

        Raises:
            FileNotFoundError: it is not there.
            ValueError: it is no reference of this release; the message names the file.
        """
        path = Path(path)
        try:
            return cls.from_json(json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            raise FileNotFoundError(
                f"{path}: no reference there; make one: monitoring reference"
            ) from None
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{path}: not a reference of this release ({error}); make it again: "
                "monitoring reference"
            ) from error

    def to_json(self) -> dict[str, Any]:
        """Return what `json.dumps` takes."""
        sample = self.sample
        return {
            "format_version": FORMAT_VERSION,
            "version": self.version,
            "first": self.first.isoformat(),
            "last": self.last.isoformat(),
            "bins": self.bins.to_json(),
            "summary": self.summary.to_json(),
            "thresholds": self.thresholds.to_json(),
            "sample": {
                "day": _pack(sample.day.astype(np.int64), "<i4"),
                "matrix": _pack(sample.matrix, "<f4"),
                "probabilities": _pack(sample.probabilities, "<f4"),
                "honest": _pack(sample.honest, "<f4"),
                "late": _pack(sample.late, "|u1"),
            },
            "outcomes": self.outcomes.to_json(),
        }

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Reference:
        """Read what `to_json` returned."""
        if (found := content["format_version"]) != FORMAT_VERSION:
            raise ValueError(f"format_version: expected {FORMAT_VERSION}, found {found}")
        bins, sample = Bins.from_json(content["bins"]), content["sample"]
        return cls(
            content["version"],
            date.fromisoformat(content["first"]),
            date.fromisoformat(content["last"]),
            bins,
            Summary.from_json(content["summary"], bins),
            Thresholds.from_json(content["thresholds"]),
            Sample(
                _unpack(sample["day"], "<i4").astype(np.int64).astype("datetime64[D]"),
                _unpack(sample["matrix"], "<f4").reshape(-1, len(NAMES)),
                _unpack(sample["probabilities"], "<f4"),
                _unpack(sample["honest"], "<f4"),
                _unpack(sample["late"], "|u1").astype(bool),
            ),
            Outcomes.from_json(content["outcomes"]),
        )


def make_reference(
    bundle: Bundle,
    flights: pd.DataFrame,
    first: date,
    last: date,
    *,
    rate: float = RATE,
    train: Callable[[pd.DataFrame], Pipeline] | None = None,
) -> Reference:
    """Learn the reference of a model from flights whose labels are known.

    A model flatters itself on the flights it was trained on. So where the window overlaps the days
    of its training, the outcomes come from models of the same recipe that were
    trained on other fortnights of the window: what can be expected on flights nobody has seen.

    Args:
        flights: table from `flights.load_flights`.
        first, last: days of the reference, both included.
        rate: false alarms a year, of the whole monitor.
        train: the recipe; by default `training.fit`.

    Raises:
        ValueError: there are too few days.
    """
    from flight_delays.bundle import run_model
    from flight_delays.features import encode
    from flight_delays.flights import columns_of

    day = flights["departure"].to_numpy().astype("datetime64[D]")
    flights = flights[(day >= as_day(first)) & (day <= as_day(last))]
    day = flights["departure"].to_numpy().astype("datetime64[D]")
    matrix = encode(columns_of(flights), bundle.vocabulary)
    probabilities = run_model(bundle.session, matrix)
    late = flights["late"].to_numpy(bool)
    data = bundle.info.data
    seen = data.first <= last and first <= data.last
    honest = cross_fitted(flights, day, train) if seen else probabilities
    return reference_of(
        bundle.version, day, matrix, probabilities, honest, late, bundle.vocabulary, rate=rate
    )


def reference_of(
    version: str,
    day: Days,
    matrix: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    honest: NDArray[np.float32],
    late: NDArray[np.bool_],
    vocabulary: dict[str, dict[str, int]],
    *,
    rate: float = RATE,
) -> Reference:
    """Learn a reference from arrays with one entry a flight; see `make_reference`."""
    if not len(day):
        raise ValueError("reference: expected flights, found none between these days")
    bins = Bins.learn(matrix, probabilities, vocabulary)
    summary = summary_of(day, matrix, probabilities, bins)
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.permutation(len(day))[:SAMPLE_ROWS])
    return Reference(
        version,
        day.min().astype(object),
        day.max().astype(object),
        bins,
        summary,
        learn_thresholds(summary, bins, rate, novelty_of(day, matrix, bins)),
        Sample(day[drawn], matrix[drawn], probabilities[drawn], honest[drawn], late[drawn]),
        Outcomes.count(day, honest, late, slices_of(matrix, vocabulary)),
    )


def cross_fitted(
    flights: pd.DataFrame,
    day: Days,
    train: Callable[[pd.DataFrame], Pipeline] | None = None,
) -> NDArray[np.float32]:
    """What models say of each flight that were trained on other fortnights, shape (rows,)."""
    from flight_delays.training import fit, predict

    train = fit if train is None else train
    fold = (day - day.min()).astype(int) // FOLD_DAYS % FOLDS
    result = np.full(len(day), np.nan, np.float32)
    for number in np.unique(fold):
        held_out = fold == number
        if held_out.all():
            raise ValueError(f"reference: expected more than {FOLD_DAYS} days")
        result[held_out] = predict(train(flights[~held_out]), flights[held_out])
    return result


def _pack(values: NDArray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values.astype(dtype)).tobytes()).decode()


def _unpack(text: str, dtype: str) -> NDArray:
    return np.frombuffer(base64.b64decode(text), dtype)
