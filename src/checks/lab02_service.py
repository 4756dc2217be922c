"""Lab 02: the exercises `errors`, `health` and `service`."""

from __future__ import annotations

from typing import Any

import numpy as np

from checks.lab02_common import (
    Drawn,
    columns,
    draw_bundle,
    draw_clear,
    draw_flights,
    example_bodies,
    expect_status,
    expect_version,
    loader,
    made,
    object_of,
    practice,
)
from checks.lab02_predict import MANY, ONE, expect_prediction
from labkit.answer import Answer, Name, Thing
from labkit.exercise import Exercise, case, expect
from labkit.http import Client, NotStarted, Reply, Request

SECRET = "4711"  # stands in the error of the practice endpoint
PROBLEM = "application/problem+json"


def expect_problem(reply: Reply, status: int | tuple[int, ...], message: str) -> dict[str, Any]:
    """Raise Wrong unless the reply is a problem document with this status; gives the document."""
    wanted = " or ".join(map(str, status if isinstance(status, tuple) else (status,)))
    expect(reply.status != 200, f"{message} 200 says that all went well.", reply, expected=f"status {wanted}")
    expect_status(reply, status, message)
    kind = reply.headers.get("content-type", "").split(";")[0].strip()
    told = f"The error is not marked as a problem document. A client tells it by its content type, {PROBLEM}."
    expect(kind == PROBLEM, told, reply.tried, got=f"content-type: {kind}", expected=f"content-type: {PROBLEM}")
    found = object_of(reply, "title", "status", "detail")
    same = "`status` in the document must be the status of the response."
    expect(found["status"] == reply.status, same, reply.tried, got=reply.got, expected=f"status: {reply.status}")
    texts = all(isinstance(found[key], str) and found[key] for key in ("title", "detail"))
    expect(texts, "`title` and `detail` are texts for a person to read.", reply, expected="two texts")
    return found


