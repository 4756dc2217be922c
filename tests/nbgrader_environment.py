"""The real nbgrader, in an environment of its own: `.venv-nbgrader` beside `.venv`.

It holds what learners have, in the same versions, and nbgrader. It is made when a test first asks
for it, and made again when its lock has changed. `python -m tests.nbgrader_environment` makes it
by hand.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from labkit.environment import ROOT, Environment, SetupError, child_environ, install_course, run
from labkit.progress import CHECK

LOCK = "requirements-nbgrader.lock"
NO_INDEX = "no package index could be reached"  # how labkit.environment says it


@dataclass(frozen=True)
class Made:
    """An environment's interpreter, or None and the reason why there is none."""

    python: Path | None
    reason: str = ""


def environment(name: str = ".venv-nbgrader", lock: str = LOCK) -> Made:
    """The environment in the folder `name` beside .venv, made from `lock` where it is missing or out of date.

    Raises
    ------
    SetupError
        It cannot be made, and that no package index was reached is not the reason.
    """
    folder = ROOT / name
    env = Environment(folder, lock, folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))
    if env.ready():
        return Made(env.python)
    try:
        _fill(env)
    except SetupError as error:
        if NO_INDEX in str(error):
            return Made(None, f"{name} is missing or out of date, and {error}")
        raise
    return Made(env.python)


def _fill(env: Environment) -> None:
    uv = [sys.executable, "-m", "uv"]
    if not env.usable():
        shutil.rmtree(env.folder, ignore_errors=True)
        run([*uv, "venv", "--python", sys.executable, env.folder], f"making {env.folder.name}")
    env.stamp.unlink(missing_ok=True)
    lock = ROOT / env.lock
    options = ["--python", env.python, "--compile-bytecode", "--build-constraints", lock, "--require-hashes"]
    run([*uv, "pip", "sync", *options, lock], f"installing the packages of {env.lock}")
    install_course(env)
    env.stamp.write_text(json.dumps(env.wanted()), encoding="utf-8")


# Runs in nbgrader's environment: every score of a lab.
READ = """
import json, sys
from nbgrader.api import Gradebook
url, lab = sys.argv[1:]
with Gradebook(url) as gradebook:
    found = {
        submission.student.id: {grade.name: grade.score for grade in submission.notebooks[0].grades}
        for submission in gradebook.assignment_submissions(lab)
    }
json.dump(found, sys.stdout)
"""


@dataclass(frozen=True)
class Course:
    """A course of nbgrader's in a folder of its own, and the Python of the environment that has nbgrader."""

    folder: Path
    python: Path
    more: Mapping[str, str] = field(default_factory=dict)  # for the environment of its commands

    @property
    def submitted(self) -> Path:
        return self.folder / "submitted"

    def released(self, lab: str) -> Path:
        return self.folder / "release" / lab / f"{lab}.ipynb"

    def add(self, lab: str, solution: NotebookNode) -> None:
        """Put in the source of a lab and generate the assignment."""
        path = self.folder / "source" / lab / f"{lab}.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(solution, path)
        self.run(self.command("generate_assignment", lab))

    def command(self, *arguments: str) -> list[str]:
        return [str(self.python), "-m", "nbgrader", *arguments, f"--CourseDirectory.root={self.folder}"]

    def environ(self) -> dict[str, str]:
        """What nbgrader and the kernels that it starts run under."""
        return {**environ_of(self.python, self.folder / "home"), **self.more}

    def run(self, command: list[str]) -> str:
        """Run a command in the course's folder; gives what it printed.

        Raises
        ------
        AssertionError
            It failed; the text is what it printed.
        """
        done = subprocess.run(command, cwd=self.folder, env=self.environ(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def scores(self, lab: str) -> dict[str, dict[str, float]]:
        """Student to exercise to score, as nbgrader's gradebook has them."""
        url = f"sqlite:///{self.folder / 'gradebook.db'}"
        found = json.loads(self.run([str(self.python), "-c", READ, url, lab]))
        return {
            student: {name.removeprefix(CHECK): score for name, score in grades.items()}
            for student, grades in found.items()
        }


def environ_of(python: Path, home: Path) -> dict[str, str]:
    """What a command of the environment at `python` runs under; what it writes for its user goes to `home`."""
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    # nbgrader calls alembic by its name, and the kernel is the environment's own.
    path = os.pathsep.join([str(python.parent), inherited.get("PATH", "")])
    places = {"LABKIT_HOME": home, "IPYTHONDIR": home / "ipython", "JUPYTER_CONFIG_DIR": home / "jupyter"}
    return {**child_environ(), **inherited, "PATH": path} | {name: str(place) for name, place in places.items()}


if __name__ == "__main__":
    print(environment())
