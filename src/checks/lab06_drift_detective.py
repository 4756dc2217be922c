"""Lab 06: the drift detective, what went wrong, since when, and what to do. Its exercises in their order."""

from __future__ import annotations

from checks.lab06_alarms import Alarms
from checks.lab06_decide import Decide
from checks.lab06_detective import Detective
from checks.lab06_estimate import Estimate
from checks.lab06_labels import Labels
from checks.lab06_psi import Psi, Trap
from checks.lab06_threshold import Limits
from labkit.lab import Lab

lab = Lab("lab06_drift_detective", [Psi, Trap, Limits, Labels, Estimate, Detective, Decide, Alarms])
