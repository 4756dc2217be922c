"""Lab 04: what is built and run in a container engine, on the side of the check and under limits.

The learner's text is the only thing here that nobody has read. It is built without a network and without any
base image or program that would be fetched, within a time limit; what it makes runs without a network and without
capabilities, with a read-only root, and with little memory, few processes and one core. All of it carries the
label of a scope, which removes it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from checks.lab04_dockerfile import Dockerfile
from labkit.answer import Answer, CannotTry, Wrong
from labkit.exercise import Exercise, Report, expect
from lessonkit import inside
from lessonkit.engine import BuildFailed, EngineError, NoEngine, find_engine
from lessonkit.engine_build import Image
from lessonkit.engine_scope import Container, Scope
from lessonkit.inside import Reply, Request, post
from lessonkit.screener import matchwords
from lessonkit.shipping import BASE, PORT, Project, draw_skills, model

BUILD_S = 60.0
END_S = 3.0
BUILD_MB, RUN_MB = 512, 128
LIMITS: dict[str, Any] = {
    "read_only": True,
    "tmpfs": ["/tmp:size=16m"],
    "drop_capabilities": True,
    "memory_mb": RUN_MB,
    "pids": 64,
    "cpus": 1.0,
    "network": "none",
}
OPTIONS = ("--log-opt", "max-size=1m", "--ulimit", "nofile=256:256")


class InEngine(Exercise):
    """An exercise some of whose cases build and run what the answer gives. All of it is gone after the check."""

    _scope: Scope | None = None

    def judge(self, answer: Answer, seed: int = 0) -> Report:
        with contextlib.ExitStack() as self._open:
            self._built: dict[object, Image | Wrong] = {}
            self._scope = None
            return super().judge(answer, seed)

    def scope(self, answer: Answer) -> Scope:
        """Where to build and run; CannotTry where that is not to be or not possible."""
        answer.need("engine")
        if self._scope is None:
            try:
                engine = find_engine()
            except NoEngine as none:
                raise CannotTry(str(none)) from none
            if not engine.has_image(BASE):
                raise CannotTry(f"{BASE} is not on this machine yet: `{engine.name} pull {BASE}` fetches it.")
            self._scope = self._open.enter_context(_removing(engine.scope()))
        return self._scope

    def image(
        self,
        answer: Answer,
        text: str,
        read: Dockerfile,
        project: Project,
        *,
        key: object = "",
        ignore: str = "",
        secrets: Mapping[str, str] | None = None,
    ) -> Image:
        """The image that a Dockerfile makes of a project; built once for each `key`. Wrong if it cannot be built."""
        scope = self.scope(answer)
        if key not in self._built:
            try:
                self._built[key] = build(scope, text, read, project, ignore=ignore, secrets=secrets)
            except Wrong as wrong:
                self._built[key] = wrong
        found = self._built[key]
        if isinstance(found, Wrong):
            raise found
        return found


@contextlib.contextmanager
def _removing(opened: contextlib.AbstractContextManager[Scope]) -> Iterator[Scope]:
    """A scope whose end cannot spoil a report: what an engine did not remove at once, its guard tries again."""
    with contextlib.suppress(EngineError, TimeoutError), opened as scope:
        yield scope


def build(
    scope: Scope,
    text: str,
    read: Dockerfile,
    project: Project,
    *,
    ignore: str = "",
    secrets: Mapping[str, str] | None = None,
) -> Image:
    """Build without a network and within the limits; Wrong if that fails."""
    context = {**project, "Dockerfile": text.encode(), ".dockerignore": ignore.encode()}
    try:
        return scope.build(
            context,
            _apart(text, read, scope.value),
            secrets=secrets,
            network="none",
            memory_mb=BUILD_MB,
            timeout_s=BUILD_S,
        )
    except BuildFailed as failed:
        said = " ".join(line.strip() for line in failed.lines[-3:])
        raise Wrong("The build stopped.", tried=failed.step, got=said[-400:]) from failed
    except TimeoutError as late:
        raise Wrong(f"The build took longer than {BUILD_S:.0f} s and was stopped.", tried="docker build") from late


def _apart(text: str, read: Dockerfile, value: str) -> str:
    """The text with cache mounts that belong to this check alone: the builder would share them between learners."""
    for _, step in read.steps():
        for flag in step.instruction.flags:
            if flag.startswith("--mount=") and "type=cache" in flag.split("=", 1)[1].split(","):
                text = text.replace(flag, f"{flag},id={value}-{abs(hash(flag))}")
    return text


@contextlib.contextmanager
def running(scope: Scope, image: Image, *, options: Sequence[str] = (), **how: Any) -> Iterator[Container]:
    """A container of the image under limits, removed after the block. Wrong if it cannot be started."""
    try:
        container = scope.start(image, options=[*OPTIONS, *options], **{**LIMITS, **how})
    except EngineError as error:
        raise Wrong("The container could not be started.", got=str(error)[-300:]) from error
    try:
        yield container
    finally:
        with contextlib.suppress(EngineError, TimeoutError):
            container.remove()


def ask(container: Container, requests: Sequence[Request], port: int = PORT) -> list[Reply]:
    """Send requests from inside the container. Wrong if nothing answers."""
    try:
        return inside.ask(container, requests, port)
    except (inside.NoAnswer, TimeoutError) as silent:
        with contextlib.suppress(EngineError, TimeoutError):
            container.wait(END_S)  # one that has just failed may not have ended yet
        state = container.state()
        logs = " ".join(container.logs().strip().splitlines()[-2:])[-400:]
        if not state.running:
            told = f"The container ended with exit code {state.exit_code} soon after its start."
            raise Wrong(told, tried="docker run", got=logs or "it printed nothing") from silent
        raise Wrong(
            "The container runs, and the service in it does not answer.",
            tried=f"a request to port {port} from inside the container",
            got=f"{silent}{'. Its last lines: ' if logs else ''}{logs}"[:400],
        ) from silent


def expect_scores(container: Container, seed: int, headers: Mapping[str, str] | None = None) -> None:
    """Raise Wrong unless the service in the container gives candidates the scores of the model with this seed."""
    weights = model(seed)["weights"]
    candidates = draw_skills(seed + 1, 3)
    replies = ask(container, [post("/score", {"skills": skills}, headers) for skills in candidates])
    for skills, (status, body) in zip(candidates, replies, strict=False):
        wanted = f"{matchwords.score(skills, weights):.4f}"
        tried = f"POST /score {json.dumps({'skills': skills})}"
        found = body.get("score") if isinstance(body, dict) else None
        told = "The service answers, and not with the score of the model in the project."
        expect(status == 200 and found == wanted, told, tried, got=f"{status} {body}"[:200], expected=f"200, {wanted}")
