"""Lab 05: all answers, by exercise. See the package's docstring for the form."""

from __future__ import annotations

from .lab05_clinic import FIND_RIGHT, FIND_WRONG, MEND_RIGHT, MEND_WRONG
from .lab05_data import DATA_RIGHT, DATA_WRONG, INTERVAL_RIGHT, INTERVAL_WRONG
from .lab05_deploy import DEPLOY_RIGHT, DEPLOY_WRONG
from .lab05_gate import BEHAVIOUR_RIGHT, BEHAVIOUR_WRONG, GATE_RIGHT, GATE_WRONG
from .lab05_workflow import WORKFLOW_RIGHT, WORKFLOW_WRONG

RIGHT = {
    "data": DATA_RIGHT,
    "interval": INTERVAL_RIGHT,
    "gate": GATE_RIGHT,
    "behaviour": BEHAVIOUR_RIGHT,
    "deploy": DEPLOY_RIGHT,
    "workflow": WORKFLOW_RIGHT,
    "find": FIND_RIGHT,
    "mend": MEND_RIGHT,
}
WRONG = {
    "data": DATA_WRONG,
    "interval": INTERVAL_WRONG,
    "gate": GATE_WRONG,
    "behaviour": BEHAVIOUR_WRONG,
    "deploy": DEPLOY_WRONG,
    "workflow": WORKFLOW_WRONG,
    "find": FIND_WRONG,
    "mend": MEND_WRONG,
}
