"""Lab 05, exercises 3 and 4: answers to try."""

from __future__ import annotations

_GATE = """
def judge(window, interval, limits):
    late, challenger = window["late"], window["challenger"]
    broken = int((~challenger.between(0, 1)).sum())
    if broken:
        return {"broken": broken}
    found = {}
    if not interval[1] <= limits["worse"]:
        found["worse"] = interval[1]
    gap = float(challenger.mean() - late.mean())
    if abs(gap) > limits["calibration"]:
        found["calibration"] = gap
    difference = (challenger - late) ** 2 - (window["champion"] - late) ** 2
    rise = difference.groupby(window["carrier"]).agg(["mean", "size"])
    rise = rise.loc[rise["size"] >= limits["slice_flights"], "mean"]
    if (rise > limits["slice"]).any():
        found["slice"] = rise[rise > limits["slice"]].to_dict()

    def cost(p):
        warned = p >= limits["threshold"]
        return (limits["missed"] * (late & ~warned).sum() + limits["alarm"] * (~late & warned).sum()) / len(window)

    more = float(cost(challenger) - cost(window["champion"]))
    if more > limits["cost"]:
        found["cost"] = more
    return found
"""


def _gate(old: str, new: str) -> str:
    assert old in _GATE, old
    return _GATE.replace(old, new)


GATE_RIGHT = {
    "NumPy": """
def judge(window, interval, limits):
    late = window["late"].to_numpy().astype(float)
    old, new = window["champion"].to_numpy(), window["challenger"].to_numpy()
    bad = np.count_nonzero(~((new >= 0) & (new <= 1)))
    if bad > 0:
        return dict(broken=bad)
    reasons = {}
    low, high = interval
    if np.isnan(high) or high > limits["worse"]:
        reasons["worse"] = high
    bias = new.mean() - late.mean()
    if not -limits["calibration"] <= bias <= limits["calibration"]:
        reasons["calibration"] = bias
    rises = {}
    for carrier in window["carrier"].unique():
        mine = (window["carrier"] == carrier).to_numpy()
        rise = np.mean((new[mine] - late[mine]) ** 2) - np.mean((old[mine] - late[mine]) ** 2)
        if mine.sum() >= limits["slice_flights"] and rise > limits["slice"]:
            rises[carrier] = rise
    if rises:
        reasons["slice"] = rises
    each = lambda p: np.where(p >= limits["threshold"], limits["alarm"] * (1 - late), limits["missed"] * late)
    rise = each(new).mean() - each(old).mean()
    if rise > limits["cost"]:
        reasons["cost"] = rise
    return reasons
""",
}
GATE_WRONG = {
    "certainly better is asked for": (
        _gate('not interval[1] <= limits["worse"]', "not interval[1] <= 0"),
        "not whether it is better for certain",
    ),
    "the middle of the interval": (
        _gate('not interval[1] <= limits["worse"]', 'sum(interval) / 2 > limits["worse"]'),
        "look at the upper end",
    ),
    "the lower end": (
        _gate('not interval[1] <= limits["worse"]', 'interval[0] > limits["worse"]'),
        "look at the upper end",
    ),
    "NaN passes the interval": (
        _gate('not interval[1] <= limits["worse"]', 'interval[1] > limits["worse"]'),
        "The interval is NaN",
    ),
    "NaN passes the gate": (
        _gate("(~challenger.between(0, 1)).sum()", "((challenger < 0) | (challenger > 1)).sum()"),
        "ask for what must hold, and refuse the rest",
    ),
    "missing values alone": (
        _gate("(~challenger.between(0, 1)).sum()", "challenger.isna().sum()"),
        "and it was accepted",
    ),
    "broken and more": (
        _gate(
            '        return {"broken": broken}\n    found = {}',
            "        pass\n    found = {'broken': broken} if broken else {}",
        ),
        "tell `broken` alone",
    ),
    "too high alone": (_gate("abs(gap)", "gap"), "Too low is as wrong as too high"),
    "share less prediction": (
        _gate("challenger.mean() - late.mean()", "late.mean() - challenger.mean()"),
        "with its sign",
    ),
    "small slices judged": (_gate('>= limits["slice_flights"]', "> 0"), "too few to judge"),
    "no slices": (_gate('(rise > limits["slice"]).any()', "False"), "An average hides that"),
    "all slices told": (
        _gate('rise[rise > limits["slice"]].to_dict()', "rise.to_dict()"),
        "a dict of the carriers that got worse",
    ),
    "slices without the square": (_gate("** 2", ""), "the rise of its mean squared error"),
    "above the threshold": (_gate('p >= limits["threshold"]', 'p > limits["threshold"]'), "equal to the threshold"),
    "missed alone": (_gate(' + limits["alarm"] * (~late & warned).sum()', ""), "warned of for nothing"),
    "both cost the same": (_gate('limits["missed"] *', 'limits["alarm"] *'), "`cost` is the rise of the cost"),
    "the cost itself": (_gate('found["cost"] = more', 'found["cost"] = float(cost(challenger))'), "`cost` is the rise"),
    "a threshold of one half": (_gate('limits["threshold"]', "0.5"), "`cost` is the rise of the cost"),
    "the first reason alone": (
        _gate('        found["worse"] = interval[1]', '        return {"worse": interval[1]}'),
        "Whoever trains again wants all the reasons",
    ),
    "accept or refuse": (_gate("    return found", "    return not found"), "A yes or no does not tell"),
    "a list of reasons": (_gate("    return found", "    return list(found)"), "Give a dict"),
    "the margin as a number": (_gate('interval[1] <= limits["worse"]', "interval[1] <= 0.003"), "`limits['worse']`"),
    "the least flights as a number": (_gate('limits["slice_flights"]', "50"), "`limits['slice_flights']`"),
    "more flights than the least": (_gate('>= limits["slice_flights"]', '> limits["slice_flights"]'), "it has exactly"),
    "the costs as numbers": (
        _gate('limits["missed"]', "4.0").replace('limits["alarm"]', "1.0"),
        "`limits['missed']`",
    ),
    "the threshold as a number": (_gate('limits["threshold"]', "0.3"), "`limits['threshold']`"),
}

