"""Lab 01: what the checks of its exercises share."""

from __future__ import annotations

import io
from typing import Any

import joblib
import numpy as np

from labkit.answer import Answer, Result, Thing
from labkit.exercise import expect
from labkit.values import Ref

MODEL = "model.joblib"


def draw_seed(rng: np.random.Generator) -> int:
    """The seed of a small recommender."""
    return int(rng.integers(1, 2**31))


def over_there(answer: Answer, seed: int) -> Ref:
    """The small recommender of a seed, made on the answer's side."""
    made = answer.call("small_recommender", seed).value
    expect(
        isinstance(made, Thing),
        "`small_recommender` is not the one of the set-up cell: run that cell again.",
    )
    return made.ref


def joblib_bytes(thing: Any) -> bytes:
    """What `joblib.dump` writes, uncompressed."""
    buffer = io.BytesIO()
    joblib.dump(thing, buffer)
    return buffer.getvalue()


def error_is(result: Result, kind: str) -> bool:
    """Whether the answer raised an error of this type, or of one that derives from it."""
    return result.error is not None and kind in result.error.kinds


def listed(files: dict[str, int]) -> str:
    """The names of files, for a person."""
    return ", ".join(files) or "no file"
