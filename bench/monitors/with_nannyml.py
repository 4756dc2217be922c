"""NannyML's CBPE and univariate drift at their defaults, on weeks. Runs in NannyML's own environment.

    python -m bench.monitors.with_nannyml FOLDER

Reads reference.npz and weeks.npz from the folder, writes alarms.json: for each week the columns in
alarm, and `estimated ROC AUC` for CBPE.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import nannyml
import numpy as np
import pandas as pd

MONDAY = pd.Timestamp("2001-01-01")
ESTIMATED = "estimated ROC AUC"


def read(path: Path) -> tuple[pd.DataFrame, list[str], list[str]]:
    """A table with one week after the other, its columns, and those that are categories."""
    stored = np.load(path)
    names, categories = [str(name) for name in stored["names"]], [str(name) for name in stored["categories"]]
    table = pd.DataFrame(stored["matrix"], columns=names).astype(float)
    for name in categories:
        codes = table[name].astype(int)
        table[name] = codes.astype(str).astype(object).where(codes >= 0, None)
    probability = stored["probabilities"].astype(float)
    table = table.assign(
        prediction=probability,
        warned=(probability >= float(stored["threshold"])).astype(int),
        late=stored["late"].astype(int),
        time=MONDAY + pd.to_timedelta(stored["week"] * 7, unit="D"),
    )
    return table, [*names, "prediction"], categories


def alarms(reference: pd.DataFrame, weeks: pd.DataFrame, columns: list[str], categories: list[str]) -> list[list[str]]:
    """The names in alarm for each week, in order."""
    drift = nannyml.UnivariateDriftCalculator(
        column_names=columns, treat_as_categorical=categories, timestamp_column_name="time", chunk_period="W"
    )
    drifted = drift.fit(reference).calculate(weeks).filter(period="analysis").to_df()
    estimator = nannyml.CBPE(
        metrics=["roc_auc"],
        y_pred_proba="prediction",
        y_pred="warned",
        y_true="late",
        problem_type="classification_binary",
        timestamp_column_name="time",
        chunk_period="W",
    )
    estimated = estimator.fit(reference).estimate(weeks.drop(columns="late")).filter(period="analysis").to_df()
    found = pd.DataFrame({column: drifted[column, "jensen_shannon", "alert"].to_numpy(bool) for column in columns})
    found[ESTIMATED] = estimated["roc_auc", "alert"].to_numpy(bool)
    return [[name for name in found if row[name]] for _, row in found.iterrows()]


def main(folder: Path) -> None:
    warnings.simplefilter("ignore")
    reference, columns, categories = read(folder / "reference.npz")
    weeks, *_ = read(folder / "weeks.npz")
    found = alarms(reference, weeks, columns, categories)
    (folder / "alarms.json").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
