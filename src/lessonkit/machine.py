"""What this machine has of what the course uses, said in plain words.

Nothing here raises, stays running or shows a path, and all of it takes less than three seconds:
programs are asked for their version side by side, each for at most `PATIENCE` seconds.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import joblib
import psutil
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

COURSE = "ship-the-model"
PATIENCE = 2.0  # seconds that one program may take to answer
GB = 2**30
MEMORY_GB, DISK_GB = 4, 2
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")


@dataclass(frozen=True)
class Part:
    """One thing the course uses.

    Attributes
    ----------
    name
        What it is.
    ready
        Whether a lesson can use it now.
    found
        Its version or size, or why it is not ready.
    needed_by
        What would do without it, such as "lesson 04".
    how_to_get
        What to do where it is not ready.
    optional
        Whether the rest of the course works without it.
    """

    name: str
    ready: bool
    found: str
    needed_by: str
    how_to_get: str
    optional: bool = False

    @property
    def state(self) -> str:
        """ "ready", "missing", or "not ready" for what is optional."""
        if self.ready:
            return "ready"
        return "not ready" if self.optional else "missing"


def parts() -> list[Part]:
    """Look at the machine: every part the course uses, what it cannot do without first."""
    needed = (_python, _packages, _memory, _disk, _cores)
    optional = (_engine, _node, _prometheus, _git, _browser)
    checks = (*needed, *optional)
    with ThreadPoolExecutor(len(checks)) as pool:
        return list(pool.map(_surely, checks))


def table(found: list[Part]) -> str:
    """The parts as lines of text in columns: part, state, what was found, what needs it."""
    rows = [("part", "state", "found", "needed by")]
    for part in found:
        rows.append((part.name, part.state, part.found, part.needed_by))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0].ljust(sum(widths) + 6)), *lines[1:]])


def advice(found: list[Part]) -> str:
    """What to do about the parts that are not ready, in sentences."""
    missing = [part for part in found if part.state == "missing"]
    lines = [f"Missing: {part.name}. {part.how_to_get}" for part in missing]
    if not missing:
        lines.append("Everything the course cannot do without is ready.")
    for part in found:
        if part.state == "not ready":
            lines.append(f"Optional, for {part.needed_by}: {part.name}. {part.how_to_get}")
    return "\n".join(lines)


def _surely(check: Callable[[], Part]) -> Part:
    """A check may meet a machine nobody thought of; the reader still gets the other parts."""
    try:
        return check()
    except Exception as error:
        name = check.__name__.strip("_")
        reason = f"could not be looked at ({type(error).__name__})"
        return Part(name, False, reason, "this page", "The lessons may work all the same.", True)


def _python() -> Part:
    version = ".".join(map(str, sys.version_info[:3]))
    try:
        wanted = SpecifierSet(metadata.metadata(COURSE)["Requires-Python"] or "")
    except metadata.PackageNotFoundError:
        wanted = SpecifierSet(">=3.11")
    ready = wanted.contains(version, prereleases=True)
    how = f"The course wants Python {wanted}: make lab PYTHON=python3.12"
    return Part("Python", ready, version, "everything", how)


def _packages() -> Part:
    how = "Run `make lab` in the folder of the course, or `python course.py lab`; it installs them."
    try:
        stated = [Requirement(line) for line in metadata.requires(COURSE) or []]
    except metadata.PackageNotFoundError:
        return Part("packages", False, "the course is not installed here", "everything", how)
    wanted = [one for one in stated if not one.marker or one.marker.evaluate({"extra": ""})]
    lacking = [told for one in wanted if (told := _lack(one))]
    here = f"{len(wanted) - len(lacking)} of {len(wanted)}"
    found = f"{here}; not here: {', '.join(lacking[:3])}" if lacking else here
    return Part("packages", not lacking, found, "everything", how)


def _lack(wanted: Requirement) -> str:
    """Nothing, or what is wrong with one package."""
    try:
        version = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        return wanted.name
    fits = wanted.specifier.contains(version, prereleases=True)
    return "" if fits else f"{wanted.name}{wanted.specifier}"


def _memory() -> Part:
    total = min([psutil.virtual_memory().total, *_container_limits()])
    how = "Close other programs, or give the virtual machine more memory."
    # A machine sold with 4 GB shows a little less.
    enough = total > 0.9 * MEMORY_GB * GB
    return Part("memory", enough, f"{total / GB:.0f} GB", f"everything ({MEMORY_GB} GB)", how)


def _container_limits() -> list[int]:
    """Bytes that a container may take: on a hub the machine's memory is shared by many."""
    limits = []
    for name in ("memory.max", "memory/memory.limit_in_bytes"):  # cgroup version 2, and 1
        try:
            limits.append(int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii")))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return limits


def _disk() -> Part:
    places = (Path(__file__).parent, tempfile.gettempdir())  # lessons write temporary folders
    free = min(shutil.disk_usage(place).free for place in places)
    how = "Make room on the disk of the course and of temporary files."
    enough = free > DISK_GB * GB
    return Part("disk", enough, f"{free / GB:.0f} GB free", f"everything ({DISK_GB} GB)", how)


def _cores() -> Part:
    cores = joblib.cpu_count()  # those this process may use, a container's limit included
    how = "One core works; what lessons 02 and 07 run side by side then takes turns."
    found = f"{cores} core{'s' * (cores > 1)}"
    return Part("cores", cores > 1, found, "lessons 02, 07 (2 cores)", how, True)


def _engine() -> Part:
    """docker or podman, and whether the engine behind the command answers."""
    podman = ["podman", "info", "--format", "{{.Version.Version}}"]
    if sys.platform == "linux":
        # Here podman is its own engine; asking it for more would start a helper that stays.
        podman = ["podman", "--version"]
    questions = (["docker", "info", "--format", "{{.ServerVersion}}"], podman)
    with ThreadPoolExecutor(len(questions)) as pool:
        said = dict(zip(("docker", "podman"), pool.map(_ask, questions), strict=True))
    ready = [f"{name} {version}" for name, text in said.items() if (version := _version(text))]
    silent = [name for name, text in said.items() if text is not None]
    how = "Docker Desktop from docker.com, podman from podman.io, or `apt install docker.io`."
    found = "neither docker nor podman"
    if ready:
        found = ready[0]
    elif silent:
        found = f"{silent[0]} is here, its engine does not answer"
        how = "Start Docker Desktop, or run `sudo systemctl start docker` and join the group docker."
    return Part("container engine", bool(ready), found, "lesson 04", how, True)


def _node() -> Part:
    how = "The installer of nodejs.org, or `apt install nodejs`."
    return _program("node", _ask(["node", "--version"]), "lesson 03", how)


def _prometheus() -> Part:
    how = "A download of prometheus.io, or `apt install prometheus`."
    return _program("prometheus", _ask(["prometheus", "--version"]), "lesson 06", how)


def _git() -> Part:
    how = "The installer of git-scm.com, or `apt install git`."
    # Without its developer tools macOS answers `git` with a window that asks to install them.
    stub = sys.platform == "darwin" and shutil.which("git") == "/usr/bin/git"
    said = None if stub and not _ask(["xcode-select", "-p"]) else _ask(["git", "--version"])
    return _program("git", said, "lesson 05", how)


def _browser() -> Part:
    """Chromium or a sister of it, not asked for its version: on Windows that opens a window."""
    names = [name for name in BROWSERS if shutil.which(name)]
    roots = map(os.environ.get, ("PROGRAMFILES", "PROGRAMFILES(X86)", "LOCALAPPDATA"))
    usual = [Path(root, "Google/Chrome/Application/chrome.exe") for root in roots if root]
    usual += [Path(f"/Applications/{name}.app") for name in ("Google Chrome", "Chromium")]
    names += [place.stem for place in usual if place.exists()]
    found = names[0] if names else "not found"
    how = "Only the course's own tests look at pages; `apt install chromium`."
    return Part("chromium", bool(names), found, "the course's own tests", how, True)


def _program(name: str, said: str | None, needed_by: str, how: str) -> Part:
    version = _version(said)
    found = version or ("not found" if said is None else "is here, does not answer")
    return Part(name, bool(version), found, needed_by, how, True)


def _version(text: str | None) -> str:
    """The first word that begins with a digit, without a leading v; nothing where there is none."""
    words = [word.removeprefix("v").strip(",") for word in (text or "").split()]
    return next((word for word in words if word[:1].isdigit()), "")


def _ask(command: list[str]) -> str | None:
    """What a program prints: None where it is not installed, "" where it fails or is too slow."""
    path = shutil.which(command[0])
    if path is None:
        return None
    # A file takes the output: a pipe that a grandchild holds open could not be waited for.
    with tempfile.TemporaryFile() as printed:
        try:
            process = subprocess.Popen(
                [path, *command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.DEVNULL,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError:  # a file of that name that cannot be run
            return ""
        try:
            failed = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            _end(process)
            return ""
        printed.seek(0)
        return "" if failed else printed.read(4096).decode(errors="replace").strip()


def _end(process: subprocess.Popen) -> None:
    """End a program and whatever it started."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        family = []
    for member in (*family, process):
        try:
            member.kill()
        except (psutil.Error, OSError):  # it ended by itself
            continue
    process.wait()
