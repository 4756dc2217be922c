"""Lab 02: what the checks of its exercises share. Drawn bundles and flights, words for statuses."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from labkit.answer import Answer, Name, Thing
from labkit.exercise import expect
from labkit.http import Client, Reply
from lessonkit.lateness import INFO_FILE, INPUTS, MODEL_FILE, ORIGINS, Model, describe, open_session

LEAK = re.compile(r'Traceback|File \\?"[^"]*", line \d+')
SETUP = "`{name}` is not the one of the set-up cells: run them again."
CENTRE = np.array([1, 800, 1_100, 60, 1_015, 8], np.float32)
SPREAD = np.array([0.8, 300, 700, 20, 8, 3], np.float32)
FARTHEST = 0.02  # no drawn flight is nearer to the threshold than this

Flight = dict[str, Any]
Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class Drawn:
    """A bundle as its files hold it, with its model open on this side."""

    onnx: bytes
    info: bytes
    model: Model

    @property
    def version(self) -> str:
        return self.model.version

    def put(self, answer: Answer, folder: str) -> None:
        """Write it into a folder over there, in place of what lies there."""
        answer.write(f"{folder}/{MODEL_FILE}", self.onnx)
        answer.write(f"{folder}/{INFO_FILE}", self.info)

    def model_over_there(self, answer: Answer) -> Thing:
        """The same model, loaded by the notebook's `load_bundle`."""
        folder = answer.folder()
        self.put(answer, folder)
        return made(answer, "load_bundle", folder)


def draw_bundle(rng: np.random.Generator) -> Drawn:
    """A model that minds each of its inputs, with a version and a threshold of its own."""
    weights = rng.uniform(0.5, 1.0, len(INPUTS)) * rng.choice([-1, 1], len(INPUTS))
    onnx = _graph(weights.astype(np.float32), float(rng.uniform(-0.6, 0.2)))
    version = f"{rng.integers(2014, 2100)}-{rng.integers(1, 13):02}.{rng.integers(10**4):04}"
    threshold = round(float(rng.uniform(0.35, 0.55)), 2)
    return Drawn(onnx, describe(onnx, version, threshold), Model(version, threshold, open_session(onnx)))


