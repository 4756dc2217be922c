"""POST /v1/predictions: the model's own numbers, and a reason for whatever is refused."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flight_delays.bundle import Bundle, load_bundle
from flight_delays.features import CATEGORIES, FEATURES, NAMES, encode
from flight_delays.prediction_log import read_log
from flight_delays.predictions import IN_THREAD, ServedModel
from flight_delays.schemas import EXAMPLE_FLIGHT, MAX_ROWS, MAX_TEXT, PREDICTION_REQUEST

PROBLEM = "urn:flight-delays:problem:"


@pytest.fixture(scope="module")
def bundle(two_bundles) -> Bundle:
    return load_bundle(two_bundles[0])


@pytest.fixture
def client(make_client, two_bundles):
    return make_client(two_bundles[0])


def columns_of(*flights: dict) -> dict:
    """Flights as columns; what is left out becomes None."""
    return {name: [flight.get(name) for flight in flights] for name in NAMES}


def values_of(feature, vocabulary):
    """Values a client may send for a feature, the edges of its range among them."""
    if feature.kind == "category":
        known = st.sampled_from(sorted(vocabulary[feature.name]))
        return st.one_of(known, st.text(max_size=MAX_TEXT), st.none())
    low, high = feature.minimum, feature.maximum
    numbers = st.one_of(
        st.floats(low, high), st.integers(int(low), int(high)), st.sampled_from([low, high])
    )
    return st.one_of(numbers, st.none()) if feature.may_be_missing else numbers


def flights_of(vocabulary):
    fixed = {f.name: values_of(f, vocabulary) for f in FEATURES if not f.may_be_missing}
    optional = {f.name: values_of(f, vocabulary) for f in FEATURES if f.may_be_missing}
    return st.fixed_dictionaries(fixed, optional=optional)


# The numbers


def test_any_flight_gets_what_the_bundle_says(bundle):
    model = ServedModel(bundle, 1)

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(st.lists(flights_of(bundle.vocabulary), min_size=1, max_size=4))
    def check(flights):
        columns = columns_of(*flights)
        expected = encode(columns, bundle.vocabulary)
        probabilities = bundle.predict(columns)
        body = json.dumps({"flights": columns})
        read = PREDICTION_REQUEST.validate_json(body)["flights"]
        many = model.encode_many(read, len(flights))
        assert many.dtype == np.float32 and many.flags.c_contiguous
        np.testing.assert_array_equal(many, expected)
        np.testing.assert_array_equal(model.run(many), probabilities)
        assert model.unknown(read, len(flights)) == bundle.unknown(columns)
        for row, flight in enumerate(flights):
            read = PREDICTION_REQUEST.validate_json(json.dumps({"flight": flight}))["flight"]
            one = model.encode_one(read)
            assert one.dtype == np.float32 and one.shape == (1, len(NAMES))
            np.testing.assert_array_equal(one, expected[row : row + 1])

    check()


def test_one_flight(client, bundle, two_bundles):
    answer = client.predict({"flight": EXAMPLE_FLIGHT})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    body = answer.json()
    expected = bundle.predict(columns_of(EXAMPLE_FLIGHT))[0]
    assert np.float32(body["probability"]) == expected
    assert body == {
        "probability": float(expected),
        "late": bool(expected >= bundle.info.threshold),
        "version": two_bundles[0].name,
        "request_id": answer.headers["X-Request-ID"],
        "unknown": {},
    }


@pytest.mark.parametrize("rows", [1, 7, IN_THREAD, MAX_ROWS])
def test_a_batch_gets_what_each_flight_gets(client, bundle, rows):
    flights = [{**EXAMPLE_FLIGHT, "departure_minute": row % 1440} for row in range(rows)]
    answer = client.predict({"flights": columns_of(*flights)})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    expected = bundle.predict(columns_of(*flights))
    np.testing.assert_array_equal(np.array(body["probabilities"], np.float32), expected)
    assert body["late"] == [value >= bundle.info.threshold for value in expected.tolist()]
    alone = client.predict({"flight": flights[-1]}).json()
    assert alone["probability"] == body["probabilities"][-1]


def test_what_may_be_missing_may_be_left_out_or_null(client, bundle):
    needed = {f.name: EXAMPLE_FLIGHT[f.name] for f in FEATURES if not f.may_be_missing}
    nulls = dict.fromkeys(NAMES) | needed
    expected = float(bundle.predict(columns_of(needed))[0])
    for flight in (needed, nulls):
        body = client.predict({"flight": flight}).json()
        assert body["probability"] == expected
        assert body["unknown"] == {name: [None] for name in CATEGORIES}
    columns = {name: [value, value] for name, value in needed.items()}
    body = client.predict({"flights": columns}).json()
    assert body["probabilities"] == [expected] * 2
    assert body["unknown"] == {name: [None] for name in CATEGORIES}


def test_an_unknown_carrier_is_predicted_and_named(client, bundle):
    odd = EXAMPLE_FLIGHT | {"carrier": 'Z"\\\u00e9\u2708'}
    body = client.predict({"flight": odd}).json()
    assert body["probability"] == float(bundle.predict(columns_of(odd))[0])
    assert body["unknown"] == {"carrier": [odd["carrier"]]}
    body = client.predict({"flights": columns_of(odd, EXAMPLE_FLIGHT, odd)}).json()
    assert body["unknown"] == {"carrier": [odd["carrier"]]}


def test_each_request_is_in_the_log(client, bundle):
    answers = [
        client.predict({"flight": EXAMPLE_FLIGHT}),
        client.predict({"flights": columns_of(EXAMPLE_FLIGHT, EXAMPLE_FLIGHT)}),
    ]
    client.service.log.close()
    (chunk,) = read_log(client.service.log.path)
    ids = [answer.headers["X-Request-ID"] for answer in answers]
    assert chunk.request_id.tolist() == [ids[0], ids[1], ids[1]]
    assert set(chunk.version) == {bundle.version}
    np.testing.assert_array_equal(
        chunk.matrix, encode(columns_of(*[EXAMPLE_FLIGHT] * 3), bundle.vocabulary)
    )
    np.testing.assert_array_equal(
        chunk.probabilities, np.float32([answers[0].json()["probability"]] * 3)
    )


# What is refused

FLIGHT = json.dumps(EXAMPLE_FLIGHT)


def with_text(name: str, text: str) -> bytes:
    """The example with the JSON text `text` as the value of a feature."""
    fields = {**EXAMPLE_FLIGHT, name: 0}
    parts = (f'"{n}": {text if n == name else json.dumps(v)}' for n, v in fields.items())
    return f'{{"flight": {{{", ".join(parts)}}}}}'.encode()


@pytest.mark.parametrize(
    ("body", "status", "kind", "pointer", "message"),
    [
        (b"", 400, "not-json", None, "EOF"),
        (b"{", 400, "not-json", None, "EOF"),
        (b'{"flight": {}} x', 400, "not-json", None, "trailing characters"),
        (b'\xef\xbb\xbf{"flight": {}}', 400, "not-json", None, "Invalid JSON"),
        (b'{"flight": {"carrier": "\xff"}}', 400, "not-json", None, "unicode"),
        (b'{"flight": {"carrier": "\\ud800"}}', 400, "not-json", None, "Invalid JSON"),
        (b"[" * 100_000, 400, "not-json", None, "recursion"),
        (b'{"flight":' * 100_000, 400, "not-json", None, "recursion"),
        (b"null", 422, "invalid-input", "", "should be an object"),
        (b"[]", 422, "invalid-input", "", "should be an object"),
        (b"{}", 422, "invalid-input", "", "exactly one of 'flight' and 'flights', found none"),
        (
            f'{{"flight": {FLIGHT}, "flights": {json.dumps(columns_of(EXAMPLE_FLIGHT))}}}'.encode(),
            422,
            "invalid-input",
            "",
            "found both",
        ),
        (b'{"flight": null}', 422, "invalid-input", "/flight", "should be an object"),
        (b'{"flight": {}}', 422, "invalid-input", "/flight/departure_minute", "is missing"),
        (b'{"flihgt": {}}', 422, "invalid-input", "/flihgt", "no such field"),
        (with_text("~a/b", "1"), 422, "invalid-input", "/flight/~0a~1b", "no such field"),
        (with_text("distance", "NaN"), 422, "invalid-input", "/flight/distance", "finite"),
        (with_text("humidity", "NaN"), 422, "invalid-input", "/flight/humidity", "finite"),
        (with_text("distance", "Infinity"), 422, "invalid-input", "/flight/distance", "finite"),
        (with_text("distance", "-Infinity"), 422, "invalid-input", "/flight/distance", "finite"),
        (with_text("distance", "1e400"), 422, "invalid-input", "/flight/distance", "finite"),
        (with_text("distance", "9" * 400), 422, "invalid-input", "/flight/distance", "finite"),
        (with_text("distance", "9" * 30), 422, "invalid-input", "/flight/distance", "12500"),
        (with_text("distance", "0"), 422, "invalid-input", "/flight/distance", "equal to 1"),
        (with_text("distance", "true"), 422, "invalid-input", "/flight/distance", "number"),
        (with_text("distance", '"719"'), 422, "invalid-input", "/flight/distance", "number"),
        (with_text("distance", "null"), 422, "invalid-input", "/flight/distance", "number"),
        (with_text("distance", "[719]"), 422, "invalid-input", "/flight/distance", "number"),
        (with_text("carrier", "7"), 422, "invalid-input", "/flight/carrier", "string"),
        (with_text("carrier", "true"), 422, "invalid-input", "/flight/carrier", "string"),
        (
            with_text("carrier", f'"{"x" * 65}"'),
            422,
            "invalid-input",
            "/flight/carrier",
            "at most 64 characters",
        ),
    ],
)
def test_a_wrong_body_is_refused_with_the_place(client, body, status, kind, pointer, message):
    answer = client.predict(body)
    check_problem(answer, status, kind)
    problem = answer.json()
    if pointer is None:
        assert message in problem["detail"]
        assert "errors" not in problem
    else:
        messages = {error["pointer"]: error["message"] for error in problem["errors"]}
        assert message in messages[pointer]
        assert pointer in problem["detail"] or message in problem["detail"]


def check_problem(answer, status, kind):
    """A problem document, and nothing of the inside."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == PROBLEM + kind
    assert problem["status"] == status
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert problem["title"] and problem["detail"]
    assert "Traceback" not in answer.text and ".py" not in answer.text


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        ({"distance": [719]}, "/flights/distance", "expected 2 values like departure_minute"),
        ({"distance": [719] * 3}, "/flights/distance", "found 3"),
        ({"humidity": []}, "/flights/humidity", "at least 1 item"),
        ({"distance": 719}, "/flights/distance", "should be a valid array"),
        ({"distance": None}, "/flights/distance", "should be a valid array"),
        ({"distance": "ab"}, "/flights/distance", "should be a valid array"),
        ({"distance": [719, "719"]}, "/flights/distance/1", "number"),
        ({"distance": [719, None]}, "/flights/distance/1", "number"),
        ({"distance": [719, True]}, "/flights/distance/1", "number"),
        ({"distance": [math.nan, 719]}, "/flights/distance/0", "finite"),
        ({"carrier": ["UA", 7]}, "/flights/carrier/1", "string"),
        ({"seats": [1, 2]}, "/flights/seats", "no such field"),
    ],
)
def test_a_wrong_batch_is_refused_with_the_place(client, change, pointer, message):
    answer = client.predict({"flights": columns_of(EXAMPLE_FLIGHT, EXAMPLE_FLIGHT) | change})
    check_problem(answer, 422, "invalid-input")
    messages = {error["pointer"]: error["message"] for error in answer.json()["errors"]}
    assert message in messages[pointer]


