"""pyproject.toml is the only list: the locks, environment.yml and the service follow from it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

LEARNER, TESTER = "requirements.lock", "requirements-test.lock"
PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)(?:\[.*?\])?==(?P<version>[^ ]+)(?: ; (?P<marker>.*?))? \\$", re.M)


def project(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))


def pins(root: Path, lock: str) -> dict[str, list[Version]]:
    found: dict[str, list[Version]] = {}
    for match in PIN.finditer((root / lock).read_text(encoding="utf-8")):
        found.setdefault(canonicalize_name(match["name"]), []).append(Version(match["version"]))
    return found


def wanted(root: Path, lock: str) -> list[Requirement]:
    table = project(root)["project"]
    extra = table["optional-dependencies"]["test"] if lock == TESTER else []
    return [Requirement(text) for text in table["dependencies"] + extra]


@pytest.mark.parametrize("lock", [LEARNER, TESTER])
def test_every_requirement_is_pinned_within_its_bounds(root: Path, lock: str) -> None:
    pinned = pins(root, lock)
    for requirement in wanted(root, lock):
        versions = pinned.get(canonicalize_name(requirement.name))
        assert versions, f"{lock} does not pin {requirement.name}: run `make lock`"
        for version in versions:
            assert version in requirement.specifier, f"{lock} pins {requirement.name} {version}, not {requirement}"


@pytest.mark.parametrize("lock", [LEARNER, TESTER])
def test_nothing_is_locked_that_nobody_asked_for(root: Path, lock: str) -> None:
    """Each pin says which package or list it comes from; a leftover would name a list that has it no more."""
    blocks = re.split(r"\n(?=[A-Za-z0-9])", (root / lock).read_text(encoding="utf-8"))[1:]
    direct = {canonicalize_name(requirement.name) for requirement in wanted(root, lock)}
    for block in blocks:
        name = canonicalize_name(re.split(r"\[|==", block)[0])
        if re.search(r"ship-the-model.*\(pyproject\.toml\)", block):
            assert name in direct, f"{lock} pins {name} for pyproject.toml, which does not list it: run `make lock`"


def test_the_larger_lock_holds_the_smaller(root: Path) -> None:
    small, large = pins(root, LEARNER), pins(root, TESTER)
    assert {name: large.get(name) for name in small} == small


@pytest.mark.parametrize("lock", [LEARNER, TESTER])
def test_every_pin_has_a_hash_and_no_index_is_named(root: Path, lock: str) -> None:
    text = (root / lock).read_text(encoding="utf-8")
    lines = text.splitlines()
    for number, line in enumerate(lines[:-1]):
        if PIN.match(line + "\n"):
            assert lines[number + 1].strip().startswith("--hash=sha256:"), f"{lock}:{number + 1}: no hash for {line}"
    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|file:", text)


@pytest.mark.parametrize("lock", [LEARNER, TESTER])
def test_what_slows_every_notebook_process_is_left_out(root: Path, lock: str) -> None:
    """rfc3987-syntax builds a parser for two seconds in each process that imports nbformat."""
    assert "rfc3987-syntax" not in pins(root, lock)


def test_environment_yml_installs_the_lock_and_nothing_else(root: Path) -> None:
    conda = yaml.safe_load((root / "environment.yml").read_text(encoding="utf-8"))
    table = project(root)["project"]
    assert conda["name"] == table["name"]
    python, pip, through_pip = conda["dependencies"]
    assert python == "python" + table["requires-python"]
    assert pip == "pip"
    assert through_pip == {"pip": [f"--requirement {LEARNER}"]}


def test_the_service_asks_for_what_the_list_says(root: Path) -> None:
    """The service is a project of its own; what it needs is worded as in the one list."""
    table = tomllib.loads((root / "service/pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = table["dependencies"] + [
        text for extra in table.get("optional-dependencies", {}).values() for text in extra
    ]
    ours = project(root)["project"]
    assert set(asked) <= set(ours["dependencies"] + ours["optional-dependencies"]["test"])
    assert table["requires-python"] == ours["requires-python"]
