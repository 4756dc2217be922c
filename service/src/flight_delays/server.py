"""Start the service: put the bundle into the store, bind the port, run the workers."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
import tempfile
import threading
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import uvicorn
from prometheus_client.multiprocess import mark_process_dead
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from flight_delays.app import LOG_FILE, Service, create_app
from flight_delays.prediction_log import PredictionLog
from flight_delays.settings import Settings
from flight_delays.store import ModelStore, PreconditionFailed
from flight_delays.telemetry import MULTIPROCESS_VARIABLE, configure_logging

GRACE_S = 1  # for requests in flight, once the service is told to stop


def serve(settings: Settings, bundle: Path | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C; print one line once requests are answered.

    Args:
        bundle: folder of a bundle to put into the store; it becomes champion if there is none.

    Raises:
        BundleError, StoreError: the bundle, or the store, cannot be used.
        OSError: the port is taken, or the state folder cannot be written.
        ValueError: the prediction log there is of another release.
    """
    store = ModelStore(settings.state)
    if bundle is not None:
        _import(store, bundle)
    if settings.prediction_log:
        PredictionLog(settings.state / LOG_FILE).close()  # one that cannot be used is told here
    with _bind(settings) as listener:
        ready = f"serving http://{_address(listener)}"
        if settings.workers == 1:
            _run_here(settings, listener, ready)
        else:
            _run_workers(settings, listener, ready)


def _import(store: ModelStore, bundle: Path) -> None:
    stored, _ = store.add_folder(bundle)
    try:
        store.set_champion(stored.version, if_match=None, must_be_first=True)
    except PreconditionFailed:
        print(
            f"note: the champion is {store.champion().version}; {stored.version} is in the store",
            file=sys.stderr,
        )


def _bind(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    try:
        if os.name == "posix":  # elsewhere it would let two services share a port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise OSError(f"{settings.host}:{settings.port}: {error.strerror or error}") from None
    listener.set_inheritable(True)
    return listener


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _config(app: Any, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        factory=True,
        workers=settings.workers,
        loop="auto",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_S,
    )


class _Server(uvicorn.Server):
    """uvicorn's server, which says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: str) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._ready, flush=True)


def _run_here(settings: Settings, listener: socket.socket, ready: str) -> None:
    # uvicorn raises the signal again when it has stopped; then this ends the process with 0.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    _Server(_config(partial(make_app, settings), settings), ready).run([listener])


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def make_app(settings: Settings) -> Service:
    """Make the app of one worker, with this process's log set up."""
    app = create_app(settings)
    configure_logging(app.telemetry.writer, settings.log_level)
    return app


def make_worker_app(settings: Settings) -> Service:
    """Make the app of a worker that stops when its parent is gone."""
    parent = multiprocessing.parent_process()

    def leave_with_parent() -> None:
        parent.join()
        signal.raise_signal(signal.SIGTERM)

    threading.Thread(target=leave_with_parent, daemon=True).start()
    try:
        return make_app(settings)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(STARTUP_FAILURE)  # the parent does not try again


class _Workers(Multiprocess):
    """uvicorn's supervisor, which says when all workers are ready and forgets dead ones."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], ready: str) -> None:
        super().__init__(config, sockets)
        self._ready = ready

    def init_processes(self) -> None:
        super().init_processes()
        waiting = list(self.processes)
        while waiting and not self.should_exit.is_set():
            self.handle_signals()
            waiting = [
                process
                for process in waiting
                if process.process.is_alive() and not process.wait_until_ready(0.2)
            ]
        if all(process.process.is_alive() for process in self.processes):
            print(self._ready, flush=True)

    def keep_subprocess_alive(self) -> None:
        before = {process.pid for process in self.processes}
        super().keep_subprocess_alive()
        for pid in before - {process.pid for process in self.processes}:
            mark_process_dead(pid)


def _run_workers(settings: Settings, listener: socket.socket, ready: str) -> None:
    # Each worker counts into files of its own there; any of them can add up all.
    with tempfile.TemporaryDirectory(prefix="flight-delays-metrics-") as folder:
        os.environ[MULTIPROCESS_VARIABLE] = folder
        config = _config(partial(make_worker_app, settings), settings)
        workers = _Workers(config, [listener], ready)
        workers.run()
        if any(process.exitcode == STARTUP_FAILURE for process in workers.processes):
            raise OSError("a worker did not start; the lines above say why")
