"""What lesson 06's plumbing says is right: which figures moved, and how often a path was asked for."""

from __future__ import annotations

import asyncio
import threading

import pandas as pd
import pytest

from lessonkit import alert_trial
from lessonkit.alert_trial import Counting
from lessonkit.monitoring import moves

COLUMNS = ["P(X)", "most", "prediction", "P(Y) %", "P(Y|X)", "ROC AUC"]


def test_a_figure_has_moved_when_it_left_the_first_row_by_more_than_its_limit() -> None:
    rows = {
        "as it was": (0.0, "distance", 0.0, 30.0, 0.0, 0.74),
        "features": (0.5, "distance", 0.2, 30.0, 0.0, 0.74),
        "concept": (0.0, "distance", 0.0, 36.0, 5.0, 0.67),
        "a little": (0.05, "distance", 0.05, 31.0, -1.0, 0.73),
    }
    marks = moves(pd.DataFrame.from_dict(rows, "index", columns=COLUMNS))
    assert marks.loc["as it was"].tolist() == marks.loc["a little"].tolist() == [False] * 5
    assert marks.loc["features"].tolist() == [True, True, False, False, False]
    assert marks.loc["concept"].tolist() == [False, False, True, True, True]


async def _answer(scope: dict, receive: object, send: object) -> None:
    """An app that answers nothing."""


def _ask(app: Counting, path: str) -> None:
    asyncio.run(app({"path": path}, None, None))


def test_a_path_is_waited_for_until_it_was_asked_for() -> None:
    app = Counting(_answer)
    _ask(app, "/metrics")
    asking = threading.Thread(target=lambda: [_ask(app, path) for path in ("/alerts", "/metrics", "/metrics")])
    asking.start()
    app.wait("/alerts", 1)
    asking.join()
    assert app.seen == {"/metrics": 3, "/alerts": 1}


def test_what_does_not_come_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_trial, "PATIENCE_S", 0.01)
    with pytest.raises(TimeoutError, match="/alerts was asked for 0 times"):
        Counting(_answer).wait("/alerts", 1)
