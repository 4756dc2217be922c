"""`make lab` and `make test`: what can go wrong ends in one clear line and a non-zero exit."""

from __future__ import annotations

import ast
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import namedtuple
from pathlib import Path

import pytest

from labkit import environment
from labkit.environment import LEARNER, ROOT, TESTER, Environment, SetupError, explain, main

COURSE = ROOT / "course.py"


@pytest.fixture
def this_environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """The commands use the environment that runs the tests, and make none."""
    env = Environment(Path(sys.prefix), TESTER, Path(sys.executable))
    monkeypatch.setattr(environment, "ready", lambda lock, here: env)
    return env


def one_line(capsys: pytest.CaptureFixture) -> str:
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_a_python_that_is_too_old_is_told_so() -> None:
    pretend = (
        f"import sys; sys.version_info = (3, 9, 1); exec(compile(open({str(COURSE)!r}).read(), 'course.py', 'exec'))"
    )
    done = subprocess.run([sys.executable, "-c", pretend], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("course: Python 3.11 or newer is needed, this is Python 3.9")
    assert len(done.stderr.strip().splitlines()) == 1


def test_an_old_python_can_read_the_file_as_far_as_the_check() -> None:
    source = COURSE.read_text(encoding="utf-8")
    ast.parse(source, feature_version=(3, 4))
    imports = [node.lineno for node in ast.parse(source).body if isinstance(node, ast.ImportFrom)]
    check = next(node.lineno for node in ast.parse(source).body if isinstance(node, ast.If))
    assert all(line > check for line in imports)


def test_a_python_that_is_too_new_is_told_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(environment.sys, "version_info", (3, 99, 0))
    assert main(["env"]) == 1
    assert "Python 3.11 to 3." in one_line(capsys) and capsys.readouterr().out == ""


def test_a_port_in_use_is_told(this_environment: Environment, capsys: pytest.CaptureFixture) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["lab", "--port", str(port)]) == 1
    assert f"port {port} is in use; choose another" in one_line(capsys)


@pytest.mark.parametrize("port", ["0", "70000"])
def test_a_number_that_is_no_port_is_told(
    port: str, this_environment: Environment, capsys: pytest.CaptureFixture
) -> None:
    assert main(["lab", "--port", port]) == 1
    assert f"{port} is no port" in one_line(capsys)


