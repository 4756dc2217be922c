"""Tests of the training data, before a model is made of it.

A model learns whatever the table says. A join that lost a month, a sensor that sticks, a batch that
came twice, a column from the future: training goes through all the same, and the scores may even
rise. So the table is looked at first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import rankdata

from flight_delays.features import FEATURES, NAMES, NUMBERS
from flight_delays.pipeline.findings import Finding, Findings
from flight_delays.pipeline.limits import DataLimits
from flight_delays.pipeline.measured import bounded

GROUP = "data"
KEY = ["departure", "carrier", "flight", "origin", "destination"]
LABEL = "late"
AFTER_DEPARTURE = frozenset(
    {"late", "arrival_delay", "departure_delay", "arr_delay", "dep_delay", "dep_time", "arr_time"}
    | {"air_time", "cancelled", "diverted"}
)
"""What is known only once the plane has left; no feature may be called so."""

KINDS = {"category": "O", "number": "iuf", "departure": "M", "flight": "iu", LABEL: "b"}


def check_data(
    flights: pd.DataFrame,
    *,
    as_of: date,
    limits: DataLimits | None = None,
    features: tuple[str, ...] = NAMES,
    quarantined: Callable[[date], bool] = lambda day: False,
) -> Findings:
    """Test a table of flights that a model is to be trained on.

    Args:
        flights: the training window, as from `flights.load_flights`.
        as_of: the newest day whose flights have landed.
        features: the columns that the model will read.
        quarantined: says of a day whether its flights were left out on purpose.

    Returns:
        One finding a test, all in the group `data`. When columns are missing or of another type
        there is no sense in the other tests, and the findings end there.
    """
    limits = limits or DataLimits()
    findings = Findings([*_features_are_known_before(features), *_columns(flights)])
    if not findings.passed:
        return findings
    if flights.empty:
        nothing = _finding("flights", False, "none", "some", "There is nothing to learn from.")
        return findings + Findings([nothing])
    days = flights["departure"].dt.floor("D")
    recent = (days > days.max() - pd.Timedelta(days=limits.recent_days)).to_numpy()
    tests = (
        _fresh(days, as_of, limits, quarantined),
        _every_day(days, limits, quarantined),
        _once(flights),
        _possible(flights),
        _missing(flights, recent, limits),
        _varies(flights, recent),
        _label(flights, recent, limits),
        _values_known_from_before(flights, recent, limits),
        _no_feature_knows_the_label(flights, limits),
    )
    return findings + [finding for test in tests for finding in test]


def _features_are_known_before(features: tuple[str, ...]) -> Iterator[Finding]:
    wrong = sorted(AFTER_DEPARTURE & set(features))
    yield _finding(
        "features known before departure",
        not wrong,
        _names(wrong) if wrong else f"{len(features)} features",
        "none from after departure",
        "When the service is asked, the plane has not left: this value is not there yet. A model "
        "that reads it scores well here and is worthless in service. Take it out of FEATURES.",
    )


def _columns(flights: pd.DataFrame) -> Iterator[Finding]:
    expected = {feature.name: KINDS[feature.kind] for feature in FEATURES}
    expected |= {name: KINDS[name] for name in ("departure", "flight", LABEL)}
    missing = [name for name in expected if name not in flights]
    wrong = [
        f"{name} ({flights[name].dtype})"
        for name, kinds in expected.items()
        if name in flights and _kind(flights[name]) not in kinds
    ]
    yield _finding(
        "columns",
        not missing,
        f"{_names(missing)} missing" if missing else f"all {len(expected)}",
        f"{len(expected)} columns",
        "The model cannot read what is not there. Look at what the source sends, and at the names "
        "in flights.py.",
    )
    yield _finding(
        "types of the columns",
        not wrong,
        _names(wrong) if wrong else "as expected",
        "categories, numbers, a time, a truth value",
        "A number that became text, or a truth value that became a number, is encoded as something "
        "else without complaint. Look at where the table was read.",
    )


def _fresh(
    days: pd.Series, as_of: date, limits: DataLimits, quarantined: Callable[[date], bool]
) -> Iterator[Finding]:
    last = days.max().date()
    since = (last + timedelta(days=number) for number in range(1, (as_of - last).days + 1))
    age = (as_of - last).days - sum(map(quarantined, since))
    yield _finding(
        "last day",
        0 <= age <= limits.max_age_days,
        f"{last}, {age} days before {as_of}",
        f"0 to {limits.max_age_days} days before",
        f"A day after {as_of} has not been flown yet: the table holds the future."
        if age < 0
        else "Weather and schedules have moved on: a model of stale data answers for a season that "
        "is over. Find out why no newer flights arrived before training again.",
    )


def _every_day(
    days: pd.Series, limits: DataLimits, quarantined: Callable[[date], bool]
) -> Iterator[Finding]:
    counts = days.value_counts().sort_index()
    every = pd.date_range(counts.index[0], counts.index[-1])
    every = every[[not quarantined(day.date()) for day in every]]
    gone = every.difference(counts.index)
    yield _finding(
        "days",
        len(every) >= limits.min_days,
        f"{len(every)} days",
        f">= {limits.min_days} days",
        "So few days hold too little weather to learn from. Begin earlier: [data] first.",
    )
    yield _finding(
        "days without flights",
        gone.empty,
        _names(day.date() for day in gone) if len(gone) else "none",
        "none",
        "Flights leave New York every day, so these were lost on the way. Load them again.",
    )
    usual = counts.median()
    thin = counts[counts < limits.thin_day * usual]
    fewest = counts.idxmin()
    yield _finding(
        "flights a day",
        thin.empty,
        f"{_names(day.date() for day in thin.index)} thin"
        if len(thin)
        else f"{counts.min()} at least, on {fewest.date()}",
        f">= {limits.thin_day:g} of the median {usual:g}",
        "Not even the blizzard of February 2013 stopped so many flights. Probably a file is "
        "incomplete: load these days again.",
    )


def _once(flights: pd.DataFrame) -> Iterator[Finding]:
    again = flights.duplicated(KEY)
    count = int(again.sum())
    found = "none"
    if count:
        first = flights[again].iloc[0]
        found = f"{count:,}, the first {first['carrier']} {first['flight']} of {first['departure']}"
    yield _finding(
        "flights that are there twice",
        count == 0,
        found,
        "none",
        "A flight that counts twice pulls the model its way, and one copy in training and one in "
        "the window is a leak. Look for a file loaded twice or a join that multiplies rows.",
    )


def _possible(flights: pd.DataFrame) -> Iterator[Finding]:
    wrong = []
    for feature in FEATURES:
        column = flights[feature.name].dropna()
        if feature.kind == "number":
            outside = column[~column.between(feature.minimum, feature.maximum)]
        else:
            outside = column[[not isinstance(value, str) for value in column]]
        if len(outside):
            unit = feature.unit if feature.kind == "number" else "is no text"
            wrong.append(f"{feature.name}: {len(outside):,} like {outside.iloc[0]} {unit}")
    yield _finding(
        "values that are possible",
        not wrong,
        _names(wrong) if wrong else "all within their ranges",
        "the ranges in FEATURES",
        "The service refuses such a value, so the model must not learn from it. Look at units and "
        "at fill values such as -9999.",
    )


def _missing(
    flights: pd.DataFrame, recent: NDArray[np.bool_], limits: DataLimits
) -> Iterator[Finding]:
    special = {
        "wind_direction": limits.missing_wind_direction,
        "pressure": limits.missing_pressure,
        "plane_age": limits.missing_plane_age,
    }
    readings = {f.name for f in FEATURES if f.kind == "number" and f.may_be_missing}
    wrong, highest = [], (0.0, "none")
    for name in ("departure", *NAMES):
        allowed = special.get(name, limits.missing) if name in readings else 0.0
        gaps = flights[name].isna().to_numpy()
        share, where = max((gaps.mean(), ""), (gaps[recent].mean(), " recently"))
        highest = max(highest, (float(share), f"{name}{where}"))
        if share > allowed:
            wrong.append(f"{name} {share:.1%}{where} (limit {allowed:.0%})")
    others = ", ".join(f"{name} {allowed:.0%}" for name, allowed in special.items())
    yield _finding(
        "missing values",
        not wrong,
        _names(wrong) if wrong else f"{highest[0]:.1%} at most, {highest[1]}",
        f"weather {limits.missing:.0%} but {others}; schedule none",
        "The model would learn from the gap instead of the value, and predict something else once "
        "the value is back. Look at the source, and at the keys of the join.",
    )


def _varies(flights: pd.DataFrame, recent: NDArray[np.bool_]) -> Iterator[Finding]:
    stuck = [name for name in NUMBERS if flights.loc[recent, name].nunique() <= 1]
    yield _finding(
        "numbers that vary",
        not stuck,
        _names(stuck) if stuck else f"all {len(NUMBERS)}",
        "more than one value in the recent days",
        "A sensor that sticks, or a join that found one row for all, says the same all the time. "
        "Look at the newest rows of the source.",
    )


def _label(
    flights: pd.DataFrame, recent: NDArray[np.bool_], limits: DataLimits
) -> Iterator[Finding]:
    late = flights[LABEL].to_numpy()
    shares = {"in all": float(late.mean()), "recently": float(late[recent].mean())}
    yield _finding(
        "share of late flights",
        all(limits.late_low <= share <= limits.late_high for share in shares.values()),
        ", ".join(f"{share:.3f} {where}" for where, share in shares.items()),
        f"{limits.late_low:g} to {limits.late_high:g}",
        "In 2013 no month left this range. Look at how the label is made: its sign, its unit, its "
        "limit of 15 minutes, and the flights whose arrival is not known.",
    )


def _values_known_from_before(
    flights: pd.DataFrame, recent: NDArray[np.bool_], limits: DataLimits
) -> Iterator[Finding]:
    for name in ("carrier", "origin"):
        values = flights[name].astype(str)
        now = values[recent].value_counts(normalize=True)
        before = values[~recent].value_counts(normalize=True)
        if before.empty:  # the table is shorter than `recent_days`; nothing to compare with
            before = now
        both = pd.DataFrame({"now": now.astype(float), "before": before.astype(float)}).fillna(0.0)
        new = both[(both["before"] == 0) & (both["now"] > limits.new_value)]
        gone = both[(both["now"] == 0) & (both["before"] > limits.new_value)]
        moved = (both["now"] - both["before"]).abs()
        shifted = both[moved > limits.share_change].index.difference(new.index.union(gone.index))
        wrong = [
            *(f"{value} is new ({both.at[value, 'now']:.1%})" for value in new.index),
            *(f"{value} is gone ({both.at[value, 'before']:.1%} before)" for value in gone.index),
            *(
                f"{value} {both.at[value, 'before']:.1%} before, {both.at[value, 'now']:.1%} now"
                for value in shifted
            ),
        ]
        yield _finding(
            f"{name}s known from before",
            not wrong,
            _names(wrong) if wrong else f"{len(both)}, {moved.max():.1%} of shift at most",
            f"new or gone <= {limits.new_value:.0%}, shift <= {limits.share_change:.0%}",
            f"The last {limits.recent_days} days are of other {name}s than the days before them: "
            "a code was renamed, or some files did not arrive. If it is real, say so by the limit.",
        )


def _no_feature_knows_the_label(flights: pd.DataFrame, limits: DataLimits) -> Iterator[Finding]:
    late = flights[LABEL].to_numpy()
    if late.all() or not late.any():  # told by the share of late flights
        return
    scores = {name: _auc_alone(flights[name], late) for name in NAMES}
    best = max(scores, key=scores.__getitem__)
    wrong = [
        f"{name} {score:.3f}" for name, score in scores.items() if score > limits.single_feature_auc
    ]
    yield _finding(
        "no feature knows the answer alone",
        not wrong,
        _names(wrong) if wrong else f"{best} most, ROC AUC {scores[best]:.3f}",
        f"ROC AUC <= {limits.single_feature_auc:g}",
        "The whole model does not reach this from before departure. The feature is probably "
        "filled in afterwards: find out when each of its values is known.",
    )


def _auc_alone(column: pd.Series, late: NDArray[np.bool_]) -> float:
    """How well one column orders the flights, up or down; of a number also whether it is missing.

    A category orders by the share of late flights of each of its values.
    """
    if column.dtype.kind not in "iuf":
        share = pd.Series(late).groupby(column.astype(str).to_numpy()).mean()
        return _auc(column.astype(str).map(share).to_numpy(float), late)
    values, gap = column.to_numpy(float), column.isna().to_numpy()
    return max(_auc(values[~gap], late[~gap]), _auc(gap.astype(float), late))


def _auc(values: NDArray[np.float64], late: NDArray[np.bool_]) -> float:
    n_late, n_punctual = int(late.sum()), int((~late).sum())
    if n_late == 0 or n_punctual == 0:
        return 0.5
    pairs = rankdata(values)[late].sum() - n_late * (n_late + 1) / 2
    area = pairs / (n_late * n_punctual)
    return float(max(area, 1 - area))


def _kind(column: pd.Series) -> str:
    if isinstance(column.dtype, pd.CategoricalDtype):
        return "O"
    return column.dtype.kind


def _names(values: Iterable[object], most: int = 5) -> str:
    texts = [str(value) for value in values]
    more = len(texts) - most
    return ", ".join(texts[:most]) + (f" and {more} more" if more > 0 else "")


def _finding(check: str, passed: bool, found: str, limit: str, reason: str) -> Finding:
    return bounded(GROUP, check, passed, found, limit, reason)
