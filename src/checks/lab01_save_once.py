"""Lab 01: the recommender, saved once and reused. What each answer must do, and what to say."""

from __future__ import annotations

import numpy as np

from checks.lab01_bundle import LIBRARIES, Bundle, Refuse
from checks.lab01_common import MODEL, draw_seed, error_is, joblib_bytes, listed, over_there
from checks.lab01_export import Export, Parity
from labkit.answer import Answer, Name, Result, Thing, Wrong
from labkit.exercise import Exercise, as_array, case, expect
from labkit.lab import Lab
from lessonkit.interactions import Recommender, small_recommender, top_items

__all__ = ["LIBRARIES", "lab"]


def _saved(answer: Answer, model: Recommender) -> str:
    """A folder on the answer's side with the model in it, as a right `save_model` writes it."""
    folder = answer.folder()
    answer.write(f"{folder}/{MODEL}", joblib_bytes(model))
    return folder


def _expect_recommended(result: Result, model: Recommender, users: list[int], k: int, other: str) -> None:
    """Raise Wrong unless the result is the model's k best unseen films of each user, best first.

    Judged by the scores of the films, so that rounding may order two equal films either way.
    `other` is what to say if the films are just not this model's.
    """
    ids = as_array(result)
    wanted = model.recommend(users, k)
    shown = {"got": ids, "expected": wanted}
    expect(
        ids.shape == wanted.shape,
        f"The shape is {ids.shape}, it should be (users, k).",
        result,
        **shown,
    )
    fits = np.isin(ids, np.arange(model.seen.shape[1])).all()
    expect(fits, "These are not ids of films.", result, **shown)
    ids = shown["got"] = ids.astype(int)
    scores = model.scores(users)
    seen = model.histories(users)
    repeated = any(len(set(row)) < k for row in ids.tolist())
    expect(not repeated, "A film stands twice among the recommendations of one user.", result, **shown)
    found = np.take_along_axis(scores, ids, axis=1)
    best = np.take_along_axis(scores, wanted, axis=1)
    known = np.take_along_axis(seen, ids, axis=1) > 0
    if not known.any() and np.allclose(found, best, atol=1e-5):
        return
    moved = sorted(ids.tolist()) == sorted(wanted.tolist())
    expect(not moved, "The rows are right and stand in another order than the users.", result, **shown)
    upside_down = np.allclose(np.sort(found), np.sort(best), atol=1e-5)
    expect(
        not upside_down,
        "The films are right and their order is not: the best comes first.",
        result,
        **shown,
    )
    watched = np.array_equal(ids, top_items(scores, np.zeros_like(seen), k))
    expect(not watched, "Some of these films the user has watched already.", result, **shown)
    raise Wrong(other, tried=result.tried, got=_ids(ids), expected=_ids(wanted))


def _ids(ids: np.ndarray) -> str:
    return "first user: " + ", ".join(str(film) for film in ids[0, :5])


def _change_in_file(answer: Answer, path: str, at: int, value: float) -> None:
    """Write a float32 at a place of a file, in place."""
    data = answer.read(path)
    answer.write(path, data[:at] + np.float32(value).tobytes() + data[at + 4 :])


def _place_in_file(answer: Answer, path: str, numbers: np.ndarray) -> int:
    """Where these numbers lie in the file as they lie in memory; -1 if nowhere."""
    return answer.read(path).find(np.ascontiguousarray(numbers).tobytes())


def _first_factor(model: Thing) -> float:
    numbers = as_array(model.get("user_factors"))
    return float(numbers.flat[0]) if numbers.size else float("nan")


