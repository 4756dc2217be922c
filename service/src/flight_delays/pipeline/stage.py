"""What all stages share: declared inputs and outputs, a record of the last success, staleness.

    WORK/
      lock
      STAGE/stage.json      the record: digests of inputs and outputs, and a few facts
      STAGE/...             the outputs

The record is removed before a stage works and written, whole or not at all, after it has succeeded.
So a stage that was killed has none, and does its work again.
"""

from __future__ import annotations

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, ValidationError

from flight_delays.disk import flush_folder, rename, write_file
from flight_delays.pipeline.config import Config, Surroundings
from flight_delays.pipeline.inputs import digest_of, file_digest
from flight_delays.pipeline.outcome import Stale

RECORD_FILE = "stage.json"
TRAIN_FILE, VERDICT_FILE = "train.json", "verdict.json"  # which later stages read
DRAFT = ".draft-"


class Record(BaseModel):
    """What stage.json holds.

    Attributes:
        inputs: name of an input to its digest.
        outputs: file, relative to the stage's folder, to its SHA-256.
        facts: what later stages and people want to know, such as the version.
        said: the stage's last line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    stage: str
    inputs: dict[str, str]
    outputs: dict[str, str]
    facts: dict[str, Any]
    said: str


@dataclass(frozen=True)
class Done:
    """What a stage made: its outputs (paths in its folder), facts, and one line for people."""

    said: str
    outputs: list[Path]
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Place:
    """Where the pipeline works, and what it was told.

    Attributes:
        project: the folder with pipeline.toml, src and tests.
        work: the folder for outputs.
        champion_folder: the champion's bundle, for a registry that does not have it yet.
        cache: what one stage of a run has loaded and a later one need not load again.
    """

    project: Path
    work: Path
    config: Config
    surroundings: Surroundings
    champion_folder: Path | None = None
    cache: dict[str, Any] = field(default_factory=dict, compare=False)

    def folder(self, stage: str) -> Path:
        return self.work / stage

    def record(self, stage: str) -> Record | None:
        """Return the record of a stage's last success; None if there is none, or it is damaged."""
        try:
            content = (self.folder(stage) / RECORD_FILE).read_bytes()
            return Record.model_validate_json(content)
        except (FileNotFoundError, ValidationError):
            return None

    def needed(self, stage: str) -> Record:
        """Return the record of an earlier stage.

        Raises:
            Stale: there is none.
        """
        record = self.record(stage)
        if record is None:
            raise Stale(f"`{stage}` has not succeeded yet; run `{stage}` first")
        return record

    def section(self, *names: str) -> str:
        """Return one digest of sections of the configuration."""
        content = self.config.model_dump(mode="json")
        return digest_of({name: content[name] for name in names})


class Stage(ABC):
    """One stage. Its `inputs` are cheap to find; its `work` is done only when one has changed."""

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, place: Place) -> None:
        self.place = place
        self.folder = place.folder(self.name)

    @abstractmethod
    def inputs(self) -> dict[str, str]:
        """Return the digest of each input, by its name.

        Raises:
            Stale: an earlier stage's output is missing.
        """

    @abstractmethod
    def work(self) -> Done:
        """Do the work.

        Raises:
            StageError: it did not succeed.
        """

    def still_holds(self, record: Record) -> bool:
        """Say whether what lies outside this folder is as the record says; cheap."""
        return True

    def changed(self, record: Record | None, inputs: Mapping[str, str]) -> list[str]:
        """Name the inputs and outputs that differ from the record."""
        if record is None:
            return ["no earlier success"]
        names = sorted({*inputs, *record.inputs})
        found = [name for name in names if inputs.get(name) != record.inputs.get(name)]
        return found + [
            f"{self.name}/{name}"
            for name, digest in record.outputs.items()
            if not _has(self.folder / name, digest)
        ]

    def begin(self) -> None:
        """Make the folder ready: without a record, and without what a killed run left."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / RECORD_FILE).unlink(missing_ok=True)
        for leftover in self.folder.glob(f"{DRAFT}*"):
            if leftover.is_dir():
                shutil.rmtree(leftover, ignore_errors=True)
            else:
                leftover.unlink(missing_ok=True)

    def succeed(self, inputs: Mapping[str, str], done: Done) -> None:
        """Write the record."""
        outputs = {
            path.relative_to(self.folder).as_posix(): file_digest(path) for path in done.outputs
        }
        record = Record(
            stage=self.name,
            inputs=dict(inputs),
            outputs=outputs,
            facts=done.facts,
            said=done.said,
        )
        self.write(RECORD_FILE, record.model_dump_json(indent=2))

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file of the stage's folder so that it is there whole or not at all."""
        draft = self.folder / f"{DRAFT}{uuid4().hex}"
        write_file(draft, content.encode() if isinstance(content, str) else content)
        rename(draft, self.folder / name)
        flush_folder(self.folder)
        return self.folder / name

    def write_json(self, name: str, content: Any) -> Path:
        """Write a value as JSON; dates become text."""
        return self.write(name, json.dumps(content, indent=2, default=str) + "\n")


def _has(path: Path, digest: str) -> bool:
    return path.is_file() and file_digest(path) == digest
