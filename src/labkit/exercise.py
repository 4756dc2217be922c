"""An exercise, its cases, and the report of one check.

    class Save(Exercise):
        id = "save"
        title = "Save the model once"
        names = ("save_model",)
        hints = ("joblib.dump writes ...",)

        @case("the folder holds a file afterwards")
        def writes(self, answer, rng):
            folder = answer.folder()
            result = answer.call("save_model", Name("model"), folder)
            expect(answer.files(folder), "Nothing was written.", result, expected="at least one file")

A case passes if it returns; it fails with `Wrong`, which `expect` and `expect_close` raise.
"""

from __future__ import annotations

import inspect
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from labkit.answer import Answer, CannotTry, NotWritten, Result, Wrong
from labkit.values import KINDS, Ref, ValueRefused, show

# "not all tried": nothing is wrong, and some cases need what this machine lacks or the grader was not asked for.
Outcome = Literal["correct", "incorrect", "not all tried", "not attempted"]
State = Literal["passed", "failed", "not tried"]


@dataclass(frozen=True)
class CaseReport:
    """What came of one case. `state` is "not tried" where the machine lacks something it needs."""

    name: str
    state: State
    weight: float = 1.0
    message: str = ""
    tried: str = ""
    got: str = ""
    expected: str = ""


@dataclass(frozen=True)
class Report:
    """The outcome of one check: score in points from 0 to `points`, and every case.

    In a notebook it shows itself as HTML; its plain text is the score alone, which is what
    nbgrader reads for partial credit.
    """

    exercise: str
    title: str
    outcome: Outcome
    score: float
    points: float
    message: str = ""
    hint: str = ""
    cases: list[CaseReport] = field(default_factory=list)

    def __float__(self) -> float:
        return self.score

    def __repr__(self) -> str:
        return f"{self.score:g}"

    def _repr_html_(self) -> str:
        from labkit.display import report_html

        return report_html(self)


