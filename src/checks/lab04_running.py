"""Lab 04: an image whose containers run with as little as possible, say how they are, and stop when asked to."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath as Path

import numpy as np

from checks.lab04_dockerfile import Dockerfile, Instruction, json_list, read_dockerfile, split_commands
from checks.lab04_engine import InEngine, expect_scores, running
from checks.lab04_images import LOG, expect_starts, installing
from labkit.answer import Answer
from labkit.exercise import case, expect
from lessonkit.engine_scope import Container
from lessonkit.shipping import screening_service

NOTICED_S = 60.0
LEAST_S = 0.5
STOP_S = 3
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
SHELLS = ("sh", "bash", "dash")
NOT_IN_THE_IMAGE = ("curl", "wget", "nc", "netcat", "http")
WELL_S, ILL_S = 30.0, 10.0  # how long a health check may take here: a busy machine must not make it ill


def seconds(text: str, where: str) -> float:
    """A duration such as 1m30s; Wrong if it is none."""
    parts = DURATION.findall(text)
    whole = "".join(number + unit for number, unit in parts) == text
    expect(parts and whole, "This is no duration: write it as `5s` or `1m30s`.", where, got=text)
    return sum(float(number) * UNITS[unit] for number, unit in parts)


def health_command(instruction: Instruction) -> list[str]:
    """The words of a HEALTHCHECK's command; those of its shell form as they stand."""
    kind, _, rest = instruction.rest.partition(" ")
    cmd = "HEALTHCHECK takes its options, then CMD and a command."
    expect(kind.upper() == "CMD" and rest.strip(), cmd, got=instruction.line)
    return json_list(rest.strip()) or rest.split()


def _is_server(argv: list[str]) -> bool:
    """Whether a command makes the server process 1: no shell stands before it, or one that hands its place over."""
    if Path(argv[0]).name not in SHELLS:
        return True
    takes_script = len(argv) > 2 and argv[1].startswith("-") and argv[1].endswith("c")  # -c, -ec, -lc
    script = argv[2] if takes_script else ""
    commands = list(split_commands(script))
    return bool(commands) and commands[-1][0] == "exec"


class Guard(InEngine):
    id = "guard"
    title = "Run with as little as possible, and say how you are"
    names = ("guarded_dockerfile",)
    points = 3.0
    hints = (
        "USER takes a number, such as 10001. It needs no account: the files are readable for everybody. Let it stand "
        "below pip, which writes where only root may.",
        "ENV sets the variable that server.py reads as `LOG_FOLDER`. On a read-only root /tmp is the place to write.",
        "The image has no curl. Python asks as well: `urllib.request.urlopen(address, timeout=2)` raises an error, and "
        "so ends with exit code 1, if the answer is no success or does not come.",
    )

    def _read(self, answer: Answer) -> tuple[str, Dockerfile]:
        text, read = installing(answer, "guarded_dockerfile", screening_service())
        expect_starts(read.final)
        return text, read

    @case("it runs as a user that is a number, and not 0")
    def user(self, answer: Answer, rng: np.random.Generator) -> None:
        _, read = self._read(answer)
        user = read.final.user
        expect(user, "Nothing says as whom to run: that is root.", got="no USER", expected="USER 10001")
        name = user.partition(":")[0]
        number = (
            "A name is looked up in the image's own list of users. What starts the container cannot know that it is "
            "not root, and Kubernetes refuses it for that: give the number."
        )
        expect(name.isdecimal(), number, got=f"USER {user}", expected="USER 10001")
        expect(int(name) != 0, "User 0 is root.", got=f"USER {user}", expected="USER 10001")

    @case("the log goes to a folder below /tmp")
    def log(self, answer: Answer, rng: np.random.Generator) -> None:
        _, read = self._read(answer)
        folder = read.final.env.get("LOG_FOLDER", "")
        told = "The root is read-only, and /tmp is the one place to write: ENV LOG_FOLDER says where."
        below = Path(folder).is_relative_to("/tmp")
        expect(folder and below, told, got=f"LOG_FOLDER={folder}" if folder else "LOG_FOLDER is not set")

    @case("it has a health check that the image can run, and that notices within a minute")
    def check(self, answer: Answer, rng: np.random.Generator) -> None:
        _, read = self._read(answer)
        found = read.final.healthcheck
        expect(found, "There is no HEALTHCHECK: nobody asks how the service is.", got="no HEALTHCHECK")
        assert found is not None
        command = health_command(found)
        lacks = f"The image has no {Path(command[0]).name}: the check would fail for ever. Python is there."
        expect(Path(command[0]).name not in NOT_IN_THE_IMAGE, lacks, got=found.line)
        given = {name: found.flag(name) for name in ("interval", "timeout", "retries")}
        interval, timeout = (
            (seconds(given[name][0], found.line) if given[name] else 0) or 30.0  # to the engine 0 is: the default
            for name in ("interval", "timeout")
        )
        retries = given["retries"][0] if given["retries"] else "3"
        expect(retries.isdecimal(), "--retries takes a number.", got=found.line)
        times = int(retries) or 3
        hasty = f"Within {timeout:g} s Python has hardly started: a service that is well would be called ill."
        expect(timeout >= LEAST_S, hasty, got=found.line, expected="--timeout=3s")
        longest = (interval + timeout) * times
        sums = f"({interval:g} s + {timeout:g} s) x {times} = {longest:g} s; 30 s, 30 s and 3 where nothing is given"
        told = f"A service that hangs would be noticed after {longest:g} s only."
        expect(longest <= NOTICED_S, told, got=sums, expected=f"at most {NOTICED_S:g} s")

    @case("with a read-only root, without capabilities, it serves as that user")
    def serves(self, answer: Answer, rng: np.random.Generator) -> None:
        text, _ = self._read(answer)
        scope = self.scope(answer)
        seed = int(rng.integers(1, 1000))
        project = screening_service(seed)
        image = self.image(answer, text, read_dockerfile(text, project), project)
        with running(scope, image) as container:
            expect_scores(container, seed)
            status = container.exec("python", "-c", "print(open('/proc/1/status').read())").stdout
        users = next((line.split()[1:] for line in status.splitlines() if line.startswith("Uid:")), ["0"])
        expect("0" not in users, "Process 1 runs as root.", "docker exec", got=f"user ids {', '.join(users)}")

    @case("its health check is content, and no longer once the service hangs")
    def hangs(self, answer: Answer, rng: np.random.Generator) -> None:
        text, _ = self._read(answer)
        scope = self.scope(answer)
        project = screening_service()
        image = self.image(answer, text, read_dockerfile(text, project), project, key="hangs")
        check = image.config.get("Healthcheck") or {}
        expect(check.get("Test"), "The image has no health check.", tried="docker inspect", got="no Healthcheck")
        with running(scope, image) as container:
            expect_scores(container, 0)
            well, said = look(container, check["Test"], WELL_S)
            ill = "The service serves, and the check finds it ill: it would be restarted again and again."
            expect(well, ill, tried="the health check, run in the container", got=said, expected="exit code 0")
            container.kill("STOP")  # the process is there, its port is open, and it does nothing any more
            well, said = look(container, check["Test"], ILL_S)
            blind = (
                "The service hangs, and the check still calls it healthy. It must ask the service for an answer: the "
                "process is alive, and its port is open."
            )
            tried = "docker kill --signal STOP, then the health check"
            expect(not well, blind, tried=tried, got=said, expected="another exit code than 0, or none in time")


