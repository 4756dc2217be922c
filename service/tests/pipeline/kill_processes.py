"""Run by test_pipeline_killed.py in a process of its own: kill a stage at each of its steps.

kill_processes.py WORLD FOLDER STAGE...

WORLD is a folder with project, work and state. A step is a request to the service, a call of the
registry, or a change of a file below the work folder. For each stage a first run counts its steps;
then for each kind of step one process dies by SIGKILL just before the first of that kind, and
another one runs the stage again.
All are forks of one parent, which has imported everything. Prints a line of JSON a kill (the stage,
the step, what came out), and one for the run that nobody killed.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import shutil
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn

from flight_delays import flights as flights_module
from flight_delays.app import create_app
from flight_delays.pipeline import gate
from flight_delays.pipeline.client import Service
from flight_delays.pipeline.command import run_command
from flight_delays.pipeline.findings import Finding, Findings
from flight_delays.pipeline.registry import Registry
from flight_delays.settings import Settings
from flight_delays.store import ModelStore

KEY = "a-key-for-tests-only"
CHANGES = {"os.mkdir", "os.remove", "os.rename", "os.rmdir", "shutil.rmtree"}
UPLOADING = ".artifact.uploading"
REQUESTS = ("champion", "put_model", "put_champion", "predict", "server_errors")
CALLS = ("run", "log", "attach", "finish", "register", "point", "unpoint", "tag")


class Steps:
    """Count the steps of this process, and die just before one of them.

    A change of a file below a folder is a step, and so is what else calls `step`.
    """

    def __init__(self, folder: Path, die_before: int | None) -> None:
        self.names: list[str] = []
        self._folder, self._die_before = str(folder), die_before
        sys.addaudithook(self._hook)

    def step(self, name: str) -> None:
        if len(self.names) == self._die_before:
            os.kill(os.getpid(), signal.SIGKILL)
        self.names.append(name)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, _ = arguments
            if not (isinstance(mode, str) and set(mode) & set("wax+")):
                return
        elif event in CHANGES:
            path = arguments[0]
            if event == "os.mkdir" and Path(path).is_dir():
                return  # it is there, and nothing changes
        else:
            return
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self._folder):
            self.step(f"{event} {_kind(Path(os.fspath(path)))}")


class StageSteps(Steps):
    """The steps of a stage: requests and calls of the registry as well."""

    def __init__(self, work: Path, die_before: int | None) -> None:
        super().__init__(work, die_before)
        for kind, names in ((Service, REQUESTS), (Registry, CALLS)):
            for name in names:
                setattr(kind, name, self._counted(getattr(kind, name), f"{kind.__name__}.{name}"))

    def _counted(self, call: Callable[..., Any], name: str) -> Callable[..., Any]:
        @functools.wraps(call)
        def counted(*arguments: Any, **options: Any) -> Any:
            self.step(name)
            return call(*arguments, **options)

        return counted


def _kind(path: Path) -> str:
    """Name a path without what differs from run to run."""
    name = path.name.split("-")[0]
    if name.startswith(UPLOADING):
        return UPLOADING
    return "a run" if len(name) == 32 else name


def in_child(work: Callable[[], Any]) -> tuple[int, str]:
    """Do something in a fork of this process; return how it ended, and what it reported."""
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # about threads: none is left here
        child = os.fork()
    if child == 0:
        os.close(read)
        code = 70
        try:
            os.write(write, json.dumps(work()).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as reported:
        text = reported.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), text


@contextlib.contextmanager
def service(state: Path) -> Iterator[str]:
    """Serve from a fork, so that it outlives the stage that is killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        settings = Settings(state=state, key=KEY, request_log=False, prediction_log=False)
        config = uvicorn.Config(create_app(settings), host="127.0.0.1", port=0, log_config=None)
        server = uvicorn.Server(config)
        begin = server.startup

        async def startup(sockets: Any = None) -> None:
            await begin(sockets)
            port = server.servers[0].sockets[0].getsockname()[1]
            os.write(write, f"http://127.0.0.1:{port}\n".encode())

        server.startup = startup
        try:
            server.run()
        finally:
            os._exit(0)
    os.close(write)
    try:
        with os.fdopen(read) as told:
            yield told.readline().strip()
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def run(world: Path, url: str, stages: list[str]) -> None:
    """Run stages in this process; they have to succeed."""
    environment = {"PIPELINE_SERVICE_URL": url, "PIPELINE_SERVICE_KEY": KEY}
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        for stage in stages:
            code = run_command(stage, world / "project", world / "work", environment=environment)
            if code != 0:
                raise SystemExit(f"{stage} ended with {code}")


