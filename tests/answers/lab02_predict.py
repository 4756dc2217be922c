"""Lab 02: answers to `predict` and `batch`. See the package's docstring for the form."""

from __future__ import annotations

_PREDICT = """
def add_predictions(app):
    Flight = flight_model()
    @app.post("/predictions")
    {kind} predict(flight: {body}, request: Request):
        model = request.app.state.model
        p = {probability}
        return {answer}
"""
_COLUMNS = "{name: [value] for name, value in flight.model_dump().items()}"


def _predict(**changes: str) -> str:
    parts = {
        "kind": "def",
        "body": "Flight",
        "probability": f"float(model.predict({_COLUMNS})[0])",
        "answer": '{"probability": p, "late": p >= model.threshold, "version": model.version}',
    }
    return _PREDICT.format(**(parts | changes))


PREDICT_RIGHT = {
    "a router, a dependency, a thread by hand": """
import asyncio
from typing import Any
from fastapi import APIRouter, Depends

def add_predictions(app):
    router = APIRouter(prefix="/predictions")
    Flight = flight_model()

    def the_model(request: Request):
        return request.app.state.model

    class Answer(BaseModel):
        probability: float
        late: bool
        version: str
        flight: Flight

    @router.post("", response_model=Answer)
    async def predict(flight: Flight, model: Annotated[Any, Depends(the_model)]):
        columns = {name: [getattr(flight, name)] for name in reversed(INPUTS)}
        (p,) = await asyncio.to_thread(model.predict, columns)
        return {"probability": p.item(), "late": bool(p >= model.threshold), "version": model.version, "flight": flight}

    app.include_router(router)
""",
    "a dict, a def": _predict(),
    "Starlette inside": """
import json
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

def add_predictions(app):
    Flight = flight_model()

    async def predict(request):
        try:
            flight = Flight.model_validate_json(await request.body())
        except ValidationError as error:
            return JSONResponse(json.loads(error.json(include_input=False)), 422)
        model = request.app.state.model
        p = await run_in_threadpool(lambda: float(model.predict({k: [v] for k, v in flight})[0]))
        return JSONResponse({"probability": p, "late": p >= model.threshold, "version": model.version})

    app.add_route("/predictions", predict, methods=["POST"])
""",
}
PREDICT_WRONG = {
    "a blocking async def": (_predict(kind="async def"), "An `async def` that computes holds the event loop"),
    "a lock around everything": (
        "import threading\nlock = threading.Lock()\n"
        + _predict(probability=f"None\n        with lock: p = float(model.predict({_COLUMNS})[0])"),
        "no other gets in",
    ),
    "the other class": (
        _predict(probability=f"1 - float(model.predict({_COLUMNS})[0])"),
        "the probability of being on time",
    ),
    "percent": (
        _predict(answer='{"probability": 100 * p, "late": p >= model.threshold, "version": model.version}'),
        "These are percent",
    ),
    "rounded": (
        _predict(answer='{"probability": round(p, 2), "late": p >= model.threshold, "version": model.version}'),
        "The probability is rounded",
    ),
    "a threshold of one half": (
        _predict(answer='{"probability": p, "late": p >= 0.9, "version": model.version}'),
        "reaches the model's own `threshold`",
    ),
    "NumPy's number": (
        _predict(probability=f"model.predict({_COLUMNS})[0]"),
        "NumPy's numbers and arrays are not Python's",
    ),
    "a text": (
        _predict(answer='{"probability": f"{p:.6f}", "late": p >= model.threshold, "version": model.version}'),
        "The probability is not a number",
    ),
    "no version": (
        _predict(answer='{"probability": p, "late": p >= model.threshold}'),
        "The answer lacks version",
    ),
    "the notebook's version": (
        _predict(answer='{"probability": p, "late": p >= model.threshold, "version": "2013-06"}'),
        "must name the version of the model that gave it",
    ),
    "the model of the app that was made last": (
        _predict(probability=f"float(the_model.predict({_COLUMNS})[0])")
        .replace("    Flight = ", "    global the_model\n    the_model = app.state.model\n    Flight = ")
        .replace("model.version}", "the_model.version}"),
        "The first app answers with the model of the second",
    ),
    "later than the threshold": (
        _predict(answer='{"probability": p, "late": p > model.threshold, "version": model.version}'),
        "The probability equals the threshold",
    ),
    "the model that was there first": (
        _predict()
        .replace("        model = request.app.state.model\n", "")
        .replace("    Flight = ", "    model = app.state.model\n    Flight = "),
        "or once, when the endpoint was made",
    ),
    "columns of the raw body": (
        _predict(body="dict", probability="float(model.predict({name: [flight[name]] for name in flight})[0])").replace(
            "        model =",
            "        try: Flight(**flight)\n        except ValueError: raise HTTPException(422, 'no flight')\n"
            "        model =",
        ),
        "A reading may be left out, and the model wants its column",
    ),
    "200 for everything": (
        """
def add_predictions(app):
    Flight = flight_model()
    @app.post("/predictions")
    def predict(body: dict, request: Request):
        try:
            model = request.app.state.model
            flight = Flight(**body)
            p = float(model.predict({name: [value] for name, value in flight.model_dump().items()})[0])
            return {"probability": p, "late": p >= model.threshold, "version": model.version}
        except Exception as error:
            return {"error": str(error)}
""",
        "200 says that all went well",
    ),
    "a failing model is hidden": (
        _predict(
            probability=f"0.5\n        try: p = float(model.predict({_COLUMNS})[0])"
            "\n        except Exception: return {}"
        ),
        "answers as if all went well",
    ),
    "checked inside": (
        _predict(body="dict").replace("        model =", "        flight = Flight(**flight)\n        model ="),
        "that is the client's mistake, not the server's",
    ),
    "nothing is checked": (
        _predict(body="dict", probability="float(model.predict({name: [flight.get(name)] for name in INPUTS})[0])"),
        "A humidity of 180 percent: 200 says that all went well",
    ),
    "a traceback for the client": (
        """
import traceback
def add_predictions(app):
    Flight = flight_model()
    @app.post("/predictions")
    def predict(flight: Flight, request: Request):
        try:
            model = request.app.state.model
            p = float(model.predict({name: [value] for name, value in flight.model_dump().items()})[0])
            return {"probability": p, "late": p >= model.threshold, "version": model.version}
        except Exception:
            raise HTTPException(500, traceback.format_exc())
""",
        "The client is shown a traceback",
    ),
    "GET, too": (
        _predict().replace('@app.post("/predictions")', '@app.api_route("/predictions", methods=["GET", "POST"])'),
        "asked for by POST alone",
    ),
    "another address": (_predict().replace('"/predictions"', '"/predict"'), "There is nothing at this address"),
}

