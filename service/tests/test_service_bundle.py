"""A bundle that is not whole, not ours or not consistent is refused with the reason."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from flight_delays.bundle import INFO_FILE, MAX_INFO_BYTES, BundleError, load_bundle
from flight_delays.features import NAMES
from flight_delays.flights import columns_of
from flight_delays.metadata import (
    MAX_MODEL_BYTES,
    MODEL_FILE,
    BundleInfo,
    FeatureSpec,
    make_version,
)
from flight_delays.training import predict

# skl2onnx 1.20 hands protobuf a boolean for an int.
pytestmark = pytest.mark.filterwarnings("ignore:Field onnx.AttributeProto:DeprecationWarning")


@pytest.fixture
def folder(bundle_folder: Path, tmp_path: Path) -> Path:
    """A copy of the bundle, to be damaged."""
    return Path(shutil.copytree(bundle_folder, tmp_path / bundle_folder.name))


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change bundle.json."""
    path = folder / INFO_FILE
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def reseal(folder: Path) -> None:
    """Make size, digest and version fit again, as whoever edits a bundle with care would do."""

    def change(info: dict[str, Any]) -> None:
        model = (folder / MODEL_FILE).read_bytes()
        info["model"]["size"] = len(model)
        info["model"]["sha256"] = hashlib.sha256(model).hexdigest()
        specs = [FeatureSpec(**spec) for spec in info["features"]]
        day = info["version"][:10]
        info["version"] = make_version(
            np.datetime64(day).item(), info["model"]["sha256"], specs, info["threshold"]
        )

    edit(folder, change)
    path = folder / INFO_FILE
    path.write_text(BundleInfo.model_validate_json(path.read_text()).sealed().model_dump_json())


def replace_model(folder: Path, model: bytes) -> None:
    (folder / MODEL_FILE).write_bytes(model)
    reseal(folder)


def onnx_of(
    estimator: Any, columns: int, *, dtype: type = np.float32, name: str = "features"
) -> bytes:
    """Train an estimator on noise and export it."""
    random = np.random.default_rng(0)
    matrix = random.random((200, columns)).astype(dtype)
    estimator.fit(matrix, random.random(200) > 0.5)
    model = to_onnx(
        estimator,
        matrix[:1],
        options={"zipmap": False} if hasattr(estimator, "predict_proba") else None,
        target_opset={"": 18, "ai.onnx.ml": 3},
    )
    return rename_input(model, name)


def rename_input(model: Any, name: str) -> bytes:
    graph = model.graph
    old = graph.input[0].name
    graph.input[0].name = name
    for node in graph.node:
        node.input[:] = [name if entry == old else entry for entry in node.input]
    return model.SerializeToString()


def test_a_sound_bundle_loads_and_predicts_as_scikit_learn_does(bundle_folder, pipeline, flights):
    bundle = load_bundle(bundle_folder)
    probe = flights[-3_000:]
    found = bundle.predict(columns_of(probe))
    assert found.shape == (3_000,)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, predict(pipeline, probe), atol=1e-5)
    assert bundle.version == bundle_folder.name
    options = bundle.session.get_session_options()
    assert (options.intra_op_num_threads, options.inter_op_num_threads) == (1, 1)


def test_rows_one_by_one_and_none_at_all(bundle_folder):
    bundle = load_bundle(bundle_folder)
    golden = bundle.info.golden
    for row, expected in enumerate(golden.probabilities):
        one = {name: values[row : row + 1] for name, values in golden.columns.items()}
        assert bundle.predict(one)[0] == pytest.approx(expected, abs=golden.tolerance)
    assert bundle.predict({name: [] for name in NAMES}).shape == (0,)


def test_unknown_values_are_told(bundle_folder):
    bundle = load_bundle(bundle_folder)
    assert bundle.unknown(bundle.info.golden.columns) == {
        "carrier": ["ZZ"],
        "destination": ["ZZZ"],
    }


