"""Finds what students handed in: a folder, or the zip that a learning platform exports.

Whose a file is, is read from where it stands. The first form that fits counts:

    Moodle    FULL NAME_NUMBER_assignsubmission_file/...    student: FULL NAME_NUMBER
    nbgrader  STUDENT/LAB/...                               also below submitted/
    Canvas    NAME_USER_UPLOAD_...                          student: NAME_USER
    flat      STUDENT_LAB.ipynb
    ILIAS     STUDENT/LAB.ipynb

Older Moodles end the folder with another `_`, or write it before the file's name; Canvas puts LATE_
before USER, and `anon_CODE` in place of NAME_USER where the grading is anonymous. All of it may lie in
one more folder. What a student can name, a folder inside an upload say, never decides whose it is.

Of several notebooks of one student one is graded: one with the lab's name before any other, then
Canvas' highest upload number, then the highest counter (`LAB-2`, `LAB (2)`). If that leaves two that differ,
none is graded and the problem names them. Times never decide: Moodle and Canvas write the
time of the export into the zip, and unpacking or copying gives a folder's files new ones.

The names of Moodle and Canvas are those that mod/assign/classes/downloader.php and
lib/content_zipper.rb build.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from labkit.grading.model import Submission

MB = 2**20
MAX_FILE = 20 * MB
MAX_ENTRIES = 200_000
MAX_DEPTH = 16
MAX_RATIO = 200  # text stays far below; deflate can reach some 1,000

EMPTY = "The file is empty."
TOO_LARGE = f"The file is larger than {MAX_FILE // MB} MB. Clear its outputs, save it and hand it in again."
LINK = "This is a link to another place, and links are not followed. Hand in the notebook itself."
SPECIAL = "This is not an ordinary file. Hand in the notebook itself."
FOLDER = "This is a folder with the name of a notebook. Hand in the notebook itself."
NOTHING = "No notebook (.ipynb) was handed in."
NESTED = "A zip was handed in, and zips are not unpacked. Hand in the notebook (.ipynb) itself."
UNREADABLE = "The grader could not read the file ({why})."
OUTSIDE = "Its path in the zip leads out of the zip. Hand in the notebook itself."
ENCRYPTED = "The file is protected by a password. Hand it in without one."
METHOD = "The file is compressed in a way that the grader does not read. Hand it in again."
BOMB = f"The file unpacks to more than {MAX_RATIO} times its size, as no notebook does. Hand in the notebook itself."
BROKEN = "The file is damaged inside the zip. Hand it in again."
WHOSE = "Nothing in the file's name or folder tells whose it is."

UNKNOWN = "unknown"  # the form of a file whose student cannot be told
_NOTEBOOK = re.compile(r"\.ipynb(\.txt|\.json)?$", re.IGNORECASE)  # some browsers add the second ending
_COUNTER = r"(?:-(?P<dash>\d{1,4})| ?\((?P<round>\d{1,4})\))?"
_MOODLE = re.compile(r"(?P<student>.+?)_assignsubmission_[a-z]+(?:$|_(?P<rest>.*))")
_CANVAS = re.compile(
    r"(?:(?P<name>\w+?)_)?(?:LATE_)?(?P<user>\d+|anon_[A-Za-z0-9]+)"
    r"_(?:(?P<upload>\d+)_(?P<rest>.+)|(?:text|link)\.html)$"
)
_RESERVED = re.compile(r"con|prn|aux|nul|com\d|lpt\d", re.IGNORECASE)
_PLAIN = re.compile(r"[a-z0-9]([a-z0-9._-]{0,98}[a-z0-9_-])?")
_HASHED = re.compile(r".*-[0-9a-f]{10}")


class SubmissionsError(ValueError):
    """The place as a whole cannot be read, for the instructor to set right; the text says why."""


class _NotTaken(Exception):
    """Why a file is not taken, in a sentence for the student."""


@dataclass(frozen=True)
class _Entry:
    """Something that lies there, and how to read it; `read` raises _NotTaken."""

    parts: tuple[str, ...]
    kind: str  # file, folder, or barred: a place that is not entered
    read: Callable[[], bytes]

    @property
    def origin(self) -> str:
        return "/".join(map(_printable, self.parts))


@dataclass(frozen=True)
class _File:
    """An entry of a student: what it is called without the student's name, and Canvas' upload number."""

    student: str
    entry: _Entry
    name: str
    upload: int = 0
    form: str = ""


def find(source: Path, lab: str) -> list[Submission]:
    """All submissions of a lab in a folder or zip, by student; see `each`."""
    return list(each(source, lab))


def each(source: Path, lab: str) -> Iterator[Submission]:
    """The submissions one after another, by student, so that only one is in memory at a time.

    Nothing is unpacked to disk. A file that cannot be taken becomes a submission with a problem; the
    others go on.

    Parameters
    ----------
    source
        The folder or zip.
    lab
        The lab's name, as its notebook is called without .ipynb.

    Raises
    ------
    SubmissionsError
        There is no such folder or zip, or the zip as a whole is unsafe.
    """
    with _opened(Path(source)) as archive:
        entries = list(_in_folder(Path(source).resolve()) if archive is None else _in_archive(archive))
        groups: dict[str, list[_File]] = defaultdict(list)
        for file in _attributed(entries, lab):
            groups[file.student].append(file)
        for student in sorted(groups):
            yield _taken(student, groups[student], lab)


def file_name(student: str) -> str:
    """A name for a student's files, without an ending, that any system takes.

    The same student always has the same one, and two students never share one: what is not plain
    lower case (a-z 0-9 . _ -) is followed by ten hex digits of its SHA-256, since Windows and macOS
    take `Kim` and `kim` for one file.
    """
    known = unicodedata.normalize("NFC", student)
    reserved = _RESERVED.fullmatch(known.split(".")[0])
    if _PLAIN.fullmatch(known) and not _HASHED.fullmatch(known) and not reserved:
        return known
    shown = re.sub(r"[^\w.-]+", "_", known).encode("utf-8", "ignore")[:100].decode("utf-8", "ignore").strip(".-_ ")
    if _RESERVED.fullmatch(shown.split(".")[0]):
        shown = f"_{shown}"
    digest = hashlib.sha256(known.encode("utf-8", "surrogatepass")).hexdigest()[:10]
    return f"{shown or 'student'}-{digest}"


# --- whose it is


def _printable(text: str) -> str:
    """The text with whatever a terminal or page would not show written as \\u...; distinct texts stay distinct."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in unicodedata.normalize("NFC", text)).strip()


