"""Lab 05, exercise 6: answers to try."""

from __future__ import annotations

CHECKOUT = "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8"
PYTHON = "actions/setup-python@e797f83bcb11b83ae66e0230d6156d7c80228e7c"
UPLOAD = "actions/upload-artifact@330a01c490aca151604b8cf639adc76d48f6c5d4"
DOWNLOAD = "actions/download-artifact@634f93cb2916e3fdff6788551b99b062d0335ce0"

_TEXT = f"""
name: pipeline
on:
  push:
    branches: [main]
  pull_request:
permissions:
  contents: read
jobs:
  deliver:
    runs-on: ubuntu-latest
    steps:
      - uses: {CHECKOUT}
      - uses: {PYTHON}
      - run: pip install -r requirements.lock
      - run: python -m flight_delays pipeline test
      - run: python -m flight_delays pipeline train
      - run: python -m flight_delays pipeline validate
      - run: python -m flight_delays pipeline package
      - if: github.event_name == 'push' && github.ref == 'refs/heads/main'
        run: python -m flight_delays pipeline deploy
        env:
          PIPELINE_SERVICE_KEY: ${{{{ secrets.SERVICE_KEY }}}}
      - if: github.event_name == 'push' && github.ref == 'refs/heads/main'
        run: python -m flight_delays pipeline monitor
"""
_STEPS = "    steps:\n"
_KEY = "        env:\n          PIPELINE_SERVICE_KEY: ${{ secrets.SERVICE_KEY }}\n"


def _answer(text: str) -> str:
    return f"def workflow():\n    return {text!r}\n"


def _workflow(*changes: tuple[str, str]) -> str:
    text = _TEXT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return _answer(text)


def _piped(stage: str) -> tuple[str, str]:
    return f"pipeline {stage}\n", f"pipeline {stage} | tee log.txt\n"


_JOBS = f"""
on: [push, pull_request]
permissions: {{}}
defaults:
  run:
    shell: bash
jobs:
  check:
    runs-on: ubuntu-24.04
    permissions: {{contents: read}}
    steps:
      - uses: {CHECKOUT}
      - uses: {PYTHON}
      - run: |
          python -m pip install --require-hashes -r requirements.lock
      - {{name: test, run: python -m flight_delays pipeline test}}
      - {{name: train, run: python -m flight_delays pipeline train | tee train.txt}}
      - {{name: validate, run: python -m flight_delays pipeline validate}}
      - {{name: package, run: python -m flight_delays pipeline package}}
      - uses: {UPLOAD}
        with: {{name: work, path: .pipeline, include-hidden-files: true}}
  release:
    needs: check
    if: ${{{{ github.ref == 'refs/heads/main' && github.event_name == 'push' }}}}
    runs-on: ubuntu-24.04
    permissions:
      contents: read
    concurrency: production
    steps:
      - uses: {CHECKOUT}
      - uses: {PYTHON}
      - run: pip install --require-hashes -r requirements.lock
      - uses: {DOWNLOAD}
        with: {{name: work, path: .pipeline}}
      - run: python -m flight_delays pipeline deploy
        env: {{PIPELINE_SERVICE_KEY: "${{{{ secrets.SERVICE_KEY }}}}"}}
      - run: python -m flight_delays pipeline monitor
"""

