"""Run by test_monitoring_labels.py in a process of its own: add labels until killed.

label_processes.py FILE BATCH   add batch after batch, each of BATCH labels; a line after each
"""

from __future__ import annotations

import sys
from datetime import datetime
from itertools import count
from pathlib import Path

from flight_delays.monitoring.labels import Label, LabelStore


def main(path: Path, batch: int) -> None:
    with LabelStore(path) as store:
        for number in count():
            moment = datetime(2013, 7, 1)
            store.add(Label(f"batch-{number}", row, True, moment) for row in range(batch))
            print(number, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
