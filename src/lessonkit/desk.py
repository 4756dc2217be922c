"""The recruiters' desk: the records behind a résumé-screening API, kept in memory.

It stands for a database, so that the API's own code is about HTTP alone.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lessonkit.candidates import FEATURES, Candidates, Screener, fit_screener, make_candidates


@dataclass
class Desk:
    """What the API keeps.

    Attributes
    ----------
    models
        Version to model.
    active
        The version that scores new candidates.
    past
        The synthetic past candidates that every version is fitted to.
    screenings
        Number to screening, in the order they were added: 1, 2, 3 and so on.
    receipts
        Yours: a place to note which Idempotency-Key brought what.
    lock
        Hold it (`with desk.lock:`) where two requests at the same moment must not both pass.
    """

    models: dict[str, Screener]
    active: str
    past: Candidates = field(repr=False)
    screenings: dict[int, dict[str, Any]] = field(default_factory=dict)
    receipts: dict[str, Any] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _adding: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, candidate: Mapping[str, Any], version: str, score: str) -> dict[str, Any]:
        """Keep a screening and give it: id, candidate, version, score."""
        with self._adding:
            number = len(self.screenings) + 1
            self.screenings[number] = {"id": number, "candidate": dict(candidate), "version": version, "score": score}
        return self.screenings[number]

    def fit(self, features: Sequence[str]) -> Screener:
        """A new model on these features; keeps nothing. ValueError if one is unknown or given twice, or none is."""
        return fit_screener(features, self.past)

    def activate(self, version: str) -> None:
        """Make a version the active one. KeyError if there is no such version."""
        if version not in self.models:
            raise KeyError(f"there is no version {version}")
        self.active = version


def open_desk(seed: int = 7, past: int = 3_000, active: str = "v1") -> Desk:
    """A desk without screenings, and with two versions fitted to so many synthetic past candidates.

    `v1` looks at every feature, `v2` leaves out the gap years.
    """
    candidates = make_candidates(past, seed)
    models = {"v1": fit_screener(FEATURES, candidates), "v2": fit_screener(FEATURES[:2], candidates)}
    return Desk(models, active, candidates)
