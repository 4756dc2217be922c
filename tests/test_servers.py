"""Servers for the length of a block: they answer inside it and are gone after it, whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psutil
import pytest

from lessonkit.servers import Server, ServerFailed, serving

FILES = [sys.executable, "-m", "http.server", "{port}", "--bind", "127.0.0.1"]
# A server with a child of its own, which does not end when asked to where `stubborn` is told.
FAMILY = """
import http.server, os, signal, subprocess, sys
port, stubborn = int(sys.argv[1]), sys.argv[2] == "stubborn"
if stubborn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "SIGBREAK"):
        signal.signal(signal.SIGBREAK, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
print("child", child.pid, os.environ.get("WORD"), flush=True)
http.server.HTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def child_of(server: Server) -> int:
    return int(next(line.split()[1] for line in server.written().splitlines() if line.startswith("child")))


def gone(*pids: int) -> bool:
    """Whether all of them end within some seconds."""
    processes = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
    return not psutil.wait_procs(processes, timeout=20)[1]


def test_it_answers_in_the_block_and_is_gone_after_it(tmp_path: Path) -> None:
    (tmp_path / "hello.txt").write_text("hello", encoding="utf-8")
    (tmp_path / "queue.py").write_text("raise SystemExit('a module of the folder')", encoding="utf-8")
    files = [FILES[0], "-P", *FILES[1:]]
    with serving(files, "/hello.txt", cwd=tmp_path) as server:
        with urllib.request.urlopen(f"{server.url}/hello.txt", timeout=10) as answer:
            assert answer.read() == b"hello"
        assert "GET /hello.txt" in server.written()
        assert psutil.pid_exists(server.pid)
    assert gone(server.pid)
    assert not server.log.exists()


@pytest.mark.parametrize("how", ["willing", "stubborn"])
def test_it_is_gone_with_its_children_when_the_block_raises(how: str) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        serving([sys.executable, "-c", FAMILY, "{port}", how], env={"WORD": "passed"}, stop_s=0.5) as server,
    ):
        child = child_of(server)
        assert f"child {child} passed" in server.written()
        1 / 0  # noqa: B018
    assert gone(server.pid, child)


def test_it_is_gone_when_whoever_started_it_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "kernel.py"
    script.write_text(
        "import sys\n"
        "from lessonkit.servers import serving\n"
        f"with serving([sys.executable, '-c', {FAMILY!r}, '{{port}}', 'willing']) as server:\n"
        "    print(server.pid, server.written().split()[1], flush=True)\n"
        "    sys.stdin.read()\n",
        encoding="utf-8",
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, script], **pipes) as kernel:
        pids = [int(word) for word in kernel.stdout.readline().split()]
        assert len(pids) == 2 and all(map(psutil.pid_exists, pids))
        kernel.kill()
    assert gone(*pids)


@pytest.mark.skipif(os.name == "nt", reason="Windows interrupts no group of processes")
def test_it_outlives_an_interrupt_meant_for_a_cell(tmp_path: Path) -> None:
    """Jupyter interrupts the whole group of a kernel's processes."""
    script = tmp_path / "kernel.py"
    script.write_text(
        "import sys, signal, urllib.request\n"
        "from lessonkit.servers import serving\n"
        f"with serving({FILES!r}) as server:\n"
        "    try:\n"
        "        print('up', flush=True)\n"
        "        signal.pause()\n"
        "    except KeyboardInterrupt:\n"
        "        print(urllib.request.urlopen(server.url, timeout=10).status, flush=True)\n",
        encoding="utf-8",
    )
    pipes = {"stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, script], **pipes, start_new_session=True) as kernel:
        assert kernel.stdout.readline() == "up\n"
        os.killpg(kernel.pid, signal.SIGINT)
        assert kernel.stdout.readline() == "200\n"
        assert kernel.wait(20) == 0


def test_a_variable_may_be_set_or_taken_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAKEN", "here")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    said = "import os; print([os.environ.get(name) for name in ('TAKEN', 'SET', 'OMP_NUM_THREADS')])"
    with (
        pytest.raises(ServerFailed, match=r"\[None, 'yes', '1'\]"),
        serving([sys.executable, "-c", said], env={"TAKEN": None, "SET": "yes"}),
    ):
        pass


def test_a_server_that_ends_at_once_tells_its_last_lines() -> None:
    with (
        pytest.raises(ServerFailed, match=r"(?s)ended with 3 before it answered.*no model here"),
        serving([sys.executable, "-c", "import sys; print('no model here'); sys.exit(3)"]),
    ):
        pass


def test_a_command_that_is_not_there() -> None:
    with (
        pytest.raises(ServerFailed, match=r"(?s)no-such-server did not start.*No such file"),
        serving(["no-such-server"]),
    ):
        pass


def test_a_server_that_never_answers_is_ended() -> None:
    silent = "import os, sys, threading; print(os.getpid(), flush=True); threading.Event().wait()"
    with (
        pytest.raises(ServerFailed, match=r"did not answer within 0.5 s") as failed,
        serving([sys.executable, "-c", silent], patience_s=0.5),
    ):
        pass
    assert gone(int(str(failed.value).split()[-1]))


def test_an_answer_of_an_error_is_not_ready(tmp_path: Path) -> None:
    with (
        pytest.raises(ServerFailed, match=r"(?s)did not answer.*404"),
        serving(FILES, "/absent", cwd=tmp_path, patience_s=0.5),
    ):
        pass
