"""Lab 05, exercise 6: a workflow, parsed, and rehearsed with its own commands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from checks.lab05_data import SETUP
from labkit.answer import Answer, CannotTry, Wrong
from labkit.exercise import Exercise, case, expect
from labkit.values import show
from lessonkit.rehearsal import SECRET
from lessonkit.standins import STAGES
from lessonkit.workflow_text import NotRehearsed, load

PINNED = re.compile(r"[^@\s]+@[0-9a-f]{40}")
COMMITS = {
    "08c6903cd8c0fde910a37f88322edcfb5dd907a8": "actions/checkout",
    "e797f83bcb11b83ae66e0230d6156d7c80228e7c": "actions/setup-python",
}
READING = {"contents": "read"}


def text_of(answer: Answer, name: str) -> str:
    """The text that a function of the answer gives, or Wrong."""
    result = answer.call(name)
    expect(isinstance(result.value, str), f"`{name}` gives a text.", result, expected="a text")
    return str(result.value)


def parsed(text: str, tried: str) -> dict[str, Any]:
    """The workflow as data, or Wrong."""
    try:
        return load(text)
    except NotRehearsed as error:
        raise Wrong(f"GitHub could not run this: {error}.", tried=tried, got=show(text)) from error


def rehearsed(answer: Answer, what: str, text: str, tried: str, **scene: Any) -> dict[str, Any]:
    """What a rehearsal saw. The commands run on the answer's side, in a process that no answer has touched."""
    result = answer.untouched().attempt(what, text, **scene)
    if result.error:
        if "NoShell" in result.error.kinds:
            raise CannotTry("bash was not found on this machine, and the commands are run with it.")
        if "NotRehearsed" in result.error.kinds:
            raise Wrong(f"This cannot be run: {result.error.message}.", tried=tried)
        raise Wrong("The rehearsal stopped with an error.", tried=tried, got=result.got)
    expect(isinstance(result.value, dict), SETUP.format(name=what), tried, got=result.got)
    return dict(result.value)


def lines(seen: dict[str, Any]) -> list[str]:
    """The commands that were called."""
    return [str(call["line"]) for call in seen["calls"]]


def stages_of(seen: dict[str, Any]) -> list[str]:
    """The stages of the pipeline that were called, in order."""
    return [stage for line in lines(seen) if (stage := stage_of(line))]


def stage_of(line: str) -> str:
    words = line.split()
    known = [word for word in words if word in STAGES]
    return known[0] if "flight_delays" in words and known else ""


def told(seen: dict[str, Any]) -> str:
    """What happened, in a line."""
    called = " → ".join(stages_of(seen)) or "no stage was called"
    colour = ("green" if seen["green"] else "red") if seen["started"] else "not started"
    return f"{colour}; {called}" + (f"; {seen['said'][-1]}" if seen["said"] else "")


