"""The inbox and the webhook's message: each alert once, nothing lost, nothing foreign taken in."""

from __future__ import annotations

import json
import multiprocessing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from flight_delays.monitoring import inbox as inbox_module
from flight_delays.monitoring.inbox import Alert, Inbox, InboxFull
from flight_delays.monitoring.webhook import read_message
from flight_delays.problems import Problem

START = datetime(2013, 9, 30, 12, 0, tzinfo=UTC)
DRIFT = Alert("d34db33f", "firing", START, None, {"alertname": "Drift"}, {"summary": "PSI 6.5"})
OVER = replace(DRIFT, status="resolved", ends_at=START + timedelta(hours=1))


def message(**changed: Any) -> dict[str, Any]:
    """What Alertmanager 0.25 sent when it was asked to, shortened."""
    alert = {
        "status": "firing",
        "labels": {"alertname": "Drift", "severity": "ticket"},
        "annotations": {"summary": "temperature is out of its limit"},
        "startsAt": "2013-09-30T12:00:00.123456789Z",
        "endsAt": "0001-01-01T00:00:00Z",
        "generatorURL": "http://prometheus:9090/graph",
        "fingerprint": "d34db33f",
    } | changed
    return {
        "version": "4",
        "groupKey": '{}:{alertname="Drift"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "loop",
        "groupLabels": {"alertname": "Drift"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager:9093",
        "alerts": [alert],
    }


def test_an_alert_told_three_times_waits_once(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    assert inbox.put([DRIFT, DRIFT]) == [DRIFT]
    assert inbox.put([DRIFT]) == []
    assert Inbox(tmp_path).waiting() == [DRIFT]  # as read from the disk


def test_the_same_labels_at_another_time_are_another_alert(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    again = replace(DRIFT, starts_at=START + timedelta(days=30))
    assert inbox.put([again]) == [again]
    assert inbox.put([DRIFT]) == [DRIFT]
    assert inbox.waiting() == [DRIFT, again]  # the oldest first, whenever it came


def test_what_is_done_does_not_come_back(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.put([DRIFT])
    inbox.done([DRIFT])
    inbox.done([DRIFT])  # by a loop that was killed after the first time
    assert inbox.waiting() == []
    assert inbox.put([DRIFT]) == []
    assert inbox.waiting() == []


def test_an_alert_that_is_over_still_waits_and_says_that_it_is_over(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.put([DRIFT])
    assert not inbox.resolved(DRIFT)
    assert inbox.put([OVER]) == [OVER]
    assert inbox.put([OVER]) == []
    assert inbox.waiting() == [DRIFT]
    assert inbox.waiting("resolved") == [OVER]
    assert inbox.resolved(DRIFT)


def test_that_an_alert_is_over_waits_no_longer_than_the_alert(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    other = replace(DRIFT, fingerprint="0b"), replace(OVER, fingerprint="0b")
    inbox.put([DRIFT, OVER, other[0]])
    inbox.done([DRIFT])  # both of its files
    inbox.done([other[0]])
    assert inbox.put([other[1]]) == [other[1]]  # comes after the loop has acted
    assert inbox.put([other[1]]) == []
    assert not any((tmp_path / "waiting").iterdir())
    assert inbox.resolved(DRIFT) and inbox.resolved(other[0])


def test_the_same_alert_from_many_threads_is_new_to_one(tmp_path: Path) -> None:
    inbox, count = Inbox(tmp_path), 8
    together, new = Barrier(count), []

    def tell() -> None:
        together.wait()
        new.extend(inbox.put([DRIFT]))

    threads = [Thread(target=tell) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert new == [DRIFT]


def _tell(folder: Path) -> int:
    return len(Inbox(folder).put([DRIFT]))


def test_the_same_alert_from_several_processes_is_new_to_one(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        assert sum(pool.map(_tell, [tmp_path] * 3)) == 1


def test_a_full_inbox_takes_nothing_of_a_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "MAX_WAITING", 2)
    inbox = Inbox(tmp_path)
    many = [replace(DRIFT, fingerprint=f"{n:x}") for n in range(3)]
    with pytest.raises(InboxFull, match="0 alerts wait, 2 are the most"):
        inbox.put(many)
    assert inbox.waiting() == []
    inbox.put(many[:2])
    assert inbox.put(many[:2]) == []  # nothing new, so nothing is too much


def test_the_oldest_of_what_is_done_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbox_module, "KEPT_DONE", 1)
    inbox = Inbox(tmp_path)
    later = replace(DRIFT, starts_at=START + timedelta(days=1))
    inbox.put([DRIFT, later])
    inbox.done([DRIFT, later])
    (kept,) = (tmp_path / "done").iterdir()
    assert kept.name.startswith("20131001T")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    inbox.put([DRIFT])
    (file,) = (tmp_path / "waiting").iterdir()
    file.write_text("{}")
    with pytest.raises(ValueError, match=f"{file.name}: not an alert"):
        inbox.waiting()


def test_what_a_kill_left_unfinished_is_no_alert(tmp_path: Path) -> None:
    inbox = Inbox(tmp_path)
    (tmp_path / "unfinished").write_text('{"fingerprint": "d34')
    assert inbox.waiting() == []
    assert inbox.put([DRIFT]) == [DRIFT]


@pytest.mark.parametrize("fingerprint", ["", "../../etc/passwd", "f" * 65])
def test_a_fingerprint_cannot_name_another_file(fingerprint: str) -> None:
    with pytest.raises(ValueError, match="1 to 64 hexadecimal digits"):
        replace(DRIFT, fingerprint=fingerprint)


def test_a_message_is_read() -> None:
    (alert,) = read_message(json.dumps(message()).encode())
    assert alert.name == "Drift"
    assert alert.starts_at == START + timedelta(microseconds=123456)
    assert alert.ends_at is None  # the year 1 is no end
    over = message(status="resolved", endsAt="2013-09-30T13:00:00Z")
    (alert,) = read_message(json.dumps(over).encode())
    assert (alert.status, alert.ends_at) == ("resolved", START + timedelta(hours=1))


def test_a_field_of_a_newer_alertmanager_is_no_fault() -> None:
    (alert,) = read_message(json.dumps(message(somethingNew=1) | {"another": 2}).encode())
    assert alert.name == "Drift"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "JSON"),
        (b"[]", "object"),
        (b'{"flight": {}}', "/version: is missing"),
        (json.dumps(message() | {"version": "3"}).encode(), "/version"),
        (json.dumps(message() | {"alerts": []}).encode(), "/alerts"),
        (json.dumps(message(fingerprint="../x")).encode(), "/alerts/0/fingerprint"),
        (json.dumps(message(startsAt="yesterday")).encode(), "/alerts/0/startsAt"),
        (json.dumps(message(startsAt="2013-09-30T12:00:00")).encode(), "/alerts/0/startsAt"),
        (json.dumps(message(status="maybe")).encode(), "/alerts/0/status"),
        (json.dumps(message(labels={"a": 1})).encode(), "/alerts/0/labels/a"),
    ],
)
def test_what_is_no_such_message_is_refused_with_the_place(body: bytes, told: str) -> None:
    with pytest.raises(Problem) as caught:
        read_message(body)
    assert caught.value.status == (400 if body == b"{" else 422)
    assert told in caught.value.detail
