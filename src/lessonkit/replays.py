"""Some months of 2013 through the running service, with the loop at work, from a model that is there already."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pandas as pd

import lessonkit
from flight_delays.monitoring.replay import Month, Replay, replay

SERVICE = Path(lessonkit.__file__).resolve().parents[2] / "service"
SCENARIOS = SERVICE / "scenarios"
# The pipeline's own tests of the code take longer than a lesson should; those of the features are enough here.
TESTS = ["-q", "tests/test_service_features.py"]
# How fast a model answers is lesson 05's subject; here a busy machine shall not decide what the loop does.
PATIENT = {
    "gate.latency_ms": 500.0,
    "gate.latency_p99_ms": 5000.0,
    "gate.latency_ratio": 100.0,
    "gate.rows_per_second": 0.0,
    "deploy.smoke_max_ms": 5000.0,
}


def rehearse(
    folder: Path,
    bundle: Path,
    reference: Path,
    first: date,
    last: date,
    scenario: Path | None = None,
    *,
    beside: bool = False,
) -> list[Month]:
    """Replay the days from `first` to `last`; the loop takes a turn at the end of each month.

    Parameters
    ----------
    folder
        For everything that is made; a new one for each replay.
    bundle
        The model in service on the first day.
    reference
        What it is compared with, as `Reference.write` wrote it.
    scenario
        A file of changes made on purpose, such as those of `SCENARIOS`; None for the flights as they flew.
    beside
        Whether to score a model as well that is trained each month on all flights before it, whatever was seen.

    Raises
    ------
    flight_delays.monitoring.loop.LoopFailed
        A turn could not be finished.
    """
    shutil.copytree(bundle, folder / "models" / bundle.name)
    references = folder / "loop" / "references"
    references.mkdir(parents=True)
    shutil.copy(reference, references / f"{bundle.name}.json")
    what = Replay(
        folder=folder,
        project=_project(folder / "project"),
        first=first,
        last=last,
        scenario=scenario,
        changes={"test.arguments": TESTS, **PATIENT},
        beside=beside,
    )
    return list(replay(what))


def _project(folder: Path) -> Path:
    """A project of its own: a file that somebody edits in the service's would make the stages start anew."""
    (folder / "tests").mkdir(parents=True)
    for name in ("pipeline.toml", "pyproject.toml", "tests/conftest.py", *TESTS[-1:]):
        shutil.copy(SERVICE / name, folder / name)
    return folder


def told(months: Sequence[Month]) -> str:
    """The months as text: what was injected, ROC AUC of the models, what was decided and done."""
    beside = any(month.monthly for month in months)
    heads = ["month", "served", "frozen", *(["monthly"] if beside else []), "decided", "done", "champion"]
    lines = []
    for month in months:
        outcome = month.turn.outcome
        scores = [f"{one.roc_auc:.3f}" for one in (month.served, month.frozen, month.monthly) if one]
        done, champion = (outcome.done, f"of {(outcome.champion or '')[:10]}") if outcome else ("", "")
        lines.append([f"{month.first:%Y-%m}", *scores, month.turn.action, done, champion])
    injected = [line.split("; all flights")[0].split(", 2013")[0] for line in months[0].turn.injected]
    return "\n".join([*injected, pd.DataFrame(lines, columns=heads).to_string(index=False)])
