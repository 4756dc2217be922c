"""compose.yaml: the service and its watchers find each other, come up in order, give alarm."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import yaml

from flight_delays.bundle import Bundle, load_bundle
from flight_delays.features import FEATURES
from flight_delays.monitoring.reference import Reference, reference_of
from flight_delays.schemas import EXAMPLE_FLIGHT

SERVICE = Path(__file__).parents[1]
MONITORING = SERVICE / "monitoring"
BASE = "python:3.11-slim"
OURS = "api", "watch"
WATCHERS = "prometheus", "alertmanager"
KEY = "a-key-for-tests-only"
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
    assert set(composition["services"]) == {*OURS, *WATCHERS, "grafana"}
    for name, service in composition["services"].items():
        assert service["read_only"] and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert {"mem_limit", "cpus", "pids_limit"} <= set(service), name
        assert service["networks"] == ["watch"], name
        assert "healthcheck" in service or name in OURS, name  # which have their image's
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
    told = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())["receivers"]
    urls = {hook["url"] for one in told for hook in one.get("webhook_configs", ())}
    assert urls == {"http://watch:9464/alerts"}
    command = composition["services"]["watch"]["command"]
    assert f"--state={composition['services']['watch']['volumes'][0].partition(':')[2]}" in command


class Stack:
    """The containers of compose.yaml under a project of their own."""

    def __init__(self, engine: Any, folder: Path, stand_ins: bool) -> None:
        self.engine = engine
        self.since = str(time.time())
        self.addresses: dict[str, str] = {}
        key = folder / "key"
        key.write_text(f"{KEY}\n")
        tags = {
            "API_IMAGE": f"flight-delays:test-{engine.value}",
            **{f"{n.upper()}_IMAGE": f"{n}:test-{engine.value}" for n in WATCHERS if stand_ins},
        }
        ports = dict.fromkeys((f"{n.upper()}_PORT" for n in (*OURS, *WATCHERS)), "0")
        watch = {"WATCH_TIME": "request-id", "WATCH_EVERY": "1"}
        self.environment = os.environ | tags | ports | watch | {"KEY_FILE": str(key)}
        files = [SERVICE / "compose.yaml"]
        files += [SERVICE / "compose.debian.yaml"] if stand_ins else []
        files += [self._labels(folder / "labels.json", stand_ins)]
        self.words = ["compose", "--project-directory", str(SERVICE)]
        self.words += ["--project-name", f"fd-test-{engine.value.replace('_', '-')}"]
        self.words += [word for file in files for word in ("--file", str(file))]

    def _labels(self, file: Path, stand_ins: bool) -> Path:
        """Write one more file for compose, by which all that it makes can be found and removed."""
        labels = {"labels": dict([self.engine.label.split("=")])}
        built = {*OURS, *(WATCHERS if stand_ins else ())}
        services = {
            n: labels | ({"build": labels} if n in built else {}) for n in (*OURS, *WATCHERS)
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

    def url(self, service: str, port: int) -> str:
        """Where a service is reached on its published port."""
        if service not in self.addresses:
            self.addresses[service] = self.compose("port", service, str(port))
        return f"http://{self.addresses[service]}"

    def ask(self, service: str, port: int, path: str, **parameters: str) -> Any:
        """What a service answers on its published port, as JSON; None where it does not answer."""
        try:
            url = f"{self.url(service, port)}{path}"
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
    for name in (*OURS, *WATCHERS):
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
    for name in (*OURS, *WATCHERS):
        container = engine.inspect("container", stack.compose("ps", "--quiet", name))
        host = container["HostConfig"]
        assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and host["Memory"] > 0, name
        assert container["Config"]["User"] not in ("", "root", "0"), name
        addresses = [one["HostIp"] for ports in host["PortBindings"].values() for one in ports]
        assert addresses == ["127.0.0.1"], name
        assert KEY not in json.dumps(container), name


def test_each_finds_the_other_by_name(stack: Stack) -> None:
    def all_up() -> bool:
        targets = stack.prometheus("/api/v1/targets")["activeTargets"]
        return {(t["labels"]["job"], t["health"]) for t in targets} == {
            ("flight-delays", "up"),
            ("watch", "up"),
            ("prometheus", "up"),
            ("alertmanager", "up"),
        }

    until(all_up)
    (known,) = until(lambda: stack.prometheus("/api/v1/alertmanagers")["activeAlertmanagers"])
    assert known["url"].startswith("http://alertmanager:9093/")
    groups = stack.prometheus("/api/v1/rules")["groups"]
    assert {rule["health"] for group in groups for rule in group["rules"]} <= {"ok", "unknown"}
    assert {group["name"] for group in groups} == {"service", "model"}


def test_prometheus_understands_rules_and_dashboards(stack: Stack, engine: Any) -> None:
    files = (MONITORING / "grafana/dashboards").glob("*.json")
    panels = [panel for file in files for panel in json.loads(file.read_text())["panels"]]
    for expression in (target["expr"] for panel in panels for target in panel["targets"]):
        found = stack.prometheus("/api/v1/query", query=expression)
        assert found is not None, expression
    # Its own tool, of the very version that runs, judges the files and tries the rules.
    image = engine.inspect("container", stack.compose("ps", "--quiet", "prometheus"))["Image"]
    tests = [f"tests/{file.name}" for file in (MONITORING / "tests").glob("*.yml")]
    for words in (["check", "config", "prometheus.yml"], *(["test", "rules", t] for t in tests)):
        *command, file = words
        said = engine.run(
            *("run", "--rm", "--label", engine.label, "--network", "none"),
            *("--entrypoint", "promtool", "--volume", f"{MONITORING}:/m:ro"),
            *(image, *command, f"/m/{file}"),
        )
        assert "SUCCESS" in said


def test_a_fault_in_what_the_service_is_sent_reaches_the_inbox_of_the_loop(
    stack: Stack, two_bundles: list[Path], tmp_path: Path
) -> None:
    assert stack.ask("watch", 9464, "/livez") == {"status": "alive", "version": None}
    assert stack.ask("watch", 9464, "/findings") is None  # it waits for its reference
    bundle = two_bundles[0]
    reference = made_up_reference(load_bundle(bundle)).write(tmp_path / "reference.json")
    stack.compose("cp", str(reference), "watch:/state/reference.json")
    with httpx.Client(
        base_url=stack.url("api", 8000), headers={"Authorization": f"Bearer {KEY}"}, timeout=60
    ) as api:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for file in bundle.iterdir():
                archive.write(file, file.name)
        kind = {"Content-Type": "application/zip"}
        stored = api.put(f"/v1/models/{bundle.name}", content=packed.getvalue(), headers=kind)
        assert stored.status_code == 201, stored.text
        first = {"If-None-Match": "*"}
        chosen = api.put("/v1/champion", json={"version": bundle.name}, headers=first)
        assert chosen.status_code == 200, chosen.text
        # A sender that stands still: two days of one flight, again and again.
        flights = {name: [value] * 200 for name, value in EXAMPLE_FLIGHT.items()}
        for day in ("20130701", "20130702", "20130703"):
            headers = {"X-Request-ID": f"{day}-0600-test"}
            answer = api.post("/v1/predictions", json={"flights": flights}, headers=headers)
            assert answer.status_code == 200, answer.text
    found = until(lambda: _with_rows(stack.ask("watch", 9464, "/findings")))
    assert found["figures"]["window_rows"] == 400  # the third day may not be over
    assert found["figures"]["quality_faults"] > 0

    def taken() -> list[str]:
        metrics = httpx.get(f"{stack.url('watch', 9464)}/metrics").text.splitlines()
        return [line for line in metrics if line.startswith("flight_delays_alerts_total")]

    until(lambda: 'flight_delays_alerts_total{status="firing"} 1.0' in taken())
    waiting = stack.compose("exec", "watch", "ls", "/state/inbox/waiting").split()
    (alert,) = [
        json.loads(stack.compose("exec", "watch", "cat", f"/state/inbox/waiting/{name}"))
        for name in waiting
    ]
    assert alert["labels"]["alertname"] == "DataFault"
    assert alert["labels"]["instance"] == "watch:9464"


def _with_rows(found: Any) -> Any:
    return found if found and found["figures"]["window_rows"] else None


def made_up_reference(bundle: Bundle) -> Reference:
    """A reference of flights drawn at random, for a container that only needs one to look at."""
    rng, days, a_day = np.random.default_rng(0), 140, 200
    size = days * a_day
    matrix = np.empty((size, len(FEATURES)), np.float32)
    for column, feature in enumerate(FEATURES):
        if feature.kind == "category":
            matrix[:, column] = rng.integers(len(bundle.vocabulary[feature.name]), size=size)
        else:
            middle = (feature.minimum + feature.maximum) / 2
            matrix[:, column] = np.round(rng.uniform(middle, feature.maximum, size))
    probabilities = rng.uniform(0.05, 0.6, size).astype(np.float32)
    late = rng.uniform(size=size) < probabilities
    day = np.repeat(np.datetime64("2013-01-01") + np.arange(days), a_day)
    return reference_of(
        bundle.version, day, matrix, probabilities, probabilities, late, bundle.vocabulary
    )


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
    assert [receiver["name"] for receiver in alert["receivers"]] == [
        "people"
    ]  # no matter of a model
