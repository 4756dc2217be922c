"""Lab 04: a compose file with two services, read by PyYAML and, where there is an engine, brought up."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import PurePosixPath as Path
from typing import Any

import numpy as np
import yaml

from checks.lab04_dockerfile import read_dockerfile, text_of
from checks.lab04_engine import OPTIONS, RUN_MB, InEngine, ask, build, expect_scores
from checks.lab04_running import ILL_S, look, seconds
from labkit.answer import Answer, CannotTry, Wrong
from labkit.exercise import case, expect
from lessonkit.engine import Engine, EngineError
from lessonkit.engine_build import Image
from lessonkit.engine_scope import Container, Scope, write_files
from lessonkit.inside import get, post
from lessonkit.shipping import PORT, service_pair

MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([bkmg]?)b?", re.IGNORECASE)
UNITS = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}
MOST_MB, MOST_PIDS = 512, 256
STORE_PORT = 9000
KEY, KEY_FILE = "made-up-key-8c1f", "api_key.txt"  # the key that stands in the broken file
NEEDED = ("PATH", "HOME", "USERPROFILE", "SYSTEMROOT", "TEMP", "TMP", "XDG_RUNTIME_DIR", "APPDATA", "PROGRAMFILES")
UP_S = 60
# What of a service the check brings up as it was written. The image, the ports and the limits are the check's own.
KEPT = ("command", "entrypoint", "environment", "depends_on", "healthcheck", "secrets", "networks", "tmpfs", "user")
HARMLESS = (
    *("image", "build", "ports", "expose", "read_only", "mem_limit", "memswap_limit", "pids_limit", "cpus", "deploy"),
    *("init", "restart", "cap_drop", "security_opt", "stop_signal", "stop_grace_period", "labels", "working_dir"),
    *("container_name", "hostname", "pull_policy", "logging", "mem_reservation", "platform"),
)
# An image for both services, which a reader knows from exercise 1.
IMAGE = """FROM python:3.11-slim
WORKDIR /app
COPY requirements.txt ./
COPY wheels wheels
RUN pip install --no-cache-dir --no-index --find-links wheels -r requirements.txt
COPY server.py store.py model.json ./
USER 10001
CMD ["python", "server.py"]
"""


class Service:
    """One service of a compose file, whichever of the two ways it is written in."""

    def __init__(self, name: str, told: Mapping[str, Any]) -> None:
        self.name, self.told = name, told

    @property
    def environment(self) -> dict[str, str]:
        found = self.told.get("environment") or {}
        if isinstance(found, list):
            return {key: value for key, _, value in (str(entry).partition("=") for entry in found)}
        expect(isinstance(found, Mapping), f"`environment` of {self.name} is neither a mapping nor a list.", got=found)
        return {str(key): "" if value is None else str(value) for key, value in found.items()}

    @property
    def ports(self) -> list[tuple[str, str]]:
        """Of each published port: the address of this machine ("" for every one), and the container's port."""
        made = []
        for entry in self.told.get("ports") or []:
            if isinstance(entry, Mapping):
                made.append((str(entry.get("host_ip", "")), str(entry.get("target", ""))))
            else:
                host, _, target = str(entry).rpartition(":")
                address = host.rpartition(":")[0] if ":" in host else ""
                made.append((address.strip("[]"), target.removesuffix("/tcp")))
        return made

    @property
    def waits_for(self) -> dict[str, str]:
        """Service to the condition on which this one starts."""
        found = self.told.get("depends_on") or {}
        if isinstance(found, list):
            return dict.fromkeys(map(str, found), "service_started")
        expect(isinstance(found, Mapping), f"`depends_on` of {self.name} is neither a mapping nor a list.", got=found)
        return {
            str(name): str(how.get("condition", "service_started")) if isinstance(how, Mapping) else ""
            for name, how in found.items()
        }

    @property
    def secrets(self) -> dict[str, str]:
        """Secret to the path at which the container finds it."""
        made = {}
        for entry in self.told.get("secrets") or []:
            source = entry.get("source", "") if isinstance(entry, Mapping) else entry
            target = entry.get("target", source) if isinstance(entry, Mapping) else entry
            made[str(source)] = str(Path("/run/secrets") / str(target))
        return made

    def limit(self, name: str, of_deploy: str) -> str:
        """A limit as it is written, here or below `deploy`; "" if there is none."""
        limits = self.told
        if self.told.get(name) is None:
            for step in ("deploy", "resources", "limits"):
                limits = limits.get(step) if isinstance(limits.get(step), Mapping) else {}
            name = of_deploy
        return "" if limits.get(name) is None else str(limits[name])


