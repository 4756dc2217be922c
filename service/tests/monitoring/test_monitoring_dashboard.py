"""Dashboards, rules and what provides them, as files: whole, and about metrics that there are.

That Prometheus answers each query stands in test_monitoring_prometheus.py. Grafana was not run.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from flight_delays.monitoring.bins import CHECKED
from flight_delays.monitoring.exporter import DISTANCES, FIGURES, SHARES, Snapshot, WatchCollector
from flight_delays.schemas import EXAMPLE_FLIGHT

yaml = pytest.importorskip("yaml", reason="settings: PyYAML is not installed")
MONITORING = Path(__file__).parents[2] / "monitoring"
DASHBOARDS = sorted((MONITORING / "grafana/dashboards").glob("*.json"))
RULES = sorted((MONITORING / "rules").glob("*.yml"))
TESTS = sorted((MONITORING / "tests").glob("*.yml"))


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())  # JSON is YAML as well


def expressions(path: Path) -> list[str]:
    if path.suffix == ".json":
        return [target["expr"] for panel in read(path)["panels"] for target in panel["targets"]]
    return [rule["expr"] for group in read(path)["groups"] for rule in group["rules"]]


@pytest.fixture(scope="module")
def panels() -> dict[str, list[dict[str, Any]]]:
    return {path.stem: read(path)["panels"] for path in DASHBOARDS}


class Everything:
    """A watch that knows every figure there is."""

    snapshot = Snapshot(
        1.0,
        date(2013, 7, 1),
        date(2013, 7, 28),
        {name: dict.fromkeys(CHECKED, 0.0) for name in SHARES},
        {name: {(check, 28): 0.0 for check in CHECKED} for name in DISTANCES},
        dict.fromkeys(FIGURES, 0.0),
    )
    rows_read = failures = 0


def test_rules_and_dashboards_name_metrics_that_there_are(
    make_client: Callable[..., Any], bundle_folder: Path
) -> None:
    client = make_client(bundle_folder)
    assert client.predict({"flight": EXAMPLE_FLIGHT}).status_code == 200
    served = set(re.findall(r"^\w+", client.request("GET", "/metrics").text, re.MULTILINE))
    watched = {
        sample.name
        for family in WatchCollector(Everything()).collect()
        for sample in family.samples
    }
    told = {"flight_delays_alert_messages_total", "flight_delays_alerts_total"}
    recorded = {rule["record"] for file in RULES for rule in rules(file) if "record" in rule}
    known = served | watched | told | recorded
    named = {
        name
        for file in (*DASHBOARDS, *RULES)
        for text in expressions(file)
        for name in re.findall(r"\b(?:flight_delays|process)[\w:]*", text)
    }
    assert len(named) > 25
    assert named <= known
    shown = {name for name in named if name in watched}
    assert len(shown) > 15  # most of what the watch has is looked at somewhere


def rules(path: Path) -> list[dict[str, Any]]:
    return [rule for group in read(path)["groups"] for rule in group["rules"]]


def test_a_watch_has_a_bounded_number_of_series() -> None:
    families = list(WatchCollector(Everything()).collect())
    series = sum(len(family.samples) for family in families)
    labels = {label for family in families for sample in family.samples for label in sample.labels}
    assert labels == {"feature", "days"}
    assert series <= len(CHECKED) * len(SHARES | DISTANCES) + len(FIGURES) + 5


def test_a_watch_that_has_seen_nothing_claims_nothing() -> None:
    class Nothing:
        snapshot = None
        rows_read, failures = 0, 3

    samples = [s for family in WatchCollector(Nothing()).collect() for s in family.samples]
    assert {s.name: s.value for s in samples} == {
        "flight_delays_watch_read_rows_total": 0,
        "flight_delays_watch_failures_total": 3,
    }


def test_panels_are_whole(panels: dict[str, list[dict[str, Any]]]) -> None:
    assert set(panels) == {"model", "service"}
    source = read(MONITORING / "grafana/provisioning/datasources/prometheus.yml")["datasources"][0]
    for name, some in panels.items():
        assert len({panel["id"] for panel in some}) == len(some), name
        assert len({panel["title"] for panel in some}) == len(some), name
        for panel in some:
            assert panel["title"] and panel["description"].endswith("."), panel["title"]
            assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
            references = [target["refId"] for target in panel["targets"]]
            assert references and len(set(references)) == len(references), panel["title"]
            sources = {one["datasource"]["uid"] for one in (panel, *panel["targets"])}
            assert sources == {source["uid"]}, panel["title"]
    uids = [read(path)["uid"] for path in DASHBOARDS]
    assert len(set(uids)) == len(uids)


def test_no_panel_lies_on_another(panels: dict[str, list[dict[str, Any]]]) -> None:
    for name, some in panels.items():
        taken: dict[tuple[int, int], str] = {}
        for panel in some:
            at = panel["gridPos"]
            assert at["x"] + at["w"] <= 24, panel["title"]
            for x in range(at["x"], at["x"] + at["w"]):
                for y in range(at["y"], at["y"] + at["h"]):
                    other = taken.setdefault((x, y), panel["title"])
                    assert other == panel["title"], f"{name}: {panel['title']} lies on {other}"


def test_every_alert_says_what_to_do_and_reaches_somebody() -> None:
    alerts = [rule for file in RULES for rule in rules(file) if "alert" in rule]
    assert {rule["labels"]["severity"] for rule in alerts} == {"page", "ticket"}
    for rule in alerts:
        assert set(rule["annotations"]) == {"summary", "what_to_do"}, rule["alert"]
    settings = read(MONITORING / "alertmanager.yml")
    (loop, people) = settings["route"]["routes"]
    assert loop["matchers"] == ['about="model"'] and loop["continue"]
    assert set(people) == {"receiver"}  # no matcher: everything
    about = {rule["alert"] for rule in alerts if rule["labels"].get("about") == "model"}
    assert about == {"DataFault", "Drift", "Decay"}


def test_every_alert_has_a_test_of_when_it_fires_and_when_it_does_not() -> None:
    fires, stays = set(), {"ServerErrors"}  # its one case has instances that are quiet beside it
    for test in (test for file in TESTS for test in read(file)["tests"]):
        for case in test.get("alert_rule_test", ()):
            (fires if case["exp_alerts"] else stays).add(case["alertname"])
        for case in test.get("promql_expr_test", ()):
            if not case["exp_samples"]:
                stays |= set(re.findall(r'alertname="(\w+)"', case["expr"]))
    alerts = {rule["alert"] for file in RULES for rule in rules(file) if "alert" in rule}
    assert fires == alerts
    assert alerts <= stays