def test_an_empty_batch_is_refused(client):
    answer = client.predict({"flights": {name: [] for name in NAMES}})
    check_problem(answer, 422, "invalid-input")
    assert "at least 1 item" in answer.json()["detail"]


def test_a_column_that_is_needed_may_not_be_left_out(client):
    columns = columns_of(EXAMPLE_FLIGHT)
    del columns["weekday"]
    answer = client.predict({"flights": columns})
    check_problem(answer, 422, "invalid-input")
    assert answer.json()["errors"] == [{"pointer": "/flights/weekday", "message": "is missing"}]


def test_too_many_rows(client):
    answer = client.predict({"flights": columns_of(*[EXAMPLE_FLIGHT] * (MAX_ROWS + 1))})
    check_problem(answer, 413, "too-many-rows")
    assert "at most 10000 flights" in answer.json()["detail"]


def test_a_host_of_unknown_fields_makes_a_short_answer(client):
    fields = ",".join(f'"field{number}":1' for number in range(50_000))
    answer = client.predict(f'{{"flight":{{{fields}}}}}'.encode())
    check_problem(answer, 422, "invalid-input")
    assert len(answer.content) < 2000


def test_a_long_unknown_field_makes_a_short_answer(client):
    answer = client.predict({"flight": {"x" * 100_000: 1}})
    check_problem(answer, 422, "invalid-input")
    assert len(answer.content) < 2000


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/jsonx", "application/x-json", ""]
)
def test_another_media_type(client, media_type):
    answer = client.predict({"flight": EXAMPLE_FLIGHT}, headers={"Content-Type": media_type})
    check_problem(answer, 415, "wrong-media-type")
    assert "application/json" in answer.json()["detail"]


