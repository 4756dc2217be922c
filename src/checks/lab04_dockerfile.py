"""Lab 04: a Dockerfile read as what it is: stages, instructions, and the files each brings into the image.

`dockerfile_parse` splits the text into instructions. What they do is followed here as far as it can be without
an engine: where files go, what a change of one of them makes the builder do again, what the container is told.
What a RUN line does inside is not known here; an engine shows it.
"""

from __future__ import annotations

import io
import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from inspect import cleandoc
from itertools import takewhile
from pathlib import PurePosixPath as Path

from dockerfile_parse import DockerfileParser
from dockerfile_parse.util import WordSplitter, extract_key_values

from labkit.answer import Answer, Wrong
from labkit.exercise import expect
from lessonkit.shipping import BASE

MAX_TEXT = 20_000
WORDS = {
    *("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL", "MAINTAINER"),
    *("ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"),
}
LIKELY = {"IMPORT": "FROM", "EXEC": "RUN", "INSTALL": "RUN", "PIP": "RUN", "PYTHON": "CMD", "PORT": "EXPOSE"}


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes
    ----------
    word
        Such as COPY, in capitals.
    rest
        What follows it and its flags, on one line.
    flags
        Such as ("--from=build",).
    line
        As it stands in the text, on one line: what a reader is shown.
    """

    word: str
    rest: str
    flags: tuple[str, ...]
    line: str

    @property
    def exec_form(self) -> list[str] | None:
        """The words of a JSON array, or None where it is written as for a shell."""
        return json_list(self.rest)

    def flag(self, name: str) -> list[str]:
        """The values of a flag: `--mount` may stand more than once."""
        return [flag.partition("=")[2] for flag in self.flags if flag.partition("=")[0] == f"--{name}"]

    def mounts(self) -> list[dict[str, str]]:
        """The mounts of a RUN, each as its options."""
        made = []
        for mount in self.flag("mount"):
            options = (part.partition("=") for part in mount.split(","))
            made.append({key.strip(): value for key, _, value in options})
        return made


@dataclass
class Command:
    """One command of a RUN line: its words, and the folder in which it runs."""

    words: list[str]
    folder: Path

    @property
    def pip_install(self) -> list[str] | None:
        """The arguments of `pip install`, however pip is called; None for another command."""
        words = list(self.words)
        if words and Path(words[0]).name.startswith("python") and words[1:3] == ["-m", "pip"]:
            words = words[2:]
        if words[:2] == ["uv", "pip"]:
            words = words[1:]
        if len(words) < 2 or not Path(words[0]).name.startswith("pip") or "install" not in words:
            return None
        return words[words.index("install") + 1 :]


@dataclass
class Step:
    """An instruction where it stands: what it reads of the project, and the image before and after it."""

    instruction: Instruction
    folder: Path  # the working folder
    reads: frozenset[str] = frozenset()  # files of the project that it copies or mounts
    before: frozenset[str] = frozenset()  # paths in the image before it
    commands: list[Command] = field(default_factory=list)
    comes_from: tuple[int, ...] = ()  # stages that it copies from or mounts


@dataclass
class Stage:
    """One stage: its steps, and what the image that ends with it is like.

    `files` maps a path in the image to the file of the project that was copied there. A file that a RUN made is
    not among them; one that a RUN removed still is, as it lies in a layer.
    """

    name: str
    base: str
    parent: int | None = None
    steps: list[Step] = field(default_factory=list)
    files: dict[Path, str] = field(default_factory=dict)
    env: dict[str, str] = field(default_factory=dict)
    args: dict[str, str] = field(default_factory=dict)
    folder: Path = field(default_factory=lambda: Path("/"))
    user: str = ""
    cmd: Instruction | None = None
    entrypoint: Instruction | None = None
    healthcheck: Instruction | None = None
    stopsignal: str = ""
    ports: list[str] = field(default_factory=list)

    def instructions(self, *words: str) -> list[Instruction]:
        return [step.instruction for step in self.steps if step.instruction.word in words]

    def installs(self) -> Iterator[tuple[Step, Command, list[str]]]:
        """Each `pip install`: its step, its command, its arguments."""
        for step in self.steps:
            for command in step.commands:
                if (arguments := command.pip_install) is not None:
                    yield step, command, arguments

    def where(self, name: str) -> list[Path]:
        """Where in the image a file of the project lies."""
        return [path for path, origin in self.files.items() if origin == name]

    @property
    def argv(self) -> list[str] | None:
        """What the container runs, if it is written in exec form; else None."""
        entry = self.entrypoint.exec_form if self.entrypoint else []
        command = self.cmd.exec_form if self.cmd else []
        if entry is None or command is None:
            return None
        return [*entry, *command]


@dataclass
class Dockerfile:
    """Stages in their order; the last one becomes the image."""

    stages: list[Stage]

    @property
    def final(self) -> Stage:
        return self.stages[-1]

    def chain(self) -> list[Stage]:
        """The stages whose layers the image has: the last one and those it is FROM, lowest first."""
        found = [self.final]
        while (parent := found[0].parent) is not None:
            found.insert(0, self.stages[parent])
        return found

    def steps(self) -> Iterator[tuple[int, Step]]:
        for number, stage in enumerate(self.stages):
            for step in stage.steps:
                yield number, step

    def again(self, changed: str) -> list[Step]:
        """The steps that a builder does again after one file of the project has changed."""
        dirty: dict[int, bool] = {}
        found = []
        for number, stage in enumerate(self.stages):
            now = stage.parent is not None and dirty[stage.parent]
            for step in stage.steps:
                now = now or changed in step.reads or any(dirty[other] for other in step.comes_from)
                if now:
                    found.append(step)
            dirty[number] = now
        return found


def text_of(answer: Answer, name: str, what: str = "Dockerfile") -> str:
    """The text that a function of the answer gives, without the indentation that its lines share."""
    result = answer.call(name)
    told = f"`{name}` must give the {what} as a text."
    expect(isinstance(result.value, str), told, result, expected="a str")
    expect(result.value.strip(), f"The {what} is empty.", result, got="an empty text")
    expect(len(result.value) <= MAX_TEXT, f"The {what} is longer than {MAX_TEXT:,} characters.", f"{name}()", got="")
    return cleandoc(result.value) + "\n"


def json_list(text: str) -> list[str] | None:
    """The texts of a JSON array, or None if this is none."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, list) and all(isinstance(part, str) for part in found) else None


