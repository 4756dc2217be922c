"""A project under git, and the bare repository it is pushed to, both in one folder that goes with the lesson.

Where git is missing one line says so, and each push is a copy of the project's folder instead: what a pipeline
sees of a push, a clean copy of the newest files, is the same.
"""

from __future__ import annotations

import difflib
import os
import shutil
import stat
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from lessonkit.settings_file import with_setting

NO_GIT = "git was not found, so each push is a plain copy here. git-scm.com has installers; on Linux `apt install git`."
ALONE = {  # neither the settings of this machine nor a question at a terminal
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "learner",
    "GIT_AUTHOR_EMAIL": "learner@example.org",
    "GIT_COMMITTER_NAME": "learner",
    "GIT_COMMITTER_EMAIL": "learner@example.org",
}
INHERITED = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR")
MADE_BY_TOOLS = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis", ".schemathesis", ".pipeline")


class GitFailed(RuntimeError):
    """git ended with another code than 0; the message holds its words and its last line."""


class Project(ABC):
    """A folder of files that is changed, recorded and pushed.

    Attributes
    ----------
    folder
        Where one works.
    origin
        Where it is pushed to.
    """

    def __init__(self, folder: Path, origin: Path) -> None:
        self.folder, self.origin = folder, origin

    def replace(self, file: str, old: str, new: str) -> None:
        """Change one place of a file.

        Raises
        ------
        ValueError
            The old text stands there never, or more than once.
        """
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        if text.count(old) != 1:
            raise ValueError(f"{file}: expected {old!r} once, found it {text.count(old)} times")
        path.write_text(text.replace(old, new), encoding="utf-8", newline="\n")

    def configure(self, file: str, settings: Mapping[str, Any]) -> None:
        """Change settings of a TOML file, see `lessonkit.settings_file.with_setting`."""
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        for name, value in settings.items():
            text = with_setting(text, name, value)
        path.write_text(text, encoding="utf-8", newline="\n")

    @abstractmethod
    def push(self, message: str) -> None:
        """Record all files as they are, with a message, and push them."""

    @abstractmethod
    def undo(self) -> None:
        """Take the newest change back by a change of its own, and push it."""

    @abstractmethod
    def messages(self) -> list[str]:
        """The message of every push, oldest first."""

    @abstractmethod
    def difference(self) -> str:
        """The lines that the newest push took out and put in, with a minus and a plus before them."""

    @abstractmethod
    def checkout(self, folder: Path, keep: Iterable[str] = ()) -> Path:
        """Put a clean copy of what was pushed last into a folder; of what was there, only `keep` stays."""


class GitProject(Project):
    """With git."""

    def push(self, message: str) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        self.git("push", "--quiet", "origin", "main")

    def undo(self) -> None:
        self.git("revert", "--no-edit", "HEAD")
        self.git("push", "--quiet", "origin", "main")

    def messages(self) -> list[str]:
        return self.git("log", "--reverse", "--format=%s").splitlines()

    def difference(self) -> str:
        return _only_changes(self.git("show", "--unified=0", "--format=").splitlines())

    def checkout(self, folder: Path, keep: Iterable[str] = ()) -> Path:
        with _kept(folder, keep):
            _git(folder.parent, "clone", "--quiet", "--branch", "main", str(self.origin), str(folder))
        return folder

    def git(self, *words: str) -> str:
        """Run git in the folder and give what it printed.

        Raises
        ------
        GitFailed
            It ended with another code than 0.
        """
        return _git(self.folder, *words)


class CopiedProject(Project):
    """Without git: the origin holds a numbered copy for each push."""

    def __init__(self, folder: Path, origin: Path) -> None:
        super().__init__(folder, origin)
        self._messages: list[str] = []

    def push(self, message: str) -> None:
        self._messages.append(message)
        shutil.copytree(self.folder, self._copy(-1), ignore=MADE_BY_TOOLS)

    def undo(self) -> None:
        if len(self._messages) < 2:
            raise ValueError("there is no earlier push to go back to")
        shutil.rmtree(self.folder, onerror=_writable)
        shutil.copytree(self._copy(-2), self.folder)
        self.push(f'Revert "{self._messages[-1]}"')

    def messages(self) -> list[str]:
        return list(self._messages)

    def difference(self) -> str:
        before, after = (_texts(self._copy(back)) for back in (-2, -1))
        lines = []
        for name in sorted({*before, *after}):
            pair = before.get(name, "").splitlines(), after.get(name, "").splitlines()
            lines += difflib.unified_diff(*pair, lineterm="", n=0)
        return _only_changes(lines)

    def checkout(self, folder: Path, keep: Iterable[str] = ()) -> Path:
        with _kept(folder, keep):
            shutil.copytree(self._copy(-1), folder)
        return folder

    def _copy(self, back: int) -> Path:
        return self.origin / f"{len(self._messages) + 1 + back:04}"


def start(source: Path, names: Iterable[str], place: Path) -> Project:
    """Copy some files and folders into a project of their own and put it under version control.

    Parameters
    ----------
    source
        The folder they are copied from.
    names
        Files and folders in it. What tools have made in them, such as `__pycache__`, is left out.
    place
        An empty folder; the project and its origin become folders in it.
    """
    folder, origin = place / "project", place / "origin.git"
    folder.mkdir(parents=True)
    for name in names:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (source / name).is_dir():
            shutil.copytree(source / name, target, ignore=MADE_BY_TOOLS)
        else:
            shutil.copy(source / name, target)
    (folder / ".gitignore").write_text("__pycache__/\n.pipeline/\n", encoding="utf-8")
    if shutil.which("git") is None:
        print(NO_GIT)
        origin.mkdir()
        return CopiedProject(folder, origin)
    _git(place, "init", "--quiet", "--bare", "--initial-branch", "main", str(origin))
    _git(place, "init", "--quiet", "--initial-branch", "main", str(folder))
    _git(folder, "config", "core.autocrlf", "false")
    _git(folder, "remote", "add", "origin", str(origin))
    return GitProject(folder, origin)


class _kept:
    """Empty a folder for a new copy; some of what was in it is put aside and comes back afterwards."""

    def __init__(self, folder: Path, names: Iterable[str]) -> None:
        self.folder, self.names = folder, [name for name in names if (folder / name).exists()]
        self.aside = folder.with_name(f"{folder.name}.kept")

    def __enter__(self) -> None:
        self.aside.mkdir()
        for name in self.names:
            shutil.move(self.folder / name, self.aside / name)
        shutil.rmtree(self.folder, onerror=_writable) if self.folder.exists() else None

    def __exit__(self, *_: object) -> None:
        self.folder.mkdir(exist_ok=True)
        for name in self.names:
            shutil.move(self.aside / name, self.folder / name)
        self.aside.rmdir()


def _git(folder: Path, *words: str) -> str:
    env: Mapping[str, str] = {name: value for name, value in os.environ.items() if name not in INHERITED}
    done = subprocess.run(
        ["git", *words],
        cwd=folder,
        env={**env, **ALONE},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
        timeout=60,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise GitFailed(f"git {words[0]} ended with {done.returncode}: {last[0]}")
    return done.stdout.strip()


def _only_changes(lines: Iterable[str]) -> str:
    kept = [line for line in lines if line[:1] in "+-" and not line.startswith(("+++", "---"))]
    return "\n".join(kept)


def _texts(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8", errors="replace")
        for path in folder.rglob("*")
        if path.is_file()
    }


def _writable(function, path: str, _: object) -> None:
    """git writes its objects read-only, and Windows removes no such file."""
    Path(path).chmod(stat.S_IWRITE)
    function(path)
