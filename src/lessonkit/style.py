"""One look for all plots: colours that survive colour-blindness, a title that can state a finding."""

from __future__ import annotations

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.axis import Axis

# Okabe and Ito's palette (jfly.uni-koeln.de/color), without its yellow, which is lost on white.
BLUE, ORANGE, GREEN, RED, SKY, PINK, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#7f7f7f"


def use_course_style() -> None:
    """Set matplotlib's defaults for this notebook."""
    plt.rcParams.update(
        {
            "figure.figsize": (8, 3.2),
            "figure.dpi": 110,
            "figure.constrained_layout.use": True,
            "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, RED, SKY, PINK]),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.titlesize": 11,
            "axes.grid.axis": "x",
            "font.size": 10,
            "legend.frameon": False,
        }
    )


def label_bars(axes: Axes, form: str = "{:,.3g}") -> None:
    """Write each bar's value at its end."""
    for bars in axes.containers:
        axes.bar_label(bars, fmt=lambda value: form.format(value), padding=3, fontsize=9)
    axes.margins(x=0.15)


def plain_numbers(axis: Axis) -> None:
    """Write 0.01, 1, 100 on a logarithmic axis instead of powers of ten; no minor labels."""
    axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axis.set_minor_formatter("")