_BATCH = """
def add_batches(app):
    types = {{name: f.rebuild_annotation() for name, f in flight_model().model_fields.items()}}
    class Base(BaseModel):
        model_config = ConfigDict({config})
    columns = {{name: Annotated[list[kind], Field({rows})] for name, kind in types.items()}}
    Batch = create_model("Batch", __base__=Base, **columns)

    @app.post("/predictions/batch")
    def many(batch: {body}, request: Request):
        model = request.app.state.model
        columns = {{name: getattr(batch, name) for name in INPUTS}}
        {check}
        p = {probabilities}
        return {{"probabilities": p, "version": model.version}}
"""
_LENGTHS = 'if len({len(column) for column in columns.values()}) > 1: raise HTTPException(422, "lengths differ")'
_ONE = "float(model.predict({name: [value] for name, value in zip(columns, row)})[0])"


def _batch(**changes: str) -> str:
    parts = {
        "config": 'extra="forbid", strict=True, allow_inf_nan=False',
        "rows": "min_length=1, max_length=1_000",
        "body": "Batch",
        "check": _LENGTHS,
        "probabilities": "model.predict(columns).tolist()",
    }
    return _BATCH.format(**(parts | changes))


# Columns as they come, each row put through the model of a single flight.
_ROWS = """
from pydantic import ValidationError

def add_batches(app):
    Flight = flight_model()
    @app.post("/predictions/batch")
    def many(batch: dict[str, list], request: Request):
        model = request.app.state.model
        lengths = {{len(column) for column in batch.values()}}
        if set(batch) != set(INPUTS) or len(lengths) != 1 or not 1 <= max(lengths) <= 1_000:
            raise HTTPException(422, "six columns of one length, 1 to 1,000")
        {rows}
        columns = {{name: [getattr(flight, name) for flight in flights] for name in INPUTS}}
        return {{"probabilities": {order}model.predict(columns).tolist(), "version": model.version}}
"""
_CAUGHT = """try:
            flights = [Flight(**dict(zip(batch, row))) for row in zip(*batch.values())]
        except ValidationError as error:
            raise HTTPException(422, error.errors(include_context=False, include_input=False))"""

