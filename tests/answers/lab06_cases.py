"""Lab 06, exercises 6 to 8: answers to try."""

from __future__ import annotations

_DETECTIVE = """
def first_day(values, days):
    daily = values.groupby(days).mean().dropna()
    x = daily.to_numpy()
    jumps = [(x[k:].mean() - x[:k].mean()) * (k * (len(x) - k)) ** 0.5 for k in range(1, len(x))]
    return str(daily.index[1 + int(np.argmax(jumps))].date())


def fault(then, now):
    for name in READINGS:
        for origin in ("EWR", "JFK", "LGA"):
            gone = now.loc[now["origin"] == origin, name].isna().astype(float)
            if gone.mean() > 0.3:
                return gone
        low, high = then[name].min(), then[name].max()
        outside = (now[name].lt(low) | now[name].gt(high)).astype(float)
        if outside.mean() > 0.15:
            return outside


def behaviour(then, now):
    now = now.assign(evening=now["hour"] >= 17)
    then = then.assign(evening=then["hour"] >= 17)
    for name in ("evening", "carrier"):
        more = now[name].value_counts(normalize=True).sub(then[name].value_counts(normalize=True), fill_value=0)
        if more.max() > 0.1:
            return (now[name] == more.idxmax()).astype(float)


def concept(then, now):
    by_origin = now.groupby("origin")["wrong"].mean()
    if by_origin.max() > 0.12:
        return now.loc[now["origin"] == by_origin.idxmax(), "wrong"]


LOOKS = {"data fault": fault, "behaviour change": behaviour, "concept drift": concept}


def investigate(last_year, log, late):
    log = log.assign(wrong=late - log["probability"])
    edges = np.nanquantile(last_year["temperature"], np.arange(0.1, 1, 0.1))
    found = {}
    for month in range(1, 13):
        then = last_year[last_year["day"].dt.month == month]
        now = log[log["day"].dt.month == month]
        hot = psi(last_year["temperature"].to_numpy(float), now["temperature"].to_numpy(float), edges) > 3
        found[month] = ("season" if hot else "nothing", None)
        for cause, look in LOOKS.items():
            values = look(then, now)
            if values is not None:
                found[month] = (cause, first_day(values, now["day"]))
                break
    return found


def case_file(last_year, log, late):
    return investigate(last_year, log, late)
"""


def _detective(*pairs: tuple[str, str]) -> str:
    made = _DETECTIVE
    for old, new in pairs:
        assert old in made, old
        made = made.replace(old, new)
    return made


DETECTIVE_RIGHT = {
    "a look for each cause": _DETECTIVE,
    "lists, and days two late": _detective(
        (
            'found[month] = (cause, first_day(values, now["day"]))',
            'found[month] = [cause, first_day(values, now["day"])]',
        ),
        (
            "return str(daily.index[1 + int(np.argmax(jumps))].date())",
            "return str((daily.index[1 + int(np.argmax(jumps))] + pd.Timedelta(days=2)).date())",
        ),
    ),
}
DETECTIVE_WRONG = {
    "the labels first": (
        _detective(
            (
                'LOOKS = {"data fault": fault, "behaviour change": behaviour, "concept drift": concept}',
                'LOOKS = {"concept drift": concept, "data fault": fault, "behaviour change": behaviour}',
            ),
            ("by_origin.max() > 0.12", "by_origin.max() > 0.03"),
        ),
        "retraining on these would teach the fault",
    ),
    "season is drift": (
        _detective(
            (
                'found[month] = ("season" if hot else "nothing", None)',
                'found[month] = ("season" if hot else "nothing", None)\n'
                "        if hot:\n"
                '            found[month] = ("data fault", f"2014-{month:02}-01")\n'
                "            continue",
            ),
        ),
        "nothing went wrong",
    ),
    "all airports together": (
        _detective(
            ('gone = now.loc[now["origin"] == origin, name].isna()', "gone = now[name].isna()"),
            ("gone.mean() > 0.3", "gone.mean() > 0.5"),
        ),
        "an average over the three hides one",
    ),
    "inputs only": (
        _detective(('"behaviour change": behaviour, "concept drift": concept}', '"behaviour change": behaviour}')),
        "it takes the labels",
    ),
    "nobody asks who asks": (
        _detective(('"behaviour change": behaviour, ', "")),
        "Compare carriers and hours",
    ),
    "the first of the month": (
        _detective(
            ("return str(daily.index[1 + int(np.argmax(jumps))].date())", "return str(daily.index[0].date())"),
        ),
        "it jumps, and stays until the month ends",
    ),
    "season against the same month": (
        _detective(
            ('psi(last_year["temperature"].to_numpy(float)', 'psi(then["temperature"].to_numpy(float)'),
        ),
        "the month against **all** of last year",
    ),
    "no pairs": (
        _detective(
            ('found[month] = ("season" if hot else "nothing", None)', 'found[month] = "season" if hot else "nothing"')
        ),
        "Each month gets a pair",
    ),
    "by heart": (
        _DETECTIVE
        + """

_year = draw_year(learner())
_own = investigate(_year.last_year, _year.log, known_labels(_year.log, _year.labels, AS_OF))


def investigate(last_year, log, late):
    return _own
""",
        "month",
    ),
}

