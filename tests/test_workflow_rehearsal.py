"""A rehearsed workflow does what GitHub documents, and what act does with the same text."""

from __future__ import annotations

from typing import Any

import pytest

from lessonkit import act_run, standins
from lessonkit.rehearsal import FILES, SECRET, NoShell, rehearse, rehearse_script
from lessonkit.rehearsal_shown import acted, rehearsed, script_rehearsed
from lessonkit.workflow_expressions import ExpressionError, evaluate, fill, holds
from lessonkit.workflow_text import NotRehearsed, load, starts

needs_shell = pytest.mark.skipif(not standins.shell(), reason="no bash on this machine")
needs_act = pytest.mark.skipif(bool(act_run.missing()), reason=f"act cannot run: {act_run.missing()}")

CONTEXTS = {
    "github": {"ref": "refs/heads/main", "event_name": "push", "event": {"number": 7}},
    "steps": {"test": {"outcome": "failure", "outputs": {"tag": ""}}},
    "secrets": lambda name: f"value of {name}",
}
GOOD = {"success": lambda: True, "failure": lambda: False, "always": lambda: True}
BAD = {"success": lambda: False, "failure": lambda: True, "always": lambda: True}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("github.ref == 'refs/heads/main'", True),
        ("github.ref == 'REFS/HEADS/MAIN'", True),  # texts are compared without regard to case
        ("github.event_name != 'push' || github.event.number > 6", True),
        ("!(github.event.number == 7)", False),
        ("github['ref']", "refs/heads/main"),
        ("github.nothing.below", None),
        ("github.nothing == ''", True),
        ("startsWith(github.ref, 'refs/heads/') && 'branch' || 'tag'", "branch"),
        ("contains('a, B', 'b')", True),
        ("format('{0}-{1}', 'it''s', 3)", "it's-3"),
        ("1.5 < 2 && null == 0", True),
        ("secrets.KEY", "value of KEY"),
        ("fromJSON('[1, 2]')[1]", 2),
    ],
)
def test_expressions(expression: str, value: Any) -> None:
    assert evaluate(expression, CONTEXTS, GOOD) == value


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ('github.ref == "main"', "not understood from"),
        ("github.ref == main", "`main` is no context"),
        ("github.ref ==", "ends too early"),
        ("(github.ref", "a `)` is missing"),
        ("nothing(1)", "no function `nothing`"),
        ("github.ref github.ref", "not understood from"),
    ],
)
def test_expressions_that_are_none(expression: str, said: str) -> None:
    with pytest.raises(ExpressionError, match="".join(f"[{c}]" if c in "()" else c for c in said)):
        evaluate(expression, CONTEXTS, GOOD)


def test_a_condition_with_text_around_the_marks_is_always_true() -> None:
    assert holds("${{ steps.test.outcome }} == 'success'", CONTEXTS, GOOD)
    assert not holds("steps.test.outcome == 'success'", CONTEXTS, GOOD)
    assert not holds("${{ steps.test.outcome == 'success' }}", CONTEXTS, GOOD)


def test_success_is_implied_where_no_status_is_asked_for() -> None:
    assert not holds("github.event_name == 'push'", CONTEXTS, BAD)
    assert not holds("${{ steps.test.outcome }} == 'success'", CONTEXTS, BAD)
    assert not holds(None, CONTEXTS, BAD)
    assert holds("always()", CONTEXTS, BAD)
    assert holds("failure() && github.event_name == 'push'", CONTEXTS, BAD)


def test_texts_are_filled() -> None:
    assert fill("v${{ github.event.number }}-${{ github.nothing }}", CONTEXTS, GOOD) == "v7-"


@pytest.mark.parametrize(
    ("on", "event", "branch", "started"),
    [
        ("push", "push", "any", True),
        (["push", "pull_request"], "pull_request", "main", True),
        ({"push": {"branches": ["main"]}}, "push", "main-2", False),
        ({"push": {"branches": ["release/*"]}}, "push", "release/1", True),
        ({"push": {"branches-ignore": ["main"]}}, "push", "main", False),
        ({"push": None}, "push", "main", True),
        ({"push": {"tags": ["v*"]}}, "push", "main", False),
        ({"workflow_dispatch": None}, "push", "main", False),
        (None, "push", "main", False),
    ],
)
def test_events_and_branches(on: Any, event: str, branch: str, started: bool) -> None:
    assert starts(on, event, branch) is started


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "no YAML"),
        ("- a", "a workflow is a mapping"),
        ("on: push", "there are no `jobs`"),
        ("a: &x {b: 1}\nc: *x\njobs: {a: {}}", "aliases"),
        ("jobs: {a: 3}", "job a: a mapping"),
        ("x" * 50_000, "longer than"),
    ],
)
def test_texts_that_are_no_workflow(text: str, said: str) -> None:
    with pytest.raises(NotRehearsed, match=said):
        load(text)


