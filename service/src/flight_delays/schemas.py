"""What the service reads and writes, as pydantic types; the OpenAPI document is made from them.

What is read is described by TypedDicts made from `features.FEATURES`: pydantic-core turns the bytes
of a body into checked dicts without making an object for each flight.
"""

from __future__ import annotations

from typing import (
    Annotated,
    Any,
    NotRequired,  # pydantic wants these before Python 3.12
)

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    with_config,
)
from pydantic.json_schema import JsonSchemaMode
from typing_extensions import TypedDict

from flight_delays.features import FEATURES, Feature
from flight_delays.metadata import BundleInfo, DataWindow, Metrics, Probability, Sha256, Version

MAX_ROWS = 10_000
MAX_TEXT = 64  # characters of a category's value; a code has 2 or 3

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

EXAMPLE_FLIGHT: dict[str, Any] = {
    "carrier": "UA",
    "origin": "EWR",
    "destination": "ORD",
    "departure_minute": 1080,
    "weekday": 4,
    "distance": 719,
    "temperature": 82.0,
    "dew_point": 66.9,
    "humidity": 60.2,
    "wind_direction": 190,
    "wind_speed": 12.7,
    "precipitation": 0.0,
    "pressure": 1009.4,
    "visibility": 10.0,
    "plane_age": 12,
}


def _value(feature: Feature) -> Any:
    """The type of one value of a feature."""
    if feature.kind == "category":
        kind: Any = Annotated[str, Field(max_length=MAX_TEXT)]
    else:
        kind = Annotated[float, Field(ge=feature.minimum, le=feature.maximum)]
    return kind | None if feature.may_be_missing else kind


def _described(feature: Feature, kind: Any, example: Any) -> Any:
    text = f"{feature.description} ({feature.unit})"
    kind = Annotated[kind, Field(description=text, examples=[example])]
    return NotRequired[kind] if feature.may_be_missing else kind


def _column(feature: Feature) -> Any:
    # `fail_fast`: one fault of a column is enough; ten thousand would make a large answer.
    # The upper bound is checked by hand, since too many rows are 413, not 422.
    extra = {"maxItems": MAX_ROWS}
    return Annotated[
        list[_value(feature)], Field(min_length=1, fail_fast=True, json_schema_extra=extra)
    ]


def _typed_dict(name: str, doc: str, fields: dict[str, Any], **config: Any) -> Any:
    kind = TypedDict(name, fields)  # type: ignore[operator]
    kind.__doc__ = doc
    return with_config(ConfigDict(**_STRICT, **config))(kind)


Flight = _typed_dict(
    "Flight",
    "One flight. What may be missing may be null or left out.",
    {f.name: _described(f, _value(f), EXAMPLE_FLIGHT[f.name]) for f in FEATURES},
)
Flights = _typed_dict(
    "Flights",
    "Several flights as columns of one length. A column that may be missing may be left out.",
    {f.name: _described(f, _column(f), [EXAMPLE_FLIGHT[f.name]]) for f in FEATURES},
)
PredictionRequest = _typed_dict(
    "PredictionRequest",
    "One flight, or several as columns: exactly one of the two.",
    {"flight": NotRequired[Flight], "flights": NotRequired[Flights]},
    json_schema_extra={
        "minProperties": 1,
        "maxProperties": 1,
        "examples": [{"flight": EXAMPLE_FLIGHT}],
    },
)
ChampionRequest = _typed_dict(
    "ChampionRequest",
    "The version that shall serve.",
    {"version": Annotated[str, Field(max_length=MAX_TEXT, examples=["2013-06-30-0a1b2c3d"])]},
)

PREDICTION_REQUEST: TypeAdapter[dict[str, Any]] = TypeAdapter(PredictionRequest)
CHAMPION_REQUEST: TypeAdapter[dict[str, Any]] = TypeAdapter(ChampionRequest)

Unknown = Annotated[
    dict[str, list[str | None]],
    Field(
        description="values of categories that the model never saw, null for a missing one; "
        "the prediction is a guess there",
        examples=[{"carrier": ["ZZ"]}],
    ),
]
RequestId = Annotated[str, Field(description="as in the header X-Request-ID and in the log")]


class Prediction(BaseModel):
    """The answer for one flight."""

    probability: Probability = Field(description="that it arrives 15 minutes late or more")
    late: bool = Field(description="whether the probability reaches the version's threshold")
    version: Version = Field(description="the version of the model that answered")
    request_id: RequestId
    unknown: Unknown


class Predictions(BaseModel):
    """The answer for several flights, in their order."""

    probabilities: list[Probability]
    late: list[bool]
    version: Version
    request_id: RequestId
    unknown: Unknown


class ModelSummary(BaseModel):
    """A version in the store."""

    version: Version
    sha256: Sha256 = Field(description="digest of bundle.json; it stands for the whole bundle")
    created: AwareDatetime
    data: DataWindow
    metrics: Metrics
    champion: bool


class ModelDescription(ModelSummary):
    """A version in the store, with all of its bundle.json."""

    bundle: BundleInfo


class ModelList(BaseModel):
    """Some versions, in their order; `next` is the `after` of the following page."""

    models: list[ModelSummary]
    next: Version | None


class ChampionState(BaseModel):
    """The version in service."""

    version: Version
    since: AwareDatetime
    previous: Version | None = Field(description="the champion before it")


class Health(BaseModel):
    """Whether the service lives, or is ready, and with which version."""

    status: str
    version: Version | None = None


def component_schemas(mode: JsonSchemaMode = "validation") -> dict[str, Any]:
    """Return the JSON schemas of what is read by hand, named, for the OpenAPI document."""
    adapters = {"prediction": PREDICTION_REQUEST, "champion": CHAMPION_REQUEST}
    inputs = [(name, mode, adapter) for name, adapter in adapters.items()]
    _, schema = TypeAdapter.json_schemas(inputs, ref_template="#/components/schemas/{model}")
    return schema["$defs"]
