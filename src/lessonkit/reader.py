"""A process that loads a joblib file, reads every number, says `ready` and waits for its input to end."""

from __future__ import annotations

import sys

import joblib


def main() -> None:
    path, how = sys.argv[1:]
    array = joblib.load(path, mmap_mode="r" if how == "map" else None)
    array.sum()  # a mapped page is in memory only once it was read
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
