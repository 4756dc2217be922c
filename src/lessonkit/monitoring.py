"""The plots of lesson 06: a cell holds the data and the finding, this module the drawing."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Image

from lessonkit.screenshot import missing, screenshot
from lessonkit.servers import serving
from lessonkit.style import BLUE, GREEN, GREY, ORANGE, RED, plain_numbers

LIGHT = "#bbbbbb"
SHORT = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def draw_reports(reports: pd.DataFrame, title: str) -> None:
    """What a report said after each wait: columns `days waited`, `labels known`, `late of these`."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 2.8))
    left.plot(reports["days waited"], 100 * reports["labels known"], "o-", color=BLUE)
    left.set(ylabel="labels known, %", ylim=(0, 104))
    right.plot(reports["days waited"], 100 * reports["late of these"], "o-", color=ORANGE)
    right.set(ylabel="late flights of these, %", ylim=(0, None))
    for axes in (left, right):
        axes.set_xlabel("days waited after the window")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    plt.show()


def draw_trap(trap: pd.DataFrame, titles: list[str]) -> None:
    """p-value and PSI against the size of the samples: columns `experiment`, `n`, `p`, `psi`."""
    _, (left, right) = plt.subplots(1, 2, figsize=(10, 3.4))
    for (name, rows), colour in zip(trap.groupby("experiment", sort=False), (GREEN, ORANGE, BLUE), strict=True):
        left.loglog(rows["n"], rows["p"].clip(lower=1e-12), "o-", color=colour, label=name)
        right.loglog(rows["n"], rows["psi"], "o-", color=colour, label=name)
    left.axhline(0.05, color=GREY, linestyle="--", linewidth=1)
    for limit in (0.1, 0.25):
        right.axhline(limit, color=GREY, linestyle="--", linewidth=1)
    left.set(ylabel="p-value of KS, median", title=titles[0], ylim=(3e-13, 3))
    right.set(ylabel="PSI, median", title=titles[1])
    for axes in (left, right):
        axes.set_xlabel("flights in each sample")
        axes.set_xticks([100, 1_000, 10_000, 100_000])
        plain_numbers(axes.xaxis)
    plain_numbers(right.yaxis)
    left.legend(loc="lower left")
    plt.show()


def draw_season(season: pd.DataFrame, titles: list[str]) -> None:
    """PSI by month (index 1 to 12, column `psi`), and against `roc_auc` where that is known."""
    _, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
    after = season.dropna()
    colours = [BLUE if month in after.index else LIGHT for month in season.index]
    left.bar([SHORT[month - 1] for month in season.index], season["psi"], color=colours)
    left.set(ylabel="PSI of temperature", xlabel="month of 2013", title=titles[0])
    right.plot(after["psi"], after["roc_auc"], "o", color=BLUE, markersize=8)
    for month, row in after.iterrows():
        right.annotate(
            SHORT[month - 1], (row["psi"], row["roc_auc"]), xytext=(7, -3), textcoords="offset points", fontsize=9
        )
    right.set(xlabel="PSI of temperature", ylabel="ROC AUC", title=titles[1])
    right.margins(x=0.15, y=0.15)
    plt.show()


MOVES = {"P(X)": 0.1, "prediction": 0.1, "P(Y) %": 3.0, "P(Y|X)": 3.0, "ROC AUC": 0.02}
"""From which change on a figure counts as moved in the picture: PSI, percentage points, ROC AUC."""


def moves(moved: pd.DataFrame) -> pd.DataFrame:
    """Which figures of each world moved against the first row; PSI and P(Y|X) are differences already."""
    first = moved.iloc[0]
    told = {}
    for column, limit in MOVES.items():
        change = moved[column] - (first[column] if column in ("P(Y) %", "ROC AUC") else 0.0)
        told[column] = change.abs() >= limit
    return pd.DataFrame(told)


