"""Rehearse a GitHub workflow: its real commands in a real shell, with stand-ins for what they call.

    seen = rehearse(text, fails="pipeline validate")
    seen["jobs"]    # {"deliver": "failure"}
    seen["calls"]   # [{"line": "python -m flight_delays pipeline test", "job": "deliver", "secret": False}, ...]

Which job and step runs is decided as GitHub decides it: events and branches, `needs`, `if`, `continue-on-error`, the
shell with its options. What is not known here (matrix, services, reusable workflows) is refused. It is no runner:
nothing is downloaded, and an action does nothing but what is written in `rehearsal_job`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lessonkit import standins
from lessonkit.rehearsal_job import JobRun, Run, Stage, put, told, understood
from lessonkit.workflow_expressions import holds
from lessonkit.workflow_text import NotRehearsed, load, starts, texts

SECRET = "k3y-of-the-service"
FILES = {
    "pipeline.toml": "as_of = 2013-07-31\n",
    "requirements.lock": "flight-delays==1.0\n",
    "Dockerfile": "FROM scratch\n",
    "tests/test_model.py": "def test_model(): ...\n",
}


class NoShell(RuntimeError):
    """There is no bash on this machine."""


def rehearse(
    text: str, event: str = "push", branch: str = "main", fails: str = "", files: Mapping[str, str] = FILES
) -> dict[str, Any]:
    """Run a workflow for one event.

    Args:
        event: `push`, `pull_request`, `schedule` or `workflow_dispatch`.
        branch: the one pushed to; a pull request comes from it and goes to main.
        fails: the command whose line contains this text fails; "" for none.
        files: what a checkout brings.

    Returns:
        `started` (bool), `jobs` {job: result}, `calls` [{line, job, secret}], `green` (bool), and `said`, the last
        lines of each step that failed. Every secret that the workflow asks for has the value SECRET.

    Raises:
        NotRehearsed: the text is no workflow, or one that is not understood here.
        NoShell: there is no bash.
    """
    workflow = load(text)
    base = "main" if event == "pull_request" else branch
    if not starts(workflow.get("on"), event, base):
        return {"started": False, "jobs": {}, "calls": [], "green": True, "said": []}
    with _stage(fails) as stage:
        run = Run(workflow, stage, _github(event, branch), dict(files))
        _all_jobs(run)
        return {
            "started": True,
            "jobs": run.results,
            "calls": run.calls,
            "green": "failure" not in run.results.values(),
            "said": run.said,
        }


def rehearse_script(text: str, fails: str = "", files: Mapping[str, str] = FILES) -> dict[str, Any]:
    """Run a shell script with `bash FILE` in a checkout, everything installed: `calls`, `code` and `said`."""
    with _stage(fails) as stage:
        put(files, stage.folder / "work")
        (stage.folder / "job").mkdir()
        (stage.folder / "job/installed").touch()
        code, said = stage.run(["bash"], text, stage.folder / "work", {"REHEARSAL_JOB": str(stage.folder / "job")})
        return {"calls": [told(call, "") for call in stage.new_calls()], "code": code, "said": said}


@contextmanager
def _stage(fails: str) -> Iterator[Stage]:
    if not standins.shell():
        raise NoShell("bash was not found on this machine, so the commands cannot be run")
    with tempfile.TemporaryDirectory(prefix="rehearsal-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        (folder / "work").mkdir()
        standins.write(folder / "bin", folder / "log", secret=SECRET, fails=fails)
        yield Stage(folder)


def _all_jobs(run: Run) -> None:
    jobs: dict[str, dict[str, Any]] = run.workflow["jobs"]
    needs = {str(name): texts(job.get("needs")) for name, job in jobs.items()}
    for name, wanted in needs.items():
        unknown = [one for one in wanted if one not in needs]
        if unknown:
            raise NotRehearsed(f"job {name} needs {unknown[0]}, and there is no such job")
    while len(run.results) < len(jobs):
        ready = [name for name in needs if name not in run.results and set(needs[name]) <= set(run.results)]
        if not ready:
            raise NotRehearsed("the jobs need each other in a circle")
        _job(run, ready[0], jobs[ready[0]], needs)


def _above(name: str, needs: Mapping[str, list[str]]) -> set[str]:
    found: set[str] = set()
    for one in needs[name]:
        found |= {one} | _above(one, needs)
    return found


def _job(run: Run, name: str, job: dict[str, Any], needs: Mapping[str, list[str]]) -> None:
    for key in ("strategy", "uses", "services", "container"):
        if key in job:
            raise NotRehearsed(f"job {name}: `{key}` is not known to this rehearsal")
    before = [run.results[one] for one in needs[name]]
    above = _above(name, needs)
    functions = {
        "success": lambda: all(result == "success" for result in before),
        "failure": lambda: "failure" in [run.results[one] for one in above],
        "always": lambda: True,
        "cancelled": lambda: False,
    }
    contexts = _contexts(run)
    contexts["needs"] = {one: {"result": run.results[one], "outputs": run.outputs.get(one, {})} for one in needs[name]}
    if not understood(f"job {name}", lambda: holds(job.get("if"), contexts, functions)):
        run.results[name] = "skipped"
        return
    steps = job.get("steps")
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise NotRehearsed(f"job {name}: `steps` must be a list of mappings")
    run.results[name] = JobRun(run, name, job, contexts, above).run(steps)


def _contexts(run: Run) -> dict[str, Any]:
    names = {"job": {"status": "success"}, "runner": {"os": "Linux", "temp": "/tmp"}, "vars": {}, "inputs": {}}
    empty: dict[str, Any] = {"needs": {}, "steps": {}, "env": {}, "matrix": {}, "strategy": {}}
    return {"github": run.github, "secrets": secret_of, **names, **empty}


def secret_of(name: str) -> str:
    """Every secret is there, and all have one value, so that it is recognised. The token is GitHub's own."""
    return "token" if name.upper() == "GITHUB_TOKEN" else SECRET


def _github(event: str, branch: str) -> dict[str, Any]:
    pull = event == "pull_request"
    return {
        "event_name": event,
        "ref": "refs/pull/7/merge" if pull else f"refs/heads/{branch}",
        "ref_name": "7/merge" if pull else branch,
        "ref_type": "branch",
        "head_ref": branch if pull else "",
        "base_ref": "main" if pull else "",
        "sha": "1f" * 20,
        "repository": "flights/service",
        "repository_owner": "flights",
        "actor": "somebody",
        "workflow": "pipeline",
        "run_id": "1",
        "run_number": "1",
        "token": "token",
        "event": {"repository": {"default_branch": "main"}, "ref": f"refs/heads/{branch}"},
    }
