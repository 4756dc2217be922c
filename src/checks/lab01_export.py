"""Lab 01: the exercises `export` and `parity`, about ONNX."""

from __future__ import annotations

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from checks.lab01_common import (
    USERS,
    draw_seed,
    error_is,
    expect_in_place,
    known_recommender,
    listed,
    over_there,
    working_folder,
)
from labkit.answer import Answer, Result
from labkit.exercise import Exercise, Report, as_array, case, expect, expect_close
from labkit.values import Ref
from lessonkit.interactions import Recommender, top_items

PARITY_SIZE = {"n_films": 24, "n_components": 8}
ROUNDING = 5e-6  # how far right answers may lie apart: float32 sums in another order
Mistakes = list[tuple[float, str]]  # what a common mistake gives, and what to say to it


class _NeedsRunOnnx(Exercise):
    """An exercise whose answers are tried with `run_onnx` of the notebook."""

    def judge(self, answer: Answer, seed: int = 0) -> Report:
        if answer.missing("run_onnx") and not answer.missing(*self.names):
            told = "`run_onnx` is not defined: run its cell, above the answer cell of exercise 4, then check again."
            return self._report("not attempted", message=told)
        return super().judge(answer, seed)


class Export(_NeedsRunOnnx):
    id = "export"
    title = "Export it to ONNX"
    names = ("export_onnx",)
    points = 3.0
    hints = (
        "`skl2onnx.to_onnx` knows TruncatedSVD, so `model.svd` is what to convert. It must be "
        "told what comes in: `initial_types=[(name, type)]`.",
        "The type is a `FloatTensorType` of two sizes. Take the number of films from the model "
        "that was passed in; a size of `None` stays open.",
        "What `to_onnx` gives is a description in memory. `.SerializeToString()` makes bytes of "
        "it, and those belong in the file at `path`, whatever lay there before.",
    )

    @case("onnxruntime gives the factors that `model.svd.transform` gives", weight=2)
    def factors(self, answer: Answer, rng: np.random.Generator) -> None:
        self._compare(answer, rng, 20)

    @case("one row is as welcome as many")
    def rows(self, answer: Answer, rng: np.random.Generator) -> None:
        self._compare(answer, rng, 1)
        self._compare(answer, rng, 33)

    def _compare(self, answer: Answer, rng: np.random.Generator, rows: int) -> None:
        seed = draw_seed(rng)
        films, components = 6 * int(rng.integers(21, 40)), int(rng.integers(9, 14))
        size = {"n_films": films, "n_components": components}
        model = known_recommender(seed, **size)
        data, exported = self._export(answer, rng, over_there(answer, seed, **size))
        _expect_graph(data, films, exported)
        enough = len(data) >= 4 * films * components
        expect(
            enough, "The file is smaller than the films' factors in float32, which it must hold.", exported, got=data
        )
        # The file alone, in another folder: whatever was left beside it is not there.
        bare = answer.untouched()
        path = f"{bare.folder()}/alone.onnx"
        bare.write(path, data)
        histories = (rng.random((rows, films)) < 0.1).astype(np.float32)
        result = bare.attempt("run_onnx", path, histories)
        incompatible = result.error and "dimension" in result.error.message
        sizes = "The sizes in the graph do not fit each other: does the number of films come from the model passed in?"
        expect(not incompatible, sizes, result)
        expect(not result.error, "onnxruntime cannot run the file.", result)
        numbers = as_array(result)
        expected = model.svd.transform(histories)
        kind = "These are as many columns as films: the first output must be the factors, not the scores."
        expect(numbers.shape[1:] != (films,), kind, result, expected=expected)
        wide = "The first output is not float32: whoever asked for float32 gets another type of number."
        expect(getattr(result.value, "dtype", None) == np.float32, wide, result, expected=expected)
        other = "These are not the factors of the model that was passed in."
        expect_close(result, expected, other, rtol=1e-4, atol=1e-4)

    def _export(self, answer: Answer, rng: np.random.Generator, model: Ref) -> tuple[bytes, Result]:
        """Let the answer export over an older file; what then lies at the path."""
        name = f"model-{rng.integers(10**6):06}.onnx"
        folder, here = answer.folder(), working_folder(answer)
        path = f"{folder}/{name}"
        older = rng.bytes(20_000)
        answer.write(path, older)
        result = answer.attempt("export_onnx", model, path)
        expect(not result.error, "Your code stopped with an error here.", result)
        written = answer.files(folder)
        expect(name in written, "There is no file at `path` afterwards.", result, got=listed(written))
        data = answer.read(path)
        stays = "An older file lay at `path`, and it lies there still: nothing was written to `path`."
        expect(data != older, stays, result, got=listed(written), expected="the exported model in its place")
        behind = "The file still holds the older one: it must be written anew, not continued."
        expect(not data.startswith(older), behind, result, got=data)
        expect_in_place(answer, here, result)
        return data, result


