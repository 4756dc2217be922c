"""Lab 05, exercises 7 and 8: answers to try."""

from __future__ import annotations

from typing import Any

from .lab05_workflow import CHECKOUT

_FOUND: dict[str, dict[int, str]] = {
    "release.yml": {
        5: "too many rights",
        10: "not pinned",
        12: "no such file",
        16: "failure hidden",
        18: "made-up figure",
        21: "old command",
        23: "not pinned",
        25: "always true",
    },
    "nightly.sh": {4: "wrong package", 5: "goes on"},
    "Dockerfile": {2: "key in the image"},
    "stability.py": {7: "wrong check"},
}


def _find(file: str = "", *gone: int, **more: Any) -> str:
    """The answer without some lines of a file, and with others: `add={line: kind}`."""
    found = {name: dict(named) for name, named in _FOUND.items()}
    for line in gone:
        del found[file][line]
    found.get(file, {}).update(more.get("add", {}))
    return f"def defects():\n    return {found!r}\n"


FIND_RIGHT = {
    "other lines of the same defects": f"""
def defects():
    found = {_FOUND!r}
    del found["release.yml"][23]
    found["release.yml"][26] = "not pinned"
    found["nightly.sh"] = {{1: "goes on", 4: "wrong package"}}
    found["Dockerfile"] = {{2: "key in the image", 3: "key in the image"}}
    found["stability.py"] = {{2: "wrong check"}}
    return found
""",
    "the build at night": _find("nightly.sh", 5, add={6: "goes on"}),
    "more lines than one": _find("release.yml", add={15: "failure hidden", 26: "not pinned"}),
}
FIND_WRONG = {
    "the condition is not seen": (_find("release.yml", 25), "`always true` that is not named"),
    "the pipe is not seen": (
        _find("release.yml", 16, add={15: "failure hidden"}),
        "forgives a failure, which is seen rightly",
    ),
    "another name for it": (_find("release.yml", 16, add={16: "goes on"}), "took it for `goes on`"),
    "the script looks fine": (_find("nightly.sh", 5), "`goes on` that is not named"),
    "the image's tag is not seen": (_find("release.yml", 23), "a second line of the kind `not pinned`"),
    "pickle-mixin sounds right": (_find("nightly.sh", 4), "`wrong package` that is not named"),
    "the key is not seen": (_find("Dockerfile", 2), "`key in the image` that is not named"),
    "the preset is not seen": (_find("stability.py", 7), "`wrong check` that is not named"),
    "the coverage is not seen": (_find("release.yml", 18), "`made-up figure` that is not named"),
    "sound lines accused": (_find("release.yml", add={8: "not pinned", 14: "old command"}), "These lines are sound"),
    "every line": (
        """
def defects():
    return {name: dict.fromkeys(range(1, 27), "not pinned") for name in CLINIC}
""",
        "These lines are sound",
    ),
    "lines as texts": (
        "def defects():\n    return {'nightly.sh': {'4': 'wrong package'}}\n",
        "Give a dict from file to a dict from line to kind",
    ),
    "a kind of one's own": (_find("nightly.sh", add={4: "typo squatting"}), "There is no kind"),
}

_RELEASE = f"""
name: release
on:
  push:
    branches: [main]
permissions:
  contents: read
jobs:
  release:
    runs-on: ubuntu-latest
    steps:
      - uses: {CHECKOUT}
      - name: install
        run: pip install -r requirements.lock
      - name: test
        run: pytest -q > report.txt
      - name: build
        run: docker build -t registry.example/flights:$GITHUB_SHA .
      - name: publish
        run: docker push registry.example/flights:$GITHUB_SHA
"""
_NIGHTLY = """#!/bin/bash
set -euo pipefail
pip install -r requirements.lock
pytest -q
docker build -t registry.example/flights:$1 .
docker push registry.example/flights:$1
"""
_SAVED = "pytest -q > report.txt"


def _mend(release: str = _RELEASE, nightly: str = _NIGHTLY) -> str:
    return f"def mended_release():\n    return {release!r}\n\ndef mended_nightly():\n    return {nightly!r}\n"


def _release(*changes: tuple[str, str]) -> str:
    text = _RELEASE
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return _mend(release=text)


def _nightly(*changes: tuple[str, str]) -> str:
    text = _NIGHTLY
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return _mend(nightly=text)


