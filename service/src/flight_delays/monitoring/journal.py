"""What the loop saw, decided and did: a file a turn, written before it acts and after.

A turn whose file has no outcome was cut short; its decision stands there, so the next run goes on
with it instead of deciding anew from evidence that the half-done act may have changed.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from flight_delays.disk import flush_folder, rename, write_file
from flight_delays.monitoring.decide import Action

_DRAFT = ".draft-"


class Outcome(BaseModel):
    """What came of a decision.

    Attributes:
        done: in few words, such as "deployed" or "refused by the gate".
        champion: the version in service afterwards.
        reasons: of a refusal, a sentence each.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    done: str
    champion: str | None
    reasons: tuple[str, ...] = ()


class Turn(BaseModel):
    """One turn of the loop.

    Attributes:
        number: 1 for the first.
        first, last: the days looked at.
        as_of: the day of which the labels were taken.
        version: the model whose predictions were looked at.
        evidence: digest of what was seen, and of the policy.
        figures: what was seen, see `evidence.Evidence`.
        failed: the checks that led to the decision, and what they found.
        action, reasons, train_from, change: the decision.
        quarantined: the days set aside, for `quarantine`.
        injected: what was changed on purpose, a line each.
        alerts: the alerts that it answers.
        outcome: None until it is done.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    number: int
    first: date
    last: date
    as_of: date
    version: str | None
    evidence: str
    figures: dict[str, float]
    failed: tuple[str, ...] = ()
    action: Action
    reasons: tuple[str, ...]
    train_from: date | None = None
    change: date | None = None
    quarantined: tuple[date, ...] = ()
    injected: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()
    outcome: Outcome | None = None

    @property
    def deployed(self) -> bool:
        """Whether another version has been put in service by it."""
        return self.outcome is not None and self.outcome.done == DEPLOYED


DEPLOYED = "deployed"


class Journal:
    """The turns, in a folder, which is made if it is not there. One writer at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)

    def turns(self) -> list[Turn]:
        """All turns, in order.

        Raises:
            ValueError: a file is damaged; the message names it.
        """
        return [_read(path) for path in sorted(self.folder.glob("turn-*.json"))]

    def unfinished(self) -> Turn | None:
        """The turn that was cut short, if there is one."""
        return next((turn for turn in self.turns() if turn.outcome is None), None)

    def find(self, evidence: str) -> Turn | None:
        """The turn that answered this evidence."""
        return next((turn for turn in self.turns() if turn.evidence == evidence), None)

    def write(self, turn: Turn) -> Turn:
        """Write a turn's file, whole or not at all."""
        for leftover in self.folder.glob(f"{_DRAFT}*"):
            leftover.unlink(missing_ok=True)
        draft = self.folder / f"{_DRAFT}{uuid4().hex}"
        write_file(draft, turn.model_dump_json(indent=2).encode())
        rename(draft, self.folder / f"turn-{turn.number:04d}.json")
        flush_folder(self.folder)
        return turn

    def finish(self, turn: Turn, outcome: Outcome) -> Turn:
        """Note what came of a turn."""
        return self.write(turn.model_copy(update={"outcome": outcome}))

    def learned_since(self, version: str) -> date | None:
        """The day since which flights counted in full when the loop trained a version."""
        found = (t for t in self.turns() if t.deployed and t.outcome.champion == version)
        return next((turn.train_from for turn in found), None)

    # What follows from the turns; kept nowhere else, so that it cannot disagree with them.

    def quarantined(self) -> list[date]:
        """All days that were set aside, in order, each once."""
        return sorted({day for turn in self.turns() for day in turn.quarantined})

    def last_deployment(self, before: date) -> Turn | None:
        """The last turn that put a version in service, of those judged on days before one."""
        found = [turn for turn in self.turns() if turn.deployed and turn.as_of < before]
        return max(found, key=lambda turn: turn.as_of, default=None)

    def served_in(self, last: date) -> Turn | None:
        """The first turn that replaced the version in service on a day, None for none."""
        found = [turn for turn in self.turns() if turn.deployed and turn.as_of >= last]
        return min(found, key=lambda turn: (turn.as_of, turn.number), default=None)

    def known_change(self, last: date) -> date | None:
        """The day of a change that was seen before a day and is not over.

        It is over when a later window shows a model that is as good as its reference.
        """
        change = None
        for turn in self.turns():
            if turn.last >= last or turn.outcome is None:
                continue
            if turn.action == "retrain":
                change = change or turn.change
            elif turn.action in ("watch", "nothing"):
                change = None
        return change


def _read(path: Path) -> Turn:
    try:
        return Turn.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise ValueError(f"{path}: not a turn of this release: {first['msg']}") from None
