"""Lab 02: the exercises `schema` and `start`, about what comes in and what is loaded."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from checks.lab02_common import (
    Drawn,
    Flight,
    draw_bundle,
    draw_flights,
    example_bodies,
    expect_status,
    expect_version,
    loader,
    object_of,
)
from labkit.answer import Answer, Result, Thing
from labkit.exercise import Exercise, case, expect
from labkit.http import Client, NotStarted
from lessonkit.lateness import INPUTS

MISSING = object()
BOUNDS = {
    "departure_minute": (0, 1_439),
    "distance": (1, 12_500),
    "humidity": (0, 100),
    "pressure": (850, 1_100),
    "visibility": (0, 100),
}
# What is refused for its kind: which field is changed to what, and why it matters.
KINDS: dict[str, tuple[str, Any, str]] = {
    "an airport that the model never saw": (
        "origin",
        "BOS",
        "The model knows three airports and has no code for a fourth.",
    ),
    "an airport in small letters": ("origin", "jfk", ""),
    "an airport with something behind it": (
        "origin",
        "JFKX",
        "A pattern is found anywhere in the text, `Literal` takes the whole text alone.",
    ),
    "no airport": ("origin", MISSING, ""),
    "no departure": ("departure_minute", MISSING, ""),
    "no distance": ("distance", MISSING, ""),
    "half a minute": ("departure_minute", 540.5, ""),
    "a departure of null": ("departure_minute", None, ""),
    "a distance of null": ("distance", None, ""),
}
LAX: dict[str, tuple[str, Any, str]] = {
    "a text for a number": (
        "humidity",
        "88",
        "Where a text passes for a number, nobody finds out that a client is broken.",
    ),
    "a text for a whole number": ("departure_minute", "540", ""),
    "true for a number": ("distance", True, "To Python true is 1, so it passes unless the model is strict."),
    "true for a whole number": ("departure_minute", True, ""),
}
_NAN = "NaN is neither below the lower bound nor above the upper one, so a comparison alone lets it pass."
ENDLESS: dict[str, tuple[str, Any, str]] = {
    f"{what} for the {name}": (name, value, why)
    for name in ("distance", "humidity", "pressure", "visibility")
    for what, value, why in (("NaN", math.nan, _NAN), ("infinity", math.inf, ""), ("minus infinity", -math.inf, ""))
}


class Schema(Exercise):
    id = "schema"
    title = "Say what a flight is"
    names = ("flight_model",)
    points = 3.0
    hints = (
        "A class in the function, with one line for each field: `distance: Annotated[float, Field(ge=1, le=12_500)]`. "
        "`Literal` lists the values that a text may have.",
        "A reading may be null or left out: `Annotated[float, Field(...)] | None = None`. `ConfigDict` has a setting "
        'for fields that nobody declared (`extra`), one that takes "88" for the text it is (`strict`), and one for '
        "NaN and infinity (`allow_inf_nan`).",
        'The example stands in `ConfigDict`, too: `json_schema_extra={"examples": [{...}]}`, '
        "with a value for each field.",
    )

    @case("a flight that keeps the rules is accepted, at the bounds as well")
    def accepts(self, answer: Answer, rng: np.random.Generator) -> None:
        model = _model_class(answer)
        (flight,) = draw_flights(rng, 1)
        edges = [{**flight, **{name: bounds[end] for name, bounds in BOUNDS.items()}} for end in (0, 1)]
        empty = {**flight, **dict.fromkeys(INPUTS[3:])}
        for one in [*draw_flights(rng, 3), *edges, empty]:
            result = model.attempt("model_validate", one)
            expect(not result.error, "A flight that keeps the rules is refused.", result, expected="accepted")
            self._expect_kept(result, one)
        bare = {name: flight[name] for name in INPUTS[:3]}
        result = model.attempt("model_validate", bare)
        told = "A reading may be left out, which means that it is missing: give it the default None."
        expect(not result.error, told, result, expected="accepted")
        self._expect_kept(result, {**bare, **dict.fromkeys(INPUTS[3:])})

    @case("what is out of range is refused")
    def ranges(self, answer: Answer, rng: np.random.Generator) -> None:
        model = _model_class(answer)
        (flight,) = draw_flights(rng, 1)
        for name, (low, high) in BOUNDS.items():
            for value in (low - 1, high + 1):
                told = f"This flight is accepted: {name} {value} is outside {low} to {high}."
                _expect_refused(model, flight, name, value, told)

    @case("a text, true, a fraction or nothing is no number; an airport is one of three")
    def kinds(self, answer: Answer, rng: np.random.Generator) -> None:
        self._expect_all_refused(answer, rng, KINDS | LAX)

    @case("NaN and infinity are refused")
    def endless(self, answer: Answer, rng: np.random.Generator) -> None:
        self._expect_all_refused(answer, rng, ENDLESS)

    @case("a field that nobody declared is refused")
    def unknown(self, answer: Answer, rng: np.random.Generator) -> None:
        model = _model_class(answer)
        (flight,) = draw_flights(rng, 1)
        told = (
            "This flight is accepted, and its last field is dropped without a word: a misspelt `humidty` would be "
            "answered as if the reading were missing."
        )
        _expect_refused(model, flight, "humidty", 80.0, told)

    @case("the documentation's example keeps the rules")
    def example(self, answer: Answer, rng: np.random.Generator) -> None:
        model = _model_class(answer)
        result = model.call("model_json_schema")
        examples = example_bodies(result.value)
        told = "The model's JSON schema has no example for the documentation to show."
        expect(examples, told, result, got=f"keys: {', '.join(map(str, result.value))}", expected="examples")
        for one in examples:
            whole = isinstance(one, dict) and set(one) == set(INPUTS)
            each = "The example must be a flight with a value for each of the six fields."
            expect(whole, each, "the example", got=one, expected=", ".join(INPUTS))
            tried = model.attempt("model_validate", one)
            broken = (
                "The documentation would show an example that your own model refuses. It is what people copy first."
            )
            expect(not tried.error, broken, tried, expected="accepted")

    def _expect_kept(self, result: Result, flight: Flight) -> None:
        kept = result.value.call("model_dump") if isinstance(result.value, Thing) else result
        expect(
            kept.value == flight, "The model must keep the six fields as sent.", result, got=kept.value, expected=flight
        )

    def _expect_all_refused(self, answer: Answer, rng: np.random.Generator, rules: Any) -> None:
        model = _model_class(answer)
        flight = next(one for one in draw_flights(rng, 50) if None not in one.values())
        for what, (name, value, why) in rules.items():
            _expect_refused(model, flight, name, value, f"This flight is accepted: {what}. {why}".strip())


def _model_class(answer: Answer) -> Thing:
    """The learner's model over there."""
    result = answer.call("flight_model")
    told = "`flight_model` must give the class itself, so that FastAPI can use it as a type."
    expected = "a class that derives from BaseModel"
    expect(isinstance(result.value, Thing), told, result, expected=expected)
    schema = result.value.attempt("model_json_schema")  # nothing but a pydantic model has it
    expect(not schema.error, told, result, expected=expected)
    result.value.label = "Flight"
    return result.value


