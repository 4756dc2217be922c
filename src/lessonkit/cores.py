"""Which cores a server and the load on it may use, so that neither takes the other's time."""

from __future__ import annotations

import os
from collections.abc import Sequence

import psutil


def usable() -> list[int]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def split(servers: int = 1) -> tuple[list[int], list[int]]:
    """Cores for a server of so many worker processes, and one other core for the load on it.

    Where there are too few, the load shares the server's last core.
    """
    cores = usable()
    return cores[:servers], [cores[min(servers, len(cores) - 1)]]


def pin(cores: Sequence[int]) -> bool:
    """Keep this process, and those it starts from now on, to some cores; False where the system has no call for it."""
    process = psutil.Process()
    if not hasattr(process, "cpu_affinity"):  # macOS
        return False
    process.cpu_affinity(list(cores))
    return True
