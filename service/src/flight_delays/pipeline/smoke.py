"""The smoke test: does the service, after a switch, answer as the bundle says it must?"""

from __future__ import annotations

import statistics
import time
from uuid import uuid4

from flight_delays.metadata import BundleInfo
from flight_delays.pipeline.client import Service
from flight_delays.pipeline.outcome import StageError

ROUNDS = 8  # on connections of their own, so that several workers answer
PAUSE_S = 0.05


def smoke_test(service: Service, info: BundleInfo, max_ms: float, timeout_s: float) -> list[str]:
    """Try the service with a bundle's golden rows.

    Workers adopt a new champion within a fraction of a second, so the old version may answer until
    `timeout_s` has passed. Once all answer with the new one, nothing is forgiven.

    Returns:
        What is wrong, a sentence each; empty if nothing is.
    """
    try:
        return _try_rounds(service, info, max_ms, time.monotonic() + timeout_s)
    except StageError as error:
        return error.reasons
    except (ValueError, KeyError, TypeError) as error:
        return [f"an answer cannot be read: {type(error).__name__}: {error}"]


def _try_rounds(service: Service, info: BundleInfo, max_ms: float, deadline: float) -> list[str]:
    golden = info.golden
    seconds: list[float] = []
    while len(seconds) < ROUNDS:
        begun = time.perf_counter()
        answer = service.predict(golden.columns, f"smoke-{uuid4().hex}", fresh=True)
        took = time.perf_counter() - begun
        not_ready = service.ready()
        if not_ready or answer["version"] != info.version:
            seconds.clear()
            if time.monotonic() > deadline:
                return [not_ready or f"{answer['version']} answers, expected {info.version}"]
            time.sleep(PAUSE_S)
            continue
        if faults := _compare(answer["probabilities"], info):
            return faults
        seconds.append(took)
    median = statistics.median(seconds) * 1000
    if median > max_ms:
        return [f"an answer took {median:.0f} ms in the median, the limit is {max_ms:g} ms"]
    return []


def _compare(found: list[float], info: BundleInfo) -> list[str]:
    golden = info.golden
    if len(found) != len(golden.probabilities):
        return [f"expected {len(golden.probabilities)} golden rows, found {len(found)}"]
    for row, (expected, actual) in enumerate(zip(golden.probabilities, found, strict=True)):
        if not abs(expected - actual) <= golden.tolerance:
            return [
                f"golden row {row}: expected {expected:.7f} within {golden.tolerance:g}, "
                f"found {actual:.7f}"
            ]
    return []