def workflow(steps: str, more: str = "") -> str:
    lines = "".join(f"      {line}\n" for line in steps.strip().splitlines())
    return f"on: push\njobs:\n  one:\n    runs-on: ubuntu-latest\n    steps:\n{lines}{more}"


def called(seen: dict[str, Any]) -> list[str]:
    return [call["line"] for call in seen["calls"]]


# What each does on GitHub: which stand-ins are called, and whether the run is green. pytest fails.
CASES = {
    "a failing step ends the job": ("- run: pytest\n- run: docker push x", ["pytest"], False),
    "no pipefail without a shell": (
        "- run: pytest | tee report.txt\n- run: docker push x",
        ["pytest", "docker push x"],
        True,
    ),
    "pipefail with bash": ("- shell: bash\n  run: pytest | tee report.txt\n- run: docker push x", ["pytest"], False),
    "set -e within a step": ("- run: |\n    pytest\n    docker push x", ["pytest"], False),
    "or": ("- run: pytest || docker push x", ["pytest", "docker push x"], True),
    "forgiven": ("- continue-on-error: true\n  run: pytest\n- run: docker push x", ["pytest", "docker push x"], True),
    "the outcome of what was forgiven": (
        "- id: test\n  continue-on-error: true\n  run: pytest\n"
        "- if: steps.test.outcome == 'success'\n  run: docker push x\n"
        "- if: steps.test.conclusion == 'success'\n  run: docker push y",
        ["pytest", "docker push y"],
        True,
    ),
    "a condition that is a text": (
        "- id: test\n  continue-on-error: true\n  run: pytest\n"
        "- if: ${{ steps.test.outcome }} == 'success'\n  run: docker push x",
        ["pytest", "docker push x"],
        True,
    ),
    "always": ("- run: pytest\n- if: always()\n  run: docker push x", ["pytest", "docker push x"], False),
    "after a failure": ("- run: pytest\n- if: failure()\n  run: curl alarm", ["pytest", "curl alarm"], False),
    "outputs": (
        '- id: tag\n  run: echo "tag=v7" >> "$GITHUB_OUTPUT"\n- run: docker push x:${{ steps.tag.outputs.tag }}',
        ["docker push x:v7"],
        True,
    ),
    "environment": (
        '- run: echo "TAG=v8" >> "$GITHUB_ENV"\n- run: docker push $TAG\n- run: docker push $TAG\n  env: {TAG: v9}',
        ["docker push v8", "docker push v9"],
        True,
    ),
}


@needs_shell
@pytest.mark.parametrize("name", CASES)
def test_steps_do_what_github_documents(name: str) -> None:
    steps, wanted, green = CASES[name]
    seen = rehearse(workflow(steps), fails="pytest")
    assert (called(seen), seen["green"]) == (wanted, green), seen


@needs_shell
@needs_act
@pytest.mark.parametrize("name", CASES)
def test_steps_do_what_act_does(name: str) -> None:
    steps, _, _ = CASES[name]
    seen = rehearse(workflow(steps), fails="pytest")
    run = act_run.by_act(workflow(steps), fails="pytest")
    assert (called(seen), seen["green"]) == (run.lines, run.green), run.said


TWO_JOBS = """
  two:
    needs: one
    runs-on: ubuntu-latest
    steps:
      - run: docker push x
  alarm:
    needs: [one, two]
    if: failure()
    runs-on: ubuntu-latest
    steps:
      - run: curl alarm
"""


@needs_shell
def test_jobs_wait_for_what_they_need() -> None:
    seen = rehearse(workflow("- run: pytest", TWO_JOBS), fails="pytest")
    assert seen["jobs"] == {"one": "failure", "two": "skipped", "alarm": "success"}
    assert called(seen) == ["pytest", "curl alarm"]
    seen = rehearse(workflow("- run: pytest", TWO_JOBS))
    assert seen["jobs"] == {"one": "success", "two": "success", "alarm": "skipped"}
    assert seen["green"] and called(seen) == ["pytest", "docker push x"]


@needs_shell
@pytest.mark.parametrize(
    ("text", "said"),
    [
        (workflow("- run: pytest", "  two: {needs: nobody, steps: []}"), "there is no such job"),
        ("on: push\njobs: {a: {needs: b, steps: []}, b: {needs: a, steps: []}}", "in a circle"),
        ("on: push\njobs: {a: {strategy: {matrix: {x: [1]}}, steps: []}}", "`strategy` is not known"),
        (workflow("- name: nothing"), "neither `run` nor `uses`"),
        (workflow("- shell: pwsh\n  run: pytest"), "the shell `pwsh`"),
        ("on: push\njobs: {a: {runs-on: x}}", "`steps` must be a list"),
    ],
)
def test_what_is_not_known_is_said(text: str, said: str) -> None:
    with pytest.raises(NotRehearsed, match=said):
        rehearse(text)


