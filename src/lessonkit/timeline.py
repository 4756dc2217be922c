"""Which version answered when: read from the prediction log, drawn over time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from flight_delays.prediction_log import read_log
from lessonkit.style import BLUE, GREEN, ORANGE, PINK

BIN_S = 0.1


def logged_versions(log: Path, since: float) -> pd.DataFrame:
    """The predictions in a service's log, oldest first.

    Parameters
    ----------
    log
        The file predictions.sqlite in the service's state folder.
    since
        Leave out what was received before; seconds since 1970.

    Returns
    -------
    A row a prediction: `second` since the first one, `version`.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no prediction log, or holds nothing from then on.
    """
    chunks = list(read_log(log, since=since))
    if not chunks:
        raise ValueError(f"{log.name}: no prediction was logged since then")
    at = np.concatenate([chunk.received_at for chunk in chunks])
    version = np.concatenate([chunk.version for chunk in chunks])
    return pd.DataFrame({"second": at - at[0], "version": version})


def count_by_version(answers: pd.DataFrame, bin_s: float = BIN_S) -> pd.DataFrame:
    """Answers in each short stretch of time.

    Parameters
    ----------
    answers
        A row an answer: `second` since the first one, `version`.
    bin_s
        Length of a stretch, in seconds.

    Returns
    -------
    A row a stretch, whose index is its beginning in seconds, and a column a version.
    """
    stretch = np.floor(answers["second"] / bin_s).astype(int)
    counts = pd.crosstab(stretch, answers["version"])
    counts = counts.reindex(range(stretch.max() + 1), fill_value=0)  # a pause is to be seen
    return counts.set_axis(counts.index * bin_s, axis="index")


def draw_versions(answers: pd.DataFrame, names: Mapping[str, str], title: str) -> None:
    """Bars over time, as high as there were answers, in the colour of the version that gave them.

    Parameters
    ----------
    answers
        As in `count_by_version`.
    names
        Version to what the legend calls it, in the order of the colours.
    """
    counts = count_by_version(answers)
    _, axes = plt.subplots()
    below = np.zeros(len(counts))
    for (version, name), colour in zip(names.items(), (BLUE, ORANGE, GREEN, PINK), strict=False):
        heights = counts[version].to_numpy() if version in counts else below * 0
        axes.bar(counts.index, heights, BIN_S, below, align="edge", color=colour, label=name)
        below = below + heights
    axes.set(xlabel="seconds since the first answer", ylabel=f"answers in {BIN_S:g} s", title=title)
    axes.legend(loc="upper left", bbox_to_anchor=(1, 1))
    plt.show()
