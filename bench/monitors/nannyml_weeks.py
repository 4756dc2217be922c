"""NannyML's answers for weeks, fetched from its own environment."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from bench.monitors.alarms import Names
from bench.monitors.days import Days, Rows
from bench.monitors.years import WEEK, Window, Year
from flight_delays.features import CATEGORIES, NAMES
from labkit.environment import ROOT
from tests.nbgrader_environment import environ_of

ENVIRONMENT = (".venv-nannyml", "bench/requirements-nannyml.lock")
ESTIMATED = "estimated ROC AUC"


class NannymlFailed(RuntimeError):
    """It ended with an error, whose last line is the text."""


class NannymlWeeks:
    """All windows judged at once; `part` keeps the alarms of some names."""

    def __init__(self, judged: dict[Window, Names]) -> None:
        self._judged = judged

    @classmethod
    def ask(cls, python: Path, days: Days, year: Year, windows: Iterable[Window]) -> NannymlWeeks:
        """Have NannyML judge the windows against the reference of a year.

        Raises
        ------
        NannymlFailed
            It did not come to an end.
        """
        wanted = sorted(set(windows), key=lambda one: (one.monday, one.injection, one.since))
        reference = [Window(monday) for monday in year.reference[::WEEK]]
        beside = days.bundle.parent  # goes with the folder of the run, whatever happens here
        with tempfile.TemporaryDirectory(prefix="nannyml-", dir=beside, ignore_cleanup_errors=True) as folder:
            home = Path(folder)
            for name, them in {"reference": reference, "weeks": wanted}.items():
                _write(home / f"{name}.npz", [one.rows(days) for one in them], days)
            environ = {**os.environ, **environ_of(python, home), "NML_DISABLE_USAGE_LOGGING": "1"}
            command = [str(python), "-m", "bench.monitors.with_nannyml", folder]
            done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
            if done.returncode:
                raise NannymlFailed((done.stderr.strip().splitlines() or [f"exit {done.returncode}"])[-1])
            found = json.loads((home / "alarms.json").read_text(encoding="utf-8"))
        return cls({window: frozenset(names) for window, names in zip(wanted, found, strict=True)})

    def judge(self, window: Window) -> Names:
        return self._judged[window]

    def part(self, estimated: bool) -> NannymlWeeks:
        """The alarms of CBPE alone, or those of the columns alone."""
        return NannymlWeeks(
            {
                window: frozenset(name for name in names if (name == ESTIMATED) == estimated)
                for window, names in self._judged.items()
            }
        )


def _write(path: Path, weeks: Sequence[Rows], days: Days) -> None:
    rows = Rows.together(weeks)
    np.savez(
        path,
        matrix=rows.matrix,
        probabilities=rows.probabilities,
        late=rows.late,
        week=np.repeat(np.arange(len(weeks)), [len(week) for week in weeks]),
        threshold=days.load().info.threshold,
        names=np.array(NAMES),
        categories=np.array(CATEGORIES),
    )
