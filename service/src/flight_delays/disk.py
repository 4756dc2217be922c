"""Files that are whole or absent, also after a power cut or `kill -9`."""

from __future__ import annotations

import os
import time
from pathlib import Path

_WINDOWS_TRIES, _WINDOWS_PAUSE_S = 50, 0.02


def write_file(path: Path, content: bytes) -> None:
    """Write a file and wait until the disk has it. Its name is safe after `flush_folder` only."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Make the names in a folder survive a power cut; Windows has no call for it."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def rename(source: Path, target: Path) -> None:
    """Give a file or a folder another name at once; a file that is there already is replaced.

    Windows refuses while somebody has the target open. Our readers hold a file for less than a
    millisecond, so there it is tried again for a second.

    Raises:
        OSError: the system refuses.
    """
    for _ in range(_WINDOWS_TRIES if os.name == "nt" else 0):
        try:
            source.replace(target)
            return
        except PermissionError:
            time.sleep(_WINDOWS_PAUSE_S)  # Windows has no event for "the reader is done"
    source.replace(target)