class Composed:
    """A compose file as PyYAML reads it. Wrong unless it has the two services."""

    def __init__(self, text: str) -> None:
        try:
            self.told = yaml.safe_load(text)
        except yaml.YAMLError as error:
            where = getattr(error, "problem_mark", None)
            line = f"line {where.line + 1}: " if where else ""
            told = "This is no YAML. Mind the blanks at the beginning of lines, and the one after each colon."
            raise Wrong(told, got=line + str(getattr(error, "problem", error))) from error
        expect(isinstance(self.told, Mapping), "The file holds no mapping.", got=type(self.told).__name__)
        services = self.told.get("services")
        there = isinstance(services, Mapping) and set(services) == {"api", "store"}
        there = there and all(isinstance(one, Mapping) for one in services.values())
        named = list(services) if isinstance(services, Mapping) else services
        expect(there, "`services` must hold the two services api and store, and no other.", got=f"services: {named}")
        self.api, self.store = Service("api", services["api"]), Service("store", services["store"])

    @property
    def services(self) -> tuple[Service, Service]:
        return self.api, self.store


class Compose(InEngine):
    id = "compose"
    title = "Mend a compose file"
    names = ("mended_compose",)
    points = 3.0
    hints = (
        "In a container `localhost` is the container itself. Services of one compose file find each other by the names "
        "they have there.",
        "`depends_on` with a mapping takes `condition: service_healthy`, and then the store needs a `healthcheck`. A "
        'port such as "127.0.0.1:8000:8000" is reached from this machine alone; one that nobody outside needs is not '
        "published at all.",
        "A secret stands twice: below the top-level `secrets`, with the file that holds it, and in the list of the "
        "service, which then finds it as /run/secrets/NAME. The limits are called `mem_limit`, `pids_limit`, "
        "`read_only`, and /tmp is a `tmpfs`.",
    )

    def _read(self, answer: Answer) -> Composed:
        return Composed(text_of(answer, "mended_compose", "compose file"))

    @case("only the api is published, and on this machine alone")
    def ports(self, answer: Answer, rng: np.random.Generator) -> None:
        read = self._read(answer)
        old = "`version` is obsolete: compose warns and ignores it. Leave it out."
        expect("version" not in read.told, old, got=f"version: {read.told.get('version')}")
        inside = "The store is published, and only the api needs it: within the network it is reached without that."
        expect(not read.store.ports, inside, got=f"store: {read.store.told.get('ports')}")
        targets = [target for _, target in read.api.ports]
        expect(
            targets == [str(PORT)],
            f"The api's port {PORT} must be published.",
            got=f"api: {read.api.told.get('ports')}",
        )
        everywhere = "Without an address the port is open to every network this machine is in."
        ((address, _),) = read.api.ports
        expect(address in ("127.0.0.1", "::1"), everywhere, got=f"{read.api.told.get('ports')}", expected="127.0.0.1")

    @case("the api waits until the store is healthy, and finds it by its name")
    def finds(self, answer: Answer, rng: np.random.Generator) -> None:
        read = self._read(answer)
        url = read.api.environment.get("STORE_URL", "")
        itself = "In a container localhost is the container itself. The store's name is its address."
        expect("localhost" not in url and "127.0.0.1" not in url, itself, got=f"STORE_URL: {url}")
        told = "STORE_URL is not the address of the store."
        wanted = f"http://store:{STORE_PORT}"
        expect(url.rstrip("/") == wanted, told, got=f"STORE_URL: {url}", expected=wanted)
        condition = read.api.waits_for.get("store", "")
        expect(condition, "The api does not wait for the store.", got=f"depends_on: {read.api.told.get('depends_on')}")
        started = "Started is not ready: the store's process is there before it answers. There is a condition for that."
        expect(condition == "service_healthy", started, got=f"condition: {condition}", expected="service_healthy")
        check = read.store.told.get("healthcheck")
        nobody = "The api waits until the store is healthy, and nobody asks how the store is: it has no healthcheck."
        asks = (
            isinstance(check, Mapping) and check.get("test") and not check.get("disable") and check["test"] != ["NONE"]
        )
        expect(asks, nobody, got=f"healthcheck: {check}")
        words = check["test"][1:] if isinstance(check["test"], list) else str(check["test"]).split()
        form = 'A list begins with "CMD" or "CMD-SHELL"; the words of the command follow.'
        listed = isinstance(check["test"], list) and check["test"][:1] not in (["CMD"], ["CMD-SHELL"])
        expect(not listed, form, got=f"test: {check['test']}")
        program = Path(str(words[0]).split()[0] if words else "").name
        expect(
            program not in ("curl", "wget", "nc"), f"The image has no {program}; it has Python.", got=f"test: {words}"
        )
        asks = str(STORE_PORT) in " ".join(map(str, words))
        told = f"The store's check does not ask it: GET /health on port {STORE_PORT}."
        expect(asks, told, got=f"test: {check['test']}"[:200])
        for name in ("interval", "timeout", "start_period", "start_interval"):
            if check.get(name) is not None:
                seconds(str(check[name]), f"healthcheck of the store, {name}")

    @case("the key comes from a file, and stands nowhere in this one")
    def secret(self, answer: Answer, rng: np.random.Generator) -> None:
        read = self._read(answer)
        for service in read.services:
            value = service.environment.get("API_KEY")
            told = "The key stands in the compose file, and so in the repository and in `docker inspect`."
            expect(value is None, told, got=f"{service.name}: API_KEY")
        told = "The old key still stands in the file, if only in a comment or under another name."
        expect(KEY not in text_of(answer, "mended_compose", "compose file"), told, got=KEY)
        declared = read.told.get("secrets")
        none = "No secret is declared: the top-level `secrets` names each, with the file that holds it."
        expect(isinstance(declared, Mapping) and declared, none, got=f"secrets: {declared}")
        for name, how in declared.items():
            source = isinstance(how, Mapping) and (how.get("file") or how.get("environment"))
            expect(source, f"The secret {name} comes from nowhere: give its `file`.", got=f"{name}: {how}")
        how = declared.get("api_key")
        named = isinstance(how, Mapping) and Path(str(how.get("file", ""))).name == KEY_FILE
        told = f"The secret is named api_key, and the file {KEY_FILE} holds it."
        expect(named, told, got=f"secrets: {dict(declared)}")
        expect(
            read.api.secrets, "The api is not given the secret: list it below the service, too.", got="api: no secrets"
        )
        unknown = [name for name in read.api.secrets if name not in declared]
        expect(
            not unknown,
            f"The api asks for a secret that is not declared: {unknown[:1]}.",
            got=f"secrets: {list(declared)}",
        )
        path = read.api.environment.get("API_KEY_FILE", "")
        told = "API_KEY_FILE must name the file that the secret becomes in the container."
        expected = " or ".join(read.api.secrets.values())
        expect(path in read.api.secrets.values(), told, got=f"API_KEY_FILE: {path}", expected=expected)
        expect(
            not read.store.secrets, "The store has no use for the key: give it to the api alone.", got="store: secrets"
        )

    @case("both run with limits and a read-only root")
    def limits(self, answer: Answer, rng: np.random.Generator) -> None:
        read = self._read(answer)
        for service in read.services:
            name = service.name
            memory = service.limit("mem_limit", "memory")
            expect(
                memory, f"{name} may take all the memory of the machine.", got="no limit", expected="mem_limit: 128m"
            )
            match = MEMORY.fullmatch(memory)
            expect(match, f"This is no amount of memory ({name}).", got=memory, expected="128m")
            assert match is not None
            mb = float(match[1]) * UNITS[match[2].lower()] / 2**20
            slip = " A number without a unit counts bytes." if mb < 1 else ""
            fits = 16 <= mb <= MOST_MB
            told = f"{name}: {mb:.3g} MB. Between 16 and {MOST_MB} MB is what this service needs.{slip}"
            expect(fits, told, got=memory)
            pids = service.limit("pids_limit", "pids")
            expect(pids, f"{name} may start any number of processes.", got="no limit", expected="pids_limit: 64")
            fits = pids.isdecimal() and 1 <= int(pids) <= MOST_PIDS
            expect(fits, f"{name}: from 1 to {MOST_PIDS} processes.", got=f"pids_limit: {pids}")
            fixed = f"{name} may change its own files: `read_only: true`."
            expect(service.told.get("read_only") is True, fixed, got=f"read_only: {service.told.get('read_only')}")
        places = read.api.told.get("tmpfs") or []
        places = [places] if isinstance(places, str) else list(places)
        folder = Path(read.api.environment.get("LOG_FOLDER", "log"))
        held = [str(place).partition(":")[0] for place in places]
        told = "The api writes its log, and its root is read-only: LOG_FOLDER must lie in a `tmpfs`."
        fits = any(folder.is_relative_to(place) for place in held)
        expect(fits, told, got=f"LOG_FOLDER: {folder}; tmpfs: {held}", expected="LOG_FOLDER: /tmp/log; tmpfs: [/tmp]")

    @case("`docker compose config` accepts it")
    def accepted(self, answer: Answer, rng: np.random.Generator) -> None:
        text = text_of(answer, "mended_compose", "compose file")
        read = Composed(text)
        _expect_harmless(read)
        scope = self.scope(answer)
        _need_compose(scope.engine)
        folder = write_files(scope.folder / "config", {"compose.yaml": text})
        command = ("compose", "--file", folder / "compose.yaml", "config", "--quiet")
        done = scope.engine.run(*command, env=_without_values())
        said = done.last_line.replace(str(folder), "")
        expect(done.returncode == 0, "`docker compose` refuses the file.", "docker compose config", got=said[:300])

    @case("brought up, the api finds the store, and answers who has the key")
    def up(self, answer: Answer, rng: np.random.Generator) -> None:
        read = self._read(answer)
        _expect_harmless(read)
        scope = self.scope(answer)
        _need_compose(scope.engine)
        seed, key = int(rng.integers(1, 1000)), f"key-{rng.bytes(8).hex()}"
        project = service_pair(seed)
        image = build(scope, IMAGE, read_dockerfile(IMAGE, project), project)
        ours = _ours(read, image)
        files = {how["file"]: key for how in ours["secrets"].values()}
        folder = write_files(scope.folder / "up", {"compose.yaml": yaml.safe_dump(ours), **files})
        _up(scope, folder)
        container = _container(scope, "api")
        ((status, body),) = ask(container, [get("/health")])
        reaches = "The api is up, and does not reach the store."
        expect(status == 200, reaches, "GET /health", got=f"{status} {body}"[:200], expected="200")
        ((status, _),) = ask(container, [post("/score", {"skills": ["sql"]}, {"X-Api-Key": "no"})])
        expect(
            status == 401, "The api answers without the key.", "POST /score, X-Api-Key: no", got=status, expected=401
        )
        expect_scores(container, seed, {"X-Api-Key": key})
        store = _container(scope, "store")
        store.kill("STOP")  # as in exercise 3: a check that asks nothing notices nothing
        well, said = look(store, _test(read.store), ILL_S)
        blind = "The store hangs, and its check still calls it healthy: it must wait for an answer."
        expect(not well, blind, "docker kill --signal STOP, then the health check", got=said)


