"""The model: an encoder that learns the categories, and gradient-boosted trees."""

from __future__ import annotations

from datetime import date
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from flight_delays.features import NAMES, encode, learn_vocabulary
from flight_delays.flights import columns_of


class FlightEncoder(TransformerMixin, BaseEstimator):
    """Learn the category values of a table of flights; turn tables into matrices.

    Attributes:
        vocabulary_: category feature to its values, each with its code.
    """

    def fit(self, X: pd.DataFrame, y: object = None) -> Self:
        self.vocabulary_ = learn_vocabulary(columns_of(X))
        return self

    def transform(self, X: pd.DataFrame) -> NDArray[np.float32]:
        check_is_fitted(self)
        return encode(columns_of(X), self.vocabulary_)

    def get_feature_names_out(self, input_features: object = None) -> NDArray[np.object_]:
        return np.array(NAMES, dtype=object)


MAX_ITER, MAX_LEAF_NODES = 100, 15


def build_pipeline(max_iter: int = MAX_ITER, max_leaf_nodes: int = MAX_LEAF_NODES) -> Pipeline:
    """Build the model, not yet trained: `max_iter` trees of at most `max_leaf_nodes` leaves.

    100 trees of 15 leaves scored best of a small search (60 to 200 trees, 7 to 31 leaves, slower
    learning, more regularization) on April, May and June, each after training on the months
    before it. The codes of the categories are handed over as numbers: skl2onnx 1.20 exports a
    model with `categorical_features` without complaint, and the export is wrong.
    """
    classifier = HistGradientBoostingClassifier(
        max_iter=max_iter,
        max_leaf_nodes=max_leaf_nodes,
        early_stopping=False,  # "auto" would set aside a random tenth of the flights
        random_state=0,
    )
    return Pipeline([("encode", FlightEncoder()), ("classify", classifier)])


WEIGHT_BEFORE = 0.05


def fit(
    flights: pd.DataFrame,
    *,
    max_iter: int = MAX_ITER,
    max_leaf_nodes: int = MAX_LEAF_NODES,
    changed: date | None = None,
    weight_before: float = WEIGHT_BEFORE,
) -> Pipeline:
    """Train on a table from `flights.load_flights`. The same table gives the same model.

    Args:
        changed: the day since which other things follow from the features. Flights before it count
            `weight_before` each: what they say of the change is outvoted, and what only they
            know, such as winter, is kept. Training on the days since alone forgets it: of August
            and half of September a model learned that flights are more punctual in poor sight.
    """
    pipeline = build_pipeline(max_iter, max_leaf_nodes)
    late = flights["late"].to_numpy()
    if changed is None:
        return pipeline.fit(flights, late)
    before = (flights["departure"] < pd.Timestamp(changed)).to_numpy()
    return pipeline.fit(flights, late, classify__sample_weight=np.where(before, weight_before, 1.0))


def predict(pipeline: Pipeline, flights: pd.DataFrame) -> NDArray[np.float64]:
    """Return the probability that each flight is late, shape (rows,)."""
    return pipeline.predict_proba(flights)[:, 1]
