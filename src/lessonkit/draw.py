"""The plots that lessons share, so that a cell holds the data and the finding, not the drawing."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from lessonkit.style import BLUE, GREEN, GREY, ORANGE, RED, label_bars, plain_numbers


def _finish_bars(axes: Axes, log: bool) -> None:
    if log:
        axes.set_xscale("log")
        plain_numbers(axes.xaxis)
    label_bars(axes)
    axes.invert_yaxis()


def bars(values: Mapping[str, float] | pd.Series, *, xlabel: str, title: str, log: bool = False) -> None:
    """One horizontal bar a value, the first on top, the last in the accent colour, each labelled."""
    values = pd.Series(values)
    _, axes = plt.subplots(figsize=(8, 0.9 + 0.4 * len(values)))
    axes.barh(values.index, values, color=[GREY] * (len(values) - 1) + [ORANGE])
    axes.set(xlabel=xlabel, title=title)
    _finish_bars(axes, log)
    plt.show()


def bar_panels(table: pd.DataFrame, *, xlabel: str, titles: list[str], log: bool = False) -> None:
    """A panel of horizontal bars for each column of the table, side by side, with its own title."""
    width, height = 4.5 * table.shape[1], 0.9 + 0.4 * len(table)
    figure, panels = plt.subplots(1, table.shape[1], figsize=(width, height), squeeze=False)
    for axes, column, title in zip(panels[0], table, titles, strict=True):
        axes.barh(table.index, table[column], color=BLUE)
        axes.set_title(title)
        _finish_bars(axes, log)
    for axes in panels[0][1:]:
        axes.set_yticklabels([])
    figure.supxlabel(xlabel, fontsize=10)
    plt.show()


def grouped_bars(table: pd.DataFrame, *, xlabel: str, title: str, log: bool = False) -> None:
    """A group of horizontal bars for each row, a colour for each column."""
    axes = table.plot.barh(color=[ORANGE, GREY, BLUE][: table.shape[1]], width=0.8, figsize=(8, 3.2))
    axes.set(xlabel=xlabel, ylabel="", title=title)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    _finish_bars(axes, log)
    plt.show()


def curves(table: pd.DataFrame, *, xlabel: str, ylabel: str, title: str) -> None:
    """A line for each column over the numbers of the index, both axes logarithmic."""
    axes = table.plot(loglog=True, marker="o", color=[GREY, BLUE, GREEN, ORANGE], figsize=(7, 3.2))
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    plain_numbers(axes.yaxis)
    axes.set_xticks(table.index, table.index)
    plt.show()


def parity(before: np.ndarray, after: np.ndarray, marked: np.ndarray, *, labels: tuple[str, str], title: str) -> None:
    """Two models' probabilities for the same rows against each other; the marked rows in red.

    Parameters
    ----------
    before, after, marked
        Shape (rows,); `marked` is boolean. At most 4,000 rows, drawn at random, are shown.
    labels
        Names of the marked and of the other rows.
    """
    shown = np.random.default_rng(0).permutation(len(before))[:4000]
    _, axes = plt.subplots(figsize=(4.8, 4.4))
    for label, part, colour in zip(labels, (marked, ~marked), (RED, BLUE), strict=True):
        rows = shown[part[shown]]
        axes.scatter(before[rows], after[rows], s=4, color=colour, label=label)
    axes.set(xlabel="scikit-learn's probability", ylabel="onnxruntime's probability", title=title)
    axes.legend(markerscale=3)
    plt.show()