_DECIDE = """
def decide(evidence, policy):
    if evidence["faults"]:
        return "quarantine", evidence["faults"]
    if evidence["rows"] < policy["rows"] or evidence["ripe_days"] < policy["days"]:
        return "wait", ["too little evidence"]
    if evidence["decay"] is None or any(map(math.isnan, evidence["decay"])):
        return "wait", ["decay unknown"]
    low, high = evidence["decay"]
    if low > policy["decay"]:
        return "retrain", ["decay"]
    if evidence["drift"]:
        return "watch", evidence["drift"]
    return "nothing", []


def training_days(days, quarantined, changed, ripe):
    kept = []
    for day in days:
        broken = any(first <= day <= last for first, last in quarantined)
        old = changed is not None and day < changed
        if not broken and not old and day <= ripe:
            kept.append(day)
    return kept
"""


def _decide(*pairs: tuple[str, str]) -> str:
    made = _DECIDE
    for old, new in pairs:
        assert old in made, old
        made = made.replace(old, new)
    return made


DECIDE_RIGHT = {
    "plain": _DECIDE,
    "all reasons told": """
def decide(evidence, policy):
    reasons = {name: [] for name in ("quarantine", "wait", "retrain", "watch")}
    reasons["quarantine"] += [f"broken: {fault}" for fault in evidence["faults"]]
    low, high = evidence["decay"] or (math.nan, math.nan)
    for name, short in (("rows", evidence["rows"] < policy["rows"]), ("days", evidence["ripe_days"] < policy["days"]),
                        ("decay", low != low or high != high)):
        if short:
            reasons["wait"].append(f"{name}: too little")
    if low > policy["decay"]:
        reasons["retrain"].append(f"decay of {low:.3f} or more")
    reasons["watch"] += [f"{name} moved" for name in evidence["drift"]]
    return next(((action, why) for action, why in reasons.items() if why), ("nothing", ("all is well",)))


def training_days(days, quarantined, changed, ripe):
    bad = {day for first, last in quarantined for day in days if first <= day <= last}
    return tuple(day for day in days if (changed or "") <= day <= ripe and day not in bad)
""",
}
_WAIT = """    if evidence["rows"] < policy["rows"] or evidence["ripe_days"] < policy["days"]:
        return "wait", ["too little evidence"]
"""
_UNKNOWN = """    if evidence["decay"] is None or any(map(math.isnan, evidence["decay"])):
        return "wait", ["decay unknown"]
"""
_FAULT = """    if evidence["faults"]:
        return "quarantine", evidence["faults"]
"""
DECIDE_WRONG = {
    "retrain first": (
        _decide(
            (
                _FAULT,
                '    if evidence["decay"] and evidence["decay"][0] > policy["decay"]:\n'
                '        return "retrain", ["decay"]\n' + _FAULT,
            )
        ),
        "A model that is retrained on this learns the fault",
    ),
    "wait before quarantine": (
        _decide((_FAULT, ""), (_WAIT, _WAIT + _FAULT)),
        "A fault is known without a single label",
    ),
    "any drift retrains": (
        _decide(('return "watch", evidence["drift"]', 'return "retrain", evidence["drift"]')),
        "Retraining would mend nothing",
    ),
    "unknown is no decay": (
        _decide(
            (_UNKNOWN, '    evidence = evidence | {"decay": evidence["decay"] or (0, 0)}\n'),
        ),
        "That is not the same as no decay",
    ),
    "NaN goes through": (
        _decide((' or any(map(math.isnan, evidence["decay"]))', "")),
        "That is not the same as no decay",
    ),
    "ripe days not asked": (
        _decide((' or evidence["ripe_days"] < policy["days"]', "")),
        "those that came quickly",
    ),
    "the upper end": (_decide(("if low > policy", "if high > policy")), "or you retrain on noise"),
    "at the limit": (_decide(("if low > policy", "if low >= policy")), "exactly its limit"),
    "no reasons": (
        _decide(('return "quarantine", evidence["faults"]', 'return "quarantine", ["data fault"]')),
        "name each fault among the reasons",
    ),
    "a word": (_decide(('return "nothing", []', 'return "nothing"')), "Give a pair"),
    "the policy by heart": (
        _decide(('policy["rows"]', "1_000"), ('policy["days"]', "14"), ('policy["decay"]', "0.01")),
        "its numbers come with each call",
    ),
    "half an interval": (
        _decide(('any(map(math.isnan, evidence["decay"]))', 'math.isnan(evidence["decay"][0])')),
        "That is not the same as no decay",
    ),
    "broken days kept": (_decide(("if not broken and not old", "if not old")), "Leave out the quarantined days"),
    "without its last day": (_decide(("first <= day <= last", "first <= day < last")), "both included"),
    "the old world kept": (_decide(("not broken and not old", "not broken")), "What was before teaches the old one"),
    "days that are not ripe": (_decide((" and day <= ripe", "")), "up to the last ripe one"),
}

