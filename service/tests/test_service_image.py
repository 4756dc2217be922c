"""The service in a container: what is in the image, and what it does under limits."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from flight_delays import health
from flight_delays.bundle import load_bundle
from flight_delays.schemas import EXAMPLE_FLIGHT

psutil = pytest.importorskip("psutil", reason="containers: the package psutil is missing")
SERVICE = Path(__file__).parents[1]
BASE = "python:3.11-slim"
KEY = "a-key-for-tests-only"
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
PATIENCE_S = 60  # for what has no event to wait for; a test that needs all of it fails
MEGABYTE = 1_000_000

# What README.md recommends for a machine that others share.
LIMITS = (
    *("--read-only", "--tmpfs", "/tmp:mode=1777,size=16m"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--pids-limit", "64", "--memory", "256m"),
)


@pytest.fixture(scope="module")
def image(engine: Any) -> str:
    """The image, built from this folder."""
    if not engine.has_image(BASE):
        pytest.skip(f"containers: {BASE} is not on this machine and cannot be fetched")
    tag = f"flight-delays:test-{engine.value}"
    engine.build(SERVICE, "--tag", tag)
    return tag


class Running:
    """A container of the service."""

    def __init__(self, engine: Any, container: str) -> None:
        self.engine = engine
        self.id = container
        self.http = httpx.Client(timeout=PATIENCE_S)

    def reachable(self) -> Running:
        """Wait until it says that it serves."""
        with following("logs", "--follow", self.id) as lines:
            said = ""
            for line in lines:
                said += line
                if line.startswith("serving http://"):
                    break
            else:
                raise AssertionError(f"it ended: {said}")
        self.http.base_url = f"http://{self.engine.run('port', self.id, '8000/tcp')}"
        return self

    def inspect(self) -> dict[str, Any]:
        return self.engine.inspect("container", self.id)

    def python(self, code: str) -> str:
        """Run code in the container, beside the service; return what it prints."""
        return self.engine.run("exec", self.id, "python", "-c", code)

    def become_champion(self, folder: Path) -> None:
        """PUT a bundle, then make it the first champion."""
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in folder.iterdir():
                archive.write(file, file.name)
        path = f"/v1/models/{folder.name}"
        stored = self.http.put(
            path,
            content=packed.getvalue(),
            headers=AUTHORIZED | {"Content-Type": "application/zip"},
        )
        assert stored.status_code == 201, stored.text
        chosen = self.http.put(
            "/v1/champion",
            json={"version": folder.name},
            headers=AUTHORIZED | {"If-None-Match": "*"},
        )
        assert chosen.status_code == 200, chosen.text

    def predict(self) -> dict[str, Any]:
        answer = self.http.post("/v1/predictions", json={"flight": EXAMPLE_FLIGHT})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def stop(self) -> int:
        """`docker stop`: SIGTERM, and SIGKILL after ten seconds. Returns the exit code."""
        started = time.perf_counter()
        self.engine.run("stop", "--time", "10", self.id)
        code = self.inspect()["State"]["ExitCode"]
        print(f"stopped in {time.perf_counter() - started:.2f} s with {code}")
        return code

    def logs(self) -> str:
        return self.engine.run("logs", self.id)


@contextmanager
def following(*words: str) -> Iterator[Iterator[str]]:
    """The lines that a command of the engine writes, as they come; it is ended with the block."""
    with subprocess.Popen(
        ["docker", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield iter(process.stdout)
        finally:
            process.kill()


def on_this_machine(pids: Iterable[int]) -> list[Any]:
    """The processes of containers, which this machine sees unless they run in a virtual one."""
    return [psutil.Process(pid) for pid in pids] if sys.platform == "linux" else []


@contextmanager
def launcher(engine: Any, image: str) -> Iterator[Callable[..., Running]]:
    """Start the service under limits; containers and volumes go with the block."""
    started: list[Running] = []

    def start(*options: str, volume: str | None = None, command: Sequence[str] = ()) -> Running:
        words = ["run", "--detach", "--label", engine.label, "--publish", "127.0.0.1::8000"]
        words += [*LIMITS, "--env", f"FLIGHT_DELAYS_KEY={KEY}"]
        words += ["--volume", f"{volume}:/state"] if volume else []
        started.append(Running(engine, engine.run(*words, *options, image, *command)))
        return started[-1]

    try:
        yield start
    finally:
        for one in started:
            one.http.close()
        engine.remove("container", "volume")


@pytest.fixture
def start(engine: Any, image: str) -> Iterator[Callable[..., Running]]:
    """Start the service under limits, for the length of a test."""
    with launcher(engine, image) as start:
        yield start


@pytest.fixture(scope="module")
def watched(engine: Any, image: str) -> Iterator[Running]:
    """A container that tests look at and do not change."""
    apart = engine.apart("watched")
    with launcher(apart, image) as start:
        volume = apart.run("volume", "create", "--label", apart.label)
        yield start(volume=volume).reachable()


@pytest.fixture
def volume(engine: Any, start: Callable[..., Running]) -> str:
    """An empty volume; `start` removes it."""
    return engine.run("volume", "create", "--label", engine.label)


def test_the_image_holds_what_the_lock_names_and_the_half_that_serves(watched: Running) -> None:
    found = json.loads(
        watched.python(
            "import importlib.metadata as m, json, pathlib, pkgutil\n"
            "import flight_delays as package\n"
            "names = [one.name for one in pkgutil.iter_modules(package.__path__)]\n"
            "for name in names:\n"
            "    if name != '__main__': __import__(f'flight_delays.{name}')\n"
            "installed = {d.name.lower().replace('_', '-'): d.version for d in m.distributions()}\n"
            "parts = [str(path) for path in pathlib.Path('/opt').iterdir()]\n"
            "compiled = len(list(pathlib.Path('/opt/app').rglob('*.pyc')))\n"
            "code = len(list(pathlib.Path('/opt/app').rglob('*.py')))\n"
            "from flight_delays import monitoring, pipeline\n"
            "names += [f'{package.__name__}.{one.name}' for package in (monitoring, pipeline)\n"
            "          for one in pkgutil.iter_modules(package.__path__)]\n"
            "print(json.dumps([names, installed, sorted(parts), code, compiled]))"
        )
    )
    names, installed, parts, code, compiled = found
    assert {"app", "health", "server", "store"} <= set(names)
    assert not {"training", "export", "flights"} & set(names)
    inside = {name.removeprefix("flight_delays.") for name in names}
    assert {"monitoring.watch", "pipeline.findings"} <= inside
    assert not {"monitoring.loop", "pipeline.stage", "pipeline.stages"} & inside
    base = {"pip", "setuptools", "wheel"}
    locked = dict(
        line.split(" ")[0].split("==")
        for line in (SERVICE / "requirements.lock").read_text().splitlines()
        if "==" in line and not line.startswith((" ", "#"))
    )
    assert {name: installed[name] for name in installed if name not in base} == locked
    assert not {"scikit-learn", "pandas", "mlflow", "scipy"} & set(installed)
    assert parts == ["/opt/app", "/opt/venv"]
    assert code == compiled > 20


def test_a_build_sees_no_test_no_history_and_no_secret(engine: Any, tmp_path: Path) -> None:
    # Whatever a build does not see cannot get into any layer.
    context = tmp_path / "context"
    shutil.copytree(
        SERVICE, context, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis", "unpacked")
    )
    planted = [
        "secrets/key", ".env", ".git/config", "state/champion.json", "notes.txt",
        "src/flight_delays/__pycache__/app.pyc", "src/other/secret.py",
    ]  # fmt: skip
    for name in planted:
        path = context / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("not for the image")
    (context / "Dockerfile").write_text("FROM scratch\nCOPY . /\n")
    seen = tmp_path / "seen"
    engine.build(context, "--output", str(seen))
    files = {path.relative_to(seen).as_posix() for path in seen.rglob("*") if path.is_file()}
    assert "requirements.lock" in files and "src/flight_delays/app.py" in files
    files.remove("requirements.lock")
    assert [name for name in files if not name.startswith("src/flight_delays/")] == []
    assert [name for name in files if not name.endswith(".py")] == []


def test_the_image_is_small_and_says_how_it_is_run(engine: Any, image: str) -> None:
    built = engine.inspect("image", image)
    beyond = built["Size"] - engine.inspect("image", BASE)["Size"]
    print(f"{beyond / MEGABYTE:.0f} MB beyond {BASE}")
    assert beyond < 260 * MEGABYTE
    config = built["Config"]
    assert config["User"] == "10001:10001"  # a number: Kubernetes asks for one
    assert config["Cmd"] == ["python", "-m", "flight_delays", "serve"]
    assert config["Healthcheck"]["Test"][0] == "CMD"
    assert not any("KEY" in variable for variable in config["Env"])


def test_a_change_of_the_code_installs_nothing(engine: Any, image: str, tmp_path: Path) -> None:
    context = tmp_path / "context"
    for name in (".dockerignore", "Dockerfile", "requirements.lock"):
        context.mkdir(exist_ok=True)
        shutil.copy(SERVICE / name, context)
    shutil.copytree(SERVICE / "src", context / "src")
    with (context / "src/flight_delays/app.py").open("a") as file:
        file.write(f"\n# an edit, {time.time_ns()}\n")
    started = time.perf_counter()
    log = engine.build(context)
    print(f"rebuilt in {time.perf_counter() - started:.1f} s")
    cached = {line.split()[0] for line in log.splitlines() if line.endswith("CACHED")}
    steps = {
        step: line.split()[0]
        for line in log.splitlines()
        for step in ("--require-hashes", "COPY --from=dependencies", "compileall")
        if step in line
    }
    assert steps["--require-hashes"] in cached
    assert steps["COPY --from=dependencies"] in cached
    assert steps["compileall"] not in cached


def test_it_waits_for_its_first_model_and_then_serves_it_under_limits(
    start: Callable[..., Running], volume: str, two_bundles: list[Path], tmp_path: Path
) -> None:
    secret = tmp_path / "key"
    secret.write_text(f"{KEY}\n")
    secret.chmod(0o444)
    running = start(
        *("--volume", f"{secret}:/run/secrets/key:ro"),
        *("--env", "FLIGHT_DELAYS_KEY", "--env", "FLIGHT_DELAYS_KEY_FILE=/run/secrets/key"),
        volume=volume,
    ).reachable()
    assert running.http.get("/livez").status_code == 200
    assert running.http.get("/readyz").status_code == 503
    running.become_champion(two_bundles[0])
    assert running.http.get("/readyz").json()["version"] == two_bundles[0].name
    expected = load_bundle(two_bundles[0]).predict({k: [v] for k, v in EXAMPLE_FLIGHT.items()})[0]
    assert running.predict()["probability"] == pytest.approx(expected, abs=1e-6)
    known = running.inspect()
    assert known["State"]["OOMKilled"] is False
    assert KEY not in json.dumps(known)  # which everybody who may use docker can read


def test_it_is_no_root_and_can_write_to_its_state_only(watched: Running) -> None:
    status = watched.python("print(open('/proc/1/status').read())")
    lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert lines["Uid"].split() == ["10001"] * 4
    assert lines["Gid"].split() == ["10001"] * 4
    assert int(lines["CapEff"], 16) == 0
    attempt = (
        "import pathlib\n"
        "for folder in ('/', '/opt/app', '/opt/venv', '/etc', '/state'):\n"
        "    try:\n"
        "        pathlib.Path(folder, 'mark').write_text('')\n"
        "        print(folder, end=' ')\n"
        "    except OSError: pass"
    )
    assert watched.python(attempt) == "/state"


def test_without_a_volume_a_read_only_container_says_what_is_missing(
    engine: Any,
    start: Callable[..., Running],
) -> None:
    running = start()
    assert engine.run("wait", running.id) == "1"
    assert "error:" in running.logs() and "/state" in running.logs()
    assert "Traceback" not in running.logs()


def test_a_mounted_bundle_becomes_the_first_champion(
    start: Callable[..., Running], volume: str, two_bundles: list[Path]
) -> None:
    running = start(
        *("--volume", f"{two_bundles[1]}:/bundle:ro"),
        volume=volume,
        command=("python", "-m", "flight_delays", "serve", "/bundle"),
    ).reachable()
    assert running.http.get("/readyz").json()["version"] == two_bundles[1].name


def test_docker_stop_ends_it_with_0_and_nothing_is_lost(
    start: Callable[..., Running], volume: str, two_bundles: list[Path]
) -> None:
    running = start(volume=volume).reachable()
    running.become_champion(two_bundles[0])
    ids = [running.predict()["request_id"] for _ in range(50)]
    assert running.stop() == 0  # 137 is a SIGKILL
    logged = [json.loads(line) for line in running.logs().splitlines() if line.startswith("{")]
    assert {line["request_id"] for line in logged if line.get("path") == "/v1/predictions"} == set(
        ids
    )

    again = start(volume=volume).reachable()
    assert again.http.get("/readyz").json()["version"] == two_bundles[0].name
    kept = again.python(
        "from flight_delays.prediction_log import read_log\n"
        "from pathlib import Path\n"
        "for chunk in read_log(Path('/state/predictions.sqlite')): print(*chunk.request_id)"
    )
    assert set(kept.split()) == set(ids)


def test_several_workers_stop_with_0_as_well(
    engine: Any, start: Callable[..., Running], volume: str, two_bundles: list[Path]
) -> None:
    running = start("--env", "FLIGHT_DELAYS_WORKERS=2", volume=volume).reachable()
    running.become_champion(two_bundles[0])
    running.predict()
    rows = engine.run("top", running.id, "-eo", "pid,args").splitlines()[1:]
    assert len(rows) >= 3
    processes = on_this_machine(int(row.split()[0]) for row in rows)
    assert running.stop() == 0
    assert not psutil.wait_procs(processes, timeout=PATIENCE_S)[1]


def test_it_can_be_stopped_while_it_starts(start: Callable[..., Running], volume: str) -> None:
    # Even before the first line of Python: an init process passes the signal on.
    assert start("--init", volume=volume).stop() in (0, 143)


@pytest.mark.skipif(sys.platform != "linux", reason="reads from /proc which signals are handled")
def test_it_handles_the_signal_to_stop_while_it_imports(tmp_path: Path) -> None:
    # The first process of a container is sent no signal that it has no handler for.
    command = [sys.executable, "-m", "flight_delays", "serve", "--state", str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(SERVICE / "src"), "FLIGHT_DELAYS_PORT": "0"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as process:
        caught = 0
        while not caught & 1 << (signal.SIGTERM - 1):
            status = Path(f"/proc/{process.pid}/status").read_text()
            caught = int(re.search(r"SigCgt:\s+(\w+)", status)[1], 16)
            assert process.poll() is None
        process.terminate()
        assert process.wait(PATIENCE_S) == 128 + signal.SIGTERM  # -15 where nobody handles it
        assert process.stdout.read() == b""  # so it did not serve yet


def test_health_turns_healthy_then_unhealthy_when_it_hangs(
    engine: Any, start: Callable[..., Running], volume: str
) -> None:
    running = start("--health-interval=300ms", "--health-retries=1", volume=volume)
    created = running.inspect()["Created"]
    kinds = ("--filter", f"container={running.id}", "--filter", "event=health_status")
    form = ("--format", "{{.Action}}")
    with following("events", "--since", created, *kinds, *form) as events:
        assert next(events).split() == ["health_status:", "healthy"]
        engine.run("kill", "--signal", "STOP", running.id)
        assert next(events).split() == ["health_status:", "unhealthy"]
        engine.run("kill", "--signal", "CONT", running.id)
        assert next(events).split() == ["health_status:", "healthy"]
    assert running.inspect()["RestartCount"] == 0  # unhealthy alone restarts nothing


def test_a_test_that_fails_leaves_nothing(engine: Any, image: str) -> None:
    children = psutil.Process().children()  # earlier tests of this worker may have some
    with pytest.raises(ZeroDivisionError), launcher(engine, image) as start:
        volume = engine.run("volume", "create", "--label", engine.label)
        known = start(volume=volume).inspect()
        (port,) = known["NetworkSettings"]["Ports"]["8000/tcp"]
        processes = on_this_machine([known["State"]["Pid"]])
        assert [mount["Name"] for mount in known["Mounts"]] == [volume]  # and none without a label
        made = engine.made()
        assert (len(made["container"]), made["volume"]) == (1, [volume])
        raise ZeroDivisionError
    made = engine.made()
    assert made["container"] == made["volume"] == made["network"] == []
    assert not any(process.is_running() for process in processes)
    with pytest.raises(httpx.ConnectError):  # the port is free again
        httpx.get(f"http://127.0.0.1:{port['HostPort']}/livez")
    assert not set(psutil.Process().children()) - set(children)


def test_the_health_check_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port = str(listener.getsockname()[1])
    nobody = {"FLIGHT_DELAYS_HOST": "0.0.0.0", "FLIGHT_DELAYS_PORT": port}
    assert health.main(nobody) == 1
    assert f"no answer from 127.0.0.1:{port}" in capsys.readouterr().out


def test_the_health_check_asks_the_service(
    start_service: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    service = start_service("--state", tmp_path / "state")  # without a model, so alive, not ready
    url = httpx.URL(service.url)
    assert health.main({"FLIGHT_DELAYS_HOST": url.host, "FLIGHT_DELAYS_PORT": str(url.port)}) == 0
    assert "200" in capsys.readouterr().out


@pytest.mark.parametrize("file", ["Dockerfile", "monitoring/debian/Dockerfile"])
def test_hadolint_finds_nothing(file: str) -> None:
    beside = Path(sys.executable).parent  # where pip puts it
    hadolint = shutil.which("hadolint", path=f"{beside}{os.pathsep}{os.environ.get('PATH', '')}")
    if hadolint is None:
        pytest.skip("Dockerfiles are not linted: hadolint is not installed")
    done = subprocess.run(
        [hadolint, str(SERVICE / file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
