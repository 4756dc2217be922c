"""The CI files are valid, audited, and call the README's command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def scripts(name: str) -> Path:
    """A command that was installed beside this Python."""
    return Path(sys.executable).parent / name


def test_the_workflows_satisfy_githubs_schema() -> None:
    done = run(str(scripts("check-jsonschema")), "--builtin-schema", "vendor.github-workflows", *map(str, WORKFLOWS))
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing_in_the_workflows() -> None:
    done = run(str(scripts("zizmor")), "--offline", "--persona", "pedantic", ".github/workflows")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_and_permissions_are_least(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert used and all(re.fullmatch(r"\S+@[0-9a-f]{40}", action) and "# v" in note for action, note in used)
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}


def test_the_tests_run_on_three_systems_and_the_oldest_and_newest_python() -> None:
    job = yaml.safe_load((ROOT / ".github/workflows/tests.yml").read_text(encoding="utf-8"))["jobs"]["test"]
    systems = {name.split("-")[0] for name in job["strategy"]["matrix"]["os"]}
    assert systems == {"ubuntu", "macos", "windows"}
    bounds = re.search(
        r'requires-python = ">=3\.(\d+),<3\.(\d+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    )
    oldest, above = map(int, bounds.groups())
    assert job["strategy"]["matrix"]["python"] == [f"3.{oldest}", f"3.{above - 1}"]


def test_the_canary_runs_weekly_on_newest_dependencies() -> None:
    canary = yaml.safe_load((ROOT / ".github/workflows/canary.yml").read_text(encoding="utf-8"))
    assert re.fullmatch(r"\d+ \d+ \* \* \d", canary[True]["schedule"][0]["cron"])  # YAML reads `on` as True
    commands = [step.get("run", "") for step in canary["jobs"]["newest"]["steps"]]
    assert any("lock --upgrade" in command for command in commands)


def test_ci_calls_the_readmes_test_command_and_nothing_else() -> None:
    lines = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    assert lines[-1] == "make test"
    assert re.search(r"^make test$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