WORKFLOW_RIGHT = {
    "two jobs and an artifact": _answer(_JOBS),
    "conditions of the default branch": _workflow(
        (
            "github.event_name == 'push' && github.ref == 'refs/heads/main'",
            "github.event_name != 'pull_request' && github.ref_name == github.event.repository.default_branch",
        ),
    ),
}
WORKFLOW_WRONG = {
    "a pipe loses the exit code": (_workflow(_piped("validate")), "validate failed, and the run went on"),
    "continue-on-error": (
        _workflow(
            (
                "      - run: python -m flight_delays pipeline test",
                "      - continue-on-error: true\n        run: python -m flight_delays pipeline test",
            )
        ),
        "test failed, and the run went on",
    ),
    "or true": (
        _workflow(("pipeline validate\n", "pipeline validate || true\n")),
        "validate failed, and the run went on",
    ),
    "always": (
        _workflow(("if: github.event_name == 'push' &&", "if: always() && github.event_name == 'push' &&")),
        "failed, and the run went on",
    ),
    "a condition that is a text": (
        _workflow(
            (
                "if: github.event_name == 'push' && github.ref == 'refs/heads/main'",
                "if: ${{ github.ref }} == 'refs/heads/main'",
            )
        ),
        "A pull request deploys",
    ),
    "jobs side by side": (
        _answer(_JOBS.replace("    needs: check\n", "")),
        "Nothing is wrong with this commit, and the run is red",
    ),
    "the artifact is hidden": (
        _answer(_JOBS.replace(", include-hidden-files: true", "")),
        "Nothing is wrong with this commit, and the run is red",
    ),
    "validate after package": (
        _workflow(
            ("pipeline validate", "pipeline X"),
            ("pipeline package", "pipeline validate"),
            ("pipeline X", "pipeline package"),
        ),
        "Nothing is wrong with this commit, and the run is red",
    ),
    "one step for all": (
        _answer(
            _TEXT[: _TEXT.index("      - run: python")] + "      - run: python -m flight_delays pipeline run\n" + _KEY
        ),
        "`pipeline run` is one step for all",
    ),
    "a script of all stages": (
        _answer(
            _TEXT[: _TEXT.index("      - run: python")]
            + "      - run: for stage in test train validate package deploy monitor; do "
            + "python -m flight_delays pipeline $stage; done\n"
            + _KEY
        ),
        "A pull request deploys",
    ),
    "every branch deploys": (
        _workflow(
            ("    branches: [main]\n", ""), (" && github.ref == 'refs/heads/main'", ""), ("  push:\n", "  push: {}\n")
        ),
        "Only main does",
    ),
    "branches that begin like main": (
        _workflow(
            ("    branches: [main]\n", ""),
            ("  push:\n", "  push: {}\n"),
            ("github.ref == 'refs/heads/main'", "startsWith(github.ref, 'refs/heads/main')"),
        ),
        "A push to main-2 deploys",
    ),
    "no pull requests": (_workflow(("  pull_request:\n", "")), "A pull request starts nothing"),
    "pull requests deploy": (
        _workflow(("github.event_name == 'push' && github.ref == 'refs/heads/main'", "success()")),
        "A pull request deploys",
    ),
    "pull requests are monitored": (
        _answer(_TEXT[: _TEXT.rindex("      - if:")] + "      - run: python -m flight_delays pipeline monitor\n"),
        "Nothing has been deployed, so there is nothing to monitor",
    ),
    "the key for the whole job": (
        _workflow((_KEY, ""), (_STEPS, "    env:\n      PIPELINE_SERVICE_KEY: ${{ secrets.SERVICE_KEY }}\n" + _STEPS)),
        "The key is in the environment of a command that does not need it",
    ),
    "the key in the command": (
        _workflow((_KEY, ""), ("pipeline deploy\n", "pipeline deploy --key ${{ secrets.SERVICE_KEY }}\n")),
        "The key stands in a command line",
    ),
    "no key": (_workflow((_KEY, "")), "`deploy` has no key in its environment"),
    "no permissions": (_workflow(("permissions:\n  contents: read\n", "")), "Nothing is said of `permissions`"),
    "write-all": (
        _workflow(("permissions:\n  contents: read\n", "permissions: write-all\n")),
        "somebody takes over can do all of this",
    ),
    "a token that may write": (
        _workflow(("contents: read", "contents: write")),
        "somebody takes over can do all of this",
    ),
    "tags": (_workflow((CHECKOUT, "actions/checkout@v5")), "can be moved to other code"),
    "the code is not fetched": (
        _workflow((f"      - uses: {CHECKOUT}\n", "")),
        "Nothing is wrong with this commit, and the run is red",
    ),
    "another file of requirements": (
        _workflow(("-r requirements.lock", "-r requirements.txt")),
        "Nothing is wrong with this commit, and the run is red",
    ),
    "nothing is installed": (
        _workflow(("      - run: pip install -r requirements.lock\n", "")),
        "Nothing is wrong with this commit, and the run is red",
    ),
    "no YAML": (_workflow(("  pull_request:\n", "  pull_request\n")), "this is no YAML"),
    "a word that is no context": (
        _workflow(("github.ref == 'refs/heads/main'", "github.ref == main")),
        "`main` is no context",
    ),
    "double quotes in a condition": (
        _workflow(("github.ref == 'refs/heads/main'", 'github.ref == "refs/heads/main"')),
        "This cannot be run",
    ),
    "no machine": (_workflow(("    runs-on: ubuntu-latest\n", "")), "names no machine"),
    "a step for all that a pull request runs": (
        _workflow(
            (
                "      - run: python -m flight_delays pipeline test\n"
                "      - run: python -m flight_delays pipeline train\n"
                "      - run: python -m flight_delays pipeline validate\n"
                "      - run: python -m flight_delays pipeline package\n",
                "      - run: |\n"
                "          python -m flight_delays pipeline test\n"
                "          python -m flight_delays pipeline train\n"
                "          python -m flight_delays pipeline validate\n"
                "          python -m flight_delays pipeline package\n",
            )
        ),
        "in one step",
    ),
    "pull requests are always green": (
        _workflow(
            (
                "      - run: python -m flight_delays pipeline validate\n",
                "      - continue-on-error: ${{ github.event_name == 'pull_request' }}\n"
                "        run: python -m flight_delays pipeline validate\n",
            ),
            (
                "      - run: python -m flight_delays pipeline package\n",
                "      - if: github.event_name == 'push'\n        run: python -m flight_delays pipeline package\n",
            ),
        ),
        "failed in a pull request",
    ),
    "the commits swapped": (
        _workflow((PYTHON, "actions/setup-python@" + CHECKOUT.partition("@")[2])),
        "is a commit of another action",
    ),
}
