"""Errors as problem documents (RFC 9457): one type for each thing a client can do about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import to_json

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:flight-delays:problem:"
MAX_ERRORS = 100  # of one answer

KINDS: dict[str, tuple[int, str]] = {
    "not-json": (400, "The body is not JSON"),
    "key-needed": (401, "A key is needed"),
    "writes-off": (403, "Writes are switched off"),
    "no-such-version": (404, "No such version"),
    "no-champion": (404, "There is no champion"),
    "version-conflict": (409, "The version is there with other content"),
    "is-champion": (409, "The version is the champion"),
    "precondition-failed": (412, "It has changed"),
    "too-large": (413, "The body is too large"),
    "too-many-rows": (413, "Too many flights"),
    "wrong-media-type": (415, "The body is of another type"),
    "invalid-input": (422, "The input does not fit"),
    "bundle-refused": (422, "The bundle is refused"),
    "precondition-needed": (428, "A precondition is needed"),
    "bug": (500, "A fault of the service"),
    "damaged": (500, "The store is damaged"),
    "not-ready": (503, "No model is loaded"),
    "busy": (503, "The store is busy"),
}
"""Kind to status and title; the type is urn:flight-delays:problem:KIND."""


class FieldError(BaseModel):
    """One fault of the input."""

    pointer: str = Field(description="JSON Pointer (RFC 6901) to the value, empty for the body")
    message: str


class ProblemDocument(BaseModel):
    """Why a request was not done (RFC 9457)."""

    type: str = Field(description="a URI that names the kind of problem", examples=["about:blank"])
    title: str = Field(description="the kind of problem, in words")
    status: int = Field(description="the status code")
    detail: str = Field(description="what was wrong this time, and what to do")
    request_id: str = Field(description="as in the header X-Request-ID and in the log")
    errors: list[FieldError] | None = Field(None, description="what does not fit, with 422")


class Answer(NamedTuple):
    """A response before it is sent; `version` is that of the model that answered, for the log."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    version: str | None = None


@dataclass
class Problem(Exception):
    """A request that cannot be done; `kind` is one of `KINDS`, or a status code."""

    kind: str | int
    detail: str
    errors: Sequence[FieldError] = ()
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        return self.kind if isinstance(self.kind, int) else KINDS[self.kind][0]

    def answer(self, request_id: str) -> Answer:
        """Return the problem document as a response."""
        if isinstance(self.kind, int):
            kind, title = "about:blank", HTTPStatus(self.kind).phrase
        else:
            kind, title = _TYPE + self.kind, KINDS[self.kind][1]
        document: dict[str, Any] = {
            "type": kind,
            "title": title,
            "status": self.status,
            "detail": self.detail,
            "request_id": request_id,
        }
        if self.errors:
            document["errors"] = list(self.errors)
        body = to_json(document)
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", b"%d" % len(body)),
            *((name.lower().encode(), value.encode()) for name, value in self.headers.items()),
        ]
        return Answer(self.status, headers, body)


def bug() -> Problem:
    """What a client is told of a fault it has no part in; the rest is in the log."""
    return Problem("bug", "The request met a fault of the service; the log has it under this id.")


def from_validation(error: ValidationError) -> Problem:
    """Turn pydantic's faults into a 400 for what is not JSON, else a 422."""
    count = error.error_count()
    if count > MAX_ERRORS:
        # Only fields nobody knows can be so many. Listing them would cost more than the request.
        message = f"{count} faults, nearly all of them fields that are not known"
        return Problem("invalid-input", message, [FieldError(pointer="", message=message)])
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    if faults[0]["type"] == "json_invalid":
        return Problem("not-json", faults[0]["msg"])
    errors = [
        FieldError(pointer=json_pointer(fault["loc"]), message=_message(fault)) for fault in faults
    ]
    first = f"{errors[0].pointer or 'the body'}: {errors[0].message}"
    rest = f" (and {count - 1} more)" if count > 1 else ""
    return Problem("invalid-input", first + rest, errors)


def json_pointer(path: Iterable[str | int]) -> str:
    """Write a path as a JSON Pointer; a long name, which can only be a sender's, is cut."""
    parts = (str(part)[:100].replace("~", "~0").replace("/", "~1") for part in path)
    return "".join(f"/{part}" for part in parts)


def _message(fault: Any) -> str:
    match fault["type"]:
        case "extra_forbidden":
            return "no such field"
        case "missing":
            return "is missing"
        case _:
            return fault["msg"].removeprefix("Value error, ").replace("Input should", "should")
