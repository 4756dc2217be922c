"""An alert for real: the service's watch, Prometheus and Alertmanager on this machine, and a count of messages.

Where the two are not installed, Debian's packages as `service/monitoring/debian/fetch.py` unpacks them will do.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Condition
from typing import Any

from flight_delays.monitoring.clock import by_request_id
from flight_delays.monitoring.inbox import Inbox
from flight_delays.monitoring.trial import Programs, ProgramsMissing, Watchers, find_programs, run_watchers
from flight_delays.monitoring.watch import Watch
from flight_delays.monitoring.watch_app import make_watch_app, running

MONITORING = Path(__file__).resolve().parents[2] / "service" / "monitoring"
EVERY = "300ms"  # between two scrapes; in production it is 15 seconds
PATIENCE_S = 60.0


def missing() -> str:
    """What is not here of what the trial needs, and how to get it; nothing if all is."""
    try:
        _programs()
    except ProgramsMissing as reason:
        return f"Not run: {reason}"
    return ""


class Counting:
    """An ASGI app that counts what another one is asked, by path, and can wait for it."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.seen: Counter[str] = Counter()
        self._app = app
        self._changed = Condition()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)
        with self._changed:
            self.seen[scope.get("path", "")] += 1
            self._changed.notify_all()

    def wait(self, path: str, count: int) -> None:
        """Wait until a path was asked for so many times in all.

        Raises
        ------
        TimeoutError
            It was not, within a minute.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.seen[path] >= count, PATIENCE_S):
                raise TimeoutError(f"{path} was asked for {self.seen[path]} times within {PATIENCE_S:g} s, not {count}")


@dataclass(frozen=True)
class Trial:
    """All that runs.

    Attributes
    ----------
    watch
        Looks at the prediction log when it is told to, by `look`.
    inbox
        Where Alertmanager's messages end.
    """

    watch: Watch
    inbox: Inbox
    asked: Counting
    watchers: Watchers

    @property
    def scrapes(self) -> int:
        """How often Prometheus has asked the watch."""
        return self.asked.seen["/metrics"]

    @property
    def messages(self) -> int:
        """How often Alertmanager has called the webhook."""
        return self.asked.seen["/alerts"]

    def wait_for_scrapes(self, count: int) -> None:
        """Until Prometheus has asked so many times more, and so has judged its rules as often."""
        self.asked.wait("/metrics", self.scrapes + count)

    def wait_for_messages(self, count: int) -> None:
        """Until Alertmanager has called the webhook so many times in all."""
        self.asked.wait("/alerts", count)

    def standing(self) -> list[dict[str, Any]]:
        """The alerts that Alertmanager's own API lists, by name."""
        return sorted(self.watchers.alerts(), key=lambda alert: alert["labels"]["alertname"])


@contextmanager
def alert_trial(log: Path, reference: Path, labels: Path | None = None) -> Iterator[Trial]:
    """Watch a prediction log for the length of the block, days by request id.

    Raises
    ------
    ProgramsMissing
        Prometheus or Alertmanager is not here; ask `missing` first.
    """
    programs = _programs()
    with tempfile.TemporaryDirectory(prefix="lesson-", ignore_cleanup_errors=True) as place:
        folder = Path(place).resolve()
        watch = Watch(log, reference, labels, time_of=by_request_id)
        inbox = Inbox(folder / "inbox")
        app = Counting(make_watch_app(watch, inbox))
        with running(app) as url, run_watchers(programs, MONITORING, folder, watch=url, every=EVERY) as watchers:
            yield Trial(watch, inbox, app, watchers)


def _programs() -> Programs:
    return find_programs(MONITORING / "debian" / "unpacked")
