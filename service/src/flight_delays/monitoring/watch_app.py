"""The watch over HTTP: metrics to Prometheus, alerts from Alertmanager.

    GET  /metrics    the newest snapshot in Prometheus' text format
    GET  /findings   the same judgement in words, for whoever an alert sends here
    GET  /livez      the process answers, whatever it sees
    POST /alerts     Alertmanager's webhook; each alert goes into the inbox once

Nobody is asked for a key. An alert that is made up starts one turn of the loop, which looks for
itself and finds nothing; all the same the port belongs on a network that only Alertmanager shares.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from types import FrameType
from typing import NoReturn

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from flight_delays.bodies import ClientGone, read_body
from flight_delays.monitoring.exporter import PREFIX, WatchCollector, Watched
from flight_delays.monitoring.inbox import Inbox
from flight_delays.monitoring.webhook import MAX_BODY_BYTES, read_message
from flight_delays.problems import Problem, bug
from flight_delays.schemas import Health

GRACE_S = 1  # for requests in flight, once it is told to stop
_log = logging.getLogger(__name__)


def make_watch_app(watch: Watched, inbox: Inbox) -> FastAPI:
    """Make the ASGI app that shows a watch and fills an inbox."""
    api = FastAPI(title="Flight delays: the watch", docs_url=None, redoc_url=None)
    registry = CollectorRegistry()
    registry.register(WatchCollector(watch))
    told = Counter(f"{PREFIX}alert_messages", "Messages of Alertmanager.", registry=registry)
    new = Counter(f"{PREFIX}alerts", "Alerts taken in, each once.", ["status"], registry=registry)
    for status in ("firing", "resolved"):
        new.labels(status)  # a series from the start, at zero

    @api.get("/livez")
    def livez() -> Health:
        return Health(status="alive")

    @api.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    @api.get("/findings")
    def findings() -> Response:
        snapshot = watch.snapshot
        if snapshot is None:
            raise Problem(503, "Nothing was seen yet; the log of the watch says what it misses.")
        return Response(json.dumps(snapshot.to_json(), indent=1), media_type="application/json")

    @api.post("/alerts")
    async def alerts(request: Request) -> Response:
        body = await read_body(request.headers.raw, request.receive, MAX_BODY_BYTES)
        found = read_message(body)
        told.inc()
        try:
            taken = await run_in_threadpool(inbox.put, found)
        except OSError as error:  # Alertmanager tries again
            _log.error("no alert was kept: %s", error)
            raise Problem(503, "The inbox is full or cannot be written.") from None
        for alert in taken:
            new.labels(alert.status).inc()
            _log.info("%s %s: %s", alert.name, alert.status, alert.annotations.get("summary", ""))
        return Response(
            json.dumps({"told": len(found), "new": len(taken)}), media_type="application/json"
        )

    api.exception_handler(Problem)(_answer)
    api.exception_handler(Exception)(lambda request, error: _answer(request, bug()))
    api.exception_handler(ClientGone)(lambda request, error: Response(status_code=400))
    return api


def _answer(request: Request, problem: Problem) -> Response:
    request_id = os.urandom(16).hex()
    _log.warning("%s %s: %s", request.method, request.url.path, problem.detail)
    answer = problem.answer(request_id)
    response = Response(answer.body, answer.status)
    response.raw_headers = list(answer.headers)
    return response


def serve_watch(app: FastAPI, host: str, port: int) -> None:
    """Serve until SIGTERM or Ctrl-C, in the main thread; print the address.

    Args:
        port: 0 for any that is free.

    Raises:
        OSError: the port is taken.
    """
    # uvicorn raises the signal again when it has stopped; then this ends the process with 0.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    with _bind(host, port) as listener:
        print(f"watching {_url(listener)}", flush=True)
        _server(app).run([listener])


@contextmanager
def running(app: FastAPI, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve in a thread for as long as the block lasts, and give the address.

    Raises:
        OSError: the port is taken.
    """
    with _bind(host, port) as listener:
        server = _server(app)
        thread = Thread(target=server.run, args=([listener],), name="watch-app", daemon=True)
        thread.start()
        try:
            yield _url(listener)  # a request that comes early waits at the socket
        finally:
            server.should_exit = True
            thread.join()


def _server(app: FastAPI) -> uvicorn.Server:
    return uvicorn.Server(
        uvicorn.Config(
            app,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=GRACE_S,
        )
    )


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise OSError(f"{host}:{port}: {error.strerror or error}") from None


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
