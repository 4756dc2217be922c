"""Exercises, cases and outcomes, in the notebook's process and over a pipe to another one."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from labkit.answer import Answer, Name, notebook_answer
from labkit.exercise import CannotTry, Exercise, Report, case, expect, expect_close
from labkit.lab import Lab
from labkit.progress import Progress


class Mean(Exercise):
    """A small exercise with a function, a file and an object."""

    id = "mean"
    title = "The mean of some numbers"
    names = ("mean",)
    hints = ("What does an empty list give?", "Use `sum` and `len`.")
    points = 3

    @case("the mean of some numbers")
    def numbers(self, answer: Answer, rng: np.random.Generator) -> None:
        values = rng.integers(0, 100, 7).tolist()
        expect_close(answer.call("mean", values), np.mean(values), "This is another number.")

    @case("an empty list raises ValueError")
    def empty(self, answer: Answer, rng: np.random.Generator) -> None:
        result = answer.attempt("mean", [])
        raised = result.error is not None and "ValueError" in result.error.kinds
        expect(raised, "An empty list has no mean.", result, expected="ValueError")

    @case("the same in a fresh process")
    def fresh(self, answer: Answer, rng: np.random.Generator) -> None:
        expect_close(answer.call_fresh("mean", [1.0, 2.0]), 1.5, "Another number in a fresh process.")


RIGHT = """
def mean(values):
    if not values:
        raise ValueError("no values")
    return sum(values) / len(values)
"""
STUB = """
def mean(values):
    # YOUR CODE HERE
    raise NotImplementedError()
