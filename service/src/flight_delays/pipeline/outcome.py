"""How a stage ends when it does not succeed; each kind has its exit code."""

from __future__ import annotations

DONE, SAYS_NO, MISCONFIGURED, STALE, OUTSIDE = range(5)


class StageError(Exception):
    """A stage has not succeeded.

    Attributes:
        reasons: a sentence each, all that is known to be wrong.
    """

    exit_code: int

    def __init__(self, *reasons: str) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = list(reasons)


class SaysNo(StageError):
    """The stage did its work, and its answer is no."""

    exit_code = SAYS_NO


class Misconfigured(StageError):
    """A file, a variable or an option is wrong."""

    exit_code = MISCONFIGURED


class Stale(StageError):
    """What an earlier stage makes is missing, or was made from something else."""

    exit_code = STALE


class OutsideFailed(StageError):
    """Something this program does not control failed: the service, the registry, the disk."""

    exit_code = OUTSIDE
