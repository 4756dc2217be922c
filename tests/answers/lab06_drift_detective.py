"""Lab 06: all answers, by exercise. See the package's docstring for the form."""

from __future__ import annotations

from .lab06_cases import ALARMS_RIGHT, ALARMS_WRONG, DECIDE_RIGHT, DECIDE_WRONG, DETECTIVE_RIGHT, DETECTIVE_WRONG
from .lab06_drift import LIMITS_RIGHT, LIMITS_WRONG, PSI_RIGHT, PSI_WRONG, TRAP_RIGHT, TRAP_WRONG
from .lab06_labels import ESTIMATE_RIGHT, ESTIMATE_WRONG, LABELS_RIGHT, LABELS_WRONG

RIGHT = {
    "psi": PSI_RIGHT,
    "trap": TRAP_RIGHT,
    "limits": LIMITS_RIGHT,
    "labels": LABELS_RIGHT,
    "estimate": ESTIMATE_RIGHT,
    "detective": DETECTIVE_RIGHT,
    "decide": DECIDE_RIGHT,
    "alarms": ALARMS_RIGHT,
}
WRONG = {
    "psi": PSI_WRONG,
    "trap": TRAP_WRONG,
    "limits": LIMITS_WRONG,
    "labels": LABELS_WRONG,
    "estimate": ESTIMATE_WRONG,
    "detective": DETECTIVE_WRONG,
    "decide": DECIDE_WRONG,
    "alarms": ALARMS_WRONG,
}
