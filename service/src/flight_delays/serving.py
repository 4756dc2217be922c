"""The champion in service: loaded in a thread, switched by one assignment, followed on disk."""

from __future__ import annotations

import asyncio
import logging
import math
import time

from flight_delays.bundle import Bundle, BundleError
from flight_delays.prediction_log import PredictionLog
from flight_delays.predictions import PredictionHandler, ServedModel
from flight_delays.store import Champion, ModelStore, StoreError
from flight_delays.telemetry import Telemetry

POLL_S = 0.1
RETRY_S = 1.0  # after a champion that did not load
_log = logging.getLogger(__name__)


class Follower:
    """Keep a worker's model at the champion on disk, whoever changed it."""

    def __init__(
        self,
        store: ModelStore,
        handler: PredictionHandler,
        telemetry: Telemetry,
        log: PredictionLog | None,
    ) -> None:
        self._store = store
        self._handler = handler
        self._telemetry = telemetry
        self._log = log
        self._seen: bytes | None = None
        self._retry_at = math.inf  # on the monotonic clock
        self._told = ""

    async def follow(self) -> None:
        """Look for a new champion ten times a second, until cancelled."""
        while True:
            await self.look()
            self.watch_log()
            await asyncio.sleep(POLL_S)

    def watch_log(self) -> None:
        """Pass the prediction log's counters on to the metrics."""
        if self._log is not None:
            log = self._log
            self._telemetry.watch_log(log.pending, log.written, log.dropped)

    async def look(self) -> None:
        """Load the champion if it has changed; one that fails leaves the old one in service."""
        token = None
        try:
            token = self._store.changed()
            if token == self._seen and time.monotonic() < self._retry_at:
                return
            found = await asyncio.to_thread(self._store.load_champion)
            if found is not None:
                self.adopt(*found)
            self._retry_at = math.inf
        except (BundleError, StoreError, OSError) as error:
            self._retry_at = time.monotonic() + RETRY_S
            if token != self._seen or str(error) != self._told:
                self._telemetry.refused()
                _log.error("the champion on disk cannot be loaded, the old one stays: %s", error)
            self._told = str(error)
        self._seen = token

    def adopt(self, champion: Champion, bundle: Bundle) -> None:
        """Put a loaded champion in service, unless another has become champion meanwhile."""
        if self._store.champion() != champion:
            return  # the next look finds the other one
        old = self._handler.model
        if old is not None and (old.version, old.revision) == (bundle.version, champion.revision):
            return
        if self._log is not None:
            self._log.know(bundle.version, bundle.vocabulary)
        self._handler.model = ServedModel(bundle, champion.revision)
        self._telemetry.switched(bundle.version, old.version if old else None)
        _log.info("champion %s is in service, revision %d", bundle.version, champion.revision)