def count(world: Path, url: str, stage: str, die_before: int | None = None) -> list[str]:
    """Run a stage in this process; return its steps."""
    steps = StageSteps(world / "work", die_before)
    run(world, url, [stage])
    return steps.names


def end_of(world: Path) -> dict[str, Any]:
    """Describe what came out: champion, registry, runs, outputs, leftovers."""
    from mlflow import MlflowClient

    store, uri = ModelStore(world / "state"), f"sqlite:///{world}/work/mlflow/mlflow.sqlite"
    client = MlflowClient(uri, uri)
    experiment = client.get_experiment_by_name("flight-delays")
    model = client.get_registered_model("flight-delays")
    champion = store.champion()
    return {
        "champion": champion and [champion.version, champion.previous, champion.revision],
        "served": store.versions(),
        "runs": sorted(
            [run.data.tags["version"], run.info.status]
            for run in client.search_runs([experiment.experiment_id])
        ),
        "registered": sorted(
            [one.tags["version"], one.version]
            for one in client.search_model_versions("name = 'flight-delays'")
        ),
        "aliases": model.aliases,
        "records": sorted(path.parent.name for path in (world / "work").glob("*/stage.json")),
        "leftovers": sorted(
            path.name for path in (world / "work").rglob("*") if path.name.startswith(".")
        ),
    }


def quick_gate(challenger: Any, champion: Any, *_: Any) -> gate.Verdict:
    """Stand in for the gate, which has tests of its own and takes seconds, a hundred times."""
    passed = Findings([Finding("a stand-in", True, "nothing", "none")])
    return gate.Verdict(challenger.version, champion and champion.version, passed, {"auc": 0.7})


def main(world: Path, folder: Path, stages: list[str]) -> None:
    table = flights_module.load_flights()
    table = table[table["departure"] >= "2013-06-01"][::4]
    flights_module.load_flights, gate.judge = lambda: table, quick_gate
    import_what_is_imported_late(world, folder / "warm", stages)
    for stage in stages:
        counted = folder / f"after-{stage}"
        shutil.copytree(world, counted)
        with service(counted / "state") as url:
            code, told = in_child(lambda: count(counted, url, stage))  # noqa: B023
        assert code == 0, stage
        names = json.loads(told)
        for number, name in enumerate(names):
            if name in names[:number]:
                continue
            copy = folder / "killed"
            shutil.copytree(world, copy)
            with service(copy / "state") as url:
                killed, _ = in_child(lambda: count(copy, url, stage, number))  # noqa: B023
                again, _ = in_child(lambda: run(copy, url, [stage]))  # noqa: B023
            tell(stage, name, killed, again, copy)
            shutil.rmtree(copy)
        world = counted  # the next stage begins where this one ended
        tell(stage, "none", 0, 0, world)


def import_what_is_imported_late(world: Path, folder: Path, stages: list[str]) -> None:
    """Let a fork do everything once, and import what it has imported.

    The parent cannot do it itself: MLflow starts threads, and no fork of it would get them.
    """
    shutil.copytree(world, folder)
    with service(folder / "state") as url:
        code, told = in_child(lambda: [run(folder, url, stages), end_of(folder), list(sys.modules)])
    assert code == 0
    for name in json.loads(told)[-1]:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    assert threading.active_count() == 1


def tell(stage: str, step: str, killed: int, again: int, world: Path) -> None:
    end = json.loads(in_child(lambda: end_of(world))[1])
    line = {"stage": stage, "step": step, "killed": killed, "again": again, "end": end}
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
