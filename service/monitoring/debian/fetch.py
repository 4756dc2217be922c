"""`python fetch.py`: Prometheus and Alertmanager out of Debian's packages, for compose.debian.yaml.

apt downloads them and proves by Debian's signature that they are Debian's; nothing is installed.
They are unpacked beside this file, where git does not look, and left alone when they are there.
Runs on Debian 12 or newer and its relatives, without root.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGES = "prometheus", "prometheus-alertmanager"
UNPACKED = Path(__file__).parent / "unpacked"


class FetchError(RuntimeError):
    """The packages are not to be had; the message says why and what to do."""


def fetch(target: Path = UNPACKED) -> Path:
    """Download and unpack the packages, each into a folder of its name, and return `target`.

    Raises:
        FetchError: this is no Debian, or apt cannot download.
    """
    if target.is_dir():
        return target
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise FetchError(f"{program} is not on this machine; it is part of Debian")
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as folder:
        for package in PACKAGES:
            _unpack(package, Path(folder))
        # Two who fetch at the same moment: the second finds that it is done.
        ready = Path(folder) / target.name
        if not target.is_dir():
            ready.rename(target)
    return target


def _unpack(package: str, folder: Path) -> None:
    _run("apt-get", "--quiet", "download", package, folder=folder)
    (archive,) = folder.glob(f"{package}_*.deb")
    _run("dpkg-deb", "--extract", archive.name, f"{UNPACKED.name}/{package}", folder=folder)


def _run(*command: str, folder: Path) -> None:
    (folder / UNPACKED.name).mkdir(exist_ok=True)
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise FetchError(
            f"{' '.join(command[:3])}: {said[-1]}; `apt-get update` as root gets the newest list"
        )


if __name__ == "__main__":
    try:
        print(fetch())
    except FetchError as error:
        sys.exit(f"error: {error}")
