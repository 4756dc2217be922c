"""The answer's side of HTTP: runs an ASGI app in this process and brings requests to it.

The app lives as it would under a server: in a thread with an event loop of its own, its lifespan
started once and ended on close. There is no socket in between, so requests need no port and no
network. The thread is a daemon: an app that hangs keeps its thread and nothing else.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import functools
import inspect
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import httpx

MAX_BODY = 4 * 2**20
MAX_HEADERS = 100
MAX_HEADER = 8_000
GRACE_S = 2.0  # on top of a limit, for what a healthy event loop needs to say so

Describe = Callable[[BaseException], dict[str, Any]]


class NotAnApp(TypeError):
    """The value is not an ASGI app; the text says what it is instead."""


class AppHangs(Exception):
    """The app did not start or stop within its time."""


class TooLarge(Exception):
    """A response is larger than MAX_BODY."""


@dataclass
class _Seen:
    """What the client saw go wrong in one request: the app's error, and whether it cut the response short."""

    error: BaseException | None = None
    cut: bool = False


def is_app(thing: Any) -> bool:
    """Whether it can be called as an ASGI app: an async function, or an object with an async `__call__`."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    if inspect.isclass(thing):
        return False
    return inspect.iscoroutinefunction(thing) or inspect.iscoroutinefunction(getattr(thing, "__call__", None))  # noqa: B004


def find_app(thing: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
    """The app itself, or what the factory gives for these arguments.

    Raises
    ------
    NotAnApp
        It is neither; or anything that the factory raises.
    """
    if is_app(thing) and not args and not kwargs:
        return thing
    made, said = thing, f"`{name}` is"
    if callable(thing):
        made, said = thing(*args, **kwargs), f"`{name if '(' in name else name + '()'}` gave"
    if is_app(made):
        return made
    kind = "None" if made is None else f"a {type(made).__name__}"
    more = "; a Flask app speaks WSGI" if hasattr(made, "wsgi_app") else ""
    raise NotAnApp(f"{said} {kind}, which is not an ASGI app such as `FastAPI()`{more}")


class RunningApp:
    """An app that has started. Close it, or its thread goes on until this process ends.

    Parameters
    ----------
    app
        An ASGI 3 app.
    describe
        Turns an exception of the app into plain values.
    limit_s
        Seconds that starting may take, and stopping.

    Raises
    ------
    AppHangs
        The app did not start in time; or anything that its lifespan raises while it starts.
    """

    def __init__(self, app: Any, describe: Describe, limit_s: float) -> None:
        self._app, self._describe, self._limit_s = app, describe, limit_s
        self._hangs = ""
        self._state: dict[str, Any] = {}
        self._up: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._down: concurrent.futures.Future[None] = concurrent.futures.Future()
        threading.Thread(target=self._live, name="labkit app", daemon=True).start()
        try:
            self._up.result(limit_s)
        except TimeoutError as late:
            if self._up.done():  # the app's own TimeoutError
                raise
            self._give_up()
            raise AppHangs(f"your app was still starting after {limit_s:g} s") from late

    def close(self) -> None:
        """End the lifespan; raises AppHangs if that takes too long, or what the lifespan raises."""
        if self._hangs:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        try:
            self._down.result(self._limit_s)
        except TimeoutError as late:
            if self._down.done():
                raise
            self._give_up()
            raise AppHangs(f"your app was still stopping after {self._limit_s:g} s") from late

    def at_once(self, requests: list[dict[str, Any]], limit_s: float) -> list[dict[str, Any]]:
        """Send all requests together; gives what came of each, in their order.

        A request is a dict of method, path, headers (list of pairs) and content (bytes). What comes
        of it has status, headers (list of pairs), body, error (None or what `describe` gave) and
        hangs ("" or why there is no response, in words).
        """
        if not self._hangs:
            work = self._run(self._gather(requests, limit_s))
            try:
                return work.result(limit_s + GRACE_S)
            except TimeoutError:
                self._hangs = (
                    f"there was no response after {limit_s:g} s, and the event loop stood still: "
                    "something in an `async def` waits or computes without `await`"
                )
        return [_reply(hangs=self._hangs) for _ in requests]

    def _run(self, work: Coroutine[Any, Any, Any]) -> concurrent.futures.Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _give_up(self) -> None:
        """Cancel what runs, as far as it lets itself be cancelled."""
        self._loop.call_soon_threadsafe(self._main.cancel)

    # In the app's thread, from here on.

    def _live(self) -> None:
        try:
            with asyncio.Runner() as runner:
                self._loop = runner.get_loop()
                # What a task of the app's leaves behind is not logged to the notebook.
                self._loop.set_exception_handler(lambda *_: None)
                runner.run(self._lifespan())
        except BaseException as error:  # the app left by sys.exit(), or was given up
            for future in (self._up, self._down):
                if not future.done():
                    future.set_exception(error)

    async def _lifespan(self) -> None:
        """Bring the app up, wait until it is to stop, bring it down; the futures tell of both."""
        self._main = asyncio.current_task()
        self._stop = asyncio.Event()
        to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        task = asyncio.ensure_future(self._app(scope, to_app.get, from_app.put))

        async def answer(question: str) -> str:
            """What the app says; "" if it ended without a word, as one does that knows no lifespan."""
            await to_app.put({"type": f"lifespan.{question}"})
            said = asyncio.ensure_future(from_app.get())
            await asyncio.wait({task, said}, return_when=asyncio.FIRST_COMPLETED)
            if said.done():
                return said.result()["type"].removeprefix(f"lifespan.{question}.")
            said.cancel()
            return from_app.get_nowait()["type"].removeprefix(f"lifespan.{question}.") if from_app.qsize() else ""

        async def settle(question: str, future: concurrent.futures.Future[None]) -> bool:
            said = "" if task.done() else await answer(question)
            if said == "failed":
                await asyncio.wait({task})
                future.set_exception(task.exception() or RuntimeError(f"the app's {question} failed"))
                return False
            future.set_result(None)
            return True

        if await settle("startup", self._up):
            await self._stop.wait()
            await settle("shutdown", self._down)
            if not task.done():
                await asyncio.wait({task}, timeout=GRACE_S)

    async def _gather(self, requests: list[dict[str, Any]], limit_s: float) -> list[dict[str, Any]]:
        tasks = [asyncio.ensure_future(self._one(request)) for request in requests]
        _, late = await asyncio.wait(tasks, timeout=limit_s)
        for task in late:
            task.cancel()
        hangs = f"there was no response after {limit_s:g} s"
        return [_reply(hangs=hangs) if task in late else task.result() for task in tasks]

    async def _one(self, request: dict[str, Any]) -> dict[str, Any]:
        seen = _Seen()
        transport = httpx.ASGITransport(app=functools.partial(self._guarded, seen))
        asked = httpx.Request(
            request["method"],
            httpx.URL("http://testserver").join(request["path"]),
            headers=[tuple(pair) for pair in request["headers"]],
            content=request["content"],
        )
        try:
            response = await transport.handle_async_request(asked)
            body = await response.aread()
        except Exception as error:  # a response that breaks the rules of ASGI or HTTP
            return _reply(status=500, error=self._describe(seen.error or error))
        return _reply(
            status=500 if seen.cut else response.status_code,
            headers=[[n.lower()[:200], v[:MAX_HEADER]] for n, v in response.headers.multi_items()[:MAX_HEADERS]],
            body=body,
            error=self._describe(seen.error) if seen.error else None,
        )

    async def _guarded(self, seen: _Seen, scope: Any, receive: Any, send: Any) -> None:
        """The app with what a server adds: the lifespan's state, a bound, status 500 for an error."""
        started = ended = False
        size = 0

        async def bounded(message: dict[str, Any]) -> None:
            nonlocal started, ended, size
            size += len(message.get("body", b""))
            if size > MAX_BODY:
                raise TooLarge(f"the response is larger than {MAX_BODY // 2**20} MB")
            started = started or message["type"] == "http.response.start"
            ended = ended or (message["type"] == "http.response.body" and not message.get("more_body", False))
            await send(message)

        try:
            await self._app({**scope, "state": dict(self._state)}, receive, bounded)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # sys.exit() in an endpoint, too
            seen.error = error
        if not started:
            seen.error = seen.error or RuntimeError("the app ended without sending a response")
            await send({"type": "http.response.start", "status": 500, "headers": []})
        if not ended:
            seen.cut = True
            await send({"type": "http.response.body", "body": b""})


def _reply(
    *,
    status: int = 0,
    headers: list[list[str]] | None = None,
    body: bytes = b"",
    error: dict[str, Any] | None = None,
    hangs: str = "",
) -> dict[str, Any]:
    return {"status": status, "headers": headers or [], "body": body, "error": error, "hangs": hangs}
