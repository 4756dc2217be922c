"""kill -9 at each step of each stage: another run goes on and ends in the same state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import flight_delays

PROCESSES = Path(__file__).with_name("kill_processes.py")
SIGKILLED = -9
STAGES = ["train", "validate", "package", "deploy"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no fork and no SIGKILL")


def kill_everywhere(world, folder: Path, stages: list[str]) -> list[dict]:
    """Kill each stage at each of its steps; return what came of it."""
    source = str(Path(flight_delays.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(PROCESSES), str(world.folder), str(folder), *stages],
        env=os.environ | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_stage_goes_on_after_a_kill_at_any_step(challenged, tmp_path):
    """The champion's challenger is trained anew, judged, packaged and deployed."""
    old = challenged.champion()
    challenged.configure("max_iter = 25", "max_iter = 10")
    challenged.configure("2013-05-01", "2013-06-01")
    told = kill_everywhere(challenged, tmp_path / "kills", STAGES)
    kills = [one for one in told if one["step"] != "none"]
    assert {kill["killed"] for kill in kills} == {SIGKILLED}
    assert {kill["again"] for kill in kills} == {0}
    steps = {(kill["stage"], kill["step"]) for kill in kills}
    assert {("train", "Registry.run"), ("train", "Registry.attach")} <= steps
    assert {("validate", "Registry.log"), ("package", "Registry.register")} <= steps
    requests = ("Service.put_model", "Service.put_champion", "Service.predict", "Registry.point")
    assert {("deploy", name) for name in requests} <= steps

    for stage in STAGES:
        ends = [one["end"] for one in told if one["stage"] == stage]
        assert len(ends) > 5
        unhurt = ends.pop()
        assert all(end == unhurt for end in ends), stage
    new, previous, revision = unhurt["champion"]
    assert (previous, revision) == (old, 2)
    assert [status for _, status in unhurt["runs"]] == ["FINISHED"] * 3
    assert len(unhurt["registered"]) == 3
    assert [version for version, _ in unhurt["registered"]].count(new) == 1
    assert unhurt["aliases"] == {"champion": 3}
    assert unhurt["served"] == sorted([old, new])
    assert unhurt["leftovers"] == []
