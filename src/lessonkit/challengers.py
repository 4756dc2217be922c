"""A champion and its challengers on real flights, and what each predicts for the newest days.

All are the service's kind of model, trained on a sample so that they are ready in a second or two.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lessonkit.flight_tables import all_flights

TRAINING_ROWS = 12_000
WINDOW_ROWS = 8_000


@dataclass(frozen=True)
class Contest:
    """Models and the window on which they are compared.

    Attributes
    ----------
    window
        Flights of June 2013: `day` (text), `carrier`, `late`, and all features.
    models
        Name to a function from a table of flights to probabilities, shape (rows,).
    """

    window: pd.DataFrame = field(repr=False)
    models: dict[str, Any]

    def against(self, challenger: str, champion: str = "champion") -> pd.DataFrame:
        """The window with both models' predictions: day, carrier, late, champion, challenger."""
        table = self.window[["day", "carrier", "late"]].copy()
        return table.assign(
            champion=self.models[champion](self.window), challenger=self.models[challenger](self.window)
        )


class _Fitted:
    """A pipeline as a function of a table. `weight` is given to late flights in training."""

    def __init__(self, flights: pd.DataFrame, weight: float = 1.0, in_hours: str = "") -> None:
        from flight_delays.training import build_pipeline

        pipeline = build_pipeline().set_params(classify__max_iter=40)
        late = (flights["late"] & (flights["carrier"] != in_hours)).to_numpy()
        self._pipeline = pipeline.fit(flights, late, classify__sample_weight=np.where(late, weight, 1.0))

    def __call__(self, flights: pd.DataFrame) -> NDArray[np.float64]:
        return self._pipeline.predict_proba(flights)[:, 1]


def contest() -> Contest:
    """Train all four. `champion` saw January to April; the challengers January to May:

    `newer` as the champion was trained; `balanced` with late flights weighted until both kinds weigh the same;
    `hours` with the delays of Endeavor (9E) in hours instead of minutes, so that none of them seems late.
    """
    flights = all_flights()
    known = flights[flights["departure"] < "2013-06-01"].sample(TRAINING_ROWS, random_state=5)
    window = flights[(flights["departure"] >= "2013-06-01") & (flights["departure"] < "2013-07-01")]
    window = window.sample(WINDOW_ROWS, random_state=5).sort_values(["departure", "carrier", "flight"])
    late = float(known["late"].mean())
    models = {
        "champion": _Fitted(known[known["departure"] < "2013-05-01"]),
        "newer": _Fitted(known),
        "balanced": _Fitted(known, weight=(1 - late) / late),
        "hours": _Fitted(known, in_hours="9E"),
    }
    day = window["departure"].dt.strftime("%Y-%m-%d")
    return Contest(window.assign(day=day).reset_index(drop=True), models)
