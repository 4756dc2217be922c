"""Synthetic candidates for a job, and the models that score them.

Nobody applied for anything here. A seeded generator draws every candidate: an id, skills, years of
work, and gap years, which are years since the first job in which the candidate had none. Each
belongs to one of two groups, `A` and `B`, which stand for any two groups that a law protects.

What was planted, so that it can be measured:

- Who is suited depends on skills alone. Both groups are suited equally often.
- Group B has more gap years, and each of them is a year of work less. So gap years and years of
  work tell something about the group: they are **proxies** for it.
- Past recruiters invited by skills and years of work, and disliked gaps. A model that learns from
  their decisions learns this, too, although nobody shows it the group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler

WANTED = ("python", "sql", "statistics", "machine learning", "testing", "docker", "git", "data modelling")
OTHER = (
    "excel", "photography", "spanish", "accounting", "gardening", "first aid", "copywriting", "carpentry",
    "illustration", "logistics", "german", "choir", "bookkeeping", "sailing", "cooking", "typography",
)  # fmt: skip
FEATURES = ("skills", "years", "gap_years")
GROUPS = ("A", "B")
SHARE_OF_B = 0.4
MEAN_GAP = {"A": 0.4, "B": 2.4}  # years

Record = Mapping[str, Any]  # a candidate as the API receives it: skills, years, gap_years


@dataclass(frozen=True)
class Candidates:
    """Synthetic candidates, all of one length.

    Attributes
    ----------
    ids
        Such as `c-00012`.
    skills
        A list of texts for each candidate.
    years, gap_years
        Whole years of work, and of none since the first job.
    group
        `A` or `B`. No model is shown it.
    suited
        Whether the candidate would do the job well. Nobody knows this of real candidates who were turned down.
    invited
        What past recruiters decided; the models learn from it.
    """

    ids: list[str]
    skills: list[list[str]]
    years: np.ndarray
    gap_years: np.ndarray
    group: np.ndarray
    suited: np.ndarray
    invited: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def records(self) -> list[dict[str, Any]]:
        """Each candidate as the API receives it: skills, years and gap_years, no id and no group."""
        numbers = zip(self.skills, self.years.tolist(), self.gap_years.tolist(), strict=True)
        return [{"skills": skills, "years": years, "gap_years": gap} for skills, years, gap in numbers]


def _chance(score: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-score))


def make_candidates(count: int = 3_000, seed: int = 7) -> Candidates:
    """Draw synthetic candidates; the same seed gives the same ones."""
    rng = np.random.default_rng(seed)
    group = np.where(rng.random(count) < SHARE_OF_B, "B", "A")
    since_first_job = rng.integers(1, 13, count)
    gap_years = np.minimum(rng.poisson(np.where(group == "B", MEAN_GAP["B"], MEAN_GAP["A"])), since_first_job)
    years = since_first_job - gap_years
    wanted = rng.random((count, len(WANTED))) < rng.uniform(0.15, 0.75, count)[:, None]
    other = rng.random((count, len(OTHER))) < 0.15
    skills = [
        [*np.array(WANTED)[has].tolist(), *np.array(OTHER)[too].tolist()] or ["typing"]
        for has, too in zip(wanted, other, strict=True)
    ]
    fit = 1.3 * (wanted.sum(axis=1) - 4.2)
    suited = rng.random(count) < _chance(fit)
    invited = rng.random(count) < _chance(fit + 0.3 * (years - 6) - 0.45 * gap_years + 0.3)
    ids = [f"c-{number:05}" for number in range(1, count + 1)]
    return Candidates(ids, skills, years, gap_years, group, suited, invited)


def _facts(record: Record, features: Sequence[str]) -> dict[str, float]:
    """A candidate as names and numbers, each skill a name of its own: what DictVectorizer makes columns of."""
    found = {name: float(record[name]) for name in features if name != "skills"}
    if "skills" in features:
        found |= {f"skill: {skill.strip().lower()}": 1.0 for skill in record["skills"]}
    return found


@dataclass
class Screener:
    """A fitted model that gives the chance of an invitation.

    Attributes
    ----------
    features
        The columns it looks at; it is given the others and ignores them.
    pipeline
        The fitted scikit-learn pipeline.
    scored
        How many candidates it has scored since it was fitted.
    """

    features: tuple[str, ...]
    pipeline: Pipeline
    scored: int = 0

    def scores(self, records: Sequence[Record]) -> np.ndarray:
        """(records,) float64 between 0 and 1: the higher, the better the match."""
        self.scored += len(records)
        return self.pipeline.predict_proba([_facts(record, self.features) for record in records])[:, 1]

    def score(self, record: Record) -> float:
        """The score of one candidate, between 0 and 1."""
        return float(self.scores([record])[0])


def fit_screener(features: Sequence[str], candidates: Candidates) -> Screener:
    """Fit a model to what past recruiters decided, on the features named.

    Raises
    ------
    ValueError
        `features` is empty, repeats a name, or holds one that is not in FEATURES.
    """
    asked = list(features)
    if not asked or len(set(asked)) < len(asked) or not set(asked) <= set(FEATURES):
        raise ValueError(f"features must be some of {', '.join(FEATURES)}, each at most once; got {asked}")
    kept = tuple(name for name in FEATURES if name in asked)
    # newton-cholesky: few columns, and twice as fast as the default on them.
    pipeline = make_pipeline(DictVectorizer(sparse=False), MaxAbsScaler(), LogisticRegression(solver="newton-cholesky"))
    pipeline.fit([_facts(record, kept) for record in candidates.records()], candidates.invited)
    return Screener(kept, pipeline)
