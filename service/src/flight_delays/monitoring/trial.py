"""Prometheus and Alertmanager on this machine, with the project's own rules, for a trial.

    with run_watchers(find_programs(), Path("monitoring"), folder, watch=url) as watchers:
        watchers.query("flight_delays:drifted:count")
        watchers.alerts()

The files are those of `monitoring/`; the names of compose.yaml become addresses of this machine,
and a second takes the place of the intervals, since nobody waits minutes for a demonstration. In
production compose.yaml starts them.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import httpx
import yaml

START_S, STOP_S = 60.0, 10.0
_LISTENS = re.compile(r'msg="?Listening on"? .*address="?([^"\s]+)')
_SHARE = "usr/share/prometheus"
# Debian's Alertmanager reads its templates from /usr/share. Out of an unpacked package they are
# laid there in a mount namespace of that process alone: nothing on the machine changes, and no root
# is needed.
_LAID = (
    'mount -t tmpfs tmpfs /usr/share && mkdir -p /usr/share/prometheus && cp -r "$1"/. '
    '/usr/share/prometheus/ && shift && exec "$@"'
)


class ProgramsMissing(RuntimeError):
    """A program is not on this machine; the message names it and says how to get it."""


@dataclass(frozen=True)
class Programs:
    """Where the programs are.

    Attributes:
        share: the folder that the unpacked Alertmanager expects as /usr/share/prometheus; None for
            one that is installed.
    """

    prometheus: Path
    promtool: Path
    alertmanager: Path
    share: Path | None = None


def find_programs(unpacked: Path | None = None) -> Programs:
    """Find the programs where commands are found, else in a folder that debian/fetch.py made.

    Raises:
        ProgramsMissing: one of them is not there.
    """
    installed = {
        name: next(filter(None, map(shutil.which, (name, f"prometheus-{name}"))), None)
        for name in ("prometheus", "promtool", "alertmanager")
    }
    if all(installed.values()):
        return Programs(**{name: Path(path) for name, path in installed.items()})
    if unpacked is not None and unpacked.is_dir():
        first, second = unpacked / "prometheus", unpacked / "prometheus-alertmanager"
        if sys.platform != "linux" or not _may_mount():
            raise ProgramsMissing(
                "alertmanager: unpacked only, and this machine forbids namespaces to put its "
                "templates in place; `apt install prometheus-alertmanager`"
            )
        return Programs(
            first / "usr/bin/prometheus",
            first / "usr/bin/promtool",
            second / "usr/bin/prometheus-alertmanager",
            second / _SHARE,
        )
    missing = ", ".join(name for name, path in installed.items() if path is None)
    raise ProgramsMissing(
        f"{missing}: not found; a download of prometheus.io, or on Debian and its relatives "
        "`python monitoring/debian/fetch.py`"
    )


@dataclass(frozen=True)
class Watchers:
    """The two, while they run; addresses as http://127.0.0.1:PORT."""

    prometheus: str
    alertmanager: str

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What Prometheus answers to an expression: samples, each with `metric` and `value`.

        Raises:
            ValueError: it does not understand the expression.
        """
        answer = httpx.get(
            f"{self.prometheus}/api/v1/query", params={"query": expression}, trust_env=False
        )
        answer = answer.json()
        if answer["status"] != "success":
            raise ValueError(f"{expression}: {answer['error']}")
        return answer["data"]["result"]

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that stand in Alertmanager, inhibited ones as well."""
        return httpx.get(f"{self.alertmanager}/api/v2/alerts", trust_env=False).json()