def _expect_graph(data: bytes, films: int, exported: Result) -> None:
    """Raise Wrong unless the bytes are an ONNX model that takes histories. It is read, never run, on this side."""
    try:
        graph = onnx.load_model_from_string(data).graph
    except DecodeError:
        graph = onnx.GraphProto()
    expect(graph.node, "onnxruntime cannot read the file: it holds no ONNX model.", exported, got=data)
    beside = any(external_data_helper.uses_external_data(tensor) for tensor in graph.initializer)
    alone = "The numbers lie in a second file beside this one: whoever gets the file at `path` cannot run it."
    expect(not beside, alone, exported, expected="one file")
    known = {tensor.name for tensor in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in known]
    expect(len(inputs) == 1, f"The graph has {len(inputs)} inputs; histories are the only one.", exported)
    kind = inputs[0].type.tensor_type
    number = TensorProto.DataType.Name(kind.elem_type).lower()
    wanted = "The graph wants another type of number: histories come as float32."
    expect(kind.elem_type == TensorProto.FLOAT, wanted, "the input of the file", got=number, expected="float")
    sizes = [dim.dim_value for dim in kind.shape.dim]  # 0 where it is open
    if len(sizes) == 2:
        shown = {"got": " x ".join(str(size or "any") for size in sizes), "expected": f"any x {films}"}
        rows = "The graph takes a fixed number of rows: that dimension must stay open."
        expect(sizes[0] == 0, rows, "the input of the file", **shown)
        other = "The graph takes histories of another number of films: is it the model that was passed in?"
        expect(sizes[1] in (0, films), other, "the input of the file", **shown)


