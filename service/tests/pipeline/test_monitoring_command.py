"""`monitoring turn`: by itself, by an alert, cut short, and what it says."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime

import pytest
from filelock import FileLock

from flight_delays.cli import main
from flight_delays.monitoring.evidence import Evidence
from flight_delays.monitoring.inbox import Alert, Inbox
from flight_delays.monitoring.journal import Journal
from flight_delays.monitoring.loop import Loop
from flight_delays.pipeline.findings import Finding, Findings

SOUND = Findings([Finding("a check", True, "1", "2")])
DRIFTED = Findings([Finding("temperature", False, "3", "2", "It matters.")])


@pytest.fixture
def world(challenged, monkeypatch) -> Iterator[object]:
    """A service that runs, a loop that sees drift."""

    def look(self: Loop, version: str, first: date, last: date, as_of: date) -> Evidence:
        return Evidence(
            first, last, as_of, 27_000, 25_000, SOUND, DRIFTED, SOUND, None, {"roc_auc": 0.7214}
        )

    monkeypatch.setattr(Loop, "look", look)
    with challenged.serving():
        for name, value in challenged.environment.items():
            monkeypatch.setenv(name, value)
        yield challenged


def turn(world, *options: str) -> int:
    places = {"loop": "loop", "state": "state", "labels": "labels.sqlite", "project": "project"}
    words = [word for name, path in places.items() for word in (f"--{name}", world.folder / path)]
    return main(["monitoring", "turn", *map(str, words), *options])


def alert(fingerprint: str = "abc123") -> Alert:
    labels = {"alertname": "FlightDelaysDrift"}
    return Alert(fingerprint, "firing", datetime(2013, 9, 2, 8, tzinfo=UTC), None, labels)


DAYS = ("--last", "2013-08-31", "--days", "31", "--as-of", "2013-09-02")


def test_a_turn_without_an_alert_says_what_it_saw(world, capsys):
    assert turn(world, *DAYS) == 0
    assert capsys.readouterr().out.splitlines() == [
        "turn 1: 2013-08-01 to 2013-08-31, labels as of 2013-09-02",
        "seen       flights 27,000, roc_auc 0.721",
        "decided    watch",
        "why        1 of 1 have drifted: temperature",
        "why        the model is as good as it was",
        "done       -",
        f"champion   {world.champion()}",
    ]


def test_an_alert_starts_a_turn_once(world, capsys):
    inbox = Inbox(world.folder / "inbox")
    where = ("--inbox", str(inbox.folder))
    assert turn(world, *DAYS, *where) == 0
    assert capsys.readouterr().out == "no alert waits, nothing to do\n"
    inbox.put([alert(), alert("def456")])
    assert turn(world, *DAYS, *where) == 0
    (found,) = Journal(world.folder / "loop" / "turns").turns()
    assert found.alerts == (alert().identity, alert("def456").identity)
    assert inbox.waiting() == []
    inbox.put([alert()])  # Alertmanager says it again
    capsys.readouterr()
    assert turn(world, *DAYS, *where) == 0
    assert capsys.readouterr().out == "no alert waits, nothing to do\n"


def test_an_alert_waits_while_the_service_is_down(challenged, monkeypatch, capsys):
    for name, value in (
        challenged.environment | {"PIPELINE_SERVICE_URL": "http://127.0.0.1:9"}
    ).items():
        monkeypatch.setenv(name, value)
    inbox = Inbox(challenged.folder / "inbox")
    inbox.put([alert()])
    assert turn(challenged, *DAYS, "--inbox", str(inbox.folder)) == 4
    assert "is the service running?" in capsys.readouterr().err
    assert inbox.waiting() == [alert()]


def test_another_turn_is_running(world, capsys):
    assert turn(world, *DAYS) == 0
    with FileLock(world.folder / "loop" / "lock"):
        assert turn(world, *DAYS) == 4
    assert "another turn is running" in capsys.readouterr().err


def test_a_wrong_window(world, capsys):
    assert turn(world, "--days", "0") == 1
    assert "--days: expected 1 or more, found 0" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        turn(world, "--last", "yesterday")
    assert left.value.code == 2


def test_every_sub_command_has_its_help():
    with pytest.raises(SystemExit) as left:
        main(["monitoring", "replay", "--help"])
    assert left.value.code == 0


def test_other_commands_load_nothing_for_it():
    """A pipeline with nothing to do begins at once."""
    code = (
        "import sys; from flight_delays.cli import _parser; _parser(['pipeline']);"
        "print([name for name in ('numpy', 'pydantic', 'pandas') if name in sys.modules])"
    )
    source = [path for path in sys.path if path.endswith("src")]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {source!r}; {code}"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "[]\n"
