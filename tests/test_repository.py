"""A project under git, or without it: pushed, undone, copied clean."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from lessonkit import repository
from lessonkit.repository import CopiedProject, GitProject
from lessonkit.settings_file import with_setting

SETTINGS = """\
# settings
as_of = 2013-07-31 # the newest day

[model]
max_iter = 100 # trees

[test]
arguments = [
  "-q",
  "one.py",
]

[deploy]
"""


@pytest.fixture(params=["git", "no git"])
def project(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> repository.Project:
    """A project of two files, with git and as on a machine without it."""
    source = tmp_path / "source"
    (source / "src" / "__pycache__").mkdir(parents=True)
    (source / "src" / "code.py").write_text("x = 1\n", encoding="utf-8")
    (source / "src" / "__pycache__" / "code.pyc").write_bytes(b"")
    (source / "settings.toml").write_text(SETTINGS, encoding="utf-8")
    if request.param == "git":
        if shutil.which("git") is None:
            pytest.skip("git was not found")
    else:
        monkeypatch.setattr(repository.shutil, "which", lambda name: None)
    made = repository.start(source, ["src", "settings.toml"], tmp_path / "place")
    assert isinstance(made, GitProject if request.param == "git" else CopiedProject)
    return made


def test_a_checkout_holds_what_was_pushed_last_and_nothing_else(project: repository.Project, tmp_path: Path) -> None:
    project.push("first")
    project.replace("src/code.py", "x = 1", "x = 2")
    checkout = project.checkout(tmp_path / "checkout")
    assert (checkout / "src" / "code.py").read_text(encoding="utf-8") == "x = 1\n", "not pushed yet"
    (checkout / "kept").mkdir()
    (checkout / "kept" / "file").write_text("work", encoding="utf-8")
    (checkout / "leftover").write_text("of another run", encoding="utf-8")
    project.push("second")
    project.checkout(checkout, keep=["kept", "never there"])
    assert (checkout / "src" / "code.py").read_text(encoding="utf-8") == "x = 2\n"
    assert (checkout / "kept" / "file").read_text(encoding="utf-8") == "work"
    assert not (checkout / "leftover").exists() and not (checkout / "src" / "__pycache__").exists()
    assert project.messages() == ["first", "second"]


def test_the_difference_is_the_changed_lines(project: repository.Project) -> None:
    project.push("first")
    project.replace("src/code.py", "x = 1", "x = 2")
    project.push("second")
    assert project.difference() == "-x = 1\n+x = 2"


def test_undo_takes_the_newest_push_back(project: repository.Project, tmp_path: Path) -> None:
    project.push("first")
    project.replace("src/code.py", "x = 1", "x = 2")
    project.push("second")
    project.undo()
    checkout = project.checkout(tmp_path / "checkout")
    assert (checkout / "src" / "code.py").read_text(encoding="utf-8") == "x = 1\n"
    assert (project.folder / "src" / "code.py").read_text(encoding="utf-8") == "x = 1\n"
    assert project.messages() == ["first", "second", 'Revert "second"']


def test_a_text_that_is_not_there_once_is_not_replaced(project: repository.Project) -> None:
    with pytest.raises(ValueError, match="found it 0 times"):
        project.replace("src/code.py", "y = 1", "y = 2")


def test_without_git_one_line_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(repository.shutil, "which", lambda name: None)
    repository.start(tmp_path, [], tmp_path / "place")
    assert capsys.readouterr().out.startswith("git was not found")


def test_settings_of_this_machine_do_not_reach_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook, a signature or another name that the learner has configured would change the lesson."""
    if shutil.which("git") is None:
        pytest.skip("git was not found")
    config = tmp_path / "gitconfig"
    config.write_text("[commit]\n\tgpgsign = true\n[user]\n\tname = somebody\n", encoding="utf-8")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    project = repository.start(tmp_path, [], tmp_path / "place")
    project.push("first")
    assert project.git("log", "--format=%an") == "learner"


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("as_of", date(2013, 5, 31), "as_of = 2013-05-31 # the newest day"),
        ("model.max_iter", 300, "max_iter = 300 # trees"),
        ("model.threshold", 0.5, "threshold = 0.5"),
        ("deploy.limit", 0.01, "limit = 0.01"),
    ],
)
def test_a_setting_is_changed_or_added_in_its_section(name: str, value: object, line: str) -> None:
    changed = with_setting(SETTINGS, name, value)
    assert line in changed.splitlines()
    others = [each for each in SETTINGS.splitlines() if each.split(" = ")[0] != name.split(".")[-1]]
    assert [each for each in changed.splitlines() if each != line] == others


def test_a_list_over_several_lines_is_replaced_whole() -> None:
    changed = with_setting(SETTINGS, "test.arguments", ["-q", "two.py"])
    assert 'arguments = ["-q", "two.py"]' in changed and "one.py" not in changed


def test_an_unknown_section_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\[gate\]: there is no such section"):
        with_setting(SETTINGS, "gate.margin", 1)
