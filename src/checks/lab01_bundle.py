"""Lab 01: the exercises `refuse` and `bundle`, about trust and metadata."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from importlib.metadata import version as installed
from typing import Any

import numpy as np

from checks.lab01_common import MODEL, draw_seed, error_is, expect_in_place, joblib_bytes, listed, working_folder
from labkit.answer import Answer, Result, Wrong
from labkit.exercise import Exercise, case, expect

# What the notebook's own list holds, too. The check does not ask the notebook, where it may have been changed.
LIBRARIES = ("joblib", "numpy", "onnxruntime", "scikit-learn", "scipy")


class Refuse(Exercise):
    id = "refuse"
    title = "Refuse a file that was tampered with"
    names = ("load_checked",)
    points = 3.0
    hints = (
        "The order decides: read bytes, hash them, compare, and only then hand them to joblib. "
        "Bytes that are only read cannot do anything.",
        "`hashlib.sha256` takes all the bytes and its `.hexdigest()` gives the text to compare, the whole of it. If "
        "it differs, raise a ValueError that says which file it was.",
        "Read the file once, and the bytes you load are those you hashed: `io.BytesIO` makes a file of bytes, and "
        "`joblib.load` takes a file as well as a path.",
    )

    @case("the file with the right SHA-256 is loaded")
    def right(self, answer: Answer, rng: np.random.Generator) -> None:
        good, number = self._good(rng)
        path = self._put(answer, rng, good)
        result = answer.attempt("load_checked", path, _sha256(good))
        no_path = (
            "`joblib.load` takes a path or an open file, not bytes: `io.BytesIO(data)` makes a file of bytes in memory."
        )
        expect(not (result.error and "null byte" in result.error.message), no_path, result)
        no_pickle = "`pickle` cannot read what joblib wrote. `joblib.load` takes an open file, too, as `io.BytesIO` is."
        expect(not error_is(result, "UnpicklingError"), no_pickle, result)
        refused = error_is(result, "ValueError")
        expect(not refused, "This file is the right one and was refused.", result)
        expect(not result.error, "Your code stopped with an error here.", result)
        value = result.value
        whole = isinstance(value, dict) and np.array_equal(value.get("factors"), number)
        expect(
            whole,
            "What was loaded is not what the file holds.",
            result,
            expected="the dict in the file",
        )

    @case("a file with one changed byte is refused by name")
    def flipped(self, answer: Answer, rng: np.random.Generator) -> None:
        good, numbers = self._good(rng)
        at = good.find(numbers.tobytes()) + numbers.nbytes - int(rng.integers(1, 1000))  # far from the start
        bad = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        loaded = "One bit was flipped near the end, and the file was loaded all the same."
        path = self._put(answer, rng, bad)
        self._refused(answer, path, good, loaded)
        files = answer.files(path.rpartition("/")[0])
        gone = "The refused file is gone, and whoever has to find out what happened to it needs it."
        expect(path.rpartition("/")[2] in files, gone, "the folder afterwards", got=listed(files))

    @case("a file that was right and has changed since is refused by name")
    def changed(self, answer: Answer, rng: np.random.Generator) -> None:
        good, numbers = self._good(rng)
        path = self._put(answer, rng, good)
        answer.attempt("load_checked", path, _sha256(good))
        at = good.find(numbers.tobytes())
        answer.write(path, good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        loaded = "The file was right at the first call and was changed before the second, which loaded it all the same."
        self._refused(answer, path, good, loaded)

    @case("a hash that differs in a few characters, or lacks some, refuses the file")
    def other_hash(self, answer: Answer, rng: np.random.Generator) -> None:
        good, _ = self._good(rng)
        digest = _sha256(good)
        at = next(i for i in range(20, 62) if digest[i] != digest[i + 1])
        swapped = digest[:at] + digest[at + 1] + digest[at] + digest[at + 2 :]
        for other, what in (
            (swapped, "in two characters"),
            (digest[:32], "in length"),
            ("", "in everything: it is empty"),
        ):
            loaded = f"The hash differs from the file's {what}, and the file was loaded all the same."
            path = self._put(answer, rng, good)
            self._judge(answer.attempt("load_checked", path, other), path, loaded)

    @case("a file cut short is refused by name")
    def cut(self, answer: Answer, rng: np.random.Generator) -> None:
        good, _ = self._good(rng)
        bad = good[: len(good) // 2]
        loaded = "Half of the file is missing, and it was loaded all the same."
        self._refused(answer, self._put(answer, rng, bad), good, loaded)

    @case("a file with planted code is refused, and the code never runs", weight=2)
    def planted(self, answer: Answer, rng: np.random.Generator) -> None:
        good, _ = self._good(rng)
        path = self._put(answer, rng, b"")
        folder = path.rpartition("/")[0]
        answer.write(path, pickle.dumps(_Plant(path, f"{folder}/the-code-ran")))
        result = answer.attempt("load_checked", path, _sha256(good))
        ran = "the-code-ran" in answer.files(folder)
        message = "The planted code has run. A file that is loaded before it is compared has already done its harm."
        expect(not ran, message, result, expected="ValueError, before anything is loaded")
        expect(result.error, "The file holds planted code, and it was not refused.", result, expected="ValueError")

    def _good(self, rng: np.random.Generator) -> tuple[bytes, np.ndarray]:
        numbers = rng.normal(size=(1500, 100))
        return joblib_bytes({"name": "a small bundle", "factors": numbers}), numbers

    def _put(self, answer: Answer, rng: np.random.Generator, data: bytes) -> str:
        path = f"{answer.folder()}/model-{rng.integers(10**6):06}.joblib"
        answer.write(path, data)
        return path

    def _refused(self, answer: Answer, path: str, good: bytes, loaded: str) -> None:
        self._judge(answer.attempt("load_checked", path, _sha256(good)), path, loaded)

    def _judge(self, result: Result, path: str, loaded: str) -> None:
        name = path.rpartition("/")[2]
        wanted = f"ValueError with {name} in its message"
        expect(result.error, loaded, result, expected=wanted)
        early = "The error came from reading the file as a model: it was loaded before it was compared."
        said = result.error.message
        unread = result.error.kinds[0] in {"EOFError", "UnpicklingError"} or said.startswith("EOF: reading array")
        expect(not unread, early, result, expected=wanted)
        kind = "The file was refused with another error than ValueError, which is what callers will look for."
        expect(error_is(result, "ValueError"), kind, result, expected=wanted)
        nameless = "The message does not name the file. Put the file's name into it: a log holds the messages of many."
        expect(name in said, nameless, result, expected=wanted)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class _Plant:
    """Pickles as a call that copies one file: harmless, and its trace shows that it ran."""

    def __init__(self, source: str, trace: str) -> None:
        self.call = source, trace

    def __reduce__(self) -> tuple[Any, tuple[str, str]]:
        return shutil.copyfile, self.call


class Bundle(Exercise):
    id = "bundle"
    title = "Write down what it is"
    names = ("write_metadata",)
    points = 4.0
    hints = (
        "Build one dict with the six keys of the task and write it with `json`. Four of its "
        "values are the arguments as they came.",
        "The hash of a file is taken from its bytes: `path.read_bytes()`. `Path.iterdir()` lists "
        "the folder, `bundle.json` of the last time too, which cannot hold its own hash.",
        "`importlib.metadata.version(name)`, here imported as `installed_version`, gives the version of an installed "
        "library by the name pip knows; `LIBRARIES` holds those names.",
    )
    NO_TEXT = "JSON holds text, and neither a hash object nor bytes: `.hexdigest()` of `hashlib.sha256` gives the text."
    KEYS = ("version", "files", "libraries", "training", "metrics", "inputs")

    @case("`bundle.json` is JSON with the six keys, the given values unchanged")
    def given(self, answer: Answer, rng: np.random.Generator) -> None:
        folder, given = self._folder(answer, rng)
        bundle, result = self._write(answer, folder, given)
        for key, value in given.items():
            message = f"The value of `{key}` is not the one that was passed in."
            same = json.dumps(bundle[key], sort_keys=True) == json.dumps(value, sort_keys=True)  # 3 is not 3.0
            expect(same, message, result, got=bundle[key], expected=value)

    @case("it holds the SHA-256 of every file")
    def hashes(self, answer: Answer, rng: np.random.Generator) -> None:
        folder, given = self._folder(answer, rng)
        self._expect_hashes(answer, folder, *self._write(answer, folder, given))

    @case("written again after a file changed, it holds the new hash and nothing old")
    def again(self, answer: Answer, rng: np.random.Generator) -> None:
        folder, given = self._folder(answer, rng)
        older = {"note": "of an older bundle", "libraries": {}, **given, "files": {"gone.joblib": "0" * 64}}
        answer.write(f"{folder}/bundle.json", json.dumps(older).encode())
        self._write(answer, folder, given)
        size = answer.files(folder)[MODEL]
        answer.write(f"{folder}/{MODEL}", rng.bytes(size))
        bundle, result = self._write(answer, folder, given)
        kept = "The older `bundle.json` shows through: what it held is still there."
        expect("note" not in bundle, kept, result, got=", ".join(map(str, bundle)), expected=", ".join(self.KEYS))
        self._expect_hashes(answer, folder, bundle, result)

    @case("it holds the installed version of every library")
    def libraries(self, answer: Answer, rng: np.random.Generator) -> None:
        bundle, result = self._write(answer, *self._folder(answer, rng))
        noted = bundle["libraries"]
        wanted = {name: installed(name) for name in LIBRARIES}
        shown = {"got": noted, "expected": wanted}
        expect(
            isinstance(noted, dict),
            "`libraries` is not an object of names and versions.",
            result,
            **shown,
        )
        absent = [name for name in wanted if name not in noted]
        expect(not absent, f"No version is noted for {', '.join(absent)}.", result, **shown)
        wrong = [name for name, version in wanted.items() if noted[name] != version]
        expect(
            not wrong,
            f"The version noted for {', '.join(wrong)} is not the installed one.",
            result,
            **shown,
        )

    def _folder(self, answer: Answer, rng: np.random.Generator) -> tuple[str, dict[str, Any]]:
        """A folder with files, some of a name never seen before, and what to write about it."""
        folder = answer.folder()
        number = int(rng.integers(10**6))
        for name in ("model.onnx", "LICENSE", f"films-{number:06}.json", f"{number:06}-bundle.json"):
            answer.write(f"{folder}/{name}", b"\r\n" + rng.bytes(200))
        answer.write(f"{folder}/{MODEL}", rng.bytes(200_000))
        given = {
            "version": f"2013.{rng.integers(1, 99)}",
            "training": {
                "source": "synthetic – not observed",
                "seed": draw_seed(rng),
                "records": int(rng.integers(10**6)),
            },
            "metrics": {"recall_at_10": round(float(rng.random()), 4)},
            "inputs": {"history": ["rows", int(rng.integers(50, 500))], "dtype": "float32"},
        }
        return folder, given

    def _write(self, answer: Answer, folder: str, given: dict[str, Any]) -> tuple[dict, Result]:
        """Let the answer write; what stands in bundle.json, with the six keys in it."""
        before, here = answer.files(folder), working_folder(answer)
        result = answer.attempt("write_metadata", folder, *given.values())
        no_text = result.error and (
            "HASH is not JSON" in result.error.message or "bytes is not JSON" in result.error.message
        )
        expect(not no_text, self.NO_TEXT, result)
        expect(not result.error, "Your code stopped with an error here.", result)
        names = answer.files(folder)
        lost = [name for name in before if name not in names]
        expect(not lost, f"The folder has lost {', '.join(lost)}.", result, got=listed(names), expected=listed(before))
        more = [name for name in names if name not in before and name != "bundle.json"]
        beside = f"{', '.join(more)} was left in the folder, and `bundle.json` is the only file to write."
        expect(not more or "bundle.json" not in names, beside, result, got=listed(names))
        expect_in_place(answer, here, result)
        expect(
            "bundle.json" in names,
            "There is no `bundle.json` in the folder.",
            result,
            got=listed(names),
        )
        data = answer.read(f"{folder}/bundle.json", limit=2**20)
        try:
            bundle = json.loads(data.decode("utf-8"))
        except UnicodeDecodeError:
            message = 'The file is not UTF-8, which every reader of JSON expects: write it with `encoding="utf-8"`.'
            raise Wrong(message, tried=result.tried, got=repr(data[:20]), expected="UTF-8") from None
        except (ValueError, RecursionError):
            start = data[:60].decode(errors="replace")
            mark = data.startswith(b"\xef\xbb\xbf")
            marked = "The file starts with a byte order mark, which JSON does not allow: write it as `utf-8`."
            expect(not mark, marked, result, got=repr(data[:10]), expected="JSON")
            message = "The file is not JSON. Text made by `str` of a dict looks alike, and no other language reads it."
            raise Wrong(message, tried=result.tried, got=start, expected="JSON") from None
        expect(
            isinstance(bundle, dict),
            "The JSON is not an object.",
            result,
            got=type(bundle).__name__,
        )
        absent = [key for key in self.KEYS if key not in bundle]
        expect(
            not absent,
            f"The JSON lacks {', '.join(absent)}.",
            result,
            got=", ".join(map(str, bundle)),
        )
        return bundle, result

    def _expect_hashes(self, answer: Answer, folder: str, bundle: dict, result: Result) -> None:
        noted = bundle["files"]
        names = [name for name in answer.files(folder) if name != "bundle.json"]
        wanted = {name: _sha256(answer.read(f"{folder}/{name}")) for name in names}
        shown = {"got": noted, "expected": wanted}
        expect(
            isinstance(noted, dict),
            "`files` is not an object of names and hashes.",
            result,
            **shown,
        )
        own = "`bundle.json` lists itself: writing the hash into the file changes the file, so it never fits."
        expect("bundle.json" not in noted, own, result, **shown)
        absent = [name for name in wanted if name not in noted]
        expect(not absent, f"No hash is noted for {', '.join(absent)}.", result, **shown)
        extra = [str(name) for name in noted if name not in wanted]
        expect(not extra, f"There is no file {', '.join(extra[:3])} in the folder.", result, **shown)
        wrong = [name for name, digest in wanted.items() if noted[name] != digest]
        of_name = [name for name in wrong if noted[name] == _sha256(name.encode())]
        named = "This is the hash of the file's name; its bytes are what can be tampered with."
        expect(not of_name, named, result, **shown)
        short = [name for name in wrong if not isinstance(noted[name], str) or len(noted[name]) != 64]
        expect(not short, "This is no SHA-256 in hex: that has 64 characters.", result, **shown)
        upper = [name for name in wrong if noted[name].lower() == wanted[name]]
        case_message = "Hashes are compared as text: keep the small letters that `hexdigest` gives."
        expect(not upper, case_message, result, **shown)
        stale = f"The hash of {', '.join(wrong)} is not that of the file's bytes as they are now."
        expect(not wrong, stale, result, **shown)
