"""A small model of late flights for lab 02: six inputs, real flights, ONNX; and the bundle it is kept in.

The flight-delay service has fifteen inputs and a bundle with more in it. This one is cut down, so
that the lab's code is about the API around a model.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# onnxruntime reports to its maker unless this is set before it is imported.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime
import pandas as pd
from numpy.typing import NDArray

ORIGINS = ("EWR", "JFK", "LGA")
INPUTS = ("origin", "departure_minute", "distance", "humidity", "pressure", "visibility")
THRESHOLD = 0.25  # as in the service: a needless warning costs a third of a late flight nobody was warned of
MODEL_FILE, INFO_FILE = "model.onnx", "bundle.json"


@dataclass
class Model:
    """A model of late flights, ready to predict.

    Attributes
    ----------
    version
        Its name, such as "2013-06".
    threshold
        The probability from which a flight counts as late.
    calls
        How often `predict` was called.
    """

    version: str
    threshold: float
    session: onnxruntime.InferenceSession = field(repr=False)
    calls: int = 0

    def predict(self, columns: Mapping[str, Sequence[Any]]) -> NDArray[np.float32]:
        """The probability that each flight is 15 minutes late or more.

        Parameters
        ----------
        columns
            Input name to its values, one a flight. `None` is a reading that is missing.

        Returns
        -------
        Array of float32, shape (flights,).

        Raises
        ------
        ValueError
            The columns are not the six inputs, differ in length, or hold what is no number.
        """
        self.calls += 1
        matrix = to_matrix(columns)
        if not len(matrix):
            return np.empty(0, np.float32)
        return self.session.run(["probabilities"], {"flights": matrix})[0][:, 1]


@dataclass
class Meeting:
    """A model for tests: `predict` answers once two requests are inside it at the same time.

    An app that serves one request after the other never gets there. It gives up after `patience_s`
    seconds and raises TimeoutError.
    """

    model: Model
    patience_s: float = 3.0

    def __post_init__(self) -> None:
        self._both = threading.Barrier(2)

    @property
    def version(self) -> str:
        return self.model.version

    @property
    def threshold(self) -> float:
        return self.model.threshold

    def predict(self, columns: Mapping[str, Sequence[Any]]) -> NDArray[np.float32]:
        try:
            self._both.wait(self.patience_s)
        except threading.BrokenBarrierError:
            raise TimeoutError(f"no second request came in within {self.patience_s:g} s") from None
        return self.model.predict(columns)


def to_matrix(columns: Mapping[str, Sequence[Any]]) -> NDArray[np.float32]:
    """The flights as the model's matrix: float32, shape (flights, 6), NaN for a missing reading."""
    if set(columns) != set(INPUTS):
        raise ValueError(f"the model takes the columns {', '.join(INPUTS)}; it got {', '.join(map(str, columns))}")
    lengths = {name: len(columns[name]) for name in INPUTS}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"the columns differ in length: {lengths}")
    known = {origin: float(code) for code, origin in enumerate(ORIGINS)}
    if unknown := sorted({str(origin) for origin in columns["origin"] if origin not in known}):
        raise ValueError(f"origin: {', '.join(unknown)} is not one of {', '.join(ORIGINS)}")
    codes = [known[origin] for origin in columns["origin"]]
    numbers = [np.asarray(columns[name], np.float32) for name in INPUTS[1:]]  # None becomes NaN
    return np.column_stack([np.asarray(codes, np.float32), *numbers])


def columns_of(flights: pd.DataFrame) -> dict[str, list[Any]]:
    """The six inputs of a table of `flight_delays.flights`, as JSON can hold them; a missing reading is None."""
    found = {name: flights[name].astype(object if name == "origin" else float) for name in INPUTS}
    columns = {name: [None if pd.isna(value) else value for value in values] for name, values in found.items()}
    columns["departure_minute"] = [int(minute) for minute in columns["departure_minute"]]
    # As a person would write them: 39.02, where the float32 would print 39.02000045.
    for name in INPUTS[2:]:
        columns[name] = [None if value is None else round(value, 2) for value in columns[name]]
    return columns


def train(flights: pd.DataFrame) -> bytes:
    """Train on a table of `flight_delays.flights`; gives the model as ONNX. The same table gives the same model."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.ensemble import HistGradientBoostingClassifier

    classifier = HistGradientBoostingClassifier(max_iter=40, max_leaf_nodes=15, early_stopping=False, random_state=0)
    codes = flights["origin"].astype(str).map(ORIGINS.index)
    numbers = [flights[name] for name in INPUTS[1:]]
    classifier.fit(np.column_stack([codes, *numbers]).astype(np.float32), flights["late"].to_numpy())
    types = [("flights", FloatTensorType([None, len(INPUTS)]))]
    with warnings.catch_warnings():
        # skl2onnx 1.20 hands protobuf a boolean for an int; the pin protobuf<7 is there for it.
        warnings.filterwarnings("ignore", "Field onnx.AttributeProto", DeprecationWarning)
        made = to_onnx(
            classifier, initial_types=types, options={"zipmap": False}, target_opset={"": 18, "ai.onnx.ml": 3}
        )
    return made.SerializeToString(deterministic=True)


def save_bundle(folder: str | Path, onnx: bytes, version: str, threshold: float = THRESHOLD) -> None:
    """Write model.onnx and bundle.json into a folder; what lay there under these names is replaced."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MODEL_FILE).write_bytes(onnx)
    (folder / INFO_FILE).write_bytes(describe(onnx, version, threshold))


def describe(onnx: bytes, version: str, threshold: float = THRESHOLD) -> bytes:
    """What stands in bundle.json."""
    sha256 = hashlib.sha256(onnx).hexdigest()
    return json.dumps({"version": version, "threshold": threshold, "sha256": sha256}, indent=2).encode()


def load_bundle(folder: str | Path) -> Model:
    """Read a bundle and give its model.

    Raises
    ------
    FileNotFoundError
        There is no bundle in the folder.
    ValueError
        model.onnx is not the one that bundle.json names.
    """
    folder = Path(folder)
    info = json.loads((folder / INFO_FILE).read_bytes())
    onnx = (folder / MODEL_FILE).read_bytes()
    if hashlib.sha256(onnx).hexdigest() != info["sha256"]:
        raise ValueError(f"{MODEL_FILE}: its SHA-256 is not the one in {INFO_FILE}")
    return Model(info["version"], info["threshold"], open_session(onnx))


def open_session(onnx: bytes) -> onnxruntime.InferenceSession:
    """Open an ONNX model on one thread; more would only wait for each other on one row."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(onnx, options, providers=["CPUExecutionProvider"])
