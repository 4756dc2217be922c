"""The rules of the course's notebooks, each with the file and the cell that breaks it."""

from __future__ import annotations

import ast
import itertools
import json
import re
import statistics
from pathlib import Path

import nbformat
import pytest

from labkit.build import differences, mark
from lessonkit.coursemap import mermaid

from .notebooks import LABS, LESSONS, ROOT, SOLUTIONS, Cell, cells, names

STORED = LESSONS + SOLUTIONS
lessons = pytest.mark.parametrize("path", LESSONS, ids=names(LESSONS))
stored = pytest.mark.parametrize("path", STORED, ids=names(STORED))
labs = pytest.mark.parametrize("path", LABS, ids=names(LABS))

MACHINE_PATH = re.compile(r"(/root/|/home/|/tmp/|/work/|/Users/|/private/var|[A-Z]:\\\\|ipykernel_\d)")
TIMING = re.compile(r"\b\d+(\.\d+)?\s?(ns|µs|us|ms|s|sec|seconds)\b")
EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u26ff]")


def outputs_text(cell: Cell) -> str:
    """Everything a cell shows but pictures, as JSON text."""
    plain = []
    for output in cell.node.get("outputs", []):
        data = {kind: value for kind, value in output.get("data", {}).items() if not kind.startswith("image/")}
        plain.append({"text": output.get("text", ""), "data": data})
    return json.dumps(plain, ensure_ascii=False)


def unquoted(text: str) -> str:
    """Leave out the files a cell quotes: a Dockerfile's interval of 10s is one on every machine."""
    return re.sub(r"```.*?```", "", text, flags=re.S)


def broken(found: list[str]) -> None:
    assert not found, "\n".join(found)


def test_there_are_lessons_solutions_and_labs() -> None:
    assert LESSONS and SOLUTIONS and LABS


@stored
def test_outputs_are_stored_and_counted_from_one(path: Path) -> None:
    code = [cell for cell in cells(path, "code") if cell.source.strip()]
    counts = [cell.node.execution_count for cell in code]
    assert counts == list(range(1, len(code) + 1)), f"{path.name}: execution counts are {counts}"


@stored
def test_no_stored_error_no_stderr(path: Path) -> None:
    broken(
        [
            f"{cell.where}: {output.output_type} {output.get('name', '')}"
            for cell in cells(path, "code")
            for output in cell.node.outputs
            if output.output_type == "error" or output.get("name") == "stderr"
        ]
    )


@stored
def test_no_output_shows_a_path_of_a_machine(path: Path) -> None:
    broken(
        [
            f"{cell.where}: {found.group()}"
            for cell in cells(path, "code")
            if (found := MACHINE_PATH.search(outputs_text(cell)))
        ]
    )


@stored
def test_no_compared_output_holds_a_timing(path: Path) -> None:
    broken(
        [
            f"{cell.where}: {found.group()}"
            for cell in cells(path, "code")
            if cell.compared and (found := TIMING.search(unquoted(outputs_text(cell))))
        ]
    )


@stored
def test_at_least_85_percent_of_outputs_are_compared(path: Path) -> None:
    shown = [cell for cell in cells(path, "code") if cell.node.outputs]
    free = [cell.node.id for cell in shown if not cell.compared]
    assert len(free) <= 0.15 * len(shown), f"{path.name}: {len(free)} of {len(shown)} are not compared: {free}"


@stored
def test_code_cells_follow_the_rules_that_keep_nbval_and_papermill_true(path: Path) -> None:
    found = []
    for cell in cells(path, "code"):
        if cell.source.rstrip().endswith(";"):
            found.append(f"{cell.where}: ends with ';', which hides an output from nobody but the reader")
        if "raises-exception" in cell.tags:
            found.append(f"{cell.where}: papermill refuses the tag raises-exception")
        if re.search(r"clear_output|tqdm", cell.source) and cell.compared:
            found.append(f"{cell.where}: a progress bar or clear_output in a compared cell")
        if re.search(r"^\s*[!%]", cell.source, re.M):
            found.append(f"{cell.where}: a shell line or a magic, which not every system has")
            continue
        used = {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}
        read = {
            node.id
            for node in ast.walk(ast.parse(cell.source))
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)
        }
        if used & {"Out", "In"} or "_" in read:
            found.append(f"{cell.where}: uses Out, In or _, which papermill's and nbval's runs fill differently")
    broken(found)


@stored
def test_cell_ids_are_unique_and_speaking(path: Path) -> None:
    ids = [cell.node.id for cell in cells(path)]
    assert len(ids) == len(set(ids)), path.name
    broken([f"{path.name}: the id {id_} was drawn by a machine" for id_ in ids if re.fullmatch(r"[0-9a-f]{8}", id_)])


