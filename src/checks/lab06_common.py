"""Lab 06: what the checks of its exercises share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from labkit.answer import Answer, Result, Thing
from labkit.exercise import expect
from labkit.values import Ref
from lessonkit.log_year import plain_log

SETUP = "`{name}` is not the one of the set-up cell: run that cell again."
READY = (
    "Give {what}, ready to be read: a NumPy array or a list. A pandas Series becomes one by `.to_numpy(dtype=float)`."
)


def over_there(answer: Answer, table: pd.DataFrame) -> Ref:
    """The same table on the answer's side."""
    thing = answer.call("as_log", plain_log(table)).value
    expect(isinstance(thing, Thing), SETUP.format(name="as_log"), "as_log(...)", got=thing)
    return thing.ref


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(result: Result, what: str) -> float:
    """The one finite number that came back; else Wrong."""
    value = result.value
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    told = f"Give one number, {what}."
    if isinstance(value, float) and not math.isfinite(value):
        told = f"This is no number one could compare with a limit. Give {what}, finite for every input of the task."
    expect(is_number(value), told, result, expected="a finite number")
    return float(value)


def array(result: Result, shape: tuple[int, ...], what: str) -> np.ndarray:
    """The numbers that came back, as floats of this shape; NaN is allowed. Else Wrong."""
    value = result.value
    expect(isinstance(value, np.ndarray | list | tuple), READY.format(what=what), result, expected=what)
    try:
        # None stands for a missing number in a list, and becomes NaN.
        numbers = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        numbers = None
    expect(numbers is not None, READY.format(what=what), result, expected=what)
    told = (
        f"Give {what}: {' x '.join(map(str, shape))} numbers. These are {' x '.join(map(str, numbers.shape)) or 'one'}."
    )
    expect(numbers.shape == shape, told, result, expected=what)
    return numbers
