"""Alerts that wait for somebody to act on them: a folder, a file each, each alert once.

Alertmanager says the same thing many times: again every few hours while an alert stands, and again
when an answer got lost. What makes an alert is its fingerprint (of its labels) and the moment at
which it began, so that pair names its file, and a second file of that name is not written. Two
folders hold what waits and what is done; one lock guards both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock

from flight_delays.disk import flush_folder, rename, write_file

MAX_WAITING = 1_000  # alerts; more can only be a fault of who sends them
KEPT_DONE = 10_000  # files; beyond them the oldest go
LOCK_TIMEOUT_S = 5.0

Status = Literal["firing", "resolved"]


class InboxFull(OSError):
    """Too many alerts wait; nothing of the message was kept."""


@dataclass(frozen=True)
class Alert:
    """What Alertmanager says of one alert.

    Attributes:
        fingerprint: of its labels, 1 to 64 hexadecimal digits.
        status: "firing", or "resolved" once it is over.
        starts_at: when it began to fire, UTC; the same in every message about it.
        ends_at: when it was over, UTC; None while it fires.
        labels: alertname, severity and others.
        annotations: texts for people.
    """

    fingerprint: str
    status: Status
    starts_at: datetime
    ends_at: datetime | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        digits = self.fingerprint
        if not (1 <= len(digits) <= 64 and set(digits) <= set("0123456789abcdefABCDEF")):
            raise ValueError(
                f"fingerprint: expected 1 to 64 hexadecimal digits, found {digits[:80]!r}"
            )
        if self.starts_at.tzinfo is None:
            raise ValueError(f"starts_at: expected a time with its zone, found {self.starts_at}")

    @property
    def name(self) -> str:
        """Its alertname, empty if the sender left it out."""
        return self.labels.get("alertname", "")

    @property
    def identity(self) -> str:
        """Start and fingerprint: the same in every message about this alert, sorts by time."""
        start = self.starts_at.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        return f"{start}-{self.fingerprint.lower()}"

    def to_json(self) -> dict[str, Any]:
        """Return it as a dict that `json.dumps` takes, times in ISO 8601."""
        ends_at = self.ends_at.isoformat() if self.ends_at else None
        return asdict(self) | {"starts_at": self.starts_at.isoformat(), "ends_at": ends_at}

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> Alert:
        """Read what `to_json` returned."""
        ends_at = found["ends_at"] and datetime.fromisoformat(found["ends_at"])
        times = {"starts_at": datetime.fromisoformat(found["starts_at"]), "ends_at": ends_at}
        return cls(**{**found, **times})


class Inbox:
    """The folder. Several processes may use it at once; what `put` took in survives `kill -9`."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, if it is not there.

        Raises:
            OSError: it cannot be made.
        """
        self.folder = Path(folder)
        self._waiting, self._done = self.folder / "waiting", self.folder / "done"
        for part in (self._waiting, self._done):
            part.mkdir(parents=True, exist_ok=True)
        # One object may be used by several threads; each waits for the file's lock by itself.
        self._lock = FileLock(self.folder / "lock", timeout=LOCK_TIMEOUT_S, thread_local=True)

    def put(self, alerts: Iterable[Alert]) -> list[Alert]:
        """Take in the alerts that were never seen before; return these.

        That an alert is over is a file beside its own, also once; if the alert was put away
        meanwhile, it is put away as well.

        Raises:
            InboxFull: more than MAX_WAITING would wait.
            OSError: the disk, or the lock, is not to be had.
        """
        with self._lock:
            new = {_file(a): a for a in alerts if not self._knows(_file(a))}
            waiting = sum(1 for _ in self._waiting.glob("*.json"))
            if waiting + len(new) > MAX_WAITING:
                raise InboxFull(
                    f"{self._waiting}: {waiting} alerts wait, {MAX_WAITING} are the most; "
                    "nobody takes them out"
                )
            for file, alert in new.items():
                self._write(file, alert)
            if new:
                flush_folder(self._waiting)
                flush_folder(self._done)
        return list(new.values())

    def waiting(self, status: Status = "firing") -> list[Alert]:
        """Return the alerts that nobody has acted on, the oldest first.

        A firing alert waits until `done`, also if it is over meanwhile.

        Raises:
            ValueError: a file is damaged; the message names it.
        """
        with self._lock:
            found = [_read(path) for path in sorted(self._waiting.glob("*.json"))]
        return [alert for alert in found if alert.status == status]

    def done(self, alerts: Iterable[Alert]) -> None:
        """Put away alerts that were acted on, each with the word that it is over if that came."""
        with self._lock:
            for alert in alerts:
                # Its own file last: whoever is killed in between finds it again.
                for path in sorted(self._waiting.glob(f"{alert.identity}.*.json"), reverse=True):
                    rename(path, self._done / path.name)
            for folder in (self._done, self._waiting):
                flush_folder(folder)
            for path in sorted(self._done.glob("*.json"))[:-KEPT_DONE]:
                path.unlink()

    def resolved(self, alert: Alert) -> bool:
        """Whether a message said that the alert is over."""
        return self._knows(f"{alert.identity}.resolved.json")

    def _knows(self, file: str) -> bool:
        return (self._waiting / file).is_file() or (self._done / file).is_file()

    def _write(self, file: str, alert: Alert) -> None:
        content = json.dumps(alert.to_json(), indent=1, ensure_ascii=False).encode()
        unfinished = self.folder / "unfinished"  # one at a time, under the lock
        write_file(unfinished, content)
        waits = alert.status == "firing" or (self._waiting / _firing(alert)).is_file()
        rename(unfinished, (self._waiting if waits else self._done) / file)


def _file(alert: Alert) -> str:
    return f"{alert.identity}.{alert.status}.json"


def _firing(alert: Alert) -> str:
    return f"{alert.identity}.firing.json"


def _read(path: Path) -> Alert:
    try:
        return Alert.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"{path}: not an alert: {error}") from error
