"""A lab that costs nothing, for tests of the grader: a number, a sum, a file."""

from __future__ import annotations

import numpy as np

from labkit.answer import Answer
from labkit.exercise import Exercise, case, expect, expect_close
from labkit.lab import Lab


class Double(Exercise):
    id, title, names, points = "double", "Twice a number", ("double",), 2
    hints = ("Multiply.",)

    @case("twice a number")
    def twice(self, answer: Answer, rng: np.random.Generator) -> None:
        number = int(rng.integers(2, 10**6))
        expect_close(answer.call("double", number), 2 * number, "This is another number.")


class Total(Exercise):
    id, title, names, points = "total", "The sum of some numbers", ("total",), 2
    hints = ("Add them up.",)

    @case("the sum of some numbers")
    def total(self, answer: Answer, rng: np.random.Generator) -> None:
        numbers = rng.integers(2, 10**6, 5)
        expect_close(answer.call("total", numbers), numbers.sum(), "This is another sum.")

    @case("the same in a fresh process")
    def fresh(self, answer: Answer, rng: np.random.Generator) -> None:
        numbers = rng.integers(2, 10**6, 5)
        expect_close(answer.call_fresh("total", numbers), numbers.sum(), "This is another sum.")


class Write(Exercise):
    id, title, names, points = "write", "A text in a file", ("write",), 2
    hints = ("Open the file to write.",)

    @case("the file holds the text")
    def holds(self, answer: Answer, rng: np.random.Generator) -> None:
        text = str(rng.integers(10**9))
        folder = answer.folder()
        result = answer.call("write", text, f"{folder}/note.txt")
        found = answer.read(f"{folder}/note.txt").decode(errors="replace")
        expect(found == text, "The file holds another text.", result, got=found, expected=text)


lab = Lab("light_lab", [Double, Total, Write])

SETUP = ("import numpy as np",)
RIGHT = {
    "double": "def double(x):\n    return 2 * x",
    "total": "def total(values):\n    return sum(values.tolist())",
    "write": "def write(text, path):\n    with open(path, 'w') as file:\n        file.write(text)",
}
