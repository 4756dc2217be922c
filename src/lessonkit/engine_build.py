"""Images: how they are built, what their layers hold."""

from __future__ import annotations

import contextlib
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from lessonkit.engine import BuildFailed, Engine

STEP = re.compile(r"^#(\d+) \[(?:(\S+) )?(\d+)/(\d+)\] (.+)$")
SPOKEN = re.compile(r"^#(\d+) (?:\d+\.\d+ )?(.*)$")
PODMAN_STEP = re.compile(r"^(?:\[\d+/\d+\] )?STEP (\d+)/(\d+): (.+)$")


@dataclass
class Step:
    """One instruction of a Dockerfile, as it was built.

    Attributes
    ----------
    instruction
        As it stands in the Dockerfile, joined to one line.
    stage
        The name of its stage, empty where there is one only.
    cached
        Whether its result was there already.
    seconds
        How long it took, where the builder says so.
    """

    instruction: str
    stage: str = ""
    cached: bool = False
    seconds: float | None = None
    failed: bool = False
    lines: list[str] = field(default_factory=list)

    @property
    def word(self) -> str:
        """FROM, RUN, COPY ..."""
        return self.instruction.split()[0]


def read_log(log: str) -> list[Step]:
    """The steps in the log of a build, in the order of the Dockerfile within each stage.

    Reads what `docker build --progress=plain` and `podman build` write.
    """
    numbered: dict[str, tuple[tuple[str, int], Step]] = {}
    podman: list[Step] = []
    for line in log.splitlines():
        if match := STEP.match(line):
            id_, stage, number, _, instruction = match.groups()
            key = (stage or "", int(number))
            numbered.setdefault(id_, (key, Step(_as_written(instruction), stage or "")))
        elif match := PODMAN_STEP.match(line):
            podman.append(Step(match[3]))
        elif match := SPOKEN.match(line):
            if match[1] in numbered:
                _hear(numbered[match[1]][1], match[2])
        elif podman and line.startswith("--> Using cache"):
            podman[-1].cached = True
        elif podman and not line.startswith(("-->", "COMMIT")):
            podman[-1].lines.append(line)
    if podman and re.search(r"^Error: ", log, re.M):
        podman[-1].failed = True
    stages = list(dict.fromkeys(key[0] for key, _ in numbered.values()))
    ordered = sorted(numbered.values(), key=lambda pair: (stages.index(pair[0][0]), pair[0][1]))
    return [step for _, step in ordered] or podman


def failure(log: str, steps: list[Step]) -> BuildFailed:
    """What a failed build is reported as: the step that failed and its last lines."""
    failed = next((step for step in steps if step.failed), None)
    if failed is not None:
        return BuildFailed(failed.instruction, failed.lines[-10:], log)
    said = [line for line in log.splitlines() if re.match(r"(ERROR|Error)[: ]", line)]
    return BuildFailed("", said[-1:] or log.strip().splitlines()[-3:], log)


def _hear(step: Step, said: str) -> None:
    if said == "CACHED":
        step.cached = True
    elif match := re.fullmatch(r"DONE (\d+\.\d+)s", said):
        step.seconds = float(match[1])
    elif said.startswith("ERROR: "):
        step.failed = True
        if not step.lines:
            step.lines.append(said)
    elif said and said != "CANCELED":
        step.lines.append(said)


def _as_written(instruction: str) -> str:
    return instruction.replace("FROM docker.io/library/", "FROM ")


@dataclass(frozen=True)
class Entry:
    """A line of an image's history, oldest first: what made it, and the bytes it added."""

    created_by: str
    size: int


