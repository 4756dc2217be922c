"""Lab 01: the recommender. See the package's docstring for the form."""

from __future__ import annotations

LOAD = """
def load_model(folder):
    return joblib.load(Path(folder) / "model.joblib")
"""

SAVE = """
def save_model(model, folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib")
"""

SAVE_RIGHT = {
    "written beside and moved over": """
import os

def save_model(model, folder):
    os.makedirs(folder, exist_ok=True)
    unfinished = os.path.join(folder, "unfinished")
    with open(unfinished, "wb") as file:
        joblib.dump(model, file, protocol=5)
    os.replace(unfinished, os.path.join(folder, "model.joblib"))

def load_model(folder):
    with open(os.path.join(folder, "model.joblib"), "rb") as file:
        return joblib.load(file)
""",
    "loads a mapped model": SAVE
    + """
def load_model(folder):
    return joblib.load(str(folder) + "/model.joblib", mmap_mode="r")
""",
}

SAVE_WRONG = {
    "compressed": (
        """
def save_model(model, folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib", compress=3)
"""
        + LOAD,
        "Is the file compressed?",
    ),
    "a plain pickle": (
        """
import pickle

def save_model(model, folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "model.joblib", "wb") as file:
        pickle.dump(model, file)
"""
        + LOAD,
        "joblib mapped nothing",
    ),
    "no folder made": (
        """
def save_model(model, folder):
    joblib.dump(model, Path(folder) / "model.joblib")
"""
        + LOAD,
        "nobody has made it",
    ),
    "another name": (
        """
def save_model(model, folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    joblib.dump(model, Path(folder) / "model.pkl")

def load_model(folder):
    return joblib.load(Path(folder) / "model.pkl")
""",
        "another name or place",
    ),
    "only the TruncatedSVD": (
        """
def save_model(model, folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model.svd, folder / "model.joblib")
"""
        + LOAD,
        "only a part of the Recommender was saved",
    ),
    "keeps what is there": (
        """
def save_model(model, folder):
    path = Path(folder) / "model.joblib"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        joblib.dump(model, path)
"""
        + LOAD,
        "this is not the second",
    ),
    "loads the notebook's model": (
        SAVE
        + """
def load_model(folder):
    return small_model
""",
        "another model than the one saved",
    ),
    "remembers the last folder": (
        """
def save_model(model, folder):
    global last
    last = Path(folder) / "model.joblib"
    last.parent.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, last)

def load_model(folder):
    return joblib.load(last)
""",
        "from the folder that is named",
    ),
    "load returns nothing": (
        SAVE
        + """
def load_model(folder):
    model = joblib.load(Path(folder) / "model.joblib")
""",
        "gave no model back",
    ),
}

REUSE_RIGHT = {
    "by hand, one user at a time": """
def recommend_from(folder, users, k=10):
    saved = joblib.load(Path(folder) / "model.joblib", mmap_mode="r")
    lists = []
    for user in users:
        scores = saved.user_factors[user] @ saved.svd.components_
        watched = set(saved.seen[[user]].indices.tolist())
        ranked = [int(film) for film in np.argsort(-scores) if int(film) not in watched]
        lists.append(ranked[:k])
    return lists
""",
    "an array": """
def recommend_from(folder, users, k=10):
    return load_model(folder).recommend(np.asarray(users), k)
""",
}

REUSE_WRONG = {
    "the notebook's model": (
        """
def recommend_from(folder, users, k=10):
    return small_model.recommend(users, k).tolist()
""",
        "another model than the one in the folder",
    ),
    "k forgotten": (
        """
def recommend_from(folder, users, k=10):
    return load_model(folder).recommend(users).tolist()
""",
        "it should be (users, k)",
    ),
    "films already watched": (
        """
def recommend_from(folder, users, k=10):
    scores = load_model(folder).scores(users)
    return np.argsort(-scores, axis=1)[:, :k].tolist()
""",
        "has watched already",
    ),
    "worst first": (
        """
def recommend_from(folder, users, k=10):
    return load_model(folder).recommend(users, k)[:, ::-1].tolist()
""",
        "the best comes first",
    ),
    "users sorted": (
        """
def recommend_from(folder, users, k=10):
    return load_model(folder).recommend(sorted(users), k).tolist()
""",
        "another order than the users",
    ),
    "prints": (
        """
def recommend_from(folder, users, k=10):
    print(load_model(folder).recommend(users, k).tolist())
""",
        "Nothing came back",
    ),
    "gives an object": (
        """
def recommend_from(folder, users, k=10):
    return map(list, load_model(folder).recommend(users, k))
""",
        "lists of numbers, not an object",
    ),
}

