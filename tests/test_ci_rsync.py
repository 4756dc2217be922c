"""The stand-in for rsync does what gitlab-ci-local's calls ask; where rsync is installed, rsync says what that is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

STAND_IN = [sys.executable, str(Path(__file__).with_name("ci_rsync.py"))]
COMMANDS = [
    pytest.param(STAND_IN, id="stand-in"),
    pytest.param(
        ["rsync"], id="rsync", marks=pytest.mark.skipif(not shutil.which("rsync"), reason="rsync is not installed")
    ),
]
pytestmark = pytest.mark.parametrize("rsync", COMMANDS)


def folder_of(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name, encoding="utf-8")
    return root


def files_of(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}


def run(rsync: list[str], folder: Path, *arguments: str | Path) -> int:
    command = [*rsync, *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode


def test_tracked_files_go_into_a_jobs_folder(rsync: list[str], tmp_path: Path) -> None:
    source = folder_of(tmp_path / "from", "a", "src/b", "src/left/out", "top", "src/top", ".state/c")
    target = folder_of(tmp_path / "to", "old", "src/b")
    (tmp_path / "list").write_text("/src/left/\n/top\n", encoding="utf-8")
    options = ["-a", "--delete-excluded", "--delete", f"--exclude-from={tmp_path / 'list'}", "--exclude", ".state/"]
    assert run(rsync, source, *options, "./", f"{target}/") == 0
    assert files_of(target) == {"a", "src/b", "src/top"}


def test_artifacts_go_out_with_their_path_and_back(rsync: list[str], tmp_path: Path) -> None:
    job = folder_of(tmp_path / "job", ".pipeline/train/x", ".pipeline/lock", "src/y", ".state/z")
    kept = folder_of(tmp_path / "kept", "other")
    assert run(rsync, job, "--exclude", ".state/**", "-Ra", ".pipeline", f"{kept}/.") == 0
    assert files_of(kept) == {"other", ".pipeline/train/x", ".pipeline/lock"}
    folder_of(kept, ".reports/r")
    following = folder_of(tmp_path / "next", "src/y")
    assert run(rsync, tmp_path, "--exclude=/.reports/", "-a", f"{kept}/.", following) == 0
    assert files_of(following) == {"src/y", "other", ".pipeline/train/x", ".pipeline/lock"}


def test_what_is_not_there_or_not_known_is_an_error(rsync: list[str], tmp_path: Path) -> None:
    assert run(rsync, tmp_path, "-a", "nothing", "to") != 0
    assert run(rsync, tmp_path, "-a", "--no-such-option", ".", "to") != 0
