"""The flight that lessons ask about: from JFK to Boston, at half past seven on a Thursday evening, in the rain."""

from __future__ import annotations

from types import MappingProxyType

# As a client would send it; nobody has measured the pressure.
EVENING = MappingProxyType(
    {
        "carrier": "B6",
        "origin": "JFK",
        "destination": "BOS",
        "departure_minute": 19 * 60 + 30,
        "weekday": 3,
        "distance": 187,
        "temperature": 75.0,
        "dew_point": 72.0,
        "humidity": 90.0,
        "wind_direction": 180.0,
        "wind_speed": 20.0,
        "precipitation": 0.3,
        "visibility": 2.0,
        "plane_age": 8.0,
    }
)
