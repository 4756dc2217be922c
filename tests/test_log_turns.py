"""What the cells of lab 06 do with the learner's functions."""

from __future__ import annotations

import numpy as np
import pytest

from lessonkit.log_turns import CHECKS, month_ends, outcome, week_figures
from lessonkit.log_year import draw_year


def test_each_week_of_last_year_is_held_against_the_rest_of_its_month() -> None:
    asked = []

    def psi(reference: np.ndarray, current: np.ndarray, edges: np.ndarray) -> float:
        asked.append((len(reference), len(current)))
        assert (np.diff(edges) > 0).all()
        return float(len(asked))

    year = draw_year("somebody")
    quiet, found = week_figures(year, psi)
    assert quiet.shape == found.shape == (48, len(CHECKS)) and list(found) == list(CHECKS)
    assert len(asked) == 2 * 48 * len(CHECKS)
    in_january = (year.last_year["day"].dt.month == 1).sum()
    assert sum(asked[0]) == in_january and asked[len(CHECKS)][0] == in_january
    assert list(found.index[:5]) == [(1, 0), (1, 1), (1, 2), (1, 3), (2, 0)]


def test_the_days_of_a_fault_stay_out_of_all_later_windows() -> None:
    year = draw_year("somebody")
    case = dict.fromkeys(range(1, 7), ("nothing", None)) | {4: ("data fault", "2014-04-10")}
    told = []

    def training_days(days: list[str], quarantined: list, changed: None, ripe: str) -> list[str]:
        told.append((days[0], days[-1], ripe, list(quarantined)))
        return days

    def known_labels(window, labels, as_of: str) -> np.ndarray:
        return np.zeros(len(window))

    def ripe_days(window, late: np.ndarray, share: float) -> list[str]:
        return sorted(set(window["day"].dt.strftime("%Y-%m-%d")))

    found = dict(month_ends(year, case, known_labels, ripe_days, training_days))
    assert told[2] == ("2014-02-18", "2014-03-31", "2014-03-31", [])
    assert told[3][3] == told[5][3] == [("2014-04-10", "2014-04-30")]
    assert [bool(one["faults"]) for one in found.values()] == [False, False, False, True, False, False]
    assert found[3]["ripe_days"] == 42
    low, high = found[3]["decay"]
    assert low < high < 0  # nobody is late, so the loss is below what the probabilities promise


@pytest.mark.parametrize(("limit", "expected"), [(0.5, (1.0, 1.0)), (2.5, (0.5, 3.0)), (9.0, (0.0, 4.0))])
def test_alarms_a_year_and_days_until_a_drift_is_seen(limit: float, expected: tuple[float, float]) -> None:
    quiet = np.array([[0.0, 0, 1, 0], [0.0, 0, 0, 3]])
    drifted = np.array([[0.0, 0, 0, 1, 2, 3]])  # from the third day on
    assert outcome(quiet, drifted, 2, 1, limit) == expected
