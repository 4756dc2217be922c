"""Lab 01: the recommender. See the package's docstring for the form."""

from __future__ import annotations

from .lab01_bundle import BUNDLE_RIGHT, BUNDLE_WRONG, REFUSE_RIGHT, REFUSE_WRONG
from .lab01_export import EXPORT_RIGHT, EXPORT_WRONG, PARITY_RIGHT, PARITY_WRONG

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
    "the notebook's big model": (
        SAVE + "def load_model(folder):\n    return model\n",
        "Did your function use the notebook's `model`?",
    ),
    "the folder emptied first": (
        """
import shutil

def save_model(model, folder):
    shutil.rmtree(folder, ignore_errors=True)
    Path(folder).mkdir(parents=True)
    joblib.dump(model, Path(folder) / "model.joblib")
"""
        + LOAD,
        "removed another file from the folder",
    ),
    "in another working folder": (
        """
import os

def save_model(model, folder):
    os.makedirs(folder, exist_ok=True)
    os.chdir(folder)
    joblib.dump(model, "model.joblib")
"""
        + LOAD,
        "changed the working folder",
    ),
    "loads once and remembers": (
        SAVE
        + """
from functools import lru_cache

@lru_cache
def load_model(folder):
    return joblib.load(Path(folder) / "model.joblib")
""",
        "the second load gave the old model",
    ),
    "saved in half precision": (
        """
def save_model(model, folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    model.user_factors = model.user_factors.astype(np.float16).astype(np.float32)
    joblib.dump(model, Path(folder) / "model.joblib")
"""
        + LOAD,
        "not those of the one saved",
    ),
    "gives something that recommends": (
        SAVE
        + """
from types import SimpleNamespace

def load_model(folder):
    return SimpleNamespace(recommend=joblib.load(Path(folder) / "model.joblib").recommend)
""",
        "not those of the one saved",
    ),
    "loads a map that writes": (
        SAVE
        + """
def load_model(folder):
    return joblib.load(Path(folder) / "model.joblib", mmap_mode="r+")
""",
        "writes what it forgets into the file",
    ),
    "a class of the notebook": (
        """
import sys

class OnlyHere(type(small_model)):
    pass

sys.modules["__main__"].OnlyHere = OnlyHere  # in a notebook it is there already

def save_model(model, folder):
    Path(folder).mkdir(parents=True, exist_ok=True)
    joblib.dump(OnlyHere(model.svd, model.user_factors, model.seen), Path(folder) / "model.joblib")
"""
        + LOAD,
        "a class that was written in this notebook",
    ),
    "loads a second file": (
        """
import pickle

def save_model(model, folder):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "model.joblib")
    (folder / "model.pkl").write_bytes(pickle.dumps(model))

def load_model(folder):
    return pickle.loads((Path(folder) / "model.pkl").read_bytes())
""",
        "looks for a file that is not there",
    ),
    "keeps the error of saving": (
        """
def save_model(model, folder):
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        joblib.dump(model, Path(folder) / "model.joblib")
    except OSError as error:
        print(error)
"""
        + LOAD,
        "Nothing could be saved, and nobody was told",
    ),
    "another model where there is none": (
        SAVE
        + """
def load_model(folder):
    try:
        return joblib.load(Path(folder) / "model.joblib")
    except FileNotFoundError:
        return small_model
""",
        "There is no model in this folder, and nobody was told",
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

_RECOMMEND = """
def recommend_from(folder, users, k=10):
    return load_model(folder).recommend(users, k){}
"""

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
        "it should be (6, 3), one row for each user",
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
    "the notebook's big model": (
        "def recommend_from(folder, users, k=10):\n    return model.recommend(users, k).tolist()\n",
        "Did your function use the notebook's `model`?",
    ),
    "ids from below zero": (
        _RECOMMEND.format(" - 120"),
        "These are not ids of films",
    ),
    "texts": (
        _RECOMMEND.format(".astype(str).tolist()"),
        "not an array of numbers",
    ),
    "floats": (
        _RECOMMEND.format(".astype(float)"),
        "12, not 12.0",
    ),
    "one user without a list": (
        _RECOMMEND.format(".squeeze().tolist()"),
        "it should be (1, 10), one row for each user",
    ),
    "watched films at zero": (
        """
def recommend_from(folder, users, k=10):
    saved = load_model(folder)
    scores = saved.scores(users) * (1 - saved.histories(users))
    return np.argsort(-scores, axis=1)[:, :k].tolist()
""",
        "Where their scores are set to 0",
    ),
    "watched films at -1": (
        """
def recommend_from(folder, users, k=10):
    saved = load_model(folder)
    scores = np.where(saved.histories(users) > 0, -1, saved.scores(users))
    return np.argsort(-scores, axis=1)[:, :k].tolist()
""",
        "has watched already",
    ),
    "remembers the model of a folder": (
        """
_models = {}

def recommend_from(folder, users, k=10):
    if folder not in _models:
        _models[folder] = load_model(folder)
    return _models[folder].recommend(users, k).tolist()
""",
        "these are the films of the old one",
    ),
    "another model where there is none": (
        """
def recommend_from(folder, users, k=10):
    try:
        saved = load_model(folder)
    except FileNotFoundError:
        saved = small_model
    return saved.recommend(users, k).tolist()
""",
        "From which model?",
    ),
    "keeps its results in the folder": (
        """
def recommend_from(folder, users, k=10):
    ids = load_model(folder).recommend(users, k).tolist()
    (Path(folder) / "last.json").write_text(json.dumps(ids))
    return ids
""",
        "Recommending has changed the folder",
    ),
    "saves the model again": (
        """
def recommend_from(folder, users, k=10):
    saved = load_model(folder)
    save_model(saved, folder)
    return saved.recommend(users, k).tolist()
""",
        "Recommending has changed the folder",
    ),
    "in another working folder": (
        """
import os

def recommend_from(folder, users, k=10):
    os.chdir(folder)
    return joblib.load("model.joblib").recommend(users, k).tolist()
""",
        "changed the working folder",
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
    seen = mapped.seen
    for numbers in (mapped.user_factors, mapped.svd.components_, seen.data, seen.indices, seen.indptr):
        numbers.flags.writeable = False
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
    "the notebook's big model": (
        "def load_shared(folder):\n    return model\n",
        "Did your function use the notebook's `model`?",
    ),
    "the users' factors mapped, the rest a copy": (
        """
def load_shared(folder):
    path = Path(folder) / "model.joblib"
    loaded = joblib.load(path)
    loaded.user_factors = joblib.load(path, mmap_mode="r").user_factors
    return loaded
""",
        "`svd.components_` did not notice",
    ),
    "a copy of the histories": (
        """
def load_shared(folder):
    mapped = joblib.load(Path(folder) / "model.joblib", mmap_mode="r")
    mapped.seen = mapped.seen.copy()
    return mapped
""",
        "`seen.data` did not notice",
    ),
    "copy on write, the users' factors locked": (
        """
def load_shared(folder):
    mapped = joblib.load(Path(folder) / "model.joblib", mmap_mode="c")
    mapped.user_factors.flags.writeable = False
    return mapped
""",
        "`withdraw` went through in this process alone",
    ),
    "mapped to be written, the users' factors locked": (
        """
def load_shared(folder):
    mapped = joblib.load(Path(folder) / "model.joblib", mmap_mode="r+")
    mapped.user_factors.flags.writeable = False
    return mapped
""",
        "`withdraw` wrote into the file",
    ),
    "copy on write, the histories open": (
        """
def load_shared(folder):
    mapped = joblib.load(Path(folder) / "model.joblib", mmap_mode="c")
    mapped.user_factors.flags.writeable = mapped.svd.components_.flags.writeable = False
    return mapped
""",
        "`model.seen *= 2` went through in this process alone",
    ),
    "a forget of its own": (
        """
def load_shared(folder):
    mapped = joblib.load(Path(folder) / "model.joblib", mmap_mode="r+")

    def forget(user):
        raise ValueError("assignment destination is read-only")

    mapped.forget = forget
    return mapped
""",
        "`forget` wrote into the file",
    ),
    "the users' factors in a tuple": (
        """
def load_shared(folder):
    mapped = joblib.load(Path(folder) / "model.joblib", mmap_mode="r")
    mapped.user_factors = tuple(mapped.user_factors)
    return mapped
""",
        "failed for another reason than a read-only array",
    ),
    "without the histories": (
        """
from types import SimpleNamespace

def load_shared(folder):
    mapped = joblib.load(Path(folder) / "model.joblib", mmap_mode="r")
    return SimpleNamespace(user_factors=mapped.user_factors, svd=mapped.svd)
""",
        "The model has no matrix `seen`",
    ),
    "written anew first": (
        """
def load_shared(folder):
    path = Path(folder) / "model.joblib"
    joblib.dump(joblib.load(path), path)
    return joblib.load(path, mmap_mode="r")
""",
        "Loading has written the file anew",
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
