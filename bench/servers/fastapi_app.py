"""FastAPI as its tutorial has it: pydantic in and out, a `def` endpoint; behind it a DataFrame and the pipeline."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, Field, create_model

from bench.servers.answers import FrameModel, answer
from flight_delays.features import FEATURES, Feature


def field_of(feature: Feature) -> tuple[Any, Any]:
    kind = str if feature.kind == "category" else float
    bounds = {} if kind is str else {"ge": feature.minimum, "le": feature.maximum, "allow_inf_nan": False}
    return (kind | None, Field(None, **bounds)) if feature.may_be_missing else (kind, Field(**bounds))


class One(BaseModel):
    probability: float
    late: bool
    version: str


class Many(BaseModel):
    probabilities: list[float]
    late: list[bool]
    version: str


def create_app() -> FastAPI:
    strict = ConfigDict(extra="forbid")
    flight = create_model("Flight", __config__=strict, **{f.name: field_of(f) for f in FEATURES})
    request = create_model("Request", __config__=strict, flight=(flight, ...))
    columns = create_model("Columns", __config__=strict, **{f.name: (list[field_of(f)[0]], ...) for f in FEATURES})
    batch = create_model("Batch", __config__=strict, flights=(columns, ...))
    app, model = FastAPI(), FrameModel()

    @app.get("/livez")
    def livez() -> dict[str, str]:
        return {"status": "ok"}

    def predict(body: request) -> One:  # type: ignore[valid-type]
        return One(**answer(model, body.model_dump()))

    def predict_many(body: batch) -> Many:  # type: ignore[valid-type]
        return Many(**answer(model, body.model_dump()))

    # The annotations name local classes, which FastAPI cannot find by their names.
    predict.__annotations__ = {"body": request, "return": One}
    predict_many.__annotations__ = {"body": batch, "return": Many}
    app.post("/v1/predictions")(predict)
    app.post("/v1/predictions/batch")(predict_many)
    return app
