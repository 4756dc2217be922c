"""Lab 01: the recommender, saved once and reused. What each answer must do, and what to say."""

from __future__ import annotations

import numpy as np

from checks.lab01_bundle import Bundle, Refuse
from checks.lab01_common import (
    MODEL,
    USERS,
    arrays_of,
    contents,
    draw_seed,
    error_is,
    expect_in_place,
    expect_same,
    joblib_bytes,
    known_recommender,
    listed,
    over_there,
    reach,
    with_components,
    working_folder,
)
from checks.lab01_export import Export, Parity
from labkit.answer import Answer, Name, Result, Thing, Wrong
from labkit.exercise import Exercise, as_array, case, expect
from labkit.lab import Lab
from lessonkit.interactions import Recommender, top_items


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
    shown = {"expected": wanted}
    shape = f"The shape is {ids.shape}; it should be {wanted.shape}, one row for each user and k films in it."
    expect(ids.shape == wanted.shape, shape, result, **shown)
    whole = np.asarray(result.value).dtype.kind in "iu"
    expect(whole, "Ids of films are whole numbers: 12, not 12.0.", result, **shown)
    bigger = (
        "These ids belong to a model with more films than this one has. Did your function use the notebook's `model`?"
    )
    expect(ids.max() < model.seen.shape[1], bigger, result, **shown)
    expect(ids.min() >= 0, "These are not ids of films.", result, **shown)
    ids = ids.astype(int)
    scores = model.scores(users)
    seen = model.histories(users)
    repeated = any(len(set(row)) < k for row in ids.tolist())
    expect(not repeated, "A film stands twice among the recommendations of one user.", result, **shown)
    found = np.take_along_axis(scores, ids, axis=1)
    best = np.take_along_axis(scores, wanted, axis=1)
    known = np.take_along_axis(seen, ids, axis=1) > 0
    near = 1e-5 * max(1.0, float(np.abs(scores).max()))
    if not known.any() and np.allclose(found, best, atol=near):
        return
    moved = sorted(ids.tolist()) == sorted(wanted.tolist())
    expect(not moved, "The rows are right and stand in another order than the users.", result, **shown)
    upside_down = np.allclose(np.sort(found), np.sort(best), atol=near)
    expect(
        not upside_down,
        "The films are right and their order is not: the best comes first.",
        result,
        **shown,
    )
    watched = "Some of these films the user has watched already."
    expect(not _are_best(scores, ids, near), watched, result, **shown)
    low = any(_are_best(np.where(seen > 0, score, scores), ids, near) for score in (0, -1))
    too_high = f"{watched} Where their scores are set to 0, they still stand before films with less than 0."
    expect(not low, too_high, result, **shown)
    raise Wrong(other, tried=result.tried, got=_ids(ids), expected=_ids(wanted))


def _are_best(scores: np.ndarray, ids: np.ndarray, near: float) -> bool:
    """Whether these films have the highest scores, in order, watched or not."""
    best = np.take_along_axis(scores, top_items(scores, np.zeros_like(scores), ids.shape[1]), axis=1)
    return np.allclose(np.take_along_axis(scores, ids, axis=1), best, atol=near)


def _ids(ids: np.ndarray) -> str:
    return "first user: " + ", ".join(str(film) for film in ids[0, :5])


def _change_in_file(answer: Answer, path: str, at: int, value: float) -> None:
    """Write a float32 at a place of a file, in place."""
    data = answer.read(path)
    answer.write(path, data[:at] + np.float32(value).tobytes() + data[at + 4 :])


def _place_in_file(answer: Answer, path: str, numbers: np.ndarray) -> int:
    """Where these numbers lie in the file as they lie in memory, row by row or column by column; -1 if nowhere."""
    data = answer.read(path)
    return max(data.find(numbers.tobytes(order)) for order in ("C", "F"))


def _first(model: Thing, path: str) -> float:
    """The first number of an array of the model over there; NaN where there is no such array."""
    numbers = reach(model, path)
    return float(numbers.flat[0]) if isinstance(numbers, np.ndarray) and numbers.size else float("nan")