class Save(Exercise):
    id = "save"
    title = "Save the model once"
    names = ("save_model", "load_model")
    points = 2.0
    hints = (
        "Two functions of joblib do the work, one for each direction. The folder may not exist "
        "yet, and neither may its parent: `Path.mkdir` has an argument for each of the two "
        "surprises.",
        "Arrays can be mapped later only if they lie in the file as they lie in memory. A "
        "compressed file holds other bytes, and a plain pickle holds the right ones where joblib "
        "does not look for them.",
        "Save the whole `model`, load the whole model, and build both paths as "
        "`Path(folder) / ...`. Nothing is kept between the calls but the file.",
    )

    @case("the folder is made where it is missing, and holds `model.joblib`")
    def writes(self, answer: Answer, rng: np.random.Generator) -> None:
        base = answer.folder()
        result = answer.attempt("save_model", over_there(answer, draw_seed(rng)), f"{base}/models/v1")
        missing = error_is(result, "FileNotFoundError")
        expect(not missing, "The folder is not there yet, and nobody has made it.", result)
        expect(not result.error, "Your code stopped with an error here.", result)
        files = list(answer.files(base))
        there = "models/v1/" + MODEL in files
        expect(files, "Nothing was written.", result, got="no file", expected=MODEL)
        expect(
            there,
            "The file has another name or place than the task asks for.",
            result,
            got=files[0],
        )

    @case("a loaded model recommends what the saved one did")
    def loads(self, answer: Answer, rng: np.random.Generator) -> None:
        seed = draw_seed(rng)
        folder = answer.folder()
        answer.call("save_model", over_there(answer, seed), folder)
        self._recommends(answer, folder, seed, rng, "These are the films of another model than the one saved.")

    @case("saving again replaces the old model")
    def replaces(self, answer: Answer, rng: np.random.Generator) -> None:
        folder = answer.folder()
        old, new = draw_seed(rng), draw_seed(rng)
        answer.call("save_model", over_there(answer, old), folder)
        answer.call("save_model", over_there(answer, new), folder)
        self._recommends(answer, folder, new, rng, "A second model was saved here, and this is not the second.")

    @case("a copy of the folder gives the same model")
    def moves(self, answer: Answer, rng: np.random.Generator) -> None:
        folder = answer.folder()
        old, new = draw_seed(rng), draw_seed(rng)
        answer.call("save_model", over_there(answer, old), folder)
        copied = answer.copy(folder)
        answer.call("save_model", over_there(answer, new), folder)
        other = "The folder was copied and its original changed. Load from the folder that is named, and from no other."
        self._recommends(answer, copied, old, rng, other)

    @case("joblib can map the arrays of the file")
    def maps(self, answer: Answer, rng: np.random.Generator) -> None:
        seed = draw_seed(rng)
        model = small_recommender(seed)
        folder = answer.folder()
        answer.call("save_model", over_there(answer, seed), folder)
        path = f"{folder}/{MODEL}"
        files = answer.files(folder)
        expect(MODEL in files, f"There is no `{MODEL}` to map.", "the folder", got=listed(files))
        at = _place_in_file(answer, path, model.user_factors)
        packed = (
            "The user factors do not lie in the file as they lie in memory. Is the file compressed? "
            "Or does it hold another part of the model?"
        )
        expect(at >= 0, packed, "the bytes of `user_factors`, looked for in the file", got="not there")
        mapped = Thing(answer, Name("joblib"), "joblib").call("load", path, mmap_mode="r").value
        whole = isinstance(mapped, Thing)
        expect(whole, "The file holds no Recommender.", f"joblib.load({MODEL!r})", got=mapped)
        _change_in_file(answer, path, at, 7.0)
        copied = "joblib mapped nothing: it maps the arrays of files that its own `dump` wrote."
        tried = f"joblib.load({MODEL!r}, mmap_mode='r'), then a number changed in the file"
        first = _first_factor(mapped)
        expect(
            first == 7.0,
            copied,
            tried,
            got=f"the model still holds {first:g}",
            expected="the model holds 7, too",
        )

    def _recommends(self, answer: Answer, folder: str, seed: int, rng: np.random.Generator, other: str) -> None:
        users = rng.integers(0, 400, 5).tolist()
        result = answer.call("load_model", folder)
        whole = isinstance(result.value, Thing)
        expect(
            whole,
            "`load_model` gave no model back.",
            result,
            expected="the Recommender that was saved",
        )
        said = result.value.attempt("recommend", users, 10)
        part = error_is(said, "AttributeError")
        expect(
            not part,
            "What was loaded cannot recommend: only a part of the Recommender was saved.",
            said,
        )
        expect(not said.error, "The loaded model cannot recommend.", said)
        _expect_recommended(said, small_recommender(seed), users, 10, other)


