"""The limits of the data tests and of the gate: the sections of pipeline.toml that hold them.

This module imports pydantic and nothing heavier, so that a configuration is read at once.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataLimits(_Section):
    """The limits of the data tests."""

    max_age_days: int = Field(default=45, ge=0)


class BehaviourLimits(_Section):
    """The limits of the behaviour tests; probabilities are between 0 and 1."""

    rounding: float = Field(default=1e-5, gt=0)


class Limits(_Section):
    """The limits of the gate, the section [gate]."""

    auc_margin: float = Field(default=0.02, ge=0)
    auc_minimum: float = Field(default=0.6, ge=0.5, le=1)
    behaviour: BehaviourLimits = BehaviourLimits()
