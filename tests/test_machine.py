"""What lesson 00 rests on: the look at the machine, and the warm-up's check."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path

import psutil
import pytest

from checks.warm_up import Late, WarmUp
from labkit.progress import Progress, offered
from lessonkit import machine
from lessonkit.machine import Part

NAMES = [
    *("Python", "packages", "memory", "disk", "cores"),
    *("container engine", "node", "prometheus", "git", "chromium"),
]
OPTIONAL = {"cores", "container engine", "node", "prometheus", "git", "chromium"}


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the whole PATH; programs are put into it by `install`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    return folder


def install(folder: Path, name: str, python: str) -> None:
    """A program that runs these lines of Python."""
    if os.name == "nt":
        (folder / f"{name}.py").write_text(python, encoding="utf-8")
        text = f'@"{sys.executable}" "%~dp0{name}.py" %*\n'
        (folder / f"{name}.bat").write_text(text, encoding="utf-8")
    else:
        (folder / f"{name}.py").write_text(python, encoding="utf-8")
        path = folder / name
        # A first line of `#!` could not name a Python whose path holds a space.
        path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{folder}/{name}.py" "$@"\n', encoding="utf-8")
        path.chmod(0o755)


def part(name: str) -> Part:
    return next(one for one in machine.parts() if one.name == name)


def test_every_part_is_looked_at_and_what_is_optional_says_so() -> None:
    found = machine.parts()
    assert [one.name for one in found] == NAMES
    assert {one.name for one in found if one.optional} == OPTIONAL
    assert all(one.found and one.needed_by for one in found)
    assert all(one.ready or one.how_to_get for one in found)


def test_the_environment_of_the_tests_is_ready() -> None:
    """Python and the packages are what the course states, or nothing else here would run."""
    assert [one.state for one in machine.parts()[:2]] == ["ready", "ready"]


def test_no_path_of_this_machine_is_shown() -> None:
    found = machine.parts()
    shown = machine.table(found) + machine.advice(found)
    homes = {str(Path.home()), sys.prefix, str(Path(machine.__file__).parent)}
    assert not [home for home in homes if len(home) > 1 and home in shown]


def test_a_bare_machine_is_told_what_to_get(programs: Path) -> None:
    found = machine.parts()
    bare = [one.name for one in found if one.state == "not ready" and one.name != "cores"]
    expected = ["container engine", "node", "prometheus", "git"]
    assert [name for name in bare if name != "chromium"] == expected
    told = machine.advice(found)
    for one in found:
        if one.name in bare:
            assert one.needed_by in told and one.how_to_get in told
    assert "neither docker nor podman" in machine.table(found)


def test_a_client_without_its_engine_is_not_ready(programs: Path) -> None:
    install(programs, "docker", "import sys; print('Client: 28.0'); sys.exit(1)")
    engine = part("container engine")
    assert not engine.ready and engine.optional
    assert engine.found == "docker is here, its engine does not answer"
    assert "Start Docker Desktop" in engine.how_to_get


def test_podman_serves_where_docker_does_not_answer(programs: Path) -> None:
    install(programs, "docker", "import sys; sys.exit(1)")
    install(programs, "podman", "print('podman version 5.4.2')")
    assert part("container engine").found == "podman 5.4.2"


@pytest.mark.parametrize(
    ("name", "says", "version"),
    [
        ("node", "v22.1.0", "22.1.0"),
        ("git", "git version 2.50.1 (Apple Git-155)", "2.50.1"),
        ("prometheus", "prometheus, version 3.1.0 (branch: HEAD, revision: 7086)", "3.1.0"),
    ],
)
def test_a_version_is_read_off_what_a_program_says(
    programs: Path, monkeypatch: pytest.MonkeyPatch, name: str, says: str, version: str
) -> None:
    monkeypatch.setattr(machine.sys, "platform", "linux")  # macOS asks for its developer tools
    install(programs, name, f"print({says!r})")
    assert (part(name).ready, part(name).found) == (True, version)


def test_a_program_that_hangs_is_ended_with_what_it_started(
    programs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = tmp_path / "children"
    child = "[sys.executable, '-c', 'import time; time.sleep(600)']"
    install(
        programs,
        "node",
        f"import subprocess, sys, time; child = subprocess.Popen({child})\n"
        f"open({str(note)!r}, 'w').write(str(child.pid)); time.sleep(600)",
    )
    monkeypatch.setattr(machine, "PATIENCE", 2.0)
    node = part("node")
    assert (node.ready, node.found) == (False, "is here, does not answer")
    started = int(note.read_text())
    deadline = time.monotonic() + 30
    while alive(started) and time.monotonic() < deadline:
        psutil.wait_procs([psutil.Process(started)], timeout=1)
    assert not alive(started)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_file_that_cannot_be_run_is_not_an_error(programs: Path) -> None:
    broken = programs / ("node.exe" if os.name == "nt" else "node")
    broken.write_bytes(b"\x00\x01 no program")
    broken.chmod(0o755)
    assert part("node").found == "is here, does not answer"


def test_a_check_that_fails_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody_thought_of(*_: object) -> None:
        raise PermissionError("/some/where")

    monkeypatch.setattr(shutil, "disk_usage", nobody_thought_of)
    found = machine.parts()
    assert len(found) == len(NAMES)
    disk = next(one for one in found if one.name == "disk")
    assert disk.found == "could not be looked at (PermissionError)" and disk.optional


def test_a_package_that_is_missing_or_of_another_version_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stated = ["numpy>=2", "no-such-package>=1", "pandas<1", "gone; sys_platform == 'never'"]
    monkeypatch.setattr(machine.metadata, "requires", lambda name: stated)
    packages = part("packages")
    assert not packages.ready and packages.state == "missing"
    assert packages.found == "1 of 3; not here: no-such-package, pandas<1"
    assert "Missing: packages." in machine.advice([packages])


def test_a_container_s_limit_is_the_memory_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_container_limits", lambda: [2 * machine.GB])
    memory = part("memory")
    assert (memory.state, memory.found) == ("missing", "2 GB")


def test_the_table_has_a_line_for_each_part_in_columns() -> None:
    found = [Part("git", True, "2.39.5", "lesson 05", "x"), Part("node", False, "-", "all", "y")]
    lines = machine.table(found).splitlines()
    assert [line.split() for line in lines[2:]] == [
        ["git", "ready", "2.39.5", "lesson", "05"],
        ["node", "missing", "-", "all"],
    ]
    assert lines[0].index("found") == lines[2].index("2.39.5")


# The warm-up.

RIGHT = {
    "numpy": "def late(minutes):\n    return minutes >= 15",
    "list": "def late(minutes):\n    return [bool(one >= 15) for one in minutes]",
    "ones": "import numpy as np\ndef late(minutes):\n    return np.where(minutes >= 15, 1, 0)",
    "named": "import numpy as np\ndef late(m):\n    return ~(m < 15) & ~np.isnan(m)",
}
WRONG = {
    "beyond the limit": ("def late(minutes):\n    return minutes > 15", "15 is late, 14 is not"),
    "turned round": ("def late(minutes):\n    return ~(minutes < 15)", "never arrived"),
    "a share": ("def late(minutes):\n    return (minutes >= 15).mean()", "for each flight"),
    "gaps dropped": ("def late(m):\n    m = m[m == m]\n    return m >= 15", "for each flight"),
    "one if": ("def late(m):\n    return True if m >= 15 else False", "stopped with an error"),
    "any delay": ("def late(minutes):\n    return minutes > 0", "a few minutes are not"),
    "early as late": ("def late(minutes):\n    return abs(minutes) >= 15", "came early"),
    "printed": ("def late(minutes):\n    print(minutes >= 15)", "not an array"),
}
STUB = "def late(minutes):\n    # YOUR CODE HERE\n    raise NotImplementedError()"


def names_of(source: str) -> dict[str, object]:
    names: dict[str, object] = {}
    exec(source, names)
    return names


@pytest.fixture
def lab() -> WarmUp:
    return WarmUp("warm_up", [Late])


@pytest.mark.parametrize("answer", RIGHT)
def test_a_right_answer_is_correct(lab: WarmUp, answer: str) -> None:
    report = lab.check("late", namespace=names_of(RIGHT[answer]))
    assert (report.outcome, report.score) == ("correct", report.points)


@pytest.mark.parametrize("answer", WRONG)
def test_a_wrong_answer_is_told_what_is_wrong(lab: WarmUp, answer: str) -> None:
    source, said = WRONG[answer]
    report = lab.check("late", namespace=names_of(source))
    assert report.outcome == "incorrect" and report.score < report.points
    assert any(said in case.message for case in report.cases), report.cases


def test_the_stub_is_not_attempted(lab: WarmUp) -> None:
    assert lab.check("late", namespace=names_of(STUB)).outcome == "not attempted"
    assert lab.check("late", namespace={}).outcome == "not attempted"


def test_hints_come_in_steps_and_a_new_kernel_begins_again(lab: WarmUp) -> None:
    wrong = names_of(WRONG["beyond the limit"][0])
    assert lab.check("late", namespace=wrong).hint.startswith("(1 of 3)")
    assert [repr(lab.hint("late"))[:8] for again in range(3)] == ["(2 of 3)", "(3 of 3)", "(3 of 3)"]
    again = WarmUp("warm_up", [Late]).check("late", namespace=wrong)
    assert again.hint.startswith("(1 of 3)")


def test_the_warm_up_leaves_the_learner_s_record_as_it_was(
    lab: WarmUp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "progress.json"
    standing = {"outcome": "correct", "best": 2.0, "points": 2.0, "attempts": 3, "hints": 1}
    record.write_text(json.dumps({"lab01_save_once": {"save": standing}}), encoding="utf-8")
    before = record.read_bytes()
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    for source in (STUB, WRONG["a share"][0], RIGHT["numpy"]):
        lab.check("late", namespace=names_of(source))
    lab.hint("late"), lab.solution("late")
    assert record.read_bytes() == before and list(tmp_path.iterdir()) == [record]
    assert os.environ["LABKIT_HOME"] == str(tmp_path)
    assert Progress().of("lab01_save_once", "save").attempts == 3


def test_the_warm_up_is_no_lab(root: Path) -> None:
    assert "warm_up" not in offered(root)
