"""Lab 04: a service in a container, from the first Dockerfile to a compose file. Its exercises in their order."""

from __future__ import annotations

from checks.lab04_images import Cache, Serve
from labkit.lab import Lab

lab = Lab("lab04_containerize", [Serve, Cache])
