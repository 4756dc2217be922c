"""The project that lab 04 puts into a container: a small screening service, its packages as wheels, its clutter.

Nothing here is on the network: a build that uses this project needs none. Everything is made anew and is the
same each time: candidates and people are drawn by a seeded generator, and nobody of them exists.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from IPython.display import Markdown

from lessonkit.candidates import make_candidates
from lessonkit.screener import fitwords, open_model

Project = Mapping[str, bytes]  # relative path with / to content

SOURCES = Path(__file__).parent / "screener"
BASE = "python:3.11-slim"
PORT = 8000
RELEASE = "2026-11"
MATCHWORDS = "1.2.0"
FITWORDS = "0.9.0"
TABLE_MB = 30  # what the training package brings along, of no use to the service
PAST = 400  # candidates
MADE_UP_TOKEN = "tok-not-a-real-one"


def source(name: str) -> str:
    """A file of the project, as it lies beside this module."""
    return (SOURCES / name).read_text(encoding="utf-8")


def screening_service(seed: int = 0, release: str = RELEASE, matchwords: str = MATCHWORDS) -> dict[str, bytes]:
    """The service with its model: what exercises 1 to 4 put into an image.

    Another seed has another model, another release another line in server.py, another version another wheel.
    """
    server = source("server.py").replace(f'RELEASE = "{RELEASE}"', f'RELEASE = "{release}"')
    return {
        "requirements.txt": f"matchwords=={matchwords}\n".encode(),
        f"wheels/matchwords-{matchwords}-py3-none-any.whl": _matchwords(matchwords),
        "server.py": server.encode(),
        "model.json": json.dumps(model(seed)).encode(),
    }


def training_project(seed: int = 0) -> dict[str, bytes]:
    """The service before its model is trained, in a folder as people really have them: exercise 5."""
    made = screening_service(seed)
    del made["model.json"]
    return made | {
        "requirements-train.txt": f"fitwords=={FITWORDS}\n".encode(),
        f"wheels/fitwords-{FITWORDS}-py3-none-any.whl": _fitwords(),
        "train.py": source("train.py").encode(),
        "data/past.csv": _past(seed),
        **_clutter(),
    }


def sealed_project(token: str = MADE_UP_TOKEN, seed: int = 0) -> dict[str, bytes]:
    """The service with a model that a token opens: exercise 6."""
    made = screening_service(seed)
    plain = made.pop("model.json")
    sealed = hashlib.sha256(plain).digest() + open_model.mix(plain, token)
    return made | {
        "open_model.py": source("open_model.py").encode(),
        "model.sealed": sealed,
        "token.txt": f"{token}\n".encode(),
    }


def service_pair(seed: int = 0) -> dict[str, bytes]:
    """The service, and the store that it keeps screenings in: exercise 7."""
    return screening_service(seed) | {"store.py": source("store.py").encode()}


def model(seed: int = 0) -> dict[str, object]:
    """What train.py makes of the data of `training_project` with the same seed."""
    return {"version": "v1", "weights": fitwords.fit(_rows(seed))}


def write_project(project: Project, folder: Path) -> Path:
    """Put a project's files into a folder."""
    for name, content in project.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def show_tree(project: Project) -> None:
    """Print the files with their sizes."""
    for name, content in sorted(project.items()):
        size = f"{len(content):,} bytes" if len(content) < 10_000 else f"{len(content) / 1000:,.0f} kB"
        print(f"{name:<44}{size:>12}")


def show_source(name: str, language: str = "python") -> Markdown:
    """A file of the project as Markdown, which JupyterLab colours."""
    return Markdown(f"```{language}\n{source(name)}```")


@cache
def _rows(seed: int) -> list[tuple[str, int]]:
    drawn = make_candidates(PAST, 40 + seed)
    return [(",".join(skills), int(invited)) for skills, invited in zip(drawn.skills, drawn.invited, strict=True)]


def _past(seed: int) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([("skills", "invited"), *_rows(seed)])
    return text.getvalue().encode()


def _clutter() -> dict[str, bytes]:
    """What lies about in a project's folder and has no business in an image."""
    return {
        "README.md": b"# Screener\n",
        "tests/test_server.py": b"def test_nothing():\n    pass\n",
        "notebooks/explore.ipynb": b'{"cells": []}\n',
        ".git/HEAD": b"ref: refs/heads/main\n",
        ".git/config": b'[remote "origin"]\n\turl = https://git.example.org/screener.git\n',
        ".git/objects/5b/8f3c": b"the whole history, also of what was deleted long ago",
        ".env": b"STORE_PASSWORD=made-up\n",
        "deploy/.env": b"STORE_PASSWORD=made-up-too\n",
        "applications/2026-10.csv": b"email,skills\nnobody-1@example.org,sql\n",
        "applications/2026-11.csv": b"email,skills\nnobody-2@example.org,git\n",
    }


@cache
def _matchwords(version: str) -> bytes:
    text = source("matchwords.py").replace(f'__version__ = "{MATCHWORDS}"', f'__version__ = "{version}"')
    return _wheel("matchwords", version, {"matchwords.py": text.encode()})


@cache
def _fitwords() -> bytes:
    table = {"fitwords/tables.bin": bytes(TABLE_MB * 1_000_000)}
    return _wheel("fitwords", FITWORDS, {"fitwords/__init__.py": source("fitwords.py").encode(), **table})


def _wheel(name: str, version: str, files: Project) -> bytes:
    """A wheel of pure Python, the same bytes for the same files."""
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: lab04\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},{_digest(content)},{len(content)}\n" for path, content in files.items())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n".encode()}.items():
            entry = zipfile.ZipInfo(path, (2026, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _digest(content: bytes) -> str:
    return "sha256=" + urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


def draw_skills(seed: int, count: int) -> Sequence[list[str]]:
    """Skills of candidates to score."""
    return make_candidates(count, seed).skills
