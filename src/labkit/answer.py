"""The check's side: asks an answer for values, wherever the answer runs.

    with notebook_answer(namespace) as answer:
        folder = answer.folder()
        result = answer.call("save_model", Name("model"), folder)
        result.value        # plain data, or a Thing that stands for an object over there

A check is written once against this class. In the notebook the requests go to a `Host` in
the same kernel, in a grader through a pipe to an isolated process; both times as bytes, so
that a check that passes in the notebook cannot fail in the grader for the road taken.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labkit import fresh
from labkit.host import Host
from labkit.values import Ref, ValueRefused, decode, encode, show

if TYPE_CHECKING:
    from labkit.http import Client

MAX_FILE = 48 * 2**20


class Wrong(Exception):
    """A case that the answer fails.

    Parameters
    ----------
    message
        What is wrong and what to try, for the learner.
    tried, got, expected
        Short texts; the engine shows them side by side.
    """

    def __init__(self, message: str, *, tried: str = "", got: str = "", expected: str = "") -> None:
        super().__init__(message)
        self.message, self.tried, self.got, self.expected = message, tried, got, expected


class NotWritten(Exception):
    """The answer still raises NotImplementedError: nobody has written it yet."""


class CannotTry(Exception):
    """A case needs something that this machine lacks; the text says what."""


def Name(name: str) -> Ref:
    """An argument that stands for a name of the learner's notebook."""
    return Ref(name=name)


@dataclass(frozen=True)
class Failure:
    """The exception an answer raised: names of its type and bases, message, place."""

    kinds: tuple[str, ...]
    message: str
    line: int | None
    source: str

    @classmethod
    def told(cls, parts: Any, tidy: Callable[[str], str]) -> Failure:
        """From what the answer's side says; raises ValueRefused if that is malformed."""
        try:
            kinds = tuple(str(kind) for kind in parts["kinds"]) or ("Exception",)
            line = parts["line"] if type(parts["line"]) is int else None
            return cls(kinds, tidy(str(parts["message"])), line, str(parts["source"]))
        except (TypeError, KeyError) as malformed:
            raise ValueRefused("an error is malformed") from malformed

    def __str__(self) -> str:
        said = f"{self.kinds[0]}: {self.message}" if self.message else self.kinds[0]
        code = f": {self.source}" if self.source else ""
        return f"{said} (line {self.line} of the cell{code})" if self.line else said


@dataclass(frozen=True)
class Result:
    """What one request brought: a value or an error, with what was tried as text."""

    tried: str
    value: Any
    error: Failure | None
    printed: str
    seconds: float

    @property
    def got(self) -> str:
        return (
            f"raised {self.error}"
            if self.error
            else show(self.value.ref if isinstance(self.value, Thing) else self.value)
        )


class Thing:
    """An object on the answer's side. What it gives is read as values, never trusted as a type."""

    def __init__(self, answer: Answer, ref: Ref, label: str) -> None:
        self._answer = answer
        self.ref = ref
        self.label = label

    def call(self, method: str, *args: Any, **kwargs: Any) -> Result:
        """Call a method; raises Wrong if it raises."""
        return self._answer._wanted(self.attempt(method, *args, **kwargs))

    def attempt(self, method: str, *args: Any, **kwargs: Any) -> Result:
        """Call a method; an error stands in the result."""
        tried = f"{self.label}.{method}({self._answer._arguments(args, kwargs)})"
        return self._answer._run(tried, do="call", target=self.ref, method=method, args=list(args), kwargs=kwargs)

    def get(self, name: str) -> Result:
        """Read an attribute; raises Wrong if there is none."""
        return self._answer._wanted(
            self._answer._run(f"{self.label}.{name}", do="attribute", target=self.ref, name=name)
        )

    def item(self, key: Any) -> Result:
        """Read `thing[key]`; raises Wrong if that fails."""
        return self._answer._wanted(
            self._answer._run(f"{self.label}[{show(key)}]", do="item", target=self.ref, key=key)
        )


