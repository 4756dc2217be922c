"""What many tutorials do behind the web framework: a DataFrame into scikit-learn's pipeline."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.servers.model import Prepared
from flight_delays.features import NAMES


class FrameModel:
    """The pipeline, loaded once."""

    def __init__(self) -> None:
        prepared = Prepared.here()
        bundle = prepared.bundle()
        self.version, self.threshold = bundle.version, bundle.info.threshold
        self.pipeline = prepared.pipeline()

    def probabilities(self, columns: dict[str, list[Any]]) -> list[float]:
        frame = pd.DataFrame(columns, columns=list(NAMES))
        return self.pipeline.predict_proba(frame)[:, 1].tolist()


class OnnxModel:
    """The same model on onnxruntime, by the bundle's own functions."""

    def __init__(self) -> None:
        self.bundle = Prepared.here().bundle()
        self.version, self.threshold = self.bundle.version, self.bundle.info.threshold

    def probabilities(self, columns: dict[str, list[Any]]) -> list[float]:
        return self.bundle.predict(columns).tolist()


Model = FrameModel | OnnxModel


def answer(model: Model, body: dict[str, Any]) -> dict[str, Any]:
    """Answer a body with one flight, or with flights as columns."""
    if "flight" in body:
        flight = body["flight"]
        probability = model.probabilities({name: [flight.get(name)] for name in NAMES})[0]
        return {"probability": probability, "late": probability >= model.threshold, "version": model.version}
    probabilities = model.probabilities(body["flights"])
    late = [probability >= model.threshold for probability in probabilities]
    return {"probabilities": probabilities, "late": late, "version": model.version}
