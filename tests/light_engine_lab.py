"""A lab that costs nothing, one case of which needs what runs outside the answer: for tests of `--engine`."""

from __future__ import annotations

import os

import numpy as np

from labkit.answer import Answer, CannotTry
from labkit.exercise import Exercise, case, expect
from labkit.lab import Lab

VARIABLE = "LIGHT_ENGINE"  # stands for an engine: set where there is one


class Recipe(Exercise):
    id, title, names, points = "recipe", "A recipe", ("recipe",), 2
    hints = ("Salt.",)

    @case("it names salt")
    def salt(self, answer: Answer, rng: np.random.Generator) -> None:
        found = answer.call("recipe")
        expect(found.value == "salt", "There is no salt in it.", found)

    @case("it can be cooked")
    def cooked(self, answer: Answer, rng: np.random.Generator) -> None:
        found = answer.call("recipe").value
        answer.need("engine")
        if VARIABLE not in os.environ:
            raise CannotTry("the stove is cold")
        expect(found == "salt", "It cannot be eaten.")


lab = Lab("light_engine_lab", [Recipe])
