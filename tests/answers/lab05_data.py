"""Lab 05, exercises 1 and 2: answers to try."""

from __future__ import annotations

_DATA = """
def check_data(flights, carriers, today):
    found = {}
    again = int(flights.duplicated(["carrier", "flight", "departure"]).sum())
    if again:
        found["duplicates"] = again
    missing = flights.isna().mean()
    missing = missing[missing > 0.05]
    if len(missing):
        found["missing"] = missing.to_dict()
    outside = {}
    for column, (low, high) in RANGES.items():
        count = int(((flights[column] < low) | (flights[column] > high)).sum())
        if count:
            outside[column] = count
    if outside:
        found["range"] = outside
    unknown = sorted(set(flights["carrier"]) - set(carriers))
    if unknown:
        found["carrier"] = unknown
    day = flights["departure"].dt.normalize()
    gaps = pd.date_range(day.min(), day.max()).difference(day)
    if len(gaps):
        found["days"] = [str(gap.date()) for gap in gaps]
    old = (pd.Timestamp(today) - day.max()).days
    if old > 7:
        found["stale"] = old
    return found
"""


def _data(old: str, new: str) -> str:
    assert old in _DATA, old
    return _DATA.replace(old, new)


DATA_RIGHT = {
    "plain Python": """
from collections import Counter
from datetime import date, timedelta

def check_data(flights, carriers, today):
    found = {}
    seen = Counter(zip(flights["carrier"], flights["flight"], flights["departure"]))
    again = sum(count - 1 for count in seen.values())
    if again:
        found["duplicates"] = again
    shares = {name: flights[name].isna().sum() / len(flights) for name in flights.columns}
    if max(shares.values()) > 0.05:
        found["missing"] = {name: share for name, share in shares.items() if share > 0.05}
    wrong = {name: sum(not low <= x <= high for x in flights[name] if x == x) for name, (low, high) in RANGES.items()}
    if any(wrong.values()):
        found["range"] = {name: count for name, count in wrong.items() if count}
    unknown = [name for name in flights["carrier"].unique() if name not in carriers]
    if unknown:
        found["carrier"] = tuple(unknown)
    days = {moment.date() for moment in flights["departure"]}
    first, last = min(days), max(days)
    every = {first + timedelta(days=step) for step in range((last - first).days)}
    if every - days:
        found["days"] = sorted(map(str, every - days))
    if date.fromisoformat(today) - last > timedelta(days=7):
        found["stale"] = (date.fromisoformat(today) - last).days
    return found
""",
    "between on what is there": _data(
        "((flights[column] < low) | (flights[column] > high)).sum()",
        "(~flights[column].dropna().between(low, high)).sum()",
    ),
}

DATA_WRONG = {
    "whole rows twice": (
        _data('flights.duplicated(["carrier", "flight", "departure"])', "flights.duplicated()"),
        "the two rows differ in the temperature",
    ),
    "every row of a flight that is there twice": (
        _data('"departure"])', '"departure"], keep=False)'),
        "not the first of each flight",
    ),
    "any missing value": (_data("missing > 0.05", "missing > 0"), "a test that is always red is switched off"),
    "missing from 5% on": (_data("missing > 0.05", "missing >= 0.05"), "Exactly 5% is missing"),
    "percents": (_data("missing.to_dict()", "(100 * missing).round(1).to_dict()"), "This is a percentage"),
    "a missing value is out of range": (
        _data(
            "((flights[column] < low) | (flights[column] > high)).sum()", "(~flights[column].between(low, high)).sum()"
        ),
        "Is a missing one counted as outside",
    ),
    "without its ends": (_data("> high", ">= high").replace("< low", "<= low"), "both ends count as inside"),
    "carriers of the table": (_data("set(carriers)", "set(flights['carrier'])"), "`carrier` is missing"),
    "capitals for all": (
        _data('set(flights["carrier"])', 'set(flights["carrier"].str.upper())'),
        "each unknown carrier once",
    ),
    "days by counting": (
        _data("day.min(), day.max()", "day.min(), periods=day.nunique()"),
        "A day without a flight is not listed",
    ),
    "days of one month": (
        _data(
            "pd.date_range(day.min(), day.max()).difference(day)",
            "pd.date_range(day.min(), day.min() + pd.offsets.MonthEnd()).difference(day)",
        ),
        "A day without a flight is not listed",
    ),
    "the last row is the newest": (
        _data("day.max()).days", "day.iloc[-1]).days"),
        "The newest flight is less than a week older",
    ),
    "the computer's clock": (_data("pd.Timestamp(today)", "pd.Timestamp.now()"), "`today` is an argument"),
    "stale from 7 days on": (_data("old > 7", "old >= 7"), "exactly 7 days old"),
    "the first fault alone": (
        """
def check_data(flights, carriers, today):
    if flights.duplicated(["carrier", "flight", "departure"]).any():
        return {"duplicates": int(flights.duplicated(["carrier", "flight", "departure"]).sum())}
    unknown = sorted(set(flights["carrier"]) - set(carriers))
    if unknown:
        return {"carrier": unknown}
    old = (pd.Timestamp(today) - flights["departure"].max().normalize()).days
    return {"stale": old} if old > 7 else {}
""",
        "Whoever mends one at a time waits",
    ),
    "yes or no": (_data("return found", "return not found"), "A yes or no does not tell"),
    "sorted in place": (
        _data("found = {}", 'found = {}\n    flights.sort_values("temperature", inplace=True, ignore_index=True)'),
        "has changed the table it was given",
    ),
    "duplicates dropped in place": (
        _data(
            'found["duplicates"] = again',
            'found["duplicates"] = again\n'
            '        flights.drop_duplicates(["carrier", "flight", "departure"], inplace=True)',
        ),
        "has changed the table it was given",
    ),
    "without the carrier": (
        _data('["carrier", "flight", "departure"]', '["flight", "departure"]'),
        "two flights of two carriers",
    ),
    "missing weather alone": (
        _data("flights.isna().mean()", "flights[list(RANGES)].isna().mean()"),
        "`missing` is missing",
    ),
    "the size without the sign": (
        _data("((flights[column] < low) | (flights[column] > high)).sum()", "(flights[column].abs() > high).sum()"),
        "The figure for",
    ),
    "the departure cut to its day in place": (
        _data("day = flights", 'flights["departure"] = day = flights'),
        "has changed the table it was given",
    ),
}