@contextmanager
def run_watchers(
    programs: Programs,
    monitoring: Path,
    folder: Path,
    *,
    watch: str,
    service: str | None = None,
    every: str = "1s",
) -> Iterator[Watchers]:
    """Run both for as long as the block lasts.

    Args:
        monitoring: the project's folder of that name, with prometheus.yml and alertmanager.yml.
        folder: for what they write; it must exist.
        watch, service: addresses as http://127.0.0.1:PORT; without a service it is not asked.
        every: in place of the intervals of scrapes, of rules and between two messages of a group.

    Raises:
        RuntimeError: one of them does not start; the message has its last words.
    """
    places = {"watch:9464": _place(watch), "api:8000": service and _place(service)}
    settings = alertmanager_settings(_read(monitoring / "alertmanager.yml"), places, every)
    with _program(_command(programs, folder, settings), folder / "alertmanager.log") as told:
        places["alertmanager:9093"] = told
        settings = prometheus_settings(_read(monitoring / "prometheus.yml"), places, every)
        settings["rule_files"] = [str(monitoring.resolve() / "rules" / "*.yml")]
        config = _write(folder / "prometheus.yml", settings)
        command = [
            str(programs.prometheus),
            f"--config.file={config}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            "--web.listen-address=127.0.0.1:0",
        ]
        with _program(command, folder / "prometheus.log") as asked:
            yield Watchers(f"http://{asked}", f"http://{told}")


def alertmanager_settings(
    settings: dict[str, Any], places: Mapping[str, str | None], every: str
) -> dict[str, Any]:
    """Return alertmanager.yml's content for addresses and intervals of a trial."""
    settings["route"] |= {"group_wait": every, "group_interval": every}
    for receiver in settings["receivers"]:
        for hook in receiver.get("webhook_configs", ()):
            for name, place in places.items():
                hook["url"] = hook["url"].replace(name, place or name)
    return settings


def prometheus_settings(
    settings: dict[str, Any], places: Mapping[str, str | None], every: str
) -> dict[str, Any]:
    """Return prometheus.yml's content likewise; what has no address here is not asked."""
    settings["global"] |= {"scrape_interval": every, "evaluation_interval": every}
    settings["global"]["scrape_timeout"] = every
    for job in settings["scrape_configs"]:
        job.pop("scrape_interval", None)
    for job in [*settings["scrape_configs"], *settings["alerting"]["alertmanagers"]]:
        for block in job["static_configs"]:
            known = (places.get(target) for target in block["targets"])
            block["targets"] = [place for place in known if place]
    return settings


def _command(programs: Programs, folder: Path, settings: dict[str, Any]) -> list[str]:
    config = _write(folder / "alertmanager.yml", settings)
    command = [
        str(programs.alertmanager),
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        "--web.listen-address=127.0.0.1:0",
        "--cluster.listen-address=",
    ]
    if programs.share is None:
        return command
    return [*_APART, "sh", "-c", _LAID, "sh", str(programs.share.resolve()), *command]


_APART = ("unshare", "--user", "--map-root-user", "--mount")


def _may_mount() -> bool:
    if shutil.which(_APART[0]) is None:
        return False
    tried = subprocess.run(
        [*_APART, "mount", "-t", "tmpfs", "tmpfs", "/usr/share"], capture_output=True, check=False
    )
    return tried.returncode == 0


@contextmanager
def _program(command: Iterable[str], log: Path) -> Iterator[str]:
    """Run a program, wait until it says where it listens, give that address; end it."""
    heard: Queue[str | None] = Queue()
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )

    def listen() -> None:
        with log.open("w", encoding="utf-8") as file:
            for line in process.stderr:
                file.write(line)
                file.flush()
                if found := _LISTENS.search(line):
                    heard.put(found[1])
        heard.put(None)

    listener = Thread(target=listen, daemon=True)
    listener.start()
    try:
        try:
            address = heard.get(timeout=START_S)
        except Empty:
            address = None
        if address is None:
            last = log.read_text(encoding="utf-8").splitlines()[-3:]
            raise RuntimeError(f"{log.stem} did not start: {' '.join(last) or 'it said nothing'}")
        yield address
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        listener.join()
        process.stderr.close()


def _place(url: str) -> str:
    return urlsplit(url).netloc


def _read(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _write(path: Path, settings: dict[str, Any]) -> Path:
    path.write_text(json.dumps(settings, indent=1), encoding="utf-8")  # JSON is YAML as well
    return path.absolute()
