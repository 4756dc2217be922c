"""What may cross between an answer and its check: plain values, as bytes that cannot execute.

An answer may run in the notebook's own process or in an isolated one that nobody trusts. In both
cases the check sees only what passes through `encode` and `decode`: None, bool, int, float, str,
bytes, list, tuple, dict, and NumPy arrays of numbers. Types are compared exactly, so an object
of the learner's own class, whatever it claims to equal, stays on its side and becomes a `Ref`.

The format is MessagePack with every length bounded by the reader.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import msgpack
import numpy as np

MAX_BYTES = 64 * 2**20
MAX_ITEMS = 200_000
MAX_DEPTH = 24
MAX_DIGITS = 1_000
KINDS = "biuf"  # bool, int, unsigned, float: what an array may hold


class ValueRefused(ValueError):
    """A value or message breaks the rules above; the text says which."""


@dataclass(frozen=True)
class Ref:
    """Stands for something on the answer's side: a name of the notebook, or an object by number.

    `type` is what the answer's side says it is, as text to show and never a thing to trust.
    """

    name: str | None = None
    number: int | None = None
    type: str = ""


@dataclass
class _Writer:
    keep: Callable[[Any], Ref]
    items: int = 0
    size: int = 0

    def pack(self, value: Any, depth: int = 0) -> Any:
        self.items += 1
        if self.items > MAX_ITEMS or depth > MAX_DEPTH:
            raise ValueRefused(f"the value has more than {MAX_ITEMS:,} parts or {MAX_DEPTH} levels")
        kind = type(value)
        if value is None or kind in (bool, float):
            return value
        if kind is int:
            return value if -(2**63) <= value < 2**64 else self._wide(value)
        if kind is str or isinstance(value, PurePath):
            text = str(value)
            self._count(len(text))
            return text
        if kind in (bytes, bytearray):
            self._count(len(value))
            return bytes(value)
        if kind is list:
            return [self.pack(part, depth + 1) for part in value]
        if kind is tuple:
            return {"$": "tuple", "items": [self.pack(part, depth + 1) for part in value]}
        if kind is dict:
            return {
                "$": "dict",
                "items": [[self.pack(k, depth + 1), self.pack(v, depth + 1)] for k, v in value.items()],
            }
        if isinstance(value, np.generic) and value.dtype.kind in KINDS:
            return self.pack(value.item(), depth)
        if kind in (np.ndarray, np.memmap) and value.dtype.kind in KINDS:
            return self._array(value)
        ref = value if kind is Ref else self.keep(value)
        return {"$": "ref", "name": ref.name, "number": ref.number, "type": ref.type[:200]}

    def _count(self, size: int) -> None:
        self.size += size
        if self.size > MAX_BYTES:
            raise ValueRefused(f"the value is larger than {MAX_BYTES // 2**20} MB")

    def _wide(self, value: int) -> Any:
        if value.bit_length() > 3 * MAX_DIGITS:
            raise ValueRefused(f"the number has more than about {MAX_DIGITS:,} digits")
        return {"$": "int", "text": str(value)}

    def _array(self, value: np.ndarray) -> Any:
        self._count(value.nbytes)
        # Little-endian whatever the machine, float16 and longdouble as what every reader has.
        kind = value.dtype.newbyteorder("<") if value.dtype.itemsize <= 8 else np.dtype("<f8")
        data = np.ascontiguousarray(value, dtype=kind).tobytes()
        return {"$": "array", "dtype": kind.str, "shape": list(value.shape), "data": data}


def encode(value: Any, keep: Callable[[Any], Ref] | None = None) -> bytes:
    """Turn a value into bytes.

    Parameters
    ----------
    value
        Anything. What is not plain is handed to `keep`, which gives the `Ref` that stands for it.
    keep
        Without it, a value that is not plain is refused.

    Raises
    ------
    ValueRefused
        The value is not plain and there is no `keep`, or it is too large or too deep.
    """

    def refuse(thing: Any) -> Ref:
        raise ValueRefused(f"{type(thing).__name__} is not a plain value")

    return msgpack.packb(_Writer(keep or refuse).pack(value), use_bin_type=True)


def decode(data: bytes) -> Any:
    """Turn bytes from `encode` back into a value; whoever wrote them is not trusted.

    Raises
    ------
    ValueRefused
        The bytes are no such message, or go past a bound.
    """
    if len(data) > MAX_BYTES + 2**20:
        raise ValueRefused(f"the message is larger than {MAX_BYTES // 2**20} MB")
    try:
        raw = msgpack.unpackb(
            data,
            raw=False,
            strict_map_key=True,
            max_str_len=MAX_BYTES,
            max_bin_len=MAX_BYTES,
            max_array_len=MAX_ITEMS,
            max_map_len=8,
            max_ext_len=0,
        )
    except (ValueError, msgpack.exceptions.UnpackException, RecursionError) as error:
        raise ValueRefused(f"the message cannot be read: {type(error).__name__}") from error
    return _unpack(raw, 0)


def _unpack(raw: Any, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise ValueRefused(f"the message has more than {MAX_DEPTH} levels")
    if isinstance(raw, list):
        return [_unpack(part, depth + 1) for part in raw]
    if not isinstance(raw, dict):
        return raw
    try:
        match raw["$"]:
            case "tuple":
                return tuple(_unpack(part, depth + 1) for part in raw["items"])
            case "dict":
                return {_key(_unpack(k, depth + 1)): _unpack(v, depth + 1) for k, v in raw["items"]}
            case "int":
                return _wide_int(raw["text"])
            case "array":
                return _array(raw["dtype"], raw["shape"], raw["data"])
            case "ref":
                return _ref(raw["name"], raw["number"], raw["type"])
            case other:
                raise ValueRefused(f"unknown mark {other!r:.40}")
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueRefused(f"a part of the message is malformed: {type(error).__name__}") from error


def _key(key: Any) -> Any:
    if isinstance(key, np.ndarray | list | dict):
        raise ValueRefused("a dict has a key that cannot be one")
    return key


def _wide_int(text: Any) -> int:
    if not isinstance(text, str) or len(text) > MAX_DIGITS + 1 or not text.lstrip("-").isdecimal():
        raise ValueRefused("a number is malformed")
    return int(text)


def _array(dtype: Any, shape: Any, data: Any) -> np.ndarray:
    if not isinstance(dtype, str) or len(dtype) > 4 or not isinstance(data, bytes):
        raise ValueRefused("an array is malformed")
    kind = np.dtype(dtype)
    sizes = [n for n in shape if isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= MAX_BYTES]
    if kind.kind not in KINDS or len(sizes) != len(shape) or len(shape) > 8:
        raise ValueRefused("an array has a shape or a type that is not allowed")
    if math.prod(sizes) * kind.itemsize != len(data):
        raise ValueRefused("an array's shape does not fit its data")
    return np.frombuffer(data, dtype=kind).reshape(sizes).copy()  # a view of the bytes could not be written to


def _ref(name: Any, number: Any, kind: Any) -> Ref:
    fits = (name is None or isinstance(name, str)) and (number is None or type(number) is int) and isinstance(kind, str)
    if not fits:
        raise ValueRefused("a reference is malformed")
    return Ref(name, number, kind)


def show(value: Any, limit: int = 160) -> str:
    """A short text for a person: arrays by shape and first numbers, long values cut."""
    if isinstance(value, Ref):
        text = value.name or f"<{value.type}>"
    elif isinstance(value, np.ndarray):
        first = ", ".join(f"{x:.4g}" for x in value.ravel()[:5].tolist())
        more = ", …" if value.size > 5 else ""
        text = f"array {value.shape} {value.dtype.name}: {first}{more}"
    elif isinstance(value, float):
        text = f"{value:.6g}"
    elif isinstance(value, bytes):
        text = f"{len(value):,} bytes"
    elif isinstance(value, list | tuple) and len(value) > 8:
        text = f"{type(value).__name__} of {len(value):,}: {', '.join(show(part, 24) for part in value[:5])}, …"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{show(k, 40)}: {show(v, 60)}" for k, v in list(value.items())[:6]) + "}"
    else:
        text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
