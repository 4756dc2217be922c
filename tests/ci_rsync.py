"""Stands in for rsync where gitlab-ci-local calls it and rsync is not installed.

gitlab-ci-local copies folders of this machine by rsync, nothing else: tracked files into a job's folder, artifacts out
of it and into the next. This copies files as those calls ask, and refuses any option that it does not know:

    rsync -a [--delete --delete-excluded] [--exclude-from=FILE] [--exclude PATTERN] FROM... TO
    rsync -Ra ...                           the path of what is copied is kept below TO

A pattern without / is matched against each name, one that begins with / against the path from FROM on.
"""

from __future__ import annotations

import argparse
import fnmatch
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path


def copy(sources: list[str], target: Path, patterns: list[str], *, keep_path: bool, delete: bool) -> None:
    """Copy the sources below `target`; with `delete` what is there and was not copied goes."""
    copied = set()
    for source in sources:
        root = Path() if keep_path else Path(source)
        if not Path(source).exists():
            raise SystemExit(f"rsync: {source}: no such file or folder")
        if not keep_path and not source.endswith(("/", "/.")):
            root = root.parent  # without the slash the folder itself is copied, and not what is in it
        for path in _files(Path(source), root, patterns):
            to = target / path.relative_to(root)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, to, follow_symlinks=False)
            copied.add(to)
    if delete:
        for old in [path for path in target.rglob("*") if not path.is_dir() and path not in copied]:
            old.unlink()


def _files(path: Path, root: Path, patterns: list[str]) -> Iterator[Path]:
    if _excluded(path.relative_to(root), patterns):
        return
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            yield from _files(child, root, patterns)
    else:
        yield path


def _excluded(path: Path, patterns: list[str]) -> bool:
    for pattern in (one.rstrip("/") for one in patterns):
        whole = pattern.removesuffix("/**")
        if pattern.startswith("/") or "/" in whole:
            if fnmatch.fnmatchcase(path.as_posix(), whole.lstrip("/")):
                return True
        elif path.name and fnmatch.fnmatchcase(path.name, whole):
            return True
    return False


def main() -> None:
    """Do what one call of rsync asks."""
    parser = argparse.ArgumentParser(prog="rsync", allow_abbrev=False)
    parser.add_argument("-a", action="store_true", required=True)
    parser.add_argument("-R", action="store_true")
    parser.add_argument("--delete", action="store_true")
    parser.add_argument("--delete-excluded", action="store_true")
    parser.add_argument("--exclude", action="append", default=[])
    parser.add_argument("--exclude-from", type=Path)
    parser.add_argument("paths", nargs="+")
    options = parser.parse_args()
    patterns = options.exclude
    if options.exclude_from:
        patterns += [line for line in options.exclude_from.read_text(encoding="utf-8").splitlines() if line.strip()]
    *sources, target = options.paths
    copy(sources, Path(target), patterns, keep_path=options.R, delete=options.delete)


if __name__ == "__main__":
    sys.exit(main())
