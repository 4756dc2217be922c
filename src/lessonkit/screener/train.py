"""Fits the model to data/past.csv and writes model.json beside this file."""

import csv
import json
from pathlib import Path

import fitwords

HERE = Path(__file__).parent

if __name__ == "__main__":
    with (HERE / "data" / "past.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["skills"], int(row["invited"])) for row in csv.DictReader(file)]
    model = {"version": "v1", "weights": fitwords.fit(rows)}
    (HERE / "model.json").write_text(json.dumps(model), encoding="utf-8")
    print(f"model.json holds {len(model['weights'])} weights")
