"""Run by test_monitoring_loop_killed.py in a process of its own: kill a turn at each of its steps.

loop_processes.py WORLD FOLDER ACTION

WORLD is a folder with project and state. A step is a stage of the pipeline, begun or ended, or a
change of a file of the journal. A first run counts the steps; then for each of them one process
dies by SIGKILL just before it, and another one takes the same turn again, twice. All are forks of
one parent, which has imported everything. Prints a line of JSON a kill (the step, what came out),
and one for the run that nobody killed.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from kill_processes import KEY, Steps, in_child, quick_gate, service

from flight_delays import flights as flights_module
from flight_delays.monitoring import loop as loop_module
from flight_delays.monitoring.evidence import Evidence
from flight_delays.monitoring.loop import Loop, LoopPlace
from flight_delays.pipeline import gate
from flight_delays.pipeline.findings import Finding, Findings
from flight_delays.store import ModelStore

WINDOW = (date(2013, 8, 1), date(2013, 8, 31), date(2013, 8, 31))
SOUND = Findings([Finding("a check", True, "1", "2")])
FAULTY = Findings([Finding("a check", False, "3", "2", "It matters.")])
SEEN = {"retrain": {"decay": FAULTY}, "quarantine": {"quality": FAULTY}, "watch": {"drift": FAULTY}}


class Told(Loop):
    """A loop that sees the same each time."""

    action = "retrain"

    def look(self, version: str, first: date, last: date, as_of: date) -> Evidence:
        parts = {"quality": SOUND, "drift": SOUND, "decay": SOUND} | SEEN[self.action]
        days = {"first": first, "last": last, "as_of": as_of}
        return Evidence(**days, rows=27_000, labelled=25_000, change=None, figures={}, **parts)

    def faulty_days(self, version: str, first: date, last: date) -> list[date]:
        return [date(2013, 8, 5), date(2013, 8, 6)]


class TurnSteps(Steps):
    """The steps of a turn: the stages of the pipeline as well, begun and ended."""

    def __init__(self, journal: Path, die_before: int | None) -> None:
        super().__init__(journal, die_before)
        loop_module.run_command = self._counted(loop_module.run_command)

    def _counted(self, call: Callable[..., int]) -> Callable[..., int]:
        def counted(stage: str, *arguments: Any, **options: Any) -> int:
            self.step(f"begin {stage}")
            code = call(stage, *arguments, **options)
            self.step(f"end {stage}")
            return code

        return counted


def loop_of(world: Path, url: str) -> Told:
    environment = {"PIPELINE_SERVICE_URL": url, "PIPELINE_SERVICE_KEY": KEY}
    return Told(
        LoopPlace(
            folder=world / "loop",
            state=world / "state",
            labels=world / "labels.sqlite",
            project=world / "project",
            environment=environment,
        )
    )


def count(world: Path, url: str, die_before: int | None = None) -> tuple[list[str], list[str]]:
    """Take the turn in this process; return its steps, and what has been imported."""
    steps = TurnSteps((world / "loop" / "turns").resolve(), die_before)
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        loop_of(world, url).turn(*WINDOW)
    return steps.names, list(sys.modules)


def end_of(world: Path) -> dict[str, Any]:
    """Describe what came out."""
    store, loop = ModelStore(world / "state"), world / "loop"
    champion = store.champion()
    return {
        "champion": [champion.version, champion.previous, champion.revision],
        "served": store.versions(),
        "turns": [json.loads(path.read_text()) for path in sorted(loop.glob("turns/turn-*.json"))],
        "records": sorted(path.parent.name for path in (loop / "pipeline").glob("*/stage.json")),
        "leftovers": sorted(path.name for path in loop.rglob(".draft-*")),
    }


def main(world: Path, folder: Path, action: str) -> None:
    table = flights_module.load_flights()
    table = table[table["departure"] >= "2013-06-01"][::8]
    flights_module.load_flights, gate.judge = lambda: table, quick_gate
    Told.action = action
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"

    def run(name: str, die_before: int | None = None) -> tuple[int, Any]:
        copy = folder / name
        if not copy.exists():
            shutil.copytree(world, copy)
        with service(copy / "state") as url:
            code, told = in_child(lambda: count(copy, url, die_before))
        return code, json.loads(told) if told else None

    code, told = run("unhurt")
    assert code == 0, code
    steps, imported = told
    # The others need not import it again. This process did none of the work: MLflow starts
    # threads, and no fork of it would get them.
    for name in imported:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    unhurt = end_of(folder / "unhurt")
    for number, step in enumerate(steps):
        name = f"killed-{number}"
        killed, _ = run(name, number)
        again = [run(name)[0], run(name)[0]]
        told = {"step": step, "killed": killed, "again": again, "end": end_of(folder / name)}
        print(json.dumps(told), flush=True)
        shutil.rmtree(folder / name)
    print(json.dumps({"step": "none", "end": unhurt}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