def test_no_media_type(client):
    answer = client.request("POST", "/v1/predictions", content=b"{}")
    check_problem(answer, 415, "wrong-media-type")
    assert "found none" in answer.json()["detail"]


def test_parameters_of_the_media_type_do_not_matter(client):
    header = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert client.predict({"flight": EXAMPLE_FLIGHT}, headers=header).status_code == 200


def test_too_many_bytes_by_what_the_header_says(make_client, two_bundles):
    client = make_client(two_bundles[0], max_body_bytes=2048)
    read = []

    async def receive():
        read.append(1)
        return {"type": "http.request", "body": b"x", "more_body": True}

    status = client.run(ask(client.service, receive, {b"content-length": b"2049"}))
    assert (status, read) == (413, [])  # not one byte was asked for


def test_too_many_bytes_while_they_come(make_client, two_bundles):
    client = make_client(two_bundles[0], max_body_bytes=2048)
    sent = []

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(1000):
            sent.append(1)
            yield b" " * 1024

    check_problem(client.predict_stream(chunks()), 413, "too-large")

    async def receive():
        sent.append(1)
        return {"type": "http.request", "body": b" " * 1024, "more_body": True}

    sent.clear()
    assert client.run(ask(client.service, receive, {})) == 413
    assert len(sent) == 3  # it stopped at the first byte too many


