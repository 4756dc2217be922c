"""train: test the data, train the model, write the bundle, record a run."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from flight_delays.pipeline.inputs import (
    code_digest,
    digest_of,
    training_libraries,
)
from flight_delays.pipeline.outcome import Misconfigured, SaysNo
from flight_delays.pipeline.stage import DRAFT, TRAIN_FILE, Done, Stage
from flight_delays.pipeline.table import flights_between, flights_digest, told

if TYPE_CHECKING:
    import pandas as pd

    from flight_delays.bundle import Bundle

DATA_TESTS_FILE = "data_tests.json"
DECILES = 10


class TrainStage(Stage):
    """Outputs VERSION/ (the bundle), train.json and data_tests.json."""

    name = "train"

    def inputs(self) -> dict[str, str]:
        config = self.place.config
        return {
            "code": code_digest(__name__),
            "data": flights_digest(self.place),
            "libraries": training_libraries(),
            "as_of": str(config.as_of),
            "[data]": digest_of(config.data.model_dump() | {"through": config.through}),
            "[model]": self.place.section("model"),
        }

    def work(self) -> Done:
        from flight_delays.bundle import INFO_FILE
        from flight_delays.metadata import MODEL_FILE
        from flight_delays.pipeline.data_tests import check_data

        config = self.place.config
        flights = flights_between(self.place, config.data.first, config.through)
        if flights.empty:
            raise Misconfigured(f"[data] no flights up to {config.through}; the data is of 2013")
        for line in told(self.place):
            print(line, flush=True)
        findings = check_data(
            flights,
            as_of=config.as_of,
            limits=config.data,
            quarantined=config.data.is_quarantined,
        )
        tests = self.write_json(
            DATA_TESTS_FILE, {"passed": findings.passed, "findings": findings.to_json()}
        )
        print(findings.to_table(), flush=True)
        if not findings.passed:
            raise SaysNo(*findings.reasons)

        bundle, run_id = self._train(flights)
        folder = self.folder / bundle.version
        reference = _reference(bundle, flights)
        about = {
            "version": bundle.version,
            "sha256": bundle.sha256,
            "run_id": run_id,
            "rows": len(flights),
            "first": bundle.info.data.first,
            "last": bundle.info.data.last,
            "reference": reference,
        }
        outputs = [
            folder / MODEL_FILE,
            folder / INFO_FILE,
            self.write_json(TRAIN_FILE, about),
            tests,
        ]
        data, metrics = bundle.info.data, bundle.info.metrics
        print(f"data       {data.first} to {data.last}, {data.rows:,} flights")
        print(f"validated  {metrics.first} to {metrics.last}, ROC AUC {metrics.roc_auc:.3f}")
        print(f"SHA-256    {bundle.sha256}  {INFO_FILE}")
        facts = {"version": bundle.version, "sha256": bundle.sha256, "run_id": run_id}
        return Done(bundle.version, outputs, facts)

    def _train(self, flights: pd.DataFrame) -> tuple[Bundle, str]:
        """Make the bundle and the run; a version that exists already stays, byte for byte.

        The version follows from the model, and bundle.json also tells when it was written and at
        which revision. So the same model made again would be the same version with other bytes,
        which a service that holds it has to refuse.
        """
        from flight_delays.bundle import load_bundle
        from flight_delays.evaluation import validate_forward
        from flight_delays.export import export_bundle
        from flight_delays.pipeline.recipe import recipe
        from flight_delays.pipeline.registry import Registry
        from flight_delays.pipeline.zipped import unpack
        from flight_delays.provenance import data_source

        model = self.place.config.model
        train = recipe(model, self.place.config.data.changed)
        metrics = validate_forward(flights, train=train)
        drafts = self.folder / f"{DRAFT}bundle"
        made = export_bundle(
            train(flights),
            flights,
            metrics,
            drafts,
            threshold=model.threshold,
            source="; ".join([data_source(), *told(self.place)]),
        )
        target = self.folder / made.name
        registry = Registry(self.place)
        registered = registry.find(made.name)
        if registered is not None:
            shutil.rmtree(made)
            made.mkdir()
            unpack(registry.archive_of(registered), made)
            load_bundle(made, registered.sha256)
        if registered is not None or not _is_bundle(target):
            shutil.rmtree(target, ignore_errors=True)
            made.rename(target)
        shutil.rmtree(drafts, ignore_errors=True)
        bundle = load_bundle(target)

        run_id = registry.run(digest_of(self.inputs()), bundle.version, _tags(bundle))
        registry.log(
            run_id,
            at_ms=int(bundle.info.created.timestamp() * 1000),
            params=_params(bundle, self.place.config.model.model_dump()),
            metrics=_measures(bundle),
        )
        registry.attach(run_id, self.folder / DATA_TESTS_FILE)
        registry.finish(run_id)
        return bundle, run_id


def _is_bundle(folder: Path) -> bool:
    from flight_delays.bundle import load_bundle

    try:
        load_bundle(folder)
    except (OSError, ValueError):
        return False
    return True


def _tags(bundle: Bundle) -> dict[str, str]:
    revision = bundle.info.code_revision
    return {"version": bundle.version} | (
        {"mlflow.source.git.commit": revision} if revision else {}
    )


def _params(bundle: Bundle, model: dict[str, object]) -> dict[str, object]:
    data = bundle.info.data
    return model | {
        "data.first": data.first,
        "data.last": data.last,
        "data.rows": data.rows,
        "data.source": data.source,
    }


def _measures(bundle: Bundle) -> dict[str, float]:
    metrics = bundle.info.metrics
    names = ("roc_auc", "log_loss", "brier", "late_share", "mean_prediction")
    return {f"forward.{name}": getattr(metrics, name) for name in names} | {
        "bytes": bundle.info.model.size
    }


def _reference(bundle: Bundle, flights: pd.DataFrame) -> dict[str, list[float]]:
    """Describe the predictions on the training flights: the edges of tenths, and their shares."""
    import numpy as np

    from flight_delays.flights import columns_of

    predictions = bundle.predict(columns_of(flights))
    edges = np.quantile(predictions, np.linspace(0, 1, DECILES + 1)[1:-1])
    counts = np.bincount(np.searchsorted(edges, predictions), minlength=DECILES)
    return {"edges": edges.tolist(), "shares": (counts / counts.sum()).tolist()}
