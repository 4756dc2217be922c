"""One table, one model and one bundle for all tests of a run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

# Before NumPy and scikit-learn start their threads: many on few cores make a fit many times slower.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

import flight_delays
from flight_delays.evaluation import validate_forward
from flight_delays.export import export_bundle
from flight_delays.flights import load_flights, split_by_day
from flight_delays.metadata import Metrics
from flight_delays.training import fit

JUNE_30 = date(2013, 6, 30)


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    return load_flights()


@pytest.fixture(scope="session")
def window(flights: pd.DataFrame) -> pd.DataFrame:
    """January to June: what the model is trained on."""
    return split_by_day(flights, JUNE_30)[0]


@pytest.fixture(scope="session")
def pipeline(window: pd.DataFrame) -> Pipeline:
    return fit(window)


@pytest.fixture(scope="session")
def metrics(window: pd.DataFrame) -> Metrics:
    return validate_forward(window)


@pytest.fixture(scope="session")
def bundle_folder(
    pipeline: Pipeline,
    window: pd.DataFrame,
    metrics: Metrics,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A bundle nobody may change; copy it first."""
    return export_bundle(pipeline, window, metrics, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python in a process of its own, which finds this package whether installed or not."""
    source = str(Path(flight_delays.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": source}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=120, check=False
        )

    return run
