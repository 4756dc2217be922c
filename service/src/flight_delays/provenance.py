"""Where a model came from: library versions, data files, code revision."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from flight_delays.flights import FLIGHTS_FILE, PACKAGE, PLANES_FILE, WEATHER_FILE, data_folder

LIBRARIES = ("numpy", "onnx", "onnxruntime", "pandas", "pydantic", "scikit-learn", "skl2onnx")


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of each library that shapes the model."""
    return {"python": platform.python_version()} | {name: version(name) for name in LIBRARIES}


def data_source() -> str:
    """Name the data package and its version."""
    return f"{PACKAGE} {version(PACKAGE)}"


def data_digests(folder: Path | None = None) -> dict[str, str]:
    """Return the SHA-256 of each data file, by its name."""
    folder = folder or data_folder()
    names = (FLIGHTS_FILE, PLANES_FILE, WEATHER_FILE)
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def code_revision() -> str | None:
    """Return the git commit of this code, with "-dirty" when files differ from it.

    None without git, outside a repository, before its first commit, or where the repository
    around this file does not track it (an environment inside somebody else's project).
    """
    here = Path(__file__).resolve()
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return None
    return _git(here.parent, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
