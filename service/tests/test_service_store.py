"""The model store: whole or absent, the first writer wins, nothing from outside names a path."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import onnx
import pytest
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

import flight_delays
from flight_delays import archive, store
from flight_delays.bundle import (
    INFO_FILE,
    INPUT,
    MAX_INFO_BYTES,
    OUTPUT,
    BundleError,
    load_bundle,
    open_session,
    run_model,
    write_bundle,
)
from flight_delays.features import CATEGORIES, FEATURES, encode
from flight_delays.metadata import (
    MAX_MODEL_BYTES,
    MODEL_FILE,
    BundleInfo,
    DataWindow,
    GoldenRows,
    Metrics,
    ModelFile,
    describe_features,
    make_version,
)
from flight_delays.store import (
    CHAMPION_FILE,
    IsChampion,
    ModelStore,
    PreconditionFailed,
    StoreBusy,
    StoreDamaged,
    UnknownVersion,
    VersionConflict,
)

PROCESSES = Path(__file__).with_name("store_processes.py")
UNKNOWN = "2013-06-30-00000000"


def make_model() -> bytes:
    """A logistic regression with the inputs and outputs of the real model."""
    width = len(FEATURES)
    nodes = [
        helper.make_node("Gemm", [INPUT, "weights", "bias"], ["score"]),
        helper.make_node("Sigmoid", ["score"], ["late"]),
        helper.make_node("Sub", ["one", "late"], ["punctual"]),
        helper.make_node("Concat", ["punctual", "late"], [OUTPUT], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [None, 2])],
        [
            helper.make_tensor("weights", TensorProto.FLOAT, [width, 1], [0.001] * width),
            helper.make_tensor("bias", TensorProto.FLOAT, [1], [-2.0]),
            helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0]),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def make_bundle(parent: Path, threshold: float, created: int = 1) -> Path:
    """Write a small bundle; another threshold makes another version, another second does not."""
    model = make_model()
    vocabulary = {name: {"AA": 0, "UA": 1} for name in CATEGORIES}
    features = describe_features(vocabulary)
    columns = {f.name: ["AA", "UA"] if f.kind == "category" else [f.minimum] * 2 for f in FEATURES}
    probabilities = run_model(open_session(model), encode(columns, vocabulary)).tolist()
    digest = hashlib.sha256(model).hexdigest()
    day = date(2013, 6, 30)
    scores = {"roc_auc": 0.7, "brier": 0.2, "log_loss": 0.5, "late_share": 0.2}
    info = BundleInfo(
        version=make_version(day, digest, features, threshold),
        created=datetime(2026, 1, 1, 0, 0, created, tzinfo=UTC),
        model=ModelFile(sha256=digest, size=len(model)),
        data=DataWindow(first=date(2013, 1, 1), last=day, rows=1, source="none", files={}),
        metrics=Metrics(rows=1, mean_prediction=0.2, first=day, last=day, **scores),
        threshold=threshold,
        features=features,
        golden=GoldenRows(columns=columns, probabilities=probabilities, tolerance=1e-5),
        libraries={},
        code_revision=None,
    )
    return write_bundle(parent, model, info)


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Four small bundles nobody may change."""
    parent = tmp_path_factory.mktemp("bundles")
    return [make_bundle(parent, threshold) for threshold in (0.2, 0.3, 0.4, 0.5)]


