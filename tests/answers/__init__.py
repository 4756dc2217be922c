"""Answers to the exercises that are not ours: right ones, and wrong ones that learners write.

One module for each lab, named as its notebook, with two dicts, put together from further modules where it is long:

    RIGHT = {exercise: {name: source}}
    WRONG = {exercise: {name: (source, fragment of the message meant for it)}}

`tests/test_exercises.py` tries them all.
"""
