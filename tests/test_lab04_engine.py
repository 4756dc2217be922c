"""Lab 04 in a container engine: what a learner's text is allowed, and that it is read as the builder reads it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from checks import lab04_engine
from checks.lab04_containerize import lab
from checks.lab04_contents import left_out
from checks.lab04_dockerfile import read_dockerfile
from checks.lab04_engine import RUN_MB, InEngine, build, running
from labkit.answer import Answer, Wrong, notebook_answer
from lessonkit.engine import Engine
from lessonkit.engine_scope import Scope
from lessonkit.shipping import BASE, screening_service, training_project

from .answers.lab04_texts import PLAIN
from .classroom import Class
from .notebooks import ROOT

IGNORES = {
    "names": ".git\n.env\ntests",
    "anywhere": "**/.env\n**/*.csv",
    "slashes": "/applications/\n./tests\nnotebooks/**",
    "all but some": "*\n!server.py\n!wheels\n!data/past.csv",
    "the last one counts": "!server.py\n*.py\n!train.py\n# *",
    "question marks": "applications/2026-1?.csv\nREADME.??",
}


@pytest.fixture(scope="module")
def scope(engine: Engine) -> Iterator[Scope]:
    with engine.scope() as opened:
        yield opened


def test_dockerignore_is_read_as_the_builder_reads_it(scope: Scope) -> None:
    project = training_project()
    for name, ignore in IGNORES.items():
        context = {**project, ".dockerignore": ignore.encode()}
        image = scope.build(context, f"FROM {BASE}\nCOPY . /sent/\n", network="none")
        done = scope.run(image, "find", "/sent", "-type", "f", "-printf", "%P\\n", network="none")
        sent = set(done.stdout.splitlines()) - {".dockerignore"}
        assert set(project) - set(left_out(ignore, project)) == sent, name


def test_what_runs_has_every_limit(scope: Scope) -> None:
    project = screening_service()
    image = build(scope, PLAIN, read_dockerfile(PLAIN, project), project)
    with running(scope, image) as container:
        host = container.inspect()["HostConfig"]
    assert host["ReadonlyRootfs"] and host["NetworkMode"] == "none" and not host["Privileged"]
    assert host["CapDrop"] == ["ALL"] and "no-new-privileges" in str(host["SecurityOpt"])
    assert host["Memory"] == host["MemorySwap"] == RUN_MB * 2**20 and host["PidsLimit"] == 64
    assert host["NanoCpus"] == 10**9 and host["LogConfig"]["Config"]["max-size"] == "1m"
    assert not host["Binds"] and not host["PortBindings"]


def test_a_build_has_no_network(scope: Scope) -> None:
    text = f"""FROM {BASE}\nRUN python -c "import socket; socket.create_connection(('192.0.2.1', 80), 3)"\n"""
    with pytest.raises(Wrong) as wrong:
        build(scope, text, read_dockerfile(text, {}), {"x": b""})
    assert wrong.value.message == "The build stopped." and "unreachable" in wrong.value.got


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the engine's processes run in a virtual machine")
def test_a_build_without_end_is_stopped_and_nothing_of_it_goes_on(
    scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lab04_engine, "BUILD_S", 6.0)
    mark = str(uuid.uuid4().int)[:9]
    text = f"""FROM {BASE}\nRUN python -c "import time; time.sleep({mark})"\n"""
    with pytest.raises(Wrong, match="took longer than 6 s"):
        build(scope, text, read_dockerfile(text, {}), {"x": b""})
    until = time.monotonic() + 30
    while any(mark in " ".join(p.info["cmdline"] or ()) for p in psutil.process_iter(["cmdline"])):
        assert time.monotonic() < until, "the RUN line still runs"
        time.sleep(0.1)


def test_cache_mounts_of_two_checks_share_nothing(engine: Engine) -> None:
    """What one learner's build leaves in a cache mount must not be found by the next one's."""
    mount = "RUN --mount=type=cache,target=/kept"
    writes = f"FROM {BASE}\n{mount} echo poison > /kept/note\n"
    reads = f"FROM {BASE}\n{mount} test ! -e /kept/note\n"
    for text in (writes, reads):
        with engine.scope() as opened:
            assert build(opened, text, read_dockerfile(text, {}), {"x": b""}).id


def test_a_check_removes_what_it_made_also_when_the_answer_is_wrong(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[str] = set()

    def noted(exercise: InEngine, answer: Answer) -> Scope:
        opened = original(exercise, answer)
        seen.add(opened.value)
        return opened

    original = InEngine.scope
    monkeypatch.setattr(InEngine, "scope", noted)
    ends_at_once = PLAIN.replace('"server.py"]', '"-V"]')
    for name, text in {"right": PLAIN, "fails to build": f"{PLAIN}\nRUN false", "ends": ends_at_once}.items():
        with notebook_answer({"serve_dockerfile": lambda text=text: text}) as answer:
            report = lab.judge("serve", answer)
        assert (report.outcome == "correct") == (name == "right"), report
    assert len(seen) == 3
    assert not any(ids for value in seen for ids in engine.labelled(value).values())


def test_a_class_with_engine_is_tried_in_it(engine: Engine, tmp_path: Path) -> None:
    """Two of the exercises, which stand for all: test_exercises.py tries each solution with the grader's seed."""
    lab04 = Class.of("lab04_containerize")
    ours = {name: lab04.answers(name)["ours"][0] for name in ("serve", "secret")}
    leaky = lab04.wrong["secret"]["kept for later"][0]
    lab04.hand_in(tmp_path / "submitted", {"ours": ours, "leaky": {"secret": leaky}})
    command = [sys.executable, "-m", "labkit.cli", "grade", lab04.lab, str(tmp_path / "submitted")]
    options = ["--out", str(tmp_path / "out"), "--engine", "--workers", "1"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = json.loads((tmp_path / "out" / "gradebook.json").read_text(encoding="utf-8"))
    rows = {row["student"]: row for row in kept["submissions"]}
    outcomes = {report["exercise"]: report["outcome"] for report in rows["ours"]["reports"]}
    wanted = {name: "correct" if name in ours else "not attempted" for name in lab04.exercises}
    assert outcomes == wanted, rows["ours"]["reports"]
    messages = [case["message"] for report in rows["leaky"]["reports"] for case in report["cases"]]
    assert any("A layer holds the token" in message for message in messages), messages
