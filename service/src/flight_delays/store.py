"""Versions of the model on disk, and which of them is the champion.

    STATE/
      models/VERSION/model.onnx, bundle.json
      champion.json
      lock

Several processes may use one folder, and each may be killed at any moment. Writers take turns by a
lock that the system releases when its holder dies. What a writer makes, it makes under a hidden
name, waits until the disk has it, and renames. Readers take no lock: they see the old or the new.
What a dead writer left under a hidden name is swept by the next store or writer.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, BinaryIO
from uuid import uuid4

from filelock import FileLock, Timeout
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from flight_delays.archive import read_archive
from flight_delays.bundle import (
    INFO_FILE,
    MAX_INFO_BYTES,
    Bundle,
    BundleError,
    load_bundle,
    parse_info,
    read_file,
)
from flight_delays.disk import flush_folder, rename, write_file
from flight_delays.metadata import MAX_MODEL_BYTES, MODEL_FILE, BundleInfo, Version

CHAMPION_FILE = "champion.json"
LOCK_FILE = "lock"
LOCK_TIMEOUT_S = 10.0

_DRAFT, _REMOVED, _DAMAGED = ".draft-", ".removed-", ".damaged-"
_LEFTOVERS = (_DRAFT, _REMOVED)  # what is damaged is kept for whoever looks into it
_VERSION = TypeAdapter(Version)
_log = logging.getLogger(__name__)


class StoreError(ValueError):
    """The store cannot do what was asked; the message says why."""


class UnknownVersion(StoreError):
    """No such version is in the store."""


class VersionConflict(StoreError):
    """The version is there with other content, and a version never changes."""


class IsChampion(StoreError):
    """The champion cannot be removed."""


class PreconditionFailed(StoreError):
    """Somebody else has changed it since the caller looked."""


class StoreBusy(StoreError):
    """Another writer held the lock for too long; try again."""


class StoreDamaged(StoreError):
    """A file is not what this store wrote; the message names it and says what to do."""


class Champion(BaseModel):
    """Which version is in service, since when (UTC), and which was before it.

    `revision` counts the changes, 1, 2, 3, ..., so that A to B and back to A is noticed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    version: Version
    revision: Annotated[int, Field(ge=1)]
    since: AwareDatetime
    previous: Version | None


@dataclass(frozen=True)
class StoredModel:
    """A version in the store; `sha256` is the digest of bundle.json and stands for all of it."""

    version: str
    sha256: str
    info: BundleInfo
    folder: Path


