"""test: the project's own tests, by pytest, on the code of the project's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TextIO
from uuid import uuid4
from xml.etree import ElementTree

from flight_delays.disk import rename
from flight_delays.pipeline.config import SERVICE_PREFIX
from flight_delays.pipeline.inputs import file_digest, installed, package_digest, tree_digest
from flight_delays.pipeline.outcome import Misconfigured, OutsideFailed, SaysNo
from flight_delays.pipeline.stage import DRAFT, Done, Stage

REPORT_FILE = "report.xml"
TESTS_FAILED, INTERRUPTED, INTERNAL_ERROR, USAGE_ERROR, NO_TESTS = range(1, 6)  # pytest's codes


class TestStage(Stage):
    """Run pytest; outputs report.xml (JUnit)."""

    __test__ = False  # not a test, though its name begins like one
    name = "test"

    def inputs(self) -> dict[str, str]:
        project = self.place.project
        settings = project / "pyproject.toml"
        return {
            "code": package_digest(),
            "tests": tree_digest(project / "tests", ("*.py", "*.json", "*.toml", "*.csv")),
            "pyproject.toml": file_digest(settings) if settings.is_file() else "",
            "[test]": self.place.section("test"),
            "libraries": installed(),
        }

    def work(self) -> Done:
        section, project = self.place.config.test, self.place.project
        draft = self.folder / f"{DRAFT}{uuid4().hex}.xml"
        command = [sys.executable, "-m", "pytest", *section.arguments, f"--junit-xml={draft}"]
        # The tests have no business with the service's key.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(SERVICE_PREFIX)}
        if (source := project / "src").is_dir():
            paths = [str(source), environment.get("PYTHONPATH", "")]
            environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
        try:
            code = subprocess.run(
                command,
                cwd=project,
                env=environment,
                timeout=section.timeout_s,
                stdout=_file_of(sys.stdout),
                stderr=_file_of(sys.stderr),
                check=False,
            ).returncode
        except subprocess.TimeoutExpired:
            raise SaysNo(f"the tests did not end within {section.timeout_s:g} s") from None
        except OSError as error:
            raise OutsideFailed(f"pytest: {error}") from None
        if code in (USAGE_ERROR, NO_TESTS):
            raise Misconfigured("[test] arguments: pytest found no test by them, see above")
        if not draft.is_file():
            raise OutsideFailed(f"pytest ended with code {code} and wrote no report, see above")
        report = self.folder / REPORT_FILE
        rename(draft, report)
        counts = _Counts(report)
        if code != 0:
            raise SaysNo(*(counts.failed or [f"pytest ended with code {code}"]))
        return Done(counts.said(), [report], {"tests": counts.tests})


def _file_of(stream: TextIO) -> TextIO | None:
    """Where pytest is to print: to the same file as this process, also if that was redirected."""
    try:
        stream.fileno()
    except (OSError, ValueError, AttributeError):  # no file of the system's; pytest inherits ours
        return None
    return stream


class _Counts:
    """What a JUnit report says."""

    def __init__(self, path: Path) -> None:
        cases = list(ElementTree.parse(path).getroot().iter("testcase"))
        self.tests = len(cases)
        self.skipped = sum(case.find("skipped") is not None for case in cases)
        self.failed = [
            f"{case.get('classname')}::{case.get('name')}: {_first_line(fault)}"
            for case in cases
            for fault in [*case.findall("failure"), *case.findall("error")]
        ]

    def said(self) -> str:
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.tests - self.skipped} tests passed{skipped}"


def _first_line(fault: ElementTree.Element) -> str:
    return (fault.get("message") or fault.text or "failed").strip().splitlines()[0][:200]
