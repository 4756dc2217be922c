"""Bodies of requests: of the right type, of bounded size, read as they come."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from flight_delays.problems import Problem

JSON, ZIP = b"application/json", b"application/zip"

Receive = Callable[[], Awaitable[Mapping[str, Any]]]


class ClientGone(Exception):
    """The client hung up before its body was complete; there is nobody to answer."""


async def read_body(
    headers: Iterable[tuple[bytes, bytes]],
    receive: Receive,
    limit: int,
    expected: bytes = JSON,
) -> bytes:
    """Return the body of a request that says that it is of the expected type.

    Raises:
        Problem: another media type; more than `limit` bytes, said or sent.
        ClientGone: the client hung up.
    """
    media_type = length = None
    for name, value in headers:
        if name == b"content-type":
            media_type = value
        elif name == b"content-length":
            length = value
    if media_type != expected:
        _check_media_type(media_type, expected)
    if length is not None and length.isdigit() and int(length) > limit:
        raise _too_large(limit)
    message = await receive()  # usually the whole of it
    if message["type"] == "http.request" and not message.get("more_body"):
        body = message.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        return body
    parts, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise _too_large(limit)
        if not message.get("more_body"):
            return b"".join(parts)
        message = await receive()


def _check_media_type(found: bytes | None, expected: bytes) -> None:
    """Refuse another media type; parameters such as a charset do not matter.

    Raises:
        Problem: with status 415.
    """
    if found is None or found.split(b";", 1)[0].strip().lower() != expected:
        told = "none" if found is None else repr(found[:100].decode("latin-1"))
        raise Problem(
            "wrong-media-type", f"expected Content-Type {expected.decode()}, found {told}"
        )


def _too_large(limit: int) -> Problem:
    """Return the problem of a body with more than `limit` bytes."""
    return Problem("too-large", f"expected at most {limit} bytes, found more")
