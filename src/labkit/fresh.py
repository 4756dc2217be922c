"""Call a function in a process of its own, in which the notebook has loaded nothing.

It shows what a service would meet: names and classes of the notebook are not there, only
what the function itself loads. For the notebook only, where the code is the learner's own on
the learner's machine; a grader starts its fresh processes in another way.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle

from labkit.host import Host
from labkit.values import encode

SECONDS = 120


def call(name: str, function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any]) -> bytes:
    """Run `function(*args, **kwargs)` in a fresh process; gives a reply as `Host` does.

    The function itself is sent, with what it refers to, so its `name` is not needed here.

    A function that cannot be sent, a process that dies or takes longer than SECONDS is an error
    in the reply, not an exception here.
    """
    try:
        work = cloudpickle.dumps((function, args, kwargs))
    except Exception as error:  # whatever a learner's object raises when it is pickled
        return _failure("PicklingError", f"the function cannot be sent to another process: {error}")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "labkit.fresh"], input=work, capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return _failure("TimeoutError", f"the fresh process was still running after {SECONDS} s")
    if done.returncode or not done.stdout:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        return _failure("ProcessError", f"the fresh process ended with exit code {done.returncode}: {last[0]}")
    return done.stdout


def _failure(kind: str, message: str) -> bytes:
    error = {"kinds": [kind, "Exception"], "message": message[:500], "line": None, "source": ""}
    return encode({"value": None, "error": error, "seconds": 0.0, "printed": ""})


def main() -> None:
    function, args, kwargs = cloudpickle.loads(sys.stdin.buffer.read())
    reply = sys.stdout.buffer
    with tempfile.TemporaryDirectory() as folder:
        host = Host({"function": function}, Path(folder), call)
        reply.write(host.run(lambda: function(*args, **kwargs)))
    reply.flush()


if __name__ == "__main__":
    main()