@needs_shell
def test_a_secret_is_seen_where_it_is_and_nowhere_else() -> None:
    steps = (
        "- run: pytest\n- run: docker push x\n  env:\n    KEY: ${{ secrets.KEY }}\n"
        "- run: curl ${{ secrets.KEY }}\n- run: docker login\n  env:\n    TOKEN: ${{ secrets.GITHUB_TOKEN }}"
    )
    seen = rehearse(workflow(steps))
    assert [call["secret"] for call in seen["calls"]] == [False, True, False, False]
    assert seen["calls"][2]["line"] == f"curl {SECRET}"


@needs_shell
def test_the_stages_refuse_to_run_where_the_real_ones_do() -> None:
    install, stage = "- run: pip install -r requirements.lock", "- run: python -m flight_delays pipeline"
    checkout = "- uses: actions/checkout@v5"
    for steps, said in (
        (f"{checkout}\n{stage} test", "is it installed?"),
        (f"- run: pip install flight-delays\n{stage} test", "is the code checked out?"),
        (f"{checkout}\n{install}\n{stage} train", "run test first"),
        (f"{checkout}\n- run: pip install -r requirements.txt", "Could not open requirements file: requirements.txt"),
    ):
        seen = rehearse(workflow(steps))
        assert not seen["green"] and said in seen["said"][0], seen["said"]
    seen = rehearse(workflow(f"{checkout}\n{install}\n{stage} --project . test\n{stage} train"))
    assert seen["green"] and called(seen)[1:] == [
        "python -m flight_delays pipeline --project . test",
        "python -m flight_delays pipeline train",
    ]
    seen = rehearse(workflow(f"{checkout}\n{install}\n{stage} --project . test"), fails="pipeline test")
    assert not seen["green"]


@needs_shell
@pytest.mark.parametrize(("hidden", "green"), [("", False), (", include-hidden-files: true", True)])
def test_work_goes_from_job_to_job_by_an_artifact(hidden: str, green: bool) -> None:
    steps = (
        "- uses: actions/checkout@v5\n- run: pip install -r requirements.lock\n"
        "- run: python -m flight_delays pipeline test\n"
        f"- uses: actions/upload-artifact@v5\n  with: {{name: work, path: .pipeline{hidden}}}"
    )
    more = """
  two:
    needs: one
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v5
      - run: pip install -r requirements.lock
      - uses: actions/download-artifact@v5
        with: {name: work, path: .pipeline}
      - run: python -m flight_delays pipeline train
"""
    assert rehearse(workflow(steps, more))["green"] is green


@needs_shell
def test_a_script_goes_on_unless_it_is_told_to_stop() -> None:
    text = "pytest -q\ndocker push x\n"
    seen = rehearse_script(text, fails="pytest")
    assert (seen["code"], called(seen)) == (0, ["pytest -q", "docker push x"])
    seen = rehearse_script("set -e\n" + text, fails="pytest")
    assert (seen["code"], called(seen)) == (1, ["pytest -q"])


@needs_shell
def test_nothing_is_started_by_another_event() -> None:
    seen = rehearse(workflow("- run: pytest"), event="pull_request")
    assert seen == {"started": False, "jobs": {}, "calls": [], "green": True, "said": []}


def test_the_files_of_the_project_are_the_ones_that_are_named() -> None:
    assert "requirements.lock" in FILES and "requirements_prod.txt" not in FILES


def test_where_there_is_no_shell_or_no_act_a_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standins, "shell", lambda: None)
    text = workflow("- run: pytest")
    reason = "bash was not found"
    assert reason in rehearsed(text) and reason in script_rehearsed("pytest") and reason in acted(text)
    with pytest.raises(NoShell):
        rehearse(text)
    with pytest.raises(RuntimeError, match=reason):
        act_run.by_act(text)


@needs_shell
def test_a_run_is_told_in_a_line() -> None:
    steps = "- uses: actions/checkout@v5\n- run: pip install -r requirements.lock\n- run: python -m flight_delays test"
    assert rehearsed(workflow(steps)) == "green: pip install → test"
    assert rehearsed(workflow(steps), event="pull_request") == "not started"
    assert script_rehearsed("pytest -q\ndocker push x", fails="docker") == "exit code 1: pytest -q → docker push"
