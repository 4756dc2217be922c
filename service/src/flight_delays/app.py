"""The ASGI app: `create_app(settings)`.

    Service                 request id, clock, request log, metrics, faults; POST /v1/predictions
      FastAPI               everything else: versions, champion, health, metrics, documentation

POST /v1/predictions does not pass FastAPI's routing, dependencies and middleware, which would cost
more than the prediction. It is in the OpenAPI document all the same.
"""

from __future__ import annotations

import logging
import os
import re
import time
from asyncio import CancelledError, create_task
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match, Route
from starlette.types import Message, Receive, Scope, Send

from flight_delays import models_api
from flight_delays.bodies import ClientGone
from flight_delays.bundle import BundleError
from flight_delays.prediction_log import PredictionLog
from flight_delays.predictions import PATH as PREDICTIONS
from flight_delays.predictions import PredictionHandler
from flight_delays.problems import Answer, FieldError, Problem, ProblemDocument, bug, json_pointer
from flight_delays.schemas import Health, Prediction, Predictions, component_schemas
from flight_delays.serving import Follower
from flight_delays.settings import Settings
from flight_delays.store import ModelStore, StoreError
from flight_delays.telemetry import CONTENT_TYPE, Seen, Telemetry

API_VERSION = "1.0.0"  # of the paths and documents below /v1
LOG_FILE = "predictions.sqlite"
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger(__name__)


class Service:
    """The whole of the service as an ASGI app."""

    def __init__(self, settings: Settings) -> None:
        """Open the store.

        Raises:
            OSError: the state folder cannot be used.
        """
        self.settings = settings
        self.store = ModelStore(settings.state)
        self.telemetry = Telemetry(settings.request_log)
        self.log: PredictionLog | None = None
        if settings.prediction_log:
            self.log = PredictionLog(settings.state / LOG_FILE)
        self.predictions = PredictionHandler(self.telemetry, self.log, settings.max_body_bytes)
        self.follower = Follower(self.store, self.predictions, self.telemetry, self.log)
        self.api = _make_api(self)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens, and take note of it."""
        if scope["type"] != "http":
            await self.api(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope["headers"])
        if scope["path"] == PREDICTIONS:
            await self._predict(scope, receive, send, request_id, started)
        else:
            await self._other(scope, receive, send, request_id, started)

    async def _predict(
        self, scope: Scope, receive: Receive, send: Send, request_id: str, started: float
    ) -> None:
        try:
            if scope["method"] != "POST":
                raise Problem(405, "Predictions are made by POST.", headers={"Allow": "POST"})
            answer = await self.predictions.answer(scope["headers"], receive, request_id)
        except Problem as problem:
            answer = problem.answer(request_id)
        except ClientGone:
            return
        except Exception as error:
            answer = _bug(error, request_id)
        self._note(scope, PREDICTIONS, answer.status, request_id, started, answer.version)
        await _send(answer, send, request_id)

    async def _other(
        self, scope: Scope, receive: Receive, send: Send, request_id: str, started: float
    ) -> None:
        status = 0

        async def with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", request_id.encode()),
                ]
            elif head:
                message["body"] = b""
            await send(message)

        head = scope["method"] == "HEAD"  # GET without the body, for every path
        inner = {**scope, "request_id": request_id, "method": "GET" if head else scope["method"]}
        try:
            await self.api(inner, receive, with_id)
        except ClientGone:
            return
        except Exception as error:
            answer = _bug(error, request_id)
            if status == 0:
                status = answer.status
                await _send(answer, send, request_id)
        route = getattr(inner.get("route"), "path", "other")
        self._note(scope, route, status, request_id, started, None)

    def _note(
        self,
        scope: Scope,
        route: str,
        status: int,
        request_id: str,
        started: float,
        version: str | None,
    ) -> None:
        seconds = time.perf_counter() - started
        path, method = scope["path"], scope["method"]
        self.telemetry.request(
            Seen(time.time(), seconds, request_id, method, path, route, status, version)
        )

    @asynccontextmanager
    async def lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        """Load the champion and follow it; at the end flush what was noted and logged."""
        self.telemetry.start()
        await self.follower.look()
        following = create_task(self.follower.follow())
        try:
            yield
        finally:
            following.cancel()
            with suppress(CancelledError):
                await following
            self.close()

    def close(self) -> None:
        """Flush and stop all threads."""
        self.predictions.close()
        if self.log is not None:
            self.log.close()
        self.telemetry.close()


def create_app(settings: Settings) -> Service:
    """Make the ASGI app."""
    return Service(settings)


def _make_api(service: Service) -> FastAPI:
    # It brings the style and script of the documentation, which then needs no network.
    api = FastAPIOffline(
        title="Flight delays",
        summary="Will a flight out of New York arrive 15 minutes late or more?",
        version=API_VERSION,
        lifespan=service.lifespan,
        redoc_url=None,
        redirect_slashes=False,
        exception_handlers={
            Problem: _answer_problem,
            RequestValidationError: _answer_invalid,
            HTTPException: _answer_http,
            **dict.fromkeys((StoreError, BundleError, OSError), _answer_store),
            Exception: _answer_bug,
        },
    )
    models_api.add_routes(api, service.store, service.follower, service.settings.key)

    @api.get("/livez", tags=["health"])
    async def livez() -> Health:
        """The process answers."""
        return Health(status="alive")

    @api.get("/readyz", tags=["health"], responses=models_api.problems(503))
    async def readyz() -> Health:
        """A champion is loaded."""
        model = service.predictions.model
        if model is None:
            raise Problem("not-ready", "No champion is loaded yet.", headers={"Retry-After": "1"})
        return Health(status="ready", version=model.version)

    @api.get(
        "/metrics",
        tags=["health"],
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    async def metrics() -> Response:
        """Metrics of all workers in Prometheus' text format."""
        service.telemetry.flush()
        return Response(service.telemetry.render(), media_type=CONTENT_TYPE)

    def openapi() -> dict[str, Any]:
        if api.openapi_schema is None:
            api.openapi_schema = _openapi(api)
        return api.openapi_schema

    api.openapi = openapi  # type: ignore[method-assign]
    return api


