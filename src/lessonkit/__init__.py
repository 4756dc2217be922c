"""Plumbing that lessons and labs share: data, measuring, drawing."""

from __future__ import annotations

import os

# Before a notebook imports onnxruntime, which from 1.29 on reports to its maker unless told not to.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