def _attributed(entries: list[_Entry], lab: str) -> Iterator[_File]:
    """The entries that matter, each with its student; those whose student is unknown stand for themselves."""
    placed = _below_submitted([(entry, entry.parts) for entry in entries])
    files = [_file(entry, parts, lab) for entry, parts in placed]
    inner, found = placed, files
    # Everything may lie in one more folder; look there only if nothing makes sense from outside.
    while not any(found) and len({parts[0] for _, parts in inner}) == 1:
        inner = _below_submitted([(entry, parts[1:]) for entry, parts in inner if len(parts) > 1])
        found = [_file(entry, parts, lab) for entry, parts in inner]
    if any(found):
        placed, files = inner, found
    nbgrader = any(file and file.form == "nbgrader" for file in files)
    for (entry, parts), file in zip(placed, files, strict=True):
        if file:
            yield file
        elif _worth_a_word(entry, parts, nbgrader):
            yield _File("/".join(map(_printable, parts)), entry, _printable(parts[-1]), form=UNKNOWN)


def _below_submitted(placed: list[tuple[_Entry, tuple[str, ...]]]) -> list[tuple[_Entry, tuple[str, ...]]]:
    inside = [(entry, parts[1:]) for entry, parts in placed if parts[0] == "submitted" and len(parts) > 1]
    return inside or placed


def _file(entry: _Entry, parts: tuple[str, ...], lab: str) -> _File | None:
    """The entry as a file of a student, or None if no form fits."""
    first, last = parts[0], parts[-1]
    if moodle := _MOODLE.match(first):
        name = last if len(parts) > 1 else moodle["rest"] or ""
        return _of(moodle["student"], entry, name, form="moodle")
    if len(parts) > 1 and parts[1].casefold() == lab.casefold():
        return _of(first, entry, last if len(parts) > 2 else "", form="nbgrader")
    if entry.kind == "folder" and not _NOTEBOOK.search(last):
        return None
    if len(parts) == 2 and _counter(last, lab) is not None:
        return _of(first, entry, last, form="folders")
    if len(parts) > 1:
        return None
    if canvas := _CANVAS.match(first):
        named = canvas["name"] not in (None, "LATE")
        if named or canvas["user"].startswith("anon_"):
            student = f"{canvas['name']}_{canvas['user']}" if named else canvas["user"]
            return _of(student, entry, canvas["rest"] or first, int((canvas["upload"] or "0")[:18]), "canvas")
    flat = re.fullmatch(rf"(?P<student>.+)_(?P<name>{re.escape(lab)}{_COUNTER}(\.\w+){{1,2}})", first, re.IGNORECASE)
    if flat:
        return _of(flat["student"], entry, flat["name"], form="flat")
    return None