_INVARIANCE = """
def invariance(predict, flights):
    before = predict(flights)
    few = flights.head(20)
    alone = np.concatenate([predict(few.iloc[[place]]) for place in range(len(few))])
    changes = {
        "flight": np.abs(predict(flights.assign(flight=flights["flight"] + 1)) - before).max(),
        "batch": np.abs(alone - before[: len(few)]).max(),
    }
    return {name: change for name, change in changes.items() if change > 0.0001}
"""
_DIRECTION = """
def direction(predict, flights):
    before = predict(flights)
    worse = {
        "precipitation": flights.assign(precipitation=flights["precipitation"] + 0.3),
        "visibility": flights.assign(visibility=0.5),
    }
    changes = {name: (predict(table) - before).mean() for name, table in worse.items()}
    return {name: change for name, change in changes.items() if change < -0.001}
"""
_MINIMUM = """
def minimum(predict, cases):
    probability = pd.Series(predict(cases), index=cases.index)
    fine = (probability >= cases["low"]) & (probability <= cases["high"])
    return probability[~fine].to_dict()
"""
_BEHAVIOUR = _INVARIANCE + _DIRECTION + _MINIMUM


def _behaviour(old: str, new: str) -> str:
    assert old in _BEHAVIOUR, old
    return _BEHAVIOUR.replace(old, new)


