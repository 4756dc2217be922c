"""What students handed in, found in folders and zips, with one bad file never stopping the others."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from labkit.grading import submissions
from labkit.grading.submissions import SubmissionsError, each, file_name, find

LAB = "warm_up"
A, B, C = b'{"cells": [1]}', b'{"cells": [2]}', b'{"cells": [3]}'
MB = 2**20


def folder_of(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def zip_of(root: Path, files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    path = root / "export.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


MAKERS = pytest.mark.parametrize("make", [folder_of, zip_of], ids=["folder", "zip"])

LAYOUTS = {
    "nbgrader": ({"s1/warm_up/warm_up.ipynb": A, "s2/warm_up/warm_up.ipynb": B}, {"s1": A, "s2": B}),
    "nbgrader, submitted": (
        {
            "submitted/s1/warm_up/warm_up.ipynb": A,
            "submitted/s1/warm_up/timestamp.txt": b"2026",
            "submitted/s1/lab02/lab02.ipynb": C,
            "release/warm_up/warm_up.ipynb": C,
            "source/warm_up/warm_up.ipynb": C,
            "gradebook.db": C,
        },
        {"s1": A},
    ),
    "flat": ({"s1_warm_up.ipynb": A, "last_first_warm_up.ipynb": B}, {"s1": A, "last_first": B}),
    "flat, second ending of a browser": ({"s1_warm_up.ipynb.txt": A, "s2_WARM_UP.IPYNB": B}, {"s1": A, "s2": B}),
    "moodle": (
        {
            "Kim One_1234_assignsubmission_file/warm_up.ipynb": A,
            "Kim One_1235_assignsubmission_file/warm_up.ipynb": B,
            "Participant_77_assignsubmission_file/warm_up.ipynb": C,
        },
        {"Kim One_1234": A, "Kim One_1235": B, "Participant_77": C},
    ),
    "moodle, older": (
        {
            "Kim One_1234_assignsubmission_file_/warm_up.ipynb": A,
            "Default group_assignsubmission_file_/sub/warm_up.ipynb": B,
        },
        {"Kim One_1234": A, "Default group": B},
    ),
    "moodle, no folders": ({"Kim One_1234_assignsubmission_file_warm_up.ipynb": A}, {"Kim One_1234": A}),
    "canvas": (
        {
            "onekim_12345_67890_warm_up-1.ipynb": A,
            "twokim_LATE_12346_67891_warm_up.ipynb": B,
            "anon_Ab3x9_67892_warm_up.ipynb": C,
            "LATE_anon_Zz3x9_67893_warm_up.ipynb": C,
        },
        {"onekim_12345": A, "twokim_12346": B, "anon_Ab3x9": C, "anon_Zz3x9": C},
    ),
    "ilias": ({"s1/warm_up.ipynb": A, "s2/warm_up.ipynb": B}, {"s1": A, "s2": B}),
    "in one more folder": ({"x/s1_warm_up.ipynb": A, "x/s2_warm_up.ipynb": B}, {"s1": A, "s2": B}),
    "submitted in one more folder": (
        {"x/submitted/s1/warm_up/warm_up.ipynb": A, "x/release/warm_up/warm_up.ipynb": C},
        {"s1": A},
    ),
}


@MAKERS
@pytest.mark.parametrize("files, expected", LAYOUTS.values(), ids=LAYOUTS)
def test_layouts(tmp_path: Path, make, files, expected) -> None:
    found = find(make(tmp_path, files), LAB)
    assert {one.student: one.content for one in found} == expected
    assert [one.student for one in found] == sorted(expected)
    assert not any(one.problem or one.notes for one in found)
    assert all(one.origin in files for one in found)


@MAKERS
def test_hidden_files_and_files_of_nobody_do_not_count(tmp_path: Path, make) -> None:
    names = ["__MACOSX/._s1_warm_up.ipynb", ".DS_Store", ".ipynb_checkpoints/s2_warm_up.ipynb", "grades.csv"]
    found = find(make(tmp_path, {"s1_warm_up.ipynb": A} | dict.fromkeys(names, B)), LAB)
    assert [one.student for one in found] == ["s1"]


@MAKERS
@pytest.mark.parametrize("name", ["homework.ipynb", "_warm_up.ipynb", "s3_warm_up2.ipynb", "more.zip"])
def test_a_notebook_of_nobody_is_reported(tmp_path: Path, make, name) -> None:
    found = find(make(tmp_path, {"s1_warm_up.ipynb": A, name: B}), LAB)
    assert {one.student: bool(one.problem) for one in found} == {"s1": False, name: True}


@MAKERS
def test_a_lone_notebook_of_nobody_is_reported(tmp_path: Path, make) -> None:
    [one] = find(make(tmp_path, {"homework.ipynb": A}), LAB)
    assert (one.student, one.content, one.problem) == ("homework.ipynb", None, submissions.WHOSE)


# What a student may name decides nothing: the folder or prefix that the platform wrote stands outside.
SPOOFS = {
    "nbgrader": ("eve/warm_up/s1_warm_up.ipynb", "eve"),
    "nbgrader, folders": ("eve/warm_up/s1/warm_up/warm_up.ipynb", "eve"),
    "nbgrader, as canvas": ("eve/warm_up/s1_1_2_warm_up.ipynb", "eve"),
    "nbgrader, submitted": ("eve/warm_up/submitted/s1/warm_up/warm_up.ipynb", "eve"),
    "moodle": ("eve_5_assignsubmission_file/s1_4_assignsubmission_file/warm_up.ipynb", "eve_5"),
    "moodle, submitted": ("eve_5_assignsubmission_file/submitted/s1/warm_up/warm_up.ipynb", "eve_5"),
    "moodle, no folders": ("eve_5_assignsubmission_file_s1_4_assignsubmission_file_warm_up.ipynb", "eve_5"),
    "canvas": ("eve_5_6_s1_1_2_warm_up.ipynb", "eve_5"),
    "canvas, as flat": ("eve_5_6_s1_warm_up.ipynb", "eve_5"),
}


@MAKERS
@pytest.mark.parametrize("name, student", SPOOFS.values(), ids=SPOOFS)
def test_nobody_hands_in_for_another(tmp_path: Path, make, name, student) -> None:
    honest, other = {
        "eve": ("s1/warm_up/warm_up.ipynb", "s1"),
        "eve_5": ("s1_4_assignsubmission_file/warm_up.ipynb", "s1_4"),
    }[student]
    found = {one.student: one.content for one in find(make(tmp_path, {honest: A, name: B}), LAB)}
    assert found == {other: A, student: B}


SEVERAL = {
    "the counter of Canvas": (["s_1_10_warm_up.ipynb", "s_1_20_warm_up-1.ipynb"], 1, "it was uploaded last"),
    "the upload number beats the counter": (
        ["s_1_20_warm_up.ipynb", "s_1_10_warm_up-3.ipynb"],
        0,
        "it was uploaded last",
    ),
    "the highest counter": (
        ["s_warm_up-2.ipynb", "s_warm_up-10.ipynb", "s_warm_up.ipynb"],
        1,
        "its number is the highest",
    ),
    "a browser's counter": (["s_warm_up.ipynb", "s_warm_up (1).ipynb"], 1, "its number is the highest"),
    "the lab's name": (
        ["s/warm_up/trials.ipynb", "s/warm_up/warm_up.ipynb", "s/warm_up/a-9.ipynb"],
        1,
        "it has the lab's name",
    ),
    "a copy is not newer": (["s/warm_up/warm_up-Copy1.ipynb", "s/warm_up/warm_up.ipynb"], 1, "it has the lab's name"),
}


@MAKERS
@pytest.mark.parametrize("names, taken, why", SEVERAL.values(), ids=SEVERAL)
def test_the_newest_of_several(tmp_path: Path, make, names, taken, why) -> None:
    contents = [A, B, C][: len(names)]
    [one] = find(make(tmp_path, dict(zip(names, contents, strict=True))), LAB)
    assert one.content == contents[taken] and one.origin == names[taken]
    assert why in one.notes[0] and f"There are {len(names)} notebooks" in one.notes[0]


UNDECIDED = {
    "two folders": ["s_1_assignsubmission_file/a/warm_up.ipynb", "s_1_assignsubmission_file/b/warm_up.ipynb"],
    "other names": ["s_1_assignsubmission_file/one.ipynb", "s_1_assignsubmission_file/two.ipynb"],
    "the same counter": ["s_warm_up-1.ipynb", "s_warm_up (1).ipynb"],
}


@MAKERS
@pytest.mark.parametrize("names", UNDECIDED.values(), ids=UNDECIDED)
def test_what_cannot_be_told_is_a_problem(tmp_path: Path, make, names) -> None:
    path = make(tmp_path, {names[0]: A, names[1]: B})
    if path.is_dir():
        os.utime(path / names[0], (10**9, 10**9))  # a time decides nothing
    [one] = find(path, LAB)
    assert one.content is None and "nothing tells which is the newest" in one.problem


@MAKERS
def test_the_same_notebook_twice_is_one(tmp_path: Path, make) -> None:
    [one] = find(make(tmp_path, dict.fromkeys(UNDECIDED["two folders"], A)), LAB)
    assert one.content == A and "they are the same" in one.notes[0]


@MAKERS
def test_an_older_notebook_counts_if_the_newest_cannot_be_read(tmp_path: Path, make) -> None:
    [one] = find(make(tmp_path, {"s_warm_up.ipynb": A, "s_warm_up-1.ipynb": b""}), LAB)
    assert one.content == A
    assert "newest that can be read" in one.notes[0] and submissions.EMPTY in one.notes[1]


INSTEAD = {
    "another kind of file": ({"s_1_assignsubmission_file/a.pdf": A}, "What came was a.pdf."),
    "typed text": ({"s_1_assignsubmission_onlinetext/onlinetext.html": A}, "onlinetext.html"),
    "typed text, canvas": ({"s_1_text.html": A}, "No notebook"),
    "many files": ({f"s_1_assignsubmission_file/{n}.png": A for n in range(9)}, "0.png, 1.png, 2.png and 6 more"),
    "a zip": ({"s_1_assignsubmission_file/warm_up.zip": A}, submissions.NESTED),
    "a zip, canvas": ({"s_1_2_warm_up.zip": A}, submissions.NESTED),
    "an empty file": ({"s_1_2_warm_up.ipynb": b""}, submissions.EMPTY),
    "a huge file": ({"s_1_2_warm_up.ipynb": os.urandom(MB) * 21}, submissions.TOO_LARGE),
}


@MAKERS
@pytest.mark.parametrize("files, problem", INSTEAD.values(), ids=INSTEAD)
def test_what_cannot_be_taken_is_a_problem_and_the_others_go_on(tmp_path: Path, make, files, problem) -> None:
    found = find(make(tmp_path, files | {"z_8_9_warm_up.ipynb": C}), LAB)
    assert [one.student for one in found] == ["s_1", "z_8"]
    assert found[0].content is None and problem in found[0].problem
    assert found[1].content == C


def test_an_empty_folder_of_the_lab_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "s1" / LAB).mkdir(parents=True)
    (tmp_path / "s2").mkdir()
    [one] = find(tmp_path, LAB)
    assert (one.student, one.problem) == ("s1", submissions.NOTHING)


def test_a_folder_with_the_name_of_a_notebook(tmp_path: Path) -> None:
    (tmp_path / "s1_warm_up.ipynb").mkdir()
    (tmp_path / "s1_warm_up.ipynb" / "s2_warm_up.ipynb").write_bytes(A)
    [one] = find(tmp_path, LAB)
    assert (one.student, one.content, one.problem) == ("s1", None, submissions.FOLDER)


def link(at: Path, to: Path) -> None:
    at.parent.mkdir(parents=True, exist_ok=True)
    try:
        at.symlink_to(to)
    except OSError as error:
        pytest.skip(f"this machine makes no symbolic links: {error}")


LINKS = {
    "a file": ("eve/warm_up/warm_up.ipynb", "s1/warm_up/warm_up.ipynb", "eve"),
    "a file outside": ("eve/warm_up/warm_up.ipynb", "/etc/passwd", "eve"),
    "the lab's folder": ("eve/warm_up", "s1/warm_up", "eve"),
    "the student's folder": ("eve", "s1", "eve"),
    "nowhere": ("eve/warm_up/warm_up.ipynb", "missing", "eve"),
    "a folder below": ("eve/warm_up/more", "s1", "eve"),
    "itself": ("eve", "eve", "eve"),
}


@pytest.mark.parametrize("at, to, student", LINKS.values(), ids=LINKS)
def test_links_are_never_followed(tmp_path: Path, at, to, student) -> None:
    folder_of(tmp_path, {"s1/warm_up/warm_up.ipynb": A})
    link(tmp_path / at, tmp_path / to)
    found = {one.student: one for one in find(tmp_path, LAB)}
    assert found["s1"].content == A
    assert found[student].content is None and found[student].problem == submissions.LINK


def test_what_becomes_a_link_after_it_was_listed_is_not_followed(tmp_path: Path) -> None:
    folder_of(tmp_path, {"s1/warm_up/warm_up.ipynb": A, "s2/warm_up/warm_up.ipynb": B, "s3/warm_up/warm_up.ipynb": C})
    found = each(tmp_path, LAB)
    assert next(found).content == A
    (tmp_path / "s2/warm_up/warm_up.ipynb").unlink()
    link(tmp_path / "s2/warm_up/warm_up.ipynb", tmp_path / "s1/warm_up/warm_up.ipynb")
    (tmp_path / "s3/warm_up").rename(tmp_path / "s3/moved")
    link(tmp_path / "s3/warm_up", tmp_path / "s1/warm_up")
    assert [(one.content, one.problem) for one in found] == [(None, submissions.LINK)] * 2


def test_the_source_itself_may_be_a_link(tmp_path: Path) -> None:
    folder_of(tmp_path / "real", {"s1_warm_up.ipynb": A})
    link(tmp_path / "linked", tmp_path / "real")
    assert [one.content for one in find(tmp_path / "linked", LAB)] == [A]


def test_special_files_do_not_block(tmp_path: Path) -> None:
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(tmp_path / "s1_warm_up.ipynb")
    folder_of(tmp_path, {"s2_warm_up.ipynb": B})
    first, second = find(tmp_path, LAB)
    assert (first.content, first.problem) == (None, submissions.SPECIAL) and second.content == B


def test_a_file_that_cannot_be_read_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a stand-in for the system's refusal, since root may read everything."""
    folder_of(tmp_path, {"s1_warm_up.ipynb": A, "s2_warm_up.ipynb": B})
    opened = os.open

    def refusing(path, *args, **kwargs):
        if Path(path).name == "s1_warm_up.ipynb":
            raise PermissionError(13, "Permission denied")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(submissions.os, "open", refusing)
    first, second = find(tmp_path, LAB)
    assert first.content is None and "Permission denied" in first.problem and second.content == B