def _other_films(model: Recommender, rng: np.random.Generator) -> Recommender:
    """The model with the factors of its films drawn anew: as many bytes, other recommendations.

    Half of the scores lie below zero, many of them below -1, so that no small number stands for "never".
    """
    return with_components(model, rng.normal(size=model.svd.components_.shape))


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
        here = working_folder(answer)
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
        expect_in_place(answer, here, result)

    @case("a loaded model recommends what the saved one did")
    def loads(self, answer: Answer, rng: np.random.Generator) -> None:
        seed = draw_seed(rng)
        folder = answer.folder()
        model = known_recommender(seed)
        result = answer.call("save_model", over_there(answer, seed), folder)
        other = "These are the films of another model than the one saved."
        loaded = self._recommends(answer, folder, model, rng, other)
        expect_same(loaded, model, "The numbers of the loaded model are not those of the one saved.", result)
        files = contents(answer, folder)
        said = loaded.attempt("forget", int(rng.integers(USERS)))
        wrote = "The loaded model writes what it forgets into the file: whoever loads it next gets another model."
        expect(contents(answer, folder) == files, wrote, said)

    @case("saving again replaces the old model")
    def replaces(self, answer: Answer, rng: np.random.Generator) -> None:
        folder = answer.folder()
        old, new = draw_seed(rng), draw_seed(rng)
        answer.write(f"{folder}/notes.txt", b"written by somebody else")
        answer.call("save_model", over_there(answer, old), folder)
        result = answer.call("save_model", over_there(answer, new), folder)
        files = answer.files(folder)
        gone = "Saving has removed another file from the folder. It may replace `model.joblib` and nothing else."
        expect("notes.txt" in files, gone, result, got=listed(files), expected="notes.txt, as before")
        other = "A second model was saved here, and this is not the second."
        self._recommends(answer, folder, known_recommender(new), rng, other)

    @case("each load reads the file anew")
    def anew(self, answer: Answer, rng: np.random.Generator) -> None:
        seed = draw_seed(rng)
        model = known_recommender(seed)
        folder = answer.folder()
        answer.call("save_model", over_there(answer, seed), folder)
        self._recommends(answer, folder, model, rng, "These are the films of another model than the one saved.")
        model = _other_films(model, rng)
        answer.write(f"{folder}/{MODEL}", joblib_bytes(model))
        other = "Another process has replaced the file since the first load, and the second load gave the old model."
        self._recommends(answer, folder, model, rng, other)

    @case("`model.joblib` alone, in another folder, gives the same model")
    def moves(self, answer: Answer, rng: np.random.Generator) -> None:
        folder, other_folder = answer.folder(), answer.folder()
        old, new = draw_seed(rng), draw_seed(rng)
        answer.call("save_model", over_there(answer, old), folder)
        files = answer.files(folder)
        expect(MODEL in files, f"There is no `{MODEL}` to copy.", "the folder", got=listed(files))
        data = answer.read(f"{folder}/{MODEL}")
        at_home = "The file names a class that was written in this notebook, so no other process can load it."
        expect(b"__main__" not in data, at_home, f"the bytes of {MODEL}", got="__main__, which is the notebook")
        answer.write(f"{other_folder}/{MODEL}", data)
        answer.call("save_model", over_there(answer, new), folder)
        lost = error_is(answer.attempt("load_model", other_folder), "FileNotFoundError")
        alone = f"`{MODEL}` was copied to another folder, and `load_model` looks for a file that is not there."
        expect(not lost, alone, f"a folder with {MODEL} in it", got="FileNotFoundError")
        other = "The file was copied and its original changed. Load from the folder that is named, and from no other."
        self._recommends(answer, other_folder, known_recommender(old), rng, other)

    @case("where it cannot save or load, it raises an error")
    def tells(self, answer: Answer, rng: np.random.Generator) -> None:
        base = answer.folder()
        model = over_there(answer, draw_seed(rng))
        answer.call("save_model", model, f"{base}/works")
        answer.call("load_model", f"{base}/works")
        answer.write(f"{base}/taken", b"a file where the folder should be")
        result = answer.attempt("save_model", model, f"{base}/taken")
        silent = "A file stands where the folder should be. Nothing could be saved, and nobody was told."
        expect(result.error, silent, result, got="no error", expected="an error")
        result = answer.attempt("load_model", answer.folder())
        silent = "There is no model in this folder, and nobody was told."
        expect(result.error, silent, result, expected="an error")

    @case("joblib can map the arrays of the file")
    def maps(self, answer: Answer, rng: np.random.Generator) -> None:
        seed = draw_seed(rng)
        model = known_recommender(seed)
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
        first = _first(mapped, "user_factors")
        expect(
            first == 7.0,
            copied,
            tried,
            got=f"the model still holds {first:g}",
            expected="the model holds 7, too",
        )

    def _recommends(
        self, answer: Answer, folder: str, model: Recommender, rng: np.random.Generator, other: str
    ) -> Thing:
        """Load, and expect the model's recommendations; what was loaded."""
        users = rng.integers(0, USERS, 5).tolist()
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
        _expect_recommended(said, model, users, 10, other)
        return result.value