SHARE_RIGHT = {
    "put together again from mapped parts": """
def load_shared(folder):
    mapped = joblib.load(str(Path(folder) / "model.joblib"), mmap_mode="r")
    return type(mapped)(svd=mapped.svd, user_factors=mapped.user_factors, seen=mapped.seen)
""",
    "copy-on-write, then locked": """
def load_shared(folder):
    mapped = joblib.load(Path(folder) / "model.joblib", mmap_mode="c")
    mapped.user_factors.flags.writeable = False
    return mapped
""",
}

SHARE_WRONG = {
    "an ordinary load": (
        """
def load_shared(folder):
    return joblib.load(Path(folder) / "model.joblib")
""",
        "holds a copy of its own",
    ),
    "a locked copy": (
        """
def load_shared(folder):
    model = joblib.load(Path(folder) / "model.joblib")
    model.user_factors.flags.writeable = False
    return model
""",
        "holds a copy of its own",
    ),
    "copied out of the map": (
        """
def load_shared(folder):
    model = joblib.load(Path(folder) / "model.joblib", mmap_mode="r")
    model.user_factors = np.array(model.user_factors)
    return model
""",
        "holds a copy of its own",
    ),
    "mapped to be written": (
        """
def load_shared(folder):
    return joblib.load(Path(folder) / "model.joblib", mmap_mode="r+")
""",
        "has changed the model of all",
    ),
    "copy on write": (
        """
def load_shared(folder):
    return joblib.load(Path(folder) / "model.joblib", mmap_mode="c")
""",
        "in this process alone",
    ),
    "the factors alone": (
        """
def load_shared(folder):
    return joblib.load(Path(folder) / "model.joblib", mmap_mode="r").user_factors
""",
        "gave no model back",
    ),
    "the notebook's model": (
        """
def load_shared(folder):
    return small_model
""",
        "another model than the one in the folder",
    ),
}

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
}

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
        "not the factors of the model that was passed in",
    ),
    "not written": (
        """
def export_onnx(model, path):
    films = model.svd.components_.shape[1]
    return skl2onnx.to_onnx(model.svd, initial_types=[("history", FloatTensorType([None, films]))])
""",
        "no file at `path`",
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
}

REFUSE_RIGHT = {
    "hashed in pieces": """
import hmac

def load_checked(path, sha256):
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if not hmac.compare_digest(digest, sha256):
            raise ValueError("refused: " + str(path))
        file.seek(0)
        return joblib.load(file)
""",
    "an error of its own": """
class Tampered(ValueError):
    pass

def load_checked(path, sha256):
    hasher = hashlib.sha256()
    hasher.update(Path(path).read_bytes())
    if hasher.digest() != bytes.fromhex(sha256):
        raise Tampered(f"{Path(path).name} was changed")
    return joblib.load(path)
""",
}

REFUSE_WRONG = {
    "loads first": (
        """
def load_checked(path, sha256):
    model = joblib.load(path)
    if hashlib.sha256(Path(path).read_bytes()).hexdigest() != sha256:
        raise ValueError(f"{path} was changed")
    return model
""",
        "The planted code has run",
    ),
    "compares nothing": (
        """
def load_checked(path, sha256):
    return joblib.load(path)
""",
        "One bit was flipped, and the file was loaded all the same",
    ),
    "trusts the loader's errors": (
        """
def load_checked(path, sha256):
    try:
        return joblib.load(path)
    except Exception:
        raise ValueError(f"{path} was changed")
""",
        "One bit was flipped, and the file was loaded all the same",
    ),
    "returns None": (
        """
def load_checked(path, sha256):
    data = Path(path).read_bytes()
    if hashlib.sha256(data).hexdigest() == sha256:
        return joblib.load(io.BytesIO(data))
""",
        "was loaded all the same",
    ),
    "an assert": (
        """
def load_checked(path, sha256):
    assert hashlib.sha256(Path(path).read_bytes()).hexdigest() == sha256, f"{path} was changed"
    return joblib.load(path)
""",
        "another error than ValueError",
    ),
    "names no file": (
        """
def load_checked(path, sha256):
    if hashlib.sha256(Path(path).read_bytes()).hexdigest() != sha256:
        raise ValueError("wrong hash")
    return joblib.load(path)
""",
        "does not name the file",
    ),
    "hashes the path": (
        """
def load_checked(path, sha256):
    if hashlib.sha256(str(path).encode()).hexdigest() != sha256:
        raise ValueError(f"{path} was changed")
    return joblib.load(path)
""",
        "This file is the right one and was refused",
    ),
    "another hash": (
        """
def load_checked(path, sha256):
    if hashlib.md5(Path(path).read_bytes()).hexdigest() != sha256:
        raise ValueError(f"{path} was changed")
    return joblib.load(path)
""",
        "This file is the right one and was refused",
    ),
    "gives the bytes": (
        """
def load_checked(path, sha256):
    data = Path(path).read_bytes()
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ValueError(f"{path} was changed")
    return data
""",
        "not what the file holds",
    ),
}

