"""Deploying: the switch, the smoke test, the way back, and what others do meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from starlette.responses import JSONResponse

from flight_delays.bundle import load_bundle, write_bundle
from flight_delays.metadata import MODEL_FILE
from flight_delays.pipeline.config import Config, Surroundings
from flight_delays.pipeline.registry import CHALLENGER, CHAMPION, Registry
from flight_delays.pipeline.stage import Place


class Between:
    """What stands between the socket and the service, and may change answers to predictions."""

    def __init__(self, app: Any, answer: Callable[[dict], Any] | None = None) -> None:
        self.app, self.answer = app, answer
        self.before: Callable[[str, str], Any] = lambda method, path: None

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        instead = self.before(scope["method"], scope["path"])
        if instead is not None:
            await instead(scope, receive, send)
        elif scope["path"] == "/v1/predictions" and self.answer is not None:
            body = b""

            async def keep(message: dict) -> None:
                nonlocal body
                body += message.get("body", b"")

            await self.app(scope, receive, keep)
            await self.answer(json.loads(body))(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def broken(version: str, change: Callable[[dict], Any]) -> Callable[[Any], Between]:
    """Change what one version answers."""

    def answer(content: dict) -> Any:
        return change(content) if content["version"] == version else JSONResponse(content)

    return lambda app: Between(app, answer)


def shifted(content: dict) -> JSONResponse:
    content["probabilities"] = [min(p + 0.01, 1) for p in content["probabilities"]]
    return JSONResponse(content)


def report_of(world) -> dict:
    return json.loads((world.work / "deploy" / "deploy.json").read_text())


def registry_of(world) -> Registry:
    return Registry(
        Place(world.project, world.work, Config(as_of=date(2013, 7, 31)), Surroundings())
    )


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (shifted, "golden row 0: expected 0."),
        (lambda content: JSONResponse({"detail": "boom"}, 500), "500, boom"),
        (lambda content: JSONResponse({"version": content["version"]}), "cannot be read: KeyError"),
        (
            lambda content: JSONResponse(content | {"probabilities": content["probabilities"][1:]}),
            "expected 16 golden rows, found 15",
        ),
        (
            lambda content: JSONResponse(content | {"probabilities": [None] * 16}),
            "cannot be read: TypeError",
        ),
    ],
    ids=["other probabilities", "500", "no probabilities", "a row less", "nulls"],
)
def test_a_version_that_fails_the_smoke_test_is_rolled_back(challenged, change, reason):
    old, new = challenged.champion(), challenged.version
    with challenged.serving(broken(new, change)):
        done = challenged.run("deploy")
    assert done.code == 1
    assert f"- smoke test of {new}: " in done.err
    assert reason in done.err
    assert f"- rolled back: {old} is in service again" in done.err
    champion = challenged.store.champion()
    assert (champion.version, champion.previous, champion.revision) == (old, new, 3)
    report = report_of(challenged)
    assert (report["rolled_back"], report["version"], report["previous"]) == (True, new, old)
    registry = registry_of(challenged)
    assert registry.alias(CHAMPION).version == old
    assert registry.alias(CHALLENGER).version == new
    tags = registry._client.get_model_version("flight-delays", registry.find(new).number).tags
    assert tags["deploy"] == "smoke test failed"
    assert challenged.run("monitor").code == 3


def test_after_a_rollback_a_sound_service_takes_it(challenged):
    new = challenged.version
    with challenged.serving(broken(new, shifted)):
        assert challenged.run("deploy").code == 1
    with challenged.serving():
        assert challenged.run("deploy").code == 0
    assert challenged.champion() == new


def test_a_slow_answer_fails_and_the_old_one_is_held_to_the_same(challenged):
    """No service answers in a nanosecond: the new version fails, and so does the old one."""
    old, new = challenged.champion(), challenged.version
    challenged.configure("[monitor]", "[deploy]\nsmoke_max_ms = 0.000001\n[monitor]")
    with challenged.serving():
        done = challenged.run("deploy")
    assert done.code == 4
    assert f"smoke test of {new}: an answer took" in done.err
    assert f"smoke test of {old} after rolling back: an answer took" in done.err
    assert challenged.champion() == old
    assert report_of(challenged)["rolled_back"] is False


def test_the_first_version_has_nothing_to_go_back_to(fresh):
    with fresh.serving(broken(fresh.version, shifted)):
        done = fresh.run("deploy")
    assert done.code == 1
    assert "this deployment replaced no version" in done.err
    assert fresh.champion() == fresh.version


def test_a_champion_that_was_there_before_is_not_taken_back(fresh):
    """It was judged as champion already, so this deployment has not switched anything."""
    with fresh.serving():
        fresh.must("deploy")
    (fresh.work / "validate" / "stage.json").unlink()
    with fresh.serving(broken(fresh.version, shifted)):
        fresh.must("validate", "package")
        assert fresh.run("deploy").code == 1
    assert fresh.store.champion().revision == 1


def test_a_service_that_breaks_down_after_the_switch_is_no_plain_no(challenged):
    """It cannot be asked to go back: that is another exit code, and a person has to look."""

    def wrap(app: Any) -> Between:
        between = Between(app)
        down = []

        def before(method: str, path: str) -> Any:
            if down:
                return JSONResponse({"detail": "out of order"}, 500)
            if (method, path) == ("PUT", "/v1/champion"):
                down.append(path)
            return None

        between.before = before
        return between

    with challenged.serving(wrap):
        done = challenged.run("deploy")
    assert done.code == 4
    assert "500, out of order" in done.err
    assert challenged.champion() == challenged.version
    with challenged.serving():  # it works again: the run goes on where it was
        assert challenged.run("deploy").code == 0
    assert challenged.store.champion().revision == 2


def test_another_champion_than_the_gate_compared_with_is_left_alone(challenged, two_bundles):
    other = two_bundles[0]
    challenged.store.add_folder(other)
    challenged.store.set_champion(other.name, if_match=None)
    with challenged.serving():
        done = challenged.run("deploy")
    assert done.code == 1
    assert f"the champion is {other.name}, and the gate compared with" in done.err
    assert challenged.champion() == other.name
    assert challenged.version not in challenged.store.versions()


@pytest.mark.parametrize("moment", [("PUT", "/v1/champion"), ("POST", "/v1/predictions")])
def test_a_switch_by_somebody_else_in_the_middle_wins(challenged, two_bundles, moment):
    """Just before our own switch, or after it during the smoke test."""
    challenged.configure("[monitor]", "[deploy]\ntimeout_s = 0.5\n[monitor]")
    other = two_bundles[0]
    challenged.store.add_folder(other)

    def wrap(app: Any) -> Between:
        between = Between(app)

        def before(method: str, path: str) -> None:
            if (method, path) == moment:
                challenged.store.set_champion(other.name, if_match=None)

        between.before = before
        return between

    with challenged.serving(wrap):
        done = challenged.run("deploy")
    assert done.code == 1, done.err
    assert challenged.champion() == other.name
    expected = "412" if moment[0] == "PUT" else f"{other.name} has become champion meanwhile"
    assert expected in done.err


def test_a_wrong_key_is_a_wrong_configuration(challenged):
    old = challenged.champion()
    with challenged.serving():
        challenged.key = "another-key-than-its-own"
        done = challenged.run("deploy")
    assert done.code == 2
    assert "401" in done.err
    assert "PIPELINE_SERVICE_KEY holds another key" in done.err
    assert challenged.key not in done.err
    assert challenged.champion() == old


def test_no_key_is_a_wrong_configuration(challenged):
    with challenged.serving():
        challenged.key = ""
        done = challenged.run("deploy")
    assert done.code == 2
    assert "PIPELINE_SERVICE_KEY: is not set" in done.err


def test_a_service_that_takes_no_writes_has_failed_us(challenged):
    with challenged.serving(key=None):
        done = challenged.run("deploy")
    assert done.code == 4
    assert "403, Writes are switched off" in done.err


@pytest.mark.parametrize("stage", ["validate", "deploy", "monitor"])
def test_a_service_that_is_gone(challenged, stage):
    with challenged.serving():
        gone = challenged.url
        challenged.must("deploy")
    challenged.url = gone
    done = challenged.run(stage)
    assert done.code == 4
    assert "is the service running?" in done.err
    assert done.last == f"{stage}: something outside failed, 1 reason above"


def test_no_service_at_all_is_told_before_the_first_stage(challenged):
    done = challenged.run("run")
    assert done.code == 2
    assert "PIPELINE_SERVICE_URL: is not set" in done.err
    assert done.out == ""


def test_a_busy_service_is_asked_again(challenged):
    def wrap(app: Any) -> Between:
        between, busy = Between(app), [1, 2]

        def before(method: str, path: str) -> Any:
            if method == "PUT" and busy:
                busy.pop()
                return JSONResponse({"detail": "busy"}, 503, {"Retry-After": "0"})
            return None

        between.before = before
        return between

    with challenged.serving(wrap):
        assert challenged.run("deploy").code == 0


def test_the_same_model_with_another_story_is_taken_for_the_same(challenged):
    """Somebody has sent the version already, written at another time."""
    folder = challenged.work / "train" / challenged.version
    info, model = load_bundle(folder).info, (folder / MODEL_FILE).read_bytes()
    other = write_bundle(challenged.folder, model, info.model_copy(update={"code_revision": "x"}))
    challenged.store.add_folder(other)
    with challenged.serving():
        done = challenged.run("deploy")
    assert done.code == 0, done.err
    assert f"note: the service holds {challenged.version} already" in done.out


def test_a_bundle_that_left_the_registry_is_not_deployed(challenged):
    client = registry_of(challenged)._client
    number = registry_of(challenged).find(challenged.version).number
    client.delete_model_version("flight-delays", number)
    with challenged.serving():
        done = challenged.run("deploy")
    assert done.code == 3
    assert "run `package` with --force first" in done.err