@dataclass(frozen=True)
class Layer:
    """A layer of an image: the files that one instruction added, changed or (`.wh.NAME`) took away.

    Attributes
    ----------
    created_by
        The instruction, as the image records it.
    files
        Path to size in bytes, of regular files.
    size
        Their sum.
    """

    created_by: str
    files: dict[str, int]
    archive: Path
    member: str

    @property
    def size(self) -> int:
        return sum(self.files.values())

    def read(self, path: str) -> bytes:
        """The content of one of its files.

        Raises
        ------
        KeyError
            It holds no such file.
        """
        with self._open() as layer:
            file = layer.extractfile(layer.getmember(path))
            if file is None:
                raise KeyError(path)
            return file.read()

    def holds(self, wanted: bytes) -> list[str]:
        """The paths of its files in which these bytes occur."""
        with self._open() as layer:
            return [
                entry.name
                for entry in layer
                if entry.isfile() and (file := layer.extractfile(entry)) and wanted in file.read()
            ]

    @contextlib.contextmanager
    def _open(self) -> Iterator[tarfile.TarFile]:
        with tarfile.open(self.archive) as saved, tarfile.open(fileobj=saved.extractfile(self.member)) as layer:
            yield layer


@dataclass(frozen=True)
class Image:
    """An image on this machine.

    Attributes
    ----------
    id
        Its digest, which names it everywhere.
    size
        Bytes of all its layers.
    seconds, log, steps
        How long the build took, what it wrote, and its steps; empty for an image that was there before.
    """

    engine: Engine
    id: str
    size: int
    folder: Path = field(repr=False)
    seconds: float = 0.0
    log: str = field(default="", repr=False)
    steps: tuple[Step, ...] = field(default=(), repr=False)

    @property
    def megabytes(self) -> float:
        """Its size in units of a million bytes, as docker counts."""
        return self.size / 1e6

    @property
    def cached(self) -> list[bool]:
        """For each step whether its result was there already."""
        return [step.cached for step in self.steps]

    @cached_property
    def config(self) -> dict:
        """What it says of itself: user, command, environment, labels, health check."""
        return self.engine.inspect("image", self.id)["Config"]

    def history(self) -> list[Entry]:
        """What made it, oldest first; also instructions that added no file."""
        lines = self.engine.check("history", "--no-trunc", "--human=false", "--format", "{{json .}}", self.id)
        entries = [json.loads(line) for line in lines.splitlines()]
        return [Entry(_instruction(entry["CreatedBy"]), int(entry["Size"])) for entry in reversed(entries)]

    def layers(self, above: Image | None = None) -> list[Layer]:
        """Its layers, lowest first, with the files in each.

        Parameters
        ----------
        above
            An image it is built on; only the layers on top of that one, which is much faster.
        """
        below = [] if above is None else above.digests
        if self.digests[: len(below)] != below:
            raise ValueError("this image is not built on the other one")
        return self._layers(len(below))

    @cached_property
    def digests(self) -> list[str]:
        """The SHA-256 of each layer's tar file, lowest first."""
        return self.engine.inspect("image", self.id)["RootFS"]["Layers"]

    def _layers(self, first: int) -> list[Layer]:
        archive = self.folder / f"{self.id.replace(':', '-')}.tar"
        if not archive.exists():
            self.engine.check("image", "save", "--output", archive, self.id, timeout_s=300)
        with tarfile.open(archive) as saved:
            manifest = json.load(saved.extractfile("manifest.json"))[0]
            config = json.load(saved.extractfile(manifest["Config"]))
            said = [entry.get("created_by", "") for entry in config["history"] if not entry.get("empty_layer")]
            found = []
            for created_by, member in list(zip(said, manifest["Layers"], strict=True))[first:]:
                with tarfile.open(fileobj=saved.extractfile(member)) as layer:
                    files = {entry.name: entry.size for entry in layer if entry.isfile()}
                found.append(Layer(_instruction(created_by), files, archive, member))
        return found


def _instruction(created_by: str) -> str:
    """An entry of the history as it stood in the Dockerfile."""
    text = created_by.removesuffix(" # buildkit").replace("/bin/sh -c #(nop) ", "").strip()
    return text.replace("RUN /bin/sh -c ", "RUN ")
