"""POST /v1/predictions: from the bytes of a body to the bytes of an answer.

No framework stands between: pydantic-core reads the bytes into checked values, the values become
the matrix that `features.encode` would make, onnxruntime answers. A property test holds both
against `features.encode` and `Bundle.predict`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import to_json

from flight_delays.bodies import Receive, read_body
from flight_delays.bundle import INPUT, OUTPUT, Bundle
from flight_delays.features import CATEGORIES, FEATURES, NAMES, NUMBERS, UNKNOWN, unknown_values
from flight_delays.prediction_log import PredictionLog
from flight_delays.problems import Answer, FieldError, Problem, from_validation
from flight_delays.schemas import MAX_ROWS, PREDICTION_REQUEST
from flight_delays.telemetry import Telemetry

PATH = "/v1/predictions"
IN_THREAD = 200  # rows from which onnxruntime works in a thread, while others are answered

_JSON = (b"content-type", b"application/json")
_REQUIRED = tuple(feature.name for feature in FEATURES if not feature.may_be_missing)


class ServedModel:
    """A bundle made ready for the hot path; never changed, so a switch is one assignment."""

    def __init__(self, bundle: Bundle, revision: int) -> None:
        self.bundle = bundle
        self.revision = revision
        self.version = bundle.version
        self.threshold = bundle.info.threshold
        self._run = bundle.session.run
        self._lookups = [(name, bundle.vocabulary[name].get) for name in CATEGORIES]

    def encode_one(self, flight: Mapping[str, Any]) -> NDArray[np.float32]:
        """Encode a checked flight, shape (1, features); the same numbers as `features.encode`."""
        get = flight.get
        codes = [code(get(name), UNKNOWN) for name, code in self._lookups]
        return np.array([codes + [get(name) for name in NUMBERS]], np.float32)  # None: NaN

    def encode_many(self, flights: Mapping[str, list[Any]], rows: int) -> NDArray[np.float32]:
        """Encode checked columns of one length, shape (rows, features)."""
        matrix = np.empty((len(NAMES), rows), np.float32)  # a column lies in one piece
        for position, (name, code) in enumerate(self._lookups):
            column = flights.get(name)
            matrix[position] = UNKNOWN if column is None else [code(v, UNKNOWN) for v in column]
        for position, name in enumerate(NUMBERS, len(CATEGORIES)):
            matrix[position] = flights.get(name, np.nan)
        return np.ascontiguousarray(matrix.T)

    def run(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the probabilities, shape (rows,)."""
        return self._run([OUTPUT], {INPUT: matrix})[0][:, 1]

    def unknown(self, flights: Mapping[str, list[Any]], rows: int) -> dict[str, list[str | None]]:
        """List the values the model never saw, see `features.unknown_values`."""
        left_out = [None] * min(rows, 1)
        columns = {name: flights.get(name, left_out) for name in CATEGORIES}
        return unknown_values(columns, self.bundle.vocabulary)


class PredictionHandler:
    """Answer predictions with `model`, which whoever switches the champion assigns."""

    def __init__(
        self, telemetry: Telemetry, log: PredictionLog | None, max_body_bytes: int
    ) -> None:
        self.model: ServedModel | None = None
        self._telemetry = telemetry
        self._log = log
        self._max_body_bytes = max_body_bytes
        self._validate = PREDICTION_REQUEST.validator.validate_json
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="batch")

    async def answer(
        self, headers: list[tuple[bytes, bytes]], receive: Receive, request_id: str
    ) -> Answer:
        """Read the body, predict, log.

        Raises:
            Problem: the input does not fit, or no model is loaded.
            ClientGone: the client hung up before its body was complete.
        """
        body = await read_body(headers, receive, self._max_body_bytes)
        model = self.model  # from here to the end, whatever becomes champion meanwhile
        if model is None:
            raise Problem("not-ready", "No champion is loaded yet.", headers={"Retry-After": "1"})
        try:
            request = self._validate(body)
        except ValidationError as error:
            raise from_validation(error) from None
        if len(request) != 1:
            raise _exactly_one(len(request))
        flight = request.get("flight")
        if flight is None:
            content = await self._many(model, request["flights"], request_id)
        else:
            content = self._one(model, flight, request_id)
        return Answer(
            200, [_JSON, (b"content-length", b"%d" % len(content))], content, model.version
        )

    def close(self) -> None:
        """Stop the thread for batches."""
        self._pool.shutdown()

    def _one(self, model: ServedModel, flight: Mapping[str, Any], request_id: str) -> bytes:
        matrix = model.encode_one(flight)
        probabilities = model.run(matrix)
        probability = probabilities.item()
        late = probability >= model.threshold
        unknown = None
        if UNKNOWN in matrix[0, : len(CATEGORIES)].tolist():
            unknown = model.unknown({name: [flight.get(name)] for name in CATEGORIES}, 1)
        self._note(model, request_id, matrix, probabilities, unknown, int(late), probability)
        return (
            f'{{"probability":{probability!r},"late":{"true" if late else "false"},'
            f'"version":"{model.version}","request_id":"{request_id}",'
            f'"unknown":{json.dumps(unknown) if unknown else "{}"}}}'
        ).encode()

    async def _many(
        self, model: ServedModel, flights: Mapping[str, list[Any]], request_id: str
    ) -> bytes:
        rows = _count_rows(flights)
        matrix = model.encode_many(flights, rows)
        if rows < IN_THREAD:
            probabilities = model.run(matrix)
        else:
            loop = asyncio.get_running_loop()
            probabilities = await loop.run_in_executor(self._pool, model.run, matrix)
        values = probabilities.tolist()
        late = [value >= model.threshold for value in values]
        unknown: dict[str, list[str | None]] = {}
        if (matrix[:, : len(CATEGORIES)] == UNKNOWN).any():
            unknown = model.unknown(flights, rows)
        self._note(model, request_id, matrix, probabilities, unknown, sum(late), sum(values))
        return to_json(
            {
                "probabilities": values,
                "late": late,
                "version": model.version,
                "request_id": request_id,
                "unknown": unknown,
            }
        )

    def _note(
        self,
        model: ServedModel,
        request_id: str,
        matrix: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        unknown: dict[str, list[str | None]] | None,
        late: int,
        total: float,
    ) -> None:
        self._telemetry.predicted(model.version, len(matrix), late, total)
        if self._log is not None:
            self._log.append(
                request_id, time.time(), model.version, matrix, probabilities, unknown or None
            )


def _exactly_one(found: int) -> Problem:
    message = f"expected exactly one of 'flight' and 'flights', found {'both' if found else 'none'}"
    return Problem("invalid-input", message, [FieldError(pointer="", message=message)])


def _count_rows(flights: Mapping[str, list[Any]]) -> int:
    rows = len(flights[_REQUIRED[0]])
    for name, column in flights.items():
        if len(column) > MAX_ROWS:
            raise Problem(
                "too-many-rows",
                f"expected at most {MAX_ROWS} flights in a request, found {len(column)} "
                f"values of {name}; send several requests",
            )
        if len(column) != rows:
            message = f"expected {rows} values like {_REQUIRED[0]}, found {len(column)}"
            raise Problem(
                "invalid-input",
                f"/flights/{name}: {message}",
                [FieldError(pointer=f"/flights/{name}", message=message)],
            )
    return rows
