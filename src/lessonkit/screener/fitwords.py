"""Finds the weight of each skill from past candidates. It is large, and only needed to train."""

from math import log


def fit(rows):
    """rows: (skills separated by commas, invited as 0 or 1). The logarithm of the odds, for each skill."""
    base = _odds([invited for _, invited in rows])
    counts = {}
    for skills, invited in rows:
        for skill in skills.split(","):
            counts.setdefault(skill, []).append(invited)
    return {"": round(base, 4)} | {skill: round(_odds(seen) - base, 4) for skill, seen in sorted(counts.items())}


def _odds(seen):
    return log((sum(seen) + 1) / (len(seen) - sum(seen) + 1))
