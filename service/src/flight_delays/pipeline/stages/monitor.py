"""monitor: is the deployed version in service, and does it do there what the gate saw?"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from flight_delays.pipeline.client import Service, as_json
from flight_delays.pipeline.findings import Finding, Findings
from flight_delays.pipeline.inputs import code_digest
from flight_delays.pipeline.outcome import SaysNo
from flight_delays.pipeline.stage import TRAIN_FILE, VERDICT_FILE, Done, Record, Stage
from flight_delays.pipeline.table import flights_digest, newest_flights

MONITOR_FILE = "monitor.json"


class MonitorStage(Stage):
    """Output monitor.json; an alarm ends with 1."""

    name = "monitor"
    needs = ("deploy",)

    def inputs(self) -> dict[str, str]:
        deployed = self.place.needed("deploy")
        return {
            "version": deployed.facts["version"],
            "deploy": deployed.outputs["deploy.json"],
            "code": code_digest(__name__),
            "data": flights_digest(self.place),
            "as_of": str(self.place.config.as_of),
            "window": str(self.place.config.window_first),
            "[monitor]": self.place.section("monitor"),
        }

    def still_holds(self, record: Record) -> bool:
        """The service is ready, serves the version, and has made no error since."""
        with Service(self.place.surroundings) as service:
            champion = service.champion()
            return (
                champion is not None
                and champion.version == record.facts["version"]
                and service.ready() is None
                and service.server_errors() == record.facts["server_errors"]
            )

    def work(self) -> Done:
        deployed = self.place.needed("deploy").facts
        with Service(self.place.surroundings, timeout_s=30) as service:
            findings = Findings(_service_findings(service, deployed))
            if findings.passed:
                findings += self._replay(service, deployed["version"])
            errors = service.server_errors()
        print(findings.to_table(), flush=True)
        content = {"version": deployed["version"], "passed": findings.passed}
        about = self.write_json(MONITOR_FILE, {**content, "findings": findings.to_json()})
        if not findings.passed:
            raise SaysNo(*findings.reasons)
        facts = {"version": deployed["version"], "server_errors": errors}
        return Done(f"{deployed['version']} is well, {len(findings)} checks", [about], facts)

    def _replay(self, service: Service, version: str) -> Iterator[Finding]:
        import numpy as np

        from flight_delays.bundle import load_bundle
        from flight_delays.evaluation import score
        from flight_delays.flights import columns_of
        from flight_delays.monitoring.distances import psi

        limits = self.place.config.monitor
        window = newest_flights(self.place)
        if len(window) > limits.max_rows:
            window = window.sample(limits.max_rows, random_state=0)
        columns = columns_of(window)
        bundle = load_bundle(self.place.folder("train") / version)
        served = np.array(
            [
                probability
                for batch in _batches(columns, limits.batch_rows)
                for probability in service.predict(batch, f"monitor-{uuid4().hex}")["probabilities"]
            ]
        )
        apart = float(np.abs(served - bundle.predict(columns)).max())
        yield _finding(
            "served against the bundle", apart <= 1e-6, f"{apart:.1g}", "1e-06",
            "The service answers otherwise than the bundle that was judged.",
        )  # fmt: skip
        scores = score(window["late"], served)
        verdict = json.loads((self.place.folder("validate") / VERDICT_FILE).read_text())
        if interval := verdict.get("intervals", {}).get("auc"):
            low, high = interval
            yield _finding(
                "ROC AUC", low <= scores.roc_auc <= high, f"{scores.roc_auc:.4f}",
                f"{low:.4f} to {high:.4f}, the gate's interval",
                "The flights are ordered otherwise than when the gate looked.",
            )  # fmt: skip
        gap = scores.mean_prediction - scores.late_share
        yield _finding(
            "mean prediction - late share", abs(gap) <= limits.calibration_maximum,
            f"{gap:+.3f}", f"+-{limits.calibration_maximum:g}",
            "The probabilities are off as a whole; look at the newest days, then retrain.",
        )  # fmt: skip
        trained = json.loads((self.place.folder("train") / TRAIN_FILE).read_text())
        edges, shares = (trained["reference"][name] for name in ("edges", "shares"))
        counts = np.bincount(np.searchsorted(edges, served), minlength=len(shares))
        moved = psi(shares, counts)
        yield _finding(
            "PSI of the prediction", moved <= limits.psi_maximum, f"{moved:.3f}",
            f"{limits.psi_maximum:g}",
            "The predictions are spread otherwise than on the training flights.",
        )  # fmt: skip


def _service_findings(service: Service, deployed: dict[str, Any]) -> Iterator[Finding]:
    not_ready = service.ready()
    yield _finding(
        "ready", not_ready is None, not_ready or "yes", "yes", "The service answers no requests."
    )
    champion = service.champion()
    version = champion.version if champion else "none"
    yield _finding(
        "version in service", version == deployed["version"], version, deployed["version"],
        "Somebody has switched, or the service lost its state; deploy again or ask who did.",
    )  # fmt: skip
    errors, before = service.server_errors(), deployed["server_errors"]
    since = errors - before if errors >= before else errors  # it was started again
    yield _finding(
        "5xx since the deployment", since == 0, f"{since:g}", "0",
        "The service failed on requests; its log tells which, by request id.",
    )  # fmt: skip


def _finding(check: str, passed: bool, found: str, limit: str, reason: str) -> Finding:
    return Finding(check, bool(passed), found, limit, "" if passed else reason, "monitor")


def _batches(columns: dict[str, Any], rows: int) -> Iterator[dict[str, list[Any]]]:
    """Cut columns into batches that JSON can hold; what is missing becomes None."""
    total = len(next(iter(columns.values())))
    for begin in range(0, total, rows):
        part = {name: values[begin : begin + rows] for name, values in columns.items()}
        yield as_json(part)
