"""Make the course's environment and start what runs in it. Standard library only.

The environment is `.venv` beside this project, filled from `requirements.lock` (what a learner
needs) or `requirements-test.lock` (that and what the tests need) by uv, which is itself
installed from the lock. Every package is checked against its hash.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import venv
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LEARNER, TESTER, NBGRADER = "requirements.lock", "requirements-test.lock", "requirements-nbgrader.lock"
NEEDED_MB = {LEARNER: 1850, TESTER: 2150}
# Linters and runners of CI files, from npm; some tests use them.
CI_TOOLS, CI_TOOLS_FOLDER = ("package.json", "package-lock.json"), ".ci-tools"
START = "notebooks/00_start_here.ipynb"

# What pip and uv write when the cause is not the package but the machine.
NO_SPACE = re.compile(r"no space left|os error 28|errno 28|disk quota|not enough space", re.I)
NO_NETWORK = re.compile(
    r"dns error|failed to fetch|client error|connection (refused|reset)|newconnectionerror|"
    r"network is unreachable|error sending request|temporary failure in name|timed out|"
    r"no matching distribution|could not find a version|econnrefused|enotfound|etimedout",
    re.I,
)


class SetupError(Exception):
    """The environment cannot be made; the message is one line that says what to do."""


@dataclass(frozen=True)
class Environment:
    """An environment in `folder`, filled from one lock file, and its interpreter."""

    folder: Path
    lock: str
    python: Path

    @classmethod
    def beside(cls, root: Path, lock: str) -> Environment:
        """The `.venv` of the project in `root`."""
        folder = root / ".venv"
        return cls(folder, lock, folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python"))

    @classmethod
    def running(cls, lock: str) -> Environment:
        """The environment that runs this process, which conda made."""
        return cls(Path(sys.prefix), lock, Path(sys.executable))

    @property
    def stamp(self) -> Path:
        return self.folder / "course-stamp.json"

    def wanted(self) -> dict[str, str]:
        """What the environment must have been made from to be used as it is."""
        made_from = [self.lock, "pyproject.toml", "service/pyproject.toml"]
        digest = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in made_from))
        # An environment does not survive being moved: its scripts hold absolute paths.
        return {"lock": self.lock, "sha256": digest.hexdigest(), "folder": str(self.folder)}

    def ready(self) -> bool:
        """True if it was filled to the end from the present lock, or from the larger one."""
        try:
            stamp = json.loads(self.stamp.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        larger = replace(self, lock=TESTER).wanted()
        return self.python.exists() and stamp in (self.wanted(), larger)

    def usable(self) -> bool:
        """True if it was filled to the end once, from whatever lock: it can then be brought up to date."""
        return self.stamp.exists() and self.python.exists()


def say(text: str) -> None:
    print(f"course: {text}", flush=True)


def locked(lock: str, name: str) -> str:
    """The lines of one package in a lock file, with their hashes."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    found = re.search(rf"^{re.escape(name)}==[^\n]*\n(?:    --hash[^\n]*\n)+", text, re.M)
    if not found:
        raise SetupError(f"{lock} does not pin {name}; restore the file from the repository")
    return found.group()


def packages(lock: str) -> int:
    """How many packages the lock installs on this machine (markers left aside, so an estimate)."""
    lines = (ROOT / lock).read_text(encoding="utf-8").splitlines()
    return sum(1 for line in lines if re.match(r"^[A-Za-z0-9].*==", line) and "; " not in line)


def explain(output: str, what: str) -> SetupError:
    """One line for the failure that `output` (of pip or uv) describes."""
    if NO_SPACE.search(output):
        free = shutil.disk_usage(ROOT).free // 2**20
        return SetupError(f"the disk is full while {what} ({free} MB free here); make room, then run it again")
    if NO_NETWORK.search(output):
        return SetupError(f"no package index could be reached while {what}; check the network, then run it again")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    reason = next((line for line in lines if re.match(r"(error|×|ERROR)", line)), lines[-1] if lines else "no output")
    return SetupError(f"{what} failed: {reason}")