def _test(service: Service) -> list[str]:
    """What a health check runs, as compose hands it to the engine."""
    test = service.told["healthcheck"]["test"]
    words = test if isinstance(test, list) else ["CMD-SHELL", test]
    return [str(word).replace("$$", "$") for word in words]


def _need_compose(engine: Engine) -> None:
    if not engine.has_compose:
        raise CannotTry(f"`{engine.name} compose` is not installed")


def _expect_harmless(read: Composed) -> None:
    """Raise Wrong if the file asks for what a check does not give to a file that nobody has read."""
    top = set(read.told) - {"services", "secrets", "networks", "name", "version"}
    top = {str(name) for name in top if not str(name).startswith("x-")}
    expect(not top, "The check brings up a file without this: leave it out.", got=", ".join(sorted(top)))
    for service in read.services:
        more = {str(name) for name in service.told} - {*KEPT, *HARMLESS}
        told = f"The check starts {service.name} without this: leave it out."
        expect(not more, told, got=", ".join(sorted(more)))


def _ours(read: Composed, image: Image) -> dict[str, Any]:
    """The file to bring up: of the learner's what is in KEPT; everything that reaches out of a container is ours."""
    services = {}
    for service in read.services:
        kept = {name: service.told[name] for name in KEPT if service.told.get(name) is not None}
        check = kept.get("healthcheck")
        if isinstance(check, Mapping):
            kept["healthcheck"] = {"test": check.get("test"), "interval": "1s", "timeout": "5s", "retries": 10}
        services[service.name] = _plain(kept) | {
            "image": image.id,
            "read_only": True,
            "mem_limit": f"{RUN_MB}m",
            "pids_limit": 64,
            "cpus": 1,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "logging": {"options": {OPTIONS[1].partition("=")[0]: OPTIONS[1].partition("=")[2]}},
        }
    networks = {str(name): {"internal": True} for name in read.told.get("networks") or {}}
    declared = read.told.get("secrets") or {}
    secrets = {str(name): {"file": f"secret-{number}"} for number, name in enumerate(declared)}
    return {"services": services, "networks": {"default": {"internal": True}, **networks}, "secrets": secrets}


