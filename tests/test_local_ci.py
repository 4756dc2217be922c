"""The small CI system of lesson 05, and the visitor who goes on asking meanwhile."""

from __future__ import annotations

import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest

from lessonkit import postmortem
from lessonkit.ci_files import Step
from lessonkit.local_ci import Run, how_far
from lessonkit.visitor import NOT_READY, Answer, Visit, visiting


def step(name: str, program: str) -> Step:
    return Step("job", name, f'python -c "{program}"', {"FROM_FILE": "file"})


def test_a_step_is_run_in_its_folder_and_what_it_wrote_is_kept(tmp_path: Path) -> None:
    run = Run("a push")
    told = step("test", "import os; print(os.getcwd()); print('- why'); print('test: no'); raise SystemExit(3)")
    assert run.do(told, tmp_path) == 3
    done = run["test"]
    assert Path(done.output.splitlines()[0]).samefile(tmp_path)
    assert (done.last_line, done.reasons, run.stopped_by) == ("test: no", ["why"], "test")
    assert run.table() == "test  3  no"


def test_a_step_gets_its_own_variables_and_none_that_this_process_has_for_a_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_SERVICE_KEY", "of somebody else")
    run = Run("a push")
    asked = step(
        "deploy", "import os; print([os.environ.get(n) for n in ('FROM_FILE', 'GIVEN', 'PIPELINE_SERVICE_KEY')])"
    )
    run.do(asked, tmp_path, {"GIVEN": "here"})
    assert run["deploy"].last_line == "['file', 'here', None]"
    assert run.stopped_by == ""


def test_what_a_step_leaves_in_the_temporary_folder_goes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    run = Run("a push")
    run.do(step("test", "import tempfile; print(tempfile.mkdtemp())"), tmp_path)
    assert Path(run["test"].last_line).parent.parent.samefile(tmp_path)
    assert not list(tmp_path.iterdir())


def test_how_far_a_push_got(tmp_path: Path) -> None:
    good, bad = Run("good"), Run("bad")
    for run, code in ((good, 0), (bad, 1)):
        run.do(step("test", "pass"), tmp_path)
        run.do(step("train", f"raise SystemExit({code})"), tmp_path)
    good.do(step("deploy", "pass"), tmp_path)
    table = how_far([good, bad], ["test", "train", "deploy"])
    assert table.loc["good"].tolist() == ["passed", "passed", "passed"]
    assert table.loc["bad"].tolist() == ["passed", "no", ""]


def test_a_visit_counts_what_failed_and_not_what_is_not_ready() -> None:
    kinds = [(NOT_READY, None), (200, "a"), (200, "a"), (200, "b"), (500, None), (0, None), (200, "a")]
    visit = Visit([Answer(at, status, version) for at, (status, version) in enumerate(kinds)])
    assert (len(visit.served), len(visit.refused), visit.failed) == (4, 1, 2)
    assert visit.versions == ["a", "b", "a"]


def test_a_visitor_notes_each_answer_and_goes_on_after_an_error() -> None:
    asked, enough = [], threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["Content-Length"])))
            if len(asked) == 2:
                return self.send_error(500)
            content = b'{"version": "v1"}' if len(asked) != 3 else b"no JSON"
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
            if len(asked) >= 6:
                enough.set()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with visiting(f"http://127.0.0.1:{server.server_port}", {"origin": "JFK"}, a_second=200) as visit:
            assert enough.wait(30)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert [answer.status for answer in visit.answers[:4]] == [200, 500, 0, 200]
    assert visit.failed == 2 and set(visit.versions) == {"v1"}
    assert asked[0] == b'{"flight": {"origin": "JFK"}}'


def test_only_services_of_this_machine_are_visited() -> None:
    with pytest.raises(ValueError, match="a service of this machine"), visiting("http://example.org:80", {}):
        pass


def test_flights_of_another_version_of_the_code(tmp_path: Path) -> None:
    code = tmp_path / "flights.py"
    code.write_text(
        "import pandas as pd\n\n\ndef load_flights():\n    return pd.DataFrame({'a': [1]})\n", encoding="utf-8"
    )
    pd.testing.assert_frame_equal(postmortem.flights_by(code), pd.DataFrame({"a": [1]}))
