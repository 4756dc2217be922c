"""kill -9 at each step of a turn: another run goes on and ends in the same state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import flight_delays

PROCESSES = Path(__file__).with_name("loop_processes.py")
SIGKILLED = -9
STAGES = ("test", "train", "validate", "package", "deploy")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no fork and no SIGKILL")


def kill_everywhere(world, folder: Path, action: str) -> tuple[list[dict], dict]:
    """Kill a turn at each of its steps; return what came of it, and of the one nobody killed."""
    source = str(Path(flight_delays.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, str(PROCESSES), str(world.folder), str(folder), action],
        env=os.environ | {"PYTHONPATH": source},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *kills, unhurt = [json.loads(line) for line in done.stdout.splitlines()]
    return kills, unhurt["end"]


@pytest.mark.parametrize("action", ["quarantine", "retrain"])
def test_a_turn_goes_on_after_a_kill_at_any_step(action, challenged, tmp_path):
    old = challenged.champion()
    kills, unhurt = kill_everywhere(challenged, tmp_path / "kills", action)
    assert {kill["killed"] for kill in kills} == {SIGKILLED}
    assert all(kill["again"] == [0, 0] for kill in kills)
    steps = [kill["step"] for kill in kills]
    written = [step for step in steps if step.startswith("os.rename")]
    assert len(written) == 2  # the decision and the outcome
    stages = [f"{when} {stage}" for stage in STAGES for when in ("begin", "end")]
    assert [step for step in steps if step in stages] == (stages if action == "retrain" else [])
    for kill in kills:
        assert kill["end"] == unhurt, kill["step"]

    (turn,) = unhurt["turns"]
    assert (turn["number"], turn["action"], turn["version"]) == (1, action, old)
    assert unhurt["leftovers"] == []
    new, previous, revision = unhurt["champion"]
    if action == "retrain":
        assert turn["outcome"] == {"done": "deployed", "champion": new, "reasons": []}
        assert (previous, revision) == (old, 2)
        assert unhurt["records"] == sorted(STAGES)
    else:
        assert turn["quarantined"] == ["2013-08-05", "2013-08-06"]
        assert (new, revision) == (old, 1)
