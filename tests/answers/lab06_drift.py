"""Lab 06, exercises 1 to 3: answers to try."""

from __future__ import annotations

_PSI = """
def learner():
    return "Learner 7"


def psi(reference, current, edges):
    def shares(values):
        place = np.searchsorted(edges, values, side="right")
        place = np.where(np.isnan(values), len(edges) + 1, place)
        return np.maximum(np.bincount(place, minlength=len(edges) + 2) / len(values), 0.0001)

    before, after = shares(reference), shares(current)
    return ((after - before) * np.log(after / before)).sum()
"""


def _psi(old: str, new: str) -> str:
    assert old in _PSI, old
    return _PSI.replace(old, new)


PSI_RIGHT = {
    "plain Python": """
from bisect import bisect_right

def learner():
    return "4711"

def psi(reference, current, edges):
    edges = list(edges)
    total = 0.0
    samples = [[math.nan if x != x else bisect_right(edges, x) for x in values] for values in (reference, current)]
    for place in [*range(len(edges) + 1), math.nan]:
        b, a = (
            max(sum(one == place or (one != one and place != place) for one in sample) / len(sample), 0.0001)
            for sample in samples
        )
        total += (a - b) * math.log(a / b)
    return total
""",
    "pandas.cut": """
def learner():
    return "Learner 8"

def psi(reference, current, edges):
    bins = [-np.inf, *edges, np.inf]
    def shares(values):
        kind = pd.Series(pd.cut(values, bins, right=False, labels=False)).fillna(-1)
        return kind.value_counts(normalize=True).reindex(range(-1, len(edges) + 1), fill_value=0).clip(lower=0.0001)
    a, b = shares(reference), shares(current)
    return float(((a - b) * np.log(a / b)).sum())
""",
}
PSI_WRONG = {
    "histogram, which drops what lies outside": (
        """
def learner():
    return "Learner 7"

def psi(reference, current, edges):
    def shares(values):
        inside = np.histogram(values[~np.isnan(values)], [-1e9, *edges, 30.0 if edges[-1] == 30 else 1e9])[0]
        return np.maximum(np.append(inside, np.isnan(values).sum()) / len(values), 0.0001)
    a, b = shares(reference), shares(current)
    return ((a - b) * np.log(a / b)).sum()
""",
        "The two outer bins are open",
    ),
    "missing values left out": (
        _psi(
            "    before, after = shares(reference)",
            "    reference, current = (x[~np.isnan(x)] for x in (reference, current))\n"
            "    before, after = shares(reference)",
        ),
        "count NaN in a bin of its own",
    ),
    "missing values in the last bin": (_psi("len(edges) + 1, place)", "len(edges), place)"), "count NaN in a bin"),
    "no floor": (
        _psi("np.maximum(np.bincount(place, minlength=len(edges) + 2) / len(values), 0.0001)", "_bare(place, values)")
        + """

def _bare(place, values):
    shares = np.bincount(place, minlength=7 + 2)[:9] / len(values)
    return np.where(shares == 0, 1e-12, shares)
""",
        "with another it is another number",
    ),
    "logarithm to base 10": (_psi("np.log(", "np.log10("), "logarithm to another base"),
    "Kullback-Leibler": (_psi("((after - before) *", "(after *"), "looks one way only"),
    "counts": (
        _psi(
            "np.maximum(np.bincount(place, minlength=len(edges) + 2) / len(values), 0.0001)",
            "np.maximum(np.bincount(place, minlength=len(edges) + 2) / 100, 0.0001)",
        ),
        "so the shares are as before",
    ),
    "an edge to the bin below": (_psi('side="right"', 'side="left"'), "belongs to the bin above it"),
    "no name": (_psi('"Learner 7"', '"your name"'), "With your own the year is yours"),
}

_TRAP = """
def share_of_alarms(reference, population, rows, windows, seed):
    rng = np.random.default_rng(seed)
    alarms = 0
    for _ in range(windows):
        window = rng.choice(population, rows)
        alarms += ks_2samp(reference, window).pvalue < 0.05
    return alarms / windows


def effect(reference, current):
    EFFECT
"""
_SHARE = _TRAP.split("\n\n\ndef effect")[0]


def _effect(body: str) -> str:
    return _TRAP.replace("EFFECT", body)


_GOOD = _effect("return ks_2samp(reference, current).statistic")


def _share(old: str, new: str) -> str:
    assert old in _GOOD, old
    return _GOOD.replace(old, new)


