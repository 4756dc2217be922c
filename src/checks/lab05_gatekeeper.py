"""Lab 05: the gatekeeper, what a pipeline asks before it lets a model through. Its exercises in their order."""

from __future__ import annotations

from checks.lab05_behaviour import Behaviour
from checks.lab05_clinic import Find, Mend
from checks.lab05_data import Data
from checks.lab05_deploy import Deploy
from checks.lab05_gate import DayInterval, Gate
from checks.lab05_workflow import Workflow
from labkit.lab import Lab

lab = Lab("lab05_gatekeeper", [Data, DayInterval, Gate, Behaviour, Deploy, Workflow, Find, Mend])
