"""Lab 01: answers to `export` and `parity`. See the package's docstring for the form."""

from __future__ import annotations

EXPORT_RIGHT = {
    "written by hand": """
import onnx

def export_onnx(model, path):
    films = model.svd.components_.T.astype(np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "films"], ["y"])],
        "recommender",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["rows", films.shape[0]])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["rows", films.shape[1]])],
        [onnx.numpy_helper.from_array(films, "films")],
    )
    opsets = [onnx.helper.make_opsetid("", 13)]
    made = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(made, str(path))
""",
    "from an example, sizes open": """
def export_onnx(model, path):
    exported = skl2onnx.to_onnx(model.svd, initial_types=[("x", FloatTensorType([None, None]))])
    with open(path, "wb") as file:
        file.write(exported.SerializeToString())
""",
}

_EXPORT = """
def export_onnx(model, path):
    types = [("history", FloatTensorType([None, model.svd.components_.shape[1]]))]
    data = skl2onnx.to_onnx(model.svd, initial_types=types).SerializeToString()
    {write}
"""

_BY_HAND = """
import onnx

def export_onnx(model, path):
    films = np.ascontiguousarray({films})
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "films"], ["y"])],
        "recommender",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["rows", films.shape[0]])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["rows", films.shape[1]])],
        [onnx.numpy_helper.from_array(films, "films")],
    )
    opsets = [onnx.helper.make_opsetid("", 13)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
"""

