"""The loop on months of 2013, through a service that runs: the real ones, and injected ones."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from flight_delays.monitoring.clock import by_request_id
from flight_delays.monitoring.decide import Policy
from flight_delays.monitoring.replay import (
    Month,
    Replay,
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
CONCEPT = Path(__file__).parents[2] / "scenarios" / "concept.toml"


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
    days = np.unique(np.concatenate([by_request_id(part) for part in log]).astype("datetime64[D]"))
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
    """From August on; at its end the loop sees it, and in September its model is the better one."""
    july, august, september = run(date(2013, 9, 30), CONCEPT.read_text())
    assert july.turn.action in ("nothing", "watch")
    assert august.turn.action == "retrain"
    assert abs((august.turn.change - date(2013, 8, 1)).days) <= 3
    assert august.turn.train_from == august.turn.change
    assert august.turn.outcome.done == "deployed", august.turn.outcome
    assert august.turn.outcome.champion != bundle_folder.name
    assert august.served.roc_auc == pytest.approx(august.frozen.roc_auc, abs=1e-6)
    assert september.served.roc_auc > september.frozen.roc_auc + 0.03
    assert september.served.log_loss < september.frozen.log_loss
    text = table([july, august, september])
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
    found = by_request_id(chunk_of(mine, "smoke-0123", mine))
    assert np.isnat(found).tolist() == [False, True, False]
    assert found[0] == by_request_id(chunk_of(mine))[0] == np.datetime64("2013-07-04T00:00:00")
    assert np.isnat(by_request_id(chunk_of("smoke-0123"))).all()


def test_the_projects_policy_is_what_the_gate_needs():
    """Fewer days than the gate wants would be refused each time."""
    from flight_delays.pipeline.limits import Limits

    assert Policy().gate_days >= Limits().min_days
