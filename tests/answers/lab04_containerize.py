"""Lab 04: answers to try. Right ones written differently, wrong ones of the kind that learners write."""

from __future__ import annotations

from .lab04_compose import COMPOSE_ENGINE, COMPOSE_RIGHT, COMPOSE_WRONG
from .lab04_contents import SECRET_ENGINE, SECRET_RIGHT, SECRET_WRONG, SHIP_ENGINE, SHIP_RIGHT, SHIP_WRONG
from .lab04_images import CACHE_ENGINE, CACHE_RIGHT, CACHE_WRONG, SERVE_ENGINE, SERVE_RIGHT, SERVE_WRONG
from .lab04_running import GUARD_ENGINE, GUARD_RIGHT, GUARD_WRONG, STOP_ENGINE, STOP_RIGHT, STOP_WRONG

RIGHT = {
    "serve": SERVE_RIGHT,
    "cache": CACHE_RIGHT,
    "guard": GUARD_RIGHT,
    "stop": STOP_RIGHT,
    "ship": SHIP_RIGHT,
    "secret": SECRET_RIGHT,
    "compose": COMPOSE_RIGHT,
}
WRONG = {
    "serve": SERVE_WRONG,
    "cache": CACHE_WRONG,
    "guard": GUARD_WRONG,
    "stop": STOP_WRONG,
    "ship": SHIP_WRONG,
    "secret": SECRET_WRONG,
    "compose": COMPOSE_WRONG,
}
ENGINE = {
    "serve": SERVE_ENGINE,
    "cache": CACHE_ENGINE,
    "guard": GUARD_ENGINE,
    "stop": STOP_ENGINE,
    "ship": SHIP_ENGINE,
    "secret": SECRET_ENGINE,
    "compose": COMPOSE_ENGINE,
}