"""
lab = Lab("lab99_test", [Mean])


def judged(source: str, seed: int = 0) -> Report:
    namespace: dict = {"__name__": "__main__"}
    exec(compile(source, "<ipython-input-1>", "exec"), namespace)
    with notebook_answer(namespace) as answer:
        return lab.judge("mean", answer, seed)


def test_a_right_answer_is_correct_with_full_points() -> None:
    report = judged(RIGHT)
    assert (report.outcome, report.score) == ("correct", 3)
    assert [found.state for found in report.cases] == ["passed"] * 3


def test_a_stub_is_not_attempted() -> None:
    report = judged(STUB)
    assert (report.outcome, report.score) == ("not attempted", 0)
    assert "NotImplementedError" in report.message


def test_a_missing_name_has_a_message_of_its_own() -> None:
    report = judged("average = 1")
    assert report.outcome == "not attempted"
    assert report.message == "`mean` is not defined yet: run the answer cell above first."


def test_part_of_an_answer_earns_part_of_the_points() -> None:
    report = judged("def mean(values):\n    return sum(values) / max(len(values), 1)")
    assert (report.outcome, report.score) == ("incorrect", 2)
    failed = report.cases[1]
    assert (failed.message, failed.got, failed.expected) == ("An empty list has no mean.", "0", "ValueError")
    assert failed.tried == "mean([])"


def test_an_error_is_told_with_its_line_and_never_as_a_traceback() -> None:
    report = judged("def mean(values):\n    return values.mean()")
    first = report.cases[0]
    assert first.message == "Your code stopped with an error here."
    assert "AttributeError" in first.got and "line 2" in first.got
    assert "Traceback" not in repr(report.cases)


@pytest.mark.parametrize(
    "body", ["import sys; sys.exit(0)", "raise SystemExit", "raise BaseException('x')", "1 / 0", "return print"]
)
def test_whatever_an_answer_does_the_check_goes_on(body: str) -> None:
    report = judged(f"def mean(values):\n    {body}")
    assert report.outcome == "incorrect" and len(report.cases) == 3


def test_an_object_that_equals_everything_earns_nothing() -> None:
    report = judged(
        "class Equal(float):\n"
        "    __eq__ = __le__ = __ge__ = lambda self, other: True\n"
        "    __array__ = lambda self, *a, **k: __import__('numpy').array(49.0)\n"
        "    __hash__ = None\n"
        "def mean(values):\n    return Equal(1)"
    )
    assert report.score == 0


def test_numbers_remembered_from_one_seed_fail_with_another() -> None:
    seen = "def mean(values):\n    if not values: raise ValueError\n    return {value}"
    values = np.random.default_rng([0, __import__("zlib").crc32(b"mean.numbers")]).integers(0, 100, 7)
    remembered = seen.format(value=f"1.5 if values == [1.0, 2.0] else {float(values.mean())!r}")
    assert judged(remembered, seed=0).outcome == "correct"
    assert judged(remembered, seed=1).outcome == "incorrect"


def test_what_the_notebook_has_made_is_not_there_in_a_fresh_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "only_here", sys)
    report = judged(RIGHT.replace("    if not values:", "    import only_here\n    if not values:"))
    assert [found.state for found in report.cases] == ["passed", "passed", "failed"]
    assert "only_here" in report.cases[-1].got


def test_what_an_answer_prints_goes_nowhere(capsys: pytest.CaptureFixture) -> None:
    noisy = RIGHT.replace("    if not", "    import sys; print('x'); print('y', file=sys.stderr)\n    if not")
    assert judged(noisy).outcome == "correct"
    assert capsys.readouterr() == ("", "")


def test_a_case_that_cannot_be_tried_keeps_the_outcome_from_correct() -> None:
    class Engine(Exercise):
        id, title, names, hints = "engine", "t", ("x",), ("h",)

        @case("the image builds")
        def builds(self, answer: Answer, rng: np.random.Generator) -> None:
            raise CannotTry("no container engine answers")

        @case("x is one")
        def one(self, answer: Answer, rng: np.random.Generator) -> None:
            expect_close(answer.value("x"), 1, "x is not one")

    with notebook_answer({"x": 1}) as answer:
        report = Engine().judge(answer)
    assert (report.outcome, report.score) == ("not all tried", 0.5)
    assert report.message == (
        "All that could be tried is right. 1 of 2 cases was not tried and earned nothing: 0.5 of 1 points."
    )
    assert report.cases[0].state == "not tried" and "no container engine" in report.cases[0].message

    with notebook_answer({"x": 2}) as answer:
        report = Engine().judge(answer)
    assert (report.outcome, report.score) == ("incorrect", 0.0)
    assert report.message.startswith("1 of 2 cases was not tried")


def test_a_notebook_allows_everything_and_a_grader_what_it_was_asked_for() -> None:
    with notebook_answer({}) as answer:
        assert answer.allows("engine")
    graders = Answer(lambda request: request, ("engine",)), Answer(lambda request: request, ())
    assert [grader.allows("engine") for grader in graders] == [True, False]
    with pytest.raises(CannotTry, match="labkit grade --engine"):
        graders[1].need("engine")


def test_a_value_that_breaks_the_check_fails_that_case_and_no_other() -> None:
    class Careless(Exercise):
        id, title, names, hints = "careless", "t", ("x",), ("h",)

        @case("x has a key")
        def key(self, answer: Answer, rng: np.random.Generator) -> None:
            expect(answer.value("x").value["key"] == 1, "no")

        @case("x is one")
        def one(self, answer: Answer, rng: np.random.Generator) -> None:
            expect_close(answer.value("x"), 1, "x is not one")

    with notebook_answer({"x": 1}) as answer:
        report = Careless().judge(answer)
    assert [found.state for found in report.cases] == ["failed", "passed"]
    assert "stop with TypeError" in report.cases[0].message


def test_the_report_is_a_number_to_nbgrader_and_html_to_a_reader() -> None:
    report = judged("def mean(values):\n    return '<script>alert(1)</script>'")
    assert float(repr(report)) == report.score
    html = report._repr_html_()
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert "incorrect" in html


def test_one_cause_is_told_once() -> None:
    html = judged("def mean(values):\n    return None")._repr_html_()
    assert html.count("This is not an array of numbers.") == 1 and "The same as above." in html


# The same check over a pipe.

SERVER = """
import struct, sys, tempfile
from pathlib import Path
from labkit import fresh
from labkit.host import Host
source = sys.argv[1]
namespace = {"__name__": "__main__"}
exec(compile(source, "<ipython-input-1>", "exec"), namespace)
reader, writer = sys.stdin.buffer, sys.stdout.buffer
with tempfile.TemporaryDirectory() as folder:
    host = Host(namespace, Path(folder).resolve(), fresh.call)
    while size := reader.read(4):
        reply = host.serve(reader.read(struct.unpack("<I", size)[0]))
        writer.write(struct.pack("<I", len(reply)) + reply)
        writer.flush()