@pytest.fixture(scope="session")
def look_alike(bundles: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the same version as the first, made a second later."""
    other = make_bundle(tmp_path_factory.mktemp("look-alike"), 0.2, created=2)
    assert other.name == bundles[0].name
    return other


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def filled(state: Path, bundles: list[Path]) -> ModelStore:
    """A store with two versions, the first of them champion."""
    filled = ModelStore(state)
    for bundle in bundles[:2]:
        filled.add_folder(bundle)
    filled.set_champion(bundles[0].name, if_match=None, must_be_first=True)
    return filled


def zipped(entries: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as opened:
        for name, content in entries.items():
            opened.writestr(name, content)
    return buffer.getvalue()


def files_of(bundle: Path) -> dict[str, bytes]:
    return {name: (bundle / name).read_bytes() for name in (MODEL_FILE, INFO_FILE)}


def names_in(folder: Path) -> list[str]:
    """Everything below a folder but the lock."""
    names = (path.relative_to(folder).as_posix() for path in folder.rglob("*"))
    return sorted(name for name in names if name != "lock")


# Versions


def test_a_version_is_added_and_found_again(state, bundles):
    sound = bundles[0]
    added, new = ModelStore(state).add_archive(sound.name, zipped(files_of(sound)))
    assert new
    again = ModelStore(state)  # another process would see the same
    assert again.versions() == [sound.name]
    assert again.get(sound.name) == added
    assert added.info == load_bundle(sound).info
    assert added.sha256 == hashlib.sha256((sound / INFO_FILE).read_bytes()).hexdigest()
    assert files_of(added.folder) == files_of(sound)


def test_adding_twice_changes_nothing(state, bundles):
    there = ModelStore(state)
    first, _ = there.add_folder(bundles[0])
    stamps = [path.stat().st_mtime_ns for path in first.folder.iterdir()]
    for second, new in (
        there.add_folder(bundles[0]),
        there.add_archive(bundles[0].name, io.BytesIO(zipped(files_of(bundles[0])))),
    ):
        assert (second, new) == (first, False)
    assert [path.stat().st_mtime_ns for path in first.folder.iterdir()] == stamps


def test_a_version_never_changes(filled, bundles, look_alike):
    before = files_of(filled.get(bundles[0].name).folder)
    with pytest.raises(VersionConflict, match=f"^{bundles[0].name} is there with other content"):
        filled.add_folder(look_alike)
    assert files_of(filled.get(bundles[0].name).folder) == before


def test_versions_are_sorted_and_nothing_else_is_listed(filled, bundles):
    for name in ("notes", ".draft", "٢٠١٣-06-30-00000000"):
        (filled.folder / "models" / name).mkdir()
    assert filled.versions() == sorted(bundle.name for bundle in bundles[:2])


NO_VERSIONS = ["", ".", "..", "../models", UNKNOWN, f"{UNKNOWN}\n", f"{UNKNOWN}/", "x\0", "/etc"]
NO_VERSIONS += ["C:\\x", "٢٠١٣-06-30-00000000", f"{UNKNOWN[:-1]}A", "\ud800", "1" * 100_000]


@pytest.mark.parametrize("version", NO_VERSIONS, ids=lambda version: ascii(version)[:30])
def test_what_is_no_version_is_unknown(filled, version):
    before = names_in(filled.folder)
    for call in (
        filled.get,
        filled.remove,
        lambda name: filled.set_champion(name, if_match=None),
    ):
        with pytest.raises(UnknownVersion, match=r"in the store$"):
            call(version)
    assert names_in(filled.folder) == before


def test_an_archive_of_another_version_is_refused(state, bundles):
    there = ModelStore(state)
    expected = f"expected {bundles[1].name}, found {bundles[0].name}"
    with pytest.raises(BundleError, match=f"^{INFO_FILE}: version: {expected}$"):
        there.add_archive(bundles[1].name, zipped(files_of(bundles[0])))
    assert there.versions() == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({INFO_FILE: b"{}"}, f"{INFO_FILE}: .*Field required"),
        ({MODEL_FILE: b"no model"}, f"{MODEL_FILE}: size in bytes: expected"),
    ],
)
def test_a_bundle_that_fails_a_check_is_refused_and_leaves_nothing(
    filled, bundles, damage, message
):
    before = names_in(filled.folder)
    with pytest.raises(BundleError, match=f"^{message}"):
        filled.add_archive(bundles[2].name, zipped(files_of(bundles[2]) | damage))
    assert names_in(filled.folder) == before


def test_remove(filled, bundles):
    champion, other = (bundle.name for bundle in bundles[:2])
    with pytest.raises(IsChampion, match=f"^{champion} is the champion"):
        filled.remove(champion)
    with pytest.raises(PreconditionFailed):
        filled.remove(other, if_match=filled.get(champion).sha256)
    filled.remove(other, if_match=filled.get(other).sha256)
    with pytest.raises(UnknownVersion):
        filled.remove(other)
    assert names_in(filled.folder / "models") == [
        champion,
        f"{champion}/{INFO_FILE}",
        f"{champion}/{MODEL_FILE}",
    ]


def test_a_full_disk_changes_nothing(filled, bundles, monkeypatch):
    before, champion = names_in(filled.folder), filled.champion()

    def full(path: Path, content: bytes) -> None:
        path.write_bytes(content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(store, "write_file", full)
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            filled.add_folder(bundles[2])
        assert names_in(filled.folder) == before
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
            filled.set_champion(bundles[1].name, if_match=None)
        assert filled.champion() == champion
    filled.add_folder(bundles[2])  # sweeps what the second left
    assert [name for name in names_in(filled.folder) if name.startswith(".")] == []


# The champion


def test_the_first_champion(state, bundles):
    there = ModelStore(state)
    there.add_folder(bundles[0])
    there.add_folder(bundles[1])
    assert (there.champion(), there.load_champion(), there.changed()) == (None, None, None)
    with pytest.raises(PreconditionFailed, match="at revision 1, there is none"):
        there.set_champion(bundles[0].name, if_match=1)

    champion, bundle = there.set_champion(bundles[0].name, if_match=None, must_be_first=True)
    assert (champion.version, champion.revision, champion.previous) == (bundles[0].name, 1, None)
    assert champion.since.tzinfo is not None
    assert bundle.version == bundles[0].name
    again = ModelStore(state)
    assert again.champion() == champion
    assert again.load_champion()[1].sha256 == bundle.sha256
    with pytest.raises(PreconditionFailed, match="there is a champion already"):
        there.set_champion(bundles[1].name, if_match=None, must_be_first=True)


def test_a_to_b_and_back_is_noticed(filled, bundles):
    a, b = (bundle.name for bundle in bundles[:2])
    tokens = [filled.changed()]
    filled.set_champion(b, if_match=1)
    tokens.append(filled.changed())
    filled.set_champion(a, if_match=2)
    tokens.append(filled.changed())
    assert len(set(tokens)) == 3
    champion = filled.champion()
    assert (champion.version, champion.revision, champion.previous) == (a, 3, b)
    with pytest.raises(PreconditionFailed, match="at revision 1, it is at revision 3"):
        filled.set_champion(b, if_match=1)
    assert filled.champion() == champion


def test_asking_again_for_the_champion_is_granted(filled, bundles):
    token = filled.changed()
    for conditions in ({"if_match": 99}, {"if_match": None, "must_be_first": True}):
        champion, bundle = filled.set_champion(bundles[0].name, **conditions)
        assert (champion.revision, bundle.version) == (1, bundles[0].name)
    assert filled.changed() == token


def test_a_damaged_bundle_does_not_become_champion(filled, bundles):
    b = bundles[1].name
    (filled.get(b).folder / MODEL_FILE).write_bytes(b"damaged")
    token = filled.changed()
    with pytest.raises(BundleError, match=f"^{MODEL_FILE}: size in bytes"):
        filled.set_champion(b, if_match=1)
    assert filled.changed() == token


def test_a_reader_survives_a_switch_and_a_removal_while_it_loads(filled, bundles, monkeypatch):
    a, b = (bundle.name for bundle in bundles[:2])

    def load_late(folder: Path):
        monkeypatch.undo()
        filled.set_champion(b, if_match=1)
        filled.remove(a)
        return load_bundle(folder)

    monkeypatch.setattr(store, "load_bundle", load_late)
    champion, bundle = ModelStore(filled.folder).load_champion()
    assert (champion.version, bundle.version) == (b, b)


# Damage on disk


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff\xfe",
        b'{"version": "2013-06-30-00000000"}',
        b'{"version": "../../etc", "revision": 1, "since": "2026-01-01T00:00:00Z", '
        b'"previous": null}',
        b'{"version": "2013-06-30-00000000", "revision": 0, "since": "2026-01-01T00:00:00Z", '
        b'"previous": null}',
        b"[" * 100_000,
    ],
)
def test_a_damaged_champion_file_is_told_and_nothing_is_lost(filled, bundles, content):
    a, b = (bundle.name for bundle in bundles[:2])
    path = filled.folder / CHAMPION_FILE
    path.write_bytes(content)
    there = ModelStore(filled.folder)
    before = names_in(filled.folder)
    for call in (
        there.champion,
        there.load_champion,
        lambda: there.set_champion(b, if_match=1),
        lambda: there.remove(a),
    ):
        with pytest.raises(StoreDamaged, match=f"^{CHAMPION_FILE} is damaged on disk: .*remove"):
            call()
    assert (names_in(filled.folder), path.read_bytes()) == (before, content)
    assert [there.get(version).version for version in there.versions()] == sorted([a, b])

    path.unlink()  # as the message says
    there.set_champion(b, if_match=None, must_be_first=True)
    assert there.champion().version == b


def cut_info(folder: Path) -> None:
    path = folder / INFO_FILE
    path.write_bytes(path.read_bytes()[:100])


def remove_info(folder: Path) -> None:
    (folder / INFO_FILE).unlink()


def put_a_file_in_its_place(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("no folder")


def damage_model(folder: Path) -> None:
    (folder / MODEL_FILE).write_bytes(b"damaged")


@pytest.mark.parametrize("damage", [cut_info, remove_info, put_a_file_in_its_place])
def test_a_damaged_version_is_told(filled, bundles, damage):
    b = bundles[1].name
    damage(filled.folder / "models" / b)
    there = ModelStore(filled.folder)
    assert b in there.versions()
    with pytest.raises(StoreDamaged, match=f"^models/{b} is damaged on disk: .*add the same"):
        there.get(b)
    assert there.load_champion()[1].version == bundles[0].name
    with pytest.raises(PreconditionFailed):
        there.remove(b, if_match="0" * 64)
    there.remove(b)
    assert there.versions() == [bundles[0].name]


@pytest.mark.parametrize("damage", [cut_info, remove_info, put_a_file_in_its_place, damage_model])
def test_adding_it_again_mends_a_damaged_version_and_keeps_the_damaged(filled, bundles, damage):
    b = bundles[1].name
    damage(filled.folder / "models" / b)
    damaged = (filled.folder / "models" / b).stat().st_ino
    added, new = filled.add_folder(bundles[1])
    assert (added.version, new) == (b, True)
    assert load_bundle(added.folder).version == b
    (aside,) = (filled.folder / "models").glob(".damaged-*")
    assert aside.name.startswith(f".damaged-{b}-")
    assert aside.stat().st_ino == damaged
    ModelStore(filled.folder).add_folder(bundles[2])  # a sweep leaves it
    assert aside.exists()


def test_a_state_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        ModelStore(tmp_path / "file")


# Archives from outside


def edited(content: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """Overwrite bytes of the first record that begins with a signature."""
    at = content.index(signature) + offset
    return content[:at] + value + content[at + len(value) :]


CENTRAL, END = b"PK\x01\x02", b"PK\x05\x06"


def twice(files: dict[str, bytes]) -> bytes:
    """Two entries of one name, which writestr warns of, so the second is renamed in the bytes."""
    content = zipped({INFO_FILE: files[INFO_FILE], "bundle.jsoN": files[INFO_FILE]})
    return content.replace(b"bundle.jsoN", INFO_FILE.encode())


def bomb(files: dict[str, bytes]) -> bytes:
    """Honest about its size, 65 MB in 65 KB."""
    return zipped(files | {MODEL_FILE: bytes(MAX_MODEL_BYTES + 1)})


def lying_bomb(files: dict[str, bytes]) -> bytes:
    """The same, declared as 100 bytes."""
    content, small = bomb(files), struct.pack("<L", 100)
    assert content.index(b"PK\x03\x04") < content.index(CENTRAL)
    return edited(edited(content, CENTRAL, 24, small), b"PK\x03\x04", 22, small)


def many_entries(files: dict[str, bytes]) -> bytes:
    return zipped(files | {f"{number:x}": b"" for number in range(2_000)})


def crowd_said_to_be_two(files: dict[str, bytes]) -> bytes:
    """zipfile reads entries up to the directory's size, whatever number is given."""
    content = many_entries(files)
    return edited(content, END, 8, struct.pack("<2H", 2, 2))


def zip64(files: dict[str, bytes]) -> bytes:
    """A record before the end whose numbers zipfile would believe instead."""
    content = zipped(files)
    end = content[-22:]
    size, offset = struct.unpack("<2L", end[12:20])
    directory = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, 2, 2, size, offset)
    locator = struct.pack("<4sLQL", b"PK\x06\x07", 0, len(content) - 22, 1)
    return content[:-22] + directory + locator + end