def run(command: list[str | Path], what: str, progress=None) -> None:
    """Run an installer quietly; while it runs print `progress()` now and then; explain a failure.

    Raises SetupError with one line when the command fails.
    """
    environ = {**os.environ, "PYTHONUTF8": "1"}
    # The caches of uv and the environment may lie on two disks, where a hard link is impossible.
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environ,
        cwd=ROOT,
    )
    every = 1.0 if sys.stdout.isatty() else 5.0
    while True:
        try:
            output, _ = process.communicate(timeout=every)
            break
        except subprocess.TimeoutExpired:
            if progress:
                end = "\r" if sys.stdout.isatty() else "\n"
                print(f"course:   {progress()}      ", end=end, flush=True)
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
            raise
    if process.returncode:
        raise explain(output, what)


def make(env: Environment) -> None:
    """Make or refresh the environment. Prints three steps; raises SetupError with one line."""
    started = time.monotonic()
    free = shutil.disk_usage(ROOT).free // 2**20
    if not env.python.exists() and free < NEEDED_MB[env.lock]:
        raise SetupError(f"the disk is full: {NEEDED_MB[env.lock]} MB are needed in {ROOT}, {free} MB are free")
    version = ".".join(map(str, sys.version_info[:3]))
    say(f"[1/3] making {env.folder.name} with Python {version}")
    try:
        # A half-made environment, which has no stamp, is made anew; a JupyterLab that runs in a whole one lives on.
        venv.EnvBuilder(with_pip=True, clear=not env.usable()).create(env.folder)
        env.stamp.unlink(missing_ok=True)
    except subprocess.CalledProcessError as error:
        raise SetupError(
            f"this Python cannot make an environment (exit {error.returncode}); "
            "on Debian and Ubuntu: apt install python3-venv"
        ) from error
    except OSError as error:
        raise explain(str(error), f"making {env.folder.name}") from error

    tool = locked(env.lock, "uv")
    say(f"[2/3] installing {tool.split()[0].replace('==', ' ')}, which installs the rest")
    wanted = env.folder / "uv.txt"
    wanted.write_text(tool, encoding="utf-8")
    pip = [env.python, "-m", "pip", "--disable-pip-version-check", "--retries", "1", "--timeout", "60"]
    run([*pip, "install", "--require-hashes", "--requirement", wanted], "installing uv")

    total = packages(env.lock)
    say(f"[3/3] installing about {total} packages from {env.lock}, each checked against its hash")
    site = next(env.folder.glob("Lib/site-packages" if os.name == "nt" else "lib/python*/site-packages"))
    uv = [env.python, "-m", "uv", "pip"]
    options = ["--python", env.python, "--compile-bytecode", "--build-constraints", ROOT / env.lock]
    run(
        [*uv, "sync", *options, "--require-hashes", ROOT / env.lock],
        "installing the packages",
        lambda: f"{len(list(site.glob('*.dist-info')))} of about {total} packages, {time.monotonic() - started:.0f} s",
    )
    install_course(env)
    env.stamp.write_text(json.dumps(env.wanted()), encoding="utf-8")
    say(f"ready in {time.monotonic() - started:.0f} s")


