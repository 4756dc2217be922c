"""The pipeline as an MLflow model, which `mlflow models serve` then serves.

python -m bench.servers.mlflow_model    in the environment that has MLflow
"""

from __future__ import annotations

import mlflow.sklearn

from bench.servers.model import Prepared

# MLflow saves by skops, which refuses types that it does not know to be harmless.
TRUSTED = [
    "flight_delays.training.FlightEncoder",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
]


def main() -> None:
    prepared = Prepared.here()
    mlflow.sklearn.save_model(
        prepared.pipeline(),
        prepared.mlflow_model,
        pyfunc_predict_fn="predict_proba",  # by default it answers with the class alone
        skops_trusted_types=TRUSTED,
        pip_requirements=[],  # its environment is there already
    )


if __name__ == "__main__":
    main()
