"""The loop on months of 2013, through a service that runs: the real ones, and injected ones."""

from __future__ import annotations

import shutil
from datetime import date

import numpy as np
import pytest

from flight_delays.monitoring.clock import by_request_id
from flight_delays.monitoring.decide import Policy
from flight_delays.monitoring.replay import (
    Month,
    Replay,
    by_replayed_id,
    months,
    replay,
    request_id,
    table,
)
from flight_delays.prediction_log import LogChunk, read_log

PROJECT = """
as_of = 2013-07-31
[test]
arguments = ["-q", "-p", "no:cacheprovider", "tests"]
[gate]
latency_ms = 500.0
latency_p99_ms = 5000.0
latency_ratio = 100.0
rows_per_second = 0.0
[deploy]
smoke_max_ms = 5000.0
"""
CELSIUS = """
[[injection]]
name = "temperature in Celsius"
kind = "unit"
first = 2013-07-10
last = 2013-07-31
feature = "temperature"
factor = 0.5555556
offset = -17.7777778
"""
MORNINGS = """
[[injection]]
name = "mornings at Newark"
kind = "concept"
first = 2013-07-01
last = 2013-12-31
where = { origin = ["EWR"], hours = [5, 11] }
becomes_late = 0.6
"""


@pytest.fixture
def run(bundle_folder, reference, tmp_path, monkeypatch):
    """Replay some months from the model of January to June, whose reference is there already."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    (tmp_path / "project" / "tests").mkdir(parents=True)
    (tmp_path / "project" / "tests" / "test_project.py").write_text("def test_it():\n    pass\n")
    (tmp_path / "project" / "pipeline.toml").write_text(PROJECT)

    def run(last: date, scenario: str | None = None) -> list[Month]:
        folder = tmp_path / "replay"
        shutil.copytree(bundle_folder, folder / "models" / bundle_folder.name)
        reference.write(folder / "loop" / "references" / f"{bundle_folder.name}.json")
        path = None
        if scenario is not None:
            path = tmp_path / "scenario.toml"
            path.write_text(scenario)
        what = Replay(folder, tmp_path / "project", last=last, scenario=path, beside=False)
        return list(replay(what))

    run.folder = tmp_path / "replay"
    return run


def test_a_real_month_leaves_the_model_alone(run, flights, bundle_folder):
    (july,) = run(date(2013, 7, 31))
    assert july.rows == int((flights["departure"].dt.month == 7).sum())
    assert july.turn.action in ("nothing", "watch")
    assert july.turn.outcome.champion == bundle_folder.name
    assert july.served.roc_auc == pytest.approx(july.frozen.roc_auc, abs=1e-6)
    assert july.turn.injected == ()
    # Labels come three days after the flight; those of the last days are not there yet.
    assert july.turn.figures["rows"] == july.rows
    assert 0.85 < july.turn.figures["labelled"] / july.rows < 0.95
    log = list(read_log(run.folder / "state" / "predictions.sqlite"))
    days = np.unique(np.concatenate([by_replayed_id(part) for part in log]).astype("datetime64[D]"))
    assert len(days) == 31
    assert sum(map(len, log)) == july.rows


def test_a_data_fault_trains_nothing(run, bundle_folder):
    (july,) = run(date(2013, 7, 31), CELSIUS)
    assert july.turn.action == "quarantine"
    assert july.turn.outcome.champion == bundle_folder.name
    assert not (run.folder / "loop" / "pipeline").exists()
    assert july.turn.injected[0].startswith("injected unit, temperature in Celsius")
    inside = {date(2013, 7, day) for day in range(10, 32)}
    found = set(july.turn.quarantined)
    assert len(found & inside) >= 20
    assert len(found - inside) <= 2


def test_a_changed_concept_heals(run, bundle_folder):
    """The first model stays bad; the loop's becomes better, once enough days show the change."""
    rows = run(date(2013, 9, 30), MORNINGS)
    assert [row.turn.action for row in rows[:2]] == ["retrain", "retrain"]
    assert rows[0].turn.change is not None
    assert rows[1].turn.train_from == rows[0].turn.change
    assert rows[1].turn.outcome.done == "deployed", rows[1].turn.outcome
    assert rows[1].turn.outcome.champion != bundle_folder.name
    gains = [row.served.roc_auc - row.frozen.roc_auc for row in rows]
    assert gains[0] == pytest.approx(0, abs=1e-6)
    assert gains[2] > 0.05
    assert rows[2].served.log_loss < rows[2].frozen.log_loss
    text = table(rows)
    assert text.splitlines()[1].startswith("2013-07")
    assert "deployed" in text and "days to train on since then" in text


def test_a_folder_with_another_replay(tmp_path):
    (tmp_path / "state").mkdir()
    with pytest.raises(ValueError, match="there is a replay already"):
        next(replay(Replay(tmp_path, tmp_path)))


def test_months_of_a_period():
    cut = list(months(date(2013, 7, 15), date(2013, 9, 3)))
    assert cut == [
        (date(2013, 7, 15), date(2013, 7, 31)),
        (date(2013, 8, 1), date(2013, 8, 31)),
        (date(2013, 9, 1), date(2013, 9, 3)),
    ]
    assert list(months(date(2013, 12, 1), date(2013, 12, 31))) == [
        (date(2013, 12, 1), date(2013, 12, 31))
    ]


def chunk_of(*ids: str) -> LogChunk:
    rows = len(ids)
    return LogChunk(
        np.zeros((rows, 15), np.float32), np.zeros(rows, np.float32), np.array(ids, object),
        np.zeros(rows, np.int64), np.zeros(rows), np.full(rows, "v", object),
    )  # fmt: skip


def test_requests_of_others_belong_to_no_day():
    mine = request_id(date(2013, 7, 4))
    found = by_replayed_id(chunk_of(mine, "smoke-0123", mine))
    assert np.isnat(found).tolist() == [False, True, False]
    assert found[0] == by_request_id(chunk_of(mine))[0] == np.datetime64("2013-07-04T00:00:00")
    assert np.isnat(by_replayed_id(chunk_of("smoke-0123"))).all()


def test_the_projects_policy_is_what_the_gate_needs():
    """Fewer days than the gate wants would be refused each time."""
    from flight_delays.pipeline.limits import Limits

    assert Policy().gate_days >= Limits().min_days
