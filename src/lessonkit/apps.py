"""Apps written in a notebook, served by a process of their own, as a web server would start them.

    with app_server(flask_app, load_model, by="gunicorn") as server:
        httpx.post(f"{server.url}/predictions", json=flight)

A notebook's function is in no module that another process could import. So it is handed over as
bytes, by cloudpickle, and `make` below calls it there. In a project of its own the app stands in a file and
the command names it: `gunicorn app:app`, `uvicorn app:app`.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import pickle
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cloudpickle

from lessonkit.cores import split
from lessonkit.servers import Server, serving

VARIABLE = "LESSONKIT_APP"
THREADS = 8  # requests that gunicorn's one process works on at a time
HOST = "127.0.0.1"
MAKE = "lessonkit.apps:make"
COMMANDS = {
    "flask": ("-m", "flask", "--app", f"{MAKE}()", "run", "--host", HOST, "--port", "{port}"),
    "gunicorn": ("-m", "gunicorn", "--bind", f"{HOST}:{{port}}", "--threads", str(THREADS), f"{MAKE}()"),
    "uvicorn": ("-m", "uvicorn", "--host", HOST, "--port", "{port}", "--no-access-log", "--factory", MAKE),
}


def command(by: str) -> list[str]:
    """The command that starts a server for an app, after the name of Python; `{port}` stands for the port.

    Raises
    ------
    ValueError
        There is no such server.
    """
    if by not in COMMANDS:
        raise ValueError(f"by: expected one of {', '.join(COMMANDS)}, found {by!r}")
    if by == "gunicorn" and importlib.util.find_spec("fcntl") is None:
        print("gunicorn does not run on Windows: Flask's own server takes its place here.")
        by = "flask"
    return list(COMMANDS[by])


@contextlib.contextmanager
def app_server(
    make_app: Callable[..., Any], *arguments: Any, by: str, ready: str = "/", cores: Sequence[int] | None = None
) -> Iterator[Server]:
    """Serve the app that `make_app(*arguments)` gives, for the length of the block.

    Parameters
    ----------
    make_app, arguments
        A function that gives a Flask or an ASGI app, and what it is called with. It is called in the server's process.
    by
        "flask" for Flask's own server, "gunicorn" (one process, 8 threads) or "uvicorn" (one process).
    ready
        A path of the app that answers a GET.
    cores
        As in `lessonkit.servers.serving`; by default one, which `lessonkit.load` leaves alone where there are two.

    Raises
    ------
    ServerFailed
        The app could not be made, or did not answer.
    """
    words = [sys.executable, *command(by)]
    with tempfile.TemporaryDirectory(prefix="lesson-", ignore_cleanup_errors=True) as folder:
        file = Path(folder) / "app.pickle"
        file.write_bytes(cloudpickle.dumps((make_app, arguments)))
        with serving(words, ready, env={VARIABLE: str(file)}, cores=cores or split()[0]) as server:
            yield server


def make() -> Any:
    """The app that the environment names; web servers call this."""
    # Our own file, written a moment ago by the notebook that started this process.
    make_app, arguments = pickle.loads(Path(os.environ[VARIABLE]).read_bytes())
    return make_app(*arguments)
