"""Raw columns in, numbers out, and a clear refusal of everything else."""

from __future__ import annotations

import numpy as np
import pytest

from flight_delays.features import (
    CATEGORIES,
    FEATURES,
    NAMES,
    NUMBERS,
    UNKNOWN,
    encode,
    learn_vocabulary,
    unknown_values,
)

VOCABULARY = {
    "carrier": {"AA": 0, "UA": 1},
    "origin": {"EWR": 0, "JFK": 1, "LGA": 2},
    "destination": {"IAH": 0, "MIA": 1},
}
AFTER_DEPARTURE = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "arrival_delay"}


def two_flights() -> dict[str, list]:
    return {
        "carrier": ["UA", "AA"],
        "origin": ["EWR", "JFK"],
        "destination": ["IAH", "MIA"],
        "departure_minute": [315, 340],
        "weekday": [1, 1],
        "distance": [1400.0, 1089.0],
        "temperature": [39.92, 41.0],
        "dew_point": [28.04, 26.06],
        "humidity": [62.21, 54.97],
        "wind_direction": [250.0, 260.0],
        "wind_speed": [12.66, 17.26],
        "precipitation": [0.0, 0.01],
        "pressure": [1012.2, 1011.8],
        "visibility": [10.0, 9.0],
        "plane_age": [14.0, 23.0],
    }


def cell(matrix: np.ndarray, row: int, name: str) -> float:
    return float(matrix[row, NAMES.index(name)])


def test_list_of_features_is_sound():
    assert len(FEATURES) == len(set(NAMES)) == 15
    assert (*CATEGORIES, *NUMBERS) == NAMES
    assert not AFTER_DEPARTURE & set(NAMES)
    for feature in FEATURES:
        assert feature.description.endswith(".")
        if feature.kind == "number":
            assert feature.minimum < feature.maximum


def test_categories_become_codes_and_numbers_stay():
    matrix = encode(two_flights(), VOCABULARY)
    assert matrix.dtype == np.float32
    assert matrix.shape == (2, 15)
    assert matrix[:, 0].tolist() == [1, 0]
    assert matrix[:, 1].tolist() == [0, 1]
    assert cell(matrix, 1, "departure_minute") == 340
    assert cell(matrix, 0, "temperature") == np.float32(39.92)


def test_order_of_the_mapping_does_not_matter():
    backwards = dict(reversed(two_flights().items()))
    assert np.array_equal(encode(backwards, VOCABULARY), encode(two_flights(), VOCABULARY))


@pytest.mark.parametrize("kind", [list, tuple, np.array, lambda v: np.array(v, dtype=object)])
def test_any_sequence_will_do(kind):
    columns = {name: kind(values) for name, values in two_flights().items()}
    assert np.array_equal(encode(columns, VOCABULARY), encode(two_flights(), VOCABULARY))


def test_no_rows_give_an_empty_matrix():
    assert encode({name: [] for name in NAMES}, VOCABULARY).shape == (0, 15)


@pytest.mark.parametrize("value", ["ZZ", "aa", "", None, float("nan")])
def test_unknown_and_missing_categories_share_one_code(value):
    columns = two_flights() | {"carrier": ["UA", value]}
    assert encode(columns, VOCABULARY)[:, 0].tolist() == [1, UNKNOWN]


def test_unknown_values_are_named_once_in_order_of_appearance():
    columns = two_flights() | {"carrier": ["ZZ", None], "destination": ["QQQ", "QQQ"]}
    expected = {"carrier": ["ZZ", None], "destination": ["QQQ"]}
    assert unknown_values(columns, VOCABULARY) == expected
    assert unknown_values(two_flights(), VOCABULARY) == {}


def test_vocabulary_is_alphabetical_and_skips_missing_values():
    columns = two_flights() | {"carrier": ["UA", None], "origin": ["LGA", float("nan")]}
    vocabulary = learn_vocabulary(columns)
    assert vocabulary["carrier"] == {"UA": 0}
    assert vocabulary["origin"] == {"LGA": 0}
    assert list(vocabulary["destination"].items()) == [("IAH", 0), ("MIA", 1)]


