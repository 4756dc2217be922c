"""deploy: the bundle into the service, the switch, the smoke test, and back if it fails."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from flight_delays.pipeline.client import Service
from flight_delays.pipeline.inputs import code_digest
from flight_delays.pipeline.outcome import OutsideFailed, SaysNo, StageError, Stale
from flight_delays.pipeline.stage import Done, Record, Stage

if TYPE_CHECKING:
    from flight_delays.metadata import BundleInfo
    from flight_delays.pipeline.registry import Registry

DEPLOY_FILE = "deploy.json"


class DeployStage(Stage):
    """Output deploy.json. Each step may be done again, so a run that was killed goes on."""

    name = "deploy"
    needs = ("test", "train", "validate", "package")

    def inputs(self) -> dict[str, str]:
        packaged = self.place.needed("package")
        return {
            "archive": packaged.facts["sha256"],
            "against": str(packaged.facts["against"]),
            "service": self.place.surroundings.service_url or "",
            "code": code_digest(__name__),
            "[deploy]": self.place.section("deploy"),
        }

    def still_holds(self, record: Record) -> bool:
        """The version that was deployed is in service."""
        with Service(self.place.surroundings) as service:
            champion = service.champion()
            return champion is not None and champion.version == record.facts["version"]

    def work(self) -> Done:
        from flight_delays.bundle import load_bundle
        from flight_delays.pipeline.registry import CHALLENGER, CHAMPION, Registry

        packaged = self.place.needed("package").facts
        version = packaged["version"]
        folder = self.place.folder("train") / version
        info = load_bundle(folder, packaged["bundle_sha256"]).info
        archive = self.place.folder("package") / f"{version}.zip"
        registry = Registry(self.place)
        registered = registry.find(version)
        if registered is None:
            raise Stale(f"{version} is not in the registry; run `package` with --force first")
        with Service(self.place.surroundings, self.place.config.deploy.timeout_s) as service:
            before = self._switch(service, info, archive, packaged["against"])
            if faults := self._smoke(service, info):
                registry.tag(registered, "deploy", "smoke test failed")
                self._take_back(service, registry, version, before, faults)
            errors = service.server_errors()
        registry.point(CHAMPION, registered)
        registry.unpoint(CHALLENGER, registered)
        registry.tag(registered, "deploy", "in service")
        facts = {"version": version, "previous": before, "server_errors": errors}
        about = self.write_json(DEPLOY_FILE, {**facts, "rolled_back": False, "reasons": []})
        instead = f" in place of {before}" if before else ""
        return Done(f"{version} is in service{instead}", [about], facts)

    def _switch(
        self, service: Service, info: BundleInfo, archive: Path, against: str | None
    ) -> str | None:
        """Make the bundle the champion.

        Returns:
            The version to go back to: the one the gate compared with. None if there was none, or
            if the bundle had been champion before this deployment began.
        """
        champion = service.champion()
        found = champion.version if champion else None
        if found == info.version:  # a killed run came this far, or it was champion all along
            return None if against == info.version else against
        if found != against:
            raise SaysNo(
                f"the champion is {found}, and the gate compared with {against}: somebody has "
                f"switched meanwhile; run `validate` again"
            )
        if not service.put_model(info.version, archive.read_bytes()):
            _check_same_model(service, info)
        service.put_champion(info.version, champion)
        return found

    def _smoke(self, service: Service, info: BundleInfo) -> list[str]:
        from flight_delays.pipeline.smoke import smoke_test

        limits = self.place.config.deploy
        return smoke_test(service, info, limits.smoke_max_ms, limits.timeout_s)

    def _take_back(
        self,
        service: Service,
        registry: Registry,
        version: str,
        before: str | None,
        faults: list[str],
    ) -> NoReturn:
        """Put the old champion back, and smoke-test it.

        Raises:
            SaysNo: the version failed, and the old one is in service again, or there is none.
            OutsideFailed: the old one cannot be put back, or fails as well.
        """
        reasons = [f"smoke test of {version}: {fault}" for fault in faults]
        try:
            if before is None:
                raise SaysNo(f"this deployment replaced no version, so {version} stays in service")
            self._roll_back(service, registry, version, before)
        except StageError as error:
            reasons += error.reasons
            self._report(version, before, reasons, rolled_back=False)
            raise type(error)(*reasons) from None
        reasons.append(f"rolled back: {before} is in service again")
        self._report(version, before, reasons, rolled_back=True)
        raise SaysNo(*reasons)

    def _roll_back(self, service: Service, registry: Registry, version: str, before: str) -> None:
        champion = service.champion()
        found = champion.version if champion else None
        if found not in (version, before):
            raise SaysNo(f"{found} has become champion meanwhile and stays in service")
        if found == version:
            try:
                service.put_champion(before, champion)
            except SaysNo as error:
                raise OutsideFailed(*error.reasons, f"{before} could not be put back") from None
        faults = self._smoke(service, _info_of(before, service, registry))
        if faults:
            reasons = [f"smoke test of {before} after rolling back: {fault}" for fault in faults]
            raise OutsideFailed(*reasons, "look at the service")

    def _report(
        self, version: str, before: str | None, reasons: list[str], *, rolled_back: bool
    ) -> None:
        content = {"version": version, "previous": before}
        content |= {"rolled_back": rolled_back, "reasons": reasons}
        self.write_json(DEPLOY_FILE, content)


def _check_same_model(service: Service, info: BundleInfo) -> None:
    """The service holds the version with other bytes: it may differ in its story only.

    A work folder and a registry that were lost lead here: the model is made again, bit for bit,
    and its bundle.json tells another time.
    """
    there = service.description(info.version)
    if there is None or there["bundle"]["model"]["sha256"] != info.model.sha256:
        raise SaysNo(f"the service holds {info.version} with another model; delete it there first")
    print(f"note: the service holds {info.version} already, written at another time", flush=True)


def _info_of(version: str, service: Service, registry: Registry) -> BundleInfo:
    """Return what a bundle says of itself: from the registry, else from the service."""
    from flight_delays.metadata import BundleInfo

    if (registered := registry.find(version)) is not None:
        return registry.bundle_of(registered).info
    there = service.description(version)
    if there is None:
        raise OutsideFailed(f"the service does not know {version}")
    return BundleInfo.model_validate_json(json.dumps(there["bundle"]))
