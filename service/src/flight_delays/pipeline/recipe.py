"""How a model is trained, as the configuration says."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import TYPE_CHECKING

from flight_delays.pipeline.config import ModelSection
from flight_delays.training import fit

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline


def recipe(model: ModelSection, changed: date | None) -> Callable[[pd.DataFrame], Pipeline]:
    """Return `training.fit` with the parameters of [model]; `changed` is that of [data]."""
    return partial(
        fit,
        max_iter=model.max_iter,
        max_leaf_nodes=model.max_leaf_nodes,
        changed=changed,
        weight_before=model.weight_before,
    )
