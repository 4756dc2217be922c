"""An app of the notebook behind a real socket, for the length of a `with` block.

with served(app) as client:
    client.get("/models/v1").json()
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import uvicorn

HOST = "127.0.0.1"
START_S = 30.0


class _Server(uvicorn.Server):
    """Says when it has started, so that nobody needs to look again and again."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.decided = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets=sockets)
        except SystemExit:  # uvicorn's way to say that the lifespan failed; there is a thread to end, no process
            self.should_exit = True
        finally:
            self.decided.set()


@contextlib.contextmanager
def served(app: Any) -> Iterator[httpx.Client]:
    """Serve an ASGI app on a free port of this machine; give a client that knows its address.

    Server and client are gone when the block ends.

    Raises
    ------
    RuntimeError
        The app did not start.
    """
    listening = socket.create_server((HOST, 0))
    server = _Server(uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        server.decided.wait(START_S)
        if not server.started:
            raise RuntimeError("the app did not start: does it fail in its lifespan?")
        url = f"http://{HOST}:{listening.getsockname()[1]}"
        # After an error of the app uvicorn hangs up, and a request on the kept connection may be lost on its way.
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=url, timeout=10, trust_env=False, limits=limits) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        listening.close()
