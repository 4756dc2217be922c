"""The gate's look at time and size: an answer that comes too late is of no use.

Times on a shared machine are noisy. So challenger and champion are timed in turns within the same
seconds, the ratio is taken round by round, and the median of the rounds counts. What looks slow is
measured again, twice: a slow model stays slow, a busy neighbour goes away.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flight_delays.bundle import Bundle
from flight_delays.features import Columns
from flight_delays.flights import columns_of
from flight_delays.pipeline.findings import Finding
from flight_delays.pipeline.limits import Limits
from flight_delays.pipeline.measured import Part, bounded

ROUNDS, SINGLE_ROWS, BATCH_ROWS, ATTEMPTS = 15, 40, 1_000, 3
FEWEST_ROUNDS, ENOUGH_SECONDS = 3, 1.0


@dataclass(frozen=True)
class Timing:
    """Seconds of one bundle: `single` of shape (rounds, flights), `batch` of shape (rounds,)."""

    single: NDArray[np.float64]
    batch: NDArray[np.float64]


Stopwatch = Callable[[Sequence[Bundle], Sequence[Columns], Columns], list[Timing]]
"""From bundles, flights one by one and a batch of them to one timing a bundle."""


@dataclass(frozen=True)
class Speed:
    """One attempt, summed up; a ratio is challenger to champion, 1 where there is none."""

    median_ms: float
    p99_ms: float
    rows_per_second: float
    single_ratio: float = 1.0
    batch_ratio: float = 1.0

    @classmethod
    def of(cls, own: Timing, other: Timing | None = None) -> Speed:
        figures = (
            float(np.median(own.single)) * 1e3,
            float(np.quantile(own.single, 0.99)) * 1e3,
            BATCH_ROWS / float(np.median(own.batch)),
        )
        if other is None:
            return cls(*figures)
        single = np.median(own.single, axis=1) / np.median(other.single, axis=1)
        return cls(*figures, float(np.median(single)), float(np.median(own.batch / other.batch)))

    def fits(self, limits: Limits) -> bool:
        return (
            self.median_ms <= limits.latency_ms
            and self.p99_ms <= limits.latency_p99_ms
            and self.rows_per_second >= limits.rows_per_second
            and max(self.single_ratio, self.batch_ratio) <= limits.latency_ratio
        )


def take_times(
    bundles: Sequence[Bundle], singles: Sequence[Columns], batch: Columns
) -> list[Timing]:
    """Time bundles in turns; who begins a round changes, so that no one is always the second.

    15 rounds, fewer if they take more than a second in all.
    """
    single = np.empty((len(bundles), ROUNDS, len(singles)))
    many = np.empty((len(bundles), ROUNDS))
    for bundle in bundles:  # the first calls pay for memory
        _seconds(bundle, singles[0])
        _seconds(bundle, batch)
    start, turn = perf_counter(), 0
    with _no_collection():
        while turn < ROUNDS:
            order = list(enumerate(bundles))
            for position, bundle in order if turn % 2 else reversed(order):
                single[position, turn] = [_seconds(bundle, flight) for flight in singles]
                many[position, turn] = _seconds(bundle, batch)
            turn += 1
            if turn >= FEWEST_ROUNDS and perf_counter() - start > ENOUGH_SECONDS:
                break
    return [Timing(one[:turn], batches[:turn]) for one, batches in zip(single, many, strict=True)]


def speed(
    challenger: Bundle,
    champion: Bundle | None,
    window: pd.DataFrame,
    limits: Limits,
    seed: int = 0,
    stopwatch: Stopwatch = take_times,
) -> Part:
    """Time single flights and batches of 1,000."""
    bundles = [challenger] if champion is None else [challenger, champion]
    batch = columns_of(
        window.sample(BATCH_ROWS, replace=len(window) < BATCH_ROWS, random_state=seed)
    )
    lists = {name: values.tolist() for name, values in batch.items()}
    singles = [
        {name: [values[row]] for name, values in lists.items()} for row in range(SINGLE_ROWS)
    ]
    for _ in range(ATTEMPTS):
        found = Speed.of(*stopwatch(bundles, singles, batch))
        if found.fits(limits):
            break
    figures = {
        "latency_ms": found.median_ms,
        "latency_p99_ms": found.p99_ms,
        "rows_per_second": found.rows_per_second,
    }
    if champion is not None:
        figures |= {"latency_ratio": found.single_ratio, "batch_ratio": found.batch_ratio}
    return Part.of(_findings(found, champion is not None, limits), **figures)


def size(challenger: Bundle, champion: Bundle | None, limits: Limits) -> Part:
    """Compare the bytes of model.onnx."""
    found = challenger.info.model.size
    findings = [
        bounded(
            "size",
            "model.onnx",
            found <= limits.size_bytes,
            f"{found:,} bytes",
            f"<= {limits.size_bytes:,} bytes",
            "Every worker loads it into memory, every deployment sends it. Fewer or smaller "
            "trees, or raise size_bytes knowing what that costs.",
        )
    ]
    figures = {"size_bytes": float(found)}
    if champion is not None:
        ratio = found / champion.info.model.size
        figures["size_ratio"] = ratio
        findings.append(
            bounded(
                "size",
                "model.onnx, to the champion's",
                ratio <= limits.size_ratio,
                f"{ratio:.2f} times",
                f"<= {limits.size_ratio:g} times",
                "A model of the same kind and data has no reason to grow like this. Look at the "
                "parameters: max_iter and max_leaf_nodes multiply.",
            )
        )
    return Part.of(findings, **figures)


def _findings(found: Speed, compared: bool, limits: Limits) -> Iterator[Finding]:
    slow = (
        f"Measured {ATTEMPTS} times, so it is the model and hardly the machine. Whoever waits for "
        "the answer waits this long, and a worker answers that many fewer. Fewer or smaller trees."
    )
    yield bounded(
        "latency",
        "one flight, median",
        found.median_ms <= limits.latency_ms,
        f"{found.median_ms:.3f} ms",
        f"<= {limits.latency_ms:g} ms",
        slow,
    )
    yield bounded(
        "latency",
        "one flight, 99 of 100",
        found.p99_ms <= limits.latency_p99_ms,
        f"{found.p99_ms:.3f} ms",
        f"<= {limits.latency_p99_ms:g} ms",
        slow,
    )
    yield bounded(
        "latency",
        f"batches of {BATCH_ROWS:,}",
        found.rows_per_second >= limits.rows_per_second,
        f"{found.rows_per_second:,.0f} flights/s",
        f">= {limits.rows_per_second:,.0f} flights/s",
        slow,
    )
    if compared:
        for check, ratio in (
            ("one flight, to the champion's median", found.single_ratio),
            (f"batches of {BATCH_ROWS:,}, to the champion's", found.batch_ratio),
        ):
            yield bounded(
                "latency",
                check,
                ratio <= limits.latency_ratio,
                f"{ratio:.2f} times as long",
                f"<= {limits.latency_ratio:g} times",
                slow,
            )


def _seconds(bundle: Bundle, columns: Columns) -> float:
    start = perf_counter()
    bundle.predict(columns)
    return perf_counter() - start


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the garbage collector from running in the middle of a call that is timed."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
