"""The load helper: what it sends, what it counts, and what it refuses to do."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import matplotlib.pyplot as plt
import numpy as np
import psutil
import pytest

from lessonkit import load_process
from lessonkit.cores import pin, split, usable
from lessonkit.load import Load, draw_latencies, load

Seen = list[tuple[str, str, dict[str, str], bytes]]


class Handler(BaseHTTPRequestHandler):
    """Answers by the path: /status/503, /chunks, /close, /slow, anything else with 200."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        if self.path == "/slow":
            time.sleep(0.02)
        self.send_response(int(self.path.rpartition("/")[2]) if self.path.startswith("/status/") else 200)
        if self.path == "/chunks":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
            return
        if self.path == "/close":
            self.send_header("Connection", "close")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    do_GET = do_POST = do_PUT = answer

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture(scope="module")
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.seen = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def url(server: ThreadingHTTPServer) -> str:
    server.seen.clear()
    return f"http://127.0.0.1:{server.server_address[1]}"


@contextmanager
def raw_server(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server that does with each connection what `serve` says, and speaks no HTTP of its own."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:  # the listener was closed
                    return
                with connection:
                    serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)


def test_so_many_requests_are_sent_and_counted(server: ThreadingHTTPServer, url: str) -> None:
    done = load(f"{url}/a?b=c", connections=3, requests=50, seconds=20)
    assert done.statuses == {200: 50} and done.errors == {} and done.answers == 50 and done.failed == 0
    assert [(method, path) for method, path, *_ in server.seen] == [("GET", "/a?b=c")] * 50
    assert done.connections == 3
    assert done.requests_per_s == pytest.approx(50 / done.seconds)


def test_bodies_are_sent_in_turn_with_the_headers(server: ThreadingHTTPServer, url: str) -> None:
    load(url, [{"n": 1}, b"raw"], connections=1, requests=4, headers={"X-Own": "yes"})
    assert [body for *_, body in server.seen] == [b'{"n": 1}', b"raw"] * 2
    assert {method for method, *_ in server.seen} == {"POST"}
    headers = server.seen[0][2]
    assert headers["Content-Type"] == "application/json" and headers["X-Own"] == "yes"
    load(url, "text", connections=1, requests=1, method="PUT", headers={"content-type": "text/csv"})
    method, _, headers, body = server.seen[-1]
    assert (method, json.loads(body)) == ("PUT", "text")
    assert [value for name, value in headers.items() if name.lower() == "content-type"] == ["text/csv"]


def test_the_time_ends_it(server: ThreadingHTTPServer, url: str) -> None:
    done = load(url, connections=2, seconds=0.2, requests=1_000_000)
    assert 0 < done.answers == len(server.seen) < 1_000_000


def test_a_latency_holds_what_the_server_took(url: str) -> None:
    done = load(f"{url}/slow", connections=2, requests=4, seconds=20)
    assert done.latencies_ms.shape == (4,) and done.latencies_ms.min() >= 20
    assert done.seconds >= 0.04
    assert 0 < done.busy < 1  # it waited for the server


@pytest.mark.parametrize("path", ["/close", "/chunks"])
def test_a_server_may_close_each_connection_or_answer_in_chunks(url: str, path: str) -> None:
    done = load(url + path, connections=2, requests=20, seconds=20)
    assert (done.statuses, done.errors) == ({200: 20}, {})


def test_other_statuses_are_answers_that_failed(url: str) -> None:
    done = load(f"{url}/status/503", connections=2, requests=10, seconds=20)
    assert done.statuses == {503: 10} and done.failed == 10
    assert "10 failed" in str(done)


def test_nobody_listens() -> None:
    with socket.socket() as bound:  # bound and not listening: nobody else gets the port
        bound.bind(("127.0.0.1", 0))
        done = load(f"http://127.0.0.1:{bound.getsockname()[1]}", connections=4, seconds=1)
    assert (done.answers, done.errors, done.requests_per_s) == (0, {load_process.REFUSED: 4}, 0.0)
    assert np.isnan(done.p99_ms)
    with pytest.raises(ValueError, match="nothing to draw"):
        draw_latencies(plt.figure().add_subplot(), {"nobody": done})
    plt.close("all")