ARCHIVES: dict[str, tuple[Callable[[dict[str, bytes]], bytes], str]] = {
    "nothing": (lambda files: b"", "expected a zip, found 0 bytes"),
    "no zip": (lambda files: b"x" * 1000, "expected a zip without a comment"),
    "a tar": (lambda files: b"bundle.json".ljust(10_240, b"\0"), "expected a zip without"),
    "cut off": (lambda files: zipped(files)[:-30], "expected a zip without a comment"),
    "beginning lost": (lambda files: zipped(files)[200:], "not a sound zip"),
    "empty zip": (lambda files: zipped({}), "expected the 2 entries .*found 0"),
    "one entry": (
        lambda files: zipped({INFO_FILE: files[INFO_FILE]}),
        "expected the 2 entries .*found 1",
    ),
    "extra entry": (lambda files: zipped(files | {"x.txt": b""}), "2 entries .*found 3"),
    "a folder": (lambda files: zipped(files | {"x/": b""}), "2 entries .*found 3"),
    "inside a folder": (
        lambda files: zipped({f"model/{name}": content for name, content in files.items()}),
        "expected the entries .*found 'model/model.onnx', 'model/bundle.json'",
    ),
    "slip": (
        lambda files: zipped({MODEL_FILE: b"", "../bundle.json": files[INFO_FILE]}),
        "found 'model.onnx', '../bundle.json'",
    ),
    "absolute": (
        lambda files: zipped({MODEL_FILE: b"", "/etc/bundle.json": files[INFO_FILE]}),
        "found 'model.onnx', '/etc/bundle.json'",
    ),
    "hidden after NUL": (
        lambda files: zipped({MODEL_FILE: b"", "bundle.jsonX../../evil": b""}).replace(
            b"bundle.jsonX", b"bundle.json\0"
        ),
        "found 'model.onnx', 'bundle.json\\\\x00../../evil'",
    ),
    "other case": (
        lambda files: zipped({"MODEL.ONNX": b"", INFO_FILE: files[INFO_FILE]}),
        "found 'MODEL.ONNX', 'bundle.json'",
    ),
    "doubled name": (twice, "found 'bundle.json', 'bundle.json'"),
    "encrypted": (
        lambda files: edited(zipped(files), CENTRAL, 8, b"\x01\0"),
        "model.onnx: expected plain content, found encrypted",
    ),
    "other compression": (
        lambda files: zipped(files, zipfile.ZIP_LZMA),
        "model.onnx: expected stored or deflated, found method 14",
    ),
    "bomb": (bomb, f"model.onnx: expected at most {MAX_MODEL_BYTES} bytes, found 67108865"),
    "bomb in bundle.json": (
        lambda files: zipped(files | {INFO_FILE: bytes(MAX_INFO_BYTES + 1)}),
        f"bundle.json: expected at most {MAX_INFO_BYTES} bytes",
    ),
    "lying bomb": (lying_bomb, "not a sound zip: Bad CRC-32 for file 'model.onnx'"),
    "shorter than declared": (
        lambda files: edited(zipped(files), CENTRAL, 24, struct.pack("<L", 10_000)),
        "model.onnx: expected 10000 bytes, found|not a sound zip",
    ),
    "content changed": (
        lambda files: zipped(files, zipfile.ZIP_STORED).replace(b"weights", b"weightz", 1),
        "not a sound zip: Bad CRC-32",
    ),
    "many entries": (many_entries, "expected the 2 entries .*found 2002"),
    "crowd said to be two": (crowd_said_to_be_two, "expected the 2 entries"),
    "zip64": (zip64, "expected a plain zip, found zip64"),
    "comment": (
        lambda files: zipped(files)[:-2] + b"\x02\0hi",
        "expected a zip without a comment",
    ),
    "too long": (
        lambda files: bytes(archive.MAX_ARCHIVE_BYTES + 1),
        f"expected at most {archive.MAX_ARCHIVE_BYTES} bytes, found more",
    ),
}


