"""The report that a person reads: Evidently's, one HTML file that needs no network.

Its verdicts are Evidently's own (a distance above 0.1 is drift); with a season in the weather about
half of the columns have it in every month. What this project acts on is in `drift.py`, `quality.py`
and `decay.py`. The report is for the eyes: how each column lay then and lies now.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flight_delays.features import CATEGORIES, FEATURES, NUMBERS, Vocabulary
from flight_delays.monitoring.decay import complete
from flight_delays.monitoring.window import Window

if TYPE_CHECKING:
    from evidently import Dataset

    from flight_delays.monitoring.reference import Reference

ROWS = 5_000
THRESHOLD = 0.25
LATE, PROBABILITY = "late", "probability"


def write_report(
    reference: Reference, window: Window, path: Path, threshold: float = THRESHOLD
) -> Path:
    """Write the report of a window against the sample of the reference.

    Of a longer window `ROWS` flights are drawn: Evidently keeps every point in memory. Where the
    window has labels of both kinds it has scores, and is about the days whose labels are complete
    enough, see `decay.complete_days`.

    Args:
        path: the HTML file, about 5 MB.
        threshold: from which the service says "late".

    Raises:
        ValueError: the window is empty.
    """
    if not len(window):
        raise ValueError("window: expected flights to report on, found none")
    os.environ.setdefault("DO_NOT_TRACK", "1")  # Evidently's user interface reports to its maker
    from evidently import Report
    from evidently.presets import ClassificationPreset, DataDriftPreset

    sample = reference.sample
    vocabulary = reference.bins.vocabulary
    then = _frame(sample.matrix, sample.honest, sample.late.astype(np.float32), vocabulary)
    labelled = complete(window)
    labelled = labelled.of(labelled.known)
    with_scores = 0 < labelled.late.sum() < len(labelled)
    window = _drawn(labelled if with_scores else window)
    now = _frame(window.matrix, window.probabilities, window.late, window.vocabulary)
    parts = [DataDriftPreset(columns=[*CATEGORIES, *NUMBERS, PROBABILITY])]
    if with_scores:
        parts.append(ClassificationPreset(probas_threshold=threshold))
    found = Report(parts).run(_dataset(now, with_scores), _dataset(then, with_scores))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(found.get_html_str(as_iframe=False), encoding="utf-8")
    return path


def _dataset(frame: pd.DataFrame, with_scores: bool) -> Dataset:
    from evidently import BinaryClassification, DataDefinition, Dataset

    task = BinaryClassification(target=LATE, prediction_probas=PROBABILITY, pos_label=1)
    definition = DataDefinition(
        numerical_columns=[*NUMBERS, PROBABILITY],
        categorical_columns=[*CATEGORIES],
        classification=[task] if with_scores else None,
    )
    frame = frame.astype({LATE: int}) if with_scores else frame.drop(columns=LATE)
    return Dataset.from_pandas(frame, data_definition=definition)


def _frame(
    matrix: NDArray[np.float32],
    probabilities: NDArray[np.float32],
    late: NDArray[np.float32],
    vocabulary: Vocabulary,
) -> pd.DataFrame:
    columns = {}
    for position, feature in enumerate(FEATURES):
        values = matrix[:, position].astype(float)
        if feature.kind == "category":
            names = np.array([*vocabulary[feature.name], "unknown"], object)
            columns[feature.name] = names[values.astype(int)]  # -1 is the last
        else:
            columns[feature.name] = values
    return pd.DataFrame(columns | {PROBABILITY: probabilities.astype(float), LATE: late})


def _drawn(window: Window, seed: int = 0) -> Window:
    if len(window) <= ROWS:
        return window
    rows = np.zeros(len(window), bool)
    rows[np.random.default_rng(seed).permutation(len(window))[:ROWS]] = True
    return window.of(rows)
