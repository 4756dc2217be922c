"""Versions of the model to manage: bundles trained in seconds, and packed as the service takes them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pandas as pd

from flight_delays.bundle import INFO_FILE
from flight_delays.evaluation import validate_forward
from flight_delays.export import export_bundle
from flight_delays.flights import split_by_day
from flight_delays.metadata import MODEL_FILE
from flight_delays.training import fit


def build_bundles(flights: pd.DataFrame, through: date, thresholds: Sequence[float], place: Path) -> list[str]:
    """Train once on the flights up to a day and write a bundle for each threshold.

    Parameters
    ----------
    flights
        From `flight_delays.flights.load_flights`.
    through
        Last day of the data.
    thresholds
        Probabilities from which the service says "late".
    place
        Folder in which each bundle becomes a folder, named by its version.

    Returns
    -------
    The versions, in the order of the thresholds.

    Raises
    ------
    ValueError
        There are too few days up to that one.
    FileExistsError
        A bundle is there already.
    """
    window, _ = split_by_day(flights, through)
    model, metrics = fit(window), validate_forward(window)
    return [export_bundle(model, window, metrics, place, threshold=threshold).name for threshold in thresholds]


def pack(bundle: Path) -> bytes:
    """A bundle's folder as a zip of its two files, the body of PUT /v1/models/{version}."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in (MODEL_FILE, INFO_FILE):
            archive.write(bundle / name, name)
    return packed.getvalue()
