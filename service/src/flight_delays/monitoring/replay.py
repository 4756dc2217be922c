"""A past period, sent through the running service day by day, with a turn of the loop each month.

The flights of a day are one request, whose id begins with that day. Labels come some days later. At
the end of each month the loop looks at the month with the labels that have come by then, decides
and acts. A model that is never retrained is scored beside it, on the same flights.

    FOLDER/models/        the first bundle
    FOLDER/state/         the service's
    FOLDER/labels.sqlite
    FOLDER/loop/          the loop's
"""

from __future__ import annotations

import secrets
import sqlite3
import textwrap
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from flight_delays.app import LOG_FILE
from flight_delays.metadata import Scores
from flight_delays.monitoring.clock import by_request_id
from flight_delays.monitoring.decide import Policy
from flight_delays.monitoring.journal import Turn
from flight_delays.monitoring.labels import Label, LabelStore
from flight_delays.monitoring.loop import Loop, LoopPlace
from flight_delays.monitoring.running import running_service
from flight_delays.pipeline.client import Service, as_json
from flight_delays.pipeline.config import KEY, URL, ModelSection, Surroundings, read_config

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from flight_delays.bundle import Bundle

TRAINED_THROUGH = date(2013, 6, 30)
LOG_TIMEOUT_S, LOG_PAUSE_S = 20.0, 0.1
SHOWN = 2  # checks in a line of the table
ONE_DAY = timedelta(days=1)
LANDED = timedelta(hours=20)  # of the day on which a label comes


@dataclass(frozen=True)
class Replay:
    """What is replayed.

    Attributes:
        folder: for everything that is made; not there, empty, or with a first bundle in models/.
        project: the folder with pipeline.toml.
        first, last: days.
        trained_through: last day of the first model's training data.
        trained_from: their first day; None for all there are.
        scenario: a file with changes made on purpose, None for the flights as flown.
        policy: of the loop.
        changes: settings that win over pipeline.toml.
        beside: whether to train a model each month as well, on all flights before it, whatever
            was seen; it is scored and never served.
    """

    folder: Path
    project: Path
    first: date = date(2013, 7, 1)
    last: date = date(2013, 12, 31)
    trained_through: date = TRAINED_THROUGH
    trained_from: date | None = None
    scenario: Path | None = None
    policy: Policy = field(default_factory=Policy)
    changes: Mapping[str, Any] = field(default_factory=dict)
    beside: bool = True


@dataclass(frozen=True)
class Month:
    """A month of the replay.

    Attributes:
        turn: of the loop, at its end.
        served: scores of what was answered, with all labels, in hindsight.
        frozen: of the first model on the same flights.
        monthly: of a model trained on all flights before the month; None if it was not asked for.
    """

    first: date
    rows: int
    turn: Turn
    served: Scores
    frozen: Scores
    monthly: Scores | None

    @property
    def roc_auc(self) -> float:
        return self.served.roc_auc

    @property
    def frozen_roc_auc(self) -> float:
        return self.frozen.roc_auc


def replay(what: Replay) -> Iterator[Month]:
    """Replay month by month; a service runs until the last one.

    Raises:
        ValueError: the folder holds another replay.
        LoopFailed, OSError, ValueError: see `loop.Loop.turn` and `running.running_service`.
    """
    from flight_delays.bundle import load_bundle

    state, labels_file = what.folder / "state", what.folder / "labels.sqlite"
    if state.exists():
        raise ValueError(f"{what.folder}: there is a replay already; name another folder")
    flights = _flights(what)
    bundle = _first_bundle(what, flights)
    key = secrets.token_urlsafe(24)
    with running_service(state, bundle, key) as url, LabelStore(labels_file) as labels:
        environment = {URL: url, KEY: key}
        place = LoopPlace(
            folder=what.folder / "loop",
            state=state,
            labels=labels_file,
            project=what.project,
            environment=environment,
            policy=what.policy,
            time_of=by_request_id,
            changes=_changes(what),
        )
        loop, frozen = Loop(place), load_bundle(bundle)
        with Service(Surroundings.from_environment(environment), timeout_s=60) as service:
            sender = _Sender(service, labels, what.policy.label_days)
            for first, last in months(what.first, what.last):
                month = _between(flights, first, last)
                served = sender.send(month, first, last)
                _wait_for_log(state / LOG_FILE, request_id(month["departure"].iloc[-1].date()))
                turn = loop.turn(first, last, as_of=last)
                before = _between(flights, what.trained_from or date.min, first - ONE_DAY)
                monthly = _fit(what, before) if what.beside else None
                yield _month(first, month, turn, served, frozen, monthly)


def months(first: date, last: date) -> Iterator[tuple[date, date]]:
    """Cut a period into months; the first and the last may be parts of one."""
    begin = first
    while begin <= last:
        after = (begin.replace(day=1) + timedelta(days=32)).replace(day=1)
        yield begin, min(after - timedelta(days=1), last)
        begin = after


def request_id(day: date) -> str:
    """The id of a day's request, which `by_request_id` reads."""
    return f"{day:%Y%m%d}-0000-replay"


def _wait_for_log(log: Path, last_id: str) -> None:
    """Wait until the log has written a request; it writes them in order, twice a second."""
    deadline = time.monotonic() + LOG_TIMEOUT_S
    while time.monotonic() < deadline:
        if log.is_file():
            with closing(sqlite3.connect(f"{log.absolute().as_uri()}?mode=ro", uri=True)) as read:
                query = "SELECT 1 FROM predictions WHERE request_id = ?"
                if read.execute(query, (last_id,)).fetchone():
                    return
        time.sleep(LOG_PAUSE_S)  # SQLite has no event for a row that another process writes
    raise OSError(f"{log}: {last_id} was answered {LOG_TIMEOUT_S:g} s ago and is not in the log")


