"""One turn of the loop: look at a window, decide, act, and write down all three.

    FOLDER/
      lock
      turns/turn-0001.json ...    the journal
      references/VERSION.json     what each version is compared with
      pipeline/                   the work folder of the pipeline
      pipeline.log                what it printed

A turn may be killed at any moment. Its decision is in the journal before it acts, each act may be
done again, and the outcome is written last: another run goes on with the decision that stands
there, and ends where the first would have ended. The same evidence is answered once.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from flight_delays.app import LOG_FILE
from flight_delays.monitoring.clock import TimeOf, by_clock
from flight_delays.monitoring.decide import Decision, Policy, decide
from flight_delays.monitoring.journal import DEPLOYED, Journal, Outcome, Turn
from flight_delays.monitoring.reference import Reference, make_reference
from flight_delays.pipeline.client import Service
from flight_delays.pipeline.command import run_command
from flight_delays.pipeline.config import Surroundings, read_config
from flight_delays.pipeline.findings import Findings
from flight_delays.pipeline.inputs import digest_of
from flight_delays.pipeline.outcome import DONE, SAYS_NO, StageError
from flight_delays.pipeline.stage import VERDICT_FILE, Place
from flight_delays.pipeline.table import flights_between, told
from flight_delays.store import ModelStore

if TYPE_CHECKING:
    from flight_delays.monitoring.evidence import Evidence

MIN_REFERENCE_DAYS = 42
STAGES = ("test", "train", "validate", "package", "deploy")
REFUSED = {
    "test": "refused by the tests of the code",
    "train": "refused by the tests of the data",
    "validate": "refused by the gate",
    "deploy": "rolled back",
}
REPORTS = {"train": "data_tests.json", "validate": VERDICT_FILE, "deploy": "deploy.json"}


class LoopBusy(OSError):
    """Another turn is running."""


class LoopFailed(OSError):
    """A turn could not be finished; the next run goes on with it."""


@dataclass(frozen=True)
class LoopPlace:
    """Where the loop works, and what it was told.

    Attributes:
        folder: its own; made if it is not there.
        state: the service's, with the versions and the prediction log.
        labels: the store of labels.
        project: the folder with pipeline.toml.
        time_of: which day a logged flight is of.
        changes: settings that win over pipeline.toml, such as {"data.scenario": ...}.
        environment: with PIPELINE_SERVICE_URL and PIPELINE_SERVICE_KEY.
    """

    folder: Path
    state: Path
    labels: Path
    project: Path
    environment: Mapping[str, str]
    policy: Policy = field(default_factory=Policy)
    time_of: TimeOf = by_clock
    changes: Mapping[str, Any] = field(default_factory=dict)


class Loop:
    """The loop on one service."""

    def __init__(self, place: LoopPlace) -> None:
        self.place = place
        self.folder = place.folder.resolve()
        self.journal = Journal(self.folder / "turns")

    def turn(self, first: date, last: date, as_of: date, alerts: Iterable[str] = ()) -> Turn:
        """Look at the days from `first` to `last` with the labels known on `as_of`, and act.

        Days on which another version was in service than the one that is judged are left out.
        Evidence that was answered before is answered with that turn, and nothing is done.

        Raises:
            LoopBusy: another turn is running; it was left alone.
            LoopFailed: the service or the pipeline failed; run the turn again.
        """
        with self._alone():
            self._finish_the_last_one()
            deployed = self.journal.last_deployment(before=last)
            if deployed is not None:
                first = max(first, deployed.as_of + timedelta(days=1))
            version = self._version_in_service(last)
            if version is None:
                raise LoopFailed("the service has no champion, so there is nothing to look at")
            evidence = self.look(version, first, last, as_of)
            digest = digest_of([evidence.to_json(), version, asdict(self.place.policy)])
            if (answered := self.journal.find(digest)) is not None:
                return answered
            decision = decide(evidence, self.place.policy, self.journal.known_change(last))
            if decision.action == "retrain" and version != (champion := self._champion()):
                gone = f"{version}, which this is about, was replaced by {champion} meanwhile"
                decision = Decision("wait", (gone, *decision.reasons))
            turn = self._as_turn(evidence, version, digest, decision, tuple(alerts))
            return self._act(self.journal.write(turn))

    def finish(self) -> Turn | None:
        """Go on with a turn that was cut short; return it, None if there is none.

        Raises:
            LoopBusy, LoopFailed: see `turn`.
        """
        with self._alone():
            return self._finish_the_last_one()

    def reference(self, version: str) -> Reference:
        """The reference of a version, made at the first time it is asked for."""
        path = self.folder / "references" / f"{version}.json"
        if path.is_file():
            with contextlib.suppress(ValueError):  # of another release: it is made again
                return Reference.read(path)
        from flight_delays.bundle import load_bundle
        from flight_delays.pipeline.recipe import recipe

        bundle = load_bundle(ModelStore(self.place.state).get(version).folder)
        data, place = bundle.info.data, self._pipeline_place(bundle.info.data.last)
        changed, first = self.journal.learned_since(version), data.first
        if changed is not None and (data.last - changed).days + 1 >= MIN_REFERENCE_DAYS:
            first = changed  # what was before is not what is expected now
        flights = flights_between(place, data.first, data.last)
        train = recipe(place.config.model, changed)
        reference = make_reference(bundle, flights, first, data.last, train=train)
        reference.write(path)
        return reference

    def injected(self) -> list[str]:
        """Say what was changed on purpose in the flights, a line each."""
        return told(self._pipeline_place(None))

    def look(self, version: str, first: date, last: date, as_of: date) -> Evidence:
        """Gather the evidence on a version's predictions."""
        from flight_delays.monitoring.evidence import gather
        from flight_delays.monitoring.labels import LabelStore

        log, time_of = self.place.state / LOG_FILE, self.place.time_of
        with LabelStore(self.place.labels) as labels:
            return gather(self.reference(version), log, labels, first, last, as_of, time_of)

    def faulty_days(self, version: str, first: date, last: date) -> list[date]:
        """The days with a fault in the data; empty if it shows on no single one."""
        from flight_delays.monitoring.quality import faulty_days
        from flight_delays.monitoring.summary import summarise

        reference, log = self.reference(version), self.place.state / LOG_FILE
        window = summarise(log, reference.bins, first, last, self.place.time_of)
        return faulty_days(reference, window)

    def _as_turn(
        self,
        evidence: Evidence,
        version: str,
        digest: str,
        decision: Decision,
        alerts: tuple[str, ...],
    ) -> Turn:
        judged = {"quarantine": evidence.quality, "retrain": evidence.decay}
        failed = (judged.get(decision.action) or evidence.drift).failed
        faulty: list[date] = []
        if decision.action == "quarantine":
            faulty = self.faulty_days(version, evidence.first, evidence.last)
            faulty = days_in_doubt(faulty) or days_of(evidence.first, evidence.last)
        return Turn(
            number=len(self.journal.turns()) + 1,
            first=evidence.first,
            last=evidence.last,
            as_of=evidence.as_of,
            version=version,
            evidence=digest,
            figures={"rows": evidence.rows, "labelled": evidence.labelled, **evidence.figures},
            failed=tuple(f"{finding.check}: {finding.found}" for finding in failed),
            action=decision.action,
            reasons=decision.reasons,
            train_from=decision.train_from,
            change=decision.change,
            quarantined=tuple(faulty),
            injected=tuple(self.injected()),
            alerts=alerts,
        )

    def _finish_the_last_one(self) -> Turn | None:
        turn = self.journal.unfinished()
        return None if turn is None else self._act(turn)

    def _act(self, turn: Turn) -> Turn:
        """Do what was decided; may be done again."""
        if turn.action == "retrain":
            done, reasons = self._retrain(turn)
        else:
            done = "set aside" if turn.action == "quarantine" else "-"
            reasons = ()
        outcome = Outcome(done=done, champion=self._champion(), reasons=reasons)
        return self.journal.finish(turn, outcome)

    def _retrain(self, turn: Turn) -> tuple[str, tuple[str, ...]]:
        """Run the pipeline up to the deployment; return what came of it, and why."""
        bundle = None
        if turn.version is not None:
            bundle = ModelStore(self.place.state).get(turn.version).folder
        for stage in STAGES:
            with self._log():
                code = run_command(
                    stage,
                    self.place.project,
                    self.folder / "pipeline",
                    champion=bundle,
                    changes=self.told_to_the_pipeline(turn),
                    environment=self.place.environment,
                )
            if code == SAYS_NO:
                return REFUSED[stage], self._reasons(stage)
            if code != DONE:
                raise LoopFailed(
                    f"`pipeline {stage}` ended with {code}, see {self.folder / 'pipeline.log'}; "
                    f"mend it and run the turn again, it goes on from there"
                )
        return (DEPLOYED, ()) if self._champion() != turn.version else ("the same model", ())

    def told_to_the_pipeline(self, turn: Turn) -> dict[str, Any]:
        """What the pipeline is told: the newest labelled day, what to leave out, what to expect."""
        policy, figures = self.place.policy, turn.figures
        changes = dict(self.place.changes) | {
            "as_of": min(turn.last, turn.as_of - timedelta(days=policy.label_days)),
            "data.window_days": policy.gate_days,
            "data.quarantined": ranges(self.journal.quarantined()),
        }
        if turn.train_from is not None:
            changes["data.changed"] = turn.train_from
        if {"estimated_roc_auc", "roc_auc_low"} <= figures.keys():
            # A champion that has lost much can be beaten by much. What cannot be is that a
            # challenger does better than the champion would have done, had nothing changed.
            lost = figures["estimated_roc_auc"] - figures["roc_auc_low"]
            changes["gate.auc_gain_maximum"] = round(max(lost, 0.0) + policy.auc_margin, 4)
        return changes

    def _reasons(self, stage: str) -> tuple[str, ...]:
        """Read from a stage's report why it said no."""
        if stage not in REPORTS:
            return ()
        content = json.loads((self.folder / "pipeline" / stage / REPORTS[stage]).read_text("utf-8"))
        if "reasons" in content:
            return tuple(content["reasons"])
        return tuple(Findings.from_json(content["findings"]).reasons)

    def _version_in_service(self, last: date) -> str | None:
        """The version that answered on a day: the champion, unless it was replaced since then."""
        replaced = self.journal.served_in(last)
        return self._champion() if replaced is None else replaced.version

    def _champion(self) -> str | None:
        with Service(Surroundings.from_environment(self.place.environment)) as service:
            champion = service.champion()
            return champion.version if champion else None

    def _pipeline_place(self, as_of: date | None) -> Place:
        changes = dict(self.place.changes) | {
            "data.quarantined": ranges(self.journal.quarantined())
        }
        if as_of is not None:
            changes["as_of"] = as_of
        project = self.place.project.resolve()
        config = read_config(project, changes)
        return Place(project, self.folder / "pipeline", config, Surroundings())

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the loop's lock; the system releases it when its holder dies."""
        lock = FileLock(self.folder / "lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise LoopBusy(f"another turn is running in {self.folder}") from None
        try:
            yield
        except StageError as error:  # the service does not answer, pipeline.toml is wrong
            raise LoopFailed("; ".join(error.reasons)) from None
        finally:
            lock.release()

    @contextlib.contextmanager
    def _log(self) -> Iterator[None]:
        """What the pipeline prints goes to a file."""
        with (
            (self.folder / "pipeline.log").open("a", encoding="utf-8") as file,
            contextlib.redirect_stdout(file),
            contextlib.redirect_stderr(file),
        ):
            yield


def days_of(first: date, last: date) -> list[date]:
    """Each day from one to another, both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def days_in_doubt(faulty: list[date]) -> list[date]:
    """The faulty days; if they are most of the days from the first to the last, all of those.

    A fault that lasts is overlooked on a day here and there, and a model would be trained on them.
    """
    if not faulty:
        return []
    every = days_of(min(faulty), max(faulty))
    return every if 2 * len(faulty) > len(every) else sorted(faulty)


def ranges(days: Iterable[date]) -> list[dict[str, date]]:
    """Put days that follow one another together, as [data] quarantined has them."""
    found: list[dict[str, date]] = []
    for day in sorted(days):
        if found and day == found[-1]["last"] + timedelta(days=1):
            found[-1]["last"] = day
        else:
            found.append({"first": day, "last": day})
    return found
