"""How good the model is, and on which flights one asks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline

from flight_delays.flights import split_by_day
from flight_delays.metadata import Metrics, Scores
from flight_delays.training import fit, predict

HELD_OUT_DAYS = 30


def score(late: ArrayLike, probability: ArrayLike) -> Scores:
    """Compare what happened with what was predicted, both of shape (rows,).

    Raises:
        ValueError: all flights are late or none is, so ROC AUC has no meaning.
    """
    late, probability = np.asarray(late, dtype=bool), np.asarray(probability, dtype=float)
    if late.all() or not late.any():
        raise ValueError(f"late: expected late and punctual flights, found one kind in {late.size}")
    return Scores(
        rows=len(late),
        late_share=float(late.mean()),
        mean_prediction=float(probability.mean()),
        roc_auc=float(roc_auc_score(late, probability)),
        brier=float(brier_score_loss(late, probability)),
        log_loss=float(log_loss(late, probability)),
    )


def by_month(flights: pd.DataFrame, probability: ArrayLike) -> pd.DataFrame:
    """Score each month on its own.

    Args:
        flights: table from `flights.load_flights`, or some rows of it.
        probability: the prediction for each row, shape (rows,).

    Returns:
        One row a month (index `month`, 1 to 12), one column a field of `metadata.Scores`.
    """
    months = flights["departure"].dt.month.to_numpy()
    late, probability = flights["late"].to_numpy(), np.asarray(probability)
    scores = {
        month: score(late[months == month], probability[months == month]).model_dump()
        for month in np.unique(months)
    }
    return pd.DataFrame.from_dict(scores, orient="index").rename_axis("month")


def validate_forward(
    flights: pd.DataFrame,
    days: int = HELD_OUT_DAYS,
    train: Callable[[pd.DataFrame], Pipeline] = fit,
) -> Metrics:
    """Train on all but the last days of a table, score on those days.

    This is what can be known about a model on the day it is trained. `train` makes a model of a
    table; it is `fit` with whatever parameters the model has.

    Raises:
        ValueError: the table covers too few days to hold some out.
    """
    last = flights["departure"].max().normalize()
    cut = last - pd.Timedelta(days=days)
    before, held_out = split_by_day(flights, cut)
    if before.empty:
        raise ValueError(
            f"flights: expected more than {days} days, to hold {days} of them out for "
            f"validation, found {(last - flights['departure'].min().normalize()).days + 1}"
        )
    scores = score(held_out["late"], predict(train(before), held_out))
    first = held_out["departure"].min().date()
    return Metrics(**scores.model_dump(), first=first, last=last.date())


@dataclass(frozen=True)
class Holdouts:
    """ROC AUC of one model on two kinds of flights it was not trained on."""

    random: float
    following: float


def compare_holdouts(flights: pd.DataFrame, through: date, seed: int = 0) -> Holdouts:
    """Show how much a random holdout flatters.

    Train on four fifths, drawn at random, of the flights up to and including `through`. Score on
    the last fifth, which shares its days and storms with the training flights, and on all flights
    after `through`, which share none: those are the ones the service will meet.

    Raises:
        ValueError: there are no flights before or none after.
    """
    window, following = split_by_day(flights, through)
    if window.empty or following.empty:
        raise ValueError(f"through: expected a day with flights before and after, found {through}")
    train, holdout = train_test_split(window, test_size=0.2, random_state=seed)
    pipeline = fit(train)
    return Holdouts(
        random=score(holdout["late"], predict(pipeline, holdout)).roc_auc,
        following=score(following["late"], predict(pipeline, following)).roc_auc,
    )
