"""BentoML with onnxruntime: a service of two endpoints, whose arguments are the keys of the body."""

# No `from __future__ import annotations`: BentoML reads the types of the arguments as they stand.
from typing import Any

import bentoml

from bench.servers.answers import OnnxModel, answer


@bentoml.service(workers=1, traffic={"timeout": 60})
class Predictions:
    """One worker process."""

    def __init__(self) -> None:
        self.model = OnnxModel()

    @bentoml.api(route="/v1/predictions")
    def predict(self, flight: dict[str, Any]) -> dict[str, Any]:
        return answer(self.model, {"flight": flight})

    @bentoml.api(route="/v1/predictions/batch")
    def predict_many(self, flights: dict[str, list[Any]]) -> dict[str, Any]:
        return answer(self.model, {"flights": flights})
