"""Lab 03, exercise 7: answers to try."""

from __future__ import annotations

_AUDIT = """
def audit(scores, groups, suited, threshold):
    selected = np.array(scores, dtype=float) >= float(threshold)
    groups, suited = np.array(groups), np.array(suited)
    names = sorted(set(groups.tolist()))
    rates = {name: float(selected[groups == name].mean()) for name in names}
    highest = max(rates.values())
    found = {name: float(selected[(groups == name) & suited].mean()) for name in names}
    ratio = min(rates.values()) / highest if highest else None
    return {"selection_rates": rates, "impact_ratio": ratio, "true_positive_rates": found}
"""


def _audit(old: str, new: str) -> str:
    assert old in _AUDIT, old
    return _AUDIT.replace(old, new)


AUDIT_RIGHT = {
    "pandas": """
def audit(scores, groups, suited, threshold):
    table = pd.DataFrame({"group": groups, "suited": suited})
    table["selected"] = pd.to_numeric(pd.Series(scores)) >= float(threshold)
    rates = table.groupby("group")["selected"].mean()
    found = table[table["suited"]].groupby("group")["selected"].mean()
    return {
        "selection_rates": rates.to_dict(),
        "true_positive_rates": found.to_dict(),
        "impact_ratio": rates.min() / rates.max() if rates.max() > 0 else None,
    }
""",
    "loops and Decimal": """
from collections import Counter
from decimal import Decimal

def audit(scores, groups, suited, threshold):
    everybody, good, chosen, chosen_good = Counter(), Counter(), Counter(), Counter()
    for score, group, is_suited in zip(scores, groups, suited):
        everybody[group] += 1
        good[group] += is_suited
        if Decimal(score) >= Decimal(threshold):
            chosen[group] += 1
            chosen_good[group] += is_suited
    rates = {group: chosen[group] / everybody[group] for group in everybody}
    ratio = min(rates.values()) / max(rates.values()) if any(rates.values()) else None
    found = {group: chosen_good[group] / good[group] for group in everybody}
    return {"selection_rates": rates, "impact_ratio": ratio, "true_positive_rates": found}
""",
}

AUDIT_WRONG = {
    "of the selected": (
        _audit("selected[groups == name].mean()", "((groups[selected] == name).sum() / max(1, selected.sum()))"),
        "shares of each group among the selected",
    ),
    "of all candidates": (
        _audit("selected[groups == name].mean()", "(selected & (groups == name)).mean()"),
        "These are divided by all candidates",
    ),
    "above the threshold": (_audit(">=", ">"), "A score that equals the threshold"),
    "percents": (
        _audit(
            "rates = {name: float(selected[groups == name].mean())",
            "rates = {name: 100 * float(selected[groups == name].mean())",
        ),
        "These are percents",
    ),
    "upside down": (_audit("min(rates.values()) / highest", "highest / min(rates.values())"), "upside down"),
    "B through A": (_audit("min(rates.values()) / highest", "rates[names[-1]] / rates[names[0]]"), "upside down"),
    "A through B, never above 1": (
        _audit("min(rates.values()) / highest", "min(1.0, rates[names[-1]] / rates[names[0]])"),
        "not the ratio of the lowest",
    ),
    "a difference": (_audit("min(rates.values()) / highest", "highest - min(rates.values())"), "This is a difference"),
    "of the true-positive rates": (
        _audit("min(rates.values()) / highest", "min(found.values()) / max(found.values())"),
        "ratio of the true-positive rates",
    ),
    "precision": (
        _audit(
            "selected[(groups == name) & suited].mean()",
            "((groups == name) & selected & suited).sum() / max(1, ((groups == name) & selected).sum())",
        ),
        "the suited among the selected",
    ),
    "suited and selected of all": (
        _audit("selected[(groups == name) & suited].mean()", "(selected & suited)[groups == name].mean()"),
        "divides by its suited ones",
    ),
    "0 through 0": (_audit("if highest else None", "if highest else 1.0"), "nothing was measured"),
    "no ratio where one group has none": (
        _audit("if highest else None", "if all(rates.values()) else None"),
        "the ratio is 0",
    ),
    "a division by zero": (_audit("if highest else None", ""), "stopped with an error"),
    "texts compared with a number": (
        _audit("np.array(scores, dtype=float) >= float(threshold)", "np.array([s >= 0.5 for s in scores])"),
        "stopped with an error",
    ),
    "a tuple": (
        _audit(
            'return {"selection_rates": rates, "impact_ratio": ratio, "true_positive_rates": found}',
            "return rates, ratio, found",
        ),
        "Give a dict with",
    ),
    "the notebook's candidates": (
        _audit(
            "groups, suited = np.array(groups), np.array(suited)",
            "groups, suited = candidates.group[: len(selected)], candidates.suited[: len(selected)]",
        ),
        "These are not the rates",
    ),
}
