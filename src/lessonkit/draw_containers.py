"""The plots of lesson 04: layers by size, steps of a build by time, what happened to containers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes

from lessonkit.engine_build import Image
from lessonkit.engine_events import Event
from lessonkit.style import BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY

COLOURS = {"RUN": ORANGE, "COPY": BLUE, "REST": GREY}
MARKS = {
    "start": (GREEN, ">"),
    "healthy": (SKY, "o"),
    "unhealthy": (ORANGE, "o"),
    "oom": (PINK, "D"),
    "kill": (GREY, "v"),
    "die": (RED, "X"),
}


def layer_table(images: Mapping[str, Image], base: Image) -> pd.DataFrame:
    """A row a layer above the base that holds anything: `image`, `instruction`, `MB`."""
    below = len(base.history())
    rows = [
        (name, entry.created_by, entry.size / 1e6)
        for name, image in images.items()
        for entry in image.history()[below:]
        if entry.size
    ]
    return pd.DataFrame(rows, columns=["image", "instruction", "MB"])


def step_table(builds: Mapping[str, Image]) -> pd.DataFrame:
    """A row a step of each build: `build`, `instruction`, `cached`, `seconds` (0 where it was there already).

    The last row of a build is `REST`, the time that is spent in no step.
    """
    rows = []
    for name, image in builds.items():
        steps = [step for step in image.steps if step.word != "FROM"]
        rows += [(name, step.instruction, step.cached, step.seconds or 0.0) for step in steps]
        rest = image.seconds - sum(step.seconds or 0.0 for step in steps)
        rows.append((name, "REST", False, max(0.0, rest)))
    return pd.DataFrame(rows, columns=["build", "instruction", "cached", "seconds"])


def draw_parts(table: pd.DataFrame, group: str, value: str, *, xlabel: str, title: str) -> None:
    """A horizontal bar for each group, made of its rows, coloured by instruction, labelled where there is room.

    Parameters
    ----------
    table
        As `layer_table` or `step_table` gives it.
    group, value
        The columns of the bars and of the lengths.
    """
    names = list(dict.fromkeys(table[group]))
    longest = table.groupby(group)[value].sum().max()
    _, axes = plt.subplots(figsize=(8.6, 0.9 + 0.62 * len(names)))
    for row, name in enumerate(names):
        start = 0.0
        for part in table[table[group] == name].itertuples():
            length = getattr(part, value)
            colour = COLOURS.get(part.instruction.split()[0], PINK)
            axes.barh(row, length, left=start, height=0.62, color=colour, edgecolor="white")
            if length > 0.3 * longest:
                ink = "white" if colour == BLUE else "black"
                where = {"ha": "center", "va": "center", "fontsize": 8, "color": ink}
                axes.text(start + length / 2, row, shortened(part.instruction), **where)
            start += length
        axes.text(start, row, f" {start:,.1f}", va="center", fontsize=9)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(xlabel=xlabel, title=title)
    words = set(table["instruction"].str.split().str[0])
    _legend(axes, {word: (colour, "s") for word, colour in COLOURS.items() if word in words})
    plt.show()


def shortened(instruction: str, most: int = 34) -> str:
    """An instruction without its options, cut after so many characters."""
    text = " ".join(word for word in instruction.split() if not word.startswith("--"))
    return text if len(text) <= most else f"{text[: most - 1]}…"


def draw_timeline(rows: Mapping[str, Sequence[Event]], title: str) -> None:
    """What happened to each container, in seconds since it was first started; a line while it ran."""
    _, axes = plt.subplots(figsize=(8.6, 0.9 + 0.55 * len(rows)))
    ends = [events[-1].at - _begin(events) for events in rows.values() if events]
    last = max(ends, default=1.0)
    for row, events in enumerate(rows.values()):
        zero, running = _begin(events), None
        for event in events:
            at = event.at - zero
            if event.what == "start":
                running = at
            if event.what == "die" and running is not None:
                axes.plot([running, at], [row, row], color=GREY, linewidth=2, zorder=1)
                running = None
        if running is not None:  # it still runs
            axes.plot([running, last * 1.05], [row, row], color=GREY, linewidth=2, zorder=1)
        for what, (colour, mark) in MARKS.items():
            times = [event.at - zero for event in events if event.what == what]
            axes.scatter(times, [row] * len(times), color=colour, marker=mark, s=60, zorder=2)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set(xlabel="seconds since the first start", title=title)
    _legend(axes, MARKS)
    plt.show()


def _begin(events: Sequence[Event]) -> float:
    return next(event.at for event in events if event.what == "start")


def _legend(axes: Axes, marks: Mapping[str, tuple[str, str]]) -> None:
    for name, (colour, mark) in marks.items():
        axes.scatter([], [], color=colour, marker=mark, s=50, label=name)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
