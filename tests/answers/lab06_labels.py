"""Lab 06, exercises 4 and 5: answers to try."""

from __future__ import annotations

_LABELS = """
def known_labels(predictions, labels, as_of):
    there = labels[labels["known_on"] <= as_of]
    there = there.sort_values("known_on", kind="stable")
    newest = there.drop_duplicates("request_id", keep="last")
    lookup = newest.set_index("request_id")["late"].astype(float)
    return predictions["request_id"].map(lookup).to_numpy(dtype=float)


def ripe_days(predictions, late, share):
    day = predictions["day"].dt.strftime("%Y-%m-%d").to_numpy()
    return [one for one in sorted(set(day)) if (~np.isnan(late[day == one])).mean() >= share]
"""


def _labels(old: str, new: str) -> str:
    assert old in _LABELS, old
    return _LABELS.replace(old, new)


LABELS_RIGHT = {
    "plain Python": """
def known_labels(predictions, labels, as_of):
    as_of = pd.Timestamp(as_of)
    newest = {}
    for name, late, day in zip(labels["request_id"], labels["late"], labels["known_on"]):
        if day <= as_of and day >= newest.get(name, (pd.Timestamp.min, None))[0]:
            newest[name] = (day, float(late))
    return np.array([newest[name][1] if name in newest else np.nan for name in predictions["request_id"]])

def ripe_days(predictions, late, share):
    seen, known = {}, {}
    for day, one in zip(predictions["day"], late):
        day = str(day.date())
        seen[day] = seen.get(day, 0) + 1
        known[day] = known.get(day, 0) + (one == one)
    return sorted(day for day in seen if known[day] >= share * seen[day])
""",
    "a left merge of one label each": _labels(
        'lookup = newest.set_index("request_id")["late"].astype(float)\n'
        '    return predictions["request_id"].map(lookup).to_numpy(dtype=float)',
        'merged = predictions[["request_id"]].merge(newest[["request_id", "late"]], on="request_id", how="left")\n'
        '    return merged["late"].astype(float).to_numpy()',
    ),
}
LABELS_WRONG = {
    "an inner merge": (
        _labels(
            'lookup = newest.set_index("request_id")["late"].astype(float)\n'
            '    return predictions["request_id"].map(lookup).to_numpy(dtype=float)',
            'return predictions.merge(newest, on="request_id")["late"].to_numpy(dtype=float)',
        ),
        "Each row of the log gets one entry",
    ),
    "a merge with doubled labels": (
        _labels(
            'newest = there.drop_duplicates("request_id", keep="last")\n'
            '    lookup = newest.set_index("request_id")["late"].astype(float)\n'
            '    return predictions["request_id"].map(lookup).to_numpy(dtype=float)',
            'return predictions.merge(there, on="request_id", how="left")["late"].astype(float).to_numpy()',
        ),
        "Each row of the log gets one entry",
    ),
    "as_of not looked at": (
        _labels('labels[labels["known_on"] <= as_of]', "labels"),
        "judges last week with what it learns next week",
    ),
    "before as_of": (_labels("<= as_of", "< as_of"), "up to and including `as_of`"),
    "not known is not late": (
        _labels(".map(lookup).to_numpy", ".map(lookup).fillna(0).to_numpy"),
        "A flight is not punctual because nobody knows",
    ),
    "the first word counts": (_labels('keep="last"', 'keep="first"'), "The one with the newest `known_on` counts"),
    "the order of the table": (
        _labels('there.sort_values("known_on", kind="stable")', "there"),
        "the rows of the table are in no order",
    ),
    "late if any says so": (
        _labels(
            'lookup = newest.set_index("request_id")["late"].astype(float)',
            'lookup = there.groupby("request_id")["late"].max().astype(float)',
        ),
        "Two labels contradict each other",
    ),
    "sorted by the way": (
        _labels(
            'lookup = newest.set_index("request_id")["late"].astype(float)\n'
            '    return predictions["request_id"].map(lookup).to_numpy(dtype=float)',
            'lookup = newest.set_index("request_id")["late"].astype(float)\n'
            '    return predictions.sort_index()["request_id"].map(lookup).to_numpy(dtype=float)',
        ),
        "Go by their place, not by their index",
    ),
    "a list with None": (
        _labels(
            'return predictions["request_id"].map(lookup).to_numpy(dtype=float)',
            'found = predictions["request_id"].map(lookup)\n    return [None if one != one else one for one in found]',
        ),
        "Give a NumPy array of floats",
    ),
    "a Series": (_labels(".to_numpy(dtype=float)", ""), "A pandas Series becomes one"),
    "ripe if anything is known": (_labels(">= share", "> 0"), "A day is ripe if the share"),
    "ripe above the share": (_labels(">= share", "> share"), "A day is ripe if the share"),
    "ripe by the index": (
        _labels(
            'day = predictions["day"].dt.strftime("%Y-%m-%d").to_numpy()\n'
            "    return [one for one in sorted(set(day)) if (~np.isnan(late[day == one])).mean() >= share]",
            'known = pd.Series(~np.isnan(late)).groupby(predictions["day"]).mean()\n'
            "    return [str(day.date()) for day in known.index[known >= share]]",
        ),
        "pandas matches by the index",
    ),
}

