"""Lab 06, exercise 4: labels that come late, twice, wrong at first, or never."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from checks.lab06_common import array, over_there
from labkit.answer import Answer, Result, Thing
from labkit.exercise import Exercise, case, expect
from labkit.values import show

DAYS = pd.date_range("2014-07-01", periods=12)
AS_OF = "2014-07-10"


def predictions(rng: np.random.Generator, rows: int = 90) -> pd.DataFrame:
    """A log: some requests of each of the days, in the order in which they came."""
    day = np.sort(rng.integers(0, len(DAYS), rows))
    table = pd.DataFrame({"request_id": [f"r{number:04}" for number in rng.permutation(5_000)[:rows]]})
    return table.assign(day=DAYS[day], probability=rng.random(rows).round(3))


def labels_of(rng: np.random.Generator, log: pd.DataFrame, wait: int = 4) -> pd.DataFrame:
    """One label a request, known some days after its day."""
    known = log["day"] + pd.to_timedelta(rng.integers(1, wait + 1, len(log)), unit="D")
    return pd.DataFrame({"request_id": log["request_id"], "late": rng.random(len(log)) < 0.4, "known_on": known})


def known(log: pd.DataFrame, labels: pd.DataFrame, as_of: str) -> NDArray[np.float64]:
    """What a right answer gives."""
    newest: dict[str, tuple[pd.Timestamp, bool]] = {}
    for name, late, day in labels[["request_id", "late", "known_on"]].itertuples(index=False):
        if day <= pd.Timestamp(as_of) and (name not in newest or day >= newest[name][0]):
            newest[name] = (day, bool(late))
    return np.array([float(newest[name][1]) if name in newest else math.nan for name in log["request_id"]])


class Labels(Exercise):
    id = "labels"
    title = "Labels that come when they like"
    names = ("known_labels", "ripe_days")
    points = 4.0
    hints = (
        "First drop what nobody knew yet: `labels[labels['known_on'] <= as_of]`. Then one label for each request: sort "
        "by `known_on`, and `drop_duplicates('request_id', keep='last')`.",
        "Look the ids up instead of merging: `predictions['request_id'].map(newest.set_index('request_id')['late'])` "
        "keeps rows and order of the log, and gives NaN where nothing is known.",
        "On one day the later row of the table counts, so the sort must keep the order of equals: "
        "`sort_values('known_on', kind='stable')`. True and False become 1 and 0 by `.astype(float)`.",
    )

    def _ask(
        self, answer: Answer, log: pd.DataFrame, labels: pd.DataFrame, as_of: str = AS_OF
    ) -> tuple[NDArray[np.float64], Result]:
        there, came = over_there(answer, log), over_there(answer, labels)
        result = answer.call("known_labels", there, came, as_of)
        if isinstance(result.value, np.ndarray | list | tuple):
            told = (
                f"The log has {len(log)} rows and {len(result.value)} labels came back. Each row of the log gets one "
                "entry, whatever the table of labels holds."
            )
            expect(len(result.value) == len(log), told, result, expected=f"{len(log)} entries")
        told = (
            "Give a NumPy array of floats, NaN where nothing is known: `ripe_days` and the cells below compute with it."
        )
        if isinstance(result.value, list | tuple):
            expect(False, told, result, expected="a NumPy array")
        return array(result, (len(log),), "an array with an entry for each row of the log"), result

    def _compare(self, answer: Answer, log: pd.DataFrame, labels: pd.DataFrame, told: str, as_of: str = AS_OF) -> None:
        found, result = self._ask(answer, log, labels, as_of)
        right = known(log, labels, as_of)
        wrong = np.flatnonzero(~((found == right) | (np.isnan(found) & np.isnan(right))))
        if len(wrong):
            row = int(wrong[0])
            if np.isnan(right[row]):
                told += " A flight is not punctual because nobody knows: NaN."
            name = log["request_id"].iloc[row]
            came = labels[labels["request_id"] == name]
            lines = [f"{late} on {day:%d %B}" for late, day in zip(came["late"], came["known_on"], strict=True)]
            got = f"{show(float(found[row]))} for {name}, whose labels are: {', '.join(lines) or 'none'}"
            expect(False, told, result, got=got, expected=f"{show(float(right[row]))} as of {as_of}")

    @case("a label for each row, in the log's order, NaN where there is none", weight=2)
    def plain(self, answer: Answer, rng: np.random.Generator) -> None:
        log = predictions(rng)
        labels = labels_of(rng, log).sample(frac=0.8, random_state=int(rng.integers(2**31)))
        self._compare(
            answer, log, labels, "This row has another label. The labels come in an order of their own.", "2014-08-01"
        )

    @case("what is not known yet, is not known", weight=2)
    def late(self, answer: Answer, rng: np.random.Generator) -> None:
        log = predictions(rng)
        labels = labels_of(rng, log, wait=9)
        told = (
            "Which labels were there on that day? Those with `known_on` up to and including `as_of`. A monitor that is "
            "shown later ones judges last week with what it learns next week."
        )
        for as_of in (AS_OF, str(DAYS[4].date())):
            self._compare(answer, log, labels, told, as_of)
        found, result = self._ask(answer, log, labels, "2014-07-01")
        told = (
            "On the first day no label has come, so every entry is NaN. A flight is not punctual because nobody knows."
        )
        expect(np.isnan(found).all(), told, result, expected="NaN for every row")

    @case("doubled labels make no second row")
    def doubled(self, answer: Answer, rng: np.random.Generator) -> None:
        log = predictions(rng)
        labels = labels_of(rng, log)
        again = labels.sample(frac=0.4, random_state=int(rng.integers(2**31)))
        self._compare(answer, log, pd.concat([labels, again, again.head(5)]), "This label came more than once.")

    @case("of contradicting labels the newest known one counts", weight=2)
    def contradicting(self, answer: Answer, rng: np.random.Generator) -> None:
        log = predictions(rng)
        labels = labels_of(rng, log)
        other = labels.sample(frac=0.5, random_state=int(rng.integers(2**31)))
        other = other.assign(late=~other["late"], known_on=other["known_on"] + pd.Timedelta(days=3))
        mixed = pd.concat([other, labels]).sample(frac=1, random_state=int(rng.integers(2**31)))
        told = (
            "Two labels contradict each other. The one with the newest `known_on` counts, of those that were known on "
            "`as_of`; the rows of the table are in no order."
        )
        self._compare(answer, log, mixed, told)
        same = labels.assign(late=~labels["late"])
        told = "Two labels of the same day contradict each other: the one further down in the table counts."
        # Long enough for a sort that does not keep the order of equals to show it.
        many = predictions(rng, 900)
        first = labels_of(rng, many)
        self._compare(answer, log, pd.concat([labels, same]), told)
        self._compare(answer, many, pd.concat([first, first.assign(late=~first["late"])]), told)

    @case("strange ids, a request that is there twice, rows with another index")
    def strange(self, answer: Answer, rng: np.random.Generator) -> None:
        log = predictions(rng)
        labels = labels_of(rng, log)
        strange = labels.assign(request_id="X" + labels["request_id"])
        retried = pd.concat([log, log.head(6)]).sort_values("day", kind="stable").reset_index(drop=True)
        told = "A label of a request that is not in the log helps nobody; one that is there twice gets it twice."
        self._compare(answer, retried, pd.concat([strange, labels]), told)
        there, came = over_there(answer, log), over_there(answer, labels)
        mixed = answer.call("with_index", there, rng.permutation(len(log)).tolist()).value
        expect(isinstance(mixed, Thing), "`with_index` is not the one of the set-up cell: run that cell again.")
        result = answer.call("known_labels", mixed.ref, came, AS_OF)
        found = array(result, (len(log),), "an array with an entry for each row of the log")
        right = known(log, labels, AS_OF)
        told = "The rows of this log have an index in another order. Go by their place, not by their index."
        expect(np.allclose(found, right, equal_nan=True), told, result)
        told = "`known_labels` has changed the log it was given."
        columns = mixed.get("columns").value.call("tolist").value
        expect(columns == list(log.columns), told, result, got=show(columns), expected=show(list(log.columns)))

    @case("ripe_days: the days of which enough is known", weight=2)
    def ripe(self, answer: Answer, rng: np.random.Generator) -> None:
        log = predictions(rng, 240)
        late = known(log, labels_of(rng, log, wait=6), AS_OF)
        day = log["day"].dt.strftime("%Y-%m-%d").to_numpy()
        share = {one: float((~np.isnan(late[day == one])).mean()) for one in sorted(set(day))}
        for limit in (0.9, sorted(share.values())[len(share) // 2]):
            result = answer.call("ripe_days", over_there(answer, log), late, float(limit))
            found = result.value
            form = "Give a list of texts such as '2014-07-03', in the order of the days."
            listed = isinstance(found, list | tuple) and all(isinstance(one, str) for one in found)
            expect(listed, form, result, expected="a list of texts")
            right = [one for one, value in share.items() if value >= limit]
            told = "A day is ripe if the share of its rows with a label is at least `share`, each day by itself."
            expect([str(one)[:10] for one in found] == right, told, result, expected=show(right))
        mixed = answer.call("with_index", over_there(answer, log), rng.permutation(len(log)).tolist()).value
        expect(isinstance(mixed, Thing), "`with_index` is not the one of the set-up cell: run that cell again.")
        result = answer.call("ripe_days", mixed.ref, late, float(limit))
        told = (
            "The same rows with an index in another order, and other days are ripe. `late` goes with the rows by their "
            "place, and pandas matches by the index: take `.to_numpy()` of the column first."
        )
        expect(result.value is not None and list(result.value) == list(found), told, result, expected=show(right))