def test_a_body_in_pieces(client):
    body = json.dumps({"flight": EXAMPLE_FLIGHT}).encode()

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 50):
            yield body[start : start + 50]

    assert client.predict_stream(chunks()).status_code == 200


def test_a_client_that_hangs_up_is_not_answered(client):
    messages = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive():
        return messages.pop(0)

    assert client.run(ask(client.service, receive, {})) is None


async def ask(service, receive, headers: dict[bytes, bytes]) -> int | None:
    """Speak ASGI to the app; return the status."""
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/predictions",
        "headers": [(b"content-type", b"application/json"), *headers.items()],
    }
    sent = []

    async def send(message):
        sent.append(message)

    await service(scope, receive, send)
    return sent[0]["status"] if sent else None


def test_without_a_champion_it_says_when_to_come_again(make_client):
    answer = make_client().predict({"flight": EXAMPLE_FLIGHT})
    check_problem(answer, 503, "not-ready")
    assert answer.headers["Retry-After"] == "1"


def test_single_flights_are_answered_while_a_batch_is_computed(client):
    """The batch waits inside onnxruntime's thread; a single flight passes it."""
    model = client.service.predictions.model
    entered, free = asyncio.Event(), asyncio.Event()

    async def both():
        loop = asyncio.get_running_loop()

        class Slow(ServedModel):
            def run(self, matrix):
                if len(matrix) > 1:
                    loop.call_soon_threadsafe(entered.set)
                    asyncio.run_coroutine_threadsafe(free.wait(), loop).result(20)
                return super().run(matrix)

        client.service.predictions.model = Slow(model.bundle, model.revision)
        columns = columns_of(*[EXAMPLE_FLIGHT] * IN_THREAD)
        batch = asyncio.create_task(client.predict_async({"flights": columns}))
        await entered.wait()
        single = await client.predict_async({"flight": EXAMPLE_FLIGHT})
        assert not batch.done()
        free.set()
        return single.status_code, (await batch).status_code

    assert client.run(both()) == (200, 200)
