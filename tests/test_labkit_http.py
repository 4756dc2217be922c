"""Checks that speak HTTP to an app: in the notebook's process, and in the grader's jail."""

from __future__ import annotations

import linecache
import re
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from textwrap import dedent

import pytest

from labkit.answer import Answer, NotWritten, Wrong, notebook_answer
from labkit.exercise import expect
from labkit.grading.isolation import Limits, strongest
from labkit.grading.remote import Sandbox
from labkit.http import NotStarted, Request
from labkit.values import ValueRefused, decode, encode

LEVEL, _ = strongest()
Ask = Callable[[str], AbstractContextManager[Answer]]

SETUP = """
import asyncio, threading
from contextlib import asynccontextmanager
from fastapi import FastAPI, Request
from fastapi.responses import PlainTextResponse, StreamingResponse
from pydantic import BaseModel
"""
COUNTER = """
    log = []
    @asynccontextmanager
    async def lifespan(app):
        log.append("start")
        yield {"word": "kept"}
        log.append("stop")
    app = FastAPI(lifespan=lifespan)
    class Pair(BaseModel):
        a: float
        b: float
    @app.post("/sums", status_code=201)
    def sums(pair: Pair, request: Request):
        return {"sum": pair.a + pair.b, "word": request.state.word, "agent": request.headers.get("x-agent")}
"""


@contextmanager
def in_notebook(source: str) -> Iterator[Answer]:
    names: dict = {"__name__": "__main__"}
    for part in (SETUP, dedent(source)):
        file = "<ipython-input answer>"
        linecache.cache[file] = (len(part), None, part.splitlines(True), file)
        exec(compile(part, file, "exec", dont_inherit=True), names)
    with warnings.catch_warnings(), notebook_answer(names) as answer:
        warnings.simplefilter("error")  # nothing deprecated reaches a learner
        yield answer


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox([SETUP], LEVEL, Limits(cpu_s=20, wall_s=20)) as made:
        yield made


@pytest.fixture(params=["notebook", "grader"])
def ask(request: pytest.FixtureRequest) -> Ask:
    """Gives the answer that runs this source, on one of the two roads."""
    if request.param == "notebook":
        return in_notebook
    zygote = request.getfixturevalue("sandbox")

    @contextmanager
    def in_grader(source: str) -> Iterator[Answer]:
        with zygote.answer(time.monotonic() + 60) as answer:
            error = answer.run_cell("app", dedent(source))
            assert not error, error
            yield answer

    return in_grader


def test_a_request_brings_status_headers_and_body(ask: Ask) -> None:
    with ask(COUNTER) as answer, answer.client("app") as client:
        reply = client.post("/sums", json={"a": 1, "b": 2.5}, headers={"X-Agent": "check"})
        assert (reply.status, reply.json()) == (201, {"sum": 3.5, "word": "kept", "agent": "check"})
        assert reply.headers["content-type"] == "application/json" and reply.error is None
        assert reply.tried == """POST /sums {'x-agent': 'check'} {"a": 1, "b": 2.5}"""
        assert reply.got == '201 Created, {"sum":3.5,"word":"kept","agent":"check"}'
        assert client.get("/nowhere?x=1").status == 404
        assert client.request("POST", "/sums", content=b"{", headers={"content-type": "text/plain"}).status == 422
        refused = client.post("/sums", json={"a": 1})
        with pytest.raises(Wrong, match="is refused") as wrong:
            expect(refused.status == 201, "A pair is refused.", refused, expected="201")
        assert wrong.value.got.startswith("422 Unprocessable") and wrong.value.tried.startswith("POST /sums")


def test_the_lifespan_starts_once_and_stops_once(ask: Ask) -> None:
    with ask(COUNTER) as answer:
        with answer.client("app") as client:
            assert [client.put("/sums").status, client.delete("/sums").status] == [405, 405]
            assert answer.value("log").value == ["start"]
        assert answer.value("log").value == ["start", "stop"]
        client.close()
        with answer.client("app"):
            assert answer.value("log").value == ["start", "stop", "start"]


def test_a_factory_is_called_with_the_arguments_and_a_thing_is_an_app(ask: Ask) -> None:
    source = """
        def create_app(word, double):
            app = FastAPI()
            @app.get("/")
            def root(): return {"word": word, "twice": double(21)}
            return app
        def double(x): return 2 * x
        def plain():
            async def app(scope, receive, send):
                assert scope["type"] == "http"  # knows no lifespan
                await send({"type": "http.response.start", "status": 203, "headers": [(b"X-A", b"1"), (b"x-a", b"2")]})
                await send({"type": "http.response.body", "body": b"bytes"})
            return app
    """
    with ask(source) as answer:
        thing = answer.value("double").value
        with answer.client("create_app", "ready", double=thing) as client:
            assert client.get("/").json() == {"word": "ready", "twice": 42}
        made = answer.call("plain").value
        with answer.client(made) as client:
            reply = client.get("/")
            assert (reply.status, reply.headers["x-a"], reply.body) == (203, "1, 2", b"bytes")
            with pytest.raises(Wrong, match="is not JSON"):
                reply.json()


