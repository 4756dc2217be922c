"""Lab 05, exercise 1: a data test, tried on drawn tables of real flights with planted faults."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from labkit.answer import Answer, Result, Thing, Wrong
from labkit.exercise import Exercise, case, expect
from labkit.values import show
from lessonkit.flight_tables import RANGES, columns_of, sample_flights

ROWS = 900
KEYS = {
    "duplicates": "how many rows are there too often",
    "missing": "{column: share missing}",
    "range": "{column: how many values}",
    "carrier": "the unknown carriers",
    "days": "the days without a flight",
    "stale": "how many days old the newest flight is",
}
SETUP = "`{name}` is not the one of the set-up cells: run them again."


@dataclass
class Drawn:
    """A table and what `check_data` is told beside it."""

    table: pd.DataFrame
    carriers: list[str]
    today: date

    @property
    def last(self) -> date:
        return self.table["departure"].max().date()


def draw(rng: np.random.Generator) -> Drawn:
    """An honest table of about four weeks that ends in another month than it begins; today is some days later."""
    first = date(2013, int(rng.integers(2, 11)), int(rng.integers(14, 24)))
    last = first + timedelta(days=27)
    table = sample_flights(ROWS, str(first), str(last), int(rng.integers(1, 2**31)))
    return Drawn(table, sorted({*table["carrier"], "HA", "OO"}), last + timedelta(days=int(rng.integers(1, 7))))


def places(rng: np.random.Generator, drawn: Drawn, count: int) -> np.ndarray:
    """Positions of so many different rows."""
    return rng.choice(len(drawn.table), count, replace=False)


def set_cells(drawn: Drawn, rows: np.ndarray, column: str, value: Any) -> None:
    drawn.table.iloc[rows, drawn.table.columns.get_loc(column)] = value


def share_a_number(drawn: Drawn) -> None:
    """Give a flight the number and the departure of another carrier's flight, of the same day."""
    table = drawn.table
    one = table.iloc[len(table) // 2]
    same_day = table["departure"].dt.normalize() == one["departure"].normalize()
    other = np.flatnonzero(same_day & (table["carrier"] != one["carrier"]))[:1]
    for column in ("flight", "departure"):
        set_cells(drawn, other, column, one[column])


def over_there(answer: Answer, table: pd.DataFrame) -> Thing:
    """The same table on the answer's side."""
    thing = answer.call("as_table", columns_of(table)).value
    expect(isinstance(thing, Thing), SETUP.format(name="as_table"), "as_table(...)", got=thing)
    return thing


def findings(result: Result, keys: Mapping[str, str]) -> dict[str, Any]:
    """The dict that came back, with the names of the broken rules only; else Wrong."""
    found = result.value
    kind = "Give a dict, an empty one where nothing is wrong. "
    if isinstance(found, bool | type(None)):
        kind += "A yes or no does not tell the reader of a red build what to look at."
    expect(isinstance(found, dict), kind.strip(), result, expected="{} or {rule: what was found}")
    strange = [key for key in found if key not in keys]
    told = f"There is no rule {show(strange[0])}." if strange else ""
    expect(not strange, told, result, expected=", ".join(keys))
    return found


def expect_keys(found: Mapping[str, Any], wanted: set[str], result: Result, messages: Mapping[str, str]) -> None:
    """Raise Wrong unless exactly the wanted rules are named; `messages` says what of one too many."""
    missing = sorted(wanted - set(found))
    expected = ", ".join(sorted(wanted)) or "{}: nothing"
    told = f"`{missing[0]}` is missing: this fault went through." if missing else ""
    expect(not missing, told, result, expected=expected)
    more = sorted(set(found) - wanted)
    if more:
        told = messages.get(more[0], f"`{more[0]}` is reported, and nothing of the kind is there.")
        expect(False, told, result, got=f"{more[0]}: {show(found[more[0]])}", expected=expected)


def is_count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class Data(Exercise):
    id = "data"
    title = "Test the data before anything is trained"
    names = ("check_data",)
    points = 3.0
    hints = (
        "Collect what you find: `found = {}`, then one `if` for each rule. `flights.duplicated([...]).sum()` and "
        "`flights.isna().mean()` answer the first two almost alone.",
        "A missing value is neither inside nor outside a range, and every comparison with NaN is False. So ask for "
        "what is wrong, `(column < low) | (column > high)`, not for what is not right.",
        "`flights['departure'].dt.normalize()` gives the day. `pd.date_range(first, last)` gives all the days there "
        "should be; `.difference(...)` those that are not there. `(pd.Timestamp(today) - last).days` is a number.",
    )

    def _ask(self, answer: Answer, drawn: Drawn) -> tuple[dict[str, Any], Result]:
        there = over_there(answer, drawn.table)
        result = answer.call("check_data", there.ref, drawn.carriers, str(drawn.today))
        return findings(result, KEYS), result

    @case("honest tables pass", weight=2)
    def honest(self, answer: Answer, rng: np.random.Generator) -> None:
        messages = {
            "missing": "A few readings are missing, fewer than 5% of a column. Instruments fail now and then; a test "
            "that is always red is switched off.",
            "range": "Every number here is possible. Is a missing one counted as outside? NaN is neither.",
            "days": "There is a flight on each day here. The table ends in another month than it begins.",
            "stale": "The newest flight is less than a week older than `today`. `today` is an argument: with the "
            "computer's own clock the same table passes today and fails next week.",
            "carrier": "Every carrier here is one of `carriers`.",
            "duplicates": "Here two flights of two carriers have the same number and the same departure. They are two "
            "flights: look at the carrier, too.",
        }
        for step in range(4):
            drawn = draw(rng)
            if step % 2:
                drawn.table = drawn.table.iloc[rng.permutation(len(drawn.table))].reset_index(drop=True)
            set_cells(drawn, places(rng, drawn, len(drawn.table) // 50), "temperature", np.nan)
            share_a_number(drawn)
            found, result = self._ask(answer, drawn)
            expect_keys(found, set(), result, messages)

    @case("what lies exactly at a limit passes")
    def limits(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw(rng)
        drawn.table = drawn.table.head(len(drawn.table) // 20 * 20)
        drawn.today = drawn.last + timedelta(days=7)
        for column, ends in RANGES.items():
            for end in ends:
                set_cells(drawn, places(rng, drawn, 1), column, end)
        missing = places(rng, drawn, len(drawn.table) // 20)
        drawn.table["wind_speed"] = drawn.table["wind_speed"].fillna(8.0)
        set_cells(drawn, missing, "wind_speed", np.nan)
        messages = {
            "range": "A number exactly at an end of its range is possible: both ends count as inside.",
            "missing": "Exactly 5% is missing. The rule says more than 5%.",
            "stale": "The newest flight is exactly 7 days old. The rule says more than 7.",
        }
        found, result = self._ask(answer, drawn)
        expect_keys(found, set(), result, messages)

    @case("flights that are there twice, also with other weather")
    def duplicates(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw(rng)
        rows = places(rng, drawn, int(rng.integers(4, 9)))
        again = drawn.table.iloc[rows].copy()
        again["temperature"] = again["temperature"] + 1.5
        third = again.head(1).copy()
        third["wind_speed"] = 4.0
        drawn.table = pd.concat([drawn.table, again, third], ignore_index=True)
        found, result = self._ask(answer, drawn)
        told = (
            "Some flights are there twice, and it went unnoticed: the two rows differ in the temperature. Two rows are "
            "one flight when carrier, number and departure are the same."
        )
        expect("duplicates" in found, told, result, expected="duplicates")
        expect_keys(found, {"duplicates"}, result, {})
        wanted = len(rows) + 1
        told = "`duplicates` counts the rows that are one too many, not the first of each flight."
        right = is_count(found["duplicates"]) and found["duplicates"] == wanted
        expect(right, told, result, expected=f"duplicates: {wanted}")

    @case("a column of which too much is missing")
    def missing(self, answer: Answer, rng: np.random.Generator) -> None:
        for column in [*rng.permutation(list(RANGES))[:2].tolist(), "origin"]:
            drawn = draw(rng)
            if column in RANGES:
                drawn.table[column] = drawn.table[column].fillna(5.0)
            share = float(rng.uniform(0.06, 0.1))
            rows = places(rng, drawn, math.ceil(share * len(drawn.table)))
            set_cells(drawn, rows, column, np.nan if column in RANGES else None)
            found, result = self._ask(answer, drawn)
            messages = {"range": "Missing values are counted as outside the range. They have a rule of their own."}
            expect_keys(found, {"missing"}, result, messages)
            self._by_column(found, "missing", {column: len(rows) / len(drawn.table)}, result)

    @case("numbers that cannot be")
    def ranges(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw(rng)
        wanted = {}
        for column in sorted(rng.permutation(list(RANGES))[:3].tolist()):
            low, high = RANGES[column]
            rows = places(rng, drawn, int(rng.integers(2, 5)))
            set_cells(drawn, rows[:1], column, low - 0.5)
            set_cells(drawn, rows[1:], column, high + 0.5)
            wanted[column] = len(rows)
        found, result = self._ask(answer, drawn)
        expect_keys(found, {"range"}, result, {})
        self._by_column(found, "range", wanted, result)

    @case("a carrier that nobody knows")
    def carrier(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw(rng)
        for name in ("ZZ", "ua"):
            set_cells(drawn, places(rng, drawn, 2), "carrier", name)
        found, result = self._ask(answer, drawn)
        expect_keys(found, {"carrier"}, result, {})
        got = found["carrier"]
        told = "`carrier` lists each unknown carrier once."
        right = isinstance(got, list | tuple) and len(got) == 2 and set(got) == {"ZZ", "ua"}
        expect(right, told, result, got=f"carrier: {show(got)}", expected="carrier: ['ZZ', 'ua']")

    @case("a day without a flight")
    def days(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw(rng)
        day = drawn.table["departure"].dt.normalize()
        first = day.min() + pd.Timedelta(days=int(rng.integers(3, 8)))
        gone = [first, day.max() - pd.Timedelta(days=1)]
        drawn.table = drawn.table[~day.isin(gone)].reset_index(drop=True)
        found, result = self._ask(answer, drawn)
        expect_keys(found, {"days"}, result, {})
        got, wanted = found["days"], [str(one.date()) for one in gone]
        told = "`days` lists the missing days as texts such as '2013-07-14'."
        right = isinstance(got, list | tuple) and sorted(map(str, got)) == wanted
        if isinstance(got, list | tuple) and set(map(str, got)) < set(wanted):
            told = "A day without a flight is not listed. Look at every day from the first to the last that there is."
        expect(right, told, result, got=f"days: {show(got)}", expected=f"days: {wanted}")

    @case("a table that ends too early")
    def stale(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw(rng)
        old = int(rng.integers(8, 30))
        drawn.today = drawn.last + timedelta(days=old)
        if rng.random() < 0.5:
            drawn.table = drawn.table.iloc[rng.permutation(len(drawn.table))].reset_index(drop=True)
        found, result = self._ask(answer, drawn)
        expect_keys(found, {"stale"}, result, {})
        told = "`stale` says how many days lie between the day of the newest flight and `today`."
        right = is_count(found["stale"]) and int(found["stale"]) == old
        expect(right, told, result, got=f"stale: {show(found['stale'])}", expected=f"stale: {old}")

    @case("several faults are told at once, and the table stays as it was", weight=2)
    def several(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw(rng)
        set_cells(drawn, places(rng, drawn, 3), "temperature", 300.0)
        set_cells(drawn, places(rng, drawn, 2), "carrier", "ZZ")
        drawn.table = pd.concat([drawn.table, drawn.table.iloc[places(rng, drawn, 2)]], ignore_index=True)
        drawn.today = drawn.last + timedelta(days=12)
        there = over_there(answer, drawn.table)
        result = answer.call("check_data", there.ref, drawn.carriers, str(drawn.today))
        found = findings(result, KEYS)
        wanted = {"range", "carrier", "duplicates", "stale"}
        gone = sorted(wanted - set(found))
        told = (
            f"Four rules are broken and {len(found)} told. Whoever mends one at a time waits for a build after each: "
            "collect all, then return."
        )
        expect(not gone, told, result, expected=", ".join(sorted(wanted)))
        expect_keys(found, wanted, result, {})
        self._untouched(there, drawn, result)

    def _untouched(self, there: Thing, drawn: Drawn, result: Result) -> None:
        told = "`check_data` has changed the table it was given. A test only looks: what comes after it trains on this."
        same = list(there.get("shape").value) == list(drawn.table.shape)
        expect(same, told, result, got=f"shape {there.get('shape').value}", expected=f"shape {drawn.table.shape}")
        for name in ("carrier", "temperature", "flight", "departure"):
            column = there.item(name).value
            if not isinstance(column, Thing):
                raise Wrong(told, tried=result.tried, got=f"no column {name}")
            wanted = drawn.table[name].tolist()
            if name == "departure":  # as texts: a moment does not come over
                column, wanted = column.call("astype", "str").value, drawn.table[name].astype(str).tolist()
            values = column.call("tolist").value
            same = isinstance(values, list) and len(values) == len(wanted)
            same = same and all(a == b or (a != a and b != b) for a, b in zip(values, wanted, strict=True))
            expect(same, told, result, got=f"another column {name}", expected="the table as it was")

    def _by_column(self, found: dict[str, Any], rule: str, wanted: dict[str, float], result: Result) -> None:
        got = found[rule]
        form = f"`{rule}` is a dict of {KEYS[rule]}, with the columns that break the rule and no others."
        expected = f"{rule}: {show(wanted)}"
        fits = isinstance(got, dict) and set(got) == set(wanted) and all(map(is_count, got.values()))
        expect(fits, form, result, got=f"{rule}: {show(got)}", expected=expected)
        for column, value in wanted.items():
            told = f"The figure for {column} is another."
            if rule == "missing" and abs(got[column] / 100 - value) < 1e-3:
                told = "This is a percentage. A share lies between 0 and 1."
            close = abs(got[column] - value) < 1e-3
            expect(close, told, result, got=f"{rule}: {show(got)}", expected=expected)
