"""Draw where the draws of a bootstrap lie, and what came true afterwards."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from lessonkit.style import BLUE, GREY, ORANGE


def draw_intervals(gains: Mapping[str, NDArray[np.float64]], later: float, title: str, *, level: float = 0.95) -> None:
    """A row for each way to draw: all draws as faint marks, the middle `level` of them as a line; a dot for `later`.

    Parameters
    ----------
    gains
        Name of the way to its differences in ROC AUC, shape (draws,).
    later
        The difference that was measured on flights of a later month.
    """
    _, axes = plt.subplots(figsize=(8, 2.3))
    axes.axvline(0, color=GREY, linestyle="--", linewidth=1)
    for row, ((_, values), colour) in enumerate(zip(gains.items(), (ORANGE, BLUE), strict=False)):
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        axes.plot(values, np.full(len(values), row + 0.22), "|", color=colour, alpha=0.35, markersize=8)
        axes.plot([low, high], [row, row], color=colour, linewidth=4, solid_capstyle="butt")
        axes.text(high, row, f"  {low:+.3f} to {high:+.3f}", va="center", fontsize=9)
    axes.plot([later], [len(gains)], "o", color="black", markersize=8)
    axes.text(later, len(gains), f"   {later:+.3f}", va="center", fontsize=9)
    axes.set_yticks(range(len(gains) + 1), [*gains, "the month after"])
    axes.set(ylim=(-0.5, len(gains) + 0.5), title=title)
    axes.set_xlabel("ROC AUC of the challenger minus that of the champion")
    axes.invert_yaxis()
    axes.margins(x=0.12)
    plt.show()
