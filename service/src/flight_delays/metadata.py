"""What bundle.json says about a saved model, as pydantic models.

A field that is not described here is refused, so is a value of another type: whoever reads a
bundle can rely on each of them.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from flight_delays.features import FEATURES, Feature, number_values

FORMAT_VERSION = 1
MODEL_FILE = "model.onnx"
MAX_MODEL_BYTES = 64 * 1024 * 1024

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}-[0-9a-f]{8}$")]
Probability = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class ModelFile(_Strict):
    """The ONNX file: its name, digest and size in bytes."""

    file: Literal["model.onnx"] = MODEL_FILE
    sha256: Sha256
    size: Annotated[int, Field(gt=0, le=MAX_MODEL_BYTES)]


class DataWindow(_Strict):
    """The flights the model was trained on: first and last day, and the files they came from."""

    first: date
    last: date
    rows: Annotated[int, Field(gt=0)]
    source: str
    files: dict[str, Sha256]


class Scores(_Strict):
    """How well predicted probabilities fit what happened."""

    rows: Annotated[int, Field(gt=0)]
    late_share: Probability
    mean_prediction: Probability
    roc_auc: Probability
    brier: Probability
    log_loss: Annotated[float, Field(ge=0)]


class Metrics(Scores):
    """Scores of the last days of the window, by a model trained on the days before them."""

    first: date
    last: date


class FeatureSpec(_Strict):
    """One column of the input; `vocabulary` lists a category's values in the order of its codes."""

    name: str
    kind: Literal["category", "number"]
    unit: str
    description: str
    minimum: float | None = None
    maximum: float | None = None
    may_be_missing: bool
    vocabulary: list[str] | None = None

    @model_validator(mode="after")
    def _vocabulary_fits(self) -> Self:
        if (self.kind == "category") != (self.vocabulary is not None):
            raise ValueError(f"{self.name}: a category has a vocabulary, a number has none")
        if self.vocabulary and len(set(self.vocabulary)) != len(self.vocabulary):
            raise ValueError(f"{self.name}: the vocabulary lists a value twice")
        return self

    def contract(self) -> dict[str, object]:
        """Everything but the words that describe it and the values it learned."""
        return self.model_dump(exclude={"description", "vocabulary"})


class GoldenRows(_Strict):
    """Raw rows, as columns, with the probabilities that scikit-learn gave them at export."""

    columns: dict[str, list[str | float | None]]
    probabilities: Annotated[list[Probability], Field(min_length=1)]
    tolerance: Annotated[float, Field(gt=0, le=1e-3)]


class BundleInfo(_Strict):
    """The whole of bundle.json.

    `content_sha256` is the digest of all other fields. It finds an edit by accident or in haste;
    who edits with care makes it fit again, see `bundle.load_bundle`.
    """

    content_sha256: Sha256 = "0" * 64  # until `sealed`
    format_version: Literal[1] = FORMAT_VERSION
    version: Version
    created: AwareDatetime
    model: ModelFile
    data: DataWindow
    metrics: Metrics
    threshold: Annotated[float, Field(gt=0, lt=1)]
    features: list[FeatureSpec]
    golden: GoldenRows
    libraries: dict[str, str]
    code_revision: str | None

    def content_digest(self) -> str:
        """Return the SHA-256 of every field but `content_sha256`, as JSON with sorted keys."""
        fields = self.model_dump(mode="json", exclude={"content_sha256"})
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()

    def sealed(self) -> Self:
        """Return a copy whose `content_sha256` fits its content."""
        return self.model_copy(update={"content_sha256": self.content_digest()})

    def vocabulary(self) -> dict[str, dict[str, int]]:
        """Return the vocabulary in the form that `features.encode` reads."""
        return {
            spec.name: number_values(spec.vocabulary)
            for spec in self.features
            if spec.vocabulary is not None
        }


def describe_features(vocabulary: dict[str, dict[str, int]] | None = None) -> list[FeatureSpec]:
    """Describe the features that this code knows, with the values a model learned for them."""
    return [_describe(feature, vocabulary or {}) for feature in FEATURES]


def _describe(feature: Feature, vocabulary: dict[str, dict[str, int]]) -> FeatureSpec:
    known = list(vocabulary.get(feature.name, {})) if feature.kind == "category" else None
    return FeatureSpec(
        name=feature.name,
        kind=feature.kind,
        unit=feature.unit,
        description=feature.description,
        minimum=feature.minimum,
        maximum=feature.maximum,
        may_be_missing=feature.may_be_missing,
        vocabulary=known,
    )


def make_version(
    last_day: date, model_sha256: str, features: list[FeatureSpec], threshold: float
) -> str:
    """Name a model after its last day of data and a digest of all that decides its answers.

    The same model, features, vocabulary and threshold give the same version, on any machine and
    at any time. It is made of digits, a-f and hyphens, so it is safe as a file name.
    """
    decides = [[spec.contract(), spec.vocabulary] for spec in features]
    text = json.dumps([model_sha256, decides, threshold], sort_keys=True)
    return f"{last_day.isoformat()}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