class Reuse(Exercise):
    id = "reuse"
    title = "Reuse it in another process"
    names = ("recommend_from",)
    points = 2.0
    hints = (
        "Ask of every name in your function: would it be there in a program that starts "
        "tomorrow? Arguments, imports and your own functions are; the notebook's `model` is not "
        "the one in the folder.",
        "Load the model from the folder, then let it recommend. `Recommender.recommend` takes the users and k.",
        "An array becomes plain lists with `.tolist()`. What remains is one line.",
    )

    @case("a fresh process recommends what the saved model recommends", weight=2)
    def fresh(self, answer: Answer, rng: np.random.Generator) -> None:
        model = small_recommender(draw_seed(rng))
        users = rng.permutation(400)[:6].tolist()
        result = answer.call_fresh("recommend_from", _saved(answer, model), users, 10)
        self._plain(result)
        other = "These are the films of another model than the one in the folder."
        _expect_recommended(result, model, users, 10, other)

    @case("it gives k films for each user, in the order of the users")
    def order(self, answer: Answer, rng: np.random.Generator) -> None:
        model = small_recommender(draw_seed(rng))
        users = [399, 7, *rng.integers(8, 399, 3).tolist(), 7]
        result = answer.call("recommend_from", _saved(answer, model), users, k=3)
        self._plain(result)
        _expect_recommended(result, model, users, 3, "These are not the best films of these users.")

    def _plain(self, result: Result) -> None:
        nothing = "Nothing came back: a function that prints gives its caller nothing."
        expect(result.value is not None, nothing, result)
        plain = isinstance(result.value, list | tuple | np.ndarray)
        message = "Another process can read lists of numbers, not an object of this one."
        expect(plain, message, result, expected="lists of ids")


class Share(Exercise):
    id = "share"
    title = "Share one copy between processes"
    names = ("load_shared",)
    points = 3.0
    hints = (
        "`joblib.load` has an argument that leaves the arrays in the file and reads a page when it is needed.",
        "That argument has several modes. Which one lets a process read, and neither write the "
        "file nor keep changes to itself? The documentation of `numpy.memmap` lists them.",
        "Every step that copies (`np.array`, `.copy()`, a conversion) takes the array out of the file again.",
    )

    @case("it gives the whole model")
    def whole(self, answer: Answer, rng: np.random.Generator) -> None:
        model = small_recommender(draw_seed(rng))
        users = rng.integers(0, 400, 5).tolist()
        loaded = self._load(answer, _saved(answer, model))
        said = loaded.attempt("recommend", users, 10)
        part = "What was loaded cannot recommend: the caller needs the whole Recommender."
        expect(not said.error, part, said)
        _expect_recommended(
            said,
            model,
            users,
            10,
            "These are the films of another model than the one in the folder.",
        )

    @case("a number changed in the file is changed in the loaded model", weight=2)
    def mapped(self, answer: Answer, rng: np.random.Generator) -> None:
        model = small_recommender(draw_seed(rng))
        folder = _saved(answer, model)
        loaded = self._load(answer, folder)
        value = float(rng.integers(100, 1000))
        path = f"{folder}/{MODEL}"
        at = _place_in_file(answer, path, model.user_factors)
        expect(at >= 0, "Loading has changed the file.", "the file after `load_shared`")
        _change_in_file(answer, path, at, value)
        first = _first_factor(loaded)
        copied = (
            "The file was changed after loading and the model did not notice: this process holds a copy of its own."
        )
        expect(first == value, copied, "user_factors[0, 0]", got=f"{first:g}", expected=f"{value:g}")

    @case("no process can write through it")
    def guarded(self, answer: Answer, rng: np.random.Generator) -> None:
        model = small_recommender(draw_seed(rng))
        folder = _saved(answer, model)
        loaded = self._load(answer, folder)
        before = answer.read(f"{folder}/{MODEL}")
        result = loaded.attempt("forget", int(rng.integers(400)))
        spoilt = answer.read(f"{folder}/{MODEL}") != before
        everywhere = "`forget` wrote into the file: one process has changed the model of all."
        expect(not spoilt, everywhere, result, expected="an error, and the file as it was")
        alone = "`forget` went through in this process alone: it now recommends from other numbers than the rest."
        wanted = "ValueError: assignment destination is read-only"
        expect(result.error, alone, result, got="no error", expected=wanted)
        expect(
            error_is(result, "ValueError"),
            "`forget` failed for another reason than a read-only array.",
            result,
        )

    def _load(self, answer: Answer, folder: str) -> Thing:
        result = answer.call("load_shared", folder)
        whole = isinstance(result.value, Thing)
        expect(whole, "`load_shared` gave no model back.", result, expected="a Recommender")
        return result.value


lab = Lab("lab01_save_once", [Save, Reuse, Share, Export, Parity, Refuse, Bundle])
