"""Shared by all tests. Loaded first in every worker, so what it sets holds for notebooks' kernels too."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lessonkit.engine import Engine

# Many threads on few cores make a fit many times slower, and timings useless.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")
# onnxruntime reports to its maker unless it is told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# Checks that run in a test must not change the record of whoever runs the tests.
os.environ["LABKIT_HOME"] = tempfile.mkdtemp(prefix="labkit-test-")


@pytest.fixture(scope="session")
def root() -> Path:
    """The folder of the course."""
    return Path(__file__).resolve().parents[1]


def pytest_unconfigure(config: pytest.Config) -> None:
    import shutil

    shutil.rmtree(os.environ["LABKIT_HOME"], ignore_errors=True)


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The container engine of this machine, with the base image."""
    from lessonkit.engine import NoEngine, find_engine  # few tests need it
    from lessonkit.shipping import BASE

    try:
        found = find_engine()
    except NoEngine as reason:
        pytest.skip(str(reason))
    if not found.has_image(BASE):
        pytest.skip(f"{BASE} is not on this machine; `{found.name} pull {BASE}`")
    return found
