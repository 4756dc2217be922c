"""Lab 01: answers to `refuse` and `bundle`. See the package's docstring for the form."""

from __future__ import annotations

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
    "speaks of the end of the file": """
def load_checked(path, sha256):
    if hashlib.sha256(Path(path).read_bytes()).hexdigest() != sha256:
        raise ValueError(f"{path}: changed, or cut short (EOF)")
    return joblib.load(path, mmap_mode="r")
""",
}

_CHECKED = """
def load_checked(path, sha256):
    data = Path(path).read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if {wrong}:
        raise ValueError(f"{{path}} was changed")
    return {load}
"""
_DIFFERS = "found != sha256"

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
        "One bit was flipped near the end, and the file was loaded all the same",
    ),
    "trusts the loader's errors": (
        """
def load_checked(path, sha256):
    try:
        return joblib.load(path)
    except Exception:
        raise ValueError(f"{path} was changed")
""",
        "One bit was flipped near the end, and the file was loaded all the same",
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
    "bytes to joblib": (
        _CHECKED.format(wrong=_DIFFERS, load="joblib.load(data)"),
        "takes a path or an open file, not bytes",
    ),
    "a plain pickle": (
        "import pickle\n" + _CHECKED.format(wrong=_DIFFERS, load="pickle.loads(data)"),
        "`pickle` cannot read what joblib wrote",
    ),
    "the first eight characters": (
        _CHECKED.format(wrong="found[:8] != sha256[:8]", load="joblib.load(path)"),
        "in two characters",
    ),
    "characters in pairs": (
        _CHECKED.format(wrong="any(a != b for a, b in zip(found, sha256))", load="joblib.load(path)"),
        "in length",
    ),
    "no hash, no check": (
        _CHECKED.format(wrong="sha256 and found != sha256", load="joblib.load(path)"),
        "it is empty",
    ),
    "the first page": (
        _CHECKED.format(wrong="hashlib.sha256(data[:4096]).hexdigest() != sha256", load="joblib.load(path)"),
        "This file is the right one and was refused",
    ),
    "remembers what was right": (
        """
_right = set()

def load_checked(path, sha256):
    if path not in _right and hashlib.sha256(Path(path).read_bytes()).hexdigest() != sha256:
        raise ValueError(f"{path} was changed")
    _right.add(path)
    return joblib.load(path)
""",
        "The file was right at the first call",
    ),
    "removes the file": (
        _CHECKED.format(wrong=_DIFFERS, load="joblib.load(path)").replace("raise", "Path(path).unlink(); raise"),
        "The refused file is gone",
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
    for name, module in zip(LIBRARIES, (joblib, np, onnxruntime, sklearn, scipy)):
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
        "No hash is noted for",
    ),
    "whole paths": (
        _BUNDLE.format(files=_FILES.replace("{p.name:", "{str(p):"), libraries=_LIBRARIES, text=_TEXT),
        "model.joblib, model.onnx.",
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
        "No version is noted for onnxruntime, scikit-learn, scipy",
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
        "The older `bundle.json` shows through",
    ),
    "other keys kept": (
        _BUNDLE.format(files=_FILES, libraries=_LIBRARIES, text=_TEXT).replace(
            "    (folder",
            "    old = folder / 'bundle.json'\n"
            "    bundle = (json.loads(old.read_text()) if old.exists() else {}) | bundle\n    (folder",
        ),
        "The older `bundle.json` shows through",
    ),
    "hashes of files that are gone": (
        _BUNDLE.format(files="old | " + _FILES, libraries=_LIBRARIES, text=_TEXT).replace(
            "    bundle = {",
            "    path = folder / 'bundle.json'\n"
            "    old = json.loads(path.read_text())['files'] if path.exists() else {}\n    bundle = {",
        ),
        "There is no file gone.joblib",
    ),
    "hashes remembered by name and size": (
        "_hashes = {}\n"
        + _BUNDLE.format(
            files=_FILES.replace("hashlib.sha256", "_hashes.setdefault((p, p.stat().st_size), hashlib.sha256").replace(
                "hexdigest()", "hexdigest())"
            ),
            libraries=_LIBRARIES,
            text=_TEXT,
        ),
        "as they are now",
    ),
    "two names": (
        _BUNDLE.format(
            files="{name: hashlib.sha256((folder / name).read_bytes()).hexdigest() "
            "for name in ('model.joblib', 'model.onnx')}",
            libraries=_LIBRARIES,
            text=_TEXT,
        ),
        "No hash is noted for",
    ),
    "no JSON": (
        _BUNDLE.format(
            files=_FILES.replace("p.name != 'bundle.json'", "p.suffix != '.json'"), libraries=_LIBRARIES, text=_TEXT
        ),
        "No hash is noted for",
    ),
    "the first pages of each file": (
        _BUNDLE.format(files=_FILES.replace("read_bytes()", "read_bytes()[:65536]"), libraries=_LIBRARIES, text=_TEXT),
        "as they are now",
    ),
    "hexdigest forgotten": (
        _BUNDLE.format(files=_FILES.replace(".hexdigest()", ""), libraries=_LIBRARIES, text=_TEXT),
        "`.hexdigest()` of `hashlib.sha256` gives the text",
    ),
    "digest": (
        _BUNDLE.format(files=_FILES.replace("hexdigest", "digest"), libraries=_LIBRARIES, text=_TEXT),
        "neither a hash object nor bytes",
    ),
    "capital letters": (
        _BUNDLE.format(files=_FILES.replace("hexdigest()", "hexdigest().upper()"), libraries=_LIBRARIES, text=_TEXT),
        "keep the small letters",
    ),
    "another encoding": (
        _BUNDLE.format(files=_FILES, libraries=_LIBRARIES, text="json.dumps(bundle, ensure_ascii=False), 'cp1252'"),
        "The file is not UTF-8",
    ),
    "a byte order mark": (
        _BUNDLE.format(files=_FILES, libraries=_LIBRARIES, text="json.dumps(bundle), 'utf-8-sig'"),
        "starts with a byte order mark",
    ),
    "whole numbers as floats": (
        _BUNDLE.format(files=_FILES, libraries=_LIBRARIES, text=_TEXT).replace(
            '"training": training', '"training": training | {"records": float(training["records"])}'
        ),
        "The value of `training` is not the one that was passed in",
    ),
    "a draft left behind": (
        _BUNDLE.format(files=_FILES, libraries=_LIBRARIES, text=_TEXT) + "    (folder / 'draft.json').write_text('')\n",
        "draft.json was left in the folder",
    ),
    "tidies up": (
        _BUNDLE.format(files=_FILES, libraries=_LIBRARIES, text=_TEXT).replace(
            "    bundle = {",
            "    for path in folder.glob('LICENSE'):\n        path.unlink()\n    bundle = {",
        ),
        "The folder has lost LICENSE",
    ),
    "in another working folder": (
        _BUNDLE.format(files=_FILES, libraries=_LIBRARIES, text=_TEXT).replace(
            "    bundle = {", "    import os\n    os.chdir(folder)\n    bundle = {"
        ),
        "changed the working folder",
    ),
    "not written": (
        """
def write_metadata(folder, version, training, metrics, inputs):
    return json.dumps({"version": version})
""",
        "There is no `bundle.json`",
    ),
}
