"""Commands that only note that they were called, for rehearsing CI files: python, pip, pytest, docker and so on.

They are small shell scripts in a folder that comes first on PATH. Each writes a line into a log: whether a secret was
in its environment, a tab, the command. The pipeline's stages refuse to run, as the real ones do, where the code is not
checked out, not installed, or where an earlier stage has left nothing.
"""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

STAGES = ("test", "train", "validate", "package", "deploy", "monitor")
NOTED = (
    "pytest",
    "docker",
    "twine",
    "aws",
    "curl",
    "wget",
    "git",
    "ssh",
    "scp",
    "gh",
    "apt-get",
    "kubectl",
    "coverage",
)

_START = """#!/bin/sh
line=$(printf '%s ' {name} "$@" | tr '\\n\\t' '  ')
line=${{line% }}
if env | grep -qF {secret}; then seen=secret; else seen=-; fi
printf '%s\\t%s\\n' "$seen" "$line" >> {log}
fails={fails}
case "$line" in *"${{fails:-nothing fails}}"*) echo "$line: failed" >&2; exit 1;; esac
"""
_PIP = """
while [ $# -gt 0 ]; do
  case "$1" in
    -r|--requirement) test -f "$2" || { echo "ERROR: Could not open requirements file: $2" >&2; exit 1; };;
    --requirement=*) test -f "${1#*=}" || { echo "ERROR: Could not open requirements file: ${1#*=}" >&2; exit 1; };;
  esac
  shift
done
touch "$REHEARSAL_JOB/installed"
"""
_PYTHON = """
case "$line" in
  *" -m pip "*) {pip}
    exit 0;;
  *" -m flight_delays "*) ;;
  *) exit 0;;
esac
test -f "$REHEARSAL_JOB/installed" || {{ echo "No module named flight_delays: is it installed?" >&2; exit 1; }}
test -f pipeline.toml || {{ echo "pipeline.toml: not found; is the code checked out?" >&2; exit 2; }}
mkdir -p .pipeline
previous=
for stage in {stages}; do
  case " $line " in
    *" $stage "*)
      case "pipeline $stage" in *"${{fails:-nothing fails}}"*) echo "$stage: failed" >&2; exit 1;; esac
      test -z "$previous" || test -e ".pipeline/$previous" || {{ echo "run $previous first" >&2; exit 3; }}
      touch ".pipeline/$stage"; exit 0;;
  esac
  previous=$stage
done
"""


@dataclass(frozen=True)
class Call:
    """One command that was called, and whether a secret was in its environment."""

    line: str
    secret: bool


def write(folder: Path, log: Path, *, secret: str, fails: str) -> None:
    """Write the scripts into a folder.

    Args:
        log: the file that they write to.
        secret: the value that marks an environment as holding a secret.
        fails: a command whose line contains this text fails with exit code 1; "" for none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stages = " ".join(STAGES)
    bodies = dict.fromkeys(NOTED, "") | {"pip": _PIP, "pip3": _PIP, "uv": _PIP}
    bodies |= dict.fromkeys(("python", "python3"), _PYTHON.format(pip=_PIP.replace("\n", "\n    "), stages=stages))
    bodies["sudo"] = '\nexec "$@"\n'
    for name, body in bodies.items():
        quoted = {"secret": shlex.quote(secret), "log": shlex.quote(str(log)), "fails": shlex.quote(fails)}
        script = folder / name
        script.write_text(_START.format(name=name, **quoted) + body, encoding="utf-8", newline="\n")
        script.chmod(0o755)


def calls(log: Path) -> list[Call]:
    """What was called, in order."""
    if not log.exists():
        return []
    lines = (line.partition("\t") for line in log.read_text(encoding="utf-8", errors="replace").splitlines())
    return [Call(line, seen == "secret") for seen, _, line in lines]


def shell() -> str | None:
    """Where bash is, or None; scripts like these are not started on Windows."""
    return None if sys.platform == "win32" else shutil.which("bash")