EXPORT_WRONG = {
    "float64 in": (
        """
from skl2onnx.common.data_types import DoubleTensorType

def export_onnx(model, path):
    films = model.svd.components_.shape[1]
    types = [("history", DoubleTensorType([None, films]))]
    exported = skl2onnx.to_onnx(model.svd, initial_types=types)
    Path(path).write_bytes(exported.SerializeToString())
""",
        "histories come as float32",
    ),
    "one row for ever": (
        """
def export_onnx(model, path):
    films = model.svd.components_.shape[1]
    exported = skl2onnx.to_onnx(model.svd, initial_types=[("history", FloatTensorType([1, films]))])
    Path(path).write_bytes(exported.SerializeToString())
""",
        "that dimension must stay open",
    ),
    "the big model": (
        """
def export_onnx(_, path):
    types = [("history", FloatTensorType([None, n_films]))]
    exported = skl2onnx.to_onnx(model.svd, initial_types=types)
    Path(path).write_bytes(exported.SerializeToString())
""",
        "another number of films",
    ),
    "another small model": (
        """
def export_onnx(_, path):
    types = [("history", FloatTensorType([None, 120]))]
    exported = skl2onnx.to_onnx(small_model.svd, initial_types=types)
    Path(path).write_bytes(exported.SerializeToString())
""",
        "The graph takes histories of another number of films",
    ),
    "another small model, sizes open": (
        """
def export_onnx(_, path):
    types = [("history", FloatTensorType([None, None]))]
    big_enough = small_recommender(7, n_films=300, n_components=16)
    Path(path).write_bytes(skl2onnx.to_onnx(big_enough.svd, initial_types=types).SerializeToString())
""",
        "The sizes in the graph do not fit each other",
    ),
    "films as a number": (
        """
def export_onnx(model, path):
    exported = skl2onnx.to_onnx(model.svd, initial_types=[("history", FloatTensorType([None, 120]))])
    Path(path).write_bytes(exported.SerializeToString())
""",
        "another number of films",
    ),
    "weighted by the singular values": (
        _BY_HAND.format(films="model.svd.components_.T * model.svd.singular_values_"),
        "not the factors of the model that was passed in",
    ),
    "half precision": (
        _BY_HAND.format(films="model.svd.components_.T.astype(np.float16)").replace(
            'make_node("MatMul", ["x", "films"]',
            'make_node("Cast", ["films"], ["wide"], to=1), onnx.helper.make_node("MatMul", ["x", "wide"]',
        ),
        "smaller than the films' factors in float32",
    ),
    "float64 out": (
        _BY_HAND.format(films="model.svd.components_.T.astype(np.float32)")
        .replace('["y"])]', '["z"]), onnx.helper.make_node("Cast", ["z"], ["y"], to=11)]')
        .replace('info("y", onnx.TensorProto.FLOAT', 'info("y", onnx.TensorProto.DOUBLE'),
        "The first output is not float32",
    ),
    "numbers in a second file": (
        _BY_HAND.format(films="model.svd.components_.T.astype(np.float32)").replace(
            "str(path))", "str(path), save_as_external_data=True, size_threshold=0)"
        ),
        "in a second file beside this one",
    ),
    "a second input": (
        _BY_HAND.format(films="model.svd.components_.T.astype(np.float32)").replace(
            '[onnx.helper.make_tensor_value_info("x"',
            '[onnx.helper.make_tensor_value_info("k", onnx.TensorProto.FLOAT, [1]), '
            'onnx.helper.make_tensor_value_info("x"',
        ),
        "The graph has 2 inputs",
    ),
    "for a runtime of the future": (
        _BY_HAND.format(films="model.svd.components_.T.astype(np.float32)").replace("ir_version=8", "ir_version=99"),
        "onnxruntime cannot run the file",
    ),
    "only where no file lies": (
        _EXPORT.format(write="if not Path(path).exists(): Path(path).write_bytes(data)"),
        "it lies there still",
    ),
    "added to the file": (
        _EXPORT.format(write="with open(path, 'ab') as file: file.write(data)"),
        "written anew, not continued",
    ),
    "under another name": (
        _EXPORT.format(write="Path(path).rename(Path(path).with_name('model.onnx')).write_bytes(data)"),
        "no file at `path`",
    ),
    "in another working folder": (
        _EXPORT.format(write="import os; os.chdir(Path(path).parent); Path(path).write_bytes(data)"),
        "changed the working folder",
    ),
    "not written": (
        """
def export_onnx(model, path):
    films = model.svd.components_.shape[1]
    return skl2onnx.to_onnx(model.svd, initial_types=[("history", FloatTensorType([None, films]))])
""",
        "nothing was written to `path`",
    ),
    "a joblib file": (
        """
def export_onnx(model, path):
    joblib.dump(model.svd, path)
""",
        "it holds no ONNX model",
    ),
    "scores instead of factors": (
        """
import onnx

def export_onnx(model, path):
    films = model.svd.components_.T @ model.svd.components_
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("MatMul", ["x", "films"], ["y"])],
        "scores",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["rows", films.shape[0]])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["rows", films.shape[1]])],
        [onnx.numpy_helper.from_array(films, "films")],
    )
    opsets = [onnx.helper.make_opsetid("", 13)]
    made = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.save(made, str(path))
""",
        "the factors, not the scores",
    ),
}

PARITY_RIGHT = {
    "in loops": """
def parity(model, path, histories):
    one = model.svd.transform(histories)
    two = run_onnx(path, histories)
    largest = max(abs(float(a) - float(b)) for a, b in zip(one.ravel(), two.ravel()))
    equal = 0
    for row in range(len(histories)):
        lists = []
        for factors in (one, two):
            scores = factors[row] @ model.svd.components_
            scores[histories[row] > 0] = -np.inf
            lists.append(np.argsort(-scores)[:10].tolist())
        equal += lists[0] == lists[1]
    return [largest, equal / len(histories)]
""",
}

_PARITY = """
def parity(model, path, histories):
    one, two = model.svd.transform(histories), run_onnx(path, histories)
    components = model.svd.components_
    first, second = (top_items(factors @ components, histories) for factors in (one, two))
    return {difference}, {share}
"""
_DIFFERENCE = "np.abs(one - two).max()"
_SHARE = "(first == second).all(axis=1).mean()"

