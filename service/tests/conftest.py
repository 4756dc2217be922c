"""One table, one model and one bundle for all tests of a run."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from datetime import date
from pathlib import Path
from typing import Any

# Before NumPy and scikit-learn start their threads: many on few cores make a fit many times slower.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import httpx
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline

import flight_delays
from flight_delays.app import Service, create_app
from flight_delays.bundle import load_bundle, write_bundle
from flight_delays.evaluation import validate_forward
from flight_delays.export import export_bundle
from flight_delays.flights import load_flights, split_by_day
from flight_delays.metadata import MODEL_FILE, Metrics, make_version
from flight_delays.settings import Settings
from flight_delays.store import ModelStore
from flight_delays.training import fit

JUNE_30 = date(2013, 6, 30)


@pytest.fixture(scope="session")
def flights() -> pd.DataFrame:
    return load_flights()


@pytest.fixture(scope="session")
def window(flights: pd.DataFrame) -> pd.DataFrame:
    """January to June: what the model is trained on."""
    return split_by_day(flights, JUNE_30)[0]


@pytest.fixture(scope="session")
def pipeline(window: pd.DataFrame) -> Pipeline:
    return fit(window)


@pytest.fixture(scope="session")
def metrics(window: pd.DataFrame) -> Metrics:
    return validate_forward(window)


@pytest.fixture(scope="session")
def bundle_folder(
    pipeline: Pipeline,
    window: pd.DataFrame,
    metrics: Metrics,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """A bundle nobody may change; copy it first."""
    return export_bundle(pipeline, window, metrics, tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def run_python() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run Python in a process of its own, which finds this package whether installed or not."""
    source = str(Path(flight_delays.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": source}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=120, check=False
        )

    return run


@pytest.fixture(scope="session")
def two_bundles(window: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two small bundles whose probabilities differ; nobody may change them."""
    parent = tmp_path_factory.mktemp("two")
    day = date(2013, 6, 1)
    metrics = Metrics(
        rows=1, late_share=0.2, mean_prediction=0.2, roc_auc=0.7, brier=0.2, log_loss=0.5,
        first=day, last=JUNE_30,
    )  # fmt: skip
    samples = window[::20], window[10::20]
    folders = [export_bundle(fit(sample), sample, metrics, parent) for sample in samples]
    assert folders[0].name != folders[1].name
    return folders


@pytest.fixture(scope="session")
def four_bundles(two_bundles: list[Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The two, and the first with two other thresholds, which makes other versions of it."""
    folder, parent = two_bundles[0], tmp_path_factory.mktemp("thresholds")
    info, model = load_bundle(folder).info, (folder / MODEL_FILE).read_bytes()
    others = []
    for threshold in (0.8, 0.9):
        version = make_version(info.data.last, info.model.sha256, info.features, threshold)
        changed = info.model_copy(update={"threshold": threshold, "version": version})
        others.append(write_bundle(parent, model, changed))
    return [*two_bundles, *others]


class ServiceProcess:
    """`python -m flight_delays serve` in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], stderr: Path) -> None:
        self.process = process
        self.url = (
            (process.stdout.readline() if process.stdout else "").removeprefix("serving ").strip()
        )
        self.http = httpx.Client(base_url=self.url, timeout=60, verify=False)  # no TLS here
        self._stderr = stderr

    def written(self) -> str:
        """What it has logged so far."""
        return self._stderr.read_text()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def start_service(tmp_path: Path) -> Iterator[Callable[..., ServiceProcess]]:
    """Start the service with the given arguments on a free port; it is ended after the test."""
    source = str(Path(flight_delays.__file__).parents[1])
    started: list[ServiceProcess] = []

    def start(*arguments: str | Path, **variables: str) -> ServiceProcess:
        environment = os.environ | {"PYTHONPATH": source} | variables
        command = [sys.executable, "-m", "flight_delays", "serve", "--port", "0"]
        command += map(str, arguments)
        stderr = tmp_path / f"stderr-{len(started)}"
        with stderr.open("w") as log:
            process = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
            )
        started.append(ServiceProcess(process, stderr))
        return started[-1]

    yield start
    for service in started:
        service.http.close()
        service.process.kill()
        service.process.wait()
        service.process.stdout.close()


KEY = "a-key-for-tests-only"


class Client:
    """The app in this process, spoken to by HTTP; its lifespan lasts from `open` to `close`."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.key = {"Authorization": f"Bearer {KEY}"}
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()

    def open(self) -> None:
        self._runner.run(self._stack.enter_async_context(self.service.lifespan(self.service.api)))
        transport = httpx.ASGITransport(self.service)
        self._http = httpx.AsyncClient(transport=transport, base_url="http://service")

    def close(self) -> None:
        self._runner.run(self._http.aclose())
        self._runner.run(self._stack.aclose())
        self._runner.close()

    def request(self, method: str, path: str, **options: Any) -> httpx.Response:
        return self._runner.run(self._http.request(method, path, **options))

    def run(self, coroutine: Any) -> Any:
        """Run a coroutine in the loop of the app."""
        return self._runner.run(coroutine)

    def predict(self, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
        """POST a prediction: an object as JSON, bytes as they are."""
        return self._runner.run(self.predict_async(body, headers))

    def predict_stream(self, chunks: AsyncIterator[bytes]) -> httpx.Response:
        """POST a prediction in chunks, without Content-Length."""
        headers = {"Content-Type": "application/json"}
        return self.request("POST", "/v1/predictions", content=chunks, headers=headers)

    async def predict_async(
        self, body: Any, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | (headers or {})
        return await self._http.post("/v1/predictions", content=content, headers=headers)


@pytest.fixture
def make_client(tmp_path: Path) -> Iterator[Callable[..., Client]]:
    """Make a client of an app; `champion` and `others` are bundles in its store."""
    clients: list[Client] = []

    def make(champion: Path | None = None, *others: Path, **settings: Any) -> Client:
        state = tmp_path / f"state-{len(clients)}"
        store = ModelStore(state)
        for folder in (champion, *others):
            if folder is not None:
                store.add_folder(folder)
        if champion is not None:
            store.set_champion(champion.name, if_match=None, must_be_first=True)
        settings = {"state": state, "key": KEY, "request_log": False} | settings
        client = Client(create_app(Settings(**settings)))
        client.open()
        clients.append(client)
        return client

    yield make
    for client in clients:
        client.close()


CONTAINER_LABEL = "flight-delays-test"


class Engine:
    """Docker by its command. What is made carries a label, by which it is removed again."""

    def __init__(self, value: str) -> None:
        self.value = value
        self.label = f"{CONTAINER_LABEL}={value}"

    def apart(self, name: str) -> Engine:
        """The same engine with another label, for what is removed at another time."""
        return Engine(f"{self.value}-{name}")

    def run(self, *words: str | Path, timeout_s: float = 120) -> str:
        """Run a command that must succeed; return what it wrote, without blanks at the ends."""
        done = subprocess.run(
            ["docker", *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | {"DOCKER_BUILDKIT": "1", "BUILDX_NO_DEFAULT_ATTESTATIONS": "1"},
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, (
            f"{words[:2]} ended with {done.returncode}: {done.stdout[-3000:]}"
        )
        return done.stdout.strip()

    def build(self, context: Path, *options: str) -> str:
        """Build a labelled image and return what the build said."""
        words = ("build", "--progress", "plain", "--label", self.label, *options, context)
        return self.run(*words, timeout_s=500)

    def inspect(self, kind: str, name: str) -> dict[str, Any]:
        """What the engine knows of a thing."""
        return json.loads(self.run(kind, "inspect", name))[0]

    def has_image(self, name: str) -> bool:
        """Whether an image is here, or can be fetched."""
        for words in (("image", "inspect", name), ("pull", "--quiet", name)):
            if subprocess.run(["docker", *words], capture_output=True, check=False).returncode == 0:
                return True
        return False

    def made(self) -> dict[str, list[str]]:
        """The ids of what carries the label, in the order in which it can be removed."""
        kinds = {"container": ["--all"], "network": [], "volume": [], "image": []}
        return {
            kind: self.run(kind, "ls", *every, "--quiet", "--filter", f"label={self.label}").split()
            for kind, every in kinds.items()
        }

    def remove(self, *kinds: str) -> None:
        """Remove what carries the label: all of it, or these kinds."""
        options = {"container": ["--force", "--volumes"], "image": ["--force"]}
        for kind, ids in self.made().items():
            if ids and (kind in kinds or not kinds):
                self.run(kind, "rm", *options.get(kind, []), *dict.fromkeys(ids))


@pytest.fixture(scope="module")
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Docker for the tests of a module; at the end nothing they made is there any more."""
    psutil = pytest.importorskip("psutil", reason="containers: the package psutil is missing")
    if shutil.which("docker") is None:
        pytest.skip("containers: docker is not installed")
    command = ["docker", "version", "--format", "{{.Server.Os}}"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    if asked.returncode:
        pytest.skip(f"containers: docker's engine does not answer: {asked.stderr.strip()}")
    if (system := asked.stdout.strip()) != "linux":
        pytest.skip(f"containers: docker's engine runs containers of {system}, not of Linux")
    for value in _labels():  # of runs that were killed before they could remove anything
        if not psutil.pid_exists(int(value.partition("-")[0])):
            Engine(value).remove()
    engine = Engine(f"{os.getpid()}-{request.module.__name__.rpartition('.')[2]}")
    try:
        yield engine
    finally:
        engine.remove()
    assert not any(engine.made().values())


def _labels() -> set[str]:
    """The values of the label on all that is there."""
    every = Engine("")
    every.label = CONTAINER_LABEL  # whatever its value
    return {
        (thing.get("Config") or thing)["Labels"][CONTAINER_LABEL]
        for kind, ids in every.made().items()
        for thing in (every.inspect(kind, name) for name in ids)
    }
