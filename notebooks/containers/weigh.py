"""The packages of a Python that weigh most, in millions of bytes, as JSON."""

import json
import sysconfig
from collections import Counter
from pathlib import Path

place = Path(sysconfig.get_path("purelib"))
weights = Counter()
for file in place.rglob("*"):
    if file.is_file():  # numpy.libs belongs to numpy
        weights[file.relative_to(place).parts[0].split(".")[0]] += file.stat().st_size / 1e6
print(json.dumps(weights.most_common(3)))
