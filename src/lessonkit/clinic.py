"""Four files of somebody's project, with the defects that were found in public ones. None of them is used here.

CLINIC["release.yml"]      # the text
numbered("release.yml")    # with line numbers, to be shown
"""

from __future__ import annotations

from IPython.display import Markdown

CLINIC: dict[str, str] = {
    "release.yml": """\
name: release
on:
  push:
    branches: [main]
permissions: write-all
jobs:
  release:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@main
      - name: install
        run: pip install -r requirements_prod.txt
      - name: test
        id: test
        continue-on-error: true
        run: pytest -q | tee report.txt
      - name: coverage
        run: echo "coverage 94%" > coverage.txt
      - name: tag
        id: tag
        run: echo "::set-output name=tag::$GITHUB_SHA"
      - name: build
        run: docker build -t registry.example/flights:latest .
      - name: publish
        if: ${{ steps.test.outcome }} == 'success'
        run: docker push registry.example/flights:latest
""",
    "nightly.sh": """\
#!/bin/bash
# Every night: test, build, publish. Called with the revision as its argument.
pip install -r requirements.lock
pip install pickle-mixin
pytest -q
docker build -t registry.example/flights:$1 .
docker push registry.example/flights:$1
""",
    "Dockerfile": """\
FROM python:3.11.14-slim
ARG AWS_SECRET_ACCESS_KEY
ENV AWS_SECRET_ACCESS_KEY=$AWS_SECRET_ACCESS_KEY
WORKDIR /app
COPY requirements.lock fetch_model.py ./
RUN pip install --require-hashes -r requirements.lock
RUN python fetch_model.py s3://flights/model.onnx
COPY src src
USER 10001
CMD ["python", "-m", "flight_delays", "serve"]
""",
    "stability.py": """\
\"\"\"Has the input changed since last month? Run each night, with Evidently before 0.7.\"\"\"
from evidently.test_preset import DataQualityTestPreset
from evidently.test_suite import TestSuite


def unstable(reference, current):
    suite = TestSuite(tests=[DataQualityTestPreset()])
    suite.run(reference_data=reference, current_data=current)
    return not suite.as_dict()["summary"]["all_passed"]
""",
}
LANGUAGES = {"release.yml": "yaml", "nightly.sh": "bash", "Dockerfile": "dockerfile", "stability.py": "python"}

KINDS: dict[str, str] = {
    "always true": "a condition that looks like one and holds whatever happens",
    "failure hidden": "the exit code of what failed is lost, so the step is green",
    "goes on": "a command fails and the next ones run all the same",
    "too many rights": "more is allowed than the job needs",
    "not pinned": "what is named may be something else tomorrow",
    "no such file": "a file that the project does not have",
    "wrong package": "what is installed is not what somebody thought",
    "key in the image": "a secret that whoever has the image can read",
    "old command": "a way to hand on a value that was given up",
    "made-up figure": "a number that nothing has measured",
    "wrong check": "another question is answered than the one that was asked",
}


def numbered(name: str) -> Markdown:
    """A file of the clinic with its line numbers, as Markdown."""
    lines = (f"{number:>2}  {line}" for number, line in enumerate(CLINIC[name].splitlines(), 1))
    text = "\n".join(lines)
    return Markdown(f"**{name}**\n\n```text\n{text}\n```")
