"""A process that starts a command and ends it, with all it has started, once its own input closes.

The system closes that pipe when whoever holds its other end is gone, however it went: by an
error, by `kill -9`, by a kernel that was restarted. So no server outlives its notebook, on any system.
`lessonkit.servers` starts it.

    python -m lessonkit.guard CORES STOP_S COMMAND...    CORES such as 0,1 or `any`

It says the process id of the command on its output, and ends with the command's exit code.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import queue
import signal
import subprocess
import sys
import threading

import psutil

from lessonkit.cores import pin

ADOPT_ORPHANS = 36  # PR_SET_CHILD_SUBREAPER, of linux/prctl.h


def main() -> int:
    cores, stop_s, *command = sys.argv[1:]
    # On Linux what loses its parent below this process becomes its child, so it can be found.
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
    if cores != "any":
        pin([int(core) for core in cores.split(",")])
    # On Windows only a group of processes can be asked to end.
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, creationflags=flags)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return 127
    print(process.pid, flush=True)

    happened: queue.SimpleQueue[str] = queue.SimpleQueue()

    def wait_for_input() -> None:
        while os.read(0, 1):
            pass
        happened.put("the other end is gone")

    def wait_for_process() -> None:
        process.wait()
        happened.put("it has ended")

    for work in (wait_for_input, wait_for_process):
        threading.Thread(target=work, daemon=True).start()
    happened.get()
    end(process, float(stop_s))
    return process.returncode if process.returncode >= 0 else 128 - process.returncode


def end(process: subprocess.Popen[bytes], stop_s: float) -> None:
    """Ask the command to end, give it some seconds, then kill it and all that it has started."""
    family = _below()
    if process.poll() is None:
        with contextlib.suppress(OSError):
            process.send_signal(getattr(signal, "CTRL_BREAK_EVENT", signal.SIGTERM))
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(stop_s)
    for member in {*family, *_below()}:
        with contextlib.suppress(psutil.Error):
            member.kill()
    process.wait()


def _below() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


if __name__ == "__main__":
    sys.exit(main())
