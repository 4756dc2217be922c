"""A bundle as a zip: the same bundle gives the same bytes, at any time and on any system."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from flight_delays.archive import LIMITS, read_archive
from flight_delays.disk import write_file

_BEGIN = (1980, 1, 1, 0, 0, 0)  # the first moment a zip can name
_UNIX = 3  # the system a zip says it was made on


def pack(folder: Path) -> bytes:
    """Return the zip of a bundle's folder.

    Raises:
        BundleError: the service would refuse it, since a file is too large.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name in LIMITS:
            entry = zipfile.ZipInfo(name, _BEGIN)
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, _UNIX
            opened.writestr(entry, (folder / name).read_bytes(), compresslevel=9)
    read_archive(buffer.getvalue())
    return buffer.getvalue()


def unpack(archive: bytes, folder: Path) -> None:
    """Write the two files of a bundle's zip into a folder that is there.

    Raises:
        BundleError: it is no such zip.
    """
    for name, content in read_archive(archive).items():
        write_file(folder / name, content)