def missing(lock: str) -> list[str]:
    """The names in the lock that the running environment has in another version or not at all."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    lacking = []
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*\])?==(\S+) \\$", text, re.M):
        found = None
        with contextlib.suppress(metadata.PackageNotFoundError):
            found = metadata.version(name)
        if found != version:
            lacking.append(f"{name} {version}")
    return lacking


def install_course(env: Environment) -> None:
    """Put labkit, checks and the service into the environment, as links to this folder."""
    uv = [env.python, "-m", "uv", "pip", "install", "--python", env.python]
    build = ["--no-deps", "--build-constraints", ROOT / env.lock]
    run([*uv, *build, "--editable", ROOT, "--editable", ROOT / "service"], "installing the course's own packages")
    # JupyterLab would ask whether it may fetch news, which the course never needs.
    settings = env.folder / "share/jupyter/lab/settings"
    settings.mkdir(parents=True, exist_ok=True)
    quiet = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
    (settings / "overrides.json").write_text(json.dumps(quiet), encoding="utf-8")


def ready(lock: str, here: bool) -> Environment:
    """The environment for `lock`, made where it is missing; with `here`, the one that runs this."""
    if here:
        env = Environment.running(lock)
        lacking = missing(lock)
        if lacking:
            first = ", ".join(lacking[:3]) + (f" and {len(lacking) - 3} more" if len(lacking) > 3 else "")
            raise SetupError(f"this environment lacks {first}: python -m pip install --requirement {lock}")
        if not env.ready():
            install_course(env)
            env.stamp.write_text(json.dumps(env.wanted()), encoding="utf-8")
        return env
    env = Environment.beside(ROOT, lock)
    if env.ready():
        say(f"{env.folder.name} is up to date")
    else:
        make(env)
    return env


def ready_ci_tools(root: Path = ROOT) -> None:
    """Install the tools of tests/ci_tools into `.ci-tools`, where npm is there and it is not done yet.

    Without them a few tests are skipped and say so; that is no reason to fail.
    """
    source, folder = root / "tests/ci_tools", root / CI_TOOLS_FOLDER
    npm = shutil.which("npm")
    stamp = folder / "course-stamp.txt"
    wanted = hashlib.sha256(b"".join((source / name).read_bytes() for name in CI_TOOLS)).hexdigest()
    if npm is None or (stamp.exists() and stamp.read_text(encoding="utf-8") == wanted):
        return
    say(f"installing the CI tools of {source.relative_to(root).as_posix()} into {folder.name}")
    try:
        folder.mkdir(exist_ok=True)
        stamp.unlink(missing_ok=True)
        for name in CI_TOOLS:
            shutil.copyfile(source / name, folder / name)
        quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"]
        quiet += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]  # by default minutes, where no network is
        run([npm, "ci", "--prefix", folder, *quiet], "installing the CI tools")
        stamp.write_text(wanted, encoding="utf-8")
    except (OSError, SetupError) as error:
        say(f"{error}; the tests that use them are skipped")


def child_environ() -> dict[str, str]:
    """What notebooks and tests run under, unless the user has set it otherwise.

    One thread for each numeric library: many threads on few cores make a fit many times slower.
    And onnxruntime, from 1.29 on, reports to its maker unless it is told not to.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ORT_DISABLE_TELEMETRY")
    return {**dict.fromkeys(names, "1"), **os.environ}


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        if os.name != "nt":  # on Windows this option would let two servers share the port
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def lab(env: Environment, port: int | None, rest: list[str]) -> int:
    """Open JupyterLab at the first lesson and stay until it ends."""
    command = [
        env.python,
        "-m",
        "jupyterlab",
        f"--ServerApp.root_dir={ROOT}",
        f"--LabApp.default_url=/lab/tree/{START}",
    ]
    command += ["--ServerApp.ip=127.0.0.1"]
    if port is not None:
        if not 0 < port < 65536:
            raise SetupError(f"{port} is no port: give a number from 1 to 65535")
        if not port_is_free(port):
            raise SetupError(
                f"port {port} is in use; choose another: make lab PORT={port + 1 if port < 65535 else 8899}"
            )
        command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command += ["--allow-root"]
    say(f"JupyterLab opens {START}; Ctrl-C here ends it")
    return become([*command, *rest], env)


def bench(env: Environment, rest: list[str]) -> int:
    """Run one of the measurements in bench/: it prints a table and writes a JSON file beside it."""
    there = sorted(path.stem for path in (ROOT / "bench").glob("[a-z]*.py"))
    if not rest or rest[0] not in there:
        raise SetupError(f"name what to measure: {', '.join(there)}")
    return become([env.python, "-m", f"bench.{rest[0]}", *rest[1:]], env)