_ALARMS = """
def choose(quiet, drifted, start, lengths, price_alarm, price_day, drifts):
    best = None
    for length in lengths:
        calm = pd.DataFrame(quiet.T).rolling(length).mean().to_numpy().T
        moving = pd.DataFrame(drifted.T).rolling(length).mean().to_numpy().T[:, start:]
        for limit in np.linspace(moving.min(), moving.max(), 60):
            alarms = (calm > limit).sum() / len(quiet)
            over = moving > limit
            delay = np.where(over.any(axis=1), over.argmax(axis=1), over.shape[1]).mean()
            cost = alarms * price_alarm + drifts * delay * price_day
            if best is None or cost < best[0]:
                best = (cost, length, limit)
    return best[1], best[2]
"""


def _alarms(*pairs: tuple[str, str]) -> str:
    made = _ALARMS
    for old, new in pairs:
        assert old in made, old
        made = made.replace(old, new)
    return made


ALARMS_RIGHT = {"pandas": _ALARMS}
ALARMS_WRONG = {
    "the prices are not looked at": (
        _alarms(("alarms * price_alarm + drifts * delay * price_day", "alarms + delay")),
        "This choice",
    ),
    "no false alarms at all": (
        """
def choose(quiet, drifted, start, lengths, price_alarm, price_day, drifts):
    return lengths[0], float(quiet.max())
""",
        "This choice is too slow",
    ),
    "the longest window": (
        _alarms(("for length in lengths:", "for length in lengths[-1:]:")),
        "This choice is too slow",
    ),
    "one day": (_alarms(("for length in lengths:", "for length in lengths[:1]:")), "There is a cheaper pair"),
    "never seen costs nothing": (_alarms(("over.shape[1])", "0)")), "or sleeps"),
    "four drifts by heart": (_alarms(("+ drifts * delay", "+ 4 * delay")), "both come with the call"),
    "day 30 by heart": (_alarms((".T[:, start:]", ".T[:, 30:]")), "both come with the call"),
    "the limit first": (_alarms(("return best[1], best[2]", "return best[2], best[1]")), "The length is one of"),
    "the mean of both": (
        """
def choose(quiet, drifted, start, lengths, price_alarm, price_day, drifts):
    return 7, float((quiet.mean() + drifted[:, start:].mean()) / 2)
""",
        "a false alarm",
    ),
}