_ESTIMATE = """
def estimated(probability):
    p = np.asarray(probability, dtype=float)
    inside = np.clip(p, 1e-12, 1 - 1e-12)
    loss = -(p * np.log(inside) + (1 - p) * np.log(1 - inside))
    ahead = (p[:, None] > p) + 0.5 * (p[:, None] == p)
    pairs = p[:, None] * (1 - p)
    auc = (ahead * pairs).sum() / pairs.sum()
    return {"late_share": p.mean(), "log_loss": loss.mean(), "roc_auc": auc}


def unseen_months(month, probability, late):
    found = []
    for one in range(1, int(month.max()) + 1):
        mine = (month == one) & ~np.isnan(late)
        p = np.clip(probability[mine], 1e-6, 1 - 1e-6)
        y = late[mine]
        if len(y) < 50:
            continue
        realized = -(y * np.log(p) + (1 - y) * np.log(1 - p))
        guess = -(p * np.log(p) + (1 - p) * np.log(1 - p))
        error = np.sqrt((p * (1 - p) * np.log(p / (1 - p)) ** 2).sum()) / len(p)
        if realized.mean() - guess.mean() > 4 * error:
            found.append(one)
    return found
"""


def _estimate(*pairs: tuple[str, str]) -> str:
    made = _ESTIMATE
    for old, new in pairs:
        assert old in made, old
        made = made.replace(old, new)
    return made


ESTIMATE_RIGHT = {
    "all pairs, and an error from the probabilities": _ESTIMATE,
    "drawn many times": _estimate(
        (
            "error = np.sqrt((p * (1 - p) * np.log(p / (1 - p)) ** 2).sum()) / len(p)\n"
            "        if realized.mean() - guess.mean() > 4 * error:",
            "rng = np.random.default_rng(0)\n"
            "        y = rng.random((400, len(p))) < p\n"
            "        drawn = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(axis=1)\n"
            "        if realized.mean() > drawn.mean() + 4 * drawn.std():",
        )
    ),
}
_HALF = "def estimated(probability):\n    p = np.asarray(probability, dtype=float)\n    y = p >= 0.5\n"
ESTIMATE_WRONG = {
    "0 times the logarithm of 0": (
        _estimate(("inside = np.clip(p, 1e-12, 1 - 1e-12)", 'inside = p\n    np.seterr(all="ignore")')),
        "0 times the logarithm of 0 counts as 0",
    ),
    "the likelier outcome": (
        _estimate(
            (
                "loss = -(p * np.log(inside) + (1 - p) * np.log(1 - inside))",
                "loss = -np.log(np.maximum(inside, 1 - inside))",
            )
        ),
        "weigh both possibilities with their probabilities",
    ),
    "the likelier outcome ranks": (
        _estimate(("pairs = p[:, None] * (1 - p)", "pairs = (p[:, None] >= np.median(p)) * (p < np.median(p))")),
        "Then every model is perfect",
    ),
    "ties are lost": (_estimate((" + 0.5 * (p[:, None] == p)", "")), "such a pair counts half"),
    "any difference": (_estimate(("> 4 * error", "> 0")), "ask for more than chance explains"),
    "better is a change as well": (
        _estimate(("if realized.mean() - guess.mean() > 4", "if abs(realized.mean() - guess.mean()) > 4")),
        "Asked for are the months in which it is higher",
    ),
    "a large loss": (
        _estimate(("realized.mean() - guess.mean() > 4 * error", "realized.mean() > 0.6")),
        "The loss is large, and the estimate is as large",
    ),
    "the share of late flights": (
        _estimate(
            (
                "realized.mean() - guess.mean() > 4 * error",
                "y.mean() - p.mean() > 4 * np.sqrt((p * (1 - p)).sum()) / len(p)",
            )
        ),
        "the share of late flights is as expected, and the loss is not",
    ),
    "the estimate for all, the loss for some": (
        _estimate(
            (
                "guess = -(p * np.log(p) + (1 - p) * np.log(1 - p))",
                "p_all = probability[month == one]\n"
                "        guess = -(p_all * np.log(p_all) + (1 - p_all) * np.log(1 - p_all))",
            )
        ),
        "Compare like with like",
    ),
    "not known is not late": (
        _estimate(("& ~np.isnan(late)", ""), ("y = late[mine]", "y = np.nan_to_num(late[mine])")),
        "In month",
    ),
    "a limit for the difference": (
        _estimate(("if len(y) < 50:", "if not len(y):"), ("> 4 * error", "> 0.08")),
        "That is too few to say anything",
    ),
}
