"""Lab 03: answers to try. Right ones written differently, wrong ones of the kind that learners write."""

from __future__ import annotations

from .lab03_audit import AUDIT_RIGHT, AUDIT_WRONG
from .lab03_create import CANDIDATE_RIGHT, CANDIDATE_WRONG, CREATE_RIGHT, CREATE_WRONG
from .lab03_models import ACTIVE_RIGHT, ACTIVE_WRONG, MODELS_RIGHT, MODELS_WRONG
from .lab03_screenings import READ_RIGHT, READ_WRONG, RETRY_RIGHT, RETRY_WRONG

RIGHT = {
    "candidate": CANDIDATE_RIGHT,
    "create": CREATE_RIGHT,
    "retry": RETRY_RIGHT,
    "read": READ_RIGHT,
    "models": MODELS_RIGHT,
    "active": ACTIVE_RIGHT,
    "audit": AUDIT_RIGHT,
}
WRONG = {
    "candidate": CANDIDATE_WRONG,
    "create": CREATE_WRONG,
    "retry": RETRY_WRONG,
    "read": READ_WRONG,
    "models": MODELS_WRONG,
    "active": ACTIVE_WRONG,
    "audit": AUDIT_WRONG,
}
