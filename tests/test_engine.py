"""lessonkit.engine: what is made is removed, whatever happens; a missing engine is one line."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import nbformat
import papermill
import pytest

from lessonkit.dockerfiles import instructions, lint
from lessonkit.engine import BuildFailed, Engine, EngineError, NoEngine, find_engine
from lessonkit.engine_build import failure, read_log
from lessonkit.engine_events import _read
from lessonkit.engine_scope import Health, Scope
from lessonkit.shipping import BASE

from .notebooks import ROOT

HEARS = "import signal, sys, threading; signal.signal(15, lambda *_: sys.exit(0)); print('up', flush=True)"
HEARS += "; threading.Event().wait()"


@pytest.fixture
def scope(engine: Engine) -> Iterator[Scope]:
    with engine.scope() as opened:
        yield opened


def gone(engine: Engine, value: str, within_s: float = 60.0) -> dict[str, list[str]]:
    """What still carries a label, once nothing does or the time is up: the guard works on its own."""
    until = time.monotonic() + within_s
    while any((left := engine.labelled(value)).values()) and time.monotonic() < until:
        time.sleep(0.2)
    return left


# ------------------------------------------------------------------ without an engine


def test_no_program_is_one_line_that_says_how_to_get_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoEngine, match=r"neither docker nor podman is installed\. .*podman\.io") as caught:
        find_engine()
    assert "\n" not in str(caught.value)


SAYS = {
    "Cannot connect to the Docker daemon at tcp://127.0.0.1:9. Is the docker daemon running?": "is not running",
    "permission denied while trying to connect to the Docker daemon socket": "may not talk to its engine",
}


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for docker is a shell script")
@pytest.mark.parametrize(("said", "reason"), SAYS.items(), ids=["not running", "no permission"])
def test_an_engine_that_does_not_answer(
    said: str, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\necho '{said}' >&2\nexit 1\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoEngine, match=reason):
        find_engine()


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for docker is a shell script")
def test_docker_that_is_podman_is_taken_as_podman(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text('#!/bin/sh\n[ "$1" = --version ] && echo podman version 5.2.0 || echo 5.2.0\n')
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (find_engine().name, find_engine().version) == ("podman", "5.2.0")


# ------------------------------------------------------------------ logs, without an engine

BUILDKIT = """\
#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s
#4 [build 1/2] FROM docker.io/library/python:3.11-slim
#4 DONE 0.0s
#6 [stage-1 2/2] COPY --from=build /app /app
#5 [build 2/2] RUN echo one
#5 CACHED
#6 0.113 a line
#6 ERROR: it went wrong
"""
PODMAN = """\
[1/2] STEP 1/2: FROM python:3.11-slim AS build
[1/2] STEP 2/2: RUN echo one
--> Using cache 4ee7d9dacb97
--> 4ee7d9dacb97
[2/2] STEP 1/2: FROM python:3.11-slim
[2/2] STEP 2/2: RUN false
a line
Error: building at STEP "RUN false": exit status 1
"""


def test_the_log_of_buildkit_is_read() -> None:
    steps = read_log(BUILDKIT)
    told = [(step.instruction, step.stage, step.cached) for step in steps]
    assert told == [
        ("FROM python:3.11-slim", "build", False),
        ("RUN echo one", "build", True),
        ("COPY --from=build /app /app", "stage-1", False),
    ]
    failed = failure(BUILDKIT, steps)
    assert failed.step == "COPY --from=build /app /app" and failed.lines == ["a line"]


def test_the_log_of_podman_is_read() -> None:
    steps = read_log(PODMAN)
    assert [step.cached for step in steps] == [False, True, False, False]
    failed = failure(PODMAN, steps)
    assert failed.step == "RUN false" and failed.lines[0] == "a line"


def test_events_of_both_engines_are_read() -> None:
    about = {"ID": "c1", "Attributes": {"exitCode": "3"}}
    docker = _read({"Action": "die", "Actor": about, "timeNano": 1_500_000_000})
    podman = _read({"Status": "died", "ID": "c1", "ContainerExitCode": 3, "timeNano": 1_500_000_000})
    assert docker == podman and (docker.what, docker.detail, docker.at) == ("die", "3", 1.5)
    ill = _read({"Status": "health_status", "HealthStatus": "unhealthy", "ID": "c1", "timeNano": 1})
    assert ill.what == "unhealthy"
    assert _read({"Action": "exec_start: true", "Actor": about, "timeNano": 1}) is None


def test_a_dockerfile_is_read_without_an_engine() -> None:
    found = instructions("# why\nFROM a AS b\nRUN one \\\n  && two\n")
    assert [(one.line, one.word, one.value) for one in found] == [(2, "FROM", "a AS b"), (3, "RUN", "one && two")]


def test_a_dockerfile_is_linted_without_an_engine(capsys: pytest.CaptureFixture[str]) -> None:
    found = lint("FROM python:latest\nCMD python a.py\n")
    if found is None:
        assert "hadolint was not found" in capsys.readouterr().out
    else:
        assert [(finding.line, finding.rule) for finding in found] == [(1, "DL3007"), (2, "DL3025")]


# ------------------------------------------------------------------ with one


def test_everything_a_scope_made_is_removed(engine: Engine) -> None:
    with engine.scope() as scope:
        image = scope.build({"Dockerfile": f"FROM {BASE}\nRUN touch /x\n"})
        scope.start(image, ["sleep", "60"], volumes={scope.volume(): "/data"}, network=scope.network())
        assert scope.made() == {"container": 1, "network": 1, "volume": 1, "image": 1}
    assert not any(engine.labelled(scope.value).values()) and not scope.folder.exists()


def test_it_is_removed_after_an_exception(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), engine.scope() as scope:
        scope.start(BASE, ["sleep", "60"])
        raise ZeroDivisionError
    assert not any(engine.labelled(scope.value).values())


KILLED = """
import sys
from lessonkit.engine import find_engine
with find_engine().scope() as scope:
    scope.start("python:3.11-slim", ["sleep", "600"], volumes={scope.volume(): "/data"})
    print(scope.value, scope.folder, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_it_is_removed_after_kill_9(engine: Engine) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED], stdin=-1, stdout=-1, text=True) as process:
        value, folder = process.stdout.readline().split(maxsplit=1)
        assert len(engine.labelled(value)["container"]) == len(engine.labelled(value)["volume"]) == 1
        process.send_signal(signal.SIGKILL)
    assert not any(gone(engine, value).values())
    until = time.monotonic() + 30
    while Path(folder.strip()).exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not Path(folder.strip()).exists()


