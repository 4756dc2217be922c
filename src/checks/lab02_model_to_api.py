"""Lab 02: from a bundle to a typed API. Its exercises in their order."""

from __future__ import annotations

from checks.lab02_predict import Batch, Predict
from checks.lab02_schema import Schema, Start
from checks.lab02_service import Errors, Health, Service
from labkit.lab import Lab

lab = Lab("lab02_model_to_api", [Schema, Start, Predict, Batch, Errors, Health, Service])