class Parity(_NeedsRunOnnx):
    id = "parity"
    title = "Prove that both answer alike"
    names = ("parity",)
    points = 3.0
    hints = (
        "Both sides get the same histories: `model.svd.transform(histories)` and "
        "`run_onnx(path, histories)`. The first number compares what they give.",
        "A difference may be positive or negative, and one bad number among thousands is still a "
        "bad number: neither a plain subtraction nor a mean shows it.",
        "For the lists: factors @ `model.svd.components_` are scores, and `top_items(scores, histories)` makes "
        "lists of them. Comparing two arrays of lists gives a table of True and False: first ask each row "
        "whether all its ten places agree, then which share of the rows does.",
    )

    @case("a faithful export: no difference, every list the same")
    def faithful(self, answer: Answer, rng: np.random.Generator) -> None:
        path = f"{answer.folder()}/faithful-{rng.integers(10**6):06}.onnx"
        self._compare(answer, path, *_drawn(rng, 0))

    @case("factors too large or too small: a difference, and still the same lists")
    def scaled(self, answer: Answer, rng: np.random.Generator) -> None:
        seed, components, histories = _drawn(rng, 0)
        order = np.argsort(np.abs(histories @ components.T).max(axis=1))  # the largest difference last, then first
        path = f"{answer.folder()}/scaled-{rng.integers(10**6):06}.onnx"
        self._compare(answer, path, seed, components * np.float32(1.1), histories[order])
        self._compare(answer, path, seed, components * np.float32(0.8), histories[order[::-1]])

    @case("a difference in the fifth place is a difference")
    def fine(self, answer: Answer, rng: np.random.Generator) -> None:
        seed, components, histories = _drawn(rng, 0)
        path = f"{answer.folder()}/fine-{rng.integers(10**6):06}.onnx"
        self._compare(answer, path, seed, components * np.float32(1 + 3e-5), histories)

    @case("noise in the factors: some lists differ, and the share says how many", weight=2)
    def noisy(self, answer: Answer, rng: np.random.Generator) -> None:
        for _ in range(200):  # until every common mistake gives another number than the right one
            seed, components, histories = _drawn(rng, 0.01)
            model = known_recommender(seed, **PARITY_SIZE)
            share, mistakes = _shares(model, components, histories)
            difference, more = _differences(model, components, histories)
            if _apart(share, mistakes, 0.02) and _apart(difference, more, 0.002):
                break
        path = f"{answer.folder()}/noisy-{rng.integers(10**6):06}.onnx"
        self._compare(answer, path, seed, components, histories)

    def _compare(self, answer: Answer, path: str, seed: int, components: np.ndarray, histories: np.ndarray) -> None:
        model = known_recommender(seed, **PARITY_SIZE)
        answer.write(path, _matmul(components.T))
        result = answer.attempt("parity", over_there(answer, seed, **PARITY_SIZE), path, histories)
        mixed = error_is(result, "ValueError") and "broadcast" in result.error.message
        scores = "`top_items` takes scores, one column for each film: factors @ `model.svd.components_`."
        expect(not mixed, f"Two arrays of different shapes met. {scores}", result)
        expect(not result.error, "Your code stopped with an error here.", result)
        pair = as_array(result)
        expect(pair.shape == (2,), "Two numbers are asked for: (difference, share).", result)
        difference, wrong_differences = _differences(model, components, histories)
        share, wrong_shares = _shares(model, components, histories)
        shown = {
            "got": f"({pair[0]:.4f}, {pair[1]:.4f})",
            "expected": f"({difference:.4f}, {share:.4f})",
        }
        if not np.isclose(pair[0], difference, rtol=ROUNDING, atol=ROUNDING):
            other = "The first number is not the largest absolute difference of the factors."
            rounded = "The first number is rounded, and a difference of 0.00003 would read as none. Give it as it is."
            wrong_differences += [(round(difference, places), rounded) for places in (4, 3, 2)]
            message = _mistake(pair[0], wrong_differences, other)
            expect(False, message, result, **shown)
        expect(0 <= pair[1] <= 1 + ROUNDING, "A share lies between 0 and 1.", result, **shown)
        if not np.isclose(pair[1], share, atol=1e-6):
            other = "The second number is not the share of rows with equal lists."
            expect(False, _mistake(pair[1], wrong_shares, other), result, **shown)


def _mistake(number: float, mistakes: list[tuple[float, str]], other: str) -> str:
    """The message of the common mistake that gives this number, or `other`."""
    return next(
        (message for wrong, message in mistakes if np.isclose(number, wrong, rtol=ROUNDING, atol=ROUNDING)),
        other,
    )


def _apart(right: float, mistakes: Mistakes, least: float) -> bool:
    """Whether every mistake gives a number that lies at least this far from the right one."""
    return all(abs(wrong - right) >= least for wrong, _ in mistakes)


