"""Lab 01: what the checks of its exercises share."""

from __future__ import annotations

import copy
import io
from functools import lru_cache
from typing import Any

import joblib
import numpy as np

from labkit.answer import Answer, Name, Result, Thing, Wrong
from labkit.exercise import expect
from labkit.values import Ref, show
from lessonkit.interactions import Recommender, small_recommender

MODEL = "model.joblib"
USERS = 400  # of a small recommender


def draw_seed(rng: np.random.Generator) -> int:
    """The seed of a small recommender."""
    return int(rng.integers(1, 2**31))


def over_there(answer: Answer, seed: int, **size: int) -> Ref:
    """The small recommender of a seed and size, made on the answer's side."""
    made = answer.call("small_recommender", seed, **size).value
    expect(
        isinstance(made, Thing),
        "`small_recommender` is not the one of the set-up cell: run that cell again.",
    )
    return made.ref


@lru_cache(maxsize=128)
def known_recommender(seed: int, **size: int) -> Recommender:
    """The small recommender of a seed and size, as a check knows it: its numbers cannot be written.

    A grader asks for the same ones for each submission of a class, so they are fitted once.
    """
    model = small_recommender(seed, **size)
    for numbers in arrays_of(model).values():
        numbers.setflags(write=False)
    return model


def with_components(model: Recommender, components: np.ndarray) -> Recommender:
    """The model with other factors of its films, and those of its users to match."""
    svd = copy.copy(model.svd)
    svd.components_ = np.ascontiguousarray(components, np.float32)
    return Recommender(svd, svd.transform(model.seen), model.seen)


def joblib_bytes(thing: Any) -> bytes:
    """What `joblib.dump` writes, uncompressed."""
    buffer = io.BytesIO()
    joblib.dump(thing, buffer)
    return buffer.getvalue()


def reach(thing: Thing, path: str) -> Any:
    """The value at the end of names with dots between them, such as `svd.components_`; None if there is none."""
    value: Any = thing
    for name in path.split("."):
        try:
            value = value.get(name).value if isinstance(value, Thing) else None
        except Wrong:
            return None
    return value


def expect_same(thing: Thing, model: Recommender, message: str, result: Result) -> None:
    """Raise Wrong unless the Recommender over there holds the numbers of this one."""
    for path, numbers in arrays_of(model).items():
        found = reach(thing, path)
        same = isinstance(found, np.ndarray) and np.array_equal(found, numbers)
        got = f"{path}: {show(found.ref if isinstance(found, Thing) else found)}"
        expect(same, message, result, got=got, expected=f"{path}: {show(numbers)}")


def arrays_of(model: Recommender) -> dict[str, np.ndarray]:
    """The arrays that make up a Recommender, each under the names that lead to it."""
    seen = model.seen
    return {
        "user_factors": model.user_factors,
        "svd.components_": model.svd.components_,
        "seen.data": seen.data,
        "seen.indices": seen.indices,
        "seen.indptr": seen.indptr,
    }


def working_folder(answer: Answer) -> Any:
    """The folder that the answer's process works in; None if it is gone."""
    return Thing(answer, Name("Path"), "Path").attempt("cwd").value


def expect_in_place(answer: Answer, before: Any, result: Result) -> None:
    """Raise Wrong if the answer's process has moved to another folder since `before`."""
    message = "Your code has changed the working folder of the whole notebook. Build a path from `folder` instead."
    moved = working_folder(answer) != before
    expect(not moved, message, result, got="another working folder than before", expected="the same")


def contents(answer: Answer, folder: str) -> dict[str, bytes]:
    """Each file below a folder with its bytes."""
    return {name: answer.read(f"{folder}/{name}") for name in answer.files(folder)}


def error_is(result: Result, kind: str) -> bool:
    """Whether the answer raised an error of this type, or of one that derives from it."""
    return result.error is not None and kind in result.error.kinds


def listed(files: dict[str, int]) -> str:
    """The names of files, for a person."""
    return ", ".join(files) or "no file"