def _expect_refused(model: Thing, flight: Flight, name: str, value: Any, told: str) -> None:
    """Raise Wrong unless the model refuses a flight that is right but for one field."""
    changed = {**flight, name: value}
    result = model.attempt("model_validate", {key: kept for key, kept in changed.items() if kept is not MISSING})
    tried = f"a right flight without {name}" if value is MISSING else f"a right flight with {name}: {value!r}"
    expect(result.error, told, tried, got="accepted", expected="a ValidationError")
    other = "Your model stopped with an error of its own instead of refusing the flight."
    expect("ValidationError" in result.error.kinds, other, result, expected="a ValidationError")


class Start(Exercise):
    id = "start"
    title = "Load the model once, when the app starts"
    names = ("create_app",)
    points = 3.0
    hints = (
        "A lifespan is a function marked with `@asynccontextmanager`: what stands before its `yield` runs when the app "
        "starts. It gets the app, and `app.state` is a place to keep things.",
        "`FastAPI(lifespan=lifespan)` is what makes the app use it. `load()` belongs into the lifespan and nowhere "
        "else: not beside it, not into the endpoint.",
        "The endpoint takes a `request: Request` and finds the model at `request.app.state.model`. Each app that "
        "`create_app` makes has a state of its own; a global name is one for all.",
    )

    @case("making the app loads nothing, starting it does")
    def starting(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn, folder = draw_bundle(rng), answer.folder()
        app = self._made(answer, folder)
        drawn.put(answer, folder)
        with answer.client(app) as client:
            self._expect_model(client, drawn)

    @case("the model is loaded once: before the first request, and never again", weight=2)
    def once(self, answer: Answer, rng: np.random.Generator) -> None:
        first, second, third = (draw_bundle(rng) for _ in range(3))
        folder = answer.folder()
        app = self._made(answer, folder)
        first.put(answer, folder)
        with answer.client(app) as client:
            second.put(answer, folder)
            reply = client.get("/model")
            expect_status(reply, 200, "`GET /model` must answer with the version.")
            found = [object_of(reply, "version")["version"]]
            third.put(answer, folder)
            found.append(object_of(client.get("/model"), "version")["version"])
        each = "The model is loaded anew for each request. That costs every client the time of a load."
        late = (
            "The model is loaded at the first request. Whoever sends it waits, and learns first "
            "that the model is broken."
        )
        tried = f"start the app, write version {second.version} over {first.version}, GET /model"
        shown = {"got": f"version: {found[0]}", "expected": f"version: {first.version}"}
        expect(found[0] != second.version or found[1] != third.version, each, tried, **shown)
        expect(found[0] != second.version, late, tried, **shown)
        expect(found == [first.version] * 2, "This is not the version that was loaded.", tried, **shown)

    @case("two apps side by side have a model each")
    def two(self, answer: Answer, rng: np.random.Generator) -> None:
        pair = []
        for drawn in (draw_bundle(rng), draw_bundle(rng)):
            folder = answer.folder()
            drawn.put(answer, folder)
            pair.append((drawn, self._made(answer, folder)))
        (first, one), (second, other) = pair
        with answer.client(one) as client, answer.client(other) as another:
            reply = client.get("/model")
            expect_status(reply, 200, "`GET /model` must answer with the version.")
            found = object_of(reply, "version")["version"]
            told = "The first app answers with the model of the second: a global name is shared by all apps."
            tried = f"one app with {first.version}, another with {second.version}; GET /model of the first"
            expect(found != second.version, told, tried, got=f"version: {found}", expected=f"version: {first.version}")
            self._expect_model(client, first)
            self._expect_model(another, second)

    @case("without a model the app does not start")
    def broken(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn, folder = draw_bundle(rng), answer.folder()
        app = self._made(answer, folder)
        self._expect_no_start(answer, app, "is not there", "start the app on an empty folder")
        Drawn(drawn.onnx[:-9], drawn.info, drawn.model).put(answer, folder)
        app = self._made(answer, folder)
        self._expect_no_start(answer, app, "is damaged", "start the app on a damaged model.onnx")

    def _expect_no_start(self, answer: Answer, app: Thing, what: str, tried: str) -> None:
        told = (
            f"The app starts although its bundle {what}, and would take requests that it cannot answer. "
            "Let the error through: a server that cannot start is seen at once."
        )
        try:
            with answer.client(app):
                running = True
        except NotStarted:
            running = False
        expect(not running, told, tried, got="it starts", expected="an error")

    @case("the running app keeps its model in `app.state.model`")
    def state(self, answer: Answer, rng: np.random.Generator) -> None:
        drawn, folder = draw_bundle(rng), answer.folder()
        app = self._made(answer, folder)
        drawn.put(answer, folder)
        with answer.client(app):
            state = app.attempt("__getattribute__", "state").value
            result = state.attempt("__getattr__", "model") if isinstance(state, Thing) else None
            kept = result.value if result and not result.error else None
            found = kept.attempt("__getattribute__", "version") if isinstance(kept, Thing) else None
            version = found.value if found and not found.error else None
        told = "The parts of the next exercises look for the model in `app.state.model`."
        shown = {"got": "no model there" if version is None else f"version: {version}"}
        expect(version == drawn.version, told, "app.state.model.version", **shown, expected=f"version: {drawn.version}")

    def _made(self, answer: Answer, folder: str) -> Thing:
        """An app made on a folder; where that is empty, making it must not mind."""
        result = answer.attempt("create_app", loader(answer, folder).ref)
        early = (
            "The model was loaded while the app was being made. Whoever imports the app, a test or a tool that "
            "prints its documentation, would wait for a model that it may not have."
        )
        looked = result.error and "FileNotFoundError" in result.error.kinds
        expect(not looked, early, "create_app(load), where no bundle is there yet", got=result.got, expected="an app")
        expect(not result.error, "Your code stopped with an error here.", result, expected="an app")
        expect(isinstance(result.value, Thing), "`create_app` must return the app.", result, expected="a FastAPI app")
        result.value.label = "create_app(load)"
        return result.value

    def _expect_model(self, client: Client, drawn: Drawn) -> None:
        reply = client.get("/model")
        expect_status(reply, 200, "`GET /model` must answer with the version.")
        expect_version(object_of(reply, "version")["version"], drawn.version, reply)
