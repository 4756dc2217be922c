"""Lab 02: all answers, by exercise. See the package's docstring for the form."""

from __future__ import annotations

from .lab02_predict import BATCH_RIGHT, BATCH_WRONG, PREDICT_RIGHT, PREDICT_WRONG
from .lab02_schema import SCHEMA_RIGHT, SCHEMA_WRONG, START_RIGHT, START_WRONG
from .lab02_service import ERRORS_RIGHT, ERRORS_WRONG, HEALTH_RIGHT, HEALTH_WRONG, SERVICE_RIGHT, SERVICE_WRONG

RIGHT = {
    "schema": SCHEMA_RIGHT,
    "start": START_RIGHT,
    "predict": PREDICT_RIGHT,
    "batch": BATCH_RIGHT,
    "errors": ERRORS_RIGHT,
    "health": HEALTH_RIGHT,
    "service": SERVICE_RIGHT,
}
WRONG = {
    "schema": SCHEMA_WRONG,
    "start": START_WRONG,
    "predict": PREDICT_WRONG,
    "batch": BATCH_WRONG,
    "errors": ERRORS_WRONG,
    "health": HEALTH_WRONG,
    "service": SERVICE_WRONG,
}
