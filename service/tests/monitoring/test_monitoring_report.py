"""The report for a person: Evidently's HTML, whole, offline, and the command that makes it."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import pytest

from flight_delays.cli import main
from flight_delays.features import NAMES
from flight_delays.monitoring.clock import by_request_id
from flight_delays.monitoring.labels import LabelStore
from flight_delays.monitoring.window import read_window

pytest.importorskip("evidently", reason="the report needs flight-delays[monitoring]")


@pytest.fixture(scope="module")
def reference_file(reference, tmp_path_factory) -> Path:
    return reference.write(tmp_path_factory.mktemp("reference") / "reference.json")


@pytest.mark.filterwarnings("ignore")  # of the libraries under Evidently, at import
def test_the_report_is_one_file_that_needs_no_network(reference, logged, tmp_path) -> None:
    from flight_delays.monitoring.report import write_report

    with LabelStore(logged.labels) as labels:
        window = read_window(
            logged.log, labels, date(2013, 8, 1), date(2013, 8, 7), date(2013, 8, 31),
            by_request_id, reference.bins.vocabulary,
        )  # fmt: skip
    path = write_report(reference, window, tmp_path / "made" / "report.html")
    text = path.read_text(encoding="utf-8")
    for name in (*NAMES, "probability", "ROC AUC"):
        assert name in text
    assert not re.findall(r"<(?:script|img|iframe)[^>]*\ssrc=[\"']?(?!data:)", text)
    assert not re.findall(r"<link[^>]*\shref=[\"']?(?!data:)", text)
    assert not re.findall(r"url\(['\"]?https?:", text)
    assert path.stat().st_size < 8_000_000


def test_an_empty_window_has_no_report(reference, logged, tmp_path) -> None:
    from flight_delays.monitoring.report import write_report

    window = read_window(logged.log, None, date(2012, 1, 1), date(2012, 1, 1), date(2013, 1, 1))
    with pytest.raises(ValueError, match="expected flights to report on"):
        write_report(reference, window, tmp_path / "x.html")
    assert not (tmp_path / "x.html").exists()


def test_the_commands_labels_and_report(reference_file, logged, tmp_path, capsys) -> None:
    csv, store = tmp_path / "labels.csv", tmp_path / "labels.sqlite"
    lines = ["request_id,row,late,known_at"]
    flights = logged.flights[logged.flights["departure"].dt.month == 7]
    hours = flights["departure"].dt.floor("h")
    for hour, part in flights.groupby(hours):
        for row, late in enumerate(part["late"]):
            lines.append(f"{hour:%Y%m%d-%H%M}-test,{row},{int(late)},2013-08-01T06:00:00")
    csv.write_text("\n".join([*lines, lines[-1]]) + "\n")
    files = ["--log", str(logged.log), "--labels", str(store)]
    assert main(["monitoring", "labels", str(csv), *files]) == 0
    told = capsys.readouterr().out
    assert f"{len(flights):,} flights have a label" in told and "1 came again" in told
    assert "0 wait for a request" in told

    period = ["--first", "2013-07-01", "--last", "2013-07-31", "--as-of", "2013-08-01"]
    words = ["monitoring", "report", "--reference", str(reference_file), *files, *period]
    assert main([*words, "--by-request-id"]) == 0
    told = capsys.readouterr().out
    assert f"{len(flights):,} flights" in told
    for word in ("quality", "feature", "prediction", "decay", "origin EWR, before 9:00"):
        assert word in told

    assert main([*words[:3], str(tmp_path / "none"), *words[4:]]) == 1
    assert "no reference there" in capsys.readouterr().err


@pytest.mark.parametrize("where", [["--by-request-id"], []])
def test_a_summary_has_a_line_for_each_day(logged, reference_file, capsys, where) -> None:
    period = ["--first", "2013-08-01", "--last", "2013-08-31"]
    words = ["--reference", str(reference_file), "--log", str(logged.log), *period, *where]
    assert main(["monitoring", "summary", *words]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split()[:3] == ["day", "flights", "twice"]
    assert [line.split()[0] for line in lines] == [f"2013-08-{day:02}" for day in range(1, 32)]
    in_august = logged.flights["departure"].dt.month == 8
    assert sum(int(line.split()[1].replace(",", "")) for line in lines) == in_august.sum()
