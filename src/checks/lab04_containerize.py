"""Lab 04: a service in a container, from the first Dockerfile to a compose file. Its exercises in their order."""

from __future__ import annotations

from checks.lab04_compose import Compose
from checks.lab04_contents import Secret, Ship
from checks.lab04_images import Cache, Serve
from checks.lab04_running import Guard, Stop
from labkit.lab import Lab

lab = Lab("lab04_containerize", [Serve, Cache, Guard, Stop, Ship, Secret, Compose])