def jobs_of(workflow: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from workflow["jobs"].items()


def expect_least_rights(workflow: dict[str, Any], tried: str) -> None:
    """Raise Wrong unless every job's token can do no more than read the code."""
    above = workflow.get("permissions")
    for name, job in jobs_of(workflow):
        given = job.get("permissions", above)
        where = f"job {name}: permissions: {show(given)}"
        told_ = (
            "Nothing is said of `permissions`, so the token may do what the repository's settings allow, which in many "
            "is to write. Say what is needed: `contents: read`."
        )
        expect(given is not None, told_, tried, got=where, expected="contents: read")
        told_ = "The token of a job that somebody takes over can do all of this. These jobs need to read the code."
        mapping = isinstance(given, dict)
        expect(mapping and "write" not in map(str, given.values()), told_, tried, got=where, expected="contents: read")
        enough = given.get("contents") == "read"
        told_ = "Without `contents: read` a checkout of a private repository fails."
        expect(enough, told_, tried, got=where, expected="contents: read")


def expect_pinned(workflow: dict[str, Any], tried: str) -> None:
    """Raise Wrong unless every action is named by the SHA of a commit."""
    for name, job in jobs_of(workflow):
        for step in job.get("steps") or []:
            used = step.get("uses") if isinstance(step, dict) else None
            if used is None or str(used).startswith("./"):
                continue
            told_ = (
                "A tag or a branch can be moved to other code by whoever owns the action, or has taken it over. The "
                "40 digits of a commit cannot."
            )
            fixed = PINNED.fullmatch(str(used))
            expect(fixed, told_, tried, got=f"job {name}: uses: {used}", expected="owner/action@40 digits")
            action, _, commit = str(used).partition("@")
            owner = COMMITS.get(commit, action)
            told_ = f"This is a commit of another action, {owner}: GitHub would not find it."
            expect(owner == action, told_, tried, got=f"job {name}: uses: {used}", expected=f"{owner}@{commit}")


class Workflow(Exercise):
    id = "workflow"
    title = "Call the stages in order, and stop"
    names = ("workflow",)
    points = 3.0
    hints = (
        "One job is enough: `runs-on: ubuntu-latest` and `steps`, first the two actions, then `pip install -r "
        "requirements.lock`, then a step for each stage. A step that fails ends the job, with no line of yours.",
        "`on:` names two events: `push` with `branches: [main]`, and `pull_request`. The last two steps get an `if:` "
        "of their own: `github.event_name == 'push' && github.ref == 'refs/heads/main'`, without `${{ }}`.",
        "`permissions: {contents: read}` at the top. `env:` below the deploy step alone: a secret in the environment "
        "of the job is seen by every package that the tests import.",
    )

    def _see(self, answer: Answer, **scene: Any) -> tuple[dict[str, Any], str]:
        tried = ", ".join(f"{key} {value}" for key, value in scene.items()) or "a push to main"
        text = text_of(answer, "workflow")
        return rehearsed(answer, "rehearse", text, tried, **scene), tried

    @case("a push to main runs all six stages, in order, and ends green", weight=2)
    def delivers(self, answer: Answer, rng: np.random.Generator) -> None:
        seen, tried = self._see(answer)
        expect(seen["started"], "A push to main starts nothing: see `on`.", tried, got=told(seen))
        order = " → ".join(STAGES)
        message = "Not each of the six stages was called once and in order."
        if not seen["green"]:
            message = "Nothing is wrong with this commit, and the run is red."
        elif "run" in " ".join(lines(seen)).split():
            message = "`pipeline run` is one step for all. With a step for each stage the page says which one failed."
        expect(stages_of(seen) == list(STAGES) and seen["green"], message, tried, got=told(seen), expected=order)
        for name, job in jobs_of(parsed(text_of(answer, "workflow"), "workflow()")):
            for step in job.get("steps") or []:
                found = re.findall(r"pipeline\s+(\w+)", str(step.get("run", "")))
                message = "Several stages stand in one step. With a step for each the page says which one failed."
                expect(len(found) < 2, message, "workflow()", got=f"job {name}: {', '.join(found)} in one step")

    @case("a stage that fails is the last one, and the run is red", weight=2)
    def stops(self, answer: Answer, rng: np.random.Generator) -> None:
        text = text_of(answer, "workflow")
        for place, stage in enumerate(STAGES):
            seen = rehearsed(answer, "rehearse", text, f"{stage} fails", fails=f"pipeline {stage}")
            wanted = list(STAGES[: place + 1])
            message = f"{stage} failed, and the run went on." if stages_of(seen) != wanted else ""
            if not message and seen["green"]:
                message = f"{stage} failed, and the run is green. Nobody looks at a green run."
            if stages_of(seen)[: place + 1] != wanted:
                message = f"{stage} was to fail here, and it was not called after all those before it."
            expect(not message, message, f"{stage} fails", got=told(seen), expected=f"red; {' → '.join(wanted)}")
        seen = rehearsed(answer, "rehearse", text, "pip install fails", fails="pip install")
        message = "What is needed could not be installed, and stages were called."
        expect(not stages_of(seen) and not seen["green"], message, "pip install fails", got=told(seen), expected="red")

    @case("a pull request is tested and judged, and never deployed", weight=2)
    def pulls(self, answer: Answer, rng: np.random.Generator) -> None:
        seen, tried = self._see(answer, event="pull_request", branch="better-model")
        message = "A pull request starts nothing. Then its author hears of a failing test after the merge."
        expect(seen["started"], message, tried, got=told(seen), expected="test → train → validate")
        found = stages_of(seen)
        message = "A pull request deploys. It is somebody's proposal, not yet a decision."
        expect("deploy" not in found, message, tried, got=told(seen), expected="no deploy")
        message = "Nothing has been deployed, so there is nothing to monitor in a pull request."
        expect("monitor" not in found, message, tried, got=told(seen), expected="no monitor")
        message = "A pull request is to run test, train and validate, and be green."
        right = found[:3] == list(STAGES[:3]) and set(found) <= set(STAGES[:4]) and seen["green"]
        expect(right, message, tried, got=told(seen), expected="green; test → train → validate")
        for stage in STAGES[:3]:
            seen, tried = self._see(answer, event="pull_request", branch="better-model", fails=f"pipeline {stage}")
            message = f"{stage} failed in a pull request, and the run is green: somebody merges it."
            expect(not seen["green"], message, tried, got=told(seen), expected="red")

    @case("a push to another branch does not deploy")
    def branches(self, answer: Answer, rng: np.random.Generator) -> None:
        for branch in ("try-something", "main-2", "not-main"):
            seen, tried = self._see(answer, branch=branch)
            message = f"A push to {branch} deploys. Only main does."
            expect("deploy" not in stages_of(seen), message, tried, got=told(seen), expected="no deploy")
        seen, tried = self._see(answer)
        expect("deploy" in stages_of(seen), "And main does not deploy.", tried, got=told(seen), expected="deploy")

    @case("the secret is seen by deploy, and by nobody who does not need it", weight=2)
    def secrets(self, answer: Answer, rng: np.random.Generator) -> None:
        seen, tried = self._see(answer)
        shown = [str(call["line"]) for call in seen["calls"] if SECRET in call["line"]]
        message = (
            "The key stands in a command line, where every process of the machine and many a log can read it. Put it "
            "into `env:`."
        )
        expect(not shown, message, tried, got=shown[0].replace(SECRET, "***") if shown else "")
        with_secret = [str(call["line"]) for call in seen["calls"] if call["secret"]]
        too_many = [line for line in with_secret if stage_of(line) not in ("deploy", "monitor")]
        message = (
            "The key is in the environment of a command that does not need it. Whatever package that loads can read "
            "it, too. Put `env:` below the step that deploys."
        )
        expect(not too_many, message, tried, got=f"seen by: {'; '.join(too_many[:3])}", expected="deploy alone")
        message = "`deploy` has no key in its environment: `PIPELINE_SERVICE_KEY: ${{ secrets.SERVICE_KEY }}`."
        had = any(stage_of(line) == "deploy" for line in with_secret)
        expect(had, message, tried, got=told(seen), expected="deploy with the key")
        seen, tried = self._see(answer, event="pull_request", branch="better-model")
        with_secret = [str(call["line"]) for call in seen["calls"] if call["secret"]]
        message = "Commands of a pull request see the key: its author can print it."
        expect(not with_secret, message, tried, got="; ".join(with_secret[:3]), expected="nobody")

    @case("the job's token may read the code, and nothing else")
    def rights(self, answer: Answer, rng: np.random.Generator) -> None:
        expect_least_rights(parsed(text_of(answer, "workflow"), "workflow()"), "workflow()")

    @case("every action is pinned")
    def pinned(self, answer: Answer, rng: np.random.Generator) -> None:
        expect_pinned(parsed(text_of(answer, "workflow"), "workflow()"), "workflow()")

    @case("it is one that GitHub takes")
    def form(self, answer: Answer, rng: np.random.Generator) -> None:
        workflow = parsed(text_of(answer, "workflow"), "workflow()")
        events = workflow.get("on")
        expect(events, "There is no `on`: nothing starts it.", "workflow()", got=", ".join(workflow))
        for name, job in jobs_of(workflow):
            expect("runs-on" in job, f"Job {name} names no machine: `runs-on`.", "workflow()", got=", ".join(job))
            steps = job.get("steps")
            message = f"Job {name}: `steps` is a list of mappings, each with `run` or `uses`."
            fine = isinstance(steps, list) and all(
                isinstance(step, dict) and ("run" in step) != ("uses" in step) for step in steps
            )
            expect(fine, message, "workflow()", got=show(steps))