def read_dockerfile(text: str, project: Iterable[str], ignored: Iterable[str] = ()) -> Dockerfile:
    """Follow a Dockerfile through a project of these files, without those that .dockerignore leaves out.

    Raises
    ------
    Wrong
        It is no Dockerfile, copies what is not there, or uses what an offline engine must refuse.
    """
    sent = [name for name in project if name not in set(ignored)]
    reader = _Reader(sent, set(ignored))
    for instruction in _instructions(text):
        reader.take(instruction)
    expect(reader.stages, "There is no FROM: an image begins from another one.", got=text[:80])
    return Dockerfile(reader.stages)


def _instructions(text: str) -> Iterator[Instruction]:
    parser = DockerfileParser(fileobj=io.BytesIO())
    parser.content = text
    begun = False
    for found in parser.structure:
        word, value = found["instruction"], found["value"]
        if word == "COMMENT":
            key = value.partition("=")[0].strip().lower()
            directive = not begun and key in ("syntax", "escape") and "=" in value
            told = "A line such as `# syntax=...` makes the engine fetch a program from a registry. Do without it here."
            expect(not directive, told, got=f"# {value}")
            continue
        begun = True
        word = word.upper()
        line = " ".join(found["content"].replace("\\\n", " ").split())
        hint = f" Did you mean {LIKELY[word]}?" if word in LIKELY else ""
        expect(word in WORDS, f"`{word}` is no instruction of a Dockerfile.{hint}", got=line)
        heredoc = "`<<` begins a text that older engines do not know. Join commands with `&&` instead."
        expect(not (word in ("RUN", "COPY", "ADD") and "<<" in value), heredoc, got=line)
        flags = list(takewhile(lambda part: part.startswith("--"), value.split()))
        rest = value
        for flag in flags:
            rest = rest.lstrip().removeprefix(flag)
        yield Instruction(word, rest.strip(), tuple(flags), line)


