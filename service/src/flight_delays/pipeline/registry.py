"""Runs, and the registry of models with its champion and challenger, kept by MLflow.

This module imports MLflow, which takes seconds: import it where a stage works.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

# Read by MLflow when it is imported: nothing is reported to its maker, no bars are drawn in logs.
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from flight_delays.bundle import Bundle, load_bundle
from flight_delays.disk import rename
from flight_delays.pipeline.outcome import OutsideFailed
from flight_delays.pipeline.stage import DRAFT, Place
from flight_delays.pipeline.zipped import unpack

MODEL = EXPERIMENT = "flight-delays"
CHAMPION, CHALLENGER = "champion", "challenger"
FOLDER, STORE_FILE, ARTIFACTS = "mlflow", "mlflow.sqlite", "artifacts"
ARTIFACT_FOLDER = "bundle"
KEY_TAG = "pipeline.key"
_UNFINISHED = ".artifact.uploading."  # a copy that MLflow had begun when it was killed
_PLACES = (
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("experiments", "artifact_location"),
)


@dataclass(frozen=True)
class Registered:
    """A version of the registered model: MLflow's number, our version, where the zip lies."""

    number: str
    version: str
    sha256: str
    run_id: str


class Registry:
    """The few things the pipeline asks of MLflow. Each may be asked again without harm."""

    def __init__(self, place: Place) -> None:
        """Open the store, and make it where the default one is not there yet.

        Raises:
            OutsideFailed: it cannot be opened.
        """
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        logging.getLogger("alembic").setLevel(logging.WARNING)
        uri = place.surroundings.tracking_uri
        file = place.work / FOLDER / STORE_FILE if uri is None else _sqlite_file(uri)
        self._artifacts: str | None = None  # a server decides itself
        with _told():
            if file is not None:
                file = file.resolve()
                self._folder = file.parent / ARTIFACTS
                self._artifacts = self._folder.as_uri()
                uri = _open_sqlite(file, self._artifacts)
            self._client = MlflowClient(uri, uri)
            self._experiment = self._find_experiment()

    def run(self, key: str, name: str, tags: Mapping[str, str]) -> str:
        """Return the id of the run with this key; it is made if there is none."""
        with _told():
            found = self._client.search_runs(
                [self._experiment], f"tags.`{KEY_TAG}` = '{key}'", max_results=1
            )
            if found:
                return found[0].info.run_id
            run = self._client.create_run(
                self._experiment, tags={KEY_TAG: key, **tags}, run_name=name
            )
            return run.info.run_id

    def log(
        self,
        run_id: str,
        *,
        at_ms: int | None = None,
        params: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Record params, metrics and tags.

        Args:
            at_ms: the time of the metrics, milliseconds since 1970, now by default. The same ones
                at the same time are recorded once.
        """
        at_ms = int(time.time() * 1000) if at_ms is None else at_ms
        with _told():
            self._client.log_batch(
                run_id,
                metrics=[Metric(k, float(v), at_ms, 0) for k, v in (metrics or {}).items()],
                params=[Param(k, str(v)) for k, v in (params or {}).items()],
                tags=[RunTag(k, str(v)) for k, v in (tags or {}).items()],
            )

    def attach(self, run_id: str, path: Path, folder: str = "") -> None:
        """Keep a copy of a file with a run."""
        with _told():
            if self._artifacts is not None:
                for leftover in (self._folder / run_id).rglob(f"{_UNFINISHED}*"):
                    leftover.unlink(missing_ok=True)
            self._client.log_artifact(run_id, str(path), folder or None)

    def finish(self, run_id: str) -> None:
        """Mark a run as finished."""
        with _told():
            self._client.set_terminated(run_id, "FINISHED")

    def find(self, version: str) -> Registered | None:
        """Return the registered bundle of a version, None if there is none."""
        with _told():
            found = self._client.search_model_versions(
                f"name = '{MODEL}' and tags.version = '{version}'"
            )
            # Two pipelines that share a registry may both have added it; the first one counts.
            return _registered(min(found, key=lambda one: int(one.version))) if found else None

    def register(self, version: str, sha256: str, archive: Path, run_id: str) -> Registered:
        """Keep a bundle's zip with its run and add it to the registry, unless it is there."""
        found = self.find(version)
        if found is not None:
            return found
        self.attach(run_id, archive, ARTIFACT_FOLDER)
        with _told():
            self._ensure_model()
            run = self._client.get_run(run_id)
            source = f"{run.info.artifact_uri}/{ARTIFACT_FOLDER}"
            made = self._client.create_model_version(
                MODEL, source, run_id, tags={"version": version, "sha256": sha256}
            )
        return _registered(made)

    def alias(self, name: str) -> Registered | None:
        """Return what an alias points at, None if it is not set."""
        with _told():
            try:
                return _registered(self._client.get_model_version_by_alias(MODEL, name))
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def point(self, name: str, at: Registered) -> None:
        """Let an alias point at a registered bundle."""
        with _told():
            self._client.set_registered_model_alias(MODEL, name, at.number)

    def unpoint(self, name: str, at: Registered) -> None:
        """Remove an alias, if it points at this bundle."""
        if (found := self.alias(name)) is not None and found.number == at.number:
            with _told():
                self._client.delete_registered_model_alias(MODEL, name)

    def tag(self, registered: Registered, key: str, value: str) -> None:
        """Tag a registered bundle."""
        with _told():
            self._client.set_model_version_tag(MODEL, registered.number, key, value)

    def archive_of(self, registered: Registered) -> bytes:
        """Return a registered bundle's zip."""
        path = f"{ARTIFACT_FOLDER}/{registered.version}.zip"
        with _told(), tempfile.TemporaryDirectory() as folder:
            found = self._client.download_artifacts(registered.run_id, path, folder)
            return Path(found).read_bytes()

    def bundle_of(self, registered: Registered) -> Bundle:
        """Load a registered bundle, checked as the service checks it."""
        with tempfile.TemporaryDirectory() as folder:
            unpack(self.archive_of(registered), Path(folder))
            return load_bundle(folder, registered.sha256)

    def _find_experiment(self) -> str:
        found = self._client.get_experiment_by_name(EXPERIMENT)
        if found is not None:
            return found.experiment_id
        try:
            return self._client.create_experiment(EXPERIMENT, self._artifacts)
        except MlflowException:  # another pipeline was faster
            found = self._client.get_experiment_by_name(EXPERIMENT)
            if found is None:
                raise
            return found.experiment_id

    def _ensure_model(self) -> None:
        try:
            self._client.create_registered_model(MODEL)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _registered(found: ModelVersion) -> Registered:
    return Registered(str(found.version), found.tags["version"], found.tags["sha256"], found.run_id)


def _sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite URI, None for another kind."""
    prefix = "sqlite:///"
    return Path(uri.removeprefix(prefix)) if uri.startswith(prefix) else None


def _open_sqlite(path: Path, artifacts: str) -> str:
    """Return the URI of a SQLite store, which is made if it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.exists():
            _follow_move(path, artifacts)
        else:
            _make_sqlite(path, artifacts)
    return _sqlite_uri(path)


def _make_sqlite(path: Path, artifacts: str) -> None:
    """Make a store under other names first: killed within its migrations it could not be opened.

    They take MLflow four seconds. It keeps the file open, so a copy of it gets the name.
    """
    for leftover in path.parent.glob(f"{DRAFT}*"):
        with suppress(OSError):  # in use on Windows; the next process removes it
            leftover.unlink()
    made, copied = (path.parent / f"{DRAFT}{uuid4().hex}{path.suffix}" for _ in range(2))
    uri = _sqlite_uri(made)
    MlflowClient(uri, uri).create_experiment(EXPERIMENT, artifacts)
    with closing(sqlite3.connect(made)) as source, closing(sqlite3.connect(copied)) as target:
        source.backup(target)
    rename(copied, path)
    with suppress(OSError):
        made.unlink()


def _follow_move(path: Path, artifacts: str) -> None:
    """Correct the places of artifacts after the work folder was moved.

    MLflow notes them as absolute, and CI systems hand a work folder on to other folders.
    """
    with closing(sqlite3.connect(path, timeout=60)) as connection, connection:
        query = "SELECT artifact_location FROM experiments WHERE name = ?"
        found = connection.execute(query, (EXPERIMENT,)).fetchone()
        if found is None or found[0] == artifacts:
            return
        for table, column in _PLACES:
            connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, ?) "
                f"WHERE substr({column}, 1, ?) = ?",
                (artifacts, len(found[0]) + 1, len(found[0]), found[0]),
            )


def _sqlite_uri(path: Path) -> str:
    return f"sqlite:///{path.as_posix()}"


@contextmanager
def _told() -> Iterator[None]:
    """Turn what MLflow, its database or its disk raise into one line."""
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise OutsideFailed(f"MLflow: {first}") from error
