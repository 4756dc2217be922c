"""The whole pipeline: what it leaves behind, what it does again, and how it says no."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from datetime import date
from pathlib import Path

import httpx
import pytest

import flight_delays
from flight_delays.bundle import load_bundle
from flight_delays.pipeline.config import Config, Surroundings
from flight_delays.pipeline.registry import CHALLENGER, CHAMPION, Registry
from flight_delays.pipeline.stage import Place

STAGES = ("test", "train", "validate", "package", "deploy", "monitor")


def registry_of(world) -> Registry:
    return Registry(
        Place(world.project, world.work, Config(as_of=date(2013, 7, 31)), Surroundings())
    )


def runs_of(registry: Registry) -> list:
    return registry._client.search_runs([registry._experiment])


def test_all_six_stages_then_nothing_to_do(fresh):
    with fresh.serving():
        done = fresh.run("run")
        assert done.code == 0, done.err
        assert fresh.champion() == fresh.version
        assert done.last == f"monitor: {fresh.version} is well, 7 checks"
        again = fresh.run("run")
    lines = again.out.splitlines()
    assert [line.split(",")[0] for line in lines] == [f"{name}: up to date" for name in STAGES]


def test_what_each_stage_leaves_behind(challenged):
    with challenged.serving():
        challenged.must("deploy", "monitor")
    work, version = challenged.work, challenged.version
    bundle = load_bundle(work / "train" / version)
    trained = json.loads((work / "train" / "train.json").read_text())
    assert (trained["version"], trained["sha256"]) == (version, bundle.sha256)
    assert json.loads((work / "train" / "data_tests.json").read_text())["passed"] is True
    verdict = json.loads((work / "validate" / "verdict.json").read_text())
    assert verdict["passed"] is True
    assert verdict["champion"] == challenged.record("deploy").facts["previous"]
    assert verdict["window"] == ["2013-07-18", "2013-07-31"]
    assert version in (work / "validate" / "verdict.md").read_text()
    with zipfile.ZipFile(work / "package" / f"{version}.zip") as archive:
        for name in archive.namelist():
            assert archive.read(name) == (work / "train" / version / name).read_bytes()
    assert json.loads((work / "deploy" / "deploy.json").read_text())["rolled_back"] is False
    assert json.loads((work / "monitor" / "monitor.json").read_text())["passed"] is True
    assert "<testcase" in (work / "test" / "report.xml").read_text()


def test_what_is_deployed_is_what_was_judged_byte_for_byte(challenged):
    with challenged.serving():
        challenged.must("deploy")
    version = challenged.version
    served = challenged.folder / "state" / "models" / version
    for name in ("model.onnx", "bundle.json"):
        assert (served / name).read_bytes() == (
            challenged.work / "train" / version / name
        ).read_bytes()


def test_mlflow_keeps_run_metrics_bundle_and_aliases(challenged):
    registry = registry_of(challenged)
    version, before = challenged.version, challenged.champion()
    assert registry.alias(CHAMPION).version == before
    assert registry.alias(CHALLENGER).version == version
    run = registry._client.get_run(challenged.record("train").facts["run_id"])
    assert run.info.status == "FINISHED"
    assert run.data.params["max_iter"] == "25"
    assert run.data.params["data.last"] == "2013-07-17"
    assert run.data.tags["version"] == version
    assert run.data.tags["gate"] == "passed"
    forward = load_bundle(challenged.work / "train" / version).info.metrics.roc_auc
    assert run.data.metrics["forward.roc_auc"] == pytest.approx(forward)
    verdict = json.loads((challenged.work / "validate" / "verdict.json").read_text())
    assert run.data.metrics["gate.auc"] == pytest.approx(verdict["measures"]["auc"])
    assert registry.bundle_of(registry.find(version)).version == version
    with challenged.serving():
        challenged.must("deploy")
    assert registry.alias(CHAMPION).version == version
    assert registry.alias(CHALLENGER) is None
    assert len(runs_of(registry)) == 2


def test_a_moved_work_folder_keeps_its_artifacts_with_it(fresh, copy_of):
    """The world is a copy already; the folder that MLflow noted down must not be needed."""
    first = registry_of(fresh)
    moved = copy_of(fresh)
    registry = registry_of(moved)
    run = registry._client.get_run(moved.record("train").facts["run_id"])
    assert run.info.artifact_uri.startswith((moved.work / "mlflow" / "artifacts").as_uri())
    assert registry.bundle_of(registry.find(moved.version)).version == moved.version
    assert runs_of(first)[0].info.artifact_uri.startswith(fresh.work.as_uri())


def test_the_registry_may_be_elsewhere(tmp_path):
    """Of a SQLite file that is named, the artifacts lie beside it, wherever one works."""
    file = tmp_path / "shared" / "runs.sqlite"
    elsewhere = Surroundings(tracking_uri=f"sqlite:///{file}")
    config = Config(as_of=date(2013, 7, 31))
    registry = Registry(Place(tmp_path, tmp_path / "work", config, elsewhere))
    report = tmp_path / "report.md"
    report.write_text("found")
    run_id = registry.run("a key", "a name", {})
    registry.attach(run_id, report)
    assert registry.run("a key", "a name", {}) == run_id
    kept = file.parent / "artifacts" / run_id / "artifacts" / "report.md"
    assert kept.read_text() == "found"
    assert not (tmp_path / "work").exists()


def test_a_damaged_registry_is_told_in_one_line(fresh):
    (fresh.work / "mlflow" / "mlflow.sqlite").write_bytes(b"no database at all, and long enough")
    done = fresh.run("package", force=True)
    assert done.code == 4
    assert done.err.splitlines()[0] == "- MLflow: file is not a database"


def test_a_rerun_with_nothing_changed_loads_no_heavy_library(fresh):
    with fresh.serving():
        fresh.must("deploy", "monitor")
        script = (
            "import sys\n"
            "from flight_delays.cli import main\n"
            f"code = main(['pipeline', 'run', '--project', {str(fresh.project)!r}, "
            f"'--work', {str(fresh.work)!r}])\n"
            "heavy = {'mlflow', 'pandas', 'sklearn', 'numpy', 'onnxruntime'} & set(sys.modules)\n"
            "print('heavy:', sorted(heavy)); sys.exit(code)"
        )
        source = str(Path(flight_delays.__file__).parents[1])
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | {"PYTHONPATH": source} | fresh.environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[-1] == "heavy: []"
    assert [line.split(",")[0] for line in lines[:-1]] == [f"{name}: up to date" for name in STAGES]


def test_force_does_the_work_again_and_adds_nothing_to_the_registry(fresh):
    before = fresh.record("train")
    for stage in ("train", "validate", "package"):
        done = fresh.run(stage, force=True)
        assert done.code == 0, done.err
        assert "up to date" not in done.out
    assert fresh.record("train") == before
    registry = registry_of(fresh)
    assert len(runs_of(registry)) == 1
    assert len(registry._client.search_model_versions("name = 'flight-delays'")) == 1


def test_a_change_of_the_threshold_runs_what_depends_on_it_and_says_why(fresh):
    fresh.configure("max_iter = 20", "max_iter = 20\nthreshold = 0.3")
    assert "test: up to date" in fresh.run("test").out
    done = fresh.run("validate")
    assert done.code == 3
    assert done.err.startswith("- what `train` made is stale, changed since: [model]; run `train`")
    assert "train: again, since these differ: [model]" in fresh.run("train").out
    assert fresh.run("package").code == 3
    assert "validate: again, since these differ: bundle" in fresh.run("validate").out


def test_an_output_that_was_edited_is_made_again(fresh):
    (fresh.work / "train" / fresh.version / "model.onnx").write_bytes(b"other")
    assert fresh.run("validate").code == 3
    done = fresh.run("train")
    assert f"again, since these differ: train/{fresh.version}/model.onnx" in done.out
    assert fresh.run("validate").last.startswith("validate: up to date")


@pytest.mark.parametrize("stage", ["validate", "package", "deploy", "monitor"])
def test_a_stage_without_the_one_before_it_says_which_to_run(fresh, stage):
    before = {"validate": "train", "package": "validate", "deploy": "package", "monitor": "deploy"}
    (fresh.work / before[stage] / "stage.json").unlink(missing_ok=True)
    with fresh.serving():
        done = fresh.run(stage)
    assert done.code == 3
    assert f"`{before[stage]}` has not succeeded yet; run `{before[stage]}` first" in done.err
    assert done.last == f"{stage}: not yet, 1 reason above"


def test_red_tests_end_with_1_and_are_named(fresh):
    (fresh.project / "tests" / "test_project.py").write_text("def test_it():\n    assert 1 == 2\n")
    done = fresh.run("test")
    assert done.code == 1
    assert "tests.test_project::test_it: assert 1 == 2" in done.err
    assert done.last == "test: no, 1 reason above"
    assert fresh.run("package").code == 3
    with fresh.serving():
        assert fresh.run("run").code == 1
        assert fresh.champion() is None


def test_no_test_at_all_is_a_wrong_configuration(fresh):
    (fresh.project / "tests" / "test_project.py").write_text("")
    assert fresh.run("test").code == 2


def test_tests_do_not_see_the_key(fresh):
    (fresh.project / "tests" / "test_project.py").write_text(
        "import os\ndef test_it():\n"
        "    assert not [n for n in os.environ if n.startswith('PIPELINE_SERVICE')]\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_SERVICE_KEY", fresh.key)
        assert fresh.run("test").code == 0


def test_data_that_fails_its_tests_trains_nothing(fresh):
    fresh.configure("window_days = 14", "window_days = 14\nmax_age_days = 5")
    done = fresh.run("train")
    assert done.code == 1
    assert "2013-07-17, 14 days before 2013-07-31" in done.err
    assert json.loads((fresh.work / "train" / "data_tests.json").read_text())["passed"] is False
    assert not (fresh.work / "train" / "stage.json").exists()


def test_a_challenger_that_the_gate_refuses_goes_no_further(challenged):
    before = challenged.champion()
    challenged.configure("[gate]", "[gate]\nauc_minimum = 0.99")
    with challenged.serving():
        done = challenged.run("run")
        assert done.code == 1
        assert "ROC AUC" in done.err
        assert done.last.startswith("validate: no, ")
        assert json.loads((challenged.work / "validate" / "verdict.json").read_text())["reasons"]
        for stage in ("package", "deploy"):
            assert challenged.run(stage).code == 3
        assert challenged.champion() == before
    run = registry_of(challenged)._client.get_run(challenged.record("train").facts["run_id"])
    assert run.data.tags["gate"] == "refused"


def test_the_registry_names_the_champion_where_no_service_does(challenged):
    before = challenged.champion()
    assert challenged.run("validate", force=True).code == 0
    verdict = json.loads((challenged.work / "validate" / "verdict.json").read_text())
    assert (verdict["champion"], verdict["said_by"]) == (before, "the registry")


def test_a_champion_from_outside_is_adopted_once_it_is_shown(fresh, two_bundles):
    other, wrong = two_bundles
    fresh.store.add_folder(other)
    fresh.store.set_champion(other.name, if_match=None)
    with fresh.serving():
        done = fresh.run("validate")
        assert done.code == 4
        assert "name the folder of its bundle once by --champion" in done.err
        done = fresh.run("validate", champion=wrong)
        assert done.code == 2
        assert f"expected {other.name}, which is in service, found {wrong.name}" in done.err
        done = fresh.run("validate", champion=other)
        assert done.code in (0, 1), done.err  # judged, whatever the verdict
    verdict = json.loads((fresh.work / "validate" / "verdict.json").read_text())
    assert verdict["champion"] == other.name
    registry = registry_of(fresh)
    assert registry.alias(CHAMPION).version == other.name
    assert registry.bundle_of(registry.find(other.name)).version == other.name


def test_a_champion_that_is_trained_again_is_not_judged_and_stays(fresh):
    """Also where the work folder was lost, and the bundle is made anew with another time in it."""
    with fresh.serving():
        fresh.must("deploy")
        served = fresh.store.get(fresh.version).sha256
        fresh.work_name = "another"
        done = fresh.run("run")
        assert done.code == 0, done.err
        assert "is the champion already, nothing to judge" in done.out
        assert fresh.record("train").facts["sha256"] != served
        assert fresh.store.get(fresh.version).sha256 == served
        assert fresh.store.champion().revision == 1


def test_two_runs_at_once_take_turns(fresh):
    """Each is a process of its own; one deploys, and the other finds everything done."""
    source = str(Path(flight_delays.__file__).parents[1])
    with fresh.serving():
        command = [sys.executable, "-m", "flight_delays", "pipeline", "deploy"]
        command += ["--project", str(fresh.project), "--work", str(fresh.work)]
        environment = os.environ | {"PYTHONPATH": source} | fresh.environment
        both = [
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for _ in range(2)
        ]
        told = [process.communicate(timeout=300) for process in both]
        assert [process.returncode for process in both] == [0, 0], told
        assert fresh.store.champion().revision == 1
    deployed = [f"deploy: {fresh.version} is in service\n" in out for out, _ in told]
    assert sorted(deployed) == [False, True]


def test_the_command_line_says_its_exit_code(fresh, run_python):
    arguments = ["-m", "flight_delays", "pipeline", "validate", "--project", str(fresh.project)]
    done = run_python(*arguments, "--work", str(fresh.folder / "nothing"))
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == "validate: not yet, 1 reason above"
    assert run_python("-m", "flight_delays", "pipeline", "paint").returncode == 2


def test_a_monitor_alarm_ends_with_1(challenged):
    with challenged.serving():
        challenged.must("deploy")
        assert challenged.run("monitor").code == 0
        challenged.configure("psi_maximum = 5.0", "psi_maximum = 0.0001")
        done = challenged.run("monitor")
        assert done.code == 1
        assert "PSI of the prediction: found" in done.err
        challenged.configure("psi_maximum = 0.0001", "psi_maximum = 5.0")
        champion = httpx.get(f"{challenged.url}/v1/champion")
        back = httpx.put(
            f"{challenged.url}/v1/champion",
            json={"version": champion.json()["previous"]},
            headers={
                "If-Match": champion.headers["ETag"],
                "Authorization": f"Bearer {challenged.key}",
            },
        )
        assert back.status_code == 200
        done = challenged.run("monitor")
        assert done.code == 1
        assert "version in service: found" in done.err