def test_a_build_says_what_was_cached_and_what_its_layers_hold(scope: Scope) -> None:
    dockerfile = f"FROM {BASE}\nRUN mkdir /app\nCOPY a.txt /app/\n"
    before, after = uuid4().hex, uuid4().hex  # an engine keeps the steps of earlier runs
    scope.build({"a.txt": before}, dockerfile)
    image = scope.build({"a.txt": after}, dockerfile)
    assert [(step.word, step.cached) for step in image.steps[1:]] == [("RUN", True), ("COPY", False)]
    base = scope.image(BASE)
    layer = image.layers(above=base)[-1]
    assert layer.files == {"app/a.txt": 32} and layer.read("app/a.txt") == after.encode()
    assert layer.holds(after[4:20].encode()) == ["app/a.txt"] and layer.holds(before.encode()) == []
    assert image.history()[-1].created_by.startswith("COPY a.txt")
    with pytest.raises(ValueError, match="not built on"):
        base.layers(above=image)


def test_a_failed_build_says_where(scope: Scope) -> None:
    with pytest.raises(BuildFailed) as caught:
        scope.build({"Dockerfile": f"FROM {BASE}\nRUN echo before; exit 3\n"})
    assert caught.value.step == "RUN echo before; exit 3" and caught.value.lines[0] == "before"
    with pytest.raises(BuildFailed, match="unknown instruction"):
        scope.build({"Dockerfile": f"FROM {BASE}\nRAN true\n"})


def test_a_secret_is_seen_by_one_step_and_kept_by_none(scope: Scope) -> None:
    run = "RUN --mount=type=secret,id=token python -c \"assert len(open('/run/secrets/token').read()) == 12\""
    image = scope.build({"Dockerfile": f"FROM {BASE}\n{run}\n"}, secrets={"token": "s3cret-value"})
    assert not any("s3cret-value" in entry.created_by for entry in image.history())
    assert not any(layer.holds(b"s3cret-value") for layer in image.layers(above=scope.image(BASE)))


def test_a_build_that_takes_too_long_is_given_up(scope: Scope) -> None:
    with pytest.raises(TimeoutError, match=r"build .* did not end within 3 s"):
        scope.build({"Dockerfile": f"FROM {BASE}\nRUN sleep 600\n"}, timeout_s=3)


def test_stop_tells_a_proper_end_from_a_kill(scope: Scope) -> None:
    for init, code, killed in ((True, 143, False), (False, 137, True)):
        container = scope.start(BASE, ["sleep", "600"], init=init)
        stopped = container.stop(1)
        assert (stopped.exit_code, stopped.killed) == (code, killed)
    container = scope.start(BASE, ["python", "-c", HEARS])
    container.wait_for_log("up")
    assert container.stop(30).exit_code == 0