_INTERVAL = """
def difference_interval(window, draws, seed):
    late = window["late"].astype(float)
    difference = (window["challenger"] - late) ** 2 - (window["champion"] - late) ** 2
    days = difference.groupby(window["day"]).agg(["sum", "size"]).to_numpy()
    rng = np.random.default_rng(seed)
    drawn = days[rng.integers(0, len(days), (draws, len(days)))].sum(axis=1)
    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])
    return float(low), float(high)
"""


def _interval(old: str, new: str) -> str:
    assert old in _INTERVAL, old
    return _INTERVAL.replace(old, new)


_ROWS = """
def difference_interval(window, draws, seed):
    late = window["late"].astype(float)
    difference = ((window["challenger"] - late) ** 2 - (window["champion"] - late) ** 2).to_numpy()
    rng = np.random.default_rng(seed)
    means = [rng.choice(difference, len(difference)).mean() for _ in range(draws)]
    return tuple(np.percentile(means, [2.5, 97.5]))
"""
INTERVAL_RIGHT = {
    "a loop over draws": """
import random

def difference_interval(window, draws, seed):
    random.seed(seed)
    error = lambda name: (window[name] - window["late"]) ** 2
    by_day = {day: part.tolist() for day, part in (error("challenger") - error("champion")).groupby(window["day"])}
    sums = {day: sum(part) for day, part in by_day.items()}
    means = []
    for _ in range(draws):
        chosen = random.choices(list(by_day), k=len(by_day))
        means.append(sum(sums[day] for day in chosen) / sum(len(by_day[day]) for day in chosen))
    means.sort()
    return [means[int(0.025 * draws)], means[min(draws - 1, int(0.975 * draws))]]
""",
    "quantiles, an array": _interval(
        "    low, high = np.percentile(drawn[:, 0] / drawn[:, 1], [2.5, 97.5])\n    return float(low), float(high)",
        "    return np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])",
    ),
}
INTERVAL_WRONG = {
    "by flights": (_ROWS, "as narrow as if every flight were drawn by itself"),
    "too sure": (_ROWS, "This one is too sure"),
    "each model on days of its own": (
        """
def difference_interval(window, draws, seed):
    late = window["late"].astype(float)
    rng = np.random.default_rng(seed)
    means = []
    for name in ("challenger", "champion"):
        days = ((window[name] - late) ** 2).groupby(window["day"]).agg(["sum", "size"]).to_numpy()
        drawn = days[rng.integers(0, len(days), (draws, len(days)))].sum(axis=1)
        means.append(drawn[:, 0] / drawn[:, 1])
    return tuple(np.percentile(means[0] - means[1], [2.5, 97.5]))
""",
        "the two models were compared on different days",
    ),
    "90%": (_interval("[2.5, 97.5]", "[5, 95]"), "as wide as a 90% interval"),
    "champion less challenger": (
        _interval("drawn[:, 0] / drawn[:, 1]", "-drawn[:, 0] / drawn[:, 1]"),
        "The sign is turned",
    ),
    "the mean of the days' means": (
        _interval('agg(["sum", "size"])', 'agg(["mean", "size"]).assign(size=1)'),
        "the interval treats them alike",
    ),
    "without replacement": (
        _interval(
            "rng.integers(0, len(days), (draws, len(days)))",
            "np.array([rng.permutation(len(days)) for _ in range(draws)])",
        ),
        "Draw with replacement",
    ),
    "another draw each time": (_interval("default_rng(seed)", "default_rng()"), "the same seed gave another interval"),
    "the seed is not used": (_interval("default_rng(seed)", "default_rng(0)"), "`seed` is not used"),
    "the ends turned": (
        _interval("return float(low), float(high)", "return float(high), float(low)"),
        "The lower end comes first",
    ),
    "as a mean with a margin": (
        _interval("return float(low), float(high)", "return {'mean': (low + high) / 2, 'margin': (high - low) / 2}"),
        "Give two numbers",
    ),
    "of the mean probability": (
        _interval(
            '(window["challenger"] - late) ** 2 - (window["champion"] - late) ** 2',
            'window["challenger"] - window["champion"]',
        ),
        "should hold the difference of the mean squared errors",
    ),
    "three days of thirty": (
        _interval("(draws, len(days))", "(draws, len(days) // 3)"),
        "times as wide as it should be",
    ),
}
