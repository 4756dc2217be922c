import json
import pickle
from pathlib import Path

rows = json.loads(Path("made.json").read_text())["rows"]
model = pickle.loads(Path("boosting.pkl").read_bytes())
print(*(f"{probability:.4f}" for probability in model.predict_proba(rows)[:, 1]))