TRAP_RIGHT = {
    "Wasserstein in standard deviations": "from scipy.stats import wasserstein_distance\n"
    + _effect("return wasserstein_distance(reference, current) / np.std(reference)"),
    "PSI with the reference's deciles": _effect(
        "return psi(reference, current, np.quantile(reference, np.arange(0.1, 1, 0.1)))"
    ),
    "distance of quantiles": _effect(
        "at = np.arange(0.05, 1, 0.05)\n"
        "    gap = np.quantile(current, at) - np.quantile(reference, at)\n"
        "    return float(np.abs(gap).mean() / (np.quantile(reference, 0.75) - np.quantile(reference, 0.25)))"
    ),
}
TRAP_WRONG = {
    "one less the p-value": (
        _effect("return 1 - ks_2samp(reference, current).pvalue"),
        "A larger shift should give a larger effect",
    ),
    "the logarithm of the p-value": (
        _effect("return -np.log10(max(ks_2samp(reference, current).pvalue, 1e-300))"),
        "What grows or shrinks with the rows says how sure",
    ),
    "a t statistic": (
        _effect(
            "n = len(current)\n    return abs(np.mean(current) - np.mean(reference)) / "
            "np.sqrt((np.var(current) + np.var(reference)) / n)"
        ),
        "What grows or shrinks with the rows says how sure",
    ),
    "difference of the means": (
        _effect("return abs(np.mean(current) - np.mean(reference))"),
        "A limit for it would have to know the unit",
    ),
    "means in standard deviations": (
        _effect("return abs(np.mean(current) - np.mean(reference)) / np.std(reference)"),
        "Two distributions can have one mean",
    ),
    "with a sign": (
        _effect("return (np.mean(current) - np.mean(reference)) / np.std(reference)"),
        "A shift down is as far as a shift up",
    ),
    "above 0.05": (_share("pvalue < 0.05", "pvalue > 0.05"), "Is a p-value **below** 0.05 counted"),
    "the whole population": (
        _share("rng.choice(population, rows)", "rng.permutation(population)"),
        "Are `rows` values drawn for each window",
    ),
    "against its own window": (
        _share("ks_2samp(reference, window)", "ks_2samp(rng.choice(reference, 200), window)"),
        "compared with all of the reference",
    ),
    "no seed": (_share("default_rng(seed)", "default_rng()"), "The same seed gave another share"),
    "a count": (_share("return alarms / windows", "return alarms + 1"), "A share lies between 0 and 1"),
}

_LIMITS = """
def limits(quiet, alarms_a_year, windows_a_year):
    share = alarms_a_year / windows_a_year
    return RESULT
"""


def _limits(result: str) -> str:
    return _LIMITS.replace("RESULT", result)


LIMITS_RIGHT = {
    "an eighth of the share each": _limits("np.quantile(quiet, 1 - share / quiet.shape[1], axis=0)"),
    "ranks": """
def limits(quiet, alarms_a_year, windows_a_year):
    share = alarms_a_year / windows_a_year
    rank = quiet.argsort(axis=0).argsort(axis=0).max(axis=1)
    place = int(np.quantile(rank, 1 - share))
    return np.sort(quiet, axis=0)[min(place, len(quiet) - 1)].tolist()
""",
    "search": """
def limits(quiet, alarms_a_year, windows_a_year):
    wanted = alarms_a_year / windows_a_year
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = (low + high) / 2
        found = np.quantile(quiet, middle, axis=0)
        if (quiet > found).any(axis=1).mean() > wanted:
            low = middle
        else:
            high = middle
    return np.quantile(quiet, high, axis=0)
""",
}
LIMITS_WRONG = {
    "0.25, as texts say": (_limits("np.full(quiet.shape[1], 0.25)"), "limit"),
    "each check by itself": (
        _limits("np.quantile(quiet, 1 - share, axis=0)"),
        "Eight checks have eight chances a window to be wrong",
    ),
    "three standard deviations": (
        _limits("quiet.mean(axis=0) + 3 * quiet.std(axis=0)"),
        "false alarms a year",
    ),
    "the largest ever seen": (_limits("quiet.max(axis=0)"), "Each one not spent is paid for in days"),
    "one limit for all": (
        _limits("np.full(quiet.shape[1], np.quantile(quiet.max(axis=1), 1 - share))"),
        "its limit did not follow",
    ),
    "a number": (_limits("np.quantile(quiet, 1 - share)"), "one limit for each check"),
    "alarms of a hundred": (
        _limits("np.percentile(quiet, 1 - share / quiet.shape[1], axis=0)"),
        "below the median of its check",
    ),
}
