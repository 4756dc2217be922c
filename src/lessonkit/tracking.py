"""A store of MLflow's in one file: runs and the registry of models. Nothing is reported to MLflow's maker."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from IPython.display import Image

from lessonkit.screenshot import missing, screenshot
from lessonkit.servers import ServerFailed, serving

if TYPE_CHECKING:
    from mlflow import MlflowClient

QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
PATIENCE_S = 120.0


def open_store(folder: Path, experiment: str) -> tuple[str, MlflowClient]:
    """Make a SQLite store in a folder, with an empty experiment whose files go beside it.

    Returns
    -------
    The store's address, for MLFLOW_TRACKING_URI, and a client to ask it.
    """
    os.environ.update(QUIET)  # before the import, which reads it
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")  # tqdm in a notebook, which draws no bar here
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


def page(uri: str, folder: Path, path: str, wait_for: str, *, width: int = 1300, height: int = 620) -> Image | None:
    """A picture of one of MLflow's own pages on a store; one line and None where that is not possible.

    Parameters
    ----------
    folder
        Where the server of the pages runs.
    path
        Such as `/#/models/NAME`.
    wait_for
        A CSS selector of what must be there before the picture is taken.
    """
    if lack := missing():
        print(lack)
        return None
    words = ["server", "--backend-store-uri", uri, "--host", "127.0.0.1", "--port", "{port}", "--workers", "1"]
    command = [sys.executable, "-m", "mlflow", *words]
    try:
        with serving(command, "/health", env=QUIET | NO_JOBS, cwd=folder, patience_s=PATIENCE_S) as server:
            return screenshot(f"{server.url}{path}", wait_for, width=width, height=height, patience_s=PATIENCE_S / 2)
    except ServerFailed:
        print(f"No picture: MLflow's server did not answer within {PATIENCE_S:g} seconds.")
        return None