@pytest.mark.parametrize(("make", "message"), ARCHIVES.values(), ids=ARCHIVES.keys())
def test_a_hostile_archive_is_refused_with_the_reason(filled, bundles, tmp_path, make, message):
    before = names_in(tmp_path)
    content = make(files_of(bundles[2]))
    for given_archive in (content, io.BytesIO(content)):
        with pytest.raises(BundleError, match=f"^archive: .*({message})"):
            filled.add_archive(bundles[2].name, given_archive)
    assert names_in(tmp_path) == before


def test_archives_other_tools_make_are_read(bundles):
    files = files_of(bundles[0])
    streamed = io.BytesIO()

    class Pipe(io.RawIOBase):  # a target that cannot seek: sizes follow the content
        def writable(self) -> bool:
            return True

        def write(self, content) -> int:
            return streamed.write(content)

    with zipfile.ZipFile(Pipe(), "w") as opened:
        for name, content in files.items():
            opened.writestr(name, content)
    for content in (zipped(files, zipfile.ZIP_STORED), zipped(files), streamed.getvalue()):
        assert archive.read_archive(content) == files


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_a_mutated_archive_is_read_right_or_refused(bundles, data):
    files = files_of(bundles[0])
    content = bytearray(zipped(files, zipfile.ZIP_STORED))
    records = [
        at for at in range(len(content)) if content[at : at + 2] == b"PK"
    ]  # where the structure is; anywhere else the CRC finds it
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.sampled_from(records)) + data.draw(st.integers(0, 60))
        if at < len(content):
            content[at] = data.draw(st.integers(0, 255))
    try:
        assert archive.read_archive(bytes(content)) == files
    except BundleError as error:
        assert str(error).startswith("archive: ")


