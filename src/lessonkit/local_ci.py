"""A CI system as small as it can be: the commands of a file, one after the other, until one says no.

A step's command is run as the file has it, without a shell; `python` is the Python of this notebook.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from lessonkit.ci_files import Step
from lessonkit.style import BLUE, RED, SKY

PATIENCE_S = 240.0
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ORT_DISABLE_TELEMETRY"), "1")
NOT_MINE = re.compile(r"^(PIPELINE_|MLFLOW_|FLIGHT_DELAYS_|PYTHONPATH$|GITHUB_)")


@dataclass(frozen=True)
class Done:
    """One step that was run.

    Attributes
    ----------
    name, code
        The step's name, and the exit code of its command.
    output
        All that it wrote.
    began, ended
        By `time.monotonic`, in seconds.
    """

    name: str
    code: int
    output: str
    began: float
    ended: float

    @property
    def last_line(self) -> str:
        """The last line it wrote, by which a stage says how it went."""
        return (self.output.rstrip().splitlines() or [""])[-1]

    @property
    def reasons(self) -> list[str]:
        """The lines with a dash: why a stage said no."""
        return [line[2:] for line in self.output.splitlines() if line.startswith("- ")]

    @property
    def up_to_date(self) -> bool:
        return f"{self.name}: up to date" in self.output


@dataclass
class Run:
    """What CI did with one push."""

    push: str
    steps: list[Done] = field(default_factory=list)

    def do(self, step: Step, cwd: Path, env: Mapping[str, str] | None = None) -> int:
        """Run a step's command in a folder, note what came of it, give its exit code.

        Parameters
        ----------
        env
            Variables beside those that the step's file gives it. Variables of this process that would
            tell a pipeline something, such as PIPELINE_SERVICE_KEY, are not handed on.
        """
        inherited = {name: value for name, value in os.environ.items() if not NOT_MINE.match(name)}
        wanted = {**inherited, **ONE_THREAD, "PYTHONUTF8": "1", **step.environment, **(env or {})}
        program, *words = shlex.split(step.command)
        began = time.monotonic()
        # What a step leaves in the temporary folder, as pytest does, goes with the step.
        with tempfile.TemporaryDirectory(prefix="step-", ignore_cleanup_errors=True) as scratch:
            done = subprocess.run(
                [sys.executable if program == "python" else program, *words],
                cwd=cwd,
                env={**wanted, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), scratch)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=PATIENCE_S,
                check=False,
            )
        self.steps.append(Done(step.name, done.returncode, done.stdout, began, time.monotonic()))
        return done.returncode

    @property
    def stopped_by(self) -> str:
        """The step that said no; "" if none did."""
        return next((step.name for step in self.steps if step.code), "")

    @property
    def seconds(self) -> float:
        return self.steps[-1].ended - self.steps[0].began if self.steps else 0.0

    def __getitem__(self, name: str) -> Done:
        """The step of a name."""
        return next(step for step in self.steps if step.name == name)

    def table(self) -> str:
        """A line a step: its name, its exit code, the last line it wrote."""
        width = max(len(step.name) for step in self.steps)
        return "\n".join(
            f"{step.name:{width}}  {step.code}  {step.last_line.removeprefix(step.name + ': ')}" for step in self.steps
        )


def draw_run(axes: Axes, run: Run, title: str) -> None:
    """A bar a step over time, the first on top; red is the one that said no."""
    names = [step.name for step in run.steps]
    for row, step in enumerate(run.steps):
        colour = RED if step.code else SKY if step.up_to_date else BLUE
        start = step.began - run.steps[0].began
        axes.barh(row, step.ended - step.began, left=start, color=colour)
        axes.text(step.ended - run.steps[0].began, row, f" {step.ended - step.began:.0f} s", va="center", fontsize=9)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.08)
    axes.set(xlabel="seconds since the push", title=title)


def draw_how_far(runs: Sequence[Run], stages: Sequence[str], title: str) -> None:
    """A row a push, a square a stage: passed, said no, not reached."""
    _, axes = plt.subplots(figsize=(8, 0.8 + 0.38 * len(runs)))
    reached = how_far(runs, stages)
    for row, (_, states) in enumerate(reached.iterrows()):
        for column, state in enumerate(states):
            colour = {"passed": BLUE, "no": RED, "": "#eeeeee"}[state]
            axes.barh(row, 0.92, left=column + 0.04, height=0.7, color=colour)
            if state == "no":
                axes.text(column + 0.5, row, "no", color="white", ha="center", va="center", weight="bold")
        axes.text(len(stages) + 0.1, row, "deployed" if states["deploy"] == "passed" else "stopped", va="center")
    axes.set_yticks(range(len(reached)), reached.index)
    axes.set_xticks([column + 0.5 for column in range(len(stages))], stages)
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(False)
    axes.set_xlim(0, len(stages) + 1.1)
    axes.invert_yaxis()
    axes.set_title(title)
    plt.show()


def how_far(runs: Sequence[Run], stages: Sequence[str]) -> pd.DataFrame:
    """A row a push, a column a stage: `passed`, `no`, or nothing where it was not reached."""
    table = [{step.name: "no" if step.code else "passed" for step in run.steps} for run in runs]
    return pd.DataFrame(table, index=[run.push for run in runs], columns=list(stages)).fillna("")
