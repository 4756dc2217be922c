"""Answers to the exercises that are not ours: right ones, and wrong ones that learners write.

One module for each lab, named as its notebook, with two dicts, put together from further modules where it is long:

    RIGHT = {exercise: {name: source}}
    WRONG = {exercise: {name: (source, fragment of the message meant for it)}}

`tests/test_exercises.py` tries them all. A lab some of whose cases need a container engine names in a third dict the
answers that are to be tried in one: what those say without it, or cost with it, is not worth trying for each.

    ENGINE = {exercise: {name, ...}}
"""
