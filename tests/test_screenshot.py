"""Pictures of pages of this machine: a real one where there is a browser, one line where there is none."""

from __future__ import annotations

import http.server
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lessonkit import screenshot as module
from lessonkit.screenshot import screenshot


class Page(http.server.BaseHTTPRequestHandler):
    content = b"<!doctype html><title>t</title><p id=there style='background:#0072b2;height:300px'>here</p>"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.content)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def url() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.skipif(bool(module.missing()), reason=module.missing())
def test_a_page_becomes_a_picture_of_the_size_asked_for(url: str) -> None:
    picture = screenshot(url, "#there", width=400, height=320)
    assert picture.data.startswith(b"\x89PNG")
    assert [int.from_bytes(picture.data[start : start + 4]) for start in (16, 20)] == [400, 320]


@pytest.mark.skipif(bool(module.missing()), reason=module.missing())
def test_a_page_that_never_finishes_is_one_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert screenshot(url, "#never", patience_s=3) is None
    assert capsys.readouterr().out.startswith("No picture: the page did not finish.")


@pytest.mark.skipif(bool(module.missing()), reason=module.missing())
def test_a_long_temporary_folder_is_no_obstacle(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chromium itself dies of one: the path of a socket has about a hundred characters."""
    scratch = tmp_path / ("long" * 20)
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert screenshot(url, "#there", width=200, height=100) is not None
    assert not list(scratch.iterdir())


@pytest.mark.skipif(bool(module.missing()), reason=module.missing())
def test_a_page_without_its_script_is_not_waited_for(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Page, "content", b"<script src='http://127.0.0.1:9/none.js'></script><p id=there>here</p>")
    assert screenshot(url, "#there") is None
    assert capsys.readouterr().out.startswith("No picture: the page did not finish.")


def test_without_a_browser_it_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(module, "BROWSERS", ("no-such-browser",))
    assert screenshot("http://127.0.0.1:9/", "p") is None
    told = capsys.readouterr().out
    assert told.count("\n") == 1 and told.startswith("No picture: ")


@pytest.mark.parametrize("address", ["http://example.com/", "file:///etc/hosts", "https://127.0.0.1:1/"])
def test_only_pages_of_this_machine(address: str) -> None:
    with pytest.raises(ValueError, match=r"http://127\.0\.0\.1:PORT"):
        screenshot(address, "p")
