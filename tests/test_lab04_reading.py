"""Lab 04 without an engine: what its reader makes of a Dockerfile, and what nobody gets built or brought up."""

from __future__ import annotations

from pathlib import PurePath
from pathlib import PurePosixPath as Path

import pytest

from checks.lab04_compose import Composed, Service, _expect_harmless, _plain
from checks.lab04_contents import left_out
from checks.lab04_dockerfile import read_dockerfile, split_commands
from checks.lab04_running import seconds
from labkit.answer import Wrong
from lessonkit.inside import containers
from lessonkit.shipping import BASE, screening_service, training_project

FILES = ("a.txt", "b.txt", "code/main.py", "code/deep/more.py", "my file")


def files(text: str) -> dict[str, str]:
    """Path in the image to file of the project, for one stage that begins in /app."""
    return {
        str(p): name for p, name in read_dockerfile(f"FROM {BASE}\nWORKDIR /app\n{text}", FILES).final.files.items()
    }


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("COPY a.txt .", {"/app/a.txt": "a.txt"}),
        ("COPY a.txt b", {"/app/b": "a.txt"}),
        ("COPY a.txt b/", {"/app/b/a.txt": "a.txt"}),
        ("COPY a.txt /x", {"/x": "a.txt"}),
        ("COPY *.txt /x/", {"/x/a.txt": "a.txt", "/x/b.txt": "b.txt"}),
        ("COPY a.txt b.txt ./", {"/app/a.txt": "a.txt", "/app/b.txt": "b.txt"}),
        ("COPY code code", {"/app/code/main.py": "code/main.py", "/app/code/deep/more.py": "code/deep/more.py"}),
        ("COPY code .", {"/app/main.py": "code/main.py", "/app/deep/more.py": "code/deep/more.py"}),
        ("COPY code/main.py .", {"/app/main.py": "code/main.py"}),
        ("COPY --chown=1:1 ./a.txt ../y", {"/y": "a.txt"}),
        ('COPY ["my file", "/x"]', {"/x": "my file"}),
        ("ENV PLACE=/srv\nCOPY a.txt ${PLACE}/a", {"/srv/a": "a.txt"}),
        ("ARG PLACE=/srv\nWORKDIR $PLACE\nWORKDIR deep\nADD a.txt .", {"/srv/deep/a.txt": "a.txt"}),
        ("COPY a.txt \\\n  # a word between\n  b.txt /x/", {"/x/a.txt": "a.txt", "/x/b.txt": "b.txt"}),
        (f"COPY code .\nFROM {BASE}\nCOPY --from=0 /app/deep /z", {"/z/more.py": "code/deep/more.py"}),
        (f"COPY code .\nFROM {BASE}\nCOPY --from=0 /app/main.py /z/", {"/z/main.py": "code/main.py"}),
        ("COPY a.txt .\nRUN rm a.txt", {"/app/a.txt": "a.txt"}),
    ],
)
def test_copy_puts_files_where_docker_does(text: str, wanted: dict[str, str]) -> None:
    assert files(text) == wanted


def test_a_whole_project_is_copied_as_it_lies() -> None:
    assert files("COPY . .") == {f"/app/{name}": name for name in FILES}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("FROM ubuntu", "reaches no registry"),
        (f"# syntax=docker/dockerfile:1\nFROM {BASE}", "fetch a program"),
        (f"FROM {BASE}\nCOPY --from=alpine /etc/passwd /", "No stage before this one"),
        (f"FROM {BASE}\nRUN --mount=type=bind,from=alpine,target=/x ls", "No stage before this one"),
        (f"FROM {BASE}\nADD https://example.org/x /x", "the network"),
        (f"FROM {BASE}\nADD git@example.org:a/b.git /x", "the network"),
        (f"FROM {BASE}\nRUN --network=host ls", "takes --mount and no"),
        (f"FROM {BASE}\nRUN --security=insecure ls", "takes --mount and no"),
        (f"ARG IMAGE=ubuntu\nFROM $IMAGE\nRUN ls # {BASE}", "reaches no registry"),
        (f"FROM {BASE} AS a\nFROM b", "reaches no registry"),
        (f"FROM {BASE}\nCOPY ../secret /", "leads out of the project"),
        (f"FROM {BASE}\nRUN <<END\nls\nEND", "older engines"),
        (f"FROM {BASE}\nCOPY missing /", "The project has no `missing`"),
        (f"FROM {BASE}\nRUN echo 'a", "A quote is not closed"),
        ("RUN ls", "The first instruction is not FROM"),
        (f"FROM {BASE}\nPIP install x", "Did you mean RUN"),
        ("# nothing", "There is no FROM"),
    ],
)
def test_what_would_be_fetched_or_is_no_dockerfile_is_refused_before_anything_is_built(text: str, told: str) -> None:
    with pytest.raises(Wrong, match=told):
        read_dockerfile(text, FILES)


