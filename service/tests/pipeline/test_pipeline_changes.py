"""Settings from the command line, quarantined days and scenarios: what they change."""

from __future__ import annotations

from datetime import date

import pandas as pd
import pytest

from flight_delays.bundle import load_bundle
from flight_delays.cli import main
from flight_delays.pipeline.config import Config, DataSection, Days, Surroundings, read_config
from flight_delays.pipeline.data_tests import check_data
from flight_delays.pipeline.outcome import Misconfigured
from flight_delays.pipeline.stage import Place
from flight_delays.pipeline.table import flights_between, flights_digest, newest_flights, told

MAY = Days(first=date(2013, 5, 1), last=date(2013, 5, 31))
SCENARIO = """
[[injection]]
name = "a test"
kind = "concept"
first = 2013-06-01
last = 2013-06-30
becomes_late = 0.4
where = { origin = ["LGA"] }
"""


def place(folder, **data: object) -> Place:
    config = Config(as_of=date(2013, 6, 30), data=DataSection(**data))
    return Place(folder, folder / "work", config, Surroundings())


def test_changes_win_over_the_file(tmp_path):
    (tmp_path / "pipeline.toml").write_text("as_of = 2013-07-31\n[data]\nwindow_days = 14\n")
    days = [{"first": date(2013, 8, 1), "last": date(2013, 8, 31)}]
    changes = {"as_of": date(2013, 9, 30), "data.quarantined": days, "model.max_iter": 7}
    config = read_config(tmp_path, changes)
    assert (config.as_of, config.model.max_iter) == (date(2013, 9, 30), 7)
    assert (config.data.window_days, config.data.quarantined[0].last) == (14, date(2013, 8, 31))
    assert read_config(tmp_path).as_of == date(2013, 7, 31)


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"data.frist": date(2013, 1, 1)}, "data.frist: no such setting; did you mean first?"),
        ({"as_of": "soon"}, "as_of: Input should be a valid date"),
        ({"as_of.day": 3}, "as_of is a setting, and holds no others"),
        (
            {"data.quarantined": [{"frist": date(2013, 8, 1), "last": date(2013, 8, 2)}]},
            "data.quarantined.0.frist: no such setting; did you mean first?",
        ),
        (
            {"data.quarantined": [{"first": date(2013, 8, 3), "last": date(2013, 8, 2)}]},
            "data.quarantined: expected a first day up to 2013-08-02, found 2013-08-03",
        ),
    ],
)
def test_faults_of_changes(changes, fault, tmp_path):
    (tmp_path / "pipeline.toml").write_text("as_of = 2013-07-31\n")
    with pytest.raises(Misconfigured) as caught:
        read_config(tmp_path, changes)
    assert fault in str(caught.value)


def test_the_command_line_sets(fresh, capsys, monkeypatch):
    monkeypatch.delenv("PIPELINE_SERVICE_URL", raising=False)
    options = ["--project", str(fresh.project), "--work", str(fresh.work)]
    assert main(["pipeline", "validate", *options, "--set", "as_of=2013-08-01"]) == 3
    assert "changed since: [data], as_of" in capsys.readouterr().err
    with pytest.raises(SystemExit) as left:
        main(["pipeline", "validate", *options, "--set", "as_of=tomorrow"])
    assert left.value.code == 2
    assert "expected SETTING=VALUE" in capsys.readouterr().err


def test_the_window_skips_quarantined_days(tmp_path):
    plain, without = place(tmp_path).config, place(tmp_path, quarantined=[MAY]).config
    assert plain.window_first == date(2013, 6, 1)
    assert without.window_first == date(2013, 6, 1)
    wide = place(tmp_path, quarantined=[MAY], window_days=40).config
    assert wide.window_first == date(2013, 4, 21)
    assert wide.through == date(2013, 4, 20)
    window = newest_flights(place(tmp_path, quarantined=[MAY], window_days=40))
    assert window["departure"].dt.floor("D").nunique() == 40
    assert not (window["departure"].dt.month == 5).any()


def test_data_tests_know_that_the_days_are_left_out(tmp_path):
    where = place(tmp_path, quarantined=[MAY])
    config, table = where.config, flights_between(where, None, where.config.as_of)
    assert [f.check for f in check_data(table, as_of=config.as_of).failed] == [
        "days without flights"
    ]
    known = check_data(table, as_of=config.as_of, quarantined=config.data.is_quarantined)
    assert known.passed
    april = table[table["departure"] < "2013-05-01"]  # 61 days old, 31 of them quarantined
    options = {"as_of": config.as_of, "quarantined": config.data.is_quarantined}
    assert check_data(april, **options).passed
    assert [f.check for f in check_data(april, as_of=config.as_of).failed] == ["last day"]


def test_a_scenario_changes_the_table_and_its_digest(tmp_path, flights):
    (tmp_path / "scenario.toml").write_text(SCENARIO)
    plain, injected = place(tmp_path), place(tmp_path, scenario="scenario.toml")
    june = flights_between(injected, date(2013, 6, 1), date(2013, 6, 30))
    as_flown = flights.loc[june.index]
    assert june["late"].mean() > as_flown["late"].mean() + 0.05
    before = flights_between(injected, None, date(2013, 5, 31))
    pd.testing.assert_frame_equal(before, flights.loc[before.index])
    assert told(plain) == []
    assert told(injected)[0].startswith("injected concept, a test: ")

    digests = {flights_digest(plain), flights_digest(injected)}
    digests.add(flights_digest(place(tmp_path, quarantined=[MAY])))
    (tmp_path / "scenario.toml").write_text(SCENARIO.replace("0.4", "0.5"))
    assert len({*digests, flights_digest(injected)}) == 4


def test_a_scenario_that_is_wrong(tmp_path):
    missing = place(tmp_path, scenario="none.toml")
    with pytest.raises(Misconfigured, match=r"data\.scenario: none\.toml not found in"):
        flights_digest(missing)
    (tmp_path / "wrong.toml").write_text(SCENARIO.replace("0.4", "4.0"))
    with pytest.raises(Misconfigured, match=r"wrong\.toml: injection\.0\.concept\.becomes_late"):
        flights_between(place(tmp_path, scenario="wrong.toml"), None, date(2013, 6, 30))


def test_a_model_of_injected_flights_says_so(fresh):
    (fresh.project / "scenario.toml").write_text(SCENARIO)
    changes = {"data.scenario": "scenario.toml"}
    done = fresh.run("train", changes=changes)
    assert done.code == 0, done.err
    assert "injected concept, a test: " in done.out
    bundle = load_bundle(fresh.work / "train" / fresh.version)
    assert "injected concept, a test: " in bundle.info.data.source
    assert fresh.run("train", changes=changes).out.startswith("train: up to date")
    assert "again, since these differ: [data]" in fresh.run("train").out
