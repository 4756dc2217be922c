"""A store of MLflow's in one file: runs and the registry of models. Nothing is reported to MLflow's maker."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lessonkit.servers import Server, serving

if TYPE_CHECKING:
    from mlflow import MlflowClient

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def open_store(folder: Path, experiment: str) -> tuple[str, MlflowClient]:
    """Make a SQLite store in a folder, with an empty experiment whose files go beside it.

    Returns
    -------
    The store's address, for MLFLOW_TRACKING_URI, and a client to ask it.
    """
    os.environ.update(QUIET)  # before the import, which reads it
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    from mlflow import MlflowClient

    # MLflow sets its own level when it is imported.
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    uri = f"sqlite:///{(folder / 'mlflow.sqlite').as_posix()}"
    client = MlflowClient(uri, uri)
    client.create_experiment(experiment, (folder / "artifacts").as_uri())
    return uri, client


def close_store(client: MlflowClient) -> None:
    """Let go of the file, so that Windows removes it."""
    engine = getattr(getattr(client._tracking_client, "store", None), "engine", None)
    if engine is not None:
        engine.dispose()


@contextlib.contextmanager
def pages(uri: str, folder: Path) -> Iterator[Server]:
    """MLflow's own pages on a store, served on a free port for the length of the block."""
    words = ["server", "--backend-store-uri", uri, "--host", "127.0.0.1", "--port", "{port}", "--workers", "1"]
    with serving([sys.executable, "-m", "mlflow", *words], "/health", env=QUIET, cwd=folder, patience_s=90) as server:
        yield server