BEHAVIOUR_RIGHT = {
    "copies and loops": """
def invariance(predict, flights):
    found = {}
    before = list(predict(flights))
    other = flights.copy()
    other["flight"] += 1
    largest = max(abs(a - b) for a, b in zip(predict(other), before))
    if largest > 1e-4:
        found["flight"] = largest
    alone = [float(predict(flights[place : place + 1])[0]) for place in range(min(20, len(flights)))]
    largest = max(abs(a - b) for a, b in zip(alone, before))
    if largest > 1e-4:
        found["batch"] = largest
    return found

def direction(predict, flights):
    found = {}
    for name, value in (("precipitation", flights["precipitation"] + 0.3), ("visibility", 0.5)):
        other = flights.copy()
        other[name] = value
        change = float(np.mean(predict(other)) - np.mean(predict(flights)))
        if change < -0.001:
            found[name] = change
    return found

def minimum(predict, cases):
    found = {}
    for name, p in zip(cases.index, predict(cases)):
        if not cases.loc[name, "low"] <= p <= cases.loc[name, "high"]:
            found[name] = p
    return found
""",
}
BEHAVIOUR_WRONG = {
    "equal to the last digit": (_behaviour("change > 0.0001}", "change != 0}"), "Compare with the tolerance"),
    "changed in place": (
        _behaviour(
            '        "flight": np.abs(predict(flights.assign(flight=flights["flight"] + 1)) - before).max(),',
            '        "flight": np.abs(predict(bumped(flights)) - before).max(),',
        )
        + """
def bumped(flights):
    flights["flight"] = flights["flight"] + 1
    return flights
""",
        "has changed the flights it was given",
    ),
    "rain in place": (
        _behaviour(
            '    worse = {\n        "precipitation": flights.assign(precipitation=flights["precipitation"] + 0.3),',
            '    flights["precipitation"] += 0.3\n    worse = {\n        "precipitation": flights,',
        ),
        "column precipitation. Change a copy",
    ),
    "each flight must rise": (
        _behaviour("(predict(table) - before).mean()", "(predict(table) - before).min()"),
        "the rule is about the mean",
    ),
    "before less after": (
        _behaviour("(predict(table) - before).mean()", "(before - predict(table)).mean()"),
        "The sign is turned",
    ),
    "the size without the sign": (
        _behaviour("if change < -0.001}", "if abs(change) > 0.001}"),
        "is reported, and nothing of the kind is there",
    ),
    "the sign lost": (
        _behaviour(
            "{name: change for name, change in changes.items() if change < -0.001}",
            "{name: -change for name, change in changes.items() if change < -0.001}",
        ),
        "The sign is turned",
    ),
    "half of the flights instead of one": (
        _behaviour(
            "predict(few.iloc[[place]]) for place in range(len(few))", "predict(flights)[:20] for place in range(1)"
        ),
        "Ask for each of the first 20 alone",
    ),
    "the number is not looked at": (_behaviour("+ 1)) - before", "+ 0)) - before"), "looks at the flight's number"),
    "better sight": (_behaviour("visibility=0.5", "visibility=10.0"), "In fog the model thinks"),
    "NaN is neither below nor above": (
        _behaviour(
            '(probability >= cases["low"]) & (probability <= cases["high"])',
            '~((probability < cases["low"]) | (probability > cases["high"]))',
        ),
        "NaN is neither below",
    ),
    "from one half on": (
        _behaviour(
            '(probability >= cases["low"]) & (probability <= cases["high"])',
            '(probability >= 0.5) == (cases["low"] >= 0.5)',
        ),
        "this fault went through",
    ),
    "the names alone": (
        _behaviour("probability[~fine].to_dict()", "{name: True for name in cases.index[~fine]}"),
        "comes with the probability",
    ),
    "a list of the names": (_behaviour("probability[~fine].to_dict()", "list(cases.index[~fine])"), "Give a dict"),
    "asserts": (
        _behaviour("    return probability[~fine].to_dict()", "    assert fine.all()\n    return {}"),
        "stopped with an error",
    ),
    "the mean change for the number": (
        _behaviour("+ 1)) - before).max()", "+ 1)) - before).mean()"),
        "the largest change of a probability",
    ),
    "the bounds taken out of the table": (
        _behaviour(
            "    probability = pd.Series(predict(cases), index=cases.index)\n"
            '    fine = (probability >= cases["low"]) & (probability <= cases["high"])',
            '    low, high = cases.pop("low"), cases.pop("high")\n'
            "    probability = pd.Series(predict(cases), index=cases.index)\n"
            "    fine = (probability >= low) & (probability <= high)",
        ),
        "`minimum` has changed the cases",
    ),
}