def case(name: str, weight: float = 1.0) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Mark a method of an Exercise as a case. `name` says what must hold, as a clause."""

    def mark(method: Callable[..., Any]) -> Callable[..., Any]:
        method.case = (name, weight)
        return method

    return mark


class Exercise:
    """What an answer must define and do. Subclasses fill the names below and add cases."""

    id: ClassVar[str]
    title: ClassVar[str]
    names: ClassVar[tuple[str, ...]]
    hints: ClassVar[tuple[str, ...]]
    points: ClassVar[float] = 1.0

    @classmethod
    def case_methods(cls) -> list[tuple[str, float, str]]:
        """(name, weight, method name) of each case, in the order they are written."""
        found = [
            (method.__code__.co_firstlineno, *method.case, name)
            for name, method in inspect.getmembers(cls)
            if hasattr(method, "case")
        ]
        return [(name, weight, method) for _, name, weight, method in sorted(found)]

    def judge(self, answer: Answer, seed: int = 0) -> Report:
        """Try every case on the answer.

        Parameters
        ----------
        answer
            Where the learner's names are reached.
        seed
            Draws the inputs. A grader takes another one than the notebook, so that an answer
            that repeats the numbers it once saw is found out.
        """
        missing = answer.missing(*self.names)
        if missing:
            names = " and ".join(f"`{name}`" for name in missing)
            verb = "is" if len(missing) == 1 else "are"
            return self._report(
                "not attempted", message=f"{names} {verb} not defined yet: run the answer cell above first."
            )
        reports = []
        stubs = 0
        for name, weight, method in self.case_methods():
            rng = np.random.default_rng([seed, zlib.crc32(f"{self.id}.{method}".encode())])
            try:
                getattr(self, method)(answer, rng)
            except NotWritten:
                stubs += 1
                reports.append(CaseReport(name, "failed", weight, "This part is not written yet."))
            except Wrong as wrong:
                texts = [answer.tidy(text) for text in (wrong.message, wrong.tried, wrong.got, wrong.expected)]
                reports.append(CaseReport(name, "failed", weight, *texts))
            except ValueRefused as error:
                reports.append(CaseReport(name, "failed", weight, f"What came back cannot be judged: {error}."))
            except CannotTry as lack:
                reports.append(CaseReport(name, "not tried", weight, f"Not tried: {lack}"))
            except Exception as error:  # what came back broke the check's own sums; the other cases go on
                kind = type(error).__name__
                told = f"What came back cannot be judged: it made the check itself stop with {kind}."
                reports.append(CaseReport(name, "failed", weight, told))
            else:
                reports.append(CaseReport(name, "passed", weight))
        passed = sum(report.weight for report in reports if report.state == "passed")
        if stubs and not passed:
            return self._report(
                "not attempted", message="Replace `raise NotImplementedError()` in the answer cell and run it."
            )
        score = self.points * passed / sum(report.weight for report in reports)
        message = self._untried(reports)
        if any(report.state == "failed" for report in reports):
            outcome: Outcome = "incorrect"
        elif message:
            outcome, message = "not all tried", f"All that could be tried is right. {message}"
        else:
            outcome = "correct"
        return self._report(outcome, round(score, 2), message=message, cases=reports)

    def _untried(self, reports: list[CaseReport]) -> str:
        """What of the points hangs on cases that could not be tried, in a sentence; "" if all could be."""
        open_ = [report.weight for report in reports if report.state == "not tried"]
        if not open_:
            return ""
        points = self.points * sum(open_) / sum(report.weight for report in reports)
        count = f"{len(open_)} of {len(reports)} cases {'was' if len(open_) == 1 else 'were'}"
        return f"{count} not tried and earned nothing: {points:.2g} of {self.points:g} points."

    def _report(self, outcome: Outcome, score: float = 0.0, **more: Any) -> Report:
        return Report(self.id, self.title, outcome, score, self.points, **more)


def _texts(result: Result | str, got: Any) -> dict[str, str]:
    tried = result.tried if isinstance(result, Result) else result
    if got is None and isinstance(result, Result):
        return {"tried": tried, "got": result.got}
    return {"tried": tried, "got": got if isinstance(got, str) else show(got)}


def expect(holds: Any, message: str, tried: Result | str = "", *, got: Any = None, expected: Any = "") -> None:
    """Raise Wrong with `message` unless `holds` is true. `got` defaults to what `tried` brought."""
    if not holds:
        wanted = expected if isinstance(expected, str) else show(expected)
        raise Wrong(message, **_texts(tried, got), expected=wanted)


def expect_close(result: Result, expected: Any, message: str, *, rtol: float = 1e-5, atol: float = 1e-8) -> None:
    """Raise Wrong unless the result is numbers of the expected shape, each within the tolerance."""
    wanted = np.asarray(expected, dtype=float)
    numbers = as_array(result)
    shape = f"The shape is {numbers.shape}, it should be {wanted.shape}."
    expect(numbers.shape == wanted.shape, shape, result, expected=wanted)
    expect(np.allclose(numbers, wanted, rtol=rtol, atol=atol, equal_nan=True), message, result, expected=wanted)


def as_array(result: Result) -> np.ndarray:
    """The result as an array of float64, whether it came as array, list or number; else raise Wrong."""
    value = result.value
    if isinstance(value, Ref | str | bytes | dict) or value is None:
        return _not_numbers(result)
    try:
        numbers = np.asarray(value)
        # A list of texts would turn into floats, too: "3" is no number.
        return numbers.astype(float) if numbers.dtype.kind in KINDS else _not_numbers(result)
    except (TypeError, ValueError):
        return _not_numbers(result)


def _not_numbers(result: Result) -> np.ndarray:
    raise Wrong("This is not an array of numbers.", tried=result.tried, got=result.got, expected="an array of numbers")
