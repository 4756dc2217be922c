"""The course in a real browser: JupyterLab runs lesson 01 from top to bottom, and lab 01 is solved in it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, sync_playwright

from labkit.build import mark

from .notebooks import ROOT

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
TOKEN = "only-for-this-test"
MINUTES = 5 * 60_000

pytestmark = pytest.mark.skipif(
    BROWSER is None, reason="no Chromium was found: install it to see the course in a browser"
)

# JupyterLab's own application object, which --expose-app-in-browser puts into the page.
READY = "() => window.jupyterapp && window.jupyterapp.shell.currentWidget?.context?.isReady"
IDLE = """() => {
    const panel = window.jupyterapp.shell.currentWidget;
    return panel.sessionContext.session?.kernel?.status === 'idle';
}"""
FILL = """(answers) => {
    const cells = window.jupyterapp.shell.currentWidget.content.model.cells;
    for (let i = 0; i < cells.length; i++) {
        const cell = cells.get(i), id = (cell.getMetadata('nbgrader') || {}).grade_id;
        if (id in answers) cell.sharedModel.setSource(answers[id]);
    }
}"""
CELLS = "() => window.jupyterapp.shell.currentWidget.content.model.toJSON().cells"


@pytest.fixture(scope="module")
def lab_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Page, str]]:
    """A browser page, and the address of a JupyterLab whose folder is a copy of the course."""
    course = tmp_path_factory.mktemp("a course")  # with a space in its path
    for name in ("notebooks", "labs", "solutions"):
        shutil.copytree(ROOT / name, course / name)
    shutil.copy(ROOT / "environment.yml", course)
    with server(course, tmp_path_factory.mktemp("home")) as address, sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
        browser = playwright.chromium.launch(executable_path=BROWSER, args=options)
        yield browser.new_page(viewport={"width": 1400, "height": 1000}), address
        browser.close()


@contextlib.contextmanager
def server(course: Path, home: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--expose-app-in-browser", "--ServerApp.port=0"]
    command += ["--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={course}", f"--IdentityProvider.token={TOKEN}"]
    command += ["--allow-root"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    folders = {
        f"JUPYTER{name}_DIR": str(home / name) for name in ("_CONFIG", "_DATA", "LAB_SETTINGS", "LAB_WORKSPACES")
    }
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **folders, "LABKIT_HOME": str(home / "labkit")},
    )
    try:
        found = next(filter(None, (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stderr)), None)
        assert found, "JupyterLab ended before it said where it listens"
        yield found.group()
    finally:
        process.terminate()
        process.communicate(timeout=60)


def open_notebook(page: Page, address: str, path: str) -> None:
    for _ in range(50):  # the address is printed a moment before anybody listens there
        with contextlib.suppress(Exception):
            page.goto(f"{address}/doc/tree/{path}?token={TOKEN}", wait_until="domcontentloaded", timeout=MINUTES)
            break
        page.wait_for_timeout(100)
    page.wait_for_function(READY, timeout=MINUTES)
    page.wait_for_function(IDLE, timeout=MINUTES)


def run_all(page: Page) -> list[dict]:
    """Run > Run All Cells, as the menu does it; gives the cells once the last one has ended."""
    page.evaluate("async () => { await window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.wait_for_function(IDLE, timeout=MINUTES)
    return page.evaluate(CELLS)


def errors(cells: list[dict]) -> list[str]:
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    return [f"{c['id']}: {o['evalue']}" for c in code for o in c["outputs"] if o["output_type"] == "error"]


def test_lesson_01_runs_from_top_to_bottom_in_the_browser(lab_page: tuple[Page, str]) -> None:
    page, address = lab_page
    open_notebook(page, address, "notebooks/01_model_serialization.ipynb")
    page.wait_for_selector(".jp-RenderedMermaid svg, .jp-RenderedMermaid img", timeout=MINUTES)
    cells = run_all(page)
    assert errors(cells) == []
    counts = [cell["execution_count"] for cell in cells if cell["cell_type"] == "code"]
    assert counts == list(range(1, len(counts) + 1))


def test_lab_01_is_solved_in_the_browser(lab_page: tuple[Page, str]) -> None:
    page, address = lab_page
    solution = nbformat.read(ROOT / "solutions/lab01_save_once/lab01_save_once.ipynb", as_version=4)
    answers = {mark(cell)["grade_id"]: cell.source for cell in solution.cells if mark(cell).get("solution")}
    open_notebook(page, address, "labs/lab01_save_once/lab01_save_once.ipynb")
    page.evaluate(FILL, answers)
    cells = run_all(page)
    assert errors(cells) == []
    graded = [cell for cell in cells if cell["metadata"]["nbgrader"].get("grade")]
    assert len(graded) == len(answers)
    for cell in graded:
        report = json.dumps(cell["outputs"])
        assert ">correct<" in report, f"{cell['id']}: {report[:500]}"
