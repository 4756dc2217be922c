"""The check's side of HTTP: a client for the learner's ASGI app, wherever it runs.

    with answer.client("create_app", folder) as client:
        reply = client.post("/predictions", json={"dep_delay": 12.0})
        expect(reply.status == 200, "A valid flight is refused.", reply, expected="200")
        replies = client.at_once([Request("POST", "/predictions", json=row) for row in rows])

Only values cross. What a reply holds was written by the learner's app and is checked for its type
here, and judged by the check.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn

from labkit.answer import Failure, Result, Wrong
from labkit.values import ValueRefused

if TYPE_CHECKING:
    from labkit.answer import Answer

LIMIT_S = 10.0
SHOWN = 300  # characters of a request or a response in a message
_NOTHING: Any = object()


class NotStarted(Wrong):
    """The app failed, or hung, while it started."""


class Request:
    """One request.

    Parameters
    ----------
    method, path
        As in `POST /predictions?explain=1`.
    json
        Sent as JSON with its content type. NaN and infinities are written as Python writes them,
        which no JSON reader has to accept.
    content
        Sent as it is, instead of `json`.
    headers
        Added to, or instead of, those that `json` brings.
    """

    def __init__(
        self,
        method: str,
        path: str,
        *,
        json: Any = _NOTHING,
        content: bytes | str = b"",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.method, self.path = method, path
        self.headers = {name.lower(): value for name, value in (headers or {}).items()}
        self.content = content.encode() if isinstance(content, str) else content
        if json is not _NOTHING:
            self.content = _dumps(json).encode()
            self.headers = {"content-type": "application/json"} | self.headers

    def __str__(self) -> str:
        told = {name: value for name, value in self.headers.items() if (name, value) != _JSON}
        return " ".join(part for part in (self.method, self.path, str(told or ""), _body(self.content)) if part)

    @property
    def values(self) -> dict[str, Any]:
        """What crosses to the answer's side."""
        headers = [list(pair) for pair in self.headers.items()]
        return {"method": self.method, "path": self.path, "headers": headers, "content": self.content}


_JSON = ("content-type", "application/json")


@dataclass(frozen=True)
class Reply(Result):
    """What came back for one request; it can stand where `expect` wants a Result.

    Attributes
    ----------
    status
        500 if the app raised an error; `error` then tells it.
    headers
        Names in lower case; a repeated header's values joined by ", ".
    body
        At most 4 MB, or the app is told that its response is too large.
    """

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as plain values; raises Wrong if it is not JSON."""
        try:
            return json.loads(self.body, parse_constant=_not_json)
        except (ValueError, RecursionError):
            raise Wrong("The response is not JSON.", tried=self.tried, got=self.got, expected="JSON") from None

    @property
    def got(self) -> str:
        name = HTTPStatus(self.status).phrase if self.status in HTTPStatus._value2member_map_ else ""
        kind = self.headers.get("content-type", "")
        told = "" if kind == _JSON[1] else kind
        parts = [f"{self.status} {name}".strip(), told, _body(self.body), f"raised {self.error}" if self.error else ""]
        return ", ".join(part for part in parts if part)


class Client:
    """Sends requests to an app that has started; a context manager, made by `Answer.client`.

    Raises Wrong where it is no app, hangs or fails while it stops, NotStarted where it does not start.
    """

    def __init__(self, answer: Answer, target: Any, label: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        self._answer = answer
        asked = {"target": target, "label": label, "args": args, "kwargs": kwargs, "limit_s": LIMIT_S}
        result = answer._run(f"the app {label} starts", do="app_start", **asked)
        if result.error:
            answer._written(result)
            wrong_kind = result.error.kinds[0] == "NotAnApp"
            if wrong_kind:
                raise Wrong("This is not a web app.", tried=result.tried, got=result.error.message)
            raise NotStarted("Your app does not start.", tried=result.tried, got=result.got)
        if type(result.value) is not int:
            raise ValueRefused("the app's number is malformed")
        self._number: int | None = result.value
        self._label = label

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self.close()
        except (Wrong, ValueRefused):
            if kind is None:  # what went wrong first is what the learner is told
                raise

    def close(self) -> None:
        """Stop the app, as a server does; raises Wrong if its lifespan fails then. Twice is once."""
        number, self._number = self._number, None
        if number is None:
            return
        result = self._answer._run(f"the app {self._label} stops", do="app_stop", app=number)
        if result.error:
            raise Wrong("Your app does not stop as it should.", tried=result.tried, got=result.got)

    def request(self, method: str, path: str, *, limit_s: float = LIMIT_S, **more: Any) -> Reply:
        """Send one request (see `Request`); raises Wrong if no response comes within `limit_s`."""
        return self.at_once([Request(method, path, **more)], limit_s=limit_s)[0]

    def get(self, path: str, **more: Any) -> Reply:
        return self.request("GET", path, **more)

    def post(self, path: str, **more: Any) -> Reply:
        return self.request("POST", path, **more)

    def put(self, path: str, **more: Any) -> Reply:
        return self.request("PUT", path, **more)

    def delete(self, path: str, **more: Any) -> Reply:
        return self.request("DELETE", path, **more)

    def at_once(self, requests: Sequence[Request], *, limit_s: float = LIMIT_S) -> list[Reply]:
        """Send all requests together; gives the replies in the order of the requests."""
        if self._number is None:
            raise ValueError("this client is closed")
        asked = {"app": self._number, "requests": [request.values for request in requests], "limit_s": limit_s}
        many = f" and {len(requests) - 1} more at once" if len(requests) > 1 else ""
        result = self._answer._run(f"{requests[0]}{many}", do="app_requests", **asked)
        if result.error:
            raise Wrong("Your app could not be asked.", tried=result.tried, got=result.got)
        if not isinstance(result.value, list) or len(result.value) != len(requests):
            raise ValueRefused("the list of responses is malformed")
        tried = [self._answer.tidy(str(request)) for request in requests]
        return [self._reply(text, part, result) for text, part in zip(tried, result.value, strict=True)]

    def _reply(self, tried: str, part: Any, result: Result) -> Reply:
        status, headers, body, error, hangs = _parts(part)
        if hangs:
            raise Wrong("Your app does not answer.", tried=tried, got=self._answer.tidy(hangs), expected="a response")
        found: dict[str, str] = {}
        for name, value in headers:
            found[name] = f"{found[name]}, {value}" if name in found else value
        failure = Failure.told(error, self._answer.tidy) if error else None
        reply = Reply(tried, body, failure, result.printed, result.seconds, status=status, headers=found, body=body)
        self._answer._written(reply)
        return reply


def _parts(part: Any) -> tuple[int, list[list[str]], bytes, Any, str]:
    """The parts of one reply, each of the type it must have."""
    try:
        found = (part["status"], part["headers"], part["body"], part["error"], part["hangs"])
    except (TypeError, KeyError) as malformed:
        raise ValueRefused("a response is malformed") from malformed
    status, headers, body, _, hangs = found
    pairs = type(headers) is list and all(
        type(pair) is list and len(pair) == 2 and all(type(text) is str for text in pair) for pair in headers
    )
    if not (type(status) is int and pairs and type(body) is bytes and type(hangs) is str):
        raise ValueRefused("a response is malformed")
    return found


def _dumps(value: Any) -> str:
    return json.dumps(value)


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _body(body: bytes) -> str:
    text = body.decode("utf-8", errors="replace")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}… ({len(body):,} bytes)"