MEND_RIGHT = {
    "the tee stays, with pipefail": _mend(
        _RELEASE.replace(
            f"        run: {_SAVED}",
            "        id: test\n        shell: bash\n        run: |\n          pytest -q --cov | tee report.txt",
        ).replace(
            "      - name: publish\n", "      - name: publish\n        if: ${{ steps.test.outcome == 'success' }}\n"
        ),
        """#!/bin/bash
pip install -r requirements.lock || exit 1
pytest -q && docker build -t registry.example/flights:"$1" . && docker push registry.example/flights:"$1"
""",
    ),
    "the old text with its lines replaced": f"""
def mended_release():
    text = CLINIC["release.yml"]
    for old, new in (
        ("permissions: write-all", "permissions: {{contents: read}}"),
        ("actions/checkout@main", "{CHECKOUT}"),
        ("requirements_prod.txt", "requirements.lock"),
        ("        continue-on-error: true\\n", ""),
        ("run: pytest -q | tee report.txt", "run: set -o pipefail; pytest -q | tee report.txt"),
        ('      - name: coverage\\n        run: echo "coverage 94%" > coverage.txt\\n', ""),
        ('echo "::set-output name=tag::$GITHUB_SHA"', 'echo "tag=$GITHUB_SHA" >> "$GITHUB_OUTPUT"'),
        ("flights:latest", "flights:${{{{ steps.tag.outputs.tag }}}}"),
        ("        if: ${{{{ steps.test.outcome }}}} == 'success'\\n", ""),
    ):
        assert old in text, old
        text = text.replace(old, new)
    return text

def mended_nightly():
    text = CLINIC["nightly.sh"].replace("pip install pickle-mixin\\n", "")
    return text.replace("#!/bin/bash\\n", "#!/bin/bash\\nset -e\\n")
""",
}
MEND_WRONG = {
    "as they were": (
        "mended_release, mended_nightly = (lambda: CLINIC['release.yml']), (lambda: CLINIC['nightly.sh'])",
        "The requirements file that it names does not exist",
    ),
    "the condition alone": (
        _release(
            (
                f"        run: {_SAVED}",
                "        id: test\n        continue-on-error: true\n        run: pytest -q | tee report.txt",
            ),
            ("      - name: publish\n", "      - name: publish\n        if: steps.test.outcome == 'success'\n"),
        ),
        "pytest failed and the image was published all the same",
    ),
    "the pipe stays": (_release((_SAVED, "pytest -q | tee report.txt")), "pytest failed and the image was published"),
    "forgiven, and not published": (
        _release(
            (f"        run: {_SAVED}", f"        id: test\n        continue-on-error: true\n        run: {_SAVED}"),
            ("      - name: publish\n", "      - name: publish\n        if: steps.test.outcome == 'success'\n"),
        ),
        "pytest failed and the run is green",
    ),
    "conclusion instead of outcome": (
        _release(
            (f"        run: {_SAVED}", f"        id: test\n        continue-on-error: true\n        run: {_SAVED}"),
            ("      - name: publish\n", "      - name: publish\n        if: steps.test.conclusion == 'success'\n"),
        ),
        "pytest failed and the image was published all the same",
    ),
    "latest": (_release(("flights:$GITHUB_SHA", "flights:latest")), "one that moves"),
    "no tag": (_release(("flights:$GITHUB_SHA", "flights")), "An image without a tag"),
    "set-output": (
        _release(
            (
                "      - name: build\n",
                '      - id: tag\n        run: echo "::set-output name=tag::$GITHUB_SHA"\n      - name: build\n',
            ),
            ("flights:$GITHUB_SHA", "flights:${{ steps.tag.outputs.tag }}"),
        ),
        "`::set-output` hands on nothing here",
    ),
    "built and pushed under two names": (
        _release(("build -t registry.example/flights:$GITHUB_SHA", "build -t flights")),
        "Another name is pushed",
    ),
    "write-all": (
        _release(("permissions:\n  contents: read", "permissions: write-all")),
        "somebody takes over can do all of this",
    ),
    "a tag of the action": (_release((CHECKOUT, "actions/checkout@v5")), "can be moved to other code"),
    "the coverage stays": (
        _release(("      - name: build\n", '      - run: echo "coverage 94%" > coverage.txt\n      - name: build\n')),
        "A coverage is still written down",
    ),
    "nothing is tested any more": (
        _release((f"      - name: test\n        run: {_SAVED}\n", "")),
        "`pytest` was not called",
    ),
    "the script goes on": (_nightly(("set -euo pipefail\n", "")), "the script went on and published"),
    "an option for pipes alone": (
        _nightly(("set -euo pipefail", "set -o pipefail")),
        "the script went on and published",
    ),
    "it stops, and says that all is well": (
        _nightly(("pytest -q\n", "pytest -q || exit 0\n")),
        "ends with exit code 0",
    ),
    "pickle-mixin stays": (
        _nightly(("pytest -q\n", "pip install pickle-mixin\npytest -q\n")),
        "pickle-mixin is still installed",
    ),
    "latest at night": (_nightly(("flights:$1", "flights:latest")), "named by the revision, $1"),
    "every branch publishes": (_release(("    branches: [main]\n", ""), ("  push:\n", "  push: {}\n")), "Only main"),
    "pull requests publish": (
        _release(("    branches: [main]\n", "    branches: [main]\n  pull_request:\n")),
        "Only main",
    ),
    "not from the lock": (
        _release(("pip install -r requirements.lock", "pip install pytest flight-delays")),
        "The locked requirements are not installed",
    ),
    "a coverage measured, and another told": (
        _release(
            (_SAVED, "pytest -q --cov"),
            ("      - name: build\n", '      - run: echo "coverage 94%" > coverage.txt\n      - name: build\n'),
        ),
        "A coverage is still written down",
    ),
    "built under another name at night": (
        _nightly(("build -t registry.example/flights:$1", "build -t flights")),
        "Another name is pushed",
    ),
    "latest as well": (
        _nightly(
            (
                "docker push registry.example/flights:$1\n",
                "docker push registry.example/flights:$1\ndocker push registry.example/flights:latest\n",
            )
        ),
        "named by the revision, $1",
    ),
}
