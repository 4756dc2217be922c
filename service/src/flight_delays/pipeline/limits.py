"""The limits of the data tests and of the gate: the sections of pipeline.toml that hold them.

How they were chosen stands in README.md, with the figures of honest and of broken models. This
module imports pydantic and nothing heavier, so that a configuration is read at once.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Margin = Annotated[float, Field(ge=0)]
Ratio = Annotated[float, Field(ge=1)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class DataLimits(_Section):
    """The limits of the data tests, see `data_tests.check_data`.

    A share is between 0 and 1. "Recent" are the last `recent_days` days of the table.
    """

    max_age_days: Annotated[int, Field(ge=0)] = 45
    min_days: Count = 28
    recent_days: Count = 30
    missing: Share = 0.05
    missing_wind_direction: Share = 0.10
    missing_pressure: Share = 0.30
    missing_plane_age: Share = 0.30
    thin_day: Share = 0.20  # of the median day
    late_low: Share = 0.08
    late_high: Share = 0.45
    new_value: Share = 0.01
    share_change: Share = 0.10
    single_feature_auc: Annotated[float, Field(ge=0.5, le=1)] = 0.80


class BehaviourLimits(_Section):
    """The limits of the behaviour tests; all of them are probabilities or shares."""

    rounding: Annotated[float, Field(gt=0)] = 1e-5
    small_change: Share = 0.01
    small_change_decisions: Share = 0.02
    easy_at_most: Share = 0.30
    hard_at_least: Share = 0.40


class Limits(_Section):
    """The limits of the gate, the section [gate], see `gate.judge`.

    A margin says how much worse than the champion is still taken for the same.
    """

    min_days: Count = 14
    max_gap_days: Annotated[int, Field(ge=0)] = 31
    auc_margin: Margin = 0.025
    auc_minimum: Annotated[float, Field(ge=0.5, le=1)] = 0.6
    auc_gain_maximum: Margin = 0.06
    auc_maximum: Annotated[float, Field(ge=0.5, le=1)] = 0.85
    log_loss_margin: Margin = 0.025
    calibration_maximum: Share = 0.15
    calibration_margin: Margin = 0.04
    cost_margin: Margin = 0.015
    warned_change: Share = 0.20
    changed_decisions: Share = 0.30
    slice_min_flights: Count = 400
    slice_min_late: Count = 50
    slice_auc_margin: Margin = 0.02
    slice_log_loss_margin: Margin = 0.02
    latency_ratio: Ratio = 3.0
    latency_ms: Annotated[float, Field(gt=0)] = 5.0
    latency_p99_ms: Annotated[float, Field(gt=0)] = 50.0
    rows_per_second: Annotated[float, Field(ge=0)] = 10_000.0
    size_ratio: Ratio = 4.0
    size_bytes: Count = 4_000_000
    behaviour: BehaviourLimits = BehaviourLimits()
