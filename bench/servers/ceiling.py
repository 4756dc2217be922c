"""The ceiling: the least that a Python server can do and still check its input.

An ASGI function, without a framework. pydantic-core reads the bytes into the types and ranges of the features, one
pass makes the matrix, onnxruntime answers, and the answer is written as bytes. There is no log, no metric, no
request id, no second path, and an error is a bare 422. What a service adds costs something; this says how much.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, NotRequired

import numpy as np
import pydantic_core
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, Strict, TypeAdapter, ValidationError
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from bench.servers.model import Prepared
from flight_delays.bundle import INPUT, OUTPUT
from flight_delays.features import CATEGORIES, FEATURES, NAMES, UNKNOWN, Feature

Send = Callable[[dict[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[dict[str, Any]]]
JSON = [(b"content-type", b"application/json")]
STRICT = ConfigDict(extra="forbid")


def type_of(feature: Feature) -> Any:
    if feature.kind == "category":
        return Annotated[str, Strict()] | None
    bounds = Field(ge=feature.minimum, le=feature.maximum, allow_inf_nan=False)
    number = Annotated[float, Strict(), bounds]
    return number | None if feature.may_be_missing else number


def adapters() -> tuple[TypeAdapter[Any], TypeAdapter[Any]]:
    """What reads one flight, and what reads flights as columns."""
    one = {f.name: NotRequired[type_of(f)] if f.may_be_missing else type_of(f) for f in FEATURES}
    made = []
    for key, fields in (("flight", one), ("flights", {f.name: list[type_of(f)] for f in FEATURES})):
        inner = TypedDict("Inner", fields)  # type: ignore[operator]
        outer = TypedDict("Outer", {key: inner})  # type: ignore[operator,misc]
        inner.__pydantic_config__ = outer.__pydantic_config__ = STRICT
        made.append(TypeAdapter(outer))
    return made[0], made[1]


class Ceiling:
    """The ASGI app."""

    def __init__(self) -> None:
        bundle = Prepared.here().bundle()
        self.run = bundle.session.run
        self.threshold = bundle.info.threshold
        self.version = bundle.version
        self.codes = [bundle.vocabulary[name].get for name in CATEGORIES]
        self.one, self.many = adapters()
        self.row = np.empty((1, len(NAMES)), np.float32)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message["body"]
            if not message.get("more_body"):
                break
        status = 200
        try:
            answer = self.predict(body) if scope["path"] == "/v1/predictions" else b"{}"
        except ValidationError:
            status, answer = 422, b"{}"
        await send({"type": "http.response.start", "status": status, "headers": headers(answer)})
        await send({"type": "http.response.body", "body": answer})

    def predict(self, body: bytes) -> bytes:
        if body.startswith(b'{"flight":'):
            row = self.encode(self.one.validate_json(body)["flight"])
            probability = float(self.run([OUTPUT], {INPUT: row})[0][0, 1])
            late = b"true" if probability >= self.threshold else b"false"
            return b'{"probability":%.9g,"late":%s,"version":"%s"}' % (probability, late, self.version.encode())
        columns = self.many.validate_json(body)["flights"]
        probabilities = self.run([OUTPUT], {INPUT: self.encode_columns(columns)})[0][:, 1]
        late = probabilities >= self.threshold
        told = {"probabilities": probabilities.tolist(), "late": late.tolist(), "version": self.version}
        return pydantic_core.to_json(told)

    def encode(self, flight: dict[str, Any]) -> NDArray[np.float32]:
        """One flight as the matrix, shape (1, features); the same array each time."""
        get = flight.get
        values = [code(get(name), UNKNOWN) for code, name in zip(self.codes, CATEGORIES, strict=True)]
        self.row[0] = values + [get(name) for name in NAMES[len(values) :]]  # None becomes NaN
        return self.row

    def encode_columns(self, columns: dict[str, list[Any]]) -> NDArray[np.float32]:
        """Columns as the matrix, shape (rows, features)."""
        matrix = np.empty((len(NAMES), len(columns[NAMES[0]])), np.float32)
        for position, name in enumerate(NAMES):
            if position < len(self.codes):
                code = self.codes[position]
                matrix[position] = [code(value, UNKNOWN) for value in columns[name]]
            else:
                matrix[position] = columns[name]
        return np.ascontiguousarray(matrix.T)


def headers(answer: bytes) -> list[tuple[bytes, bytes]]:
    return [*JSON, (b"content-length", b"%d" % len(answer))]