def test_annotations_are_read_as_in_a_notebook(ask: Ask) -> None:
    """A class of a function can be the type of a body: no future import of the engine's own turns it into text."""
    source = """
        def create_app():
            class Pair(BaseModel):
                a: int
            app = FastAPI()
            @app.post("/")
            def read(pair: Pair) -> Pair: return pair
            return app
    """
    with ask(source) as answer, answer.client("create_app") as client:
        assert client.post("/", json={"a": 3}).json() == {"a": 3}
        assert client.get("/openapi.json").status == 200


NOT_APPS = {
    "a text": ("app = 'fastapi'", "`app` is a str"),
    "a class": ("class app: pass", r"`app\(\)` gave a app"),
    "a function without return": ("def app(): FastAPI()", r"`app\(\)` gave None"),
    "a WSGI app": ("class Flask:\n    def wsgi_app(self): ...\napp = Flask()", "`app` is a Flask, .* speaks WSGI"),
}


@pytest.mark.parametrize("name", NOT_APPS)
def test_what_is_no_app_is_told(name: str) -> None:
    source, told = NOT_APPS[name]
    with in_notebook(source) as answer, pytest.raises(Wrong, match="not a web app") as wrong:
        answer.client("app")
    assert re.match(told, wrong.value.got)


def test_an_error_in_the_app_is_a_500_with_its_line(ask: Ask) -> None:
    source = """
        app = FastAPI()
        @app.get("/error")
        def error(): return 1 / 0
        @app.get("/exit")
        async def leave(): raise SystemExit(3)
        @app.get("/half")
        def half(): 
            def parts():
                yield "first"
                raise ValueError("no second")
            return StreamingResponse(parts())
        @app.get("/unwritten")
        def unwritten(): raise NotImplementedError()
        @app.get("/")
        def fine(): return "fine"
    """
    with ask(source) as answer, answer.client("app") as client:
        reply = client.get("/error")
        assert reply.status == 500 and b"Traceback" not in reply.body
        assert "raised ZeroDivisionError: division by zero (line " in reply.got and "return 1 / 0" in reply.got
        assert "raised SystemExit: 3" in client.get("/exit").got
        assert client.get("/half").error.message == "no second"
        with pytest.raises(NotWritten):
            client.get("/unwritten")
        assert client.get("/").json() == "fine"


def test_an_app_that_does_not_start_or_stop_is_told(ask: Ask) -> None:
    source = """
        def make(when, how):
            @asynccontextmanager
            async def lifespan(app):
                if when == "start": how()
                yield
                if when == "stop": how()
            return FastAPI(lifespan=lifespan)
        def fail(): raise FileNotFoundError("model.onnx")
        def leave(): raise SystemExit(3)
        def unwritten(): raise NotImplementedError
    """
    with ask(source) as answer:
        fail, leave, unwritten = (answer.value(name).value for name in ("fail", "leave", "unwritten"))
        for how, told in ((fail, "FileNotFoundError: model.onnx"), (leave, "SystemExit: 3")):
            with pytest.raises(NotStarted, match="does not start") as wrong:
                answer.client("make", "start", how)
            assert told in wrong.value.got
            with pytest.raises(Wrong, match="does not stop") as wrong, answer.client("make", "stop", how) as client:
                assert client.get("/").status == 404
            assert told in wrong.value.got
        with pytest.raises(NotWritten):
            answer.client("make", "start", unwritten)
        with pytest.raises(Wrong, match="first"), answer.client("make", "stop", fail):
            raise Wrong("first")


HANGING = """
    never = threading.Event()
    app = FastAPI()
    @app.get("/blocking")
    async def blocking(): never.wait()
    @app.get("/waiting")
    async def waiting(): await asyncio.Event().wait()
    @app.get("/thread")
    def thread(): never.wait()
    @app.get("/")
    async def fine(): return "fine"
"""


@pytest.mark.parametrize(("path", "loop_lives"), [("/waiting", True), ("/thread", True), ("/blocking", False)])
def test_a_hanging_app_is_told_and_the_kernel_goes_on(ask: Ask, path: str, loop_lives: bool) -> None:
    with ask(HANGING) as answer:
        client = answer.client("app")
        with pytest.raises(Wrong, match="does not answer") as wrong:
            client.get(path, limit_s=0.2)
        assert wrong.value.tried == f"GET {path}"
        assert ("the event loop stood still" in wrong.value.got) != loop_lives
        if loop_lives:
            assert client.get("/").json() == "fine"
        else:
            with pytest.raises(Wrong, match="does not answer"):
                client.get("/")
            client.close()
        with answer.client("app") as another:
            assert another.get("/").json() == "fine"
        if path == "/thread" and "never" not in answer.missing("never"):
            answer.value("never").value.call("set")
        if loop_lives:
            client.close()