def draw_moved(moved: pd.DataFrame, title: str) -> None:
    """A row a world, a column a figure; orange where it moved, with the figure written in."""
    marks = moves(moved)
    forms = {"P(X)": "{:.2f}", "prediction": "{:.2f}", "P(Y) %": "{:.0f}", "P(Y|X)": "{:+.0f}", "ROC AUC": "{:.3f}"}
    heads = {
        "P(X)": "P(X)\nlargest PSI",
        "prediction": "prediction\nPSI",
        "P(Y) %": "P(Y)\nlate, %",
        "P(Y|X)": "P(Y|X)\npoints off",
        "ROC AUC": "ROC AUC\n",
    }
    _, axes = plt.subplots(figsize=(8, 0.9 + 0.55 * len(moved)))
    for row, name in enumerate(moved.index):
        for column, figure in enumerate(marks):
            colour = ORANGE if marks.loc[name, figure] else "#eeeeee"
            axes.add_patch(plt.Rectangle((column + 0.03, row + 0.06), 0.94, 0.88, color=colour))
            text = forms[figure].format(moved.loc[name, figure]).replace("-0", "+0")
            if figure == "P(X)" and marks.loc[name, figure]:
                text += f"\n{moved.loc[name, 'most']}".replace("_", " ")
            axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9)
    axes.set(xlim=(0, len(marks.columns)), ylim=(len(moved), 0), title=title)
    axes.set_yticks(np.arange(len(moved)) + 0.5, moved.index)
    axes.set_xticks(np.arange(len(marks.columns)) + 0.5, [heads[name] for name in marks])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set_visible(False)
    plt.show()


def draw_estimates(told: pd.DataFrame, title: str) -> None:
    """A line from `estimated` to `realized` for each window."""
    _, axes = plt.subplots(figsize=(8, 0.9 + 0.36 * len(told)))
    for row, (_, values) in enumerate(told.iterrows()):
        axes.plot(values, [row, row], color=LIGHT, linewidth=2, zorder=1)
    axes.plot(told["estimated"], range(len(told)), "o", color="white", markeredgecolor=BLUE, label="estimated")
    axes.plot(told["realized"], range(len(told)), "o", color=ORANGE, markersize=8, label="realized")
    axes.set_yticks(range(len(told)), told.index)
    axes.set(xlabel="ROC AUC", title=title)
    axes.invert_yaxis()
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    plt.show()


def draw_curves(curves: Mapping[str, pd.DataFrame], chosen: Mapping[str, pd.Series], title: str) -> None:
    """False alarms a year against days unseen, a curve a figure that is watched; the chosen points marked."""
    _, axes = plt.subplots(figsize=(8, 3.6))
    for (name, curve), colour in zip(curves.items(), (ORANGE, BLUE), strict=True):
        shown = curve[curve["alarms_a_year"] > 0]
        axes.loglog(shown["alarms_a_year"], shown["days_unseen"], color=colour, linewidth=2, label=name)
        point = chosen[name]
        at = point["alarms_a_year"], point["days_unseen"]
        axes.plot(*at, "o", color=colour, markersize=9)
        axes.annotate(f"{at[1]:.0f} days", at, xytext=(8, 8), textcoords="offset points")
    axes.set(xlabel="false alarms a year", ylabel="days until the change is seen, median", title=title)
    for axis in (axes.xaxis, axes.yaxis):
        plain_numbers(axis)
    axes.legend()
    plt.show()


def draw_acting(acting: Mapping[str, pd.DataFrame], title: str) -> None:
    """Two worlds month by month: the share of flights warned, and the share late in spite of it."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
    for (name, rows), colour in zip(acting.items(), (RED, BLUE), strict=True):
        left.plot(rows.index, 100 * rows["warned"], "o-", color=colour, label=f"trained on {name}")
        right.plot(rows.index, 100 * rows["late"], "o-", color=colour)
    right.plot(rows.index, 100 * rows["late without"], "s--", color=GREY, label="without any action")
    left.set(ylabel="flights warned, %", xlabel="month of 2013", ylim=(0, None))
    right.set(ylabel="flights late, %", xlabel="month of 2013", ylim=(0, None))
    left.legend(fontsize=9)
    right.legend(fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    plt.show()


def picture_of(page: Path, wait_for: str = "svg", *, width: int = 1200, height: int = 900) -> Image | None:
    """A picture of an HTML file as a browser shows it; one line and None where there is no browser."""
    if lack := missing():
        print(lack)
        return None
    words = ["http.server", "{port}", "--bind", "127.0.0.1", "--directory", page.parent]
    with serving([sys.executable, "-m", *words], f"/{page.name}") as server:
        return screenshot(f"{server.url}/{page.name}", wait_for, width=width, height=height)