def become(command: list[str | Path], env: Environment) -> int:
    """Go on as a command of the environment; gives its exit code where the system has no exec.

    Where there is one, no process of ours stays in between, so that Ctrl-C and a signal to end
    reach the command itself.
    """
    path = os.pathsep.join([str(env.python.parent), os.environ.get("PATH", "")])
    arguments, environ = [str(part) for part in command], {**child_environ(), "PATH": path}
    if os.name == "posix":
        os.chdir(ROOT)
        os.execve(env.python, arguments, environ)
    process = subprocess.Popen(arguments, cwd=ROOT, env=environ)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # it reached the child too, which ends in its own way
            continue


def lock_files(env: Environment, rest: list[str]) -> None:
    """Write the lock files anew from pyproject.toml. The learner's bounds the others.

    `rest` goes to uv: `--upgrade` takes the newest versions, without it those locked stay where they can.
    """
    bound = ["--constraints", LEARNER]
    locks = {LEARNER: [], TESTER: ["--extra", "test", *bound], NBGRADER: ["--extra", "nbgrader", *bound]}
    locks |= {"bench/requirements-otter.lock": ["--extra", "otter"]}
    locks |= {"bench/requirements-serving.lock": ["--extra", "serving", *bound]}
    locks |= {"bench/requirements-bentoml.lock": ["--extra", "bentoml"]}
    locks |= {"bench/requirements-nannyml.lock": ["--extra", "nannyml"]}
    # The service's image installs the first of these, its CI the second.
    locks |= {"service/requirements.lock": bound}
    locks |= {"service/requirements-pipeline.lock": ["--extra", "train", "--extra", "pipeline", *bound]}
    for name, extra in locks.items():
        say(f"resolving {name}")
        project = str(Path(name).with_name("pyproject.toml")) if name.startswith("service/") else "pyproject.toml"
        command = [env.python, "-m", "uv", "pip", "compile", project, "--universal"]
        command += [
            "--fork-strategy",
            "fewest",
            "--python-version",
            "3.11",
            "--generate-hashes",
            "--no-emit-index-url",
            "--no-strip-extras",
        ]
        command += ["--custom-compile-command", "make lock", *extra, *rest, "--output-file", name]
        run(command, f"resolving {name}")


def check_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    newest = int(re.search(r"<3\.(\d+)", project["requires-python"]).group(1)) - 1
    if sys.version_info >= (3, newest + 1):
        have = ".".join(map(str, sys.version_info[:2]))
        raise SetupError(
            f"Python 3.11 to 3.{newest} is needed, this is Python {have}: make lab PYTHON=python3.{newest}"
        )


def main(argv: list[str] | None = None) -> int:
    """The commands of course.py. Returns the exit code: 1 for what cannot be set up."""
    parser = argparse.ArgumentParser(prog="course.py", description="Set up, open and test the course.")
    parser.add_argument("command", choices=["lab", "test", "env", "labs", "lock", "bench"])
    parser.add_argument("--port", type=int, help="the port of JupyterLab (default: the first free from 8888)")
    parser.add_argument("--here", action="store_true", help="use the environment that runs this (conda), not .venv")
    options, rest = parser.parse_known_args(argv)
    try:
        check_python()
        env = ready(TESTER if options.command in ("test", "lock", "bench") else LEARNER, options.here)
        if options.command == "lab":
            return lab(env, options.port, rest)
        if options.command == "test":
            ready_ci_tools()
            return become([env.python, "-m", "pytest", *rest], env)
        if options.command == "bench":
            return bench(env, rest)
        if options.command == "labs":
            return become([env.python, "-m", "labkit.cli", "build", *rest], env)
        if options.command == "lock":
            lock_files(env, rest)
    except SetupError as error:
        print(f"course: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("course: stopped; run the same command to go on", file=sys.stderr)
        return 130
    return 0