@pytest.mark.parametrize("installer", [["pip", "--isolated", "--retries", "0"], ["uv", "pip"]], ids=["pip", "uv"])
def test_no_network_is_told_in_one_line(installer: list[str], tmp_path: Path) -> None:
    """Both installers for real, against a port of this machine where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        index = f"http://127.0.0.1:{probe.getsockname()[1]}/simple"
    command = [sys.executable, "-m", *installer, "install", "--index-url", index, "--target", str(tmp_path)]
    command += ["--no-cache-dir" if installer[0] == "pip" else "--no-cache", "a-package-nobody-has==1.0"]
    with pytest.raises(SetupError) as told:
        environment.run(command, "installing the packages")
    assert "no package index could be reached while installing the packages" in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "output",
    [
        "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
        "error: failed to write to file: No space left on device (os error 28)",
    ],
)
def test_a_full_disk_is_told_in_one_line(output: str) -> None:
    assert str(explain(output, "installing the packages")).startswith("the disk is full while installing")


def test_too_little_room_is_told_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    usage = namedtuple("usage", "total used free")(10**9, 10**9, 5 * 2**20)
    monkeypatch.setattr(environment.shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(environment, "ready", lambda lock, here: environment.make(Environment.beside(tmp_path, lock)))
    assert main(["env"]) == 1
    assert "the disk is full" in one_line(capsys)
    assert not (tmp_path / ".venv").exists()


def test_another_failure_keeps_the_installers_reason() -> None:
    told = str(explain("lots of text\nerror: hash mismatch for numpy\nmore", "installing the packages"))
    assert told == "installing the packages failed: error: hash mismatch for numpy"


def test_an_environment_is_used_only_if_it_was_filled_from_this_lock(tmp_path: Path) -> None:
    learner, tester = Environment.beside(tmp_path, LEARNER), Environment.beside(tmp_path, TESTER)
    assert not learner.ready()
    learner.python.parent.mkdir(parents=True)
    learner.python.touch()
    assert not learner.ready(), "without its stamp it was perhaps left half-made"
    learner.stamp.write_text(environment.json.dumps(learner.wanted()), encoding="utf-8")
    assert learner.ready() and not tester.ready()
    learner.stamp.write_text(environment.json.dumps(tester.wanted()), encoding="utf-8")
    assert learner.ready() and tester.ready(), "what the tests need holds what a learner needs"
    moved = tmp_path / "moved"
    shutil.copytree(learner.folder, moved / ".venv")
    assert not Environment.beside(moved, LEARNER).ready(), "an environment does not survive a move"
    learner.stamp.write_text("{", encoding="utf-8")
    assert not learner.ready()


def test_the_running_environment_holds_what_the_lock_says() -> None:
    assert environment.missing(TESTER) == []


@pytest.fixture
def ci_tools(tmp_path: Path) -> Path:
    """A copy of what says which CI tools are wanted, in a project of its own."""
    shutil.copytree(ROOT / "tests/ci_tools", tmp_path / "tests/ci_tools")
    return tmp_path


def test_a_machine_without_npm_goes_on_without_the_ci_tools(
    ci_tools: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    environment.ready_ci_tools(ci_tools)
    assert not (ci_tools / ".ci-tools").exists() and capsys.readouterr().out == ""


@pytest.mark.skipif(not shutil.which("npm"), reason="npm is not installed")
def test_without_network_the_ci_tools_are_left_out_with_the_reason(
    ci_tools: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{probe.getsockname()[1]}/")
    monkeypatch.setenv("npm_config_cache", str(ci_tools / "cache"))
    environment.ready_ci_tools(ci_tools)
    begun, ended = capsys.readouterr().out.strip().splitlines()
    assert begun == "course: installing the CI tools of tests/ci_tools into .ci-tools"
    assert ended.startswith("course: no package index could be reached while installing the CI tools")
    assert ended.endswith("the tests that use them are skipped")
    assert not (ci_tools / ".ci-tools/course-stamp.txt").exists(), "the next run tries again"


def test_the_ci_tools_are_installed_once_for_a_lock(
    ci_tools: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    ran: list[list] = []
    monkeypatch.setattr(environment.shutil, "which", lambda name: "npm")
    monkeypatch.setattr(environment, "run", lambda command, what: ran.append(command))
    environment.ready_ci_tools(ci_tools)
    environment.ready_ci_tools(ci_tools)
    assert len(ran) == 1 and ran[0][:2] == ["npm", "ci"] and "--ignore-scripts" in ran[0]
    (ci_tools / "tests/ci_tools/package-lock.json").write_text("{}", encoding="utf-8")
    environment.ready_ci_tools(ci_tools)
    assert len(ran) == 2


def test_the_ci_tools_are_locked_by_hash_and_no_registry_is_named() -> None:
    wanted, lock = (json.loads((ROOT / "tests/ci_tools" / name).read_text("utf-8")) for name in environment.CI_TOOLS)
    root, *packages = lock["packages"].values()
    assert root["dependencies"] == wanted["dependencies"]
    assert all(re.fullmatch(r"[\d.]+", version) for version in wanted["dependencies"].values())
    assert packages and all(package["integrity"].startswith("sha512-") for package in packages)
    assert not any("resolved" in package for package in packages)
    for package in packages:
        package.pop("funding", None)  # addresses of people who ask for support
    assert "://" not in json.dumps(packages)


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_hands_port_and_arguments_on() -> None:
    command = [
        "make",
        "--no-print-directory",
        "--dry-run",
        "lab",
        "PORT=8899",
        "ARGS=--no-browser",
        "PYTHON=/a b/python3",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == '"/a b/python3" course.py lab --port "8899" --no-browser'


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_without_any_python_says_what_to_install() -> None:
    done = subprocess.run(["make", "lab", "PYTHON="], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0 and "install Python 3.11 or newer" in done.stderr


def fetch(url: str) -> str:
    """The page at an address; JupyterLab prints its address a moment before it listens."""
    for _ in range(100):
        try:
            with urllib.request.urlopen(url, timeout=20) as page:
                return page.read().decode()
        except urllib.error.URLError:
            time.sleep(0.1)
    raise AssertionError(f"nothing answers at {url}")


def test_lab_opens_jupyterlab_on_the_first_lesson(tmp_path: Path) -> None:
    """The real command, without a browser: the server answers with the page of lesson 00."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start = "from labkit.environment import Environment, TESTER, lab; import sys; from pathlib import Path;"
    start += (
        "sys.exit(lab(Environment(Path(sys.prefix), TESTER, Path(sys.executable)), int(sys.argv[1]), sys.argv[2:]))"
    )
    options = ["--no-browser", "--IdentityProvider.token=only-for-this-test"]
    command = [sys.executable, "-c", start, str(port), *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        log = []
        for line in server.stdout:  # JupyterLab says where it listens once it does
            log.append(line)
            if f"http://127.0.0.1:{port}/lab" in line:
                break
        url = f"http://127.0.0.1:{port}/lab/tree/notebooks/00_start_here.ipynb?token=only-for-this-test"
        page = fetch(url)
        assert "JupyterLab" in page, log
        assert any("/lab/tree/notebooks/00_start_here.ipynb" in line for line in log), log
    finally:
        server.terminate()
        server.communicate(timeout=30)
