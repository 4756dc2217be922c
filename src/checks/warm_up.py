"""The warm-up of lesson 00: one small exercise, so that a check is no stranger in lab 01.

It is not a lab: it lies in no notebook of labs/, and what is tried in it leaves the learner's
record of the labs as it was.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from labkit.answer import Answer
from labkit.exercise import Exercise, Report, as_array, case, expect
from labkit.lab import Lab, Shown

LIMIT = 15  # minutes


class Late(Exercise):
    id = "late"
    title = "Which flights are late?"
    names = ("late",)
    points = 3.0
    hints = (
        "Read the definition once more, with a flight in mind that arrives 15 minutes late to the minute.",
        "NumPy compares a whole array with a number at once and gives an array of True and False. "
        "A comparison with a missing value, `nan`, gives False.",
        "15 minutes late or more is `>=`. Turning it round, as in `~(minutes < 15)`, would call "
        "every missing delay late.",
    )

    @case("delays far from the limit are told apart")
    def far(self, answer: Answer, rng: np.random.Generator) -> None:
        early, slight = rng.integers(-60, -20, 2), rng.integers(1, 12, 1)
        delayed = rng.integers(40, 200, 2)
        minutes = rng.permutation(np.concatenate([early, slight, delayed])).astype(float)
        message = "40 minutes is late; a few minutes are not, nor is a flight that came early."
        self._compare(answer, minutes, message)

    @case("15 minutes to the minute is late")
    def limit(self, answer: Answer, rng: np.random.Generator) -> None:
        message = "The definition says 15 minutes late or more: 15 is late, 14 is not."
        self._compare(answer, rng.permutation([14.0, 15.0, 16.0]), message)

    @case("a flight without an arrival delay is not late")
    def missing(self, answer: Answer, rng: np.random.Generator) -> None:
        minutes = rng.permutation([np.nan, 60.0, -5.0])
        message = "`nan` stands for a flight that never arrived; it is not counted as late."
        self._compare(answer, minutes, message)

    def _compare(self, answer: Answer, minutes: np.ndarray, message: str) -> None:
        wanted = minutes >= LIMIT
        result = answer.call("late", minutes)
        found = as_array(result)
        shape = "The answer needs one True or False for each flight."
        expect(found.shape == wanted.shape, shape, result, expected=wanted)
        expect(np.isin(found, [0, 1]).all(), shape, result, expected=wanted)
        expect((found == wanted).all(), message, result, expected=wanted)


class WarmUp(Lab):
    """A lab that keeps its record to itself and forgets it when the kernel ends."""

    _record = b""

    def check(self, exercise: str, *, namespace: Mapping[str, Any] | None = None) -> Report:
        with self._own_record():
            return super().check(exercise, namespace=namespace)

    def hint(self, exercise: str) -> Shown:
        with self._own_record():
            return super().hint(exercise)

    def solution(self, exercise: str) -> Shown:
        """The warm-up has no solution notebook: the lesson goes on to the right answer itself."""
        self._find(exercise)
        return Shown("A right answer stands in the lesson, a few cells further down.")

    @contextmanager
    def _own_record(self) -> Iterator[None]:
        """Let the engine read and write a record that lives between calls in this object only."""
        before = os.environ.get("LABKIT_HOME")
        with tempfile.TemporaryDirectory(prefix="labkit-") as folder:
            kept = Path(folder, "progress.json")
            if self._record:
                kept.write_bytes(self._record)
            os.environ["LABKIT_HOME"] = folder
            try:
                yield
            finally:
                if before is None:
                    del os.environ["LABKIT_HOME"]
                else:
                    os.environ["LABKIT_HOME"] = before
                if kept.exists():
                    self._record = kept.read_bytes()


lab = WarmUp("warm_up", [Late])
