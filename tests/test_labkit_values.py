"""What crosses between an answer and its check: plain values come through, nothing else does."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest

from labkit.values import MAX_DEPTH, MAX_ITEMS, Ref, ValueRefused, decode, encode, show

PLAIN = [
    None,
    True,
    -3,
    2**80,
    1.5,
    float("inf"),
    "naïve résumé",
    b"\x00\xff",
    [1, [2, []]],
    (1, "a"),
    {"a": 1, 2: [3.0], ("x", 1): None},
    {"$": "array"},  # a learner's dict that looks like a mark of the format
]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values_come_back_as_they_were(value: object) -> None:
    back = decode(encode(value))
    assert back == value and type(back) is type(value)


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float16", "float32", ">f8"])
def test_arrays_come_back_with_shape_type_and_numbers(dtype: str) -> None:
    array = np.arange(12).reshape(3, 4).astype(dtype)[:, ::2]
    back = decode(encode(array))
    assert back.shape == (3, 2) and back.dtype == array.dtype.newbyteorder("<")
    assert np.array_equal(back, array)


def test_numpy_numbers_become_pythons() -> None:
    assert type(decode(encode(np.float32(0.5)))) is float
    assert type(decode(encode(np.int64(3)))) is int
    assert decode(encode(np.True_)) is True


def test_an_object_that_claims_to_equal_everything_stays_on_its_side() -> None:
    class Equal:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None

    class Number(float):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = float.__hash__

    kept: list[object] = []

    def keep(thing: object) -> Ref:
        kept.append(thing)
        return Ref(number=len(kept), type=type(thing).__name__)

    back = decode(encode([Equal(), Number(1.0), np.array([Equal()])], keep))
    assert [ref.number for ref in back] == [1, 2, 3]
    assert [ref.type for ref in back] == ["Equal", "Number", "ndarray"]


def test_what_is_not_plain_is_refused_where_nobody_keeps_it() -> None:
    with pytest.raises(ValueRefused, match="set is not a plain value"):
        encode({1, 2})


@pytest.mark.parametrize(
    "value", [[0] * (MAX_ITEMS + 1), b"x" * (65 * 2**20), 10**5000], ids=["parts", "bytes", "digits"]
)
def test_what_is_too_large_is_refused_before_it_is_sent(value: object) -> None:
    with pytest.raises(ValueRefused):
        encode(value)


def test_what_is_too_deep_is_refused_on_both_sides() -> None:
    deep: list = []
    for _ in range(MAX_DEPTH + 5):
        deep = [deep]
    with pytest.raises(ValueRefused):
        encode(deep)
    with pytest.raises(ValueRefused):
        decode(msgpack.packb(deep))


def packed(**parts: object) -> bytes:
    return msgpack.packb(parts)


FORGED = {
    "no message": b"\xc1",
    "cut off": encode([1, 2, 3])[:-1],
    "trailing bytes": encode(1) + b"\x00",
    "unknown mark": packed(**{"$": "call", "name": "os.system"}),
    "no mark": packed(name="x"),
    "object array": packed(**{"$": "array", "dtype": "|O", "shape": [1], "data": b"12345678"}),
    "shape beyond data": packed(**{"$": "array", "dtype": "<f8", "shape": [1000], "data": b"12345678"}),
    "negative shape": packed(**{"$": "array", "dtype": "<f8", "shape": [-1], "data": b"12345678"}),
    "shape of text": packed(**{"$": "array", "dtype": "<f8", "shape": "1", "data": b"12345678"}),
    "structured type": packed(**{"$": "array", "dtype": "f8,i4", "shape": [1], "data": b"123456789012"}),
    "digits that are none": packed(**{"$": "int", "text": "__import__('os')"}),
    "reference of lists": packed(**{"$": "ref", "name": [], "number": 1, "type": ""}),
    "key that is a list": packed(**{"$": "dict", "items": [[[1], 2]]}),
    "extension type": msgpack.packb(msgpack.ExtType(5, b"x")),
}


@pytest.mark.parametrize("data", FORGED.values(), ids=FORGED)
def test_forged_messages_are_refused(data: bytes) -> None:
    with pytest.raises(ValueRefused):
        decode(data)


def test_decoded_arrays_can_be_written_without_changing_the_first() -> None:
    """They become arguments of a learner's function, which may work in place."""
    first = np.zeros(2)
    decode(encode(first))[0] = 1
    assert first[0] == 0


def test_shown_values_are_short() -> None:
    assert show(np.zeros((1000, 1000))) == "array (1000, 1000) float64: 0, 0, 0, 0, 0, …"
    assert show(list(range(10_000))).startswith("list of 10,000: 0, 1")
    assert len(show("x" * 10_000)) <= 160
