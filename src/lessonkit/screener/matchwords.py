"""Scores a candidate's skills by the weight that a model gives each of them."""

from math import exp

__version__ = "1.2.0"


def score(skills, weights):
    """From 0 to 1: the higher, the better the match. A skill without a weight counts nothing."""
    total = weights.get("", 0.0) + sum(weights.get(skill.strip().lower(), 0.0) for skill in sorted(set(skills)))
    return 1 / (1 + exp(-total))
