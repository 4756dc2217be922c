"""Lab 02: the exercises `predict` and `batch`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from checks.lab02_common import (
    Drawn,
    Flight,
    columns,
    draw_bundle,
    draw_clear,
    draw_flights,
    expect_status,
    expect_version,
    is_number,
    made,
    object_of,
    practice,
    probability,
    running,
)
from labkit.answer import Answer
from labkit.exercise import Exercise, case, expect
from labkit.http import Client, Reply, Request
from lessonkit.lateness import INPUTS

ONE, MANY = "/predictions", "/predictions/batch"
CLOSE = 1e-5
PATIENCE_S = 5.0
MOST = 1_000
STALE = (
    "Another model lies in `app.state.model` by now, and the old one answers. Is the model looked for at each request, "
    "or once, when the endpoint was made?"
)
BLOCKED = (
    "While one request is inside `predict`, no other gets in. An `async def` that computes holds the event "
    "loop, and every client waits for the one in front."
)


def expect_prediction(reply: Reply, drawn: Drawn, flight: Flight) -> None:
    """Raise Wrong unless the reply is what the drawn model says of the flight."""
    _expect_written(reply)
    expect_status(reply, 200, "A flight that keeps the rules must be answered with 200.")
    found = object_of(reply, "probability", "late", "version")
    wanted = probability(drawn.model, flight)
    value = found["probability"]
    expected = f"probability: {wanted:.6f}"
    shown = {"got": f"probability: {value!r}"[:200], "expected": expected}
    expect(is_number(value), "The probability is not a number.", reply.tried, **shown)
    other = abs(value - (1 - wanted)) <= CLOSE
    expect(not other, "This is the probability of being on time: is it turned round?", reply.tried, **shown)
    percent = abs(value - 100 * wanted) <= 100 * CLOSE
    expect(not percent, "These are percent. A probability lies between 0 and 1.", reply.tried, **shown)
    rounded = "The probability is rounded. Give it as the model does; whoever shows it may round it."
    near = abs(value - wanted) <= CLOSE
    expect(near or round(wanted, 2) != round(value, 2), rounded, reply.tried, **shown)
    expect(near, "This is not the probability that the app's model gives.", reply.tried, **shown)
    late = wanted >= drawn.model.threshold
    told = "A flight is late if its probability reaches the model's own `threshold`."
    text = f"late: {str(late).lower()}; probability {wanted:.3f}, threshold {drawn.model.threshold}"
    expect(found["late"] is late, told, reply.tried, got=f"late: {found['late']!r}"[:200], expected=text)
    expect_version(found["version"], drawn.version, reply)


def _expect_written(reply: Reply) -> None:
    """Raise Wrong if the app failed because what it returned is not for JSON."""
    message = reply.error.message if reply.error else ""
    told = "What your endpoint returns cannot be written as JSON. NumPy's numbers and arrays are not Python's."
    expect("vars() argument must have __dict__" not in message, told, reply, expected="status 200")


class Predict(Exercise):
    id = "predict"
    title = "Predict one flight"
    names = ("add_predictions",)
    points = 4.0
    hints = (
        '`@app.post("/predictions")` on a function with two parameters: the flight, whose type is what '
        "`flight_model()` gives, and the `request: Request`, which leads to the model.",
        "The model wants columns: `{name: [value]}` for each field, which `flight.model_dump()` "
        "has. What comes back is "
        "an array with one number of NumPy's, and JSON knows only Python's: `float(...)`.",
        "`predict` computes and never awaits. In an `async def` it holds the event loop, and "
        "with it every other request; "
        "a plain `def` runs in a thread of its own.",
    )

    @case("the answer is the model's probability, its verdict and its version", weight=2)
    def right(self, answer: Answer, rng: np.random.Generator) -> None:
        for drawn in (draw_bundle(rng), draw_bundle(rng)):
            with practice(answer, drawn.model_over_there(answer), "add_predictions") as client:
                for flight in draw_clear(rng, drawn.model, 4):
                    expect_prediction(client.post(ONE, json=flight), drawn, flight)
                self._expect_left_out(client, drawn, flight)

    @case("a probability that equals the threshold is late")
    def equal(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw_bundle(rng)
        (flight,) = draw_flights(rng, 1)
        model = drawn.model_over_there(answer)
        with practice(answer, model, "add_predictions") as client:
            reply = client.post(ONE, json=flight)
            expect_status(reply, 200, "A flight that keeps the rules must be answered with 200.")
            value = object_of(reply, "probability")["probability"]
            expect(is_number(value), "The probability is not a number.", reply, expected="a number")
            model.call("__setattr__", "threshold", float(value))
            reply = client.post(ONE, json=flight)
        told = "The probability equals the threshold, so it reaches it, and the flight is late: `>=`."
        expect_status(reply, 200, "A flight that keeps the rules must be answered with 200.")
        late = object_of(reply, "late")["late"]
        tried = f"{reply.tried}, with this threshold: {value}"
        expect(late is True, told, tried, got=f"late: {late!r}"[:200], expected="late: true")

    def _expect_left_out(self, client: Client, drawn: Drawn, flight: Flight) -> None:
        """Raise Wrong unless readings that are left out are taken as missing."""
        bare = {name: flight[name] for name in INPUTS[:3]}
        reply = client.post(ONE, json=bare)
        told = "A reading may be left out, and the model wants its column all the same, with None in it."
        expect(reply.status == 200, told, reply, expected="status 200")
        value = object_of(reply, "probability")["probability"]
        wanted = probability(drawn.model, bare | dict.fromkeys(INPUTS[3:]))
        shown = {"got": f"probability: {value!r}"[:200], "expected": f"probability: {wanted:.6f}"}
        expect(is_number(value) and abs(value - wanted) <= CLOSE, told, reply.tried, **shown)

    @case("the model is exchanged while the app runs")
    def exchanged(self, answer: Answer, rng: np.random.Generator) -> None:
        first, second = draw_bundle(rng), draw_bundle(rng)
        app, state = running(answer, first.model_over_there(answer), "add_predictions")
        with answer.client(app) as client:
            (flight,) = draw_clear(rng, first.model, 1)
            expect_prediction(client.post(ONE, json=flight), first, flight)
            state.call("__setattr__", "model", second.model_over_there(answer).ref)
            (flight,) = draw_clear(rng, second.model, 1)
            reply = client.post(ONE, json=flight)
            stale = reply.status == 200 and object_of(reply).get("version") == first.version
            expect(not stale, STALE, reply, expected=f"version: {second.version}")
            expect_prediction(reply, second, flight)

    @case("two apps answer with a model each")
    def two(self, answer: Answer, rng: np.random.Generator) -> None:
        first, second = draw_bundle(rng), draw_bundle(rng)
        (flight,) = draw_clear(rng, first.model, 1)
        with (
            practice(answer, first.model_over_there(answer), "add_predictions") as client,
            practice(answer, second.model_over_there(answer), "add_predictions") as another,
        ):
            told = "The first app answers with the model of the second: take it from the request's own app."
            reply = client.post(ONE, json=flight)
            crossed = reply.status == 200 and object_of(reply).get("version") == second.version
            expect(not crossed, told, reply, expected=f"version: {first.version}")
            expect_prediction(reply, first, flight)
            expect_prediction(another.post(ONE, json=flight), second, flight)

    @case("a request that breaks the rules is refused")
    def refuses(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw_bundle(rng)
        (flight,) = draw_flights(rng, 1)
        rest = {name: value for name, value in flight.items() if name != "distance"}
        with practice(answer, drawn.model_over_there(answer), "add_predictions") as client:
            for body, what in (
                ({**flight, "humidity": 180}, "a humidity of 180 percent"),
                ({**flight, "origin": "BOS"}, "an airport that the model never saw"),
                ({**flight, "carrier": "UA"}, "a field that nobody declared"),
                (rest, "no distance"),
                ([flight], "a list instead of an object"),
            ):
                reply = client.post(ONE, json=body)
                fine = (
                    "200 says that all went well, and a client that looks no further takes the body for a prediction."
                )
                expect(reply.status != 200, f"{what.capitalize()}: {fine}", reply, expected="status 422")
                broke = f"{what.capitalize()}: that is the client's mistake, not the server's. Give the body its type."
                expect_status(reply, 422, broke)
            reply = client.get(ONE)
            expect_status(reply, 405, "A prediction is asked for by POST alone: GET has no body to put a flight in.")

    @case("a model that fails is not answered with 200")
    def fails(self, answer: Answer, rng: np.random.Generator) -> None:
        (flight,) = draw_flights(rng, 1)
        with practice(answer, None, "add_predictions") as client:
            reply = client.post(ONE, json=flight)
        told = "The app has no model here and answers as if all went well. Let the error through: it becomes a 500."
        expect_status(reply, (500, 503), told)

    @case("a second request is served while the first one waits", weight=2)
    def meets(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw_bundle(rng)
        model = made(answer, "Meeting", drawn.model_over_there(answer), PATIENCE_S)
        flights = draw_clear(rng, drawn.model, 2)
        with practice(answer, model, "add_predictions") as client:
            replies = client.at_once([Request("POST", ONE, json=flight) for flight in flights])
        for reply, flight in zip(replies, flights, strict=True):
            blocked = reply.error is not None and "TimeoutError" in reply.error.kinds
            expect(not blocked, BLOCKED, "two requests at once", got=reply.got, expected="both are answered")
            expect_prediction(reply, drawn, flight)


class Batch(Exercise):
    id = "batch"
    title = "Predict a thousand flights at once"
    names = ("add_batches",)
    points = 3.0
    hints = (
        "The body is a pydantic model again, with a list for each field: `Annotated[list[...], Field(min_length=1, "
        "max_length=1_000)]`. Inside the list stands the type that the field has in exercise 1.",
        "`flight_model().model_fields[name].rebuild_annotation()` is that type, bounds and null "
        "included, so nothing is "
        "written twice. `create_model` makes a class of a dict of types, on a `__base__` that you write.",
        'Lengths are compared by a method of the base class that is marked `@model_validator(mode="after")`; a '
        "ValueError in it becomes a 422. The whole batch then goes to `predict` in one call: "
        "`.tolist()` of what comes back.",
    )

    @case("each flight gets its own probability, in the order sent", weight=2)
    def right(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw_bundle(rng)
        with practice(answer, drawn.model_over_there(answer), "add_batches") as client:
            for size in (7, 1, int(rng.integers(200, 300))):
                batch = columns(draw_flights(rng, size))
                self._expect_batch(client, drawn, batch)
            shuffled = {str(name): batch[name] for name in rng.permutation(INPUTS[::-1])}
            self._expect_batch(client, drawn, shuffled)

    @case("a whole batch is one call of the model")
    def once(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw_bundle(rng)
        model = drawn.model_over_there(answer)
        with practice(answer, model, "add_batches") as client:
            before = model.get("calls").value
            self._expect_batch(client, drawn, columns(draw_flights(rng, MOST)))
            calls = model.get("calls").value - before
        told = "The model was called for each flight. A call costs the same for one row as for a hundred."
        expect(calls == 1, told, f"a batch of {MOST:,} flights", got=f"{calls:,} calls", expected="1 call")

    @case("the model is exchanged while the app runs")
    def exchanged(self, answer: Answer, rng: np.random.Generator) -> None:
        first, second = draw_bundle(rng), draw_bundle(rng)
        batch = columns(draw_flights(rng, 3))
        app, state = running(answer, first.model_over_there(answer), "add_batches")
        with answer.client(app) as client:
            self._expect_batch(client, first, batch)
            state.call("__setattr__", "model", second.model_over_there(answer).ref)
            reply = client.post(MANY, json=batch)
            stale = reply.status == 200 and object_of(reply).get("version") == first.version
            expect(not stale, STALE, reply, expected=f"version: {second.version}")
            self._expect_batch(client, second, batch)

    @case("a second batch is served while the first one waits")
    def meets(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw_bundle(rng)
        model = made(answer, "Meeting", drawn.model_over_there(answer), PATIENCE_S)
        batch = columns(draw_flights(rng, 3))
        with practice(answer, model, "add_batches") as client:
            replies = client.at_once([Request("POST", MANY, json=batch)] * 2)
        for reply in replies:
            blocked = reply.error is not None and "TimeoutError" in reply.error.kinds
            expect(not blocked, BLOCKED, "two batches at once", got=reply.got, expected="both are answered")
            expect_status(reply, 200, "A batch of flights that keep the rules must be answered with 200.")

    @case("columns that differ in length, too many rows or none are refused")
    def lengths(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw_bundle(rng)
        batch = columns(draw_flights(rng, 5))
        name = str(rng.choice(INPUTS))
        lacking = {key: values for key, values in batch.items() if key != name}
        several = {key: values * 201 for key, values in batch.items()}
        with practice(answer, drawn.model_over_there(answer), "add_batches") as client:
            for what, body, told in (
                (
                    f"five flights, one {name} missing",
                    {**batch, name: batch[name][:-1]},
                    f"The column {name} is one value short and the batch is answered: some "
                    "flight got the readings of another.",
                ),
                (
                    f"five flights, {name} ten times",
                    {**batch, name: batch[name] * 2},
                    f"The column {name} is longer than the others, and nobody was told.",
                ),
                (f"five flights without {name}", lacking, f"There is no column {name} at all."),
                (
                    "no flight",
                    {key: [] for key in INPUTS},
                    "A batch of no flight is a mistake of the client's: say so.",
                ),
                (
                    "1,005 flights",
                    several,
                    "1,005 flights are more than the contract allows. Without a bound one client can fill the memory.",
                ),
            ):
                self._expect_refused(client, what, body, told)

    @case("each value keeps the rules of a single flight")
    def values(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw_bundle(rng)
        batch = columns(draw_flights(rng, 6))
        row = int(rng.integers(1, 6))
        with practice(answer, drawn.model_over_there(answer), "add_batches") as client:
            for name, value in (
                ("humidity", 180.0),
                ("departure_minute", 1_440),
                ("origin", "BOS"),
                ("distance", None),
                ("visibility", "9"),
                ("departure_minute", True),
                ("distance", 0),
                ("pressure", 849.0),
                ("visibility", -1.0),
            ):
                changed = [value if place == row else old for place, old in enumerate(batch[name])]
                told = f"Row {row} has {name} {value!r}, which a single flight may not have, and the batch is answered."
                self._expect_refused(client, f"six flights, {name} {value!r}", {**batch, name: changed}, told)
            told = "A column that nobody declared is accepted."
            self._expect_refused(client, "six flights and their carrier", {**batch, "carrier": ["UA"] * 6}, told)

    def _expect_refused(self, client: Client, what: str, body: Any, told: str) -> None:
        reply = replace(client.post(MANY, json=body), tried=f"POST {MANY}, {what}")
        expect(reply.status != 200, told, reply, expected="status 422")
        broke = (
            "The client broke the rules and is told that the server failed. A ValidationError that is raised inside "
            "the endpoint becomes a 500; the model of the body should refuse it before."
        )
        expect(reply.status < 500, broke, reply, expected="status 422")
        expect_status(reply, (422, 413), "422 is the status for content that breaks the rules.")

    def _expect_batch(self, client: Client, drawn: Drawn, batch: dict[str, list[Any]]) -> Reply:
        """Raise Wrong unless the batch is answered as the drawn model does; gives the reply."""
        size = len(batch["origin"])
        reply = replace(client.post(MANY, json=batch), tried=f"POST {MANY}, {size} flights")
        _expect_written(reply)
        expect_status(reply, 200, f"A batch of {size} flights that keep the rules must be answered with 200.")
        found = object_of(reply, "probabilities", "version")
        values = found["probabilities"]
        wanted = drawn.model.predict(batch)
        shown = {
            "got": reply.got[:200],
            "expected": ", ".join(f"{p:.4f}" for p in wanted[:5]) + (", …" if size > 5 else ""),
        }
        numbers = isinstance(values, list) and all(is_number(value) for value in values)
        expect(numbers, "`probabilities` is not a list of numbers.", reply.tried, **shown)
        count = f"{len(values)} of {size} probabilities came back."
        expect(len(values) == size, count, reply.tried, **shown)
        near = np.abs(np.asarray(values, float) - wanted) <= CLOSE
        moved = not near.all() and np.allclose(np.sort(values), np.sort(wanted), atol=CLOSE)
        expect(
            not moved, "These are the right numbers in another order: each belongs to a flight.", reply.tried, **shown
        )
        first = int(np.argmin(near))
        told = (
            f"Flight {first} has another probability here than alone. Does each value stay in its row, and each "
            "column under its name, whatever order the client sends the columns in?"
        )
        expect(near.all(), told, reply.tried, **shown)
        expect_version(found["version"], drawn.version, reply)
        return reply