def test_a_folder_that_cannot_be_read_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder_of(tmp_path, {f"{name}/warm_up/warm_up.ipynb": A for name in ("s1", "s2", "s3")})
    scanned = os.scandir

    def refusing(path):
        if Path(path) in (tmp_path / "s1", tmp_path / "s2" / "warm_up"):
            raise PermissionError(13, "Permission denied")
        return scanned(path)

    monkeypatch.setattr(submissions.os, "scandir", refusing)
    found = find(tmp_path, LAB)
    assert [(one.student, "Permission denied" in one.problem) for one in found] == [
        ("s1", True),
        ("s2", True),
        ("s3", False),
    ]


def test_a_file_that_is_gone_is_a_problem(tmp_path: Path) -> None:
    folder_of(tmp_path, {"s1_warm_up.ipynb": A, "s2_warm_up.ipynb": B})
    found = each(tmp_path, LAB)
    next(found)
    (tmp_path / "s2_warm_up.ipynb").unlink()
    assert "could not read" in next(found).problem


# --- zips


@pytest.mark.parametrize(
    "name",
    ["../eve_warm_up.ipynb", "/eve_warm_up.ipynb", "..\\eve_warm_up.ipynb", "C:\\eve_warm_up.ipynb", "a/../../eve/x"],
)
def test_zip_slip_is_a_problem_and_writes_nothing(tmp_path: Path, name) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    found = find(zip_of(inner, {"s1_warm_up.ipynb": A, name: B}), LAB)
    by_student = {one.student: one for one in found}
    assert by_student["s1"].content == A
    assert all(one.content is None and one.problem for one in found if one.student != "s1")
    assert len(found) == (1 if name.endswith("x") else 2)
    assert [path.name for path in tmp_path.rglob("*")] == ["inner", "export.zip"]