class Errors(Exercise):
    id = "errors"
    title = "Errors as the client sees them"
    names = ("add_errors",)
    points = 4.0
    hints = (
        "`@app.exception_handler(Kind)` marks an async function of `(request, error)` that "
        "returns a response. Three kinds are "
        "needed: `RequestValidationError`, `Exception`, and Starlette's `HTTPException`, which is also what an unknown "
        "address raises; FastAPI's own derives from it.",
        "In the handler of `RequestValidationError`: did the app want a body (`loc[0]` of a fault says so), and is "
        "the request's content type JSON at all (415)? A GET has neither. Is one of `error.errors()` of the type "
        "`json_invalid` (400)? All others are 422.",
        "Each of `error.errors()` has `loc` and `msg`, which are for the client, and `input`, which is what was sent: "
        "NaN in it cannot be written as JSON. An HTTPException has `headers` that must go into the response. "
        "What an unexpected error says is for the log alone.",
    )

    @case("content that breaks the rules: 422, and which field it was")
    def invalid(self, answer: Answer, rng: np.random.Generator) -> None:
        with self._client(answer) as client:
            for body, field in (({"number": "x"}, "number"), ({}, "number"), ({"number": 1, "nummer": 2}, "nummer")):
                reply = client.post("/doubles", json=body)
                found = expect_problem(reply, 422, "422 is the status for content that breaks the rules.")
                errors = found.get("errors")
                listed = isinstance(errors, list) and errors and all(isinstance(one, dict) for one in errors)
                told = "The document does not say what was wrong: `errors` is a list with an object for each fault."
                expect(listed, told, reply, expected='"errors": [{"field": ..., "message": ...}]')
                fields = [str(one.get("field")) for one in errors]
                named = any(text.split(".")[-1] == field for text in fields)
                told = f"The fault is in the field {field}, and no `field` in `errors` says so."
                expect(named, told, reply, expected=f'"field": "{field}"')
                said = all(isinstance(one.get("message"), str) and one["message"] for one in errors)
                expect(said, "A fault has no `message`.", reply, expected='"message": a text')

    @case("what was sent is not repeated, and a fault need not lie in a field of the body")
    def elsewhere(self, answer: Answer, rng: np.random.Generator) -> None:
        sent = f"card {rng.integers(10**9, 10**10)}"
        with self._client(answer) as client:
            reply = client.post("/doubles", json={"number": sent})
            expect_problem(reply, 422, "422 is the status for content that breaks the rules.")
            told = (
                "The answer repeats the value that was sent. It may be a password in the wrong field, and answers are "
                "kept in logs: say which field was wrong, not what was in it."
            )
            expect(sent not in reply.body.decode("utf-8", "replace"), told, reply, expected="the field and the rule")
            reply = client.post("/doubles", json=[1])
            stopped = (
                "The body is a list, so no field is to blame: `loc` is `body` alone, and your handler must bear it."
            )
            expect_problem(reply, 422, stopped)
            reply = client.get("/halves?number=x")
            told = (
                "A GET has no body and so no content type: 415 says nothing to it. The value in its address is wrong."
            )
            expect_problem(reply, 422, told)

    @case("NaN is the client's mistake, too")
    def nan(self, answer: Answer, rng: np.random.Generator) -> None:
        with self._client(answer) as client:
            for body in (b'{"number": NaN}', b'{"number": -Infinity}', b'{"number": 1e999}'):
                reply = client.post("/doubles", content=body, headers={"content-type": "application/json"})
                broke = (
                    "The client sent NaN or infinity, and the server failed: the answer repeats "
                    "the input, and NaN cannot "
                    "be written as JSON. Say which field was wrong, not what was in it."
                )
                expect(reply.status < 500, broke, reply, expected="status 422")
                expect_problem(reply, (400, 422), "NaN and infinity are refused.")

    @case("a body that is not JSON: 400; one that does not claim to be: 415")
    def body(self, answer: Answer, rng: np.random.Generator) -> None:
        with self._client(answer) as client:
            for body in (b'{"number": 1', b"number=1", b'{"number": "\xff"}'):
                reply = client.post("/doubles", content=body, headers={"content-type": "application/json"})
                expect_problem(reply, 400, "The body is not JSON. That is 400: the request itself cannot be read.")
            for kind in ("text/plain", "application/x-www-form-urlencoded"):
                for body in (b'{"number": 1}', b"number=1"):
                    reply = client.post("/doubles", content=body, headers={"content-type": kind})
                    told = f"The client says that it sends {kind}. This API takes JSON, and 415 is the status for that."
                    expect_problem(reply, 415, told)
            reply = client.post("/doubles", content=b'{"number": 1}')
            told = "The request names no content type at all. Your handler must bear that; 415 is the status."
            expect_problem(reply, (415, 422), told)

    @case("what the framework refuses is a problem document as well, with its headers")
    def framework(self, answer: Answer, rng: np.random.Generator) -> None:
        with self._client(answer) as client:
            reply = client.get(f"/nothing-{rng.integers(10**6)}")
            expect_problem(reply, 404, "There is nothing at this address.")
            reply = client.get("/doubles")
            expect_problem(reply, 405, "The address is right and the method is wrong.")
            self._expect_header(reply, "allow", "POST", "405 comes with the methods that are allowed.")
            reply = client.get("/busy")
            found = expect_problem(reply, 503, "The endpoint raised HTTPException(503, ...).")
            told = "The endpoint said why, and the client is not told."
            expect("exchanged" in found["detail"], told, reply, expected="The model is being exchanged.")
            self._expect_header(reply, "retry-after", "30", "The endpoint said when to come back.")

    @case("an error nobody expected: 500, and not a word of it")
    def bug(self, answer: Answer, rng: np.random.Generator) -> None:
        with self._client(answer) as client:
            reply = client.get("/bug")
        told = "The endpoint failed, and 500 is the status that says so."
        leak = (
            "The client reads the error's own text, and with it what your code was doing: here the number of a safe, "
            "elsewhere a path, a query, a password."
        )
        expect_problem(reply, 500, told)
        shown = reply.body.decode("utf-8", "replace")
        expect(SECRET not in shown, leak, reply, expected="a text that is the same for all")

    @case("what was right stays right")
    def right(self, answer: Answer, rng: np.random.Generator) -> None:
        number = float(rng.integers(1, 1_000))
        with self._client(answer) as client:
            for kind in ("application/json", "application/json; charset=utf-8"):
                content = f'{{"number": {number}}}'
                reply = client.post("/doubles", content=content, headers={"content-type": kind})
                expect_status(reply, 200, "A request without a fault is refused.")
                expect(
                    object_of(reply).get("double") == 2 * number, "The answer has changed.", reply, expected=2 * number
                )

    def _client(self, answer: Answer) -> Any:
        return practice(answer, None, "add_trouble", "add_errors")

    def _expect_header(self, reply: Reply, name: str, value: str, why: str) -> None:
        found = reply.headers.get(name, "")
        told = f"The header {name} is lost on the way through your handler. {why}"
        expect(found == value, told, reply.tried, got=f"{name}: {found}", expected=f"{name}: {value}")


