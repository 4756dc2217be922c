"""A lesson that needs what is missing here is left out with the reason; where it is there the lesson is compared."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from .notebooks import LESSONS, ROOT


def run(folder: Path, program: str, **env: str) -> subprocess.CompletedProcess[str]:
    """nbval over a lesson with a wrong stored output, which needs the program."""
    cell = new_code_cell("print(1 + 1)", id="sum", execution_count=1)
    cell.outputs = [new_output("stream", name="stdout", text="3\n")]
    kernel = {"name": "python3", "language": "python", "display_name": "Python 3"}
    notebook = new_notebook(cells=[cell], metadata={"kernelspec": kernel, "course": {"needs": [program]}})
    nbformat.write(notebook, folder / "small.ipynb")
    shutil.copy(ROOT / "notebooks" / "conftest.py", folder)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), f"--rootdir={folder}", "-n0", "-rs"]
    command.append(str(folder))
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env={**os.environ, **env})


def test_a_lesson_is_left_out_where_its_program_is_missing(tmp_path: Path) -> None:
    done = run(tmp_path, "no-such-program")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "small.ipynb: not compared, no-such-program was not found" in done.stdout


def test_a_lesson_is_compared_where_its_program_is_there(tmp_path: Path) -> None:
    here = next(name for name in ("python3", "python", "git", "sh", "cmd") if shutil.which(name))
    assert run(tmp_path, here).returncode == 1


@pytest.mark.parametrize("program", ["node", "curl"])
def test_lesson_03_says_what_it_needs(program: str) -> None:
    lesson = next(path for path in LESSONS if path.stem.startswith("03_"))
    assert program in nbformat.read(lesson, as_version=4).metadata["course"]["needs"]


def test_a_lesson_is_left_out_where_no_engine_answers(tmp_path: Path) -> None:
    nowhere = {"DOCKER_HOST": "tcp://127.0.0.1:9", "CONTAINER_HOST": "tcp://127.0.0.1:9"}
    done = run(tmp_path, "docker on linux", **nowhere)
    assert done.returncode == 0, done.stdout + done.stderr
    reason = "its engine is not running" if shutil.which("docker") or shutil.which("podman") else "is installed"
    assert "small.ipynb: not compared, " in done.stdout and reason in done.stdout


def test_lesson_04_says_what_it_needs() -> None:
    lesson = next(path for path in LESSONS if path.stem.startswith("04_"))
    assert nbformat.read(lesson, as_version=4).metadata["course"]["needs"] == ["docker on linux", "hadolint"]


def test_lesson_06_says_what_it_needs() -> None:
    lesson = next(path for path in LESSONS if path.stem.startswith("06_"))
    assert nbformat.read(lesson, as_version=4).metadata["course"]["needs"] == ["prometheus"]
