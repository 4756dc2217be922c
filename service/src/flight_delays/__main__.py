"""`python -m flight_delays`."""

from __future__ import annotations

import sys

from flight_delays.cli import main

if __name__ == "__main__":
    sys.exit(main())