def test_wrong_columns_are_refused_by_name(bundle_folder):
    bundle = load_bundle(bundle_folder)
    with pytest.raises(ValueError, match=r"^carrier: column is missing$"):
        bundle.predict({})


def test_a_digest_from_elsewhere_proves_origin(bundle_folder):
    digest = hashlib.sha256((bundle_folder / INFO_FILE).read_bytes()).hexdigest()
    assert load_bundle(bundle_folder, digest).sha256 == digest
    assert load_bundle(bundle_folder, digest.upper()).sha256 == digest


def test_only_a_digest_from_elsewhere_stops_a_careful_forger(folder):
    """Every digest inside the folder fits again after the edit."""
    digest = load_bundle(folder).sha256
    edit(folder, lambda info: info.update(threshold=0.9))
    reseal(folder)
    assert load_bundle(folder).info.threshold == 0.9
    with pytest.raises(BundleError) as refusal:
        load_bundle(folder, digest)
    assert_names(refusal, INFO_FILE, "SHA-256", f"expected {digest}", "found ")


def truncate(folder: Path) -> None:
    path = folder / MODEL_FILE
    path.write_bytes(path.read_bytes()[:-100])


def flip_a_bit(folder: Path) -> None:
    path = folder / MODEL_FILE
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def append(folder: Path) -> None:
    with (folder / MODEL_FILE).open("ab") as file:
        file.write(b"\0")


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def turn_into_folder(folder: Path) -> None:
    (folder / MODEL_FILE).unlink()
    (folder / MODEL_FILE).mkdir()


def inflate_info(folder: Path) -> None:
    with (folder / INFO_FILE).open("a") as file:
        file.write(" " * MAX_INFO_BYTES)


def cut_info(folder: Path) -> None:
    path = folder / INFO_FILE
    path.write_text(path.read_text()[:-10])


def editing(*path: str | int, to: Any) -> Callable[[Path], None]:
    """Set one value in bundle.json and leave all digests as they are."""

    def damage(folder: Path) -> None:
        def change(info: Any) -> None:
            for part in path[:-1]:
                info = info[part]
            info[path[-1]] = to

        edit(folder, change)

    return damage


