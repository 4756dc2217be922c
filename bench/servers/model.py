"""The model and the rows behind all servers, in one folder: made once a run, then loaded by each server.

    python -m bench.servers.model FOLDER    makes it by hand

A server finds the folder by the environment variable BENCH_SERVING.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flight_delays.bundle import Bundle, load_bundle
from flight_delays.features import NAMES

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

VARIABLE = "BENCH_SERVING"
TRAINED_THROUGH = date(2013, 6, 30)
ROWS = 4_000
BATCH = 1_000
SINGLES = 200
Row = dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """The folder of one run."""

    folder: Path

    @classmethod
    def here(cls) -> Prepared:
        """The folder that the environment names."""
        return cls(Path(os.environ[VARIABLE]))

    @property
    def bundle_folder(self) -> Path:
        return next((self.folder / "models").iterdir())

    @property
    def pipeline_file(self) -> Path:
        return self.folder / "pipeline.joblib"

    @property
    def mlflow_model(self) -> Path:
        return self.folder / "mlflow"

    def bundle(self) -> Bundle:
        return load_bundle(self.bundle_folder)

    def pipeline(self) -> Pipeline:
        """scikit-learn's own form of the model; it needs flight-delays[train]."""
        import joblib

        return joblib.load(self.pipeline_file)

    def columns(self) -> dict[str, list[Any]]:
        """Flights of July to December, which the model was not trained on."""
        return json.loads((self.folder / "rows.json").read_text(encoding="utf-8"))

    def singles(self) -> list[Row]:
        columns = self.columns()
        return [{name: columns[name][row] for name in NAMES} for row in range(SINGLES)]

    def batches(self) -> list[dict[str, list[Any]]]:
        """As columns, a thousand rows each."""
        columns = self.columns()
        starts = range(0, ROWS, BATCH)
        return [{name: columns[name][start : start + BATCH] for name in NAMES} for start in starts]


def prepare(folder: Path, flights: pd.DataFrame | None = None) -> Prepared:
    """Train the model on the first half of 2013 and draw the rows from the second; the same each time.

    A part of `flights.load_flights` may be handed over, which is quicker.
    """
    import joblib

    from flight_delays.evaluation import validate_forward
    from flight_delays.export import export_bundle
    from flight_delays.flights import columns_of, load_flights, split_by_day
    from flight_delays.training import fit

    window, later = split_by_day(load_flights() if flights is None else flights, TRAINED_THROUGH)
    pipeline = fit(window)
    export_bundle(pipeline, window, validate_forward(window), folder / "models")
    prepared = Prepared(folder)
    joblib.dump(pipeline, prepared.pipeline_file)
    rows = columns_of(later.sample(ROWS, random_state=0))
    columns = {name: [_plain(value) for value in rows[name]] for name in NAMES}
    (folder / "rows.json").write_text(json.dumps(columns, allow_nan=False), encoding="utf-8")
    return prepared


def _plain(value: Any) -> str | float | None:
    """A cell as JSON holds it: 39.02, where the float32 would print 39.02000045; None for what is missing."""
    if isinstance(value, str):
        return value
    return None if value != value else float(str(value))


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