class ModelStore:
    """The versions in a folder, which is made if it is not there.

    Every method may also raise OSError (a full disk, a folder that may not be written); then
    nothing has changed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)
        self._models = self.folder / "models"
        self._champion = self.folder / CHAMPION_FILE
        if not self._models.is_dir():
            self._models.mkdir(parents=True, exist_ok=True)
            flush_folder(self.folder)
            flush_folder(self.folder.parent)
        if self._leftovers():
            with suppress(StoreBusy), self._writing():  # a live writer's draft is no leftover
                pass

    def versions(self) -> list[str]:
        """List the versions, oldest data first; one that is damaged is listed, too."""
        return sorted(entry.name for entry in self._models.iterdir() if _is_version(entry.name))

    def get(self, version: str) -> StoredModel:
        """Describe a version without loading its model.

        Raises:
            UnknownVersion: it is not there.
            StoreDamaged: its bundle.json is not sound.
        """
        folder = self._find(version)
        try:
            content = read_file(folder, INFO_FILE, MAX_INFO_BYTES)
            info = parse_info(content)
            if info.version != version:
                raise BundleError(f"{INFO_FILE}: version: found {info.version}")
        except (BundleError, FileNotFoundError) as error:
            self._find(version)  # it may have been removed while we read
            raise StoreDamaged(
                f"models/{version} is damaged on disk: {error}; add the same bundle again, "
                f"or remove the version"
            ) from None
        return StoredModel(version, hashlib.sha256(content).hexdigest(), info, folder)

    def add_archive(self, version: str, archive: BinaryIO | bytes) -> tuple[StoredModel, bool]:
        """Add a version from a zip of model.onnx and bundle.json.

        Returns:
            The version, and whether it was made: False if the same content was there already.

        Raises:
            BundleError: the archive or the bundle fails a check, or is another version.
            VersionConflict: the version is there with other content.
            StoreBusy: another writer does not finish.
        """
        files = read_archive(archive)
        return self._add(files[INFO_FILE], files[MODEL_FILE], version)

    def add_folder(self, folder: Path) -> tuple[StoredModel, bool]:
        """Add a version from a bundle's folder, which stays as it is; see `add_archive`."""
        info = read_file(Path(folder), INFO_FILE, MAX_INFO_BYTES)
        return self._add(info, read_file(Path(folder), MODEL_FILE, MAX_MODEL_BYTES))

    def remove(self, version: str, if_match: str | None = None) -> None:
        """Remove a version.

        Args:
            if_match: remove it only if its bundle.json has this SHA-256.

        Raises:
            UnknownVersion, IsChampion, PreconditionFailed, StoreBusy, StoreDamaged.
        """
        with self._writing():
            folder = self._find(version)
            champion = self.champion()
            if champion is not None and champion.version == version:
                raise IsChampion(f"{version} is the champion; make another version champion first")
            if if_match is not None and if_match != _digest(folder):
                raise PreconditionFailed(f"{version} is not the bundle whose SHA-256 was given")
            removed = self._models / f"{_REMOVED}{uuid4().hex}"
            rename(folder, removed)
            flush_folder(self._models)
            shutil.rmtree(removed, ignore_errors=True)

    def champion(self) -> Champion | None:
        """Say which version is in service, None before there was one.

        Raises:
            StoreDamaged: champion.json is not sound.
        """
        content = self.changed()
        if content is None:
            return None
        try:
            return Champion.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise StoreDamaged(
                f"{CHAMPION_FILE} is damaged on disk: {first['msg']}; restore it from a copy, or "
                f"remove the file {self._champion} and choose the champion again; "
                f"the versions are not touched"
            ) from None

    def set_champion(
        self, version: str, *, if_match: int | None, must_be_first: bool = False
    ) -> tuple[Champion, Bundle]:
        """Make a version the champion once its bundle has passed every check.

        If it is champion already nothing changes, whatever the conditions say, so that a caller
        who lost the answer can ask again.

        Args:
            if_match: change it only if the champion has this revision; None for no condition.
            must_be_first: change it only if there is no champion yet.

        Raises:
            PreconditionFailed: a condition does not hold.
            UnknownVersion: the version is not there.
            BundleError: its bundle fails a check; the old champion stays.
            StoreBusy, StoreDamaged.
        """
        with self._writing():
            old = self.champion()
            if old is not None and old.version == version:
                return old, load_bundle(self._find(version))
            if must_be_first and old is not None:
                raise PreconditionFailed(f"there is a champion already, {old.version}")
            if if_match is not None and (old is None or old.revision != if_match):
                found = "there is none" if old is None else f"it is at revision {old.revision}"
                raise PreconditionFailed(f"expected the champion at revision {if_match}, {found}")
            bundle = load_bundle(self._find(version))
            new = Champion(
                version=version,
                revision=1 if old is None else old.revision + 1,
                since=datetime.now(UTC),
                previous=None if old is None else old.version,
            )
            draft = self.folder / f"{_DRAFT}{uuid4().hex}"
            write_file(draft, new.model_dump_json(indent=2).encode())
            rename(draft, self._champion)
            flush_folder(self.folder)
            return new, bundle

    def load_champion(self) -> tuple[Champion, Bundle] | None:
        """Load the champion without taking the lock, None if there is none.

        Raises:
            BundleError: its bundle fails a check.
            StoreDamaged: champion.json is not sound.
        """
        while (champion := self.champion()) is not None:
            try:
                return champion, load_bundle(self._models / champion.version)
            except (BundleError, OSError):
                # Another may have become champion, and this one been removed, while it loaded.
                if self.champion() == champion:
                    raise
        return None

    def changed(self) -> bytes | None:
        """Return a token that differs whenever the champion has changed; cheap enough to poll.

        It is the content of champion.json, a few hundred bytes. Its time stamp would be
        cheaper and could miss two changes within one tick of the file system's clock.
        """
        try:
            with self._champion.open("rb") as file:
                return file.read(MAX_INFO_BYTES)
        except FileNotFoundError:
            return None

    def _add(
        self, info_json: bytes, model: bytes, version: str | None = None
    ) -> tuple[StoredModel, bool]:
        info = parse_info(info_json)
        if version is not None and info.version != version:
            raise BundleError(f"{INFO_FILE}: version: expected {version}, found {info.version}")
        target = self._models / info.version
        with self._writing():
            draft = self._models / f"{_DRAFT}{uuid4().hex}"
            draft.mkdir()
            try:
                write_file(draft / MODEL_FILE, model)
                write_file(draft / INFO_FILE, info_json)
                load_bundle(draft)
                flush_folder(draft)
                new = not _holds(target, info_json, model)
                if new:
                    self._make_room(target)
                    rename(draft, target)
                    flush_folder(self._models)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
            return self.get(info.version), new

    def _make_room(self, target: Path) -> None:
        """Refuse to replace a sound bundle; move a damaged one aside, where it is kept."""
        if not target.exists() and not target.is_symlink():
            return
        try:
            load_bundle(target)
        except BundleError as error:
            aside = self._models / f"{_DAMAGED}{target.name}-{uuid4().hex}"
            _log.warning("models/%s was damaged (%s); it is kept as %s", target.name, error, aside)
            rename(target, aside)
        else:
            raise VersionConflict(
                f"{target.name} is there with other content, and a version never changes"
            )

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the lock; sweep first what dead writers left, since no other writer is alive."""
        lock = FileLock(self.folder / LOCK_FILE, timeout=LOCK_TIMEOUT_S, poll_interval=0.01)
        try:
            lock.acquire()
        except Timeout:
            raise StoreBusy(
                f"another writer held {lock.lock_file} for {LOCK_TIMEOUT_S:g} s; try again"
            ) from None
        try:
            for path in self._leftovers():
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def _leftovers(self) -> list[Path]:
        return [
            path
            for folder in (self.folder, self._models)
            for path in folder.iterdir()
            if path.name.startswith(_LEFTOVERS)
        ]

    def _find(self, version: str) -> Path:
        # The pattern comes first: what does not fit it never becomes part of a path.
        if not _is_version(version) or not (self._models / version).exists():
            raise UnknownVersion(f"no version {version[:80]!r} in the store")
        return self._models / version


def _is_version(text: str) -> bool:
    try:
        _VERSION.validate_python(text, strict=True)
    except ValidationError:
        return False
    return text.isascii()  # \d also means digits of other scripts


def _holds(folder: Path, info_json: bytes, model: bytes) -> bool:
    """Say whether a folder holds these two files, byte for byte."""
    try:
        return (
            read_file(folder, INFO_FILE, MAX_INFO_BYTES) == info_json
            and read_file(folder, MODEL_FILE, MAX_MODEL_BYTES) == model
        )
    except BundleError:  # missing, too long, a link
        return False


def _digest(folder: Path) -> str | None:
    try:
        return hashlib.sha256(read_file(folder, INFO_FILE, MAX_INFO_BYTES)).hexdigest()
    except BundleError:
        return None