# Several processes


@pytest.mark.skipif(os.name == "nt", reason="forks, and kills as POSIX does")
def test_kill_9_at_every_file_system_call(bundles, tmp_path, run_python):
    done = run_python(str(PROCESSES), "crash", str(tmp_path), *map(str, bundles[:2]))
    assert (done.returncode, done.stderr) == (0, "")
    moments = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(moments) >= 100
    assert {"open", "os.rename", "os.mkdir", "fsync of a file", "fsync of a folder"} <= {
        moment["call"] for moment in moments
    }
    wrong = [
        moment
        for moment in moments
        if not moment["killed"]
        or moment["found"] not in moment["allowed"]
        or moment["names"] != whole(*moment["found"][:1])
    ]
    assert wrong == []
    # Both happen: the step under way is undone, and it is done.
    assert {moment["allowed"].index(moment["found"]) for moment in moments} == {0, 1}


def whole(versions: list[str]) -> list[str]:
    """All names in a state folder with these versions: no leftovers, no half folders."""
    inside = [
        f"models/{version}{name}"
        for version in versions
        for name in ("", f"/{INFO_FILE}", f"/{MODEL_FILE}")
    ]
    return sorted([CHAMPION_FILE, "lock", "models", *inside])


@pytest.fixture
def start_racer(state):
    source = str(Path(flight_delays.__file__).parents[1])
    racers: list[subprocess.Popen[str]] = []

    def start(*versions: str) -> subprocess.Popen[str]:
        racer = subprocess.Popen(
            [sys.executable, str(PROCESSES), "race", str(state), *versions],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": source},
        )
        racers.append(racer)
        assert racer.stdout.readline() == "ready\n"
        return racer

    yield start
    for racer in racers:
        racer.kill()
        racer.communicate()


