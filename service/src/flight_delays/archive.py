"""A bundle as a zip archive from outside: read with bounds, never unpacked to a path it names."""

from __future__ import annotations

import struct
import zipfile
import zlib
from io import BytesIO
from typing import BinaryIO

from flight_delays.bundle import INFO_FILE, MAX_INFO_BYTES, BundleError
from flight_delays.metadata import MAX_MODEL_BYTES, MODEL_FILE

LIMITS = {MODEL_FILE: MAX_MODEL_BYTES, INFO_FILE: MAX_INFO_BYTES}
"""Entry to the bytes it may have, unpacked."""

_MAX_DIRECTORY_BYTES = 4096
MAX_ARCHIVE_BYTES = sum(LIMITS.values()) + 2 * _MAX_DIRECTORY_BYTES
"""A model that does not shrink, and the zip's own records."""

_END = struct.Struct("<4s4H2LH")  # the end of central directory record, APPNOTE 4.3.16
_LOCATOR_SIZE, _LOCATOR_SIGNATURE = 20, b"PK\x06\x07"  # of zip64, 4.3.15
_ENCRYPTED = 0x1  # bit 0 of the flags, 4.4.4

# What zipfile raises on bytes that are no sound archive; each was seen with mutated archives.
_FAULTS = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
)


def read_archive(archive: BinaryIO | bytes) -> dict[str, bytes]:
    """Return the content of model.onnx and bundle.json.

    Memory stays below `MAX_ARCHIVE_BYTES` and the two limits together, whatever the archive claims.

    Raises:
        BundleError: not a zip, damaged, encrypted, too large, or with other entries than the two.
    """
    content = archive if isinstance(archive, bytes) else archive.read(MAX_ARCHIVE_BYTES + 1)
    if len(content) > MAX_ARCHIVE_BYTES:
        raise BundleError(f"archive: expected at most {MAX_ARCHIVE_BYTES} bytes, found more")
    _check_end(content)
    try:
        with zipfile.ZipFile(BytesIO(content)) as opened:
            _check_entries(opened.infolist())
            return {entry.filename: _unpack(opened, entry) for entry in opened.infolist()}
    except BundleError:
        raise
    except _FAULTS as error:
        raise BundleError(f"archive: not a sound zip: {error or type(error).__name__}") from None


def _check_end(content: bytes) -> None:
    """Look at the last record before zipfile builds an object for each entry it announces.

    An archive of 64 MB has room for more than a million entries, some hundred bytes of memory each.
    """
    if len(content) < _END.size:
        raise BundleError(f"archive: expected a zip, found {len(content)} bytes")
    signature, _, _, _, entries, directory, _, comment = _END.unpack(content[-_END.size :])
    if signature != b"PK\x05\x06" or comment:
        raise BundleError("archive: expected a zip without a comment, found another ending")
    locator = content[-_END.size - _LOCATOR_SIZE : -_END.size]
    if locator.startswith(_LOCATOR_SIGNATURE):  # its numbers would count instead of these
        raise BundleError("archive: expected a plain zip, found zip64")
    if entries != len(LIMITS) or directory > _MAX_DIRECTORY_BYTES:
        raise BundleError(
            f"archive: expected the {len(LIMITS)} entries {' and '.join(LIMITS)}, found {entries}"
        )


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    names = [entry.orig_filename for entry in entries]  # as stored; filename ends at a NUL
    if sorted(names) != sorted(LIMITS):
        found = ", ".join(repr(name[:80]) for name in names)
        raise BundleError(f"archive: expected the entries {' and '.join(LIMITS)}, found {found}")
    for entry in entries:
        if entry.flag_bits & _ENCRYPTED:
            raise BundleError(f"archive: {entry.filename}: expected plain content, found encrypted")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BundleError(
                f"archive: {entry.filename}: expected stored or deflated, "
                f"found method {entry.compress_type}"
            )
        if entry.file_size > LIMITS[entry.filename]:
            raise BundleError(
                f"archive: {entry.filename}: expected at most {LIMITS[entry.filename]} bytes, "
                f"found {entry.file_size}"
            )


def _unpack(opened: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    # zipfile stops at the size that was declared, which is checked above, and compares the CRC.
    with opened.open(entry) as file:
        content = file.read(entry.file_size + 1)
    if len(content) != entry.file_size:
        raise BundleError(
            f"archive: {entry.filename}: expected {entry.file_size} bytes, found {len(content)}"
        )
    return content