def _of(student: str, entry: _Entry, name: str, upload: int = 0, form: str = "") -> _File | None:
    known = _printable(student)
    return _File(known, entry, _printable(name), upload, form) if known else None


def _worth_a_word(entry: _Entry, parts: tuple[str, ...], nbgrader: bool) -> bool:
    """Whether an entry of nobody may be a submission gone astray."""
    other_lab = len(parts) > 2 and _NOTEBOOK.sub("", parts[2]) == parts[1]
    if other_lab or (nbgrader and len(parts) > 1):
        return False
    return entry.kind == "barred" or bool(_NOTEBOOK.search(parts[-1])) or parts[-1].lower().endswith(".zip")


# --- which of a student's files


def _counter(name: str, lab: str) -> int | None:
    """2 of `LAB-2.ipynb` and `LAB (2).ipynb`, 0 of `LAB.ipynb`; None if it is called otherwise."""
    if not _NOTEBOOK.search(name):
        return None
    found = re.fullmatch(re.escape(lab) + _COUNTER, _NOTEBOOK.sub("", name), re.IGNORECASE)
    return int(found["dash"] or found["round"] or 0) if found else None


def _taken(student: str, files: list[_File], lab: str) -> Submission:
    files = [file for file in files if file.form != UNKNOWN] or files
    files = sorted(files, key=lambda file: file.entry.origin)
    if files[0].form == UNKNOWN:
        entry, notebook = files[0].entry, _NOTEBOOK.search(files[0].name)
        why = _why(entry) if entry.kind != "file" else WHOSE if notebook else NESTED
        return Submission(student, entry.origin, None, why)
    notebooks = [file for file in files if _NOTEBOOK.search(file.name)]
    if not notebooks:
        return Submission(student, files[0].entry.origin, None, _instead(files))

    def rank(file: _File) -> tuple[bool, int, int]:
        counter = _counter(file.name, lab)
        return counter is not None, file.upload, counter or 0

    ranked = sorted(notebooks, key=rank, reverse=True)
    failed: list[tuple[_File, str]] = []
    for place, group in itertools.groupby(ranked, rank):
        alike, contents = list(group), {}
        for file in alike:
            try:
                contents.setdefault(file.entry.read(), file)
            except _NotTaken as why:
                failed.append((file, str(why)))
            if len(contents) > 1:
                return Submission(student, alike[0].entry.origin, None, _undecided(alike))
        for content, file in contents.items():
            others = [rank(other) for other in notebooks if other is not file]
            why = "it is the newest that can be read" if failed else _reason(place, max(others, default=place))
            notes = [f"There are {len(notebooks)} notebooks; {file.name} was graded: {why}."] if others else []
            notes += [f"{other.name} was left out. {why}" for other, why in failed]
            return Submission(student, file.entry.origin, content, notes=tuple(notes))
    file, why = failed[0]
    return Submission(student, file.entry.origin, None, why)


def _why(entry: _Entry) -> str:
    try:
        entry.read()
    except _NotTaken as why:
        return str(why)
    return NOTHING


def _instead(files: list[_File]) -> str:
    """What to say when there is no notebook among the files."""
    for file in files:
        if file.entry.kind == "barred":
            return _why(file.entry)
    names = [file.name for file in files if file.entry.kind == "file" and file.name]
    if any(name.lower().endswith(".zip") for name in names):
        return NESTED
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{NOTHING} What came was {', '.join(names[:3])}{more}." if names else NOTHING


def _undecided(files: list[_File]) -> str:
    names = sorted({file.name for file in files})
    which = f", {', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else f" called {names[0]}"
    return f"There are {len(files)} notebooks{which}. They differ, and nothing tells which is the newest. Hand in one."


def _reason(place: tuple[bool, int, int], next_best: tuple[bool, int, int]) -> str:
    whys = ("it has the lab's name", "it was uploaded last", "its number is the highest")
    differing = (why for why, mine, other in zip(whys, place, next_best, strict=True) if mine != other)
    return next(differing, "they are the same")


# --- a folder