def look(container: Container, test: Sequence[str], patience_s: float) -> tuple[bool, str]:
    """Run a health check in the container as the engine would: whether it is content, and what it said."""
    kind, *words = test
    command = ["/bin/sh", "-c", *words] if kind == "CMD-SHELL" else words
    try:
        done = container.exec(*command, timeout_s=patience_s)
    except TimeoutError:
        return False, f"no answer within {patience_s:g} s"
    return done.returncode == 0, f"exit code {done.returncode}: {done.last_line[:200]}"


class Stop(InEngine):
    id = "stop"
    title = "Stop when asked to"
    names = ("stopping_dockerfile",)
    points = 2.0
    hints = (
        "Who is process 1? In the shell form it is /bin/sh, and Python is its child, which is told nothing.",
        "`docker stop` sends SIGTERM unless the image names another signal. Which one does server.py listen to?",
        "STOPSIGNAL is the instruction, and its value the name of the signal that Ctrl-C sends.",
    )

    def _read(self, answer: Answer) -> tuple[str, Dockerfile]:
        return installing(answer, "stopping_dockerfile", screening_service())

    @case("process 1 is the server")
    def first(self, answer: Answer, rng: np.random.Generator) -> None:
        _, read = self._read(answer)
        argv = expect_starts(read.final)
        told = (
            "Process 1 is a shell again, and the server its child, which is told nothing. `exec` before the command "
            "would hand the place over."
        )
        expect(_is_server(argv), told, got=str(argv))

    @case("`docker stop` sends a signal that the server listens to")
    def signal(self, answer: Answer, rng: np.random.Generator) -> None:
        _, read = self._read(answer)
        found = read.final.stopsignal
        told = "server.py stops when it is interrupted (SIGINT), and listens to no other signal."
        expect(found.upper() in ("SIGINT", "INT", "2"), told, got=found or "SIGTERM, as nothing else is said")

    @case("asked to stop, it ends by itself, with exit code 0, and is not killed")
    def stops(self, answer: Answer, rng: np.random.Generator) -> None:
        text, read = self._read(answer)
        scope = self.scope(answer)
        project = screening_service()
        image = self.image(answer, text, read, project)
        with running(scope, image, env=LOG) as container:
            expect_scores(container, 0)
            code, _, killed = container.stop(STOP_S)
            logs = container.logs()
        tried = f"docker stop --time {STOP_S}"
        late = "It did not stop when asked to, and was killed: requests that were being answered are lost."
        expect(not killed, late, tried, got=f"exit code {code}, that is 128 + SIGKILL", expected="exit code 0")
        expect(code == 0, "It stopped with an error.", tried, got=f"exit code {code}", expected="exit code 0")
        last = "It ended without its last line: it did not come to its own end."
        expect("stopped" in logs, last, tried, got=logs[-200:], expected="stopped")
