"""A lesson whose stored outputs need what is missing here is not compared.

The summary says so. A notebook names what it needs in its metadata, as
{"course": {"needs": ["node", "docker on linux"]}}. It still runs under papermill.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from lessonkit.programs import find


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the cells of such lessons as skipped, with the reason."""
    for item in items:
        if item.path.suffix == ".ipynb" and (missing := missing_for(item.path)):
            item.add_marker(pytest.mark.skip(reason=f"{item.path.name}: not compared, {missing}"))


@cache
def missing_for(path: Path) -> str:
    """What a notebook needs and this machine has not, in words."""
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    return "; ".join(filter(None, map(lack, metadata.get("course", {}).get("needs", []))))


@cache
def lack(need: str) -> str:
    """Nothing, or what is missing: a program, or a container engine like that of the outputs."""
    if need == "docker on linux":
        return _lack_docker()
    if need == "bash" and sys.platform == "win32":
        return "no commands of CI files are run on Windows"
    if need == "prometheus":
        return _lack_prometheus()
    return "" if find(need) else f"{need} was not found"


def _lack_docker() -> str:
    """Elsewhere the engine runs in a virtual machine, or without root, and users are others."""
    from lessonkit.engine import NoEngine, find_engine

    try:
        engine = find_engine()
        rootless = "rootless" in engine.check("info", "--format", "{{json .SecurityOptions}}")
    except NoEngine as reason:
        return str(reason)
    if sys.platform != "linux" or engine.name != "docker" or rootless:
        return "its outputs are those of docker on Linux, as root"
    return ""


def _lack_prometheus() -> str:
    """Prometheus and Alertmanager, installed or from Debian's packages, fetched if need be.

    Two workers may come here at once: fetch.py does its work once.
    """
    from lessonkit.alert_trial import MONITORING, missing

    if missing() and shutil.which("apt-get"):
        fetch = [sys.executable, str(MONITORING / "debian" / "fetch.py")]
        subprocess.run(fetch, capture_output=True, check=False)  # what went wrong `missing` tells
    return missing().removeprefix("Not run: ")
