"""Write and load a bundle: a folder with model.onnx and bundle.json.

Loading reads JSON and ONNX and checks both; neither can carry code the way a pickle does, and no
pickle is read on this path. Needs NumPy, onnxruntime and pydantic only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

# From 1.29 on onnxruntime reports each session it opens (the model's name and hashes among other
# things) to its maker, unless this is set before it is imported. A service decides for itself
# whom it talks to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from pydantic import ValidationError

from flight_delays.disk import flush_folder, write_file
from flight_delays.features import NAMES, Columns, encode, unknown_values
from flight_delays.metadata import (
    MODEL_FILE,
    BundleInfo,
    describe_features,
    make_version,
)

INFO_FILE = "bundle.json"
MAX_INFO_BYTES = 1024 * 1024
INPUT, OUTPUT = "features", "probabilities"


class BundleError(ValueError):
    """A folder is not a bundle this code may serve; the message names the file and the fault."""


@dataclass(frozen=True)
class Bundle:
    """A loaded model that passed every check of `load_bundle`.

    Attributes:
        info: the content of bundle.json.
        sha256: digest of bundle.json. It names the digest of model.onnx, so this one digest
            stands for the whole bundle.
        vocabulary: category feature to its known values, each with its code.
        session: the onnxruntime session, one thread.
    """

    info: BundleInfo
    sha256: str
    vocabulary: dict[str, dict[str, int]]
    session: ort.InferenceSession

    @property
    def version(self) -> str:
        return self.info.version

    def predict(self, columns: Columns) -> NDArray[np.float32]:
        """Return the probability that each flight is late, shape (rows,), float32.

        Raises:
            ValueError: the columns do not fit the features, see `features.encode`.
        """
        return run_model(self.session, encode(columns, self.vocabulary))

    def unknown(self, columns: Columns) -> dict[str, list[str | None]]:
        """List the category values the model never saw, see `features.unknown_values`."""
        return unknown_values(columns, self.vocabulary)


def load_bundle(folder: str | os.PathLike[str], expected_sha256: str | None = None) -> Bundle:
    """Load a bundle after checking it, from the cheapest check to the dearest.

    bundle.json against its schema; size and SHA-256 of model.onnx against bundle.json, before
    onnxruntime sees a byte of it; the version against the content; the features against those
    this code encodes; the digest of all metadata; the model's input and output; at last
    the golden rows.

    A digest inside the folder proves that the files belong together and are whole. It does not
    prove where they came from: who can edit the model can edit the digest beside it. To prove
    origin, hand over `expected_sha256`, the SHA-256 of bundle.json, as obtained elsewhere: from
    the pipeline's log, a registry, a signed note.

    Raises:
        BundleError: a check failed; the message names the file, what was expected and what found.
    """
    folder = Path(folder)
    content = read_file(folder, INFO_FILE, MAX_INFO_BYTES)
    digest = hashlib.sha256(content).hexdigest()
    if expected_sha256 is not None:
        _expect(INFO_FILE, "SHA-256", expected_sha256.lower(), digest)
    info = parse_info(content)

    model = read_file(folder, MODEL_FILE, info.model.size)
    _expect(MODEL_FILE, "size in bytes", info.model.size, len(model))
    _expect(MODEL_FILE, "SHA-256", info.model.sha256, hashlib.sha256(model).hexdigest())
    _check_version(info)
    _check_features(info)
    _expect(INFO_FILE, "SHA-256 of the content", info.content_digest(), info.content_sha256)

    bundle = Bundle(info, digest, info.vocabulary(), _open(model))
    _check_golden_rows(bundle)
    return bundle


def write_bundle(parent: str | os.PathLike[str], model: bytes, info: BundleInfo) -> Path:
    """Write a bundle as the folder `parent`/`info.version` and return its path.

    The files are written, flushed to disk and loaded back in a hidden folder beside the target,
    which is then renamed. A reader sees the whole bundle or none, also after a power cut.

    Raises:
        FileExistsError: the version is there already; a version never changes.
        BundleError: the bundle does not load.
    """
    parent = Path(parent)
    target = parent / info.version
    if target.exists():
        raise FileExistsError(f"{target} exists already, and a version never changes")
    parent.mkdir(parents=True, exist_ok=True)
    draft = parent / f".{info.version}-{uuid4().hex}"
    draft.mkdir()
    try:
        write_file(draft / MODEL_FILE, model)
        write_file(draft / INFO_FILE, info.sealed().model_dump_json(indent=2).encode())
        load_bundle(draft)
        flush_folder(draft)
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    flush_folder(parent)
    return target


def open_session(model: bytes) -> ort.InferenceSession:
    """Open an ONNX model on one thread.

    One row is a few microseconds of work. More threads would only wait for each other, and the
    server runs several workers beside this one.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def run_model(session: ort.InferenceSession, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probability of class 1 for each row of an encoded matrix."""
    if len(matrix) == 0:  # onnxruntime refuses an empty batch
        return np.empty(0, dtype=np.float32)
    return session.run([OUTPUT], {INPUT: matrix})[0][:, 1]


def read_file(folder: Path, name: str, limit: int) -> bytes:
    """Read a file of a bundle that may have at most `limit` bytes."""
    path = folder / name
    if path.is_symlink():
        raise BundleError(f"{name}: expected a file of the bundle, found a symbolic link")
    if not path.is_file():
        found = "something else" if path.exists() else "nothing"
        raise BundleError(f"{name}: expected a file in {folder}, found {found}")
    with path.open("rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise BundleError(f"{name}: expected at most {limit} bytes, found more")
    return content


def parse_info(content: bytes) -> BundleInfo:
    """Check the content of bundle.json against its schema."""
    try:
        return BundleInfo.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "content"
        found = "" if first["type"] == "missing" else f", found {str(first['input'])[:80]!r}"
        raise BundleError(f"{INFO_FILE}: {where}: {first['msg']}{found}") from None


def _expect(name: str, what: str, expected: object, found: object) -> None:
    if expected != found:
        raise BundleError(f"{name}: {what}: expected {expected}, found {found}")


def _check_version(info: BundleInfo) -> None:
    expected = make_version(info.data.last, info.model.sha256, info.features, info.threshold)
    _expect(INFO_FILE, "version, made from the content", expected, info.version)


def _check_features(info: BundleInfo) -> None:
    _expect(INFO_FILE, "feature names", list(NAMES), [spec.name for spec in info.features])
    for known, spec in zip(describe_features(), info.features, strict=True):
        _expect(INFO_FILE, f"feature {spec.name}", known.contract(), spec.contract())


def _open(model: bytes) -> ort.InferenceSession:
    try:
        session = open_session(model)
    except Exception as error:  # onnxruntime raises a class of its own for each kind of fault
        raise BundleError(f"{MODEL_FILE}: not a model onnxruntime can open: {error}") from error
    inputs = [
        (node.name, node.type, len(node.shape), node.shape[-1]) for node in session.get_inputs()
    ]
    _expect(MODEL_FILE, "inputs", [(INPUT, "tensor(float)", 2, len(NAMES))], inputs)
    outputs = {node.name: (node.type, node.shape[1:]) for node in session.get_outputs()}
    _expect(MODEL_FILE, f"output {OUTPUT}", ("tensor(float)", [2]), outputs.get(OUTPUT))
    return session


def _check_golden_rows(bundle: Bundle) -> None:
    golden = bundle.info.golden
    try:
        found = bundle.predict(golden.columns)
    except ValueError as error:
        raise BundleError(f"{INFO_FILE}: golden rows: {error}") from error
    _expect(INFO_FILE, "number of golden rows", len(golden.probabilities), len(found))
    for row, (expected, actual) in enumerate(zip(golden.probabilities, found, strict=True)):
        if not abs(expected - actual) <= golden.tolerance:  # also refuses NaN
            raise BundleError(
                f"{MODEL_FILE}: golden row {row}: expected {expected:.7f} "
                f"within {golden.tolerance:g}, found {actual:.7f}"
            )
