"""`python -m flight_delays`."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import NoReturn


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)


if __name__ == "__main__":
    # As the first process of a container it is sent no signal that it has no handler for, and would
    # be killed ten seconds later. The imports below take most of its start, so they come after.
    signal.signal(signal.SIGTERM, _leave)

    from flight_delays.cli import main

    sys.exit(main())
