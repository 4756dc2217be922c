"""A server kept busy for the length of a block, to see how long its other clients wait meanwhile."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx

PATIENCE_S = 60.0


@contextlib.contextmanager
def kept_busy(url: str, connections: int = 4) -> Iterator[None]:
    """Clients that ask `url` again and again; the block begins once each has had an answer.

    Raises
    ------
    httpx.HTTPError
        A client got no answer, or one that is an error.
    """
    over, first = threading.Event(), threading.Semaphore(0)

    def client() -> None:
        try:
            with httpx.Client(timeout=PATIENCE_S, trust_env=False) as http:
                http.get(url).raise_for_status()
                first.release()
                while not over.is_set():
                    http.get(url).raise_for_status()
        finally:
            first.release()  # also where it failed, or the block would be awaited for ever

    with ThreadPoolExecutor(connections) as pool:
        clients = [pool.submit(client) for _ in range(connections)]
        try:
            for _ in clients:
                first.acquire()
            for one in clients:
                if one.done():
                    one.result()  # raises what went wrong
            yield
        finally:
            over.set()
        for one in clients:
            one.result()