class Reuse(Exercise):
    id = "reuse"
    title = "Reuse it in another process"
    names = ("recommend_from",)
    points = 2.0
    hints = (
        "Ask of every name in your function: would it be there in a program that starts "
        "tomorrow? Arguments, imports and your own functions are; the notebook's `model` is not "
        "the one in the folder.",
        "Which function of exercise 1 gives you the model of a folder? What can that model do with the users and k?",
        "Each call stands alone: load, recommend, give back. Whatever is remembered from an earlier call may be the "
        "answer of a model that has been replaced since.",
    )

    @case("a fresh process recommends what the saved model recommends", weight=2)
    def fresh(self, answer: Answer, rng: np.random.Generator) -> None:
        model = known_recommender(draw_seed(rng))
        users = rng.permutation(USERS)[:6].tolist()
        result = answer.call_fresh("recommend_from", _saved(answer, model), users, 10)
        self._plain(result)
        other = "These are the films of another model than the one in the folder."
        _expect_recommended(result, model, users, 10, other)

    @case("it gives k films for each user, in the order of the users")
    def order(self, answer: Answer, rng: np.random.Generator) -> None:
        model = known_recommender(draw_seed(rng))
        users = [399, 7, *rng.integers(8, 399, 3).tolist(), 7]
        folder, here = answer.folder(), working_folder(answer)
        before = {MODEL: joblib_bytes(model) + b"more"}  # a reader does not mind; whoever saves it anew loses it
        answer.write(f"{folder}/{MODEL}", before[MODEL])
        result = answer.call("recommend_from", folder, users, k=3)
        self._plain(result)
        _expect_recommended(result, model, users, 3, "These are not the best films of these users.")
        changed = "Recommending has changed the folder, which other processes read at the same time."
        expect(contents(answer, folder) == before, changed, result, got=listed(answer.files(folder)), expected=MODEL)
        expect_in_place(answer, here, result)

    @case("one user gets one list of ten, and many films go down to the worst that is not watched")
    def sizes(self, answer: Answer, rng: np.random.Generator) -> None:
        model = _other_films(known_recommender(draw_seed(rng)), rng)
        folder = _saved(answer, model)
        watched_few = np.flatnonzero(np.diff(model.seen.indptr) <= 30)
        for users, more in (
            (rng.choice(watched_few, 1).tolist(), {}),
            (rng.choice(watched_few, 2, replace=False).tolist(), {"k": 80}),
        ):
            result = answer.call("recommend_from", folder, users, **more)
            self._plain(result)
            _expect_recommended(result, model, users, more.get("k", 10), "These are not the best films of these users.")

    @case("each call reads the folder anew, and raises an error where no model lies")
    def anew(self, answer: Answer, rng: np.random.Generator) -> None:
        model = known_recommender(draw_seed(rng))
        folder = _saved(answer, model)
        users = rng.integers(0, USERS, 4).tolist()
        answer.call("recommend_from", folder, users, 10)
        model = _other_films(model, rng)
        answer.write(f"{folder}/{MODEL}", joblib_bytes(model))
        result = answer.call("recommend_from", folder, users, 10)
        self._plain(result)
        old = "Since the first call another model lies in the folder, and these are the films of the old one."
        _expect_recommended(result, model, users, 10, old)
        result = answer.attempt("recommend_from", answer.folder(), users, 10)
        silent = "There is no model in this folder, and films were recommended all the same. From which model?"
        expect(result.error, silent, result, expected="an error")

    def _plain(self, result: Result) -> None:
        nothing = "Nothing came back: a function that prints gives its caller nothing."
        expect(result.value is not None, nothing, result)
        plain = isinstance(result.value, list | tuple | np.ndarray)
        message = "Another process can read lists of numbers, not an object of this one."
        expect(plain, message, result, expected="lists or an array of ids")


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
        model = known_recommender(draw_seed(rng))
        users = rng.integers(0, USERS, 5).tolist()
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
        model = known_recommender(draw_seed(rng))
        folder = _saved(answer, model)
        loaded = self._load(answer, folder)
        path = f"{folder}/{MODEL}"
        numbers = arrays_of(model)
        for name in ("user_factors", "svd.components_", "seen.data"):
            value = float(rng.integers(100, 1000))
            at = _place_in_file(answer, path, numbers[name])
            expect(at >= 0, "Loading has changed the file.", "the file after `load_shared`")
            _change_in_file(answer, path, at, value)
            first = _first(loaded, name)
            copied = (
                f"The file was changed after loading and `{name}` did not notice: this process holds a copy of its own."
            )
            tried = f"the first number of {name}, changed in the file"
            expect(first == value, copied, tried, got=f"{first:g}", expected=f"{value:g}")

    @case("no process can write through it")
    def guarded(self, answer: Answer, rng: np.random.Generator) -> None:
        model = known_recommender(draw_seed(rng))
        path = f"{answer.folder()}/{MODEL}"
        before = joblib_bytes(model) + b"more"  # a reader does not mind; whoever writes the file anew loses it
        answer.write(path, before)
        folder = path.rpartition("/")[0]
        loaded = self._load(answer, folder)
        anew = "Loading has written the file anew, under the hands of every process that has mapped it."
        expect(
            answer.read(path) == before, anew, "the file after `load_shared`", got="other bytes", expected="the same"
        )
        # The methods of the class itself: one of the learner's own may raise and guard nothing.
        own = Thing(answer, over_there(answer, draw_seed(rng)), "model").get("__class__").value
        kind = Thing(answer, own.ref, "Recommender")
        user, film = int(rng.integers(USERS)), int(rng.integers(model.seen.shape[1]))
        self._refuses("forget", kind.attempt("forget", loaded.ref, user), answer.read(path) == before)
        self._refuses("withdraw", kind.attempt("withdraw", loaded.ref, film), answer.read(path) == before)
        seen = reach(loaded, "seen")
        expect(isinstance(seen, Thing), "The model has no matrix `seen`.", "model.seen")
        doubled = Thing(answer, seen.ref, "model.seen").attempt("__imul__", 2.0)
        self._refuses("model.seen *= 2", doubled, answer.read(path) == before)

    def _refuses(self, change: str, result: Result, as_before: bool) -> None:
        """Raise Wrong unless the change failed with NumPy's error and left the file as before."""
        everywhere = f"`{change}` wrote into the file: one process has changed the model of all."
        expect(as_before, everywhere, result, expected="an error, and the file as it was")
        alone = f"`{change}` went through in this process alone: it now recommends from other numbers than the rest."
        wanted = "ValueError: the array is read-only"
        expect(result.error, alone, result, got="no error", expected=wanted)
        other = f"`{change}` failed for another reason than a read-only array."
        expect(error_is(result, "ValueError"), other, result, expected=wanted)

    def _load(self, answer: Answer, folder: str) -> Thing:
        result = answer.call("load_shared", folder)
        whole = isinstance(result.value, Thing)
        expect(whole, "`load_shared` gave no model back.", result, expected="a Recommender")
        return result.value


lab = Lab("lab01_save_once", [Save, Reuse, Share, Export, Parity, Refuse, Bundle])
