"""The app around the predictions: ids, health, metrics, logs, faults, documentation."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

import flight_delays
from flight_delays.app import create_app
from flight_delays.cli import main
from flight_delays.schemas import EXAMPLE_FLIGHT
from flight_delays.settings import Settings
from flight_delays.telemetry import LineWriter, configure_logging

STORED = Path(flight_delays.__file__).parents[2] / "openapi.json"
NEW_ID = re.compile(r"[0-9a-f]{32}")
FLIGHT = {"flight": EXAMPLE_FLIGHT}


@pytest.fixture
def client(make_client, two_bundles):
    return make_client(two_bundles[0])


def metrics_of(client) -> dict[tuple, float]:
    """All samples: name and labels to value."""
    answer = client.request("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


# Ids


@pytest.mark.parametrize("given", ["a", "Aa0._-", "x" * 64])
def test_the_clients_id_is_kept(client, given):
    for answer in (
        client.predict(FLIGHT, headers={"X-Request-ID": given}),
        client.predict(b"", headers={"X-Request-ID": given}),
    ):
        assert answer.headers["X-Request-ID"] == given
        assert answer.json()["request_id"] == given
    for path in ("/livez", "/v1/models", "/nowhere"):
        answer = client.request("GET", path, headers={"X-Request-ID": given})
        assert answer.headers["X-Request-ID"] == given


@pytest.mark.parametrize("given", ["", "x" * 65, "a b", 'a"b', "a\\b", "<script>", "a,b"])
def test_another_id_is_replaced(client, given):
    for answer in (
        client.predict(FLIGHT, headers={"X-Request-ID": given}),
        client.request("GET", "/livez", headers={"X-Request-ID": given}),
    ):
        assert NEW_ID.fullmatch(answer.headers["X-Request-ID"])


def test_each_request_has_an_id_of_its_own(client):
    ids = {client.predict(FLIGHT).headers["X-Request-ID"] for _ in range(20)}
    assert len(ids) == 20


# Paths and methods


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/predictions/", "/v1/models/", "/V1/champion"])
def test_no_such_path(client, path):
    answer = client.request("GET", path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert (answer.json()["type"], answer.json()["title"]) == ("about:blank", "Not Found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/predictions", "POST"),
        ("PUT", "/v1/predictions", "POST"),
        ("OPTIONS", "/v1/predictions", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("POST", "/v1/models/x", "DELETE, GET, HEAD, PUT"),
        ("DELETE", "/v1/champion", "GET, HEAD, PUT"),
        ("POST", "/livez", "GET, HEAD"),
        ("BREW", "/readyz", "GET, HEAD"),
    ],
)
def test_a_method_that_is_not_allowed(client, method, path, allowed):
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/livez", "/v1/models", "/v1/champion", "/metrics"])
def test_head_is_get_without_the_body(client, path):
    get, head = client.request("GET", path), client.request("HEAD", path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Type"] == get.headers["Content-Type"]


# Health


def test_alive_is_not_ready(make_client, two_bundles):
    client = make_client()
    assert client.request("GET", "/livez").status_code == 200
    answer = client.request("GET", "/readyz")
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.headers["Content-Type"] == "application/problem+json"
    client.service.store.add_folder(two_bundles[0])
    client.service.store.set_champion(two_bundles[0].name, if_match=None, must_be_first=True)
    client.run(client.service.follower.look())
    answer = client.request("GET", "/readyz")
    assert (answer.status_code, answer.json()["version"]) == (200, two_bundles[0].name)


# Metrics


def test_requests_and_predictions_are_counted(client, two_bundles):
    version = ("version", two_bundles[0].name)
    before = metrics_of(client)
    first = client.predict(FLIGHT).json()
    second = client.predict({"flights": {k: [v] * 3 for k, v in EXAMPLE_FLIGHT.items()}}).json()
    client.predict(b"")
    client.request("BREW", f"/{'x' * 50}")
    after = metrics_of(client)

    def grown(name, *labels):
        return after[(name, *labels)] - before.get((name, *labels), 0)

    path = ("route", "/v1/predictions")
    requests = "flight_delays_requests_total"
    assert grown(requests, ("method", "POST"), path, ("status", "200")) == 2
    assert grown(requests, ("method", "POST"), path, ("status", "400")) == 1
    assert grown(requests, ("method", "other"), ("route", "other"), ("status", "404")) == 1
    assert grown("flight_delays_request_seconds_count", path) == 3
    assert grown("flight_delays_request_seconds_bucket", ("le", "+Inf"), path) == 3
    assert grown("flight_delays_predictions_total", version) == 4
    assert grown("flight_delays_predictions_late_total", version) == 4 * first["late"]
    total = first["probability"] + sum(second["probabilities"])
    assert grown("flight_delays_probability_sum_total", version) == pytest.approx(total)
    assert after[("flight_delays_champion", version)] == 1


def test_the_prediction_log_is_counted(client):
    client.predict(FLIGHT)
    client.service.log.close()
    client.service.follower.watch_log()
    after = metrics_of(client)
    assert after[("flight_delays_log_written_rows_total",)] == 1
    assert after[("flight_delays_log_pending_rows",)] == 0
    client.predict(FLIGHT)  # the log is closed: the answer is given all the same
    client.service.follower.watch_log()
    assert metrics_of(client)[("flight_delays_log_dropped_rows_total",)] == 1


# The request log


@pytest.fixture
def logged(client):
    """The client with its log in memory, and what reads the lines."""
    stream = io.BytesIO()
    telemetry = client.service.telemetry
    telemetry.writer = LineWriter(stream)
    telemetry._request_log = True

    def lines() -> list[dict]:
        telemetry.flush()
        telemetry.writer.close(10)
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    return client, lines


def test_each_request_is_a_line_of_json(logged, two_bundles):
    client, lines = logged
    answers = [client.predict(FLIGHT), client.predict(b""), client.request("GET", "/livez")]
    found = lines()
    assert [line["request_id"] for line in found] == [a.headers["X-Request-ID"] for a in answers]
    assert [line["status"] for line in found] == [200, 400, 200]
    assert [line["version"] for line in found] == [two_bundles[0].name, None, None]
    assert {line["method"] for line in found} == {"POST", "GET"}
    assert all(line["ms"] > 0 for line in found)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", x["time"]) for x in found)


def test_a_hostile_path_cannot_forge_a_line(logged):
    client, lines = logged
    client.request("GET", '/%0a%22%7d{"status":200}' + "x" * 1000)
    (line,) = lines()
    assert line["status"] == 404
    assert line["path"].startswith('/\n"}{"status":200}')
    assert len(line["path"]) <= 200


def test_a_reader_that_stalls_does_not_stall_the_service():
    import threading

    free, entered = threading.Event(), threading.Event()

    class Stalled(io.BytesIO):
        def write(self, content):
            entered.set()
            free.wait(20)
            return super().write(content)

    stream = Stalled()
    writer = LineWriter(stream)
    writer.write(b"first\n")
    assert entered.wait(20)
    for _ in range(6):
        writer.write(b"x" * 2**20 + b"\n")  # never waits; what does not fit is counted
    assert writer.dropped == 3
    free.set()
    writer.close(20)
    assert stream.getvalue().startswith(b"first\n")
    assert stream.getvalue().count(b"\n") == 4


# Faults


@pytest.mark.parametrize("place", ["predict", "models"])
def test_a_bug_is_a_problem_document_and_its_traceback_is_in_the_log(
    logged, monkeypatch, caplog, place
):
    client, lines = logged

    def broken(*_, **__):
        raise RuntimeError("planted in a test")

    if place == "predict":
        monkeypatch.setattr(client.service.predictions, "_one", broken)
        answer = client.predict(FLIGHT)
    else:
        monkeypatch.setattr(client.service.store, "versions", broken)
        answer = client.request("GET", "/v1/models")
    assert answer.status_code == 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == "urn:flight-delays:problem:bug"
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert "planted" not in answer.text and "Traceback" not in answer.text
    (record,) = [record for record in caplog.records if record.name == "flight_delays.app"]
    assert record.request_id == problem["request_id"]
    assert "planted in a test" in str(record.exc_info[1])
    assert [line["status"] for line in lines()] == [500]


def test_log_records_are_lines_of_json_with_their_traceback():
    import logging

    stream = io.BytesIO()
    writer = LineWriter(stream)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        configure_logging(writer, "info")
        try:
            raise ValueError("two\nlines")
        except ValueError:
            logging.getLogger("x").exception("it %s", "failed", extra={"request_id": "r"})
        logging.getLogger("x").debug("not told")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    writer.close(10)
    (line,) = [json.loads(text) for text in stream.getvalue().splitlines()]
    assert (line["message"], line["level"], line["request_id"]) == ("it failed", "error", "r")
    assert line["traceback"].startswith("Traceback") and "two\nlines" in line["traceback"]


# Documentation


def test_the_stored_openapi_document_is_that_of_the_app(client, capsys):
    assert main(["openapi"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert client.request("GET", "/openapi.json").json() == printed
    assert json.loads(STORED.read_text(encoding="utf-8")) == printed, (
        "the API has changed; if that is meant: python -m flight_delays openapi > openapi.json"
    )


def test_all_references_in_the_document_lead_somewhere(client):
    text = client.request("GET", "/openapi.json").text
    schemas = json.loads(text)["components"]["schemas"]
    named = set(re.findall(r'"#/components/schemas/([^"]+)"', text))
    assert named <= set(schemas)
    assert set(schemas) <= named, "a schema that nothing uses"


def test_there_is_a_page_to_read(client):
    answer = client.request("GET", "/docs")
    assert answer.status_code == 200
    assert "swagger" in answer.text


def test_the_page_needs_no_network(client):
    """Its style and script are files of this service; another method on them is refused by name."""
    page = client.request("GET", "/docs").text
    addresses = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert addresses and all(address.startswith("/") for address in addresses)
    assert {client.request("GET", address).status_code for address in addresses} == {200}
    refused = client.request("POST", addresses[0], content=b"")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, HEAD")
    assert client.request("GET", "/static-offline-docs/nothing.js").status_code == 404


def test_serving_imports_neither_pandas_nor_scikit_learn(run_python):
    code = (
        "import sys, flight_delays.server; "
        "print(sorted({'pandas', 'sklearn', 'skl2onnx', 'onnx', 'scipy'} & set(sys.modules)))"
    )
    done = run_python("-c", code)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_state_folder_that_cannot_be_used_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        create_app(Settings(state=tmp_path / "file"))


def test_the_log_goes_to_a_notebooks_stderr_too(monkeypatch):
    text = io.StringIO()  # has no `buffer`, like that of a notebook
    monkeypatch.setattr("sys.stderr", text)
    writer = LineWriter()
    writer.write(b"first\n")
    writer.close(10)
    writer.write(b"last\n")
    assert text.getvalue() == "first\nlast\n"
