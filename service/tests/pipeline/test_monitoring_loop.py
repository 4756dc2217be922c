"""A turn of the loop on a real service and a real pipeline; what is seen is put in its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from flight_delays.bundle import load_bundle
from flight_delays.monitoring.evidence import Evidence
from flight_delays.monitoring.journal import Turn
from flight_delays.monitoring.loop import (
    Loop,
    LoopBusy,
    LoopFailed,
    LoopPlace,
    days_in_doubt,
    ranges,
)
from flight_delays.pipeline import gate
from flight_delays.pipeline.config import read_config
from flight_delays.pipeline.findings import Finding, Findings

OK = Finding("a check", True, "1", "2")
BAD = Finding("a check that fails", False, "3", "2", "It matters.")
SOUND, FAULTY = Findings([OK]), Findings([OK, BAD])
AUGUST = (date(2013, 8, 1), date(2013, 8, 31), date(2013, 8, 31))
OCTOBER = (date(2013, 10, 1), date(2013, 10, 31), date(2013, 10, 31))
SEPTEMBER = (date(2013, 9, 1), date(2013, 9, 30), date(2013, 9, 30))


LENIENT = {"deploy.smoke_max_ms": 5_000.0}  # the machine may be busy


class Told(Loop):
    """A loop that sees what it is told."""

    def __init__(self, place: LoopPlace) -> None:
        super().__init__(place)
        self.seen: dict[str, object] = {}
        self.faulty: list[date] = []

    def see(self, **seen: object) -> None:
        self.seen = seen

    def look(self, version: str, first: date, last: date, as_of: date) -> Evidence:
        sound = {
            "rows": 27_000, "labelled": 25_000, "quality": SOUND, "drift": SOUND, "decay": SOUND,
            "change": None, "figures": {"roc_auc_low": 0.6, "estimated_roc_auc": 0.7},
        }  # fmt: skip
        return Evidence(first=first, last=last, as_of=as_of, **(sound | self.seen))

    def faulty_days(self, version: str, first: date, last: date) -> list[date]:
        return self.faulty


def place_of(world) -> LoopPlace:
    return LoopPlace(
        folder=world.folder / "loop",
        state=world.folder / "state",
        labels=world.folder / "labels.sqlite",
        project=world.project,
        environment=world.environment,
        changes=LENIENT,
    )


@pytest.fixture(scope="module")
def some_flights(flights):
    """A part of the real table, so that a model is trained in no time."""
    return flights[flights["departure"] >= "2013-05-01"][::6]


def with_little_work(monkeypatch, some_flights) -> None:
    monkeypatch.setattr("flight_delays.flights.load_flights", lambda: some_flights)
    monkeypatch.setattr("flight_delays.pipeline.gate.judge", lenient_gate)


@pytest.fixture
def loop(challenged, some_flights, monkeypatch) -> Iterator[Told]:
    """Its service has a champion trained on May to July 17."""
    with_little_work(monkeypatch, some_flights)
    with challenged.serving():
        loop = Told(place_of(challenged))
        loop.world = challenged
        yield loop


def lenient_gate(challenger, champion, window, limits, *_) -> gate.Verdict:
    """Look at what these tests are about; the rest of the gate has tests of its own."""
    measured = Finding("ROC AUC gained", True, "0.1", f"<= {limits.auc_gain_maximum:+g}")
    enough = limits.auc_minimum < 0.9
    auc = Finding("ROC AUC", enough, "0.7", f"{limits.auc_minimum}", "" if enough else "Too low.")
    version = champion and champion.version
    return gate.Verdict(challenger.version, version, Findings([auc, measured]), {"auc": 0.7})


def log_of(loop: Loop) -> str:
    return (loop.folder / "pipeline.log").read_text()


@pytest.mark.parametrize(
    ("seen", "action"),
    [
        ({}, "nothing"),
        ({"drift": FAULTY}, "watch"),
        ({"decay": None}, "wait"),
        ({"quality": FAULTY, "decay": FAULTY}, "quarantine"),
    ],
)
def test_what_is_no_retraining_runs_no_pipeline(loop, seen, action):
    before = loop.world.champion()
    loop.see(**seen)
    turn = loop.turn(*AUGUST)
    assert (turn.action, turn.version) == (action, before)
    assert turn.outcome.champion == before == loop.world.champion()
    assert loop.journal.turns() == [turn]
    assert not (loop.folder / "pipeline").exists()
    assert turn.quarantined == (
        tuple(date(2013, 8, day) for day in range(1, 32)) if action == "quarantine" else ()
    )


def test_decay_puts_a_new_model_in_service_once(loop):
    before = loop.world.champion()
    loop.see(decay=FAULTY)
    turn = loop.turn(*AUGUST)
    assert (turn.action, turn.outcome.done) == ("retrain", "deployed"), log_of(loop)
    new = loop.world.champion()
    assert new == turn.outcome.champion != before
    data = load_bundle(loop.world.store.get(new).folder).info.data
    # Labels through the 28th, of which the gate keeps 14 days.
    assert (data.first, data.last) == (date(2013, 5, 1), date(2013, 8, 14))

    revision = loop.world.store.champion().revision
    assert loop.turn(*AUGUST) == turn
    assert loop.journal.turns() == [turn]
    assert loop.world.store.champion().revision == revision


def test_days_of_the_old_model_are_not_held_against_the_new_one(loop):
    loop.see(decay=FAULTY)
    deployed = loop.turn(*AUGUST)
    loop.see()
    later = loop.turn(date(2013, 8, 20), date(2013, 9, 10), date(2013, 9, 12))
    assert (later.first, later.last) == (date(2013, 9, 1), date(2013, 9, 10))
    assert later.version == deployed.outcome.champion
    again = loop.turn(date(2013, 8, 3), date(2013, 8, 30), date(2013, 9, 12))
    assert (again.version, again.first) == (deployed.version, date(2013, 8, 3))
    loop.see(decay=FAULTY)  # labels that came late show what was mended meanwhile
    late = loop.turn(date(2013, 8, 1), date(2013, 8, 31), date(2013, 9, 13))
    assert (late.version, late.action) == (deployed.version, "wait")
    assert "was replaced by" in late.reasons[0]
    assert loop.world.champion() == deployed.outcome.champion


def test_new_labels_are_new_evidence(loop):
    loop.see(decay=None)
    assert loop.turn(*AUGUST).action == "wait"
    loop.see()
    assert loop.turn(AUGUST[0], AUGUST[1], date(2013, 9, 5)).action == "nothing"
    assert [turn.number for turn in loop.journal.turns()] == [1, 2]


def test_quarantined_days_are_trained_on_by_no_later_model(loop):
    loop.see(quality=FAULTY)
    loop.faulty = [date(2013, 8, 5), date(2013, 8, 6), date(2013, 8, 20)]  # two, and one later
    assert loop.turn(*AUGUST).quarantined == tuple(loop.faulty)
    loop.see(decay=FAULTY)
    turn = loop.turn(*OCTOBER)
    assert turn.outcome.done == "deployed", log_of(loop)
    flights = load_bundle(loop.world.store.get(turn.outcome.champion).folder).info.data
    import flight_delays.flights

    table = flight_delays.flights.load_flights()
    days = table["departure"].dt.date
    inside = table[(days >= flights.first) & (days <= flights.last)]
    assert flights.rows == len(inside) - int(days.isin(loop.faulty).sum())


def test_flights_since_a_known_change_count_most(loop):
    """August tells when it changed; the next windows show no change, only that it is bad."""
    loop.see(decay=FAULTY, change=date(2013, 8, 3))
    first = loop.turn(*AUGUST)
    assert (first.train_from, first.change) == (date(2013, 8, 3), date(2013, 8, 3))
    assert first.outcome.done == "deployed", log_of(loop)
    work = loop.folder / "pipeline"
    config = read_config(loop.world.project, loop.told_to_the_pipeline(first))
    assert (config.data.changed, config.model.weight_before) == (date(2013, 8, 3), 0.05)
    assert loop.journal.learned_since(first.outcome.champion) == date(2013, 8, 3)
    assert (work / "train" / first.outcome.champion).is_dir()

    loop.see(decay=FAULTY)
    assert loop.turn(*SEPTEMBER).train_from == date(2013, 8, 3)
    loop.see()
    assert loop.turn(date(2013, 10, 1), date(2013, 10, 31), date(2013, 10, 31)).action == "nothing"
    loop.see(decay=FAULTY)
    later = loop.turn(date(2013, 11, 1), date(2013, 11, 30), date(2013, 11, 30))
    assert (later.train_from, later.change) == (None, None)  # it was over in October


@pytest.mark.parametrize(
    ("change", "done", "reason"),
    [
        ({"gate.auc_minimum": 0.95}, "refused by the gate", "ROC AUC: found"),
        ({"data.late_high": 0.1}, "refused by the tests of the data", "share of late"),
    ],
)
def test_a_refusal_is_an_outcome_and_the_champion_stays(loop, change, done, reason):
    before = loop.world.champion()
    loop.place = replace(loop.place, changes=LENIENT | change)
    loop.see(decay=FAULTY)
    turn = loop.turn(*AUGUST)
    assert turn.outcome.done == done, log_of(loop)
    assert any(one.startswith(reason) for one in turn.outcome.reasons), turn.outcome.reasons
    assert turn.outcome.champion == before == loop.world.champion()


def test_a_model_that_answers_wrongly_is_taken_back(loop, monkeypatch):
    before = loop.world.champion()

    def smoke_test(service, info, *limits: float) -> list[str]:
        return [] if info.version == before else ["golden row 0: expected 0.1, found 0.2"]

    monkeypatch.setattr("flight_delays.pipeline.smoke.smoke_test", smoke_test)
    loop.see(decay=FAULTY)
    turn = loop.turn(*AUGUST)
    assert turn.outcome.done == "rolled back", log_of(loop)
    assert turn.outcome.reasons[-1] == f"rolled back: {before} is in service again"
    assert turn.outcome.champion == before == loop.world.champion()
    assert not turn.deployed


def test_red_tests_of_the_code_stop_it(loop):
    (loop.world.project / "tests" / "test_project.py").write_text("def test_it():\n    assert 0\n")
    loop.see(decay=FAULTY)
    assert loop.turn(*AUGUST).outcome.done == "refused by the tests of the code"
    assert "1 failed" in log_of(loop)


def test_the_gate_allows_to_win_back_what_was_lost(loop):
    """Beyond that it suspects a leak: 0.1 was lost, and a margin of 0.06 is given."""
    loop.see(decay=FAULTY)
    loop.turn(*AUGUST)
    assert "<= +0.16" in log_of(loop)


def test_what_fails_outside_leaves_the_turn_for_the_next_run(challenged, some_flights, monkeypatch):
    with_little_work(monkeypatch, some_flights)
    with challenged.serving():
        stranger = replace(
            place_of(challenged),
            environment={
                "PIPELINE_SERVICE_URL": challenged.url,
                "PIPELINE_SERVICE_KEY": "not-the-right-key",
            },
        )
        loop = Told(stranger)
        loop.see(decay=FAULTY)
        with pytest.raises(LoopFailed, match="`pipeline deploy` ended with 2, see"):
            loop.turn(*AUGUST)
        assert loop.journal.unfinished().action == "retrain"
        down = place_of(challenged)
    with pytest.raises(LoopFailed, match="`pipeline validate` ended with 4, see"):
        Told(down).finish()
    with challenged.serving():
        loop = Told(place_of(challenged))
        loop.see(decay=FAULTY)
        done = loop.turn(*AUGUST)
        assert (done.number, done.outcome.done) == (1, "deployed"), log_of(loop)
        assert loop.finish() is None
        assert loop.journal.turns() == [done]


def test_a_wrong_configuration_is_told_before_anything_is_decided(loop):
    loop.world.configure("max_iter = 25", 'max_iter = "many"')
    with pytest.raises(LoopFailed, match=r"model\.max_iter: Input should be a valid integer"):
        loop.turn(*AUGUST)
    assert loop.journal.turns() == []


def test_two_turns_at_once(loop):
    with FileLock(loop.folder / "lock"), pytest.raises(LoopBusy, match="another turn is running"):
        loop.turn(*AUGUST)
    assert loop.journal.turns() == []


def test_days_in_doubt():
    day = [date(2013, 8, number) for number in range(1, 11)]
    assert days_in_doubt([]) == []
    assert days_in_doubt([day[3]]) == [day[3]]
    assert days_in_doubt([day[2], day[3], day[4], day[7], day[8]]) == day[2:9]
    assert days_in_doubt([day[9], day[0]]) == [day[0], day[9]]


def test_ranges_of_days():
    day = date(2013, 8, 30)
    days = [day + timedelta(days=number) for number in (5, 0, 1, 2, 9)]
    assert ranges(days) == [
        {"first": date(2013, 8, 30), "last": date(2013, 9, 1)},
        {"first": date(2013, 9, 4), "last": date(2013, 9, 4)},
        {"first": date(2013, 9, 8), "last": date(2013, 9, 8)},
    ]
    assert ranges([]) == []


def test_the_journal_survives_a_draft_and_tells_of_damage(loop, tmp_path: Path):
    turn = loop.turn(*AUGUST)
    (loop.journal.folder / ".draft-abc").write_text("{")
    assert loop.journal.turns() == [turn]
    assert Turn.model_validate_json(turn.model_dump_json()) == turn
    path = loop.journal.folder / "turn-0001.json"
    path.write_text(path.read_text()[:-20])
    with pytest.raises(ValueError, match=r"turn-0001\.json: not a turn of this release"):
        loop.turn(*AUGUST)
