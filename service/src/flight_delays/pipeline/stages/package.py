"""package: the bundle as a zip, into the registry as challenger."""

from __future__ import annotations

import hashlib

from flight_delays.pipeline.inputs import code_digest
from flight_delays.pipeline.outcome import Stale
from flight_delays.pipeline.stage import Done, Record, Stage

PACKAGE_FILE = "package.json"


class PackageStage(Stage):
    """Outputs VERSION.zip and package.json; needs a passed verdict on exactly this bundle."""

    name = "package"
    needs = ("test", "train", "validate")

    def inputs(self) -> dict[str, str]:
        trained, judged = self._needed()
        return {
            "bundle": trained.facts["sha256"],
            "run": trained.facts["run_id"],
            "against": str(judged.facts["champion"]),
            "code": code_digest(__name__),
        }

    def work(self) -> Done:
        from flight_delays.pipeline.registry import CHALLENGER, CHAMPION, Registry
        from flight_delays.pipeline.zipped import pack

        trained, judged = self._needed()
        version = trained.facts["version"]
        content = pack(self.place.folder("train") / version)
        archive = self.write(f"{version}.zip", content)
        registry = Registry(self.place)
        registered = registry.register(
            version, trained.facts["sha256"], archive, trained.facts["run_id"]
        )
        champion = registry.alias(CHAMPION)
        if champion is None or champion.number != registered.number:
            registry.point(CHALLENGER, registered)
        facts = {
            "version": version,
            "bundle_sha256": trained.facts["sha256"],
            "sha256": hashlib.sha256(content).hexdigest(),
            "bytes": len(content),
            "registry_version": registered.number,
            "run_id": registered.run_id,
            "against": judged.facts["champion"],
        }
        outputs = [archive, self.write_json(PACKAGE_FILE, facts)]
        print(f"SHA-256    {facts['sha256']}  {archive.name}, {len(content):,} bytes")
        return Done(f"{version}, number {registered.number} in the registry", outputs, facts)

    def _needed(self) -> tuple[Record, Record]:
        self.place.needed("test")
        trained, judged = self.place.needed("train"), self.place.needed("validate")
        if judged.facts["sha256"] != trained.facts["sha256"]:
            raise Stale(
                f"the verdict is on {judged.facts['version']}, another bundle than "
                f"{trained.facts['version']}; run `validate` first"
            )
        return trained, judged