class Health(Exercise):
    id = "health"
    title = "Alive is not ready"
    names = ("add_health",)
    points = 2.0
    hints = (
        "Two endpoints. `/livez` says that the process answers, which it proves by answering. `/readyz` looks for the "
        "model each time it is asked.",
        "There may be no `app.state.model` at all, and reading it would raise an error: "
        '`getattr(app.state, "model", None)`.',
        "What decides is the status, not the body: load balancers read no JSON. "
        "`HTTPException(503, ...)` is not ready.",
    )

    @case("without a model the app is alive and not ready")
    def before(self, answer: Answer, rng: np.random.Generator) -> None:
        with practice(answer, None, "add_health") as client:
            self._expect_live(client)
            self._expect_not_ready(client, "app.state.model is None")
        bare = made(answer, "FastAPI")
        answer.call("add_health", bare.ref)
        bare.label = "app"
        with answer.client(bare) as client:
            self._expect_live(client)
            self._expect_not_ready(client, "there is no app.state.model")

    @case("once the model is there the app is ready, and says with which version")
    def after(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw_bundle(rng)
        app, state = self._app(answer)
        with answer.client(app) as client:
            self._expect_not_ready(client, "app.state.model is None")
            state.call("__setattr__", "model", drawn.model_over_there(answer).ref)
            self._expect_ready(client, drawn)
            self._expect_live(client)

    @case("when the model is taken away the app is not ready any more")
    def gone(self, answer: Answer, rng: np.random.Generator) -> None:
        first, second = draw_bundle(rng), draw_bundle(rng)
        app, state = self._app(answer)
        with answer.client(app) as client:
            state.call("__setattr__", "model", first.model_over_there(answer).ref)
            self._expect_ready(client, first)
            state.call("__setattr__", "model", None)
            self._expect_not_ready(client, "app.state.model is None again")
            self._expect_live(client)
            state.call("__setattr__", "model", second.model_over_there(answer).ref)
            self._expect_ready(client, second)

    def _app(self, answer: Answer) -> tuple[Thing, Thing]:
        """An app without a model, and its state."""
        app = answer.call("practice_app", None, Name("add_health")).value
        app.label = "app"
        return app, app.get("state").value

    def _expect_live(self, client: Client) -> None:
        told = (
            "Who is told that the process is dead kills it. It is alive as long as it answers, with a model or without."
        )
        expect_status(client.get("/livez"), 200, told)

    def _expect_ready(self, client: Client, drawn: Drawn) -> None:
        reply = client.get("/readyz")
        told = (
            "The model is there and no request is let in. Is it looked for each time, or once, when "
            "the endpoint was made?"
        )
        expect_status(reply, 200, told)
        expect_version(object_of(reply, "version")["version"], drawn.version, reply)

    def _expect_not_ready(self, client: Client, what: str) -> None:
        reply = client.get("/readyz")
        ready = "The app says that it is ready and has no model: every client who is sent here gets an error."
        expect(reply.status != 200, ready, f"GET /readyz, while {what}", got=reply.got, expected="status 503")
        broke = "This is an error of your code, not the answer that the app is not ready."
        expect(reply.status != 500, broke, f"GET /readyz, while {what}", got=reply.got, expected="status 503")
        expect_status(reply, 503, "503 is the status of a server that cannot answer now and may later.")


class Service(Exercise):
    id = "service"
    title = "The service, and the page that describes it"
    names = ("create_service",)
    points = 3.0
    hints = (
        "`create_app(load)` gives the app, and each `add_...` adds its part to it. Return the app.",
        "The documentation is made from the app itself: its title from `app.title`, the example "
        "from exercise 1, the shape "
        "of an answer from the return type of the endpoint.",
        "An endpoint that returns a dict has no shape to document. Return a pydantic model and write "
        "`-> Prediction` behind the parameters of the endpoint in exercise 3.",
    )

    @case("all parts work together on a bundle", weight=2)
    def together(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn = draw_bundle(rng)
        flights = draw_clear(rng, drawn.model, 4)
        with self._client(answer, drawn) as client:
            for path in ("/livez", "/readyz", "/model"):
                expect_status(client.get(path), 200, f"GET {path} of the whole service must be answered with 200.")
            for reply, flight in zip(
                client.at_once([Request("POST", ONE, json=flight) for flight in flights]), flights, strict=True
            ):
                expect_prediction(reply, drawn, flight)
            reply = client.post(MANY, json=columns(flights))
            expect_status(reply, 200, "A batch must be answered by the whole service.")
            values = object_of(reply, "probabilities")["probabilities"]
            wanted = drawn.model.predict(columns(flights))
            same = isinstance(values, list) and len(values) == 4 and np.allclose(values, wanted, atol=1e-5)
            expect(same, "These are not the probabilities of the service's model.", reply, expected=wanted)

    @case("its errors are problem documents")
    def problems(self, answer: Answer, rng: np.random.Generator) -> None:
        (flight,) = draw_flights(rng, 1)
        broken = f'{{"origin": "JFK", "departure_minute": 600, "distance": {rng.choice(["NaN", "Infinity"])}}}'
        with self._client(answer, draw_bundle(rng)) as client:
            expect_problem(client.get("/nothing"), 404, "There is nothing at this address.")
            reply = client.post(ONE, json={**flight, "humidity": 180})
            expect_problem(reply, 422, "A humidity of 180 percent breaks the rules.")
            reply = client.post(ONE, content=broken, headers={"content-type": "application/json"})
            expect_problem(reply, (400, 422), "NaN and infinity break the rules.")

    @case("it loads its bundle when it starts, and does not start without")
    def starts(self, answer: Answer, rng: np.random.Generator) -> None:
        first, second, folder = draw_bundle(rng), draw_bundle(rng), answer.folder()
        app = made(answer, "create_service", loader(answer, folder))
        app.label = "create_service(load)"
        try:
            with answer.client(app):
                running = True
        except NotStarted:
            running = False
        told = "The service starts without a bundle, and would take requests that it cannot answer."
        expect(not running, told, "start the service on an empty folder", got="it starts", expected="an error")
        first.put(answer, folder)
        with answer.client(app) as client:
            second.put(answer, folder)
            reply = client.get("/readyz")
            expect_status(reply, 200, "The service has started and must be ready.")
            expect_version(object_of(reply, "version")["version"], first.version, reply)

    @case("the documentation has a title, the addresses, the shape of an answer")
    def documents(self, answer: Answer, rng: np.random.Generator) -> None:
        with self._client(answer, draw_bundle(rng)) as client:
            page = client.get("/docs")
            gone = "The page for people is gone: FastAPI serves it at /docs unless it is told not to."
            expect(page.status == 200, gone, page, expected="status 200")
            reply = client.get("/openapi.json")
            gone = "The document behind the page is gone: FastAPI serves it at /openapi.json."
            expect(reply.status == 200, gone, reply, expected="status 200")
            document = object_of(reply, "info", "paths")
        title = document["info"].get("title") if isinstance(document["info"], dict) else None
        told = "The title is the framework's. The page should say what this service is."
        fine = isinstance(title, str) and title and title != "FastAPI"
        expect(fine, told, "GET /openapi.json", got=f"title: {title}", expected="a title of your own")
        for path, method in ((ONE, "post"), (MANY, "post"), ("/model", "get"), ("/livez", "get"), ("/readyz", "get")):
            there = isinstance(_at(document, "paths", path, method), dict)
            told = f"{method.upper()} {path} is not in the documentation."
            expect(there, told, "GET /openapi.json", got=f"paths: {', '.join(map(str, document['paths']))}"[:200])
        answers = _at(document, "paths", ONE, "post", "responses", "200", "content", "application/json", "schema")
        fields = _resolved(document, answers).get("properties", {})
        told = (
            "The documentation does not say what a prediction looks like: the endpoint of exercise "
            "3 has no return type."
        )
        shaped = isinstance(fields, dict) and {"probability", "late", "version"} <= set(fields)
        expect(shaped, told, "GET /openapi.json", got=f"200: {answers}"[:200], expected="probability, late, version")

    @case("each documented example is answered with 200")
    def examples(self, answer: Answer, rng: np.random.Generator) -> None:
        with self._client(answer, draw_bundle(rng)) as client:
            document = object_of(client.get("/openapi.json"), "paths")
            media = _at(document, "paths", ONE, "post", "requestBody", "content", "application/json")
            bodies = _documented(document, media)
            told = "The documentation of POST /predictions has no example to copy."
            expect(bodies, told, "GET /openapi.json", got=f"{media}"[:200], expected="an example")
            for body in bodies:
                reply = client.post(ONE, json=body)
                expect_status(reply, 200, "The service refuses the example of its own documentation.")

    def _client(self, answer: Answer, drawn: Drawn) -> Any:
        folder = answer.folder()
        drawn.put(answer, folder)
        return answer.client("create_service", loader(answer, folder))


def _at(document: Any, *keys: str) -> Any:
    """What lies under these keys, or None."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def _resolved(document: Any, schema: Any) -> dict[str, Any]:
    """A schema, or the one that its `$ref` names within the document."""
    if not isinstance(schema, dict):
        return {}
    target = schema.get("$ref")
    found = _at(document, *target.removeprefix("#/").split("/")) if isinstance(target, str) else schema
    return found if isinstance(found, dict) else {}


def _documented(document: Any, media: Any) -> list[Any]:
    """The examples of a request body: beside its schema, or in it."""
    if not isinstance(media, dict):
        return []
    if "example" in media:
        return [media["example"]]
    named = media.get("examples")
    if isinstance(named, dict) and named:
        return [one.get("value") for one in named.values() if isinstance(one, dict)]
    return example_bodies(media.get("schema")) or example_bodies(_resolved(document, media.get("schema")))
