"""`python -m flight_delays pipeline STAGE`: one stage, or all of them in order."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from flight_delays.pipeline.config import KEY, URL, Changes, Surroundings, read_config
from flight_delays.pipeline.inputs import check_code
from flight_delays.pipeline.outcome import (
    DONE,
    OUTSIDE,
    Misconfigured,
    OutsideFailed,
    StageError,
    Stale,
)
from flight_delays.pipeline.stage import Place, Stage
from flight_delays.pipeline.stages.deploy import DeployStage
from flight_delays.pipeline.stages.monitor import MonitorStage
from flight_delays.pipeline.stages.package import PackageStage
from flight_delays.pipeline.stages.tests import TestStage
from flight_delays.pipeline.stages.train import TrainStage
from flight_delays.pipeline.stages.validate import ValidateStage

STAGES: tuple[type[Stage], ...] = (
    TestStage, TrainStage, ValidateStage, PackageStage, DeployStage, MonitorStage,
)  # fmt: skip
ALL = "run"
NAMES = (*(stage.name for stage in STAGES), ALL)
WORK_FOLDER, LOCK_FILE = ".pipeline", "lock"
LOCK_TIMEOUT_S = 900.0


def run_command(
    name: str,
    project: Path,
    work: Path | None = None,
    *,
    force: bool = False,
    champion: Path | None = None,
    changes: Changes | None = None,
    environment: Mapping[str, str] | None = None,
) -> int:
    """Run a stage, or `run` for all, and print what it does.

    Args:
        project: the folder with pipeline.toml.
        work: the folder for outputs; by default PROJECT/.pipeline.
        force: do the work though nothing has changed.
        champion: the folder of the champion's bundle, for a registry that does not have it.
        changes: settings that win over those of pipeline.toml, such as {"as_of": date(...)}.
        environment: by default os.environ.

    Returns:
        The exit code: 0 done or up to date, 1 the stage says no, 2 wrong configuration, 3 an
        earlier stage's output is missing or stale, 4 something outside failed.
    """
    at = "pipeline" if name == ALL else name
    try:
        environment = os.environ if environment is None else environment
        place = _place(project, work, champion, changes, environment)
        if name == ALL:
            _check_service(place.surroundings)
        with _locked(place.work):
            for stage in STAGES:
                if name in (stage.name, ALL):
                    at = stage.name
                    run_stage(stage(place), force=force)
    except StageError as error:
        _tell(at, error)
        return error.exit_code
    except Exception as error:
        traceback.print_exc()
        _tell(at, OutsideFailed(f"{type(error).__name__}: {error}"))
        return OUTSIDE
    return DONE


def run_stage(stage: Stage, *, force: bool = False) -> None:
    """Bring a stage up to date.

    Raises:
        StageError: it does not succeed.
    """
    _check_needs(stage)
    inputs = stage.inputs()
    record = stage.place.record(stage.name)
    changed = stage.changed(record, inputs)
    if not force and record is not None and not changed and stage.still_holds(record):
        print(f"{stage.name}: up to date, {record.said}", flush=True)
        return
    if record is not None and changed:
        print(f"{stage.name}: again, since these differ: {', '.join(changed)}", flush=True)
    stage.begin()
    done = stage.work()
    stage.succeed(inputs, done)
    print(f"{stage.name}: {done.said}", flush=True)


def _check_needs(stage: Stage) -> None:
    """Refuse to build on an earlier stage whose output is missing or stale."""
    for earlier in STAGES:
        if earlier.name in stage.needs:
            before = earlier(stage.place)
            changed = before.changed(stage.place.needed(earlier.name), before.inputs())
            if changed:
                raise Stale(
                    f"what `{earlier.name}` made is stale, changed since: {', '.join(changed)}; "
                    f"run `{earlier.name}` first"
                )


def _place(
    project: Path,
    work: Path | None,
    champion: Path | None,
    changes: Changes | None,
    environment: Mapping[str, str],
) -> Place:
    """Read everything the pipeline is told; the faults of file and environment come together."""
    project = project.resolve()
    found, faults = [], []
    for read in (
        lambda: read_config(project, changes),
        lambda: Surroundings.from_environment(environment),
    ):
        try:
            found.append(read())
        except Misconfigured as error:
            faults += error.reasons
    if faults:
        raise Misconfigured(*faults)
    check_code(project)
    return Place(project, (work or project / WORK_FOLDER).resolve(), *found, champion)


def _check_service(surroundings: Surroundings) -> None:
    """Tell before the first stage what the last ones would miss."""
    values = {URL: surroundings.service_url, KEY: surroundings.service_key}
    missing = [
        f"{name}: is not set; deploy needs it" for name, value in values.items() if not value
    ]
    if missing:
        raise Misconfigured(*missing)


@contextmanager
def _locked(work: Path) -> Iterator[None]:
    """Hold the work folder; the system releases it when its holder dies."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(work / LOCK_FILE)
        with suppress(Timeout):
            lock.acquire(timeout=0)
        if not lock.is_locked:
            print(f"waiting for another run that works in {work}", flush=True)
            lock.acquire(timeout=LOCK_TIMEOUT_S)
    except Timeout:
        raise OutsideFailed(
            f"another run has held {work / LOCK_FILE} for {LOCK_TIMEOUT_S:g} s"
        ) from None
    except OSError as error:
        raise OutsideFailed(f"--work: {error}") from None
    try:
        yield
    finally:
        lock.release()


def _tell(stage: str, error: StageError) -> None:
    sys.stdout.flush()
    for reason in error.reasons:
        print(f"- {reason}", file=sys.stderr)
    words = {1: "no", 2: "wrong configuration", 3: "not yet", 4: "something outside failed"}
    count = len(error.reasons)
    reasons = "1 reason" if count == 1 else f"{count} reasons"
    print(f"{stage}: {words[error.exit_code]}, {reasons} above", file=sys.stderr, flush=True)
