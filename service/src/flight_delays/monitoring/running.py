"""The service as a process of its own, for as long as a block lasts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import flight_delays

PREFIX = "serving "
STOP_S = 20.0


@contextmanager
def running_service(state: Path, bundle: Path, key: str) -> Iterator[str]:
    """Serve a bundle on a free port of 127.0.0.1; yield the address.

    Args:
        state: folder of versions, champion and log; made if it is not there.
        bundle: becomes champion if there is none yet.
        key: for writes.

    Raises:
        OSError: it did not start; the message holds what it said.
    """
    state.mkdir(parents=True, exist_ok=True)
    source = str(Path(flight_delays.__file__).parents[1])
    paths = [source, os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "FLIGHT_DELAYS_KEY": key,
        "FLIGHT_DELAYS_REQUEST_LOG": "false",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, "-m", "flight_delays", "serve", str(bundle)]
    command += ["--state", str(state), "--port", "0"]
    said = state / "service.log"
    with said.open("a", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment
        )
    try:
        line = process.stdout.readline().strip()
        if not line.startswith(PREFIX):
            raise OSError(f"the service did not start: {said.read_text('utf-8')[-2000:]}")
        yield line.removeprefix(PREFIX)
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
