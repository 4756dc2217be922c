"""Labs out of solutions: what the learner gets, and what is refused."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from labkit.build import BuildError, build, differences, release
from labkit.cli import main


def marked(id_: str, *, grade: bool = False, solution: bool = False, points: int | None = None) -> dict:
    found = {"schema_version": 3, "grade_id": id_, "grade": grade, "solution": solution, "task": False}
    found["locked"] = not solution
    return {"nbgrader": found | ({"points": points} if points else {})}


ANSWER = '''def double(x):
    """Twice x."""
    ### BEGIN SOLUTION
    two = 2
    return two * x
    ### END SOLUTION'''


def source() -> nbformat.NotebookNode:
    answer = new_code_cell(ANSWER, metadata=marked("double", solution=True), execution_count=1)
    check = new_code_cell("lab.check('double')", metadata=marked("check-double", grade=True, points=2))
    check.outputs = [new_output("execute_result", {"text/plain": "2"}, execution_count=2)]
    return new_notebook(cells=[new_markdown_cell("# Task", metadata=marked("task")), answer, check])


def test_the_learner_gets_a_stub_in_place_of_the_solution() -> None:
    lab = release(source())
    stub = 'def double(x):\n    """Twice x."""\n    # YOUR CODE HERE\n    raise NotImplementedError()'
    assert lab.cells[1].source == stub
    assert lab.cells[2].outputs == [] and lab.cells[1].execution_count is None
    assert lab.cells[2].metadata["editable"] is False and lab.cells[1].metadata["deletable"] is False
    assert "editable" not in lab.cells[1].metadata


def test_the_source_stays_as_it_is() -> None:
    before = source()
    after = copy.deepcopy(before)
    release(after)
    assert after == before


def test_a_whole_answer_cell_without_region_becomes_a_stub() -> None:
    notebook = source()
    notebook.cells[1].source = "double = lambda x: 2 * x"
    assert release(notebook).cells[1].source == "# YOUR CODE HERE\nraise NotImplementedError()"


BROKEN = {
    "double has no END": (1, lambda cell: cell.update(source=ANSWER.replace("### END SOLUTION", ""))),
    "not marked as an answer": (0, lambda cell: cell.update(source="### BEGIN SOLUTION\n### END SOLUTION")),
    "two cells have the grade_id task": (1, lambda cell: cell.metadata.nbgrader.update(grade_id="task")),
    "cell 1 has no grade_id": (0, lambda cell: cell.metadata.nbgrader.update(grade_id="")),
    "graded and has no points": (2, lambda cell: cell.metadata.nbgrader.pop("points")),
    "not of nbgrader's metadata schema 3": (0, lambda cell: cell.metadata.nbgrader.update(schema_version=2)),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_source_is_refused_with_its_cell(what: str) -> None:
    notebook = nbformat.from_dict(source())
    number, spoil = BROKEN[what]
    spoil(notebook.cells[number])
    with pytest.raises(BuildError) as refused:
        release(notebook)
    expected = "BEGIN SOLUTION has no END SOLUTION" if "no END" in what else what
    assert expected in str(refused.value)


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "labs").mkdir()
    (tmp_path / "environment.yml").touch()
    path = tmp_path / "solutions" / "lab99_test" / "lab99_test.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(source(), path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_build_writes_once_and_check_tells_every_difference(course: Path, capsys: pytest.CaptureFixture) -> None:
    assert main(["build", "--check"]) == 1
    assert main(["build"]) == 0 and build(course) == []
    assert main(["build", "--check"]) == 0

    lab = course / "labs" / "lab99_test" / "lab99_test.ipynb"
    lab.write_text(lab.read_text(encoding="utf-8").replace("# Task", "# Edited"), encoding="utf-8")
    shutil.copytree(lab.parent, course / "labs" / "lab98_old")
    found = differences(course)
    assert len(found) == 2
    assert '-   "source": "# Edited"' in found[0].replace("'", '"') or "# Edited" in found[0]
    assert "lab98_old/lab99_test.ipynb has no solution" in found[1]
    capsys.readouterr()


def test_outside_the_course_the_command_says_where_to_run_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["build"]) == 1
    assert "run this inside the course's folder" in capsys.readouterr().err


def test_progress_lists_every_exercise(course: Path, capsys: pytest.CaptureFixture) -> None:
    build(course)
    assert main(["progress"]) == 0
    assert "double              not attempted" in capsys.readouterr().out
