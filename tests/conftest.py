"""Shared by all tests. Loaded first in every worker, so what it sets holds for notebooks' kernels too."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

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
