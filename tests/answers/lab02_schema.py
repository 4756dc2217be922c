"""Lab 02: answers to `schema` and `start`. See the package's docstring for the form."""

from __future__ import annotations

_FLIGHT = """
def flight_model():
    class Flight(BaseModel):
        model_config = ConfigDict({config}, json_schema_extra={{"example": {example}}})
        origin: {origin}
        departure_minute: {minute}
        distance: {distance}
        humidity: {humidity}
        pressure: Annotated[float, Field(ge=850, le=1_100)] | None = None
        visibility: Annotated[float, Field(ge=0, le=100)] | None = None
    return Flight
"""
_EXAMPLE = (
    '{"origin": "LGA", "departure_minute": 545, "distance": 733.0, "humidity": None, "pressure": 1009, "visibility": 9}'
)


def _flight(**changes: str) -> str:
    parts = {
        "config": 'extra="forbid", strict=True, allow_inf_nan=False',
        "example": _EXAMPLE,
        "origin": 'Literal["EWR", "JFK", "LGA"]',
        "minute": "int = Field(ge=0, le=1_439)",
        "distance": "float = Field(ge=1, le=12_500)",
        "humidity": "Annotated[float, Field(ge=0, le=100)] | None = None",
    }
    return _FLIGHT.format(**(parts | changes))


SCHEMA_RIGHT = {
    "bounds as defaults, one example": _flight(),
    "a common base, validators by hand, examples field by field": """
import math
from pydantic import StrictFloat, StrictInt, StrictStr, field_validator

class Strict(BaseModel):
    model_config = {"extra": "forbid"}

def within(low, high):
    def check(value):
        if value is not None and not (math.isfinite(value) and low <= value <= high):
            raise ValueError(f"must lie between {low} and {high}")
        return value
    return check

def flight_model():
    class Flight(Strict):
        origin: StrictStr = Field(examples=["EWR"])
        departure_minute: StrictInt = Field(examples=[60])
        distance: StrictFloat | StrictInt = Field(examples=[500.5])
        humidity: StrictFloat | StrictInt | None = Field(None, examples=[50])
        pressure: StrictFloat | StrictInt | None = Field(None, examples=[1000])
        visibility: StrictFloat | StrictInt | None = Field(None, examples=[3])

        @field_validator("origin")
        def known(cls, value):
            if value not in ("EWR", "JFK", "LGA"):
                raise ValueError("is none of the three airports")
            return value

        _minute = field_validator("departure_minute")(within(0, 1439))
        _distance = field_validator("distance")(within(1, 12500))
        _humidity = field_validator("humidity")(within(0, 100))
        _pressure = field_validator("pressure")(within(850, 1100))
        _visibility = field_validator("visibility")(within(0, 100))
    return Flight
""",
    "made of a dict": """
def flight_model():
    def number(low, high):
        return Annotated[float, Field(ge=low, le=high, strict=True, allow_inf_nan=False)]
    fields = {
        "origin": (Literal["EWR", "JFK", "LGA"], ...),
        "departure_minute": (Annotated[int, Field(ge=0, le=1439, strict=True)], ...),
        "distance": (number(1, 12500), ...),
        "humidity": (number(0, 100) | None, None),
        "pressure": (number(850, 1100) | None, None),
        "visibility": (number(0, 100) | None, None),
    }
    example = {"origin": "JFK", "departure_minute": 0, "distance": 1, "humidity": 0, "pressure": 850, "visibility": 0}
    config = ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})
    return create_model("Flight", __config__=config, **fields)
""",
}
SCHEMA_WRONG = {
    "lax: a text passes for a number": (
        _flight(config='extra="forbid", allow_inf_nan=False'),
        "a text for a number. Where a text passes",
    ),
    "true passes for a number": (
        _flight(
            config='extra="forbid", allow_inf_nan=False',
            humidity="Annotated[float, Field(ge=0, le=100, strict=True)] | None = None",
            minute="int = Field(ge=0, le=1_439, strict=True)",
        ),
        "To Python true is 1",
    ),
    "a pattern without ends": (
        _flight(origin='Annotated[str, Field(pattern="EWR|JFK|LGA")]'),
        "an airport with something behind it. A pattern is found anywhere",
    ),
    "unknown fields are dropped": (_flight(config="strict=True, allow_inf_nan=False"), "a misspelt `humidty`"),
    "NaN passes a comparison by hand": (
        """
from pydantic import model_validator

def flight_model():
    bounds = {"distance": (1, 12_500), "humidity": (0, 100), "pressure": (850, 1_100), "visibility": (0, 100)}

    class Flight(BaseModel):
        model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra={"examples": [{
            "origin": "JFK", "departure_minute": 1, "distance": 9, "humidity": 1, "pressure": 999, "visibility": 1}]})
        origin: Literal["EWR", "JFK", "LGA"]
        departure_minute: int = Field(ge=0, le=1_439)
        distance: float
        humidity: float | None = None
        pressure: float | None = None
        visibility: float | None = None

        @model_validator(mode="after")
        def in_range(self):
            for name, (low, high) in bounds.items():
                value = getattr(self, name)
                if value is not None and (value < low or value > high):
                    raise ValueError(f"{name} is out of range")
            return self
    return Flight
""",
        "NaN is neither below the lower bound nor above the upper one",
    ),
    "bounds that leave out the bound": (
        _flight(minute="int = Field(ge=0, lt=1_439)"),
        "A flight that keeps the rules is refused",
    ),
    "no upper bound": (_flight(minute="int = Field(ge=0)"), "departure_minute 1440 is outside 0 to 1439"),
    "any airport": (_flight(origin="str"), "The model knows three airports"),
    "readings are required": (
        _flight(humidity="Annotated[float, Field(ge=0, le=100)] | None"),
        "A reading may be left out",
    ),
    "a distance of null": (
        _flight(distance="Annotated[float, Field(ge=1, le=12_500)] | None"),
        "a distance of null",
    ),
    "no example": (_flight().replace('"example"', '"title"'), "has no example for the documentation"),
    "an example that breaks the rules": (
        _flight(example=_EXAMPLE.replace('"LGA"', '"string"')),
        "an example that your own model refuses",
    ),
    "half an example": (
        _flight(example='{"origin": "LGA", "departure_minute": 545, "distance": 733.0}'),
        "a value for each of the six fields",
    ),
    "an instance, not the class": (
        _flight().replace("return Flight", 'return Flight(origin="JFK", departure_minute=1, distance=2)')
        + "\n_make = flight_model\nflight_model = lambda: _make().model_dump\n",
        "must give the class itself",
    ),
    "a check that breaks": (
        _flight().replace(
            "    return Flight",
            """
        @model_validator(mode="before")
        def known(cls, values):
            assert values["origin"] in ("EWR", "JFK", "LGA")
            return values
    return Flight""",
        ),
        "stopped with an error of its own",
    ),
}