@pytest.mark.parametrize(
    "name", [f.name for f in FEATURES if f.may_be_missing and f.minimum is not None]
)
@pytest.mark.parametrize("missing", [None, float("nan")])
def test_missing_reading_becomes_nan(name, missing):
    columns = two_flights()
    columns[name] = [columns[name][0], missing]
    matrix = encode(columns, VOCABULARY)
    assert not np.isnan(cell(matrix, 0, name))
    assert np.isnan(cell(matrix, 1, name))
    assert np.isnan(matrix).sum() == 1


@pytest.mark.parametrize("name", NUMBERS)
def test_both_ends_of_the_range_are_accepted_and_what_lies_beyond_is_not(name):
    feature = FEATURES[NAMES.index(name)]
    ends = [feature.minimum, feature.maximum]
    matrix = encode(two_flights() | {name: ends}, VOCABULARY)
    assert matrix[:, NAMES.index(name)].tolist() == ends
    for beyond in (feature.minimum - 1, feature.maximum + 1, np.inf, -np.inf, 1e300, 10**400):
        with pytest.raises(ValueError, match=rf"^{name}: row 1: expected a number from .* found"):
            encode(two_flights() | {name: [feature.minimum, beyond]}, VOCABULARY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"carrier": ["UA"]}, "origin: expected 1 rows like carrier, found 2"),
        ({"distance": [1.0]}, "distance: expected 2 rows like carrier, found 1"),
        ({"arr_delay": [1.0, 2.0]}, "arr_delay: not a feature"),
        ({"Carrier": ["UA", "AA"]}, "Carrier: not a feature; the features are carrier, origin"),
        ({"carrier": "UA"}, "carrier: expected a list of values"),
        ({"carrier": 5}, "carrier: expected a list of values"),
        ({"distance": 1400.0}, "distance: expected a list of values"),
        ({"distance": np.array(1.0)}, "distance: expected a list of values"),
        ({"distance": None}, "distance: expected a list of values"),
        ({"distance": {1.0, 2.0}}, "distance: expected a list of values"),
        ({"carrier": ["UA", 5]}, "carrier: row 1: expected text, found 5"),
        ({"carrier": ["UA", True]}, "carrier: row 1: expected text, found True"),
        ({"carrier": [["UA"], "AA"]}, r"carrier: row 0: expected text, found \['UA'\]"),
        ({"distance": [1.0, "2"]}, "distance: row 1: expected a number, found '2'"),
        ({"distance": ["1", "2"]}, "distance: row 0: expected a number, found '1'"),
        ({"distance": [1.0, True]}, "distance: row 1: expected a number, found True"),
        ({"distance": [[1.0], [2.0, 3.0]]}, r"distance: row 0: expected a number, found \[1.0\]"),
        ({"distance": np.ones((2, 2))}, "distance: row 0: expected a number, found array"),
        ({"distance": [1.0, 2j]}, "distance: row 1: expected a number, found 2j"),
        ({"distance": [1.0, None]}, r"distance: row 1: expected .* \(miles\), found none"),
        ({"weekday": [float("nan"), 1]}, "weekday: row 0: expected a number from 0 to 6"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match="^" + message):
        encode(two_flights() | change, VOCABULARY)


@pytest.mark.parametrize("name", NAMES)
def test_missing_column_is_named(name):
    columns = two_flights()
    del columns[name]
    with pytest.raises(ValueError, match=f"^{name}: column is missing$"):
        encode(columns, VOCABULARY)


def test_rows_instead_of_columns_are_refused():
    with pytest.raises(ValueError, match="expected a mapping from feature name to values"):
        encode([two_flights()], VOCABULARY)


def test_encoding_many_rows_is_encoding_each():
    columns = {name: values * 50 for name, values in two_flights().items()}
    columns["pressure"] = [None if row % 7 == 0 else 1000.0 + row for row in range(100)]
    whole = encode(columns, VOCABULARY)
    single = [
        encode({name: values[row : row + 1] for name, values in columns.items()}, VOCABULARY)
        for row in range(100)
    ]
    assert np.array_equal(whole, np.concatenate(single), equal_nan=True)


def test_importing_features_needs_numpy_only(run_python):
    code = (
        "import sys, flight_delays.features; "
        "print(sorted({'pandas', 'sklearn', 'onnxruntime', 'pydantic'} & set(sys.modules)))"
    )
    done = run_python("-c", code)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
