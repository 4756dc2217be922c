"""compose.yaml: the service and its watchers find each other, come up in order, give alarm."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from flight_delays.schemas import EXAMPLE_FLIGHT

SERVICE = Path(__file__).parents[1]
MONITORING = SERVICE / "monitoring"
DASHBOARD = MONITORING / "grafana/dashboards/service.json"
BASE = "python:3.11-slim"
WATCHERS = "prometheus", "alertmanager"
PATIENCE_S = 90  # for what has no event to wait for; a test that needs all of it fails


def until(found: Callable[[], Any]) -> Any:
    """Wait until something outside this process is found."""
    deadline = time.monotonic() + PATIENCE_S
    while not (seen := found()):
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.2)
    return seen


@pytest.fixture(scope="module")
def composition() -> dict[str, Any]:
    """compose.yaml, read."""
    return yaml.safe_load((SERVICE / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def expressions() -> list[str]:
    """Every PromQL expression of the dashboard."""
    panels = json.loads(DASHBOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]


@pytest.mark.parametrize("file", ["compose.yaml", "compose.debian.yaml"])
def test_it_follows_the_compose_specification(file: str) -> None:
    beside = Path(sys.executable).parent  # where pip puts it
    check = shutil.which("check-jsonschema", path=f"{beside}{os.pathsep}{os.environ.get('PATH')}")
    if check is None:
        pytest.skip("compose files are not checked: check-jsonschema is not installed")
    command = [check, "--builtin-schema", "vendor.compose-spec", str(SERVICE / file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "version" not in yaml.safe_load((SERVICE / file).read_text())  # obsolete, and warned of


def test_every_service_is_bounded_and_on_this_machine_only(composition: dict[str, Any]) -> None:
    assert set(composition["services"]) == {"api", "prometheus", "alertmanager", "grafana"}
    for name, service in composition["services"].items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"mem_limit", "cpus", "pids_limit"} <= set(service), name
        assert service["networks"] == ["watch"], name
        assert "healthcheck" in service or name == "api", name  # which has its image's
        assert all(port.startswith("127.0.0.1:${") for port in service["ports"]), name
        fixed_tag = re.fullmatch(r"\$\{[A-Z]+_IMAGE:-[^:]+:(?!latest)[^:]+\}", service["image"])
        assert fixed_tag, f"{name}: {service['image']}"
        assert not any(word in key for key in service.get("environment", {}) for word in ("_KEY",)
                       if not key.endswith("_FILE")), name  # fmt: skip
    assert all(set(secret) == {"file"} for secret in composition["secrets"].values())


def test_prometheus_asks_and_tells_by_the_names_of_compose(composition: dict[str, Any]) -> None:
    config = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    static = [
        *(block for job in config["scrape_configs"] for block in job["static_configs"]),
        *(block for one in config["alerting"]["alertmanagers"] for block in one["static_configs"]),
    ]
    names = {target.partition(":")[0] for block in static for target in block["targets"]}
    assert names - {"localhost"} <= set(composition["services"])
    source = yaml.safe_load(
        (MONITORING / "grafana/provisioning/datasources/prometheus.yml").read_text()
    )["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert {panel["datasource"]["uid"] for panel in panels} == {source["uid"]}


def test_rules_and_dashboard_name_metrics_that_the_service_has(
    make_client: Callable[..., Any], two_bundles: list[Path], expressions: list[str]
) -> None:
    client = make_client(two_bundles[0])
    assert client.predict({"flight": EXAMPLE_FLIGHT}).status_code == 200
    served = set(re.findall(r"^\w+", client.request("GET", "/metrics").text, re.MULTILINE))
    rules = yaml.safe_load((MONITORING / "rules/service.yml").read_text())["groups"]
    asked = [*expressions, *(rule["expr"] for group in rules for rule in group["rules"])]
    named = {
        name for text in asked for name in re.findall(r"\b(?:flight_delays|process)_\w+", text)
    }
    assert len(named) > 5
    assert named <= served


class Stack:
    """The containers of compose.yaml under a project of their own."""

    def __init__(self, engine: Any, folder: Path, stand_ins: bool) -> None:
        self.engine = engine
        self.since = str(time.time())
        self.addresses: dict[str, str] = {}
        key = folder / "key"
        key.write_text("a-key-for-tests-only\n")
        tags = {
            "API_IMAGE": f"flight-delays:test-{engine.value}",
            **{f"{n.upper()}_IMAGE": f"{n}:test-{engine.value}" for n in WATCHERS if stand_ins},
        }
        ports = dict.fromkeys(("API_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT"), "0")
        self.environment = os.environ | tags | ports | {"KEY_FILE": str(key)}
        files = [SERVICE / "compose.yaml"]
        files += [SERVICE / "compose.debian.yaml"] if stand_ins else []
        files += [self._labels(folder / "labels.json", stand_ins)]
        self.words = ["compose", "--project-directory", str(SERVICE)]
        self.words += ["--project-name", f"fd-test-{engine.value.replace('_', '-')}"]
        self.words += [word for file in files for word in ("--file", str(file))]

    def _labels(self, file: Path, stand_ins: bool) -> Path:
        """Write one more file for compose, by which all that it makes can be found and removed."""
        labels = {"labels": dict([self.engine.label.split("=")])}
        built = {"api", *(WATCHERS if stand_ins else ())}
        services = {
            n: labels | ({"build": labels} if n in built else {}) for n in ("api", *WATCHERS)
        }
        volumes = dict.fromkeys(("state", *WATCHERS), labels)
        file.write_text(
            json.dumps({"services": services, "volumes": volumes, "networks": {"watch": labels}})
        )
        return file

    def compose(self, *words: str) -> str:
        done = subprocess.run(
            ["docker", *self.words, *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=self.environment,
            timeout=500,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:]
        return done.stdout.strip()

    def ask(self, service: str, port: int, path: str, **parameters: str) -> Any:
        """What a service answers on its published port, as JSON; None where it does not answer."""
        if service not in self.addresses:
            self.addresses[service] = self.compose("port", service, str(port))
        try:
            url = f"http://{self.addresses[service]}{path}"
            answer = httpx.get(url, params=parameters, timeout=PATIENCE_S)
        except httpx.TransportError:
            return None
        return answer.json() if answer.status_code == 200 else None

    def prometheus(self, path: str, **parameters: str) -> Any:
        return (self.ask("prometheus", 9090, path, **parameters) or {}).get("data")


@pytest.fixture(scope="module")
def stack(engine: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """All of compose.yaml, healthy."""
    if subprocess.run(
        ["docker", "compose", "version"], capture_output=True, check=False
    ).returncode:
        pytest.skip("containers: docker's part `compose` is not installed")
    if not engine.has_image(BASE):
        pytest.skip(f"containers: {BASE} is not on this machine and cannot be fetched")
    composition = yaml.safe_load((SERVICE / "compose.yaml").read_text())["services"]
    official = [composition[name]["image"].partition(":-")[2].rstrip("}") for name in WATCHERS]
    stand_ins = not all(map(engine.has_image, official))
    if stand_ins:
        fetch = [sys.executable, str(MONITORING / "debian/fetch.py")]
        fetched = subprocess.run(fetch, capture_output=True, text=True, check=False)
        if fetched.returncode:
            pytest.skip(f"containers: {official} cannot be fetched; Debian's: {fetched.stderr}")
    print("stand-ins out of Debian's packages" if stand_ins else official)
    stack = Stack(engine, tmp_path_factory.mktemp("compose"), stand_ins)
    try:
        try:
            stack.compose("up", "--build", "--detach", "--wait", "--wait-timeout", "240")
        except AssertionError:
            print(stack.compose("ps", "--all"), stack.compose("logs"), sep="\n")
            raise
        yield stack
    finally:
        stack.compose("down", "--volumes", "--timeout", "5")


def test_docker_reads_it_as_meant(stack: Stack) -> None:
    read = json.loads(stack.compose("config", "--format", "json"))
    for name in ("api", *WATCHERS):
        (port,) = read["services"][name]["ports"]
        assert (port["host_ip"], port["published"]) == ("127.0.0.1", "0")
    waits = read["services"]["prometheus"]["depends_on"]
    assert {n: wait["condition"] for n, wait in waits.items()} == {
        "api": "service_healthy",
        "alertmanager": "service_healthy",
    }


def test_prometheus_starts_when_the_others_are_healthy(engine: Any, stack: Stack) -> None:
    lines = engine.run(
        *("events", "--since", stack.since, "--until", str(time.time())),
        *("--filter", f"label={engine.label}", "--filter", "type=container"),
        *("--format", "{{json .}}"),
    )
    happened = [json.loads(line) for line in lines.splitlines()]
    seen = [
        (event["Actor"]["Attributes"].get("com.docker.compose.service"), event["Action"])
        for event in happened
    ]
    started = seen.index(("prometheus", "start"))
    for name in ("api", "alertmanager"):
        assert seen.index((name, "health_status: healthy")) < started


def test_the_containers_are_as_bounded_as_the_file_says(engine: Any, stack: Stack) -> None:
    for name in ("api", *WATCHERS):
        container = engine.inspect("container", stack.compose("ps", "--quiet", name))
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and host["Memory"] > 0, name
        assert container["Config"]["User"] not in ("", "root", "0"), name
        addresses = [one["HostIp"] for ports in host["PortBindings"].values() for one in ports]
        assert addresses == ["127.0.0.1"], name
        assert "a-key-for-tests-only" not in json.dumps(container), name


def test_each_finds_the_other_by_name(stack: Stack) -> None:
    def all_up() -> bool:
        targets = stack.prometheus("/api/v1/targets")["activeTargets"]
        return {(t["labels"]["job"], t["health"]) for t in targets} == {
            ("flight-delays", "up"),
            ("prometheus", "up"),
            ("alertmanager", "up"),
        }

    until(all_up)
    (known,) = until(lambda: stack.prometheus("/api/v1/alertmanagers")["activeAlertmanagers"])
    assert known["url"].startswith("http://alertmanager:9093/")
    groups = stack.prometheus("/api/v1/rules")["groups"]
    assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
    assert len(groups) == 1


def test_prometheus_understands_rules_and_dashboard(
    stack: Stack, engine: Any, expressions: list[str]
) -> None:
    for expression in expressions:
        found = stack.prometheus("/api/v1/query", query=expression)
        assert found is not None, expression
    # Its own tool, of the very version that runs, judges the files and tries the rules.
    image = engine.inspect("container", stack.compose("ps", "--quiet", "prometheus"))["Image"]
    for words in ("check config prometheus.yml", "test rules tests/service.yml"):
        *command, file = words.split()
        said = engine.run(
            *("run", "--rm", "--label", engine.label, "--network", "none"),
            *("--entrypoint", "promtool", "--volume", f"{MONITORING}:/m:ro"),
            *(image, *command, f"/m/{file}"),
        )
        assert "SUCCESS" in said


def test_an_alert_reaches_alertmanager_when_the_service_is_gone(engine: Any, stack: Stack) -> None:
    until(lambda: stack.prometheus("/api/v1/query", query='up{job="flight-delays"} == 1')["result"])
    api = stack.compose("ps", "--quiet", "api")
    stack.compose("stop", "api")
    assert engine.inspect("container", api)["State"]["ExitCode"] == 0  # 137 is a SIGKILL
    (alert,) = until(
        lambda: [
            alert
            for alert in stack.ask("alertmanager", 9093, "/api/v2/alerts")
            if alert["labels"]["alertname"] == "ServiceDown"
        ]
    )
    assert alert["labels"]["instance"] == "api:8000"
    assert alert["labels"]["severity"] == "page"
    assert [receiver["name"] for receiver in alert["receivers"]] == ["people"]
