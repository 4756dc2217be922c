"""validate: the gate, challenger against champion on the newest flights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flight_delays.pipeline.client import Service
from flight_delays.pipeline.inputs import code_digest, training_libraries
from flight_delays.pipeline.outcome import Misconfigured, OutsideFailed, SaysNo
from flight_delays.pipeline.stage import VERDICT_FILE, Done, Record, Stage
from flight_delays.pipeline.table import flights_digest, newest_flights, told

if TYPE_CHECKING:
    from flight_delays.bundle import Bundle
    from flight_delays.pipeline.registry import Registered, Registry

VERDICT_PAGE = "verdict.md"


@dataclass(frozen=True)
class Champion:
    """Which version is champion, and who says so."""

    version: str | None
    said_by: str


class ValidateStage(Stage):
    """Outputs verdict.json and verdict.md."""

    name = "validate"
    needs = ("train",)

    def inputs(self) -> dict[str, str]:
        trained = self.place.needed("train")
        return {
            "bundle": trained.facts["sha256"],
            "code": code_digest(__name__),
            "data": flights_digest(self.place),
            "libraries": training_libraries(),
            "as_of": str(self.place.config.as_of),
            "window": str(self.place.config.window_first),
            "[gate]": self.place.section("gate"),
        }

    def still_holds(self, record: Record) -> bool:
        """The champion is the one of the verdict, or the challenger became champion by it."""
        if self.place.surroundings.service_url is None:
            from flight_delays.pipeline.registry import Registry

            version = self._champion(Registry(self.place)).version
        else:
            version = self._champion(None).version
        return version in (record.facts["champion"], record.facts["version"])

    def work(self) -> Done:
        from flight_delays.bundle import load_bundle
        from flight_delays.pipeline.registry import Registry

        trained = self.place.needed("train")
        version, digest = trained.facts["version"], trained.facts["sha256"]
        challenger = load_bundle(self.place.folder("train") / version, digest)
        registry = Registry(self.place)
        champion = self._champion(registry)
        if champion.version == version:
            note = f"{version} is the champion already, nothing to judge"
            return self._done(challenger, champion, {"passed": True, "note": note}, note, note)
        verdict = self._judge(challenger, self._bundle_of(champion, registry))
        print(verdict.to_table(), flush=True)
        registry.log(
            trained.facts["run_id"],
            metrics={f"gate.{name}": value for name, value in verdict.measures.items()},
            tags={"gate": "passed" if verdict.passed else "refused"},
        )
        against = f"against champion {champion.version}" if champion.version else "no champion yet"
        said = f"{version} passed, {against}"
        done = self._done(challenger, champion, verdict.to_json(), verdict.to_markdown(), said)
        registry.attach(trained.facts["run_id"], self.folder / VERDICT_PAGE)
        if not verdict.passed:
            raise SaysNo(*verdict.reasons)
        return done

    def _judge(self, challenger: Bundle, champion: Bundle | None) -> Any:
        from flight_delays.pipeline.gate import judge

        return judge(challenger, champion, newest_flights(self.place), self.place.config.gate)

    def _champion(self, registry: Registry | None) -> Champion:
        """Ask the service; where none is named, the registry."""
        surroundings = self.place.surroundings
        if surroundings.service_url is not None:
            with Service(surroundings) as service:
                found = service.champion()
                return Champion(found.version if found else None, "the service")
        from flight_delays.pipeline import registry as names

        pointed = registry.alias(names.CHAMPION)
        return Champion(pointed.version if pointed else None, "the registry")

    def _bundle_of(self, champion: Champion, registry: Registry) -> Bundle | None:
        if champion.version is None:
            return None
        registered = registry.find(champion.version)
        if registered is None:
            registered = self._adopt(champion, registry)
        return registry.bundle_of(registered)

    def _adopt(self, champion: Champion, registry: Registry) -> Registered:
        """Add a champion that came into service without this pipeline to the registry."""
        from flight_delays.bundle import load_bundle
        from flight_delays.pipeline import registry as names
        from flight_delays.pipeline.zipped import pack

        folder = self.place.champion_folder
        if folder is None:
            raise OutsideFailed(
                f"the champion {champion.version}, named by {champion.said_by}, is not in the "
                f"registry, so no challenger can be compared with it; name the folder of its "
                f"bundle once by --champion"
            )
        try:
            bundle = load_bundle(folder)
        except (OSError, ValueError) as error:
            raise Misconfigured(f"--champion: {error}") from None
        if bundle.version != champion.version:
            raise Misconfigured(
                f"--champion: expected {champion.version}, which is in service, found "
                f"{bundle.version}"
            )
        tags = {"version": bundle.version, "adopted": "true"}
        run_id = registry.run(f"adopted {bundle.sha256}", bundle.version, tags)
        archive = self.write(f"{bundle.version}.zip", pack(folder))
        adopted = registry.register(bundle.version, bundle.sha256, archive, run_id)
        registry.finish(run_id)
        archive.unlink()
        registry.point(names.CHAMPION, adopted)
        return adopted

    def _done(
        self, bundle: Bundle, champion: Champion, verdict: dict[str, Any], page: str, said: str
    ) -> Done:
        facts = {"version": bundle.version, "sha256": bundle.sha256, "champion": champion.version}
        config = self.place.config
        content = {
            **facts,
            "said_by": champion.said_by,
            "window": [config.window_first, config.as_of],
            "injected": told(self.place),
            **verdict,
        }
        outputs = [self.write_json(VERDICT_FILE, content), self.write(VERDICT_PAGE, page + "\n")]
        return Done(said, outputs, facts)