PARITY_WRONG = {
    "mean difference": (
        _PARITY.format(difference="np.abs(one - two).mean()", share=_SHARE),
        "is a mean",
    ),
    "no absolute value": (
        _PARITY.format(difference="(one - two).max()", share=_SHARE),
        "differences of one sign",
    ),
    "absolute value too late": (
        _PARITY.format(difference="abs((two - one).max())", share=_SHARE),
        "of one sign",
    ),
    "difference of the scores": (
        _PARITY.format(difference="np.abs((one - two) @ model.svd.components_).max()", share=_SHARE),
        "compares scores",
    ),
    "single places": (
        _PARITY.format(difference=_DIFFERENCE, share="(first == second).mean()"),
        "only if all ten are",
    ),
    "as sets": (
        _PARITY.format(
            difference=_DIFFERENCE,
            share="np.mean([set(a) == set(b) for a, b in zip(first.tolist(), second.tolist())])",
        ),
        "the same films in another order",
    ),
    "close factors": (
        _PARITY.format(difference=_DIFFERENCE, share="np.isclose(one, two, atol=1e-4).all(axis=1).mean()"),
        "lists of films are asked for",
    ),
    "films already watched": (
        """
def parity(model, path, histories):
    one, two = model.svd.transform(histories), run_onnx(path, histories)
    components = model.svd.components_
    first, second = (np.argsort(-(fs @ components), axis=1)[:, :10] for fs in (one, two))
    return np.abs(one - two).max(), (first == second).all(axis=1).mean()
""",
        "films already watched",
    ),
    "first film only": (
        _PARITY.format(difference=_DIFFERENCE, share="(first[:, 0] == second[:, 0]).mean()"),
        "the first film alone",
    ),
    "share of different lists": (
        _PARITY.format(difference=_DIFFERENCE, share="(first != second).any(axis=1).mean()"),
        "not the share of rows with equal lists",
    ),
    "one number": (
        "def parity(model, path, histories):\n    return 0.0",
        "Two numbers are asked for",
    ),
    "remembered": (
        "def parity(model, path, histories):\n    return 0.0, 1.0",
        "not the largest absolute difference",
    ),
    "rounded": (
        _PARITY.format(difference="round(float(np.abs(one - two).max()), 4)", share=_SHARE),
        "The first number is rounded",
    ),
    "the first factor only": (
        _PARITY.format(difference="np.abs(one - two)[:, 0].max()", share=_SHARE),
        "the first factor of each row alone",
    ),
    "the length of a row": (
        _PARITY.format(difference="np.linalg.norm(one - two, axis=1).max()", share=_SHARE),
        "the length of a row of differences",
    ),
    "all lists or none": (
        _PARITY.format(difference=_DIFFERENCE, share="float((first == second).all())"),
        "The second number is 0 or 1",
    ),
    "percent": (
        _PARITY.format(difference=_DIFFERENCE, share="100 * (first == second).all(axis=1).mean()"),
        "A share lies between 0 and 1",
    ),
    "nine films": (
        _PARITY.format(difference=_DIFFERENCE, share="(first == second)[:, :9].all(axis=1).mean()"),
        "compares nine films",
    ),
    "the first 50 rows": (
        _PARITY.format(difference=_DIFFERENCE, share="(first == second)[:50].all(axis=1).mean()"),
        "not the share of rows with equal lists",
    ),
    "watched films at zero": (
        _PARITY.format(difference=_DIFFERENCE, share=_SHARE).replace(
            "top_items(factors @ components, histories)",
            "np.argsort(-np.where(histories > 0, 0, factors @ components), axis=1, kind='stable')[:, :10]",
        ),
        "lets watched films in",
    ),
    "lists of factors": (
        _PARITY.format(difference=_DIFFERENCE, share=_SHARE).replace("factors @ components", "factors"),
        "`top_items` takes scores",
    ),
    "one session for ever": (
        "from functools import lru_cache\n\n"
        "@lru_cache\n"
        "def session(path):\n"
        "    return onnxruntime.InferenceSession(path, providers=['CPUExecutionProvider'])\n"
        + _PARITY.format(difference=_DIFFERENCE, share=_SHARE).replace(
            "run_onnx(path, histories)", "session(path).run(None, {'history': histories})[0]"
        ),
        "not the largest absolute difference",
    ),
}