class _Sender:
    """Sends days, and puts the labels that have come meanwhile into the store."""

    def __init__(self, service: Service, labels: LabelStore, label_days: int) -> None:
        self._service, self._labels = service, labels
        self._delay = timedelta(days=label_days)
        self._waiting: list[Label] = []

    def send(self, flights: pd.DataFrame, first: date, last: date) -> NDArray[np.float64]:
        """Send each day of some flights; return the predictions in the order of the table."""
        from flight_delays.flights import columns_of

        day_of_row = flights["departure"].to_numpy().astype("datetime64[D]")
        served = np.full(len(flights), np.nan)
        late = flights["late"].to_numpy()
        for number in range((last - first).days + 1):
            day = first + timedelta(days=number)
            rows = np.flatnonzero(day_of_row == np.datetime64(day))
            if len(rows):
                columns = as_json(columns_of(flights.iloc[rows]))
                answer = self._service.predict(columns, request_id(day))
                served[rows] = answer["probabilities"]
                known_at = datetime(day.year, day.month, day.day) + self._delay + LANDED
                self._waiting += [
                    Label(request_id(day), row, bool(one), known_at)
                    for row, one in enumerate(late[rows])
                ]
            self._deliver(day)
        return served

    def _deliver(self, day: date) -> None:
        evening = datetime(day.year, day.month, day.day, 23)
        come = [label for label in self._waiting if label.known_at <= evening]
        if come:
            self._labels.add(come)
            self._waiting = [label for label in self._waiting if label.known_at > evening]


def _flights(what: Replay) -> pd.DataFrame:
    from flight_delays.flights import load_flights
    from flight_delays.monitoring.scenario import apply, read_scenario

    flights = load_flights()
    return flights if what.scenario is None else apply(flights, read_scenario(what.scenario))


def _changes(what: Replay) -> dict[str, Any]:
    changes = dict(what.changes)
    if what.scenario is not None:
        changes["data.scenario"] = str(what.scenario.resolve())
    return changes


def _first_bundle(what: Replay, flights: pd.DataFrame) -> Path:
    from flight_delays.evaluation import validate_forward
    from flight_delays.export import export_bundle

    for given in (what.folder / "models").glob("*/bundle.json"):
        return given.parent
    window = _between(flights, what.trained_from or date.min, what.trained_through)
    return export_bundle(
        _fit(what, window),
        window,
        validate_forward(window, train=partial(_fit, what)),
        what.folder / "models",
        threshold=_model_of(what).threshold,
    )


def _fit(what: Replay, flights: pd.DataFrame) -> Pipeline:
    from flight_delays.pipeline.recipe import recipe

    return recipe(_model_of(what), None)(flights)


def _model_of(what: Replay) -> ModelSection:
    return read_config(what.project, _changes(what)).model


def _between(flights: pd.DataFrame, first: date, last: date) -> pd.DataFrame:
    days = flights["departure"].dt.date
    return flights[(days >= first) & (days <= last)]


def _month(
    first: date,
    flights: pd.DataFrame,
    turn: Turn,
    served: NDArray[np.float64],
    frozen: Bundle,
    monthly: Pipeline | None,
) -> Month:
    from flight_delays.evaluation import score
    from flight_delays.flights import columns_of
    from flight_delays.training import predict

    late = flights["late"]
    return Month(
        first,
        len(flights),
        turn,
        score(late, served),
        score(late, frozen.predict(columns_of(flights))),
        None if monthly is None else score(late, predict(monthly, flights)),
    )


HEAD = ("month", "served", "frozen", "monthly", "decided", "why", "done", "champion after")


def table(rows: list[Month], width: int = 72) -> str:
    """The months as text, and below them the mean log loss a flight.

    The first three figures are ROC AUC: of what was served, of the first model if it had stayed,
    and of a model trained each month on all flights before it, whatever was seen.
    """
    lines: list[tuple[str, ...]] = [HEAD]
    for row in rows:
        turn, outcome = row.turn, row.turn.outcome
        why = textwrap.wrap(seen(turn), width) or [""]
        done, champion = (outcome.done, outcome.champion or "none") if outcome else ("", "")
        scores = [_three(s.roc_auc if s else None) for s in (row.served, row.frozen, row.monthly)]
        lines.append((f"{row.first:%Y-%m}", *scores, turn.action, why[0], done, champion))
        lines += [("", "", "", "", "", more, "", "") for more in why[1:]]
    losses = [_mean_loss(rows, name) for name in ("served", "frozen", "monthly")]
    lines.append(("loss", *map(_three, losses), "", "log loss a flight, all months", "", ""))
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _mean_loss(rows: list[Month], name: str) -> float | None:
    scores = [getattr(row, name) for row in rows]
    if not scores or None in scores:
        return None
    return sum(s.log_loss * s.rows for s in scores) / sum(s.rows for s in scores)


def _three(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def seen(turn: Turn) -> str:
    """What a turn saw and why it decided so, in a sentence or two."""
    if turn.action not in ("quarantine", "retrain"):
        return "; ".join(turn.reasons)
    parts = list(turn.failed[:SHOWN])
    if len(turn.failed) > SHOWN:
        parts.append(f"{len(turn.failed) - SHOWN} more")
    if turn.action == "quarantine":
        count = len(turn.quarantined)
        parts.append(f"{count} {'day' if count == 1 else 'days'} set aside")
    elif turn.change is not None:
        parts.append(turn.reasons[-1])
    return "; ".join(parts)