def test_a_change_is_followed_through_stages() -> None:
    text = f"""FROM {BASE} AS one
COPY a.txt /
RUN make
FROM one AS two
COPY b.txt /
FROM {BASE}
RUN first
COPY --from=two /x /x
RUN second
"""
    read = read_dockerfile(text, FILES)
    lines = {name: [step.instruction.rest for step in read.again(name)] for name in ("a.txt", "b.txt", "my file")}
    assert lines == {
        "a.txt": ["a.txt /", "make", "b.txt /", "/x /x", "second"],
        "b.txt": ["b.txt /", "/x /x", "second"],
        "my file": [],
    }


def test_pip_is_known_however_it_is_called() -> None:
    lines = ["pip install a", "cd /x && python3 -m pip -q install a", "PIP_X=1 pip3 install a; ls", "uv pip install a"]
    for line in [*lines, '["pip", "install", "a"]']:
        read = read_dockerfile(f"FROM {BASE}\nRUN {line}", FILES)
        assert [arguments for _, _, arguments in read.final.installs()] == [["a"]], line
    other = read_dockerfile(f"FROM {BASE}\nRUN echo pip install && pip list", FILES)
    assert not list(other.final.installs())


def test_a_line_for_a_shell_is_split_at_its_operators_and_not_in_quotes() -> None:
    assert list(split_commands("a 'b && c' && d | e; f")) == [["a", "b && c"], ["d"], ["e"], ["f"]]


@pytest.mark.parametrize(("text", "wanted"), [("5s", 5), ("1m30s", 90), ("500ms", 0.5), ("1.5h", 5400)])
def test_durations(text: str, wanted: float) -> None:
    assert seconds(text, "") == wanted


@pytest.mark.parametrize("text", ["", "5", "s", "5 s", "5d", "5sx"])
def test_no_durations(text: str) -> None:
    with pytest.raises(Wrong):
        seconds(text, "")


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ("8000:8000", ("", "8000")),
        (8000, ("", "8000")),
        ("127.0.0.1:8000:8000", ("127.0.0.1", "8000")),
        ("127.0.0.1::8000/tcp", ("127.0.0.1", "8000")),
        ("[::1]:8000:8000", ("::1", "8000")),
        ({"target": 8000, "published": "80", "host_ip": "127.0.0.1"}, ("127.0.0.1", "8000")),
        ({"target": 8000, "published": 80}, ("", "8000")),
    ],
)
def test_ports_in_both_ways_of_writing(entry: object, wanted: tuple[str, str]) -> None:
    assert Service("api", {"ports": [entry]}).ports == [wanted]


PAIR = "services:\n  api:\n    image: x\n    {more}\n  store: {{image: x}}\n{top}"


@pytest.mark.parametrize(
    "more",
    [
        *(
            "privileged: true",
            "network_mode: host",
            "pid: host",
            "env_file: /etc/passwd",
            "extends: {file: /etc/passwd}",
        ),
        *(
            "volumes: ['/:/host']",
            "devices: ['/dev/sda']",
            "cap_add: [ALL]",
            "configs: [x]",
            "ipc: host",
            "userns_mode: host",
        ),
    ],
)
def test_a_service_that_reaches_out_of_its_container_is_not_started(more: str) -> None:
    with pytest.raises(Wrong, match="leave it out"):
        _expect_harmless(Composed(PAIR.format(more=more, top="")))


@pytest.mark.parametrize("top", ["include: [/etc/x.yaml]", "volumes: {x: {}}", "configs: {x: {file: /etc/passwd}}"])
def test_a_file_that_names_others_is_not_brought_up(top: str) -> None:
    with pytest.raises(Wrong, match="leave it out"):
        _expect_harmless(Composed(PAIR.format(more="", top=top)))


def test_no_variable_of_the_grader_is_filled_in() -> None:
    assert _plain({"a": ["$HOME", "${HOME}", "$$x"], "b": 1}) == {"a": ["$$HOME", "$${HOME}", "$$x"], "b": 1}


def test_dockerignore_leaves_out_what_docker_leaves_out() -> None:
    names = [*training_project()]
    assert left_out("**/.env\n# a word\n\n", names) == [".env", "deploy/.env"]
    assert left_out(".env", names) == [".env"]
    assert set(left_out("*\n!server.py", names)) == set(names) - {"server.py"}
    assert left_out("**/.git/", names) == [name for name in names if name.startswith(".git/")]
    assert Path(left_out("applications/*-10.csv", names)[0]).name == "2026-10.csv"


def test_the_projects_are_the_same_each_time_and_small() -> None:
    assert screening_service(3) == screening_service(3) != screening_service(4)
    assert sum(map(len, training_project().values())) < 200_000


def test_without_an_engine_the_cells_between_say_so_in_one_line_and_go_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: PurePath
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with containers() as scope:
        assert scope is None
    assert capsys.readouterr().out.count("\n") == 1