BATCH_RIGHT = {
    "lengths compared in the endpoint": _batch(),
    "row by row through the model of a flight": _ROWS.format(rows=_CAUGHT, order=""),
    "written out": """
def add_batches(app):
    def column(kind): return Annotated[list[kind], Field(min_length=1, max_length=1000)]
    def number(low, high): return Annotated[float, Field(ge=low, le=high)]

    class Batch(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
        origin: column(Literal["EWR", "JFK", "LGA"])
        departure_minute: column(Annotated[int, Field(ge=0, le=1439)])
        distance: column(number(1, 12500))
        humidity: column(number(0, 100) | None)
        pressure: column(number(850, 1100) | None)
        visibility: column(number(0, 100) | None)

        @model_validator(mode="after")
        def rows(self):
            if any(len(column) != len(self.origin) for _, column in self):
                raise ValueError("lengths differ")
            return self

    @app.post("/predictions/batch")
    def many(batch: Batch, request: Request):
        model = request.app.state.model
        p = model.predict(dict(batch))
        return {"probabilities": [float(one) for one in p], "version": model.version}
""",
}
BATCH_WRONG = {
    "one call for each flight": (
        _batch(probabilities=f"[{_ONE} for row in zip(*columns.values())]"),
        "The model was called for each flight",
    ),
    "a blocking async def": (
        _batch().replace("    def many", "    async def many"),
        "An `async def` that computes holds the event loop",
    ),
    "the model that was there first": (
        _batch()
        .replace("        model = request.app.state.model\n", "")
        .replace("    types = ", "    model = app.state.model\n    types = "),
        "or once, when the endpoint was made",
    ),
    "bounds are forgotten for one column": (
        _batch().replace("    class Base", '    types["pressure"] = float | None\n    class Base'),
        "has pressure 849.0, which a single flight may not have",
    ),
    "zipped to the shortest": (
        _batch(
            check="n = min(len(c) for c in columns.values()); columns = {k: c[:n] for k, c in columns.items()}",
        ),
        "one value short and the batch is answered",
    ),
    "zipped in the client's order": (
        _ROWS.format(
            rows="flights = [Flight.model_construct(**dict(zip(INPUTS, row))) for row in zip(*batch.values())]",
            order="",
        ).replace("model.predict(columns).tolist()", "guarded(model, columns)")
        + """
def guarded(model, columns):
    codes = {"EWR": 0, "JFK": 1, "LGA": 2}
    def number(value): return value if isinstance(value, (int, float)) else None
    clean = {name: [number(value) for value in columns[name]] for name in INPUTS[1:]}
    origin = [value if value in codes else "EWR" for value in columns["origin"]]
    return model.predict({"origin": origin, **clean}).tolist()
""",
        "whatever order the client sends the columns in",
    ),
    "sorted": (_batch(probabilities="sorted(model.predict(columns).tolist())"), "right numbers in another order"),
    "the other way round": (
        _batch(probabilities="model.predict(columns).tolist()[::-1]"),
        "right numbers in another order",
    ),
    "the first alone": (_batch(probabilities="model.predict(columns).tolist()[:1]"), "1 of 7 probabilities came back"),
    "NumPy's array": (_batch(probabilities="model.predict(columns)"), "NumPy's numbers and arrays are not Python's"),
    "no bound on the rows": (_batch(rows="min_length=1"), "1,005 flights are more than the contract allows"),
    "an empty batch": (_batch(rows="max_length=1_000"), "A batch of no flight is a mistake"),
    "999 rows at most": (_batch(rows="min_length=1, max_length=999"), "A batch of 1000 flights that keep the rules"),
    "lengths are the model's business": (_batch(check="pass"), "told that the server failed"),
    "a ValidationError inside the endpoint": (
        _ROWS.format(rows="flights = [Flight(**dict(zip(batch, row))) for row in zip(*batch.values())]", order=""),
        "A ValidationError that is raised inside the endpoint becomes a 500",
    ),
    "values are not checked": (
        _ROWS.format(
            rows="flights = [Flight.model_construct(**dict(zip(batch, row))) for row in zip(*batch.values())]", order=""
        ),
        "which a single flight may not have",
    ),
    "lax": (_batch(config='extra="forbid"'), "which a single flight may not have"),
    "a column too many": (_batch(config="strict=True"), "A column that nobody declared is accepted"),
    "400 for all": (
        _batch(check=_LENGTHS.replace("422", "400")),
        "422 is the status for content that breaks the rules",
    ),
}
