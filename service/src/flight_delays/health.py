"""`python -m flight_delays.health`: is the service of this container alive?

For HEALTHCHECK. It imports nothing but the standard library, since it runs every few seconds.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException

PATIENCE_S = 4.0  # seconds, less than the engine gives it
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def main(environment: Mapping[str, str] = os.environ) -> int:
    """Ask /livez where FLIGHT_DELAYS_HOST and _PORT say; return 0 if it is alive, else 1."""
    host = environment.get("FLIGHT_DELAYS_HOST", "127.0.0.1")
    connection = HTTPConnection(
        _ANY_ADDRESS.get(host, host),
        int(environment.get("FLIGHT_DELAYS_PORT", "8000")),
        timeout=PATIENCE_S,
    )
    try:
        connection.request("GET", "/livez")
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        print(f"no answer from {connection.host}:{connection.port}: {error}")
        return 1
    finally:
        connection.close()
    print(f"/livez answered {status}")
    return 0 if status == 200 else 1


if __name__ == "__main__":
    sys.exit(main())
