"""The parts of a window that are looked at on their own: carriers, airports, times of the day.

A change that touches one airport's mornings hardly moves the mean of all flights. Needs NumPy only.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from flight_delays.features import NAMES, Vocabulary

PARTS = {"before 9:00": 0, "9:00 to 13:00": 540, "13:00 to 17:00": 780, "from 17:00": 1020}
"""Parts of the day, each with the minute after midnight it begins at; a quarter of flights each."""


def slices_of(matrix: NDArray[np.float32], vocabulary: Vocabulary) -> dict[str, NDArray[np.bool_]]:
    """Name the slices of flights, and mark the flights of each.

    Args:
        matrix: shape (rows, features), see `features.encode`.
        vocabulary: the one the matrix was encoded with.

    Returns:
        Name to a mask of shape (rows,): each carrier, each origin, each part of the day, and each
        origin in each part of the day. A flight is in one slice of each kind.
    """
    carriers = _values("carrier", matrix, vocabulary)
    origins = _values("origin", matrix, vocabulary)
    part = np.digitize(matrix[:, NAMES.index("departure_minute")], list(PARTS.values())[1:])
    parts = {name: part == number for number, name in enumerate(PARTS)}
    cells = {
        f"{origin}, {name}": of_origin & of_part
        for origin, of_origin in origins.items()
        for name, of_part in parts.items()
    }
    return carriers | origins | parts | cells


def _values(
    name: str, matrix: NDArray[np.float32], vocabulary: Vocabulary
) -> dict[str, NDArray[np.bool_]]:
    codes = matrix[:, NAMES.index(name)]
    return {f"{name} {value}": codes == code for value, code in vocabulary[name].items()}
