"""lessonkit.ci_files: the commands of a CI file in the order in which its system runs them."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from lessonkit import jenkinsfile
from lessonkit.ci_files import CiFile, CiFileError, read

NAMES = (".github/workflows/pipeline.yml", ".gitlab-ci.yml", "Jenkinsfile", "azure-pipelines.yml")
GITHUB, GITLAB, JENKINS, AZURE = NAMES


def written(folder: Path, name: str, text: str) -> CiFile:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(text), encoding="utf-8")
    return read(path)


def test_github_jobs_come_after_what_they_need(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        GITHUB,
        """
        on: push
        env: {A: "1", B: "${{ vars.B }}"}
        jobs:
          last:
            needs: [first]
            if: github.ref == 'refs/heads/main'
            runs-on: x
            steps:
              - run: three
                if: always()
          first:
            runs-on: x
            env: {A: 2}
            steps:
              - uses: actions/checkout@v5
              - {name: One, run: one, env: {C: c}}
              - run: |
                  two
                  and more
                continue-on-error: true
        """,
    )
    assert found.system == "GitHub Actions"
    assert found.stages == {"first": ["one", "two\nand more"], "last": ["three"]}
    one, two, three = found.steps
    assert (one.name, one.environment, one.condition, one.may_fail) == ("One", {"A": "2", "C": "c"}, "", False)
    assert two.may_fail
    assert three.condition == "github.ref == 'refs/heads/main' and always()" and three.environment == {"A": "1"}
    assert three.filled_in == {"B": "${{ vars.B }}"}


def test_gitlab_stages_defaults_and_extends(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        GITLAB,
        """
        stages: [build, ship]
        variables: {A: "1", DIR: $CI_PROJECT_DIR/x}
        default: {before_script: [prepare]}
        .base:
          variables: {B: "2"}
          rules: [{if: $CI_COMMIT_BRANCH == "main"}, {if: $X, when: manual}]
        ship:
          extends: .base
          stage: ship
          variables: {C: "3"}
          before_script: []
          script: send
        build:
          stage: build
          script: [one, [two, three]]
          after_script: [tidy]
          allow_failure: true
        """,
    )
    assert found.commands == ["prepare", "one", "two", "three", "tidy", "send"]
    assert all(step.may_fail for step in found.steps[:5])
    last = found.steps[-1]
    assert last.environment == {"A": "1", "B": "2", "C": "3"} and last.filled_in == {"DIR": "$CI_PROJECT_DIR/x"}
    assert not last.may_fail
    assert last.condition == '$CI_COMMIT_BRANCH == "main" or $X and when: manual'


def test_azure_stages_jobs_and_deployments(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        AZURE,
        """
        variables: [{group: secrets}, {name: A, value: "1"}]
        stages:
          - stage: build
            jobs:
              - job: second
                dependsOn: first
                steps: [{bash: two, continueOnError: true}]
              - job: first
                variables: {B: "2"}
                steps: [{checkout: self}, {script: one, displayName: One}, {task: X@1}]
          - stage: ship
            condition: succeeded()
            jobs:
              - deployment: live
                strategy: {runOnce: {deploy: {steps: [{script: send, env: {KEY: $(KEY)}}]}}}
        """,
    )
    assert found.stages == {"build": ["one", "two"], "ship": ["send"]}
    one, two, send = found.steps
    assert (one.name, one.environment) == ("One", {"A": "1", "B": "2"}) and two.may_fail
    assert send.condition == "succeeded()" and send.environment == {"A": "1"}
    assert send.filled_in == {"KEY": "$(KEY)"}


def test_an_azure_file_of_nothing_but_steps(tmp_path: Path) -> None:
    assert written(tmp_path, AZURE, "steps: [{script: one}, {pwsh: two}]").commands == ["one", "two"]


def test_a_declarative_jenkinsfile(tmp_path: Path) -> None:
    found = written(
        tmp_path,
        JENKINS,
        r"""
        /* sh 'not this' */
        pipeline {
          agent { docker { image 'x'; args "-v a:b" } }
          environment { A = '1'; KEY = credentials('key'); HERE = "${WORKSPACE}/x" }
          stages {
            stage('One') { steps { sh 'one { "a" }' // sh 'nor this'
              sh(script: "say \"it\"\\n", label: 'sh') } }
            stage("Two") {
              when { allOf { branch 'main'; not { changeRequest() } } }
              environment { B = '2' }
              parallel {
                stage('left') { steps { withCredentials([string(credentialsId: 'k', variable: 'K')]) { sh 'left' } } }
                stage('right') { steps { catchError { sh '''
                  right
                  more''' } } }
              }
              post { always { sh 'not a step' } }
            }
          }
        }
        """,
    )
    assert found.commands == ['one { "a" }', 'say "it"\\n', "left", "right\n          more"]
    assert list(found.stages) == ["One", "left", "right"]
    assert found.steps[0].environment == {"A": "1"} and found.steps[0].condition == ""
    assert found.steps[0].filled_in == {"KEY": "$credentials('key')", "HERE": "${WORKSPACE}/x"}
    left, right = found.steps[2:]
    assert left.environment == {"A": "1", "B": "2"} and not left.may_fail and right.may_fail
    assert left.condition == "allOf { branch 'main'; not { changeRequest ( ) } }"


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("Makefile", "all:", "none of the four"),
        (GITHUB, "jobs: [", "is not YAML"),
        (GITHUB, "- a", "a mapping is expected, found list"),
        (GITHUB, "on: push", "not built like a file of GitHub Actions: KeyError('jobs')"),
        (GITHUB, "jobs: {a: {needs: b, steps: []}, b: {needs: a, steps: []}}", "no order: a, b wait for each other"),
        (GITHUB, "jobs: {a: {uses: ./x.yml}}", "job a calls the workflow ./x.yml"),
        (GITLAB, "include: [x.yml]", "it includes other files"),
        (GITLAB, "a: {stage: nowhere, script: x}", "job a belongs to stage nowhere"),
        (AZURE, "extends: {template: x}", "it extends a template"),
        (AZURE, "stages: [{stage: a, jobs: [{job: b, steps: [{template: t.yml}]}]}]", "it uses the template t.yml"),
        (JENKINS, "node { sh 'x' }", "found 0: it is not declarative"),
        (JENKINS, "pipeline { agent any }", "line 1: `pipeline` has no `stages`"),
        (JENKINS, "pipeline {\n stages {", "line 2: { is not closed"),
        (JENKINS, "pipeline { stages { } }\n}", "line 2: } closes nothing"),
        (JENKINS, "pipeline { stages {\nstage('a') { steps { script { x() } } } } }", "line 2: what script does"),
        (JENKINS, "pipeline { stages {\nstage('a') { steps { sh command } } } }", "line 2: what sh is given is known"),
        (JENKINS, "pipeline {\nenvironment { A }\nstages { } }", "line 2: NAME = value is expected"),
        (JENKINS, "pipeline { stages { stage('a') { steps { sh('x') ) } } } }", "line 1: ) closes nothing"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str, text: str, told: str) -> None:
    with pytest.raises(CiFileError) as error:
        written(tmp_path, name, text)
    assert told in str(error.value) and str(error.value).startswith(Path(name).name)


def test_a_command_handed_back_as_a_status_may_fail() -> None:
    text = "pipeline { stages { stage('a') { steps { sh(script: 'x', returnStatus: true)\n sh 'returnStatus' } } } }"
    assert [one.may_fail for one in jenkinsfile.shells(text)] == [True, False]