def both(racers: list[subprocess.Popen[str]], line: str) -> list[str]:
    for racer in racers:
        racer.stdin.write(f"{line}\n")
        racer.stdin.flush()
    return sorted(racer.stdout.readline().strip() for racer in racers)


def test_two_writers_at_once_one_wins(state, bundles, start_racer):
    a, b, c, d = (bundle.name for bundle in bundles)
    there = ModelStore(state)
    racers = [start_racer(a, c), start_racer(b, d)]
    for bundle in bundles:
        assert both(racers, str(bundle)) == ["False", "True"]  # one of them made it
    there.set_champion(d, if_match=None)
    for revision in range(1, 21):
        before = there.champion()
        assert both(racers, str(revision)) == ["PreconditionFailed", "won"]
        after = there.champion()
        assert (after.revision, after.previous) == (revision + 1, before.version)


def test_a_writer_that_does_not_finish_is_told_to_the_others(filled, bundles, monkeypatch):
    monkeypatch.setattr(store, "LOCK_TIMEOUT_S", 0.05)
    with FileLock(filled.folder / "lock"):
        for call in (
            lambda: filled.add_folder(bundles[2]),
            lambda: filled.set_champion(bundles[1].name, if_match=1),
            lambda: filled.remove(bundles[1].name),
        ):
            with pytest.raises(StoreBusy, match=r"another writer held .* try again$"):
                call()
        assert filled.load_champion()[1].version == bundles[0].name  # readers take no lock
        (filled.folder / "models" / ".draft-0").mkdir()
        ModelStore(filled.folder)  # opens although it may not sweep
        assert (filled.folder / "models" / ".draft-0").exists()
    ModelStore(filled.folder)
    assert not (filled.folder / "models" / ".draft-0").exists()