def test_health_is_waited_for(scope: Scope) -> None:
    health = Health("true", interval_s=0.2)
    assert scope.start(BASE, ["sleep", "600"], health=health, wait_healthy_s=60).state().health == "healthy"
    with pytest.raises(EngineError, match="no health check"):
        scope.start(BASE, ["sleep", "600"]).wait_healthy(5)
    with pytest.raises(EngineError, match="ended with 3 before it was healthy"):
        scope.start(BASE, ["sh", "-c", "exit 3"], health=Health("true", interval_s=60)).wait_healthy(60)
    with pytest.raises(TimeoutError):
        scope.start(BASE, ["sleep", "600"], health=Health("false", interval_s=0.2)).wait_healthy(1)


def test_memory_and_root_have_bounds(scope: Scope) -> None:
    eater = scope.start(BASE, ["python", "-c", "bytearray(10**9)"], memory_mb=32)
    assert eater.wait() == 137 and eater.state().out_of_memory
    done = scope.run(BASE, "touch", "/x", read_only=True, drop_capabilities=True, user="10001", network="none", pids=8)
    assert done.returncode == 1 and "Read-only" in done.stderr


def test_a_volume_outlives_a_container_and_a_network_knows_names(scope: Scope) -> None:
    volume, network = {scope.volume(): "/data"}, scope.network()
    assert scope.run(BASE, "sh", "-c", "echo kept > /data/x", volumes=volume).returncode == 0
    assert scope.run(BASE, "cat", "/data/x", volumes=volume).stdout == "kept\n"
    scope.start(BASE, ["sleep", "600"], name="somebody", network=network)
    ask = ["python", "-c", "import socket; socket.gethostbyname('somebody')"]
    assert scope.run(BASE, *ask, network=network).returncode == 0
    assert scope.run(BASE, *ask).returncode == 1


def test_inside_it_is_process_1_and_outside_another(scope: Scope) -> None:
    container = scope.start(BASE, ["sleep", "600"])
    assert container.exec("cat", "/proc/1/cmdline").stdout == "sleep\x00600\x00"
    [process] = container.top()
    assert process["command"] == "sleep 600" and int(process["pid"]) == container.state().pid > 1


# ------------------------------------------------------------------ the lesson

LESSON = ROOT / "notebooks" / "04_docker_basics.ipynb"


def run_lesson(folder: Path, cells: list[nbformat.NotebookNode]) -> dict[str, str]:
    """Run a lesson made of these cells and give what each printed or showed, by the cell's id."""
    notebook = nbformat.read(LESSON, as_version=4)
    notebook.cells = cells
    nbformat.write(notebook, folder / "in.ipynb")
    done = papermill.execute_notebook(
        str(folder / "in.ipynb"), str(folder / "out.ipynb"), kernel_name="python3", cwd=str(folder), progress_bar=False
    )
    code = [cell for cell in done.cells if cell.cell_type == "code"]
    return {cell.id: "".join(output.get("text", output.output_type) for output in cell.outputs) for cell in code}


def lesson_cells(until: str = "") -> list[nbformat.NotebookNode]:
    cells = nbformat.read(LESSON, as_version=4).cells
    ids = [cell.id for cell in cells]
    return cells[: ids.index(until) + 1] if until else cells


def test_a_lesson_whose_cell_fails_leaves_nothing_behind(engine: Engine, tmp_path: Path) -> None:
    """The kernel ends with containers, a volume and images of its scope still there."""
    told = tmp_path / "label.txt"
    fails = "container = box.start(base, ['sleep', '600'], volumes={box.volume('x'): '/data'})\n"
    fails += f"open({str(told)!r}, 'w').write(box.value + ' ' + container.id)\n1 / 0"
    cells = [*lesson_cells("engine"), nbformat.v4.new_code_cell(fails)]
    with pytest.raises(papermill.PapermillExecutionError, match="ZeroDivisionError"):
        run_lesson(tmp_path, cells)
    value, id_ = told.read_text().split()
    assert not any(gone(engine, value).values())
    assert engine.run("container", "inspect", id_).returncode != 0


def test_the_lesson_runs_through_without_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))  # where hadolint is, and no docker
    if shutil.which("docker") or shutil.which("podman"):
        pytest.skip("an engine's command lies beside Python and cannot be hidden")
    said = run_lesson(tmp_path, lesson_cells())
    assert said["engine"].count("\n") == 1 and "neither docker nor podman is installed" in said["engine"]
    assert said["tidy"].startswith("left: 0") and "no verdicts" in said["verdict-table"]
    needs_none = {"engine", "outside", "lint", "lint-ours", "compose-read", "verdict-table", "tidy"}
    assert {id_ for id_, text in said.items() if text not in ("", "execute_result")} == needs_none
