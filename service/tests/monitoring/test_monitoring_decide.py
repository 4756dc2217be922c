"""The decision, as a table of cases."""

from __future__ import annotations

from datetime import date

import pytest

from flight_delays.monitoring.decide import Decision, Policy, decide, train_days
from flight_delays.monitoring.evidence import Evidence
from flight_delays.pipeline.findings import Finding, Findings

OK = Finding("a check", True, "1", "2")
BAD = Finding("a check that fails", False, "3", "2", "It matters.")
SOUND, FAULTY = Findings([OK]), Findings([OK, BAD])
AUGUST_3 = date(2013, 8, 3)


def evidence(**changes: object) -> Evidence:
    sound = {
        "first": date(2013, 9, 1),
        "last": date(2013, 9, 30),
        "as_of": date(2013, 9, 30),
        "rows": 27_000,
        "labelled": 24_000,
        "quality": SOUND,
        "drift": SOUND,
        "decay": SOUND,
        "change": None,
        "figures": {},
    }
    return Evidence(**(sound | changes))


@pytest.mark.parametrize(
    ("quality", "drift", "decay", "action"),
    [
        # Data fault: whatever else is seen may come of it.
        (FAULTY, SOUND, SOUND, "quarantine"),
        (FAULTY, FAULTY, SOUND, "quarantine"),
        (FAULTY, FAULTY, FAULTY, "quarantine"),
        (FAULTY, FAULTY, None, "quarantine"),
        # No labels, no judgement, with drift or without.
        (SOUND, SOUND, None, "wait"),
        (SOUND, FAULTY, None, "wait"),
        # Decay: with drift or without.
        (SOUND, SOUND, FAULTY, "retrain"),
        (SOUND, FAULTY, FAULTY, "retrain"),
        # Drift without decay.
        (SOUND, FAULTY, SOUND, "watch"),
        (SOUND, SOUND, SOUND, "nothing"),
        # Parts that had nothing to look at found no fault.
        (Findings(), Findings(), SOUND, "nothing"),
    ],
)
def test_the_table(quality, drift, decay, action):
    found = decide(evidence(quality=quality, drift=drift, decay=decay))
    assert found.action == action
    assert found.reasons and all(found.reasons)
    assert found.train_from is None


@pytest.mark.parametrize("rows", [0, 999])
def test_too_few_flights_say_nothing(rows):
    faulty = evidence(rows=rows, quality=FAULTY, decay=FAULTY)
    assert decide(faulty) == Decision("wait", (f"{rows:,} flights, 1,000 are wanted",))
    assert decide(faulty, Policy(min_rows=0)).action == "quarantine"


def test_reasons_are_the_findings():
    assert decide(evidence(quality=FAULTY)).reasons == (
        "a check that fails: found 3, limit 2. It matters.",
    )
    many = Findings([Finding(name, False, "3", "2", "It matters.") for name in "abcde"])
    waiting = decide(evidence(drift=Findings([*many, OK]), decay=None))
    assert waiting.reasons == (
        "24,000 of 27,000 flights have their label, too few to judge the model",
        "5 of 6 have drifted: a, b, c and 2 more",
    )
    assert decide(evidence(drift=FAULTY)).reasons == (
        "1 of 2 have drifted: a check that fails",
        "the model is as good as it was",
    )


@pytest.mark.parametrize(
    ("change", "known", "train_from", "kept", "said"),
    [
        (None, None, None, None, "It matters"),
        # On 30 September there are labels through the 27th, and the gate keeps 14 days of them.
        (AUGUST_3, None, AUGUST_3, AUGUST_3, "the 42 days to train on since then count most"),
        (None, AUGUST_3, AUGUST_3, AUGUST_3, "the 42 days to train on since then count most"),
        (date(2013, 9, 10), AUGUST_3, AUGUST_3, AUGUST_3, "the 42 days to train on"),
        (date(2013, 9, 7), None, date(2013, 9, 7), date(2013, 9, 7), "the 7 days to train on"),
        (date(2013, 9, 8), None, None, date(2013, 9, 8), "6 days to train on since then, too few"),
        (date(2013, 9, 20), None, None, date(2013, 9, 20), "0 days to train on since then, too"),
    ],
)
def test_what_a_new_model_is_trained_on(change, known, train_from, kept, said):
    found = decide(evidence(decay=FAULTY, change=change), known_change=known)
    assert (found.action, found.train_from, found.change) == ("retrain", train_from, kept)
    assert said in found.reasons[-1]


def test_days_to_train_on_are_those_of_the_pipeline():
    """Counted as `pipeline.config` does: from the change to the day before the gate's window."""
    from datetime import timedelta

    from flight_delays.pipeline.config import Config, DataSection

    policy, seen = Policy(), evidence()
    as_of = seen.as_of - timedelta(days=policy.label_days)
    config = Config(as_of=as_of, data=DataSection(window_days=policy.gate_days))
    assert train_days(AUGUST_3, seen, policy) == (config.through - AUGUST_3).days + 1