_APP = """
def create_app(load):
    @asynccontextmanager
    async def lifespan(app):
        {start}
        yield
    app = FastAPI({given})
    {made}
    @app.get("/model")
    def read(request: Request):
        return {{"version": {version}}}
    return app
"""


def _app(**changes: str) -> str:
    parts = {
        "start": "app.state.model = load()",
        "given": "lifespan=lifespan",
        "made": "",
        "version": "request.app.state.model.version",
    }
    return _APP.format(**(parts | changes))


START_RIGHT = {
    "a dependency and a router": """
from typing import Any
from fastapi import APIRouter, Depends

router = APIRouter()

def the_model(request: Request):
    return request.app.state.model

@router.get("/model")
async def show(model: Annotated[Any, Depends(the_model)]):
    return {"version": model.version, "threshold": model.threshold}

def create_app(load):
    @asynccontextmanager
    async def lifespan(app):
        app.state.model = load()
        try:
            yield
        finally:
            app.state.model = None
    app = FastAPI(lifespan=lifespan, title="Flights")
    app.include_router(router)
    return app
""",
    "Starlette alone": """
from starlette.applications import Starlette
from starlette.routing import Route

def create_app(load):
    @asynccontextmanager
    async def lifespan(app):
        import anyio
        app.state.model = await anyio.to_thread.run_sync(load)
        yield {"model": app.state.model}

    async def show(request):
        return JSONResponse({"version": request.state.model.version})

    return Starlette(routes=[Route("/model", show)], lifespan=lifespan)
""",
    "a class that is the lifespan": """
def create_app(load):
    class Life:
        def __init__(self, app): self.app = app
        async def __aenter__(self): self.app.state.model = load()
        async def __aexit__(self, *error): del self.app.state.model
    app = FastAPI(lifespan=Life)
    @app.get("/model")
    def version():
        return {"version": app.state.model.version}
    return app
""",
}
START_WRONG = {
    "loaded while the app is made": (
        _app(start="pass", made="app.state.model = load()"),
        "loaded while the app was being made",
    ),
    "loaded for each request": (
        _app(version="load().version"),
        "loaded anew for each request",
    ),
    "loaded at the first request": (
        """
from functools import cache
def create_app(load):
    app = FastAPI()
    @cache
    def model():
        app.state.model = load()
        return app.state.model
    @app.get("/model")
    def read():
        return {"version": model().version}
    return app
""",
        "loaded at the first request",
    ),
    "a global name": (
        _app(start="global the_model; the_model = app.state.model = load()", version="the_model.version"),
        "a global name is shared by all apps",
    ),
    "an error is swallowed": (
        _app(
            start="try: app.state.model = load()\n        except Exception: app.state.model = None",
        ),
        "starts although its bundle is not there",
    ),
    "a missing bundle is swallowed": (
        _app(
            start="try: app.state.model = load()\n        except FileNotFoundError: app.state.model = None",
        ),
        "starts although its bundle is not there",
    ),
    "a damaged bundle is swallowed": (
        _app(
            start="try: app.state.model = load()\n        except ValueError: app.state.model = None",
        ),
        "starts although its bundle is damaged",
    ),
    "the lifespan is not handed over": (_app(given=""), "must answer with the version"),
    "not in the state": (
        _app(start="app.model = load()", version="request.app.model.version"),
        "look for the model in `app.state.model`",
    ),
    "load is never called": (_app(start="app.state.model = load"), "must answer with the version"),
    "nothing is returned": (_app().replace("    return app", ""), "must return the app"),
    "the version of the notebook's own model": (
        _app(version='"2013-06"'),
        "must name the version of the model",
    ),
    "no endpoint": (
        _app().replace('@app.get("/model")', ""),
        "There is nothing at this address",
    ),
}
