"""Lab 01: the exercises `export` and `parity`, about ONNX."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from checks.lab01_common import draw_seed, listed, over_there
from labkit.answer import Answer
from labkit.exercise import Exercise, as_array, case, expect, expect_close
from lessonkit.interactions import Recommender, small_recommender, top_items

Mistakes = list[tuple[float, str]]  # what a common mistake gives, and what to say to it


class Export(Exercise):
    id = "export"
    title = "Export it to ONNX"
    names = ("export_onnx",)
    points = 3.0
    hints = (
        "`skl2onnx.to_onnx` knows TruncatedSVD, so `model.svd` is what to convert. It must be "
        "told what comes in: `initial_types=[(name, type)]`.",
        "The type is `FloatTensorType([rows, films])`. Take the number of films from the model "
        "that was passed in, and leave the number of rows open with `None`.",
        "What `to_onnx` gives is a description in memory. `.SerializeToString()` makes bytes of "
        "it, and those belong in the file at `path`.",
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
        model = small_recommender(seed)
        path = f"{answer.folder()}/model.onnx"
        exported = answer.call("export_onnx", over_there(answer, seed), path)
        written = answer.files(path.rpartition("/")[0])
        expect(
            "model.onnx" in written,
            "There is no file at `path` afterwards.",
            exported,
            got=listed(written),
        )
        histories = (rng.random((rows, 120)) < 0.1).astype(np.float32)
        result = answer.attempt("run_onnx", path, histories)
        if result.error:
            expect(False, _why_onnx_failed(result.error.message), result)
        numbers = as_array(result)
        expected = model.svd.transform(histories)
        kind = "These are as many columns as films: the first output must be the factors, not the scores."
        expect(numbers.shape[1:] != (120,), kind, result, expected=expected)
        other = "These are not the factors of the model that was passed in."
        expect_close(result, expected, other, rtol=1e-4, atol=1e-4)


def _why_onnx_failed(said: str) -> str:
    """What an error of onnxruntime means here."""
    if "data type" in said:
        return "The graph wants another type of number: histories come as float32."
    if "index: 0" in said or "[0]" in said:
        return "The graph takes a fixed number of rows: that dimension must stay open."
    if "index: 1" in said:
        return "The graph takes histories of another number of films: is it the model that was passed in?"
    if "Protobuf" in said or "INVALID_PROTOBUF" in said:
        return "onnxruntime cannot read the file: it holds no ONNX model."
    return "onnxruntime cannot run the file."


class Parity(Exercise):
    id = "parity"
    title = "Prove that both answer alike"
    names = ("parity",)
    points = 3.0
    hints = (
        "Both sides get the same histories: `model.svd.transform(histories)` and "
        "`run_onnx(path, histories)`. The first number compares what they give.",
        "A difference may be positive or negative, and one bad number among thousands is still a "
        "bad number: neither a plain subtraction nor a mean shows it.",
        "For the lists: factors @ `model.svd.components_` are scores, and "
        "`top_items(scores, histories)` makes lists of them. A row counts only if all ten ids "
        "agree in place, which `.all(axis=1)` tells.",
    )

    @case("a faithful export: no difference, every list the same")
    def faithful(self, answer: Answer, rng: np.random.Generator) -> None:
        self._compare(answer, *_noisy(rng, 0))

    @case("factors a tenth too large or too small: a difference, and still the same lists")
    def scaled(self, answer: Answer, rng: np.random.Generator) -> None:
        seed, components, histories = _noisy(rng, 0)
        self._compare(answer, seed, components * np.float32(1.1), histories)
        self._compare(answer, seed, components * np.float32(0.9), histories)

    @case("noise in the factors: some lists differ, and the share says how many", weight=2)
    def noisy(self, answer: Answer, rng: np.random.Generator) -> None:
        for _ in range(50):  # until every common mistake gives another share than the right one
            seed, components, histories = _noisy(rng, 0.01)
            share, mistakes = _shares(small_recommender(seed), components, histories)
            if all(abs(wrong - share) > 0.05 for wrong, _ in mistakes):
                break
        self._compare(answer, seed, components, histories)

    def _compare(self, answer: Answer, seed: int, components: np.ndarray, histories: np.ndarray) -> None:
        model = small_recommender(seed)
        path = f"{answer.folder()}/model.onnx"
        answer.write(path, _matmul(components.T))
        result = answer.call("parity", over_there(answer, seed), path, histories)
        pair = as_array(result)
        expect(pair.shape == (2,), "Two numbers are asked for: (difference, share).", result)
        difference, wrong_differences = _differences(model, components, histories)
        share, wrong_shares = _shares(model, components, histories)
        shown = {
            "got": f"({pair[0]:.4f}, {pair[1]:.4f})",
            "expected": f"({difference:.4f}, {share:.4f})",
        }
        if not np.isclose(pair[0], difference, rtol=1e-3, atol=1e-4):
            other = "The first number is not the largest absolute difference of the factors."
            message = _mistake(pair[0], wrong_differences, other)
            expect(False, message, result, **shown)
        # One row of sixty may flip where two films score alike.
        if not np.isclose(pair[1], share, atol=0.02):
            other = "The second number is not the share of rows with equal lists."
            expect(False, _mistake(pair[1], wrong_shares, other), result, **shown)


def _mistake(number: float, mistakes: list[tuple[float, str]], other: str) -> str:
    """The message of the common mistake that gives this number, or `other`."""
    return next(
        (message for wrong, message in mistakes if np.isclose(number, wrong, rtol=1e-3, atol=1e-4)),
        other,
    )


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


def _noisy(rng: np.random.Generator, scale: float) -> tuple[int, np.ndarray, np.ndarray]:
    """A small recommender's seed, its components with noise, histories of sixty of its users."""
    seed = draw_seed(rng)
    model = small_recommender(seed)
    components = model.svd.components_ + rng.normal(scale=scale, size=model.svd.components_.shape)
    return seed, components.astype(np.float32), model.histories(rng.permutation(400)[:60])


def _differences(model: Recommender, components: np.ndarray, histories: np.ndarray) -> tuple[float, Mistakes]:
    """The largest absolute difference of the factors, and what common mistakes give instead."""
    gaps = model.svd.transform(histories) - histories @ components.T
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
        *((number, sign) for number in (gaps.max(), -gaps.max(), gaps.min(), -gaps.min())),
    ]
    return float(np.abs(gaps).max()), mistakes


def _shares(model: Recommender, components: np.ndarray, histories: np.ndarray) -> tuple[float, Mistakes]:
    """The share of rows with equal lists, and what common mistakes give instead."""
    one, two = model.svd.transform(histories), histories @ components.T

    def lists(seen: np.ndarray) -> list[np.ndarray]:
        return [top_items(factors @ model.svd.components_, seen) for factors in (one, two)]

    first, second = lists(histories)
    first_open, second_open = lists(np.zeros_like(histories))
    as_sets = [set(a) == set(b) for a, b in zip(first.tolist(), second.tolist(), strict=True)]
    close = np.isclose(one, two, atol=1e-4).all(axis=1)
    said = "The second number "
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
        (close.mean(), said + "compares the factors; lists of films are asked for."),
    ]
    return float((first == second).all(axis=1).mean()), mistakes
