"""The light lab's exercises: bounds, a moving mean, the latest value of each key."""

from __future__ import annotations

import numpy as np

from labkit.answer import Answer
from labkit.exercise import Exercise, case, expect, expect_close
from labkit.lab import Lab


class Bound(Exercise):
    id, title, names, points = "bound", "Keep values within bounds", ("bound",), 2
    hints = ("numpy.clip does it.",)

    @case("every value is within the bounds")
    def within(self, answer: Answer, rng: np.random.Generator) -> None:
        values = rng.normal(0, 10, 50)
        expect_close(answer.call("bound", values, -5.0, 5.0), np.clip(values, -5, 5), "A value is another.")

    @case("the given array stays as it is")
    def unchanged(self, answer: Answer, rng: np.random.Generator) -> None:
        values = rng.normal(0, 10, 50)
        given, result = answer.call("bound_and_given", values, -5.0, 5.0).value
        expect(np.array_equal(given, values), "The given array was changed.", "bound(values, -5, 5)", got=given)
        expect(len(result) == len(values), "The result has another length.", "bound(values, -5, 5)", got=result)


class Moving(Exercise):
    id, title, names, points = "moving", "A moving mean", ("moving_mean",), 3
    hints = ("Differences of a cumulative sum give the sums of all windows.",)

    @case("the means of windows of three")
    def of_three(self, answer: Answer, rng: np.random.Generator) -> None:
        self._compare(answer, rng, 3)

    @case("the means of another width")
    def of_more(self, answer: Answer, rng: np.random.Generator) -> None:
        self._compare(answer, rng, int(rng.integers(5, 9)))

    @case("a width of one gives the values")
    def of_one(self, answer: Answer, rng: np.random.Generator) -> None:
        self._compare(answer, rng, 1)

    def _compare(self, answer: Answer, rng: np.random.Generator, width: int) -> None:
        values = rng.normal(0, 1, 40)
        wanted = np.convolve(values, np.ones(width) / width, "valid")
        expect_close(answer.call("moving_mean", values, width), wanted, "These are other means.")


class Latest(Exercise):
    id, title, names, points = "latest", "The latest value of each key", ("latest",), 2
    hints = ("A dict keeps the last value that it was given.",)

    @case("the last of several values counts")
    def last(self, answer: Answer, rng: np.random.Generator) -> None:
        pairs = [[f"key {rng.integers(5)}", int(rng.integers(10**6))] for _ in range(30)]
        result = answer.call("latest", pairs)
        expect(result.value == dict(pairs), "Another value is the latest.", result, expected=dict(pairs))

    @case("no pairs give nothing")
    def none(self, answer: Answer, rng: np.random.Generator) -> None:
        result = answer.call("latest", [])
        expect(result.value == {}, "There is nothing to tell.", result, expected="{}")


lab = Lab("light_lab", [Bound, Moving, Latest])
