"""deploy: the bundle into the service, the switch, the smoke test, and back if it fails."""

from __future__ import annotations

from pathlib import Path

from flight_delays.bundle import Bundle, load_bundle
from flight_delays.pipeline.client import ServedChampion, Service
from flight_delays.pipeline.inputs import code_digest
from flight_delays.pipeline.outcome import OutsideFailed, SaysNo, StageError
from flight_delays.pipeline.smoke import smoke_test
from flight_delays.pipeline.stage import Done, Record, Stage

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
        from flight_delays.pipeline.registry import CHALLENGER, CHAMPION, Registry

        packaged = self.place.needed("package")
        version = packaged.facts["version"]
        bundle = load_bundle(self.place.folder("train") / version, packaged.facts["bundle_sha256"])
        archive = self.place.folder("package") / f"{version}.zip"
        registry = Registry(self.place)
        registered = registry.find(version)
        with Service(self.place.surroundings, self.place.config.deploy.timeout_s) as service:
            before = self._switch(service, bundle, archive, packaged.facts["against"])
            faults = self._smoke(service, bundle)
            if faults:
                if registered is not None:
                    registry.tag(registered, "deploy", "rolled back")
                self._roll_back(service, registry, bundle, before, faults)
            errors = service.server_errors()
        registry.point(CHAMPION, registered)
        registry.unpoint(CHALLENGER, registered)
        registry.tag(registered, "deploy", "in service")
        facts = {"version": version, "previous": before, "server_errors": errors}
        about = self.write_json(DEPLOY_FILE, {**facts, "rolled_back": False, "reasons": []})
        instead = f" in place of {before}" if before else ""
        return Done(f"{version} is in service{instead}", [about], facts)

    def _switch(
        self, service: Service, bundle: Bundle, archive: Path, against: str | None
    ) -> str | None:
        """Make the bundle the champion; return the version to go back to."""
        champion = service.champion()
        found = champion.version if champion else None
        if found == bundle.version:  # a killed run came this far
            return _before(champion, bundle.version, against)
        if found != against:
            raise SaysNo(
                f"the champion is {found}, and the gate compared with {against}; "
                f"somebody has switched meanwhile, so run `validate` again"
            )
        if not service.put_model(bundle.version, archive.read_bytes()):
            self._check_same_model(service, bundle)
        service.put_champion(bundle.version, champion)
        return found

    def _check_same_model(self, service: Service, bundle: Bundle) -> None:
        """The service holds the version with other bytes; it may only differ in its story."""
        there = service.description(bundle.version)
        if there is None or there["bundle"]["model"]["sha256"] != bundle.info.model.sha256:
            raise SaysNo(f"the service holds {bundle.version} with another model; delete it there")
        print("note: the service holds this version already, written at another time", flush=True)

    def _smoke(self, service: Service, bundle: Bundle) -> list[str]:
        limits = self.place.config.deploy
        return smoke_test(service, bundle, limits.smoke_max_ms, limits.timeout_s)

    def _roll_back(self, service, registry, bundle: Bundle, before: str | None, faults) -> None:
        """Put the old champion back and smoke-test it.

        Raises:
            SaysNo: in any case that ends well: the new version failed.
            OutsideFailed: the old champion cannot be put back, or fails as well.
        """
        version = bundle.version
        reasons = [f"smoke test of {version}: {fault}" for fault in faults]
        about = {"version": version, "previous": before, "rolled_back": False}
        if before is None:
            self.write_json(DEPLOY_FILE, {**about, "reasons": reasons})
            raise SaysNo(*reasons, f"there is no earlier champion; {version} stays in service")
        try:
            champion = service.champion()
            if champion is not None and champion.version == version:
                service.put_champion(before, champion)
            registered = registry.find(before)
            if registered is not None:
                old = registry.bundle_of(registered)
                reasons += [
                    f"smoke test of {before}: {fault}" for fault in self._smoke(service, old)
                ]
        except StageError as error:
            self.write_json(DEPLOY_FILE, {**about, "reasons": reasons + error.reasons})
            raise OutsideFailed(
                *reasons, *error.reasons, f"{before} could not be put back; look at the service"
            ) from None
        about["rolled_back"] = True
        self.write_json(DEPLOY_FILE, {**about, "reasons": reasons})
        raise SaysNo(*reasons, f"rolled back: {before} is in service again")


def _before(champion: ServedChampion, version: str, against: str | None) -> str | None:
    """Say what to go back to when a version is found in service already."""
    return against if against not in (None, version) else champion.previous