def _graph(weights: np.ndarray, bias: float) -> bytes:
    """A logistic regression as ONNX, with the mean in place of a missing reading."""
    held = {
        "centre": CENTRE,
        "spread": SPREAD,
        "weights": weights[:, None],
        "bias": np.float32([bias]),
        "none": np.float32([0]),
        "one": np.float32([1]),
    }
    steps = [
        ("Sub", ["flights", "centre"], "moved"),
        ("Div", ["moved", "spread"], "scaled"),
        ("IsNaN", ["scaled"], "missing"),
        ("Where", ["missing", "none", "scaled"], "whole"),
        ("MatMul", ["whole", "weights"], "sum"),
        ("Add", ["sum", "bias"], "logit"),
        ("Sigmoid", ["logit"], "late"),
        ("Sub", ["one", "late"], "not_late"),
    ]
    nodes = [helper.make_node(kind, inputs, [output]) for kind, inputs, output in steps]
    nodes.append(helper.make_node("Concat", ["not_late", "late"], ["probabilities"], axis=1))
    graph = helper.make_graph(
        nodes,
        "drawn",
        [helper.make_tensor_value_info("flights", TensorProto.FLOAT, ["rows", len(INPUTS)])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", 2])],
        [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in held.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return made.SerializeToString()


def draw_flights(rng: np.random.Generator, count: int) -> list[Flight]:
    """So many flights that keep every rule; some readings are missing."""
    return list(itertools.islice(_flights(rng), count))


def draw_clear(rng: np.random.Generator, model: Model, count: int) -> list[Flight]:
    """So many flights, late and not late in turn, none of them near the model's threshold."""
    found: list[Flight] = []
    for flight in _flights(rng):
        above = probability(model, flight) - model.threshold
        if abs(above) > FARTHEST and (above > 0) == (len(found) % 2 == 0):
            found.append(flight)
        if len(found) == count:
            return found
    raise AssertionError("flights are drawn without end")


def _flights(rng: np.random.Generator) -> Iterator[Flight]:
    while True:
        flight = {
            "origin": str(rng.choice(ORIGINS)),
            "departure_minute": int(rng.integers(300, 1_430)),
            "distance": float(rng.integers(100, 2_500)),
            "humidity": round(float(rng.uniform(20, 100)), 1),
            "pressure": round(float(rng.uniform(990, 1_040)), 1),
            "visibility": round(float(rng.uniform(0.5, 10)), 2),
        }
        yield {name: None if name in INPUTS[3:] and rng.random() < 0.15 else value for name, value in flight.items()}


def columns(flights: list[Flight]) -> Columns:
    """The flights in columns."""
    return {name: [flight[name] for flight in flights] for name in INPUTS}


def probability(model: Model, flight: Flight) -> float:
    """What the model says of one flight."""
    return float(model.predict(columns([flight]))[0])


def made(answer: Answer, name: str, *args: Any) -> Thing:
    """What a function of the set-up cells gives, over there."""
    given = [part.ref if isinstance(part, Thing) else part for part in args]
    found = answer.call(name, *given).value
    expect(isinstance(found, Thing), SETUP.format(name=name), f"{name}(...)", got=found)
    return found


def loader(answer: Answer, folder: str) -> Thing:
    """A function over there that loads the bundle of a folder, without arguments."""
    return made(answer, "partial", Name("load_bundle"), folder)


def practice(answer: Answer, model: Thing | None, *parts: str) -> AbstractContextManager[Client]:
    """Requests to `practice_app` with a model and these parts."""
    return answer.client("practice_app", model, *(Name(part) for part in parts))


def running(answer: Answer, model: Thing, *parts: str) -> tuple[Thing, Thing]:
    """An app of `practice_app` with a model and these parts, and its state, to exchange the model in."""
    app = made(answer, "practice_app", model, *(Name(part) for part in parts))
    app.label = "app"
    return app, app.get("state").value


def expect_status(reply: Reply, wanted: int | tuple[int, ...], message: str) -> None:
    """Raise Wrong unless the reply has one of these statuses and shows nothing of the answer's code."""
    statuses = (wanted,) if isinstance(wanted, int) else wanted
    expected = "status " + " or ".join(str(status) for status in statuses)
    leaked = "The client is shown a traceback of your code: its paths and names are nobody else's business."
    leaks = LEAK.search(reply.body.decode("utf-8", "replace"))
    shown = f"{reply.status}, {len(reply.body):,} bytes that hold a traceback"
    expect(not leaks, leaked, reply.tried, got=shown, expected=expected)
    expect(reply.status != 404 or 404 in statuses, _nowhere(reply), reply, expected=expected)
    expect(reply.status in statuses, message, reply, expected=expected)


def _nowhere(reply: Reply) -> str:
    method, path = reply.tried.split(" ")[:2]
    return f"There is nothing at this address: the app has no endpoint for {method} {path}."


def object_of(reply: Reply, *keys: str) -> dict[str, Any]:
    """The object in a reply, with at least these keys; else raise Wrong."""
    found = reply.json()
    wanted = f"an object with {', '.join(keys)}"
    expect(isinstance(found, dict), "The answer is not a JSON object.", reply, expected=wanted)
    lacking = [key for key in keys if key not in found]
    expect(not lacking, f"The answer lacks {' and '.join(lacking)}.", reply, expected=wanted)
    return found


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def expect_version(found: Any, version: str, reply: Reply) -> None:
    told = "The answer must name the version of the model that gave it, or nobody can tell later which one it was."
    expect(found == version, told, reply.tried, got=f"version: {found!r}"[:200], expected=f"version: {version!r}")


def example_bodies(schema: Any) -> list[Any]:
    """The examples that a JSON schema of an object holds, as a whole or field by field."""
    if not isinstance(schema, dict):
        return []
    whole = schema.get("examples", [schema["example"]] if "example" in schema else [])
    if whole:
        return list(whole.values()) if isinstance(whole, dict) else list(whole)
    fields = schema.get("properties", {})
    one = {}
    for name, field in fields.items() if isinstance(fields, dict) else ():
        given = field.get("examples") or ([field["example"]] if "example" in field else [])
        if isinstance(given, list) and given:
            one[name] = given[0]
    return [one] if one else []