MEETING = """
    both = threading.Barrier(2)
    app = FastAPI()
    @app.post("/threads")
    def threads(): return both.wait(3)
    @app.post("/loop")
    async def loop(): return await asyncio.to_thread(both.wait, 3)
    @app.post("/blocking")
    async def blocking(): return both.wait(0.2)
"""


def test_requests_are_sent_at_once(ask: Ask) -> None:
    with ask(MEETING) as answer, answer.client("app") as client:
        for path in ("/threads", "/loop"):
            replies = client.at_once([Request("POST", path), Request("POST", path)])
            assert sorted(reply.json() for reply in replies) == [0, 1]
        replies = client.at_once([Request("POST", "/blocking"), Request("POST", "/blocking")])
        assert [reply.error.kinds[0] for reply in replies] == ["BrokenBarrierError"] * 2


def test_many_requests_at_once_keep_their_order(ask: Ask) -> None:
    source = """
        app = FastAPI()
        @app.get("/{n}")
        def number(n: int): return n
    """
    with ask(source) as answer, answer.client("app") as client:
        assert [reply.json() for reply in client.at_once([Request("GET", f"/{n}") for n in range(60)])] == [*range(60)]


def test_a_response_is_bounded(ask: Ask) -> None:
    source = """
        app = FastAPI()
        @app.get("/large")
        def large(): return PlainTextResponse("x" * 5_000_000)
        @app.get("/endless")
        async def endless():
            async def parts():
                while True:
                    yield b"x" * 100_000
            return StreamingResponse(parts())
        @app.get("/deep")
        def deep(): return PlainTextResponse("[" * 100_000)
        @app.get("/nan")
        def nan(): return PlainTextResponse("[NaN]")
    """
    with ask(source) as answer, answer.client("app") as client:
        for path in ("/large", "/endless"):
            reply = client.get(path)
            assert reply.status == 500 and "larger than 4 MB" in reply.error.message
        for path in ("/deep", "/nan"):
            with pytest.raises(Wrong, match="is not JSON"):
                client.get(path).json()


def test_what_the_app_says_of_itself_is_only_values(ask: Ask) -> None:
    source = """
        class Status(int):
            __eq__ = lambda *a: True
            __hash__ = None
        async def app(scope, receive, send):
            if scope["type"] != "http": return
            kind = scope["path"]
            head = {"/status": Status(404), "/text": "200", "/": 200}.get(kind, 200)
            headers = [(b"x-" + str(n).encode(), b"y" * 20_000) for n in range(300)] if kind == "/headers" else []
            if kind != "/silent":
                await send({"type": "http.response.start", "status": head, "headers": headers})
                await send({"type": "http.response.body", "body": b""})
    """
    with ask(source) as answer, answer.client("app") as client:
        assert client.get("/headers").status == 200 and len(client.get("/headers").headers) == 100
        assert "without sending a response" in client.get("/silent").got
        for path in ("/status", "/text"):
            with pytest.raises(ValueRefused):
                client.get(path)


FORGED = [
    None,
    [],
    [{"status": 200}],
    [{"status": True, "headers": [], "body": b"", "error": None, "hangs": ""}],
    [{"status": 200, "headers": [["a"]], "body": b"", "error": None, "hangs": ""}],
    [{"status": 200, "headers": {}, "body": b"", "error": None, "hangs": ""}],
    [{"status": 200, "headers": [], "body": "text", "error": None, "hangs": ""}],
    [{"status": 200, "headers": [], "body": b"", "error": {"kinds": 1}, "hangs": ""}],
]


@pytest.mark.parametrize("value", FORGED)
def test_a_forged_reply_is_refused(value: object) -> None:
    def send(request: bytes) -> bytes:
        asked = decode(request)
        started = asked["do"] == "app_start"
        return encode({"value": 1 if started else value, "error": None, "printed": "", "seconds": 0.0})

    client = Answer(send).client("app")
    with pytest.raises(ValueRefused):
        client.get("/")


def test_closed_apps_leave_no_thread_behind() -> None:
    def ours() -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread.name == "labkit app"]

    before = ours()
    with in_notebook(COUNTER) as answer, answer.client("app") as client:
        client.get("/")
        (thread,) = set(ours()) - set(before)
    thread.join(10)
    assert not thread.is_alive()


def test_a_lab_without_apps_imports_no_http() -> None:
    code = (
        "import sys, labkit.lab, labkit.host; print({'httpx', 'starlette', 'labkit.http', 'asyncio'} & {*sys.modules})"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "httpx" not in found and "starlette" not in found and "labkit.http" not in found