class _Reader:
    """Takes one instruction after another and keeps what the stages become."""

    def __init__(self, sent: list[str], ignored: set[str]) -> None:
        self.sent, self.ignored = sent, ignored
        self.stages: list[Stage] = []
        self.globals: dict[str, str] = {}

    def take(self, instruction: Instruction) -> None:
        word = instruction.word
        if word == "FROM":
            self._from(instruction)
            return
        if not self.stages and word == "ARG":
            self.globals |= dict(_pairs(instruction, self.globals, {}))
            return
        expect(self.stages, "The first instruction is not FROM: there is nothing yet to work on.", got=instruction.line)
        stage = self.stages[-1]
        step = Step(instruction, stage.folder, before=frozenset(map(str, stage.files)))
        getattr(self, f"_{word.lower()}", self._other)(stage, step)
        stage.steps.append(step)

    def _words(self, stage: Stage, text: str) -> list[str]:
        try:
            return list(WordSplitter(text, args=stage.args, envs=stage.env).split())
        except ValueError as error:
            raise Wrong("A quote is not closed.", got=text) from error

    def _from(self, instruction: Instruction) -> None:
        words = list(WordSplitter(instruction.rest, args=self.globals, envs={}).split())
        expect(words, "FROM names no image.", got=instruction.line)
        name = words[2] if len(words) == 3 and words[1].upper() == "AS" else ""
        expect(name or len(words) == 1, "FROM takes an image, and `AS name` at most.", got=instruction.line)
        parent = self._number(words[0])
        told = f"Here every image begins from {BASE}: the engine of this lab reaches no registry to fetch another."
        expect(parent is not None or words[0] == BASE, told, got=instruction.line, expected=f"FROM {BASE}")
        stage = Stage(name or str(len(self.stages)), words[0], parent)
        if parent is not None:
            below = self.stages[parent]
            stage.files, stage.env, stage.folder = dict(below.files), dict(below.env), below.folder
            stage.user, stage.cmd, stage.entrypoint = below.user, below.cmd, below.entrypoint
            stage.healthcheck, stage.stopsignal, stage.ports = below.healthcheck, below.stopsignal, list(below.ports)
        self.stages.append(stage)

    def _number(self, name: str) -> int | None:
        """Which stage a name or a number stands for."""
        for number in reversed(range(len(self.stages))):
            if self.stages[number].name.lower() == name.lower() or str(number) == name:
                return number
        return None

    def _arg(self, stage: Stage, step: Step) -> None:
        for key, value in _pairs(step.instruction, {**self.globals, **stage.args}, stage.env):
            stage.args[key] = value or self.globals.get(key, "")

    def _env(self, stage: Stage, step: Step) -> None:
        stage.env |= dict(_pairs(step.instruction, stage.args, stage.env))

    def _workdir(self, stage: Stage, step: Step) -> None:
        words = self._words(stage, step.instruction.rest)
        expect(len(words) == 1, "WORKDIR takes one folder.", got=step.instruction.line)
        stage.folder = _join(stage.folder, words[0])

    def _user(self, stage: Stage, step: Step) -> None:
        stage.user = " ".join(self._words(stage, step.instruction.rest))

    def _expose(self, stage: Stage, step: Step) -> None:
        stage.ports += [word.removesuffix("/tcp") for word in self._words(stage, step.instruction.rest)]

    def _stopsignal(self, stage: Stage, step: Step) -> None:
        stage.stopsignal = " ".join(self._words(stage, step.instruction.rest))

    def _cmd(self, stage: Stage, step: Step) -> None:
        stage.cmd = step.instruction

    def _entrypoint(self, stage: Stage, step: Step) -> None:
        stage.entrypoint, stage.cmd = step.instruction, None

    def _healthcheck(self, stage: Stage, step: Step) -> None:
        stage.healthcheck = None if step.instruction.rest.upper() == "NONE" else step.instruction

    def _other(self, stage: Stage, step: Step) -> None:
        """LABEL, VOLUME, SHELL and the like change nothing that is followed here."""

    def _run(self, stage: Stage, step: Step) -> None:
        others = [flag for flag in step.instruction.flags if not flag.startswith("--mount=")]
        expect(not others, f"A RUN here takes --mount and no {others[:1]}.", got=step.instruction.line)
        for mount in step.instruction.mounts():
            if "from" in mount:
                step.comes_from += (self._stage(mount["from"], step.instruction),)
            elif mount.get("type", "bind") == "bind":
                source = mount.get("source", mount.get("src", "."))
                step.reads |= set(self._matching(source, step.instruction))
                target = _join(stage.folder, mount.get("target", mount.get("dst", mount.get("destination", "."))))
                inside = {str(target if source == name else target / _below(source, name)) for name in step.reads}
                step.before |= inside
        step.commands = list(_commands(step.instruction, stage.folder))

    def _copy(self, stage: Stage, step: Step) -> None:
        instruction = step.instruction
        words = instruction.exec_form or self._words(stage, instruction.rest)
        expect(len(words) >= 2, f"{instruction.word} takes what to copy and where to.", got=instruction.line)
        *sources, target = words
        remote = [source for source in sources if "://" in source or source.startswith("git@")]
        expect(not remote, "This fetches something from the network, which a build here has not.", got=instruction.line)
        origins = instruction.flag("from")
        place = _join(stage.folder, target)
        several = len(sources) > 1 or target.endswith("/") or target in (".", "..") or _is_folder(stage, place)
        for source in sources:
            if origins:
                self._copy_from(stage, step, origins[0], source, place, several)
                continue
            names = self._matching(source, instruction)
            step.reads |= set(names)
            single = len(names) == 1 and (_clean(source) == names[0] or "*" in source)
            into = several or (len(names) > 1 and any(mark in source for mark in "*?["))
            for name in names:
                inside = Path(_below(source, name)) if not single else Path(Path(name).name)
                stage.files[place / inside if into or not single else place] = name

    _add = _copy

    def _copy_from(self, stage: Stage, step: Step, origin: str, source: str, place: Path, several: bool) -> None:
        other = self._stage(origin, step.instruction)
        step.comes_from += (other,)
        wanted = _join(Path("/"), source)
        for path, name in list(self.stages[other].files.items()):
            if path == wanted:
                stage.files[place / path.name if several else place] = name
            elif path.is_relative_to(wanted):
                stage.files[place / path.relative_to(wanted)] = name
            elif fnmatchcase(str(path), str(wanted)):
                stage.files[place / path.name] = name

    def _stage(self, name: str, instruction: Instruction) -> int:
        found = self._number(name)
        expect(found is not None, f"No stage before this one is called {name!r}.", got=instruction.line)
        assert found is not None
        return found

    def _matching(self, source: str, instruction: Instruction) -> list[str]:
        """The files of the project that a source of COPY stands for."""
        outside = "`..` leads out of the project, and the builder sees nothing outside of it."
        expect(".." not in Path(source).parts, outside, got=instruction.line)
        found = [name for name in self.sent if _matches(source, name)]
        left_out = [name for name in sorted(self.ignored) if _matches(source, name)]
        told = f"The project has no `{source}`."
        if left_out:
            told = f"`{source}` is not sent to the builder: .dockerignore leaves out {left_out[0]}."
        expect(found, told, got=instruction.line)
        return found


