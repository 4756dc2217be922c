"""Each server: how it is started, where it answers, in which form it wants the rows and gives the probabilities."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.servers.model import VARIABLE, Prepared
from labkit.environment import ROOT
from lessonkit.cores import split, usable
from lessonkit.servers import ONE_THREAD, Server, flight_delays, serving
from tests.nbgrader_environment import environment

SERVING = (".venv-serving", "bench/requirements-serving.lock")
BENTOML = (".venv-bentoml", "bench/requirements-bentoml.lock")
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "BENTOML_DO_NOT_TRACK": "true"}
UVICORN = ["-m", "uvicorn", "--host", "127.0.0.1", "--port", "{port}", "--loop", "uvloop", "--http", "httptools"]
UVICORN += ["--no-access-log", "--log-level", "warning", "--factory"]
if os.name == "nt":  # where there is no uvloop
    UVICORN[UVICORN.index("uvloop")] = "asyncio"
GUNICORN = ["-m", "gunicorn", "--bind", "127.0.0.1:{port}", "--worker-class", "gthread", "--threads", "8"]
FOLDER = "{folder}"  # in a command: where model and rows are
MLFLOW_MODEL = ("-m", "bench.servers.mlflow_model")
Columns = dict[str, list[Any]]


class Missing(RuntimeError):
    """This server cannot run here; the text says why."""


class Wrong(RuntimeError):
    """A server's probabilities are not those of the model."""


@dataclass(frozen=True)
class Protocol:
    """The paths, and how rows are sent and probabilities come back."""

    one: str = "/v1/predictions"
    many: str = "/v1/predictions"
    ready: str = "/livez"
    body_one: Callable[[dict[str, Any]], Any] = lambda flight: {"flight": flight}
    body_many: Callable[[Columns], Any] = lambda columns: {"flights": columns}
    read_one: Callable[[Any], list[float]] = lambda body: [body["probability"]]
    read_many: Callable[[Any], list[float]] = lambda body: body["probabilities"]


def _split(columns: Columns) -> dict[str, Any]:
    return {"dataframe_split": {"columns": list(columns), "data": list(zip(*columns.values(), strict=True))}}


def _late(body: Any) -> list[float]:
    return [both[1] for both in body["predictions"]]


MLFLOW = Protocol(
    one="/invocations",
    many="/invocations",
    ready="/ping",
    body_one=lambda flight: _split({name: [value] for name, value in flight.items()}),
    body_many=_split,
    read_one=_late,
    read_many=_late,
)


@dataclass(frozen=True)
class Contender:
    """One server; `command` are the words after the interpreter of its environment."""

    key: str
    name: str
    command: tuple[str, ...] = ()
    protocol: Protocol = Protocol()
    environment: tuple[str, str] | None = None
    workers: int = 1
    prepare: tuple[str, ...] = ()
    as_installed: bool = False  # no limit to its cores and to the threads of its libraries
    note: str = ""

    def cores(self) -> tuple[list[int], list[int]]:
        """For the server and for the load on it."""
        servers, loads = split(self.workers)
        return (usable(), loads) if self.as_installed else (servers, loads)

    def python(self) -> Path:
        """The interpreter of its environment, which is made where it is missing."""
        if self.environment is None:
            return Path(sys.executable)
        made = environment(*self.environment)
        if made.python is None:
            raise Missing(made.reason)
        return made.python

    @contextmanager
    def running(self, prepared: Prepared) -> Iterator[Server]:
        """The server, ready to answer, on its cores.

        Raises
        ------
        Missing
            Its environment cannot be made, or the system has no such server.
        ServerFailed
            It does not start.
        """
        if "gunicorn" in self.command and importlib.util.find_spec("fcntl") is None:
            raise Missing("gunicorn does not run on Windows")
        environ: dict[str, str | None] = {**environ_of(self.python(), prepared)}
        if self.prepare and not prepared.mlflow_model.exists():
            command = [str(self.python()), *self.prepare]
            done = subprocess.run(
                command, cwd=ROOT, env={**os.environ, **environ}, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise Missing(f"{' '.join(self.prepare)}: {done.stderr.strip().splitlines()[-1]}")
        command = [str(self.python()), *(word.replace(FOLDER, str(prepared.folder)) for word in self.command)]
        if self.as_installed:
            environ |= {name: None for name in ONE_THREAD if name.endswith("_NUM_THREADS")}
        cores, ready = self.cores()[0], self.protocol.ready
        with serving(command, ready, env=environ, cwd=ROOT, cores=cores, patience_s=90, stop_s=10) as server:
            yield server


@dataclass(frozen=True)
class Service(Contender):
    """The service of this course, as `python -m flight_delays serve` starts it, with nothing switched off."""

    @contextmanager
    def running(self, prepared: Prepared) -> Iterator[Server]:
        with flight_delays(prepared.bundle_folder, self.workers, cores=self.cores()[0]) as server:
            yield server


def environ_of(python: Path, prepared: Prepared) -> dict[str, str]:
    """What a server runs under: the programs of its environment, this folder's modules, the place of model and rows."""
    path = os.pathsep.join([str(python.parent), os.environ.get("PATH", "")])
    return {**QUIET, "PATH": path, "PYTHONPATH": str(ROOT), VARIABLE: str(prepared.folder)}


def contenders() -> list[Contender]:
    """All of them, the ceiling first."""
    apart = Protocol(many="/v1/predictions/batch")
    bento = Protocol(many="/v1/predictions/batch", ready="/readyz")
    mlflow_command = ("-m", "mlflow", "models", "serve", "-m", f"{FOLDER}/mlflow", "-p", "{port}")
    mlflow = ((*mlflow_command, "--env-manager", "local", "--workers", "1"), MLFLOW, SERVING)
    return [
        Contender(
            "ceiling",
            "ceiling: raw ASGI, pydantic-core, onnxruntime",
            (*UVICORN, "--lifespan", "off", "bench.servers.ceiling:Ceiling"),
        ),
        Service("service", "flight_delays serve"),
        Service("service2", "flight_delays serve", workers=2),
        Contender(
            "fastapi", "FastAPI def, DataFrame, pipeline", (*UVICORN, "bench.servers.fastapi_app:create_app"), apart
        ),
        Contender(
            "flask", "Flask, gunicorn, DataFrame, pipeline", (*GUNICORN, "bench.servers.flask_app:with_frames()")
        ),
        Contender("flask-onnx", "Flask, gunicorn, onnxruntime", (*GUNICORN, "bench.servers.flask_app:with_onnx()")),
        Contender("mlflow", "MLflow models serve, pipeline", *mlflow, prepare=MLFLOW_MODEL),
        Contender(
            "mlflow-as-installed",
            "MLflow models serve, as installed",
            *mlflow,
            prepare=MLFLOW_MODEL,
            as_installed=True,
            note="all cores and no limit to threads, where the others have one core and one thread",
        ),
        Contender(
            "litserve",
            "LitServe, onnxruntime",
            ("-m", "bench.servers.litserve_app", "{port}"),
            Protocol(ready="/health"),
            SERVING,
            note="its HTTP process and its worker share the core",
        ),
        Contender(
            "bentoml",
            "BentoML, onnxruntime",
            (
                "-m",
                "bentoml",
                "serve",
                "bench.servers.bentoml_app:Predictions",
                "--port",
                "{port}",
                "--host",
                "127.0.0.1",
            ),
            bento,
            BENTOML,
        ),
    ]