def test_a_path_that_leads_out_does_not_stand_for_another_student(tmp_path: Path) -> None:
    [one] = find(zip_of(tmp_path, {"s1_warm_up.ipynb": A, "../s1_warm_up-5.ipynb": B}), LAB)
    assert one.content == A and submissions.OUTSIDE in one.notes[1]


def test_backslashes_separate(tmp_path: Path) -> None:
    [one] = find(zip_of(tmp_path, {"s1\\warm_up\\warm_up.ipynb": A}), LAB)
    assert (one.student, one.content) == ("s1", A)


@pytest.mark.parametrize(
    "kind, problem", [(stat.S_IFLNK, submissions.LINK), (stat.S_IFIFO, submissions.SPECIAL)], ids=["link", "pipe"]
)
def test_links_and_special_files_in_a_zip(tmp_path: Path, kind, problem) -> None:
    path = zip_of(tmp_path, {"s1_warm_up.ipynb": A})
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo("s2_warm_up.ipynb")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "s1_warm_up.ipynb")
    first, second = find(path, LAB)
    assert first.content == A and (second.content, second.problem) == (None, problem)


def patched(path: Path, name: str, *, central: int, local: int, value: bytes) -> Path:
    """Overwrite the bytes at an offset of both headers of an entry."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo(name).header_offset
        at = archive.start_dir
        for info in archive.infolist():
            if info.filename == name:
                break
            at += 46 + len(info.orig_filename.encode()) + len(info.extra) + len(info.comment)
    data[at + central : at + central + len(value)] = value
    data[start + local : start + local + len(value)] = value
    path.write_bytes(data)
    return path


PATCHES = {
    "encrypted": (8, 6, b"\x01\x00", submissions.ENCRYPTED),
    "strongly encrypted": (8, 6, b"\x41\x00", submissions.ENCRYPTED),
    "patched data": (8, 6, b"\x20\x00", submissions.BROKEN),
    "another method": (10, 8, struct.pack("<H", zipfile.ZIP_LZMA), submissions.METHOD),
    "unknown method": (10, 8, struct.pack("<H", 77), submissions.METHOD),
    "wrong checksum": (16, 14, b"\x00\x00\x00\x00", submissions.BROKEN),
    "says to be small": (24, 22, struct.pack("<L", 3), submissions.BROKEN),
    "says to be empty": (24, 22, struct.pack("<L", 0), submissions.BROKEN),
    "says to be huge": (24, 22, struct.pack("<L", 2**31), submissions.TOO_LARGE),
}


@pytest.mark.parametrize("central, local, value, problem", PATCHES.values(), ids=PATCHES)
def test_hostile_entries(tmp_path: Path, central, local, value, problem) -> None:
    path = zip_of(tmp_path, {"s1_warm_up.ipynb": A * 100, "s2_warm_up.ipynb": B * 100, "s3_warm_up.ipynb": C})
    found = find(patched(path, "s2_warm_up.ipynb", central=central, local=local, value=value), LAB)
    assert [one.content for one in found] == [A * 100, None, C]
    assert found[1].problem == problem


def test_damaged_data(tmp_path: Path) -> None:
    path = zip_of(tmp_path, {"s1_warm_up.ipynb": os.urandom(5000), "s2_warm_up.ipynb": B})
    data = bytearray(path.read_bytes())
    data[1000:1100] = bytes(100)
    path.write_bytes(data)
    first, second = find(path, LAB)
    assert first.problem == submissions.BROKEN and second.content == B


@pytest.mark.parametrize("megabytes, problem", [(10, submissions.BOMB), (100, submissions.TOO_LARGE)])
def test_a_bomb_is_a_problem(tmp_path: Path, megabytes, problem) -> None:
    found = find(zip_of(tmp_path, {"s1_warm_up.ipynb": bytes(megabytes * MB), "s2_warm_up.ipynb": B}), LAB)
    assert (found[0].content, found[0].problem) == (None, problem) and found[1].content == B


def test_a_small_file_of_one_letter_is_no_bomb(tmp_path: Path) -> None:
    [one] = find(zip_of(tmp_path, {"s1_warm_up.ipynb": b" " * 500_000}), LAB)
    assert len(one.content) == 500_000


def test_overlapping_entries_are_refused(tmp_path: Path) -> None:
    """The directory names one large entry many times, as an overlapping bomb does."""
    path = zip_of(tmp_path, {"s1_warm_up.ipynb": os.urandom(10_000)})
    with zipfile.ZipFile(path, "a") as archive:
        archive.filelist += archive.filelist * 20
        archive._didModify = True
    with pytest.raises(SubmissionsError, match="overlap"):
        find(path, LAB)


@MAKERS
def test_too_many_files_are_refused(tmp_path: Path, make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submissions, "MAX_ENTRIES", 5)
    with pytest.raises(SubmissionsError, match="5"):
        find(make(tmp_path, {f"s{n}_warm_up.ipynb": A for n in range(6)}), LAB)


def test_the_same_name_twice_in_a_zip(tmp_path: Path) -> None:
    path = zip_of(tmp_path, {"s1_warm_up.ipynb": A})
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("s1_warm_up.ipynb", B)
    [one] = find(path, LAB)
    assert one.content is None and "nothing tells" in one.problem


def test_a_zip_inside_the_zip_is_not_opened(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("s2_warm_up.ipynb", B)
    found = find(zip_of(tmp_path, {"s1_warm_up.ipynb": A, "class.zip": buffer.getvalue()}), LAB)
    assert [(one.student, one.problem) for one in found] == [("class.zip", submissions.NESTED), ("s1", "")]


def test_names_in_utf8_without_the_flag(tmp_path: Path) -> None:
    """As macOS writes them; cp437 would show `Zoë` as `Zo├½`."""
    path = zip_of(tmp_path, {"Zoë_warm_up.ipynb": A})
    patched(path, "Zoë_warm_up.ipynb", central=8, local=6, value=b"\x00\x00")
    [one] = find(path, LAB)
    assert (one.student, one.content) == ("Zoë", A)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"{}"], ids=["empty", "cut off", "no zip"])
def test_a_source_that_is_neither_folder_nor_zip(tmp_path: Path, content) -> None:
    path = tmp_path / "all.zip"
    path.write_bytes(content)
    with pytest.raises(SubmissionsError, match=r"all\.zip is neither a folder nor a zip"):
        find(path, LAB)


def test_a_source_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SubmissionsError, match="there is no"):
        find(tmp_path / "missing", LAB)


@MAKERS
def test_nothing_handed_in(tmp_path: Path, make) -> None:
    assert find(make(tmp_path, {}), LAB) == []


# --- names


def test_two_ways_to_write_an_accent_are_one_student(tmp_path: Path) -> None:
    names = {"Zo\u00eb_warm_up.ipynb": A, "Zoe\u0308_warm_up-1.ipynb": B}
    [one] = find(zip_of(tmp_path, names), LAB)
    assert (one.student, one.content) == ("Zo\u00eb", B)


def test_what_cannot_be_shown_in_a_name_is_written_out(tmp_path: Path) -> None:
    names = {"s1_warm_up.ipynb": A, "s1\x1b[2J_warm_up.ipynb": B, "s\u202e1_warm_up.ipynb": C}
    found = find(zip_of(tmp_path, names), LAB)
    assert [one.student for one in found] == ["s1", "s1\\u001b[2J", "s\\u202e1"]
    assert all(one.origin.isprintable() for one in found)


PLAIN = ["s1", "kim", "last_first", "onekim_12345", "a-b.c", "12345", "x" * 100]
CASE = ["Kim", "KIM", "CON", "Kim One_1234"]
PATHS = ["k/im", "k\\im", "../kim", "..", ".", "", ".kim", "-kim", "kim.", "kim ", "k\0im", "k\nim", "kim\n"]
RESERVED = ["con", "con.x", "aux", "nul.ipynb", "com1", "lpt9", "a:b", 'a"b', "a*b", "a?b", "a|b", "<kim>"]
SCRIPTS = ["Zo\u00eb", "zo\u00eb", "\u4e2d\u6587", "\u4e2d", "\u4e2d" * 300, "\udcff", "\U0001f600"]
ODD = [*CASE, *PATHS, *RESERVED, *SCRIPTS, "x" * 101, "x" * 300, "kim-0123456789"]


@pytest.mark.parametrize("student", PLAIN)
def test_a_plain_name_stays(student) -> None:
    assert file_name(student) == student


@pytest.mark.parametrize("student", ODD)
def test_an_odd_name_is_made_safe(student, tmp_path: Path) -> None:
    name = file_name(student)
    assert name != student and name == file_name(student)
    assert not set(name) & set('/\\:*?"<>|\0\n ') and name.isprintable()
    assert name[0] not in ".-" and name[-1] not in ". " and len(name.encode()) <= 120
    assert name.split(".")[0].lower() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}
    (tmp_path / f"{name}.html").write_text("")
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.html"]


def test_no_two_students_share_a_file_even_where_case_does_not_matter() -> None:
    names = [file_name(student).casefold() for student in PLAIN + ODD]
    assert len(set(names)) == len(names)


def test_a_students_file_does_not_depend_on_how_the_accent_is_written() -> None:
    assert file_name("Zo\u00eb") == file_name("Zoe\u0308")


def test_the_name_of_another_file_cannot_be_guessed_into() -> None:
    """Whoever calls themselves as another's file is called gets one of their own."""
    assert file_name(file_name("Kim")) != file_name("Kim")