class Answer:
    """Asks for values through `send`, which carries bytes there and back.

    `allowed` names what cases may use outside the answer's process; None means everything.
    """

    def __init__(self, send: Callable[[bytes], bytes], allowed: Collection[str] | None = None) -> None:
        self._send = send
        self._allowed = allowed
        self._folders: list[str] = []

    def allows(self, what: str) -> bool:
        """Whether a case may use something that runs outside the answer's own process, such as "engine".

        In a notebook always: the machine is the learner's own. In a grader where it was asked to, by an
        option of that name.
        """
        return self._allowed is None or what in self._allowed

    def need(self, what: str) -> None:
        """Raise CannotTry unless the answer `allows` it."""
        if not self.allows(what):
            raise CannotTry(f"the grader was not asked to; `labkit grade --{what}` does")

    def missing(self, *names: str) -> list[str]:
        """Those of the names that the notebook does not define."""
        reply = self._ask(do="missing", names=list(names))
        if not isinstance(reply, list):
            raise ValueRefused("the list of missing names is malformed")
        return [name for name in names if name in reply]

    def value(self, name: str) -> Result:
        """The value of a name of the notebook."""
        return self._wanted(self._run(name, do="value", target=Ref(name=name)))

    def call(self, name: str, *args: Any, **kwargs: Any) -> Result:
        """Call a function of the notebook; raises Wrong if it raises, NotWritten if it is a stub."""
        return self._wanted(self.attempt(name, *args, **kwargs))

    def attempt(self, name: str, *args: Any, **kwargs: Any) -> Result:
        """Call a function of the notebook; an error stands in the result. NotWritten if it is a stub."""
        tried = f"{name}({self._arguments(args, kwargs)})"
        asked = {"do": "call", "target": Ref(name=name), "method": None, "args": list(args), "kwargs": kwargs}
        return self._written(self._run(tried, **asked))

    def call_fresh(self, name: str, *args: Any, **kwargs: Any) -> Result:
        """Call a function in a process in which the notebook has loaded nothing; the value must be plain."""
        tried = f"in a fresh process: {name}({self._arguments(args, kwargs)})"
        asked = {"do": "fresh", "target": Ref(name=name), "args": list(args), "kwargs": kwargs}
        return self._wanted(self._run(tried, **asked))

    def client(self, app: str | Thing, *args: Any, **kwargs: Any) -> Client:
        """Start an ASGI app of the notebook and give a client for it; a context manager.

        Parameters
        ----------
        app
            Name of an app, or of a function that makes one from the further arguments, or a Thing.

        Raises
        ------
        Wrong
            It is no app, or it does not start.
        """
        from labkit.http import Client

        target = app.ref if isinstance(app, Thing) else Ref(name=app)
        label = app.label if isinstance(app, Thing) else app
        made = f"{label}({self._arguments(args, kwargs)})" if args or kwargs else label
        given = [part.ref if isinstance(part, Thing) else part for part in args]
        named = {name: part.ref if isinstance(part, Thing) else part for name, part in kwargs.items()}
        return Client(self, target, self.tidy(made), given, named)

    def untouched(self) -> Answer:
        """Where the lab's set-up has run and no answer cell: for what a check needs of the set-up itself.

        In a notebook that is the kernel, where all is the learner's own. A grader has a process for
        it, so that an answer cell cannot put something of its own under a name of the set-up.
        """
        return self

    def folder(self) -> str:
        """A new empty folder on the answer's side, as a path."""
        return self._made(self._ask(do="folder"))

    def copy(self, folder: str) -> str:
        """A copy of a folder, to spoil without touching the first."""
        return self._made(self._ask(do="copy", path=folder))

    def read(self, path: str, limit: int = MAX_FILE) -> bytes:
        """The first `limit` bytes of a file below a folder of this answer; raises Wrong if there is none."""
        return self._wanted(self._run(f"open({path!r})", do="read", path=path, limit=min(limit, MAX_FILE))).value

    def write(self, path: str, data: bytes) -> None:
        """Put bytes into a file below a folder of this answer, in place if it is there."""
        self._ask(do="write", path=path, data=data)

    def files(self, folder: str) -> dict[str, int]:
        """The files below a folder: relative name (with /) to size in bytes, a thousand at most."""
        listed = self._ask(do="files", path=folder)
        if not isinstance(listed, dict) or not all(type(k) is str and type(v) is int for k, v in listed.items()):
            raise ValueRefused("the list of files is malformed")
        return listed

    def tidy(self, text: str) -> str:
        """The text without the paths of this check's folders, which mean nothing to a reader."""
        for folder in sorted(self._folders, key=len, reverse=True):
            # On Windows a path shown by repr has its backslashes doubled.
            text = text.replace(folder, "folder").replace(folder.replace("\\", "\\\\"), "folder")
        return text

    def _made(self, folder: Any) -> str:
        if type(folder) is not str:
            raise ValueRefused("the folder's path is malformed")
        self._folders.append(folder)
        return folder

    def _ask(self, **request: Any) -> Any:
        return decode(self._send(encode(request)))

    def _run(self, tried: str, **request: Any) -> Result:
        reply = self._ask(**request)
        try:
            error = Failure.told(reply["error"], self.tidy) if reply["error"] else None
            value, printed, seconds = reply["value"], str(reply["printed"]), float(reply["seconds"])
        except (TypeError, KeyError, ValueError) as malformed:
            raise ValueRefused("a reply is malformed") from malformed
        if isinstance(value, Ref):
            value = Thing(self, value, label="it" if len(tried) > 40 else tried)
        return Result(self.tidy(tried), value, error, self.tidy(printed), seconds)

    def _written(self, result: Result) -> Result:
        if result.error and result.error.kinds[0] == "NotImplementedError" and not result.error.message:
            raise NotWritten
        return result

    def _wanted(self, result: Result) -> Result:
        self._written(result)
        if result.error:
            raise Wrong("Your code stopped with an error here.", tried=result.tried, got=result.got)
        return result

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        plain = [show(value, 60) for value in args] + [f"{name}={show(value, 60)}" for name, value in kwargs.items()]
        return self.tidy(", ".join(plain))


@contextlib.contextmanager
def notebook_answer(namespace: Mapping[str, Any], allowed: Collection[str] | None = None) -> Iterator[Answer]:
    """The answer in this kernel, by default with all that cases may need. Its folders are gone when the block ends.

    An answer that has moved to another folder would leave the kernel in one of those, so it goes back.
    """
    made = tempfile.TemporaryDirectory(prefix="labkit-", ignore_cleanup_errors=True)
    with contextlib.chdir(Path.cwd()), made as folder:
        yield Answer(Host(namespace, Path(folder).resolve(), fresh.call).serve, allowed)