@stored
def test_prose_has_no_exclamation_marks_and_no_emoji(path: Path) -> None:
    found = []
    for cell in cells(path, "markdown"):
        prose = re.sub(r"```.*?```|`[^`]*`|!\[|<!--", "", cell.source, flags=re.S)
        if "!" in prose or EMOJI.search(prose):
            found.append(f"{cell.where}: an exclamation mark or an emoji")
    broken(found)


@lessons
def test_lesson_has_the_size_that_can_be_read(path: Path) -> None:
    code = [cell for cell in cells(path, "code") if cell.source.strip()]
    lines = sorted(len(cell.source.splitlines()) for cell in code)
    prose = cells(path, "markdown")
    assert 20 <= len(code) <= 45, f"{path.name}: {len(code)} code cells"
    assert statistics.median(lines) <= 5, f"{path.name}: median of {statistics.median(lines)} lines"
    long = [cell.where for cell in code if len(cell.source.splitlines()) >= 18]
    assert len(long) <= 0.1 * len(code), f"{path.name}: too many long cells: {long}"
    assert len(prose) >= len(code), f"{path.name}: {len(prose)} Markdown cells for {len(code)} code cells"


@lessons
def test_lesson_says_what_comes_before_each_cell(path: Path) -> None:
    """Prose stands before a cell: two code cells in a row leave the reader alone with the second."""
    all_cells = cells(path)
    bare = [
        after.where
        for before, after in itertools.pairwise(all_cells)
        if before.node.cell_type == after.node.cell_type == "code"
    ]
    assert len(bare) <= 2, f"code follows code without a word: {bare}"


@lessons
def test_lesson_has_one_cell_of_parameters(path: Path) -> None:
    marked = [cell.where for cell in cells(path, "code") if "parameters" in cell.tags]
    assert len(marked) == 1, f"{path.name}: {marked}"


@lessons
def test_lesson_has_its_parts(path: Path) -> None:
    prose = [cell.source for cell in cells(path, "markdown")]
    text = "\n".join(prose)
    number = int(path.stem[:2])
    assert prose[0].startswith(f"# {number:02} "), f"{path.name}: the title begins with the lesson's number"
    for part in (
        "**You will be able to**",
        "**Minutes:**",
        "**Builds on:**",
        "## Verdicts",
        "## Remember",
        "## Questions",
    ):
        assert part in text, f"{path.name}: no {part}"
    assert text.count("<details>") >= 3, f"{path.name}: fewer than three questions with folded answers"
    assert mermaid(number) in text, f"{path.name}: the map is not what lessonkit.coursemap gives"


@lessons
def test_plots_are_asserted_by_a_test(path: Path) -> None:
    """nbval compares no pixels, so each lesson with plots has a file that asserts the plotted data."""
    plots = [
        cell.node.id
        for cell in cells(path, "code")
        if any(kind.startswith("image/") for output in cell.node.outputs for kind in output.get("data", {}))
    ]
    data = ROOT / "tests" / "plots" / f"{path.stem}.py"
    asserted = data.read_text(encoding="utf-8") if data.exists() else ""
    broken(
        [f"{path.name} [{id_}]: no `# {id_}` in tests/plots/{data.name}" for id_ in plots if f"# {id_}" not in asserted]
    )


def test_labs_are_what_the_solutions_give() -> None:
    broken(differences(ROOT))


@labs
def test_lab_is_stored_without_outputs(path: Path) -> None:
    broken([cell.where for cell in cells(path, "code") if cell.node.outputs or cell.node.execution_count])


@pytest.mark.parametrize("path", SOLUTIONS, ids=names(SOLUTIONS))
def test_check_cells_fit_the_exercises(path: Path) -> None:
    """Points, names and order in the notebook are those of the checks."""
    lab = __import__(f"checks.{path.stem}", fromlist=["lab"]).lab
    marks = [mark(cell.node) for cell in cells(path, "code")]
    points = {m["grade_id"].removeprefix("check-"): m["points"] for m in marks if m.get("grade")}
    assert points == {id_: exercise.points for id_, exercise in lab.exercises.items()}
    assert list(points) == list(lab.exercises)
    assert [m["grade_id"] for m in marks if m.get("solution")] == list(points)
    others = [c.node for c in cells(path, "code") if not mark(c.node)["solution"] and not mark(c.node)["grade"]]
    assert {node.metadata.get("labkit", {}).get("role") for node in others} <= {"setup", "show"}


@pytest.mark.parametrize("path", STORED + LABS, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_notebook_is_valid_and_under_5_mb(path: Path) -> None:
    nbformat.validate(nbformat.read(path, as_version=4))
    assert path.stat().st_size < 5_000_000
