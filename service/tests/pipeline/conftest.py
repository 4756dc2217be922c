"""Small worlds for the pipeline: a project, a work folder, and a service on a state folder.

Two are made once and copied for each test, which also shows that a work folder may be moved:
`fresh` has its first bundle packaged and a service that never had a champion; in `challenged` that
bundle is in service, and another one is packaged to take its place.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from flight_delays.app import create_app
from flight_delays.pipeline.command import run_command
from flight_delays.pipeline.stage import Record
from flight_delays.settings import Settings
from flight_delays.store import ModelStore

KEY = "a-key-for-tests-only"
# The times have tests of their own; here they say how busy the machine is.
CONFIG = """
as_of = 2013-07-31
[data]
first = 2013-05-01
window_days = 14
[model]
max_iter = 20
[test]
arguments = ["-q", "-p", "no:cacheprovider", "tests"]
[gate]
auc_margin = 0.1
latency_ms = 500.0
latency_p99_ms = 5000.0
latency_ratio = 100.0
rows_per_second = 0.0
[monitor]
psi_maximum = 5.0
calibration_maximum = 0.3
"""
GREEN = "def test_it():\n    assert True\n"


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line for people."""
        return (self.out + self.err).strip().splitlines()[-1]


@dataclass
class World:
    """A project, a work folder and the state of a service, in one folder."""

    folder: Path
    url: str = ""
    key: str = KEY
    work_name: str = "work"

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def work(self) -> Path:
        return self.folder / self.work_name

    @property
    def store(self) -> ModelStore:
        return ModelStore(self.folder / "state")

    @property
    def environment(self) -> dict[str, str]:
        return {"PIPELINE_SERVICE_URL": self.url, "PIPELINE_SERVICE_KEY": self.key}

    def run(self, stage: str, **options: object) -> Ran:
        """Run a stage in this process."""
        out, err = io.StringIO(), io.StringIO()
        with quick_pytest(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = run_command(
                stage, self.project, self.work, **({"environment": self.environment} | options)
            )
        return Ran(code, out.getvalue(), err.getvalue())

    def must(self, *stages: str) -> None:
        """Run stages that have to succeed."""
        for stage in stages:
            done = self.run(stage)
            assert done.code == 0, done.out + done.err

    def configure(self, old: str, new: str) -> None:
        """Change pipeline.toml."""
        path = self.project / "pipeline.toml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def record(self, stage: str) -> Record:
        """Read a stage's record."""
        return Record.model_validate_json((self.work / stage / "stage.json").read_bytes())

    @property
    def version(self) -> str:
        """The version that was trained last."""
        return self.record("train").facts["version"]

    def champion(self) -> str | None:
        champion = self.store.champion()
        return champion.version if champion else None

    @contextlib.contextmanager
    def serving(self, wrap: Callable[[Any], Any] | None = None, **settings: Any) -> Iterator[None]:
        """Answer on a free port of 127.0.0.1, in a thread of this process.

        Args:
            wrap: puts something between the socket and the service.
        """
        settings = {"key": self.key, "request_log": False} | settings
        app: Any = create_app(Settings(state=self.folder / "state", **settings))
        app = wrap(app) if wrap else app
        config = uvicorn.Config(
            app,
            host="127.0.0.1",
            port=0,
            log_config=None,
            lifespan="on",
            timeout_graceful_shutdown=1,
        )
        with running(config) as self.url:
            yield
        self.url = ""


@contextlib.contextmanager
def running(config: uvicorn.Config) -> Iterator[str]:
    """Run an ASGI app in a thread; yield its address."""
    ready = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: object = None) -> None:
            await super().startup(sockets)
            ready.set()

    server = Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    assert ready.wait(60)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(20)


@contextlib.contextmanager
def quick_pytest() -> Iterator[None]:
    """The tests that a project's stage runs load none of the plugins that are installed here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
        yield


@pytest.fixture(autouse=True)
def quick_pytest_in_children() -> Iterator[None]:
    """The same for processes that a test starts; later tests of this worker need the plugins."""
    with quick_pytest():
        yield


@pytest.fixture(scope="session")
def fresh_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    world = World(tmp_path_factory.mktemp("fresh"))
    (world.project / "tests").mkdir(parents=True)
    (world.project / "tests" / "test_project.py").write_text(GREEN)
    (world.project / "pipeline.toml").write_text(CONFIG)
    world.must("test", "train", "validate", "package")
    return world


@pytest.fixture(scope="session")
def challenged_world(fresh_world: World, tmp_path_factory: pytest.TempPathFactory) -> World:
    world = _copy(fresh_world, tmp_path_factory.mktemp("challenged") / "world")
    with world.serving():
        world.must("deploy")
        world.configure("max_iter = 20", "max_iter = 25")
        world.must("train", "validate", "package")
    return world


def _copy(world: World, folder: Path) -> World:
    shutil.copytree(world.folder, folder)
    return World(folder)


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[World], World]:
    numbers = iter(range(100))
    return lambda world: _copy(world, tmp_path / f"world-{next(numbers)}")


@pytest.fixture
def fresh(fresh_world: World, copy_of: Callable[[World], World]) -> World:
    return copy_of(fresh_world)


@pytest.fixture
def challenged(challenged_world: World, copy_of: Callable[[World], World]) -> World:
    return copy_of(challenged_world)