def test_a_connection_closed_without_an_answer() -> None:
    with raw_server(lambda connection: connection.recv(1000)) as url:
        done = load(url, connections=1, requests=5, seconds=20)
    assert (done.answers, done.errors) == (0, {load_process.CLOSED: 5})


def test_an_answer_cut_short_is_none() -> None:
    def serve(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")

    with raw_server(serve) as url:
        done = load(url, connections=1, requests=3, seconds=20)
    assert (done.statuses, done.errors) == ({}, {load_process.CLOSED: 3})


def test_something_else_than_http() -> None:
    with raw_server(lambda connection: connection.sendall(b"220 mail.example.org\r\n" + connection.recv(1000))) as url:
        done = load(url, connections=1, requests=5, seconds=20)
    assert done.answers == 0 and done.errors == {load_process.GARBLED: 1}


def test_a_server_that_never_answers_is_left() -> None:
    over = threading.Event()
    with raw_server(lambda connection: over.wait(20) and None) as url:
        done = load(url, connections=2, seconds=0.1, patience_s=0.2)
        over.set()
    assert (done.answers, done.errors) == (0, {load_process.SILENT: 2})


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org:80/",
        "http://localhost:8000/",
        "http://0.0.0.0:8000/",
        "http://127.0.0.1/",
        "https://127.0.0.1:8000/",
        "http://127.0.0.1:80@example.org:80/",
        "http://127.0.0.1.example.org:80/",
        "127.0.0.1:8000",
    ],
)
def test_no_other_machine_is_loaded(url: str) -> None:
    with pytest.raises(ValueError, match="on this machine only"):
        load(url)


@pytest.mark.parametrize(
    "bounds", [{"connections": 257}, {"connections": 0}, {"seconds": 61}, {"requests": 10**7}, {"patience_s": 0}]
)
def test_the_bounds_have_bounds(bounds: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(bounds))):
        load("http://127.0.0.1:9", **bounds)


def test_a_header_cannot_smuggle_a_request() -> None:
    with pytest.raises(ValueError, match="line break"):
        load("http://127.0.0.1:9", headers={"X": "1\r\n\r\nGET /"})
    with pytest.raises(ValueError, match="the list is empty"):
        load("http://127.0.0.1:9", [])


def test_the_drawing_shows_the_data() -> None:
    rng = np.random.default_rng(0)
    loads = {
        name: Load(rng.lognormal(mean, 1, 1000), {200: 1000}, {}, 2.0, 16) for name, mean in (("one", 0), ("two", 2))
    }
    axes = plt.figure().add_subplot()
    draw_latencies(axes, loads, "two is slower")
    curves = [line for line in axes.get_lines() if len(line.get_xdata()) > 1]
    for curve, one in zip(curves, loads.values(), strict=True):
        assert np.isin(one.latencies_ms, curve.get_xdata()).all()
        assert curve.get_ydata()[-1] == 1
    assert len({curve.get_color() for curve in curves}) == 2
    assert axes.get_xscale() == "log" and axes.get_title(loc="left") + axes.get_title() == "two is slower"
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts[0].startswith("one: ") and f"{loads['two'].p99_ms:,.3g} ms" in texts[1]
    plt.close("all")


def test_server_and_load_get_cores_of_their_own_where_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    for cores, workers, expected in (
        ([0, 1], 1, ([0], [1])),
        ([0, 1], 2, ([0, 1], [1])),
        ([2, 3, 5], 2, ([2, 3], [5])),
        ([4], 1, ([4], [4])),
    ):
        monkeypatch.setattr("lessonkit.cores.usable", lambda cores=cores: cores)
        assert split(workers) == expected


def test_a_process_is_pinned_where_the_system_can() -> None:
    before = usable()
    can = hasattr(psutil.Process, "cpu_affinity")
    try:
        assert pin(before[:1]) is can
        assert not can or psutil.Process().cpu_affinity() == before[:1]
    finally:
        pin(before)
