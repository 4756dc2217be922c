"""A CI file run on this machine: GitHub's by act, GitLab's by gitlab-ci-local, any by its commands in order.

What stands in for a part that is not here, and why:

- act finds four actions by their full name on the network. `--local-repository` gives it folders instead: setup-python
  does nothing, since the environment is there already; upload-artifact and download-artifact copy the folder to and
  from another one. checkout needs none: act works on a copy of the folder that it is started in, a clean checkout.
- gitlab-ci-local copies by rsync; where it is not installed `tests/ci_rsync.py` does what those calls ask.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import yaml

from lessonkit.ci_files import Step
from lessonkit.programs import find

from .ci_world import KEY, ROOT, Target, World, git

NODE_TOOLS = ROOT / ".ci-tools/node_modules/.bin"
PATIENCE_S = 600
COPY = "set -euo pipefail; mkdir -p {to}; cp -R {source}/. {to}/"
ACTIONS = {
    "actions/checkout": None,
    "actions/setup-python": "true",
    "actions/upload-artifact": COPY.format(source='"${{ inputs.path }}"', to='"$CI_TEST_ARTIFACTS/${{ inputs.name }}"'),
    "actions/download-artifact": COPY.format(
        source='"$CI_TEST_ARTIFACTS/${{ inputs.name }}"', to='"${{ inputs.path }}"'
    ),
}


@dataclass(frozen=True)
class Run:
    """How a run ended."""

    code: int
    output: str

    @property
    def green(self) -> bool:
        return self.code == 0


def act() -> Path | None:
    """The act of this machine."""
    found = find("act")
    return Path(found) if found else None


def node_tool(name: str) -> Path | None:
    """A tool of tests/ci_tools, if `course.py test` could install it."""
    found = shutil.which(name, path=str(NODE_TOOLS))
    return Path(found) if found and shutil.which("node") else None


def by_act(world: World, target: Target, checkout: Path, folder: Path) -> Run:
    """Run the workflow as GitHub does after a push, its jobs on this machine and not in containers."""
    workflow = checkout / ".github/workflows/pipeline.yml"
    variables = {"PIPELINE_SERVICE_URL": target.service.url, "MLFLOW_TRACKING_URI": target.tracking_uri}
    command = [str(act()), "push", "--workflows", str(workflow), "--platform", "ubuntu-24.04=-self-hosted"]
    command += [part for name, value in variables.items() for part in ("--var", f"{name}={value}")]
    command += ["--secret", "PIPELINE_SERVICE_KEY", "--no-cache-server", "--action-offline-mode"]
    command += [part for action in _local_actions(workflow, folder) for part in ("--local-repository", action)]
    command += ["--env", f"CI_TEST_ARTIFACTS={folder / 'artifacts'}"]
    return _run(command, checkout, world.environ(folder / "home") | {"PIPELINE_SERVICE_KEY": KEY})


def by_gitlab_ci_local(world: World, target: Target, checkout: Path, folder: Path) -> Run:
    """Run the pipeline as GitLab does after a push; the key is there for the environment `production` only."""
    home, tools = folder / "home", folder / "tools"
    environ = world.environ(home)
    tools.mkdir()
    if not shutil.which("rsync"):
        (tools / "rsync").write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "tests/ci_rsync.py"}" "$@"\n')
        (tools / "rsync").chmod(0o755)
    given = {"PIPELINE_SERVICE_URL": target.service.url, "MLFLOW_TRACKING_URI": target.tracking_uri}
    given |= {"PIPELINE_SERVICE_KEY": {"type": "variable", "values": {"production": KEY}}}
    (home / ".gitlab-ci-local").mkdir()
    (home / ".gitlab-ci-local/variables.yml").write_text(yaml.safe_dump({"global": given}), encoding="utf-8")
    # It wants to know the project's name from the address that the checkout came from.
    git(checkout, "remote", "set-url", "origin", "git@gitlab.example.org:course/flight-delays.git")
    command = [str(node_tool("gitlab-ci-local")), "--force-shell-executor", "--shell-isolation", "--home", str(home)]
    command += ["--no-json-schema-validation"]  # takes seconds, and check-jsonschema does it
    environ["PATH"] = os.pathsep.join([environ["PATH"], str(tools)])
    return _run(command, checkout, environ)


def by_its_commands(
    steps: Iterable[Step], key_for: Callable[[Step], bool], world: World, target: Target, checkout: Path, folder: Path
) -> Run:
    """Run commands that a CI file holds one after the other until one fails, as any of the systems does.

    Each gets the variables that the file gives it; the key is handed to those that `key_for` names. Here all jobs have
    one environment, so what is installed in each of them is installed once.
    """
    said: list[str] = []
    installed: set[str] = set()
    for step in steps:
        if step.command in installed:
            continue
        environ = world.environ(folder / "home") | dict(step.environment)
        environ |= {"PIPELINE_SERVICE_URL": target.service.url, "MLFLOW_TRACKING_URI": target.tracking_uri}
        if key_for(step):
            environ["PIPELINE_SERVICE_KEY"] = KEY
        run = _run(["bash", "-euo", "pipefail", "-c", step.command], checkout, environ)
        said.append(f"$ {step.command}\n{run.output}")
        if not run.green and not step.may_fail:
            return Run(run.code, "\n".join(said))
        if " -m pip install " in step.command:
            installed.add(step.command)
    return Run(0, "\n".join(said))


def _run(command: list[str], folder: Path, environ: dict[str, str]) -> Run:
    """Run a command with no input; whatever it started is ended with it if it takes too long."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=PATIENCE_S)
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise
    return Run(process.returncode, output)


def _local_actions(workflow: Path, folder: Path) -> list[str]:
    """Write the actions that the workflow uses; gives NAME@SHA=FOLDER for each. One that is not known is an error."""
    found = []
    for name, commit in sorted(
        set(re.findall(r"uses: ([\w/-]+)@([0-9a-f]{40})", workflow.read_text(encoding="utf-8")))
    ):
        command = ACTIONS[name]
        if command is None:
            continue
        place = folder / "actions" / name
        place.mkdir(parents=True)
        inputs = {one: {"required": False} for one in ("name", "path", "python-version", "include-hidden-files")}
        steps = [{"shell": "bash", "run": command}]
        action = {"name": name, "description": "stands in", "inputs": inputs}
        (place / "action.yml").write_text(yaml.safe_dump(action | {"runs": {"using": "composite", "steps": steps}}))
        found.append(f"{name}@{commit}={place}")
    return found