def dropping(*path: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        def change(info: Any) -> None:
            for part in path[:-1]:
                info = info[part]
            del info[path[-1]]

        edit(folder, change)

    return damage


def sealed(damage: Callable[[Path], None]) -> Callable[[Path], None]:
    """Do the damage, then make the digests fit, so that a later check has to find it."""

    def both(folder: Path) -> None:
        damage(folder)
        reseal(folder)

    return both


def reorder_features(folder: Path) -> None:
    edit(folder, lambda info: info["features"].reverse())


def foreign(make: Callable[[], bytes]) -> Callable[[Path], None]:
    return lambda folder: replace_model(folder, make())


REFUSALS = {
    "bundle.json missing": (remove(INFO_FILE), INFO_FILE, ["expected a file", "found nothing"]),
    "model missing": (remove(MODEL_FILE), MODEL_FILE, ["expected a file", "found nothing"]),
    "model a folder": (turn_into_folder, MODEL_FILE, ["expected a file", "found something else"]),
    "model truncated": (truncate, MODEL_FILE, ["size in bytes: expected 1", "found 1"]),
    "model edited": (flip_a_bit, MODEL_FILE, ["SHA-256: expected ", "found "]),
    "model too long": (append, MODEL_FILE, ["expected at most 1", "found more"]),
    "bundle.json too long": (inflate_info, INFO_FILE, [f"at most {MAX_INFO_BYTES}", "found more"]),
    "bundle.json cut off": (cut_info, INFO_FILE, ["Invalid JSON: EOF"]),
    "unknown field": (
        editing("pickle", to="model.pkl"),
        INFO_FILE,
        ["pickle: Extra inputs are not permitted", "found 'model.pkl'"],
    ),
    "field missing": (dropping("model", "sha256"), INFO_FILE, ["model.sha256: Field required"]),
    "field of another type": (
        editing("data", "rows", to="160678"),
        INFO_FILE,
        ["data.rows: Input should be a valid integer", "found '160678'"],
    ),
    "later format": (
        editing("format_version", to=2),
        INFO_FILE,
        ["format_version: Input should be 1", "found '2'"],
    ),
    "not a number": (editing("threshold", to=float("nan")), INFO_FILE, ["threshold: "]),
    "another file named": (
        editing("model", "file", to="../model.onnx"),
        INFO_FILE,
        ["model.file: Input should be 'model.onnx'", "found '../model.onnx'"],
    ),
    "size beyond the bound": (
        editing("model", "size", to=MAX_MODEL_BYTES + 1),
        INFO_FILE,
        [f"model.size: Input should be less than or equal to {MAX_MODEL_BYTES}"],
    ),
    "version not a file name": (
        editing("version", to="../2013-06-30-00000000"),
        INFO_FILE,
        ["version: String should match pattern", "found '../2013-06-30-00000000'"],
    ),
    "tolerance too wide": (
        editing("golden", "tolerance", to=0.5),
        INFO_FILE,
        ["golden.tolerance: Input should be less than or equal to 0.001", "found '0.5'"],
    ),
    "vocabulary with a value twice": (
        editing("features", 1, "vocabulary", to=["EWR", "EWR"]),
        INFO_FILE,
        ["features.1: Value error, origin: the vocabulary lists a value twice"],
    ),
    "category without vocabulary": (
        editing("features", 1, "vocabulary", to=None),
        INFO_FILE,
        ["features.1: Value error, origin: a category has a vocabulary"],
    ),
    "threshold edited": (
        editing("threshold", to=0.9),
        INFO_FILE,
        ["version, made from the content: expected 2013-06-30-", "found 2013-06-30-"],
    ),
    "vocabulary edited": (
        editing("features", 1, "vocabulary", to=["LGA", "JFK", "EWR"]),
        INFO_FILE,
        ["version, made from the content: expected 2013-06-30-", "found 2013-06-30-"],
    ),
    "metric edited": (
        editing("metrics", "roc_auc", to=0.99),
        INFO_FILE,
        ["SHA-256 of the content: expected ", "found "],
    ),
    "features in another order": (
        sealed(reorder_features),
        INFO_FILE,
        ["feature names: expected ['carrier', ", "found ['plane_age', "],
    ),
    "feature with another unit": (
        sealed(editing("features", 6, "unit", to="degrees Celsius")),
        INFO_FILE,
        ["feature temperature: expected ", "'degrees Fahrenheit'", "found ", "'degrees Celsius'"],
    ),
    "golden column missing": (
        sealed(dropping("golden", "columns", "weekday")),
        INFO_FILE,
        ["golden rows: weekday: column is missing"],
    ),
    "golden rows without result": (
        sealed(editing("golden", "probabilities", to=[0.5])),
        INFO_FILE,
        ["number of golden rows: expected 1, found 16"],
    ),
    "golden result edited": (
        sealed(editing("golden", "probabilities", 3, to=0.9999)),
        MODEL_FILE,
        ["golden row 3: expected 0.9999", "found 0."],
    ),
    "not ONNX": (
        foreign(lambda: b"no model at all"),
        MODEL_FILE,
        ["not a model onnxruntime can open"],
    ),
    "model of other inputs": (
        foreign(lambda: onnx_of(LogisticRegression(), 3)),
        MODEL_FILE,
        ["inputs: expected [('features', 'tensor(float)', 2, 15)]", "'tensor(float)', 2, 3)]"],
    ),
    "model of another input name": (
        foreign(lambda: onnx_of(LogisticRegression(), 15, name="rows")),
        MODEL_FILE,
        ["inputs: expected [('features', ", "found [('rows', "],
    ),
    "model of another input type": (
        foreign(lambda: onnx_of(LogisticRegression(), 15, dtype=np.float64)),
        MODEL_FILE,
        ["inputs: expected [('features', 'tensor(float)'", "found [('features', 'tensor(double)'"],
    ),
    "model without probabilities": (
        foreign(lambda: onnx_of(LinearRegression(), 15)),
        MODEL_FILE,
        ["output probabilities: expected ('tensor(float)', [2]), found None"],
    ),
    "another model of the same shape": (
        foreign(lambda: onnx_of(HistGradientBoostingClassifier(max_iter=3), 15)),
        MODEL_FILE,
        ["golden row 0: expected 0.0", "found 0."],
    ),
}


def assert_names(refusal: pytest.ExceptionInfo[BaseException], file: str, *parts: str) -> None:
    message = str(refusal.value)
    assert message.startswith(f"{file}: ")
    assert [part for part in parts if part not in message] == [], message


@pytest.mark.parametrize(("damage", "file", "parts"), REFUSALS.values(), ids=REFUSALS.keys())
def test_damaged_bundle_is_refused_with_the_reason(folder, damage, file, parts):
    damage(folder)
    with pytest.raises(BundleError) as refusal:
        load_bundle(folder)
    assert_names(refusal, file, *parts)


@pytest.mark.parametrize("name", [MODEL_FILE, INFO_FILE])
def test_symbolic_link_is_refused(folder, tmp_path, name):
    elsewhere = tmp_path / "elsewhere"
    (folder / name).rename(elsewhere)
    try:
        (folder / name).symlink_to(elsewhere)
    except OSError as error:  # Windows without the privilege
        pytest.skip(f"this machine makes no symbolic links: {error}")
    with pytest.raises(BundleError) as refusal:
        load_bundle(folder)
    assert_names(refusal, name, "expected a file of the bundle", "found a symbolic link")


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(BundleError, match=f"^{INFO_FILE}: expected a file in .*found nothing"):
        load_bundle(tmp_path / "nowhere")


def test_bundle_error_is_a_value_error():
    assert issubclass(BundleError, ValueError)


class Exploit:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_in_place_of_the_model_is_not_run(folder, tmp_path):
    trace = tmp_path / "executed"
    payload = pickle.dumps(Exploit(trace))
    replace_model(folder, payload)
    with pytest.raises(BundleError) as refusal:
        load_bundle(folder)
    assert_names(refusal, MODEL_FILE, "not a model onnxruntime can open")
    assert not trace.exists()
    pickle.loads(payload)
    assert trace.exists()  # the payload does work


WITHOUT_PICKLE = """
import _pickle, pickle, sys

def refuse(*arguments, **options):
    raise AssertionError("unpickled")

for module in (pickle, _pickle):
    for name in ("load", "loads", "Unpickler"):
        setattr(module, name, refuse)

from flight_delays.bundle import load_bundle

bundle = load_bundle(sys.argv[1])
print(len(bundle.predict(bundle.info.golden.columns)))
print(sorted({"sklearn", "pandas", "joblib", "skops", "onnx", "skl2onnx"} & set(sys.modules)))
"""


def test_loading_reads_no_pickle_and_needs_no_training_library(bundle_folder, run_python):
    done = run_python("-c", WITHOUT_PICKLE, str(bundle_folder))
    assert (done.stdout.split(maxsplit=1), done.stderr) == (["16", "[]\n"], "")


def test_onnxruntime_reports_to_nobody(bundle_folder, tmp_path):
    """Where it would report, onnxruntime keeps the id of its session in the temporary folder."""
    script = (
        "import sys; from flight_delays.bundle import load_bundle; load_bundle(sys.argv[1]);"
        "from pathlib import Path; import tempfile;"
        "print([path.name for path in Path(tempfile.gettempdir()).iterdir()])"
    )
    # On CI it is silent by itself, so the test takes that away.
    silent = {"CI", "ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "GITHUB_ACTIONS", "TF_BUILD"}
    environment = {name: value for name, value in os.environ.items() if name not in silent}
    environment |= dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", script, str(bundle_folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