BUNDLE_RIGHT = {
    "another order, other means": """
import os

def write_metadata(folder, version, training, metrics, inputs):
    bundle = dict(libraries={}, files={}, inputs=inputs, metrics=metrics, version=version)
    bundle["training"] = training
    for name in os.listdir(folder):
        if name == "bundle.json":
            continue
        with open(os.path.join(folder, name), "rb") as file:
            bundle["files"][name] = hashlib.file_digest(file, "sha256").hexdigest()
    import scipy
    import sklearn
    for name, module in zip(LIBRARIES, (joblib, np, sklearn, scipy)):
        bundle["libraries"][name] = module.__version__
    with open(os.path.join(folder, "bundle.json"), "w", encoding="utf-8") as file:
        json.dump(bundle, file, ensure_ascii=False, sort_keys=True)
""",
}

_BUNDLE = """
def write_metadata(folder, version, training, metrics, inputs):
    folder = Path(folder)
    bundle = {{
        "version": version, "training": training, "metrics": metrics, "inputs": inputs,
        "files": {files},
        "libraries": {libraries},
    }}
    (folder / "bundle.json").write_text({text})
"""
_FILES = "{p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if p.name != 'bundle.json'}"
_LIBRARIES = "{name: installed_version(name) for name in LIBRARIES}"
_TEXT = "json.dumps(bundle)"

BUNDLE_WRONG = {
    "text of a dict": (
        _BUNDLE.format(
            files=_FILES,
            libraries=_LIBRARIES,
            text="str(bundle).encode('ascii', 'replace').decode()",
        ),
        "The file is not JSON",
    ),
    "lists itself": (
        _BUNDLE.format(
            files="{p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir()}",
            libraries=_LIBRARIES,
            text=_TEXT,
        ),
        "`bundle.json` lists itself",
    ),
    "hash of the name": (
        _BUNDLE.format(
            files=_FILES.replace("p.read_bytes()", "p.name.encode()"),
            libraries=_LIBRARIES,
            text=_TEXT,
        ),
        "the hash of the file's name",
    ),
    "MD5": (
        _BUNDLE.format(files=_FILES.replace("sha256", "md5"), libraries=_LIBRARIES, text=_TEXT),
        "This is no SHA-256",
    ),
    "one file only": (
        _BUNDLE.format(
            files=_FILES.replace("!= 'bundle.json'", "== 'model.joblib'"),
            libraries=_LIBRARIES,
            text=_TEXT,
        ),
        "No hash is noted for model.onnx",
    ),
    "whole paths": (
        _BUNDLE.format(files=_FILES.replace("{p.name:", "{str(p):"), libraries=_LIBRARIES, text=_TEXT),
        "No hash is noted for model.joblib, model.onnx",
    ),
    "versions from memory": (
        _BUNDLE.format(files=_FILES, libraries="{name: '1.0' for name in LIBRARIES}", text=_TEXT),
        "is not the installed one",
    ),
    "names of the imports": (
        _BUNDLE.format(
            files=_FILES,
            libraries="{'joblib': joblib.__version__, 'numpy': np.__version__, 'sklearn': '1'}",
            text=_TEXT,
        ),
        "No version is noted for scikit-learn, scipy",
    ),
    "a key forgotten": (
        _BUNDLE.format(files=_FILES, libraries=_LIBRARIES, text=_TEXT).replace('"inputs": inputs,', ""),
        "The JSON lacks inputs",
    ),
    "the notebook's metrics": (
        _BUNDLE.format(files=_FILES, libraries=_LIBRARIES, text=_TEXT).replace(
            '"metrics": metrics', '"metrics": {"recall_at_10": 0.39}'
        ),
        "The value of `metrics` is not the one that was passed in",
    ),
    "never replaced": (
        _BUNDLE.format(files=_FILES, libraries=_LIBRARIES, text=_TEXT).replace(
            "    bundle = {",
            "    if (folder / 'bundle.json').exists():\n        return\n    bundle = {",
        ),
        "as they are now",
    ),
    "not written": (
        """
def write_metadata(folder, version, training, metrics, inputs):
    return json.dumps({"version": version})
""",
        "There is no `bundle.json`",
    ),
}

RIGHT = {
    "save": SAVE_RIGHT,
    "reuse": REUSE_RIGHT,
    "share": SHARE_RIGHT,
    "export": EXPORT_RIGHT,
    "parity": PARITY_RIGHT,
    "refuse": REFUSE_RIGHT,
    "bundle": BUNDLE_RIGHT,
}
WRONG = {
    "save": SAVE_WRONG,
    "reuse": REUSE_WRONG,
    "share": SHARE_WRONG,
    "export": EXPORT_WRONG,
    "parity": PARITY_WRONG,
    "refuse": REFUSE_WRONG,
    "bundle": BUNDLE_WRONG,
}