def _without_values() -> dict[str, str]:
    """Empties every variable that the engine's command does not need: the file may ask for any, and show it."""
    return {name: "" for name in os.environ if name.upper() not in NEEDED and not name.startswith("DOCKER_")}


def _plain(value: Any) -> Any:
    """The value with every `$` doubled: no variable of this process goes into a container."""
    if isinstance(value, str):
        return value.replace("$$", "$").replace("$", "$$")
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else value


def _up(scope: Scope, folder: Any) -> None:
    how = ("--project-name", scope.value, "--file", folder / "compose.yaml")
    words = ("up", "--detach", "--wait", "--no-build", "--pull", "never")
    tried = "docker compose up --wait"
    try:
        done = scope.engine.run("compose", *how, *words, timeout_s=UP_S)
    except TimeoutError as late:
        raise Wrong(f"The services were not up within {UP_S} s.", tried=tried, got=_logs(scope)) from late
    if done.returncode:
        said = done.last_line.replace(scope.value, "compose")
        raise Wrong("The services do not come up.", tried=tried, got=f"{said[:200]} {_logs(scope)}".strip())


def _logs(scope: Scope) -> str:
    with contextlib.suppress(EngineError, TimeoutError):
        said = scope.engine.run("compose", "--project-name", scope.value, "logs", "--no-color", "--tail", "2")
        return " ".join(said.stdout.split())[-300:]
    return ""


def _container(scope: Scope, service: str) -> Container:
    label = f"label=com.docker.compose.project={scope.value}"
    listed = scope.engine.check(
        *("container", "ls", "--quiet", "--no-trunc", "--filter", label),
        *("--filter", f"label=com.docker.compose.service={service}"),
    )
    expect(listed, f"No container of {service} runs.", "docker compose up --wait", got=_logs(scope))
    return Container(scope.engine, listed.split()[0])