def _pairs(instruction: Instruction, args: Mapping[str, str], env: Mapping[str, str]) -> list[tuple[str, str]]:
    """The names and values of ARG and ENV."""
    try:
        if instruction.word == "ARG":
            words = list(WordSplitter(instruction.rest, args=dict(args), envs=dict(env)).split())
            return [(key, value) for key, _, value in (word.partition("=") for word in words)]
        return list(extract_key_values(True, dict(args), dict(env), instruction.rest))
    except (ValueError, IndexError) as error:
        raise Wrong(f"{instruction.word} takes NAME=value.", got=instruction.line) from error


def _join(folder: Path, path: str) -> Path:
    """A path seen from a folder, without `.` and `..`."""
    parts: list[str] = []
    for part in (folder / path).parts:
        if part == "..":
            parts = parts[:1] if len(parts) <= 1 else parts[:-1]
        elif part != ".":
            parts.append(part)
    return Path(*parts) if parts else Path("/")


def _is_folder(stage: Stage, place: Path) -> bool:
    """Whether a path is a folder of the image by now: a file goes into it, also without a `/` at the end."""
    known = (stage.folder, *(path.parent for path in stage.files))
    return any(folder.is_relative_to(place) for folder in known)


def _clean(source: str) -> str:
    return str(_join(Path("/"), source)).lstrip("/")


def _matches(source: str, name: str) -> bool:
    """Whether a file of the project is, or lies below, what a source of COPY stands for."""
    wanted = Path(_clean(source)).parts
    parts = Path(name).parts
    if len(parts) < len(wanted):
        return False
    return all(fnmatchcase(part, pattern) for part, pattern in zip(parts, wanted, strict=False))


def _below(source: str, name: str) -> str:
    """The path of a file below the folder that was copied: COPY puts in what a folder holds, not the folder."""
    depth = len(Path(_clean(source)).parts)
    parts = Path(name).parts
    return str(Path(*parts[depth:])) if len(parts) > depth else parts[-1]


def split_commands(script: str) -> Iterator[list[str]]:
    """The commands of a line for a shell, split at `&&`, `;` and the like. ValueError if a quote is not closed."""
    lexer = shlex.shlex(script, posix=True, punctuation_chars=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    command: list[str] = []
    for part in [*lexer, ";"]:
        if set(part) <= set(";&|()") and part:
            if command:
                yield command
            command = []
        else:
            command.append(part)


def _commands(instruction: Instruction, folder: Path) -> Iterator[Command]:
    """The commands of a RUN line; `cd` changes the folder of what follows."""
    words = instruction.exec_form
    if words is not None:
        yield Command(words, folder)
        return
    try:
        for command in split_commands(instruction.rest):
            if command[0] == "cd" and len(command) == 2:
                folder = _join(folder, command[1])
            elif rest := _without_settings(command):
                yield Command(rest, folder)
    except ValueError as error:
        raise Wrong("A quote is not closed.", got=instruction.line) from error


def _without_settings(words: list[str]) -> list[str]:
    """A command without what stands before it: `NAME=value`, `exec`."""
    rest = list(words)
    while rest and (("=" in rest[0] and rest[0].partition("=")[0].isidentifier()) or rest[0] in ("exec", "set", "env")):
        if rest[0] == "set":
            return []
        rest = rest[1:]
    return rest