def _openapi(api: FastAPI) -> dict[str, Any]:
    """FastAPI's document, with the predictions and what is read by hand."""
    document = get_openapi(
        title=api.title, version=api.version, summary=api.summary, routes=api.routes
    )
    operation = {
        "tags": ["predictions"],
        "summary": "Predict",
        "description": "Predict one flight, or several as columns.",
        "operationId": "predict",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": "#/components/schemas/PredictionRequest"}}
            },
        },
        "responses": {
            "200": {
                "description": "The prediction.",
                "content": {
                    "application/json": {
                        "schema": {
                            "oneOf": [
                                {"$ref": "#/components/schemas/Prediction"},
                                {"$ref": "#/components/schemas/Predictions"},
                            ]
                        }
                    }
                },
            },
            **{str(k): v for k, v in models_api.problems(400, 413, 415, 422, 503).items()},
        },
    }
    document["paths"] = {PREDICTIONS: {"post": operation}, **document["paths"]}
    schemas = document["components"]["schemas"]
    schemas |= component_schemas()
    for model in (Prediction, Predictions, ProblemDocument):
        schemas |= _schema_of(model)
    _drop_validation_errors(document)
    return document


def _drop_validation_errors(document: dict[str, Any]) -> None:
    """Remove FastAPI's own form of a 422, which this app never sends."""
    for path in document["paths"].values():
        for operation in path.values():
            if "application/json" in operation["responses"].get("422", {}).get("content", {}):
                del operation["responses"]["422"]
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)


def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(
        mode="serialization", ref_template="#/components/schemas/{model}"
    )
    return {**schema.pop("$defs", {}), model.__name__: schema}


def _answer_problem(request: Request, problem: Problem) -> Response:
    answer = problem.answer(request.scope["request_id"])
    response = Response(answer.body, answer.status)
    response.raw_headers = list(answer.headers)
    return response


def _answer_invalid(request: Request, error: RequestValidationError) -> Response:
    errors = [
        FieldError(pointer=json_pointer(fault["loc"]), message=fault["msg"])
        for fault in error.errors()
    ]
    detail = f"{errors[0].pointer}: {errors[0].message}"
    return _answer_problem(request, Problem("invalid-input", detail, errors))


def _answer_http(request: Request, error: HTTPException) -> Response:
    headers = dict(error.headers or {})
    detail = str(error.detail)
    if error.status_code == 405:
        headers["Allow"] = ", ".join(_methods(request))
        detail = f"{request.method} is not among {headers['Allow']}"
    elif error.status_code == 404:
        detail = "No such path; GET /openapi.json describes those there are."
    return _answer_problem(request, Problem(error.status_code, detail, headers=headers))


def _answer_store(request: Request, error: Exception) -> Response:
    return _answer_problem(request, models_api.as_problem(error))


def _answer_bug(request: Request, error: Exception) -> Response:
    return _answer_problem(request, bug())  # Starlette raises the error again, for the log


def _methods(request: Request) -> list[str]:
    """The methods of all routes on a path; Starlette's own answer names those of one."""
    found = {
        method
        for route in request.app.routes
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE
        for method in (*route.methods, *(["HEAD"] if "GET" in route.methods else ()))
    }
    return sorted(found or {"GET", "HEAD"})  # a folder of files is no route of its own


def _bug(error: Exception, request_id: str) -> Answer:
    _log.error("a fault of the service", exc_info=error, extra={"request_id": request_id})
    return bug().answer(request_id)


async def _send(answer: Answer, send: Send, request_id: str) -> None:
    headers = [*answer.headers, (b"x-request-id", request_id.encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _request_id(headers: list[tuple[bytes, bytes]]) -> str:
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode()
    return os.urandom(16).hex()
