"""Lab 03: the résumé screener, an API of screenings and model versions. Its exercises in their order."""

from __future__ import annotations

from checks.lab03_audit import Audit
from checks.lab03_models import Active, Models
from checks.lab03_screenings import Candidate, Create, Read, Retry
from labkit.lab import Lab

lab = Lab("lab03_resume_screener", [Candidate, Create, Retry, Read, Models, Active, Audit])
