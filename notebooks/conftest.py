"""A lesson whose stored outputs need a program that is missing here is not compared.

The summary says so. A notebook names what it needs in its metadata, as
{"course": {"needs": ["node"]}}. It still runs under papermill.
"""

from __future__ import annotations

import json
import shutil
from functools import cache
from pathlib import Path

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the cells of such lessons as skipped, with the reason."""
    for item in items:
        if item.path.suffix == ".ipynb" and (missing := missing_for(item.path)):
            item.add_marker(
                pytest.mark.skip(reason=f"{item.path.name}: not compared, {missing} was not found")
            )


@cache
def missing_for(path: Path) -> str:
    """The programs that a notebook needs and that are not installed, in words."""
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    return " and ".join(
        name for name in metadata.get("course", {}).get("needs", []) if shutil.which(name) is None
    )
