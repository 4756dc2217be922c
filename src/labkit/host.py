"""The answer's side of a check: does what it is asked in the learner's namespace.

It holds no expected value and judges nothing. In the notebook it runs in the kernel; a grader
runs it in an isolated process, where the learner's code may have tampered with it. Nothing here
is relied on for the score: the check relies only on values, which it reads by `labkit.values`.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import linecache
import shutil
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from labkit.values import Ref, ValueRefused, decode, encode

MAX_PRINTED = 4_000
MAX_MESSAGE = 1_000

# How a function is called in a fresh process: its name, the function, arguments; gives a reply.
Fresh = Callable[[str, Callable[..., Any], list[Any], dict[str, Any]], bytes]


class Host:
    """Answers requests about one namespace.

    Parameters
    ----------
    namespace
        The learner's names, as the notebook's kernel holds them.
    folder
        An empty folder of its own; files are made and read only below it.
    fresh
        Runs a function in a process that has loaded nothing and gives the encoded reply.
    is_answer
        Tells whether a file name in a traceback is a cell of the learner's.
    """

    def __init__(
        self,
        namespace: Mapping[str, Any],
        folder: Path,
        fresh: Fresh,
        is_answer: Callable[[str], bool] = lambda name: "ipykernel" in name or name.startswith("<ipython-input"),
    ) -> None:
        self._namespace = namespace
        self._folder = folder
        self._fresh = fresh
        self._is_answer = is_answer
        self._things: dict[int, Any] = {}
        self._apps: dict[int, Any] = {}
        self._numbers = itertools.count(1)

    def serve(self, request: bytes) -> bytes:
        """Do one request and give the reply; a failing answer is a reply, too."""
        asked = decode(request)
        action = getattr(self, f"_do_{asked['do']}")
        return action(asked)

    def _keep(self, thing: Any) -> Ref:
        number = next(self._numbers)
        self._things[number] = thing
        kind = type(thing)
        return Ref(number=number, type=f"{kind.__module__}.{kind.__qualname__}")

    def _find(self, value: Any) -> Any:
        """Replace each Ref in an argument by what it stands for."""
        if isinstance(value, Ref):
            return self._namespace[value.name] if value.name is not None else self._things[value.number]
        if isinstance(value, list | tuple):
            return type(value)(self._find(part) for part in value)
        if isinstance(value, dict):
            return {key: self._find(part) for key, part in value.items()}
        return value

    def _inside(self, path: str) -> Path:
        found = (self._folder / path).resolve()
        if not found.is_relative_to(self._folder.resolve()):
            raise ValueRefused("a path lies outside the folder of this check")
        return found

    def run(self, work: Callable[[], Any]) -> bytes:
        """Run the learner's code: its value or its error, what it printed, how long it took."""
        printed = io.StringIO()
        reply: dict[str, Any] = {"value": None, "error": None}
        started = time.perf_counter()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                reply["value"] = work()
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a learner's sys.exit() is a failed case, not the end of the kernel
                reply["error"] = self._describe(error)
        reply |= {"seconds": time.perf_counter() - started, "printed": printed.getvalue()[:MAX_PRINTED]}
        try:
            return encode(reply, self._keep)
        except ValueRefused as error:
            reply |= {
                "value": None,
                "error": {"kinds": ["ValueRefused"], "message": str(error), "line": None, "source": ""},
            }
            return encode(reply)

    def _describe(self, error: BaseException) -> dict[str, Any]:
        kinds = [kind.__name__ for kind in type(error).__mro__[:8]]
        try:
            message = str(error)[:MAX_MESSAGE]
        except Exception as again:  # an exception whose own text fails
            message = f"its message cannot be shown: {type(again).__name__}"
        where = [frame for frame in traceback.extract_tb(error.__traceback__) if self._is_answer(frame.filename)]
        line = where[-1].lineno if where else None
        source = linecache.getline(where[-1].filename, line).strip() if where else ""
        return {"kinds": kinds, "message": message, "line": line, "source": source[:200]}

    # What can be asked. Each name is the word in a request's "do".

    def _do_missing(self, asked: dict[str, Any]) -> bytes:
        return encode([name for name in asked["names"] if name not in self._namespace])

    def _do_value(self, asked: dict[str, Any]) -> bytes:
        return self.run(lambda: self._find(asked["target"]))

    def _do_call(self, asked: dict[str, Any]) -> bytes:
        def work() -> Any:
            target = self._find(asked["target"])
            function = getattr(target, asked["method"]) if asked["method"] else target
            return function(*self._find(asked["args"]), **self._find(asked["kwargs"]))

        return self.run(work)

    def _do_fresh(self, asked: dict[str, Any]) -> bytes:
        function = self._find(asked["target"])
        return self._fresh(asked["target"].name, function, self._find(asked["args"]), self._find(asked["kwargs"]))

    def _do_attribute(self, asked: dict[str, Any]) -> bytes:
        return self.run(lambda: getattr(self._find(asked["target"]), asked["name"]))

    def _do_item(self, asked: dict[str, Any]) -> bytes:
        return self.run(lambda: self._find(asked["target"])[self._find(asked["key"])])

    def _do_app_start(self, asked: dict[str, Any]) -> bytes:
        from labkit import asgi  # only where a lab has an app

        def work() -> int:
            args, kwargs = self._find(asked["args"]), self._find(asked["kwargs"])
            app = asgi.find_app(self._find(asked["target"]), asked["label"], args, kwargs)
            number = next(self._numbers)
            self._apps[number] = asgi.RunningApp(app, self._describe, asked["limit_s"])
            return number

        return self.run(work)

    def _do_app_requests(self, asked: dict[str, Any]) -> bytes:
        return self.run(lambda: self._apps[asked["app"]].at_once(asked["requests"], asked["limit_s"]))

    def _do_app_stop(self, asked: dict[str, Any]) -> bytes:
        return self.run(lambda: self._apps.pop(asked["app"]).close())

    def _do_folder(self, asked: dict[str, Any]) -> bytes:
        made = self._folder / f"folder-{next(self._numbers)}"
        made.mkdir()
        return encode(str(made))

    def _do_write(self, asked: dict[str, Any]) -> bytes:
        path = self._inside(asked["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        # In place, so that who has mapped the file sees the change.
        with path.open("r+b" if path.exists() else "wb") as file:
            file.write(asked["data"])
            file.truncate()
        return encode(None)

    def _do_copy(self, asked: dict[str, Any]) -> bytes:
        made = self._folder / f"folder-{next(self._numbers)}"
        shutil.copytree(self._inside(asked["path"]), made)
        return encode(str(made))

    def _do_read(self, asked: dict[str, Any]) -> bytes:
        def work() -> bytes:
            with self._inside(asked["path"]).open("rb") as file:
                return file.read(asked["limit"])

        return self.run(work)

    def _do_files(self, asked: dict[str, Any]) -> bytes:
        folder = self._inside(asked["path"])
        found = (path for path in sorted(folder.rglob("*")) if path.is_file())
        listed = itertools.islice(found, 1_000)
        return encode({path.relative_to(folder).as_posix(): path.stat().st_size for path in listed})
