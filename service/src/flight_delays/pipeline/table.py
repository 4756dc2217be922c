"""The flights that a stage reads, loaded once for all stages of a run."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from flight_delays.pipeline.inputs import data_digest, digest_of, file_digest
from flight_delays.pipeline.outcome import Misconfigured
from flight_delays.pipeline.stage import Place

if TYPE_CHECKING:
    import pandas as pd

    from flight_delays.monitoring.scenario import Scenario


def flights_between(place: Place, first: date | None, last: date) -> pd.DataFrame:
    """Return the flights scheduled from one day to another, both included."""
    import pandas as pd

    from flight_delays.flights import load_flights, split_by_day

    if "flights" not in place.cache:
        place.cache["flights"] = _without_quarantined(place, _injected(place, load_flights()))
    flights, _ = split_by_day(place.cache["flights"], last)
    return flights if first is None else flights[flights["departure"] >= pd.Timestamp(first)]


def newest_flights(place: Place) -> pd.DataFrame:
    """Return the window that is kept for the gate: no model was trained on it."""
    return flights_between(place, place.config.window_first, place.config.as_of)


def flights_digest(place: Place) -> str:
    """Return one digest of what the table is made of: the data, and what is done to it.

    Raises:
        Misconfigured: the scenario is not there.
    """
    data, scenario = data_digest(), _scenario_path(place)
    quarantined = [days.model_dump(mode="json") for days in place.config.data.quarantined]
    if scenario is None and not quarantined:
        return data
    return digest_of([data, quarantined, None if scenario is None else file_digest(scenario)])


def told(place: Place) -> list[str]:
    """Say what was done to the table on purpose, a line each; empty for the flights as flown."""
    path = _scenario_path(place)
    if path is None:
        return []
    return _read_scenario(path).told()


def _injected(place: Place, flights: pd.DataFrame) -> pd.DataFrame:
    path = _scenario_path(place)
    if path is None:
        return flights
    from flight_delays.monitoring.scenario import apply

    return apply(flights, _read_scenario(path))


def _read_scenario(path: Path) -> Scenario:
    from flight_delays.monitoring.scenario import ScenarioError, read_scenario

    try:
        return read_scenario(path)
    except ScenarioError as error:
        raise Misconfigured(*str(error).splitlines()) from None


def _scenario_path(place: Place) -> Path | None:
    name = place.config.data.scenario
    if name is None:
        return None
    path = place.project / name
    if not path.is_file():
        raise Misconfigured(f"data.scenario: {name} not found in {place.project}")
    return path


def _without_quarantined(place: Place, flights: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    departure = flights["departure"]
    for days in place.config.data.quarantined:
        after = pd.Timestamp(days.last) + pd.Timedelta(days=1)
        inside = (departure >= pd.Timestamp(days.first)) & (departure < after)
        flights, departure = flights[~inside], departure[~inside]
    return flights
