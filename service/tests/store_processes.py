"""Run by test_service_store.py in processes of their own.

store_processes.py crash WORK A B   kill a writer at each of its file system calls
store_processes.py race STATE V...  compete for the champion with another such process
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from flight_delays.bundle import load_bundle
from flight_delays.store import ModelStore, PreconditionFailed

EVENTS = {
    "open",
    "os.listdir",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.scandir",
    "shutil.rmtree",
}


class Counter:
    """Count the file system calls of this process, and die by SIGKILL just before one of them.

    Python tells an audit hook of each of `EVENTS` before it happens; fsync is wrapped. With
    `torn`, a file about to be flushed loses its second half first, as if death had come in the
    middle of writing it.
    """

    def __init__(self, folder: Path, at: int | None, torn: bool) -> None:
        self.folder, self.at, self.torn = str(folder), at, torn
        self.calls: list[str] = []
        self._fsync = os.fsync

    def install(self) -> None:
        sys.addaudithook(self._on_event)
        os.fsync = self._on_fsync

    def _on_event(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in EVENTS:
            return
        # rmtree names its files relative to a folder it holds open, so removals always count.
        if str(arguments[0]).startswith(self.folder) or event in ("os.remove", "os.rmdir"):
            self._count(event)

    def _on_fsync(self, handle: int) -> None:
        details = os.fstat(handle)
        if self.torn and len(self.calls) + 1 == self.at and stat.S_ISREG(details.st_mode):
            os.ftruncate(handle, details.st_size // 2)
        self._count("fsync of a file" if stat.S_ISREG(details.st_mode) else "fsync of a folder")
        self._fsync(handle)

    def _count(self, event: str) -> None:
        self.calls.append(event)
        if len(self.calls) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def zipped(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    return buffer.getvalue()


def steps(a: Path, b: Path) -> list[tuple[Callable[[ModelStore], object], Any]]:
    """What the writer does, each step with what a reader must see after it."""

    def seen(versions: list[Path], champion: Path, revision: int) -> list[Any]:
        return [sorted(folder.name for folder in versions), champion.name, revision]

    archive = zipped(b)
    return [
        (lambda store: store.add_archive(b.name, archive), seen([a, b], a, 1)),
        (lambda store: store.set_champion(b.name, if_match=1), seen([a, b], b, 2)),
        (lambda store: store.remove(a.name), seen([b], b, 2)),
        (lambda store: store.add_folder(a), seen([a, b], b, 2)),
        (lambda store: store.set_champion(a.name, if_match=2), seen([a, b], a, 3)),
        (lambda store: store.remove(b.name), seen([a], a, 3)),
        (lambda store: store.add_folder(b), seen([a, b], a, 3)),
        (lambda store: store.set_champion(b.name, if_match=3), seen([a, b], b, 4)),
    ]


def write(state: Path, a: Path, b: Path, tell: int, at: int | None, torn: bool) -> list[str]:
    """Go through the steps, writing one byte to the pipe `tell` after each."""
    counter = Counter(state, at, torn)
    counter.install()
    store = ModelStore(state)
    for step, _ in steps(a, b):
        step(store)
        os.write(tell, b".")
    return counter.calls


def in_a_fork(state: Path, a: Path, b: Path, at: int | None, torn: bool) -> tuple[int, bytes]:
    """Run `write` in a fork; return its exit status and what it wrote to the pipe."""
    hear, tell = os.pipe()
    child = os.fork()
    if child == 0:
        calls = write(state, a, b, tell, at, torn)
        os.write(tell, json.dumps(calls).encode())
        os._exit(0)
    os.close(tell)
    with os.fdopen(hear, "rb") as pipe:
        told = pipe.read()
    return os.waitpid(child, 0)[1], told


def look(state: Path) -> tuple[Any, list[str]]:
    """Open the store, which sweeps; return what a reader sees, and all that is in the folder.

    Every version is loaded, so one that is not whole raises.
    """
    store = ModelStore(state)
    for version in store.versions():
        load_bundle(store.get(version).folder)
    champion, bundle = store.load_champion()
    assert bundle.version == champion.version
    found = [store.versions(), champion.version, champion.revision]
    return found, sorted(path.relative_to(state).as_posix() for path in state.rglob("*"))


def crash(work: Path, a: Path, b: Path) -> None:
    start = work / "start"
    store = ModelStore(start)
    store.add_folder(a)
    store.set_champion(a.name, if_match=None)
    before, _ = look(start)
    expected = [before] + [seen for _, seen in steps(a, b)]

    state = work / "state"
    shutil.copytree(start, state)
    status, told = in_a_fork(state, a, b, None, False)
    assert status == 0, status
    calls = json.loads(told.lstrip(b"."))
    assert look(state)[0] == expected[-1]

    moments = [(at, False) for at in range(1, len(calls) + 1)]
    moments += [(at, True) for at in range(1, len(calls) + 1) if calls[at - 1] == "fsync of a file"]
    for at, torn in moments:
        shutil.rmtree(state)
        shutil.copytree(start, state)
        status, told = in_a_fork(state, a, b, at, torn)
        found, names = look(state)
        print(
            json.dumps(
                {
                    "at": at,
                    "torn": torn,
                    "call": calls[at - 1],
                    "killed": os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL,
                    "found": found,
                    "allowed": expected[len(told) : len(told) + 2],
                    "names": names,
                }
            )
        )


def race(state: Path, versions: list[str]) -> None:
    """For each line on stdin try to be the one, and print the result.

    A number is the revision at which to make the next of the versions champion; anything else is
    the folder of a bundle to add.
    """
    store = ModelStore(state)
    print("ready", flush=True)
    turn = 0
    for line in sys.stdin:
        if (text := line.strip()).isdigit():
            try:
                store.set_champion(versions[turn % len(versions)], if_match=int(text))
                print("won", flush=True)
            except PreconditionFailed:
                print("PreconditionFailed", flush=True)
            turn += 1
        else:
            print(store.add_folder(Path(text))[1], flush=True)


def main() -> NoReturn:
    match sys.argv[1:]:
        case ["crash", work, a, b]:
            crash(Path(work), Path(a), Path(b))
        case ["race", state, *versions]:
            race(Path(state), versions)
    sys.exit()


if __name__ == "__main__":
    main()
