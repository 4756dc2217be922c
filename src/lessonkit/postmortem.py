"""Models that a pipeline has stopped, looked at afterwards: what each guard says of each, what the score says."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from flight_delays.pipeline.findings import Findings
from lessonkit.style import BLUE, GREY, RED

# Groups of the gate's findings by the guard they belong to.
GUARDS = {
    "age": ("newer",),
    "scores": ("discrimination", "calibration"),
    "cost": ("cost", "difference"),
    "slices": ("slices",),
    "behaviour": ("behaviour",),
    "speed, size": ("latency", "size"),
}


def flights_by(code: Path) -> pd.DataFrame:
    """The table of flights as another version of flights.py makes it.

    Parameters
    ----------
    code
        That version. It is run under another name, so the one that is installed stays as it is.
    """
    spec = importlib.util.spec_from_file_location("flights_of_another_version", code)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load_flights()


def objections(findings: Findings) -> dict[str, bool]:
    """Guard to whether it objects."""
    return {guard: any(finding.group in groups for finding in findings.failed) for guard, groups in GUARDS.items()}


def draw_scores(auc: Mapping[str, float], stopped: Mapping[str, str], champion: str, title: str) -> None:
    """A point a model on an axis of ROC AUC: blue is in service or may be, red was stopped, and by what.

    Parameters
    ----------
    auc
        Model to its ROC AUC, the first on top.
    stopped
        Model to what stopped it; nothing for those that passed.
    champion
        The model whose score is drawn as a line.
    """
    _, axes = plt.subplots(figsize=(8, 0.9 + 0.36 * len(auc)))
    axes.axvline(auc[champion], color=GREY, linestyle="--", zorder=0)
    for row, (name, value) in enumerate(auc.items()):
        axes.plot([value], [row], "o", markersize=9, color=RED if stopped.get(name) else BLUE)
        told = f"stopped by {stopped[name]}" if stopped.get(name) else ("champion" if name == champion else "deployed")
        left = value > (min(auc.values()) + max(auc.values())) / 2
        axes.annotate(
            f"{value:.3f}, {told}",
            (value, row),
            xytext=(-9 if left else 9, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            fontsize=9,
            bbox={"color": "white", "pad": 0.5},
        )
    axes.set_yticks(range(len(auc)), list(auc))
    axes.invert_yaxis()
    axes.margins(x=0.06, y=0.12)
    axes.set(xlabel="ROC AUC on the newest 30 days", title=title)
    plt.show()


def draw_guards(table: pd.DataFrame, title: str) -> None:
    """A square a guard and model: red where it objects, grey where it lets pass, white where it was not asked."""
    _, axes = plt.subplots(figsize=(8, 1.1 + 0.4 * len(table)))
    for row, (_, values) in enumerate(table.iterrows()):
        for column, value in enumerate(values):
            colour = "white" if pd.isna(value) else RED if value else "#dddddd"
            axes.barh(row, 0.92, left=column + 0.04, height=0.78, color=colour)
            if pd.notna(value) and value:
                axes.text(column + 0.5, row, "no", color="white", ha="center", va="center", weight="bold")
    axes.set_yticks(range(len(table)), table.index)
    axes.set_xticks([column + 0.5 for column in range(table.shape[1])], table.columns)
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelsize=9)
    axes.spines[:].set_visible(False)
    axes.grid(False)
    axes.set_xlim(0, table.shape[1])
    axes.invert_yaxis()
    axes.set_title(title)
    plt.show()