def _matmul(matrix: np.ndarray) -> bytes:
    """An ONNX model that multiplies its input (rows, films) by a matrix (films, components)."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["history", "matrix"], ["factors"])],
        "factors",
        [helper.make_tensor_value_info("history", TensorProto.FLOAT, [None, matrix.shape[0]])],
        [helper.make_tensor_value_info("factors", TensorProto.FLOAT, [None, matrix.shape[1]])],
        [numpy_helper.from_array(np.ascontiguousarray(matrix, np.float32), "matrix")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _drawn(rng: np.random.Generator, scale: float) -> tuple[int, np.ndarray, np.ndarray]:
    """A small recommender's seed, its components with noise in some films, histories of some users.

    There are so few films that for up to thirty users the ten best not yet watched hold some with a
    negative score. Rows in which rounding could swap two of the best eleven films are left out: a right answer has
    one right share.
    """
    seed = draw_seed(rng)
    model = known_recommender(seed, **PARITY_SIZE)
    exact = model.svd.components_
    noise = rng.normal(scale=scale, size=exact.shape) * (rng.random(exact.shape[1]) < 0.15)
    components = (exact + noise).astype(np.float32)
    histories = model.histories(rng.permutation(USERS))
    one, two = (_best_scores(exact, each, histories) for each in (exact, components))
    clear = _lie_apart(one) & _lie_apart(two)
    below = clear & (one[:, 9] < 0)
    rows = np.concatenate([np.flatnonzero(below)[:30], np.flatnonzero(clear & ~below)[: int(rng.integers(25, 60))]])
    return seed, components, histories[rng.permutation(rows)]


def _best_scores(films: np.ndarray, components: np.ndarray, histories: np.ndarray) -> np.ndarray:
    """The eleven best scores of each row among the films not watched, best first; -1e6 where there are no more."""
    scores = np.where(histories > 0, -1e6, (histories @ components.T) @ films)
    return -np.sort(-scores)[:, :11]


def _lie_apart(best: np.ndarray) -> np.ndarray:
    """The rows whose best scores lie further apart than rounding can move them."""
    return (best > -1e6).all(axis=1) & (best[:, :-1] - best[:, 1:] > 3e-5).all(axis=1)


def _differences(model: Recommender, components: np.ndarray, histories: np.ndarray) -> tuple[float, Mistakes]:
    """The largest absolute difference of the factors, and what common mistakes give instead."""
    gaps = model.svd.transform(histories) - histories @ components.T
    difference = float(np.abs(gaps).max())
    sign = "The first number overlooks differences of one sign."
    mistakes = [
        (
            np.abs(gaps).mean(),
            "The first number is a mean, which hides one large difference among many small ones.",
        ),
        (
            np.abs(gaps @ model.svd.components_).max(),
            "The first number compares scores; the factors are asked for.",
        ),
        (
            np.abs(gaps[:, 0]).max(),
            "The first number looks at the first factor of each row alone.",
        ),
        (
            np.linalg.norm(gaps, axis=1).max(),
            "The first number is the length of a row of differences; the largest single one is asked for.",
        ),
        *((number, sign) for number in (gaps.max(), -gaps.max(), gaps.min(), -gaps.min()) if number != difference),
    ]
    return difference, mistakes


def _shares(model: Recommender, components: np.ndarray, histories: np.ndarray) -> tuple[float, Mistakes]:
    """The share of rows with equal lists, and what common mistakes give instead."""
    one, two = model.svd.transform(histories), histories @ components.T

    def lists(seen: np.ndarray) -> list[np.ndarray]:
        return [top_items(factors @ model.svd.components_, seen) for factors in (one, two)]

    first, second = lists(histories)
    first_open, second_open = lists(np.zeros_like(histories))
    as_sets = [set(a) == set(b) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    at_zero = [np.where(histories > 0, 0, factors @ model.svd.components_) for factors in (one, two)]
    masked = np.equal(*(np.argsort(-scores, axis=1, kind="stable")[:, :10] for scores in at_zero))
    nine = first[:, :9] == second[:, :9]
    close = np.isclose(one, two, atol=1e-4).all(axis=1)
    said = "The second number "
    low = (
        said + "lets watched films in: where their scores are set to 0, they still stand before films with less than 0."
    )
    mistakes = [
        (np.mean(as_sets), said + "counts lists that hold the same films in another order."),
        (
            (first == second).mean(),
            said + "counts single places; a list is equal only if all ten are.",
        ),
        (
            (first_open == second_open).all(axis=1).mean(),
            said + "compares lists that hold films already watched.",
        ),
        (
            (first[:, 0] == second[:, 0]).mean(),
            said + "compares the first film alone, not all ten.",
        ),
        (nine.all(axis=1).mean(), said + "compares nine films of each list, not all ten."),
        (masked.all(axis=1).mean(), low),
        (
            float((first == second).all()),
            said + "is 0 or 1: it says whether all lists agree, not what share of the rows.",
        ),
        (close.mean(), said + "compares the factors; lists of films are asked for."),
    ]
    return float((first == second).all(axis=1).mean()), mistakes