def _opened(source: Path) -> zipfile.ZipFile | nullcontext[None]:
    if source.is_dir():
        return nullcontext()
    try:
        return zipfile.ZipFile(source)
    except FileNotFoundError as error:
        raise SubmissionsError(f"there is no {source}; give the folder of the submissions, or a zip") from error
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error) as error:
        raise SubmissionsError(f"{source.name} is neither a folder nor a zip that can be read: {error}") from error


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _in_folder(root: Path) -> Iterator[_Entry]:
    """Everything below a folder, without following a link."""
    waiting: list[tuple[str, ...]] = [()]
    count = 0
    while waiting:
        above = waiting.pop()
        try:
            with os.scandir(root.joinpath(*above)) as listing:
                found = sorted(listing, key=lambda item: item.name)
        except OSError as error:
            if not above:
                raise SubmissionsError(f"{root} cannot be read: {error.strerror}") from error
            yield _Entry(above, "barred", _refuse(UNREADABLE.format(why=error.strerror)))
            continue
        count += len(found)
        if count > MAX_ENTRIES:
            raise SubmissionsError(f"{root} holds more than {MAX_ENTRIES:,} files; give the folder of the submissions")
        for item in found:
            parts = (*above, item.name)
            if _hidden(item.name):
                continue
            if item.is_symlink() or (hasattr(item, "is_junction") and item.is_junction()):
                yield _Entry(parts, "barred", _refuse(LINK))
            elif item.is_dir(follow_symlinks=False):
                yield _Entry(parts, "folder", _refuse(FOLDER))
                if len(parts) < MAX_DEPTH and not _NOTEBOOK.search(item.name):
                    waiting.append(parts)
            else:
                yield _Entry(parts, "file", _reader(root.joinpath(*parts)))


def _refuse(why: str) -> Callable[[], bytes]:
    def read() -> bytes:
        raise _NotTaken(why)

    return read


def _reader(path: Path) -> Callable[[], bytes]:
    # A pipe would block without O_NONBLOCK; what became a link since it was listed is not followed.
    flags = os.O_RDONLY
    for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"):
        flags |= getattr(os, name, 0)

    def read() -> bytes:
        try:
            listed = path.lstat()
            if stat.S_ISLNK(listed.st_mode) or path.parent.resolve() != path.parent:
                raise _NotTaken(LINK)
            if not stat.S_ISREG(listed.st_mode):
                raise _NotTaken(SPECIAL)
            with os.fdopen(os.open(path, flags), "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise _NotTaken(SPECIAL)
                return _bounded(file.read(MAX_FILE + 1))
        except OSError as error:
            raise _NotTaken(UNREADABLE.format(why=error.strerror)) from error

    return read


def _bounded(content: bytes) -> bytes:
    if len(content) > MAX_FILE:
        raise _NotTaken(TOO_LARGE)
    if not content:
        raise _NotTaken(EMPTY)
    return content


# --- a zip


def _in_archive(archive: zipfile.ZipFile) -> Iterator[_Entry]:
    """Everything in a zip; names are only labels here, since nothing is written to disk."""
    name = Path(archive.filename or "the zip").name
    infos = archive.infolist()
    if len(infos) > MAX_ENTRIES:
        raise SubmissionsError(f"{name} holds {len(infos):,} files; {MAX_ENTRIES:,} is the most that is read")
    archive.fp.seek(0, os.SEEK_END)
    if sum(info.compress_size for info in infos) > archive.fp.tell():
        raise SubmissionsError(f"the files in {name} overlap, which no export does; it is not safe to read")
    for info in infos:
        path = _zip_name(info)
        outside = path.startswith("/") or re.match(r"[A-Za-z]:", path) or ".." in path.split("/")
        parts = tuple(part for part in re.sub(r"^[A-Za-z]:", "", path).split("/") if part not in ("", ".", ".."))
        if not parts or any(map(_hidden, parts)):
            continue
        mode = info.external_attr >> 16
        if stat.S_ISLNK(mode):
            yield _Entry(parts, "barred", _refuse(LINK))
        elif path.endswith("/"):
            yield _Entry(parts, "folder", _refuse(FOLDER))
        elif outside:
            yield _Entry(parts, "file", _refuse(OUTSIDE))
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            yield _Entry(parts, "file", _refuse(SPECIAL))
        else:
            yield _Entry(parts, "file", _unpacker(archive, info))


def _zip_name(info: zipfile.ZipInfo) -> str:
    """The name with / between its parts; macOS writes UTF-8 and does not say so."""
    name = info.filename
    if not info.flag_bits & 0x800:
        try:
            name = name.encode("cp437").decode("utf-8")
        except UnicodeError:
            name = info.filename
    return name.replace("\\", "/")


def _unpacker(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], bytes]:
    def read() -> bytes:
        if info.flag_bits & 0x41:
            raise _NotTaken(ENCRYPTED)
        # The other methods unpack a whole block at once, whatever bound is asked for.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise _NotTaken(METHOD)
        if info.file_size > MAX_FILE:
            raise _NotTaken(TOO_LARGE)
        if info.file_size > max(MB, MAX_RATIO * info.compress_size):
            raise _NotTaken(BOMB)
        try:
            with archive.open(info) as file:
                return _bounded(file.read(MAX_FILE + 1))
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, RuntimeError, struct.error) as error:
            raise _NotTaken(BROKEN) from error

    return read
