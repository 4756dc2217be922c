"""pipeline.toml and the environment: every fault is told, at once and by name."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from flight_delays import export, provenance, training
from flight_delays.pipeline import inputs
from flight_delays.pipeline.command import NAMES, run_command
from flight_delays.pipeline.config import Surroundings, read_config
from flight_delays.pipeline.outcome import Misconfigured

PROJECT = Path(__file__).parents[2]


def faults_of(folder: Path, text: str) -> list[str]:
    (folder / "pipeline.toml").write_text(text)
    with pytest.raises(Misconfigured) as caught:
        read_config(folder)
    return caught.value.reasons


def test_the_projects_own_configuration_is_sound():
    config = read_config(PROJECT)
    assert config.window_first == date(2013, 7, 2)
    assert config.through == date(2013, 7, 1)


def test_defaults_are_those_of_training_and_export(tmp_path):
    (tmp_path / "pipeline.toml").write_text("as_of = 2013-07-31")
    model = read_config(tmp_path).model
    assert model.max_iter == training.MAX_ITER
    assert model.max_leaf_nodes == training.MAX_LEAF_NODES
    assert model.threshold == export.THRESHOLD


def test_all_faults_of_the_file_at_once(tmp_path):
    found = faults_of(
        tmp_path,
        """
        [data]
        window_dais = 30
        [model]
        max_iter = "many"
        threshold = 1.5
        [gate.behaviour]
        roundin = 1
        [paint]
        """,
    )
    assert found == [
        "pipeline.toml: as_of: is missing",
        "pipeline.toml: data.window_dais: no such setting; did you mean window_days?",
        "pipeline.toml: model.max_iter: Input should be a valid integer, found 'many'",
        "pipeline.toml: model.threshold: Input should be less than 1, found 1.5",
        "pipeline.toml: gate.behaviour.roundin: no such setting; did you mean rounding?",
        "pipeline.toml: paint: no such setting; known are as_of, data, model, test, gate, deploy, "
        "monitor",
    ]


def test_no_model_may_train_on_the_gates_window(tmp_path):
    found = faults_of(
        tmp_path, "as_of = 2013-07-31\n[data]\nthrough = 2013-07-15\nfirst = 2013-07-20"
    )
    assert found == [
        "pipeline.toml: data.through: expected a day before 2013-07-02, the first of the 30 days "
        "kept for the gate, found 2013-07-15",
        "pipeline.toml: data.first: expected a day up to 2013-07-15, found 2013-07-20",
    ]


def test_a_file_that_is_no_toml_or_is_not_there(tmp_path):
    (fault,) = faults_of(tmp_path, "as_of = soon")
    assert fault.startswith("pipeline.toml: Invalid")
    (tmp_path / "pipeline.toml").unlink()
    with pytest.raises(Misconfigured, match=r"not found in .*--project"):
        read_config(tmp_path)


def test_faults_of_file_and_environment_come_together(tmp_path, capsys):
    (tmp_path / "pipeline.toml").write_text("")
    environment = {"PIPELINE_SERVICE_URL": "localhost:80", "PIPELINE_SERVICE_KAY": "secret-key"}
    assert run_command("train", tmp_path, environment=environment) == 2
    found = capsys.readouterr().err.splitlines()
    assert found == [
        "- pipeline.toml: as_of: is missing",
        "- PIPELINE_SERVICE_KAY: no such variable; known are PIPELINE_SERVICE_URL, "
        "PIPELINE_SERVICE_KEY, PIPELINE_SERVICE_KEY_FILE",
        "- PIPELINE_SERVICE_URL: expected http://... or https://..., found 'localhost:80'",
        "train: wrong configuration, 3 reasons above",
    ]


def test_the_key_from_a_file_and_never_printed(tmp_path):
    file = tmp_path / "key"
    file.write_text("a-key-in-a-file\n")
    found = Surroundings.from_environment({"PIPELINE_SERVICE_KEY_FILE": str(file)})
    assert found.service_key.get_secret_value() == "a-key-in-a-file"
    assert "a-key-in-a-file" not in repr(found)
    with pytest.raises(Misconfigured, match="found both"):
        Surroundings.from_environment(
            {"PIPELINE_SERVICE_KEY_FILE": str(file), "PIPELINE_SERVICE_KEY": "another"}
        )
    with pytest.raises(Misconfigured, match=r"PIPELINE_SERVICE_KEY_FILE: .*No such file"):
        Surroundings.from_environment({"PIPELINE_SERVICE_KEY_FILE": str(tmp_path / "none")})
    with pytest.raises(Misconfigured, match="without blanks") as caught:
        Surroundings.from_environment({"PIPELINE_SERVICE_KEY": "two words"})
    assert "two words" not in str(caught.value)


def test_empty_variables_count_as_not_set():
    names = ("PIPELINE_SERVICE_URL", "PIPELINE_SERVICE_KEY", "MLFLOW_TRACKING_URI")
    assert Surroundings.from_environment(dict.fromkeys(names, "")) == Surroundings()


def test_variables_of_ci_systems_are_left_alone():
    """Azure Pipelines sets PIPELINE_WORKSPACE."""
    assert Surroundings.from_environment({"PIPELINE_WORKSPACE": "/agent"}) == Surroundings()


def test_code_that_is_not_the_projects_is_refused(tmp_path, capsys):
    (tmp_path / "pipeline.toml").write_text("as_of = 2013-07-31")
    copy = tmp_path / "src" / "flight_delays"
    for path in inputs.PACKAGE.rglob("*.py"):
        target = copy / path.relative_to(inputs.PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    assert run_command("validate", tmp_path, environment={}) == 3  # the same code elsewhere
    (copy / "features.py").write_text("FEATURES = ()\n")
    assert run_command("validate", tmp_path, environment={}) == 2
    assert "differs from the project's" in capsys.readouterr().err


def test_inputs_name_the_files_and_libraries_that_bundles_name():
    assert set(inputs.DATA_FILES) == set(provenance.data_digests())
    assert {*provenance.LIBRARIES} <= {*inputs.TRAINING_LIBRARIES}


@pytest.mark.parametrize(
    ("stage", "inside", "outside"),
    [
        ("train", {"features", "training", "evaluation", "export"}, {"server", "store", "app"}),
        ("validate", {"bundle", "features", "flights"}, {"server", "export", "training"}),
        ("deploy", {"bundle", "archive"}, {"training", "export", "server"}),
    ],
)
def test_the_code_of_a_stage_is_what_it_imports(stage, inside, outside, tmp_path, monkeypatch):
    """A change in it changes the digest; a change elsewhere does not."""
    copy = tmp_path / "flight_delays"
    for path in inputs.PACKAGE.rglob("*.py"):
        target = copy / path.relative_to(inputs.PACKAGE)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    monkeypatch.setattr(inputs, "PACKAGE", copy)
    digest = inputs.code_digest.__wrapped__
    module = f"flight_delays.pipeline.stages.{stage}"
    before = digest(module)
    for name in inside | outside:
        path = copy / f"{name}.py"
        content = path.read_text()
        path.write_text(content + "\n# changed\n")
        assert (digest(module) != before) == (name in inside), name
        path.write_text(content)
    assert digest(module) == before


def test_the_command_line_knows_every_stage():
    assert NAMES == ("test", "train", "validate", "package", "deploy", "monitor", "run")