"""


@contextmanager
def answer_elsewhere(source: str) -> Iterator[Answer]:
    """The answer in another process, asked for values by length-prefixed messages."""
    process = subprocess.Popen([sys.executable, "-c", SERVER, source], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def send(request: bytes) -> bytes:
        process.stdin.write(struct.pack("<I", len(request)) + request)
        process.stdin.flush()
        return process.stdout.read(struct.unpack("<I", process.stdout.read(4))[0])

    try:
        yield Answer(send)
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


@pytest.mark.parametrize(
    "source", [RIGHT, STUB, "x = 1", "def mean(values):\n    return 1 / 0"], ids=["right", "stub", "missing", "error"]
)
def test_the_report_is_the_same_over_a_pipe(source: str) -> None:
    with answer_elsewhere(source) as answer:
        elsewhere = lab.judge("mean", answer)
    assert elsewhere == judged(source)


def test_objects_stay_over_there_and_are_asked_for_values() -> None:
    source = "class Model:\n    weights = [1, 2]\n    def predict(self, x): return x * 2\nmodel = Model()"
    with answer_elsewhere(source) as answer:
        model = answer.value("model").value
        assert model.ref.type == "__main__.Model"
        assert model.call("predict", 21).value == 42
        assert model.get("weights").value == [1, 2]


def test_files_are_made_read_and_changed_only_below_the_answers_folder() -> None:
    with notebook_answer({}) as answer:
        folder = Path(answer.folder())
        answer.write(str(folder / "a.txt"), b"one")
        assert answer.files(str(folder)) == {"a.txt": 3}
        copy = answer.copy(str(folder))
        answer.write(str(folder / "a.txt"), b"2")
        assert answer.read(str(folder / "a.txt")) == b"2"
        assert answer.read(f"{copy}/a.txt") == b"one"
        with pytest.raises(ValueError, match="outside"):
            answer.write(str(folder.parent.parent / "b.txt"), b"x")
    assert not folder.exists()


def test_an_answer_that_moves_to_another_folder_leaves_the_kernel_where_it_was() -> None:
    before = Path.cwd()
    with notebook_answer({"move": os.chdir}) as answer:
        answer.call("move", answer.folder())
        assert Path.cwd() != before
    assert Path.cwd() == before


def test_arguments_can_be_names_of_the_notebook() -> None:
    with notebook_answer({"double": lambda x: 2 * x, "three": 3}) as answer:
        result = answer.call("double", Name("three"))
    assert (result.value, result.tried) == (6, "double(three)")


# What a notebook's reader meets.


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LABKIT_HOME", str(tmp_path))
    return tmp_path


def test_hints_come_in_steps_and_are_remembered(home: Path) -> None:
    wrong = {"mean": lambda values: 0}
    assert lab.check("mean", namespace=wrong).hint.startswith("(1 of 2) What does")
    assert lab.check("mean", namespace=wrong).hint.startswith("(2 of 2) Use `sum`")
    assert "solution" in repr(lab.hint("mean"))
    standing = Progress().of("lab99_test", "mean")
    assert (standing.outcome, standing.attempts, standing.hints) == ("incorrect", 2, 2)


def test_a_worked_answer_comes_only_after_an_attempt(home: Path) -> None:
    assert "Try it first" in repr(lab.solution("mean"))


def test_an_unknown_exercise_is_named_with_those_there_are(home: Path) -> None:
    with pytest.raises(KeyError, match="lab99_test has no exercise 'median'; it has mean"):
        lab.check("median", namespace={})


def test_a_broken_record_is_kept_aside(home: Path, capsys: pytest.CaptureFixture) -> None:
    (home / "progress.json").write_text("{", encoding="utf-8")
    assert Progress().of("lab99_test", "mean").attempts == 0
    assert (home / "progress.broken").read_text(encoding="utf-8") == "{"
    assert "progress.broken" in capsys.readouterr().out


def test_the_best_score_stays_after_a_worse_attempt(home: Path) -> None:
    namespace: dict = {"__name__": "__main__"}
    exec(RIGHT, namespace)
    lab.check("mean", namespace=namespace)
    lab.check("mean", namespace={"mean": lambda values: 0})
    standing = Progress().of("lab99_test", "mean")
    assert (standing.best, standing.outcome) == (3, "incorrect")
