"""Lab 04: a Dockerfile that builds and serves, and one that uses the builder's cache."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath as Path

import numpy as np

from checks.lab04_dockerfile import Dockerfile, Stage, read_dockerfile, text_of
from checks.lab04_engine import InEngine, ask, build, expect_scores, running
from labkit.answer import Answer, Wrong
from labkit.exercise import case, expect
from lessonkit.inside import get
from lessonkit.shipping import PORT, screening_service

LOG = {"LOG_FOLDER": "/tmp/log"}  # until exercise 3, where the image itself must say so


def installing(answer: Answer, name: str, project: Mapping[str, bytes]) -> tuple[str, Dockerfile]:
    """The text of a Dockerfile, and the file read; raises Wrong unless it installs what the project needs."""
    text = text_of(answer, name)
    read = read_dockerfile(text, project)
    expect_install(read)
    return text, read


def expect_install(read: Dockerfile, requirements: str = "requirements.txt") -> None:
    """Raise Wrong unless some stage installs what a file names, out of the wheels, without a network."""
    lost = f"server.py imports a package that {requirements} names, and no RUN installs it with pip."
    found = [(stage, *one) for stage in read.stages for one in stage.installs()]
    expect(found, lost, got="no `pip install`", expected=f"pip install ... -r {requirements}")
    for stage, step, command, arguments in found:
        line = step.instruction.line
        offline = "--no-index" in arguments or stage.env.get("PIP_NO_INDEX") or stage.args.get("PIP_NO_INDEX")
        asks = "pip asks an index on the network, and the build has none: `--no-index --find-links wheels`."
        expect(offline, asks, got=line)
        for flag in ("-r", "--requirement", "-f", "--find-links"):
            for value in _values(arguments, flag):
                there = any(Path(path).is_relative_to(command.folder / value) for path in step.before)
                late = f"`{value}` is not in the image yet when this line runs: copy it before."
                if Path(value).name == "wheels" and any(path.endswith(".whl") for path in step.before):
                    late = (
                        f"There is no folder `{value}` where pip looks: COPY takes what a folder holds, not the folder."
                    )
                expect(there or not _known(value), late, got=line)


def _values(arguments: list[str], flag: str) -> Iterator[str]:
    for place, word in enumerate(arguments):
        if word == flag and place + 1 < len(arguments):
            yield arguments[place + 1]
        elif flag.startswith("--") and word.startswith(f"{flag}="):
            yield word.partition("=")[2]


def _known(value: str) -> bool:
    """Whether a path can be followed: one made of variables or an address cannot."""
    return "$" not in value and "://" not in value


def expect_starts(stage: Stage) -> list[str]:
    """The words that the container runs; Wrong unless they are in exec form and find server.py."""
    there = "Nothing says what the container is to run: CMD is missing."
    expect(stage.cmd or stage.entrypoint, there, expected='CMD ["python", "server.py"]')
    argv = stage.argv
    shell = (
        "This is the shell form: process 1 is /bin/sh, which passes no signal on to your server. "
        "Write a JSON array, with double quotes."
    )
    lines = ", ".join(found.line for found in (stage.entrypoint, stage.cmd) if found)
    expect(argv, shell, got=lines, expected='CMD ["python", "server.py"]')
    assert argv is not None
    script = _script(argv)
    if script is not None:
        place = Path("/" + str(stage.folder / script).lstrip("/"))
        where = stage.where("server.py")
        told = f"Python will look for {place}, and COPY puts server.py elsewhere or nowhere."
        got = f"{lines}; server.py is at {', '.join(map(str, where)) or 'no place in the image'}"
        expect(place in stage.files or (Path(script).name != "server.py" and not where), told, got=got)
    return argv


def _script(argv: list[str]) -> str | None:
    """The Python file that a command runs, as far as that can be read off it."""
    if not Path(argv[0]).name.startswith("python"):
        return None
    for place, word in enumerate(argv[1:], 1):
        if word == "-m":
            return f"{argv[place + 1].replace('.', '/')}.py" if place + 1 < len(argv) else None
        if not word.startswith("-"):
            return word
        if word == "-c":
            return None
    return None


class Serve(InEngine):
    id = "serve"
    title = "Write a Dockerfile that serves"
    names = ("serve_dockerfile",)
    points = 3.0
    hints = (
        "In this order: FROM, the folder to work in, what pip needs, pip, program and model, the port, the command.",
        "`COPY wheels wheels` puts what the folder holds into a folder of the same name. A last argument that ends "
        "with `/` is a folder, too. pip runs in the folder of WORKDIR.",
        'The command is a JSON array with double quotes: `CMD ["python", "server.py"]`. EXPOSE opens nothing; '
        "it tells people and tools which port to publish.",
    )

    def _read(self, answer: Answer) -> tuple[str, Dockerfile]:
        text = text_of(answer, "serve_dockerfile")
        return text, read_dockerfile(text, screening_service())

    @case("what pip installs from is in the image before pip runs")
    def installs(self, answer: Answer, rng: np.random.Generator) -> None:
        _, read = self._read(answer)
        expect_install(read)

    @case("the container starts server.py, in exec form, beside its model")
    def starts(self, answer: Answer, rng: np.random.Generator) -> None:
        _, read = self._read(answer)
        stage = read.final
        absolute = "Work in a folder of your own: `WORKDIR /app`. Without it the files lie among those of the system."
        expect(stage.folder != Path("/"), absolute, got="WORKDIR /", expected="WORKDIR /app")
        expect_starts(stage)
        beside = {path.parent for path in stage.where("server.py")} & {
            path.parent for path in stage.where("model.json")
        }
        told = "server.py reads model.json from the folder it lies in itself, and COPY does not put both into one."
        places = [
            f"{name}: {', '.join(map(str, stage.where(name))) or 'nowhere'}" for name in ("server.py", "model.json")
        ]
        expect(beside, told, got="; ".join(places))

    @case("the image names the port that the service listens on")
    def exposes(self, answer: Answer, rng: np.random.Generator) -> None:
        _, read = self._read(answer)
        told = f"The service listens on port {PORT}: say so with EXPOSE."
        expect(
            str(PORT) in read.final.ports, told, got=f"EXPOSE {' '.join(read.final.ports)}", expected=f"EXPOSE {PORT}"
        )

    @case("it builds without a network, and what it serves is right")
    def serves(self, answer: Answer, rng: np.random.Generator) -> None:
        text, _ = self._read(answer)
        scope = self.scope(answer)
        seed = int(rng.integers(1, 1000))
        project = screening_service(seed)
        image = self.image(answer, text, read_dockerfile(text, project), project)
        with running(scope, image, env=LOG) as container:
            expect_scores(container, seed)


class Cache(InEngine):
    id = "cache"
    title = "Let a change of code reinstall nothing"
    names = ("cached_dockerfile",)
    points = 3.0
    hints = (
        "The builder takes a line from its cache as long as nothing before it has changed. A COPY has changed if one "
        "of the files that it copies has.",
        "What changes seldom stands above what changes often. Which files does pip need? Is server.py one of them?",
        "Copy requirements.txt and wheels, run pip, and only then copy the rest.",
    )

    def _read(self, answer: Answer) -> tuple[str, Dockerfile]:
        return installing(answer, "cached_dockerfile", screening_service())

    @case("after a change of server.py or model.json pip is not run again", weight=3)
    def keeps(self, answer: Answer, rng: np.random.Generator) -> None:
        _, read = self._read(answer)
        for changed in ("server.py", "model.json"):
            again = read.again(changed)
            for stage in read.stages:
                for step, _, _ in stage.installs():
                    first = again[0].instruction.line if again else ""
                    told = f"A change of {changed} makes pip install everything again: `{first}` stands before it."
                    expect(step not in again, told, f"change {changed}", got=f"again: {step.instruction.line}")

    @case("after a change of requirements.txt pip is run again")
    def notices(self, answer: Answer, rng: np.random.Generator) -> None:
        _, read = self._read(answer)
        again = read.again("requirements.txt")
        steps = [step for stage in read.stages for step, _, _ in stage.installs()]
        told = "A change of requirements.txt changes nothing for pip: the image would keep the old packages."
        expect(
            any(step in again for step in steps), told, "change requirements.txt", got="pip's line comes from the cache"
        )

    @case("built twice with a change of code between, pip's line comes from the cache and the new code serves")
    def rebuilds(self, answer: Answer, rng: np.random.Generator) -> None:
        text, read = self._read(answer)
        scope = self.scope(answer)
        project = screening_service()
        self.image(answer, text, read, project)
        release = f"r-{uuid.uuid4().hex[:12]}"  # never drawn twice, or the builder would know the change already
        second = build(scope, text, read, screening_service(release=release))
        ran = [step for step in second.steps if not step.cached and _is_install(step.instruction, text, project)]
        told = "server.py has changed, and pip installed everything again."
        expect(
            not ran,
            told,
            "docker build, change server.py, docker build",
            got=", ".join(step.instruction for step in ran),
        )
        with running(scope, second, env=LOG) as container:
            ((_, body),) = ask(container, [get("/health")])
        got = body.get("release") if isinstance(body, dict) else body
        expect(got == release, "The new server.py is not what serves.", "GET /health", got=got, expected=release)

    @case("with another version in requirements.txt, that version is installed")
    def upgrades(self, answer: Answer, rng: np.random.Generator) -> None:
        text, _ = self._read(answer)
        scope = self.scope(answer)
        version = f"1.{int(rng.integers(3, 40))}.0"
        project = screening_service(matchwords=version)
        image = build(scope, text, read_dockerfile(text, project), project)
        with running(scope, image, env=LOG) as container:
            ((_, body),) = ask(container, [get("/health")])
        got = body.get("matchwords") if isinstance(body, dict) else body
        told = f"requirements.txt asks for matchwords {version}."
        expect(got == version, told, "GET /health", got=got, expected=version)


def _is_install(instruction: str, text: str, project: dict[str, bytes]) -> bool:
    """Whether a step that the builder reports is one of pip's."""
    if not instruction.upper().startswith("RUN "):
        return False
    try:
        step = read_dockerfile(f"FROM python:3.11-slim\n{instruction}\n", project)
    except Wrong:
        return False
    return any(True for stage in step.stages for _ in stage.installs())
