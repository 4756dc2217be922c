"""Each wrong setting is named, all of them at once, and the key is told to nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from flight_delays.settings import Settings, SettingsError

KEY = "0123456789abcdef"


def test_without_variables_the_defaults_hold():
    settings = Settings.from_environment({"PATH": "/bin", "OTHER_PORT": "x"})
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8000, 1)
    assert settings.key is None
    assert settings.prediction_log and settings.request_log


def test_variables_are_read():
    settings = Settings.from_environment(
        {
            "FLIGHT_DELAYS_STATE": "some/where",
            "FLIGHT_DELAYS_PORT": "0",
            "FLIGHT_DELAYS_WORKERS": "3",
            "FLIGHT_DELAYS_KEY": KEY,
            "FLIGHT_DELAYS_REQUEST_LOG": "false",
            "FLIGHT_DELAYS_LOG_LEVEL": "DEBUG",
        }
    )
    assert settings.state == Path("some/where")
    assert (settings.port, settings.workers, settings.log_level) == (0, 3, "debug")
    assert settings.key.get_secret_value() == KEY
    assert not settings.request_log


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("HOST", "", "at least 1 character"),
        ("PORT", "http", "valid integer"),
        ("PORT", "65536", "less than or equal to 65535"),
        ("WORKERS", "0", "greater than or equal to 1"),
        ("WORKERS", "2.5", "valid integer"),
        ("KEY", "short", "expected 16 or more printable ASCII characters"),
        ("KEY", "with a blank in it", "expected 16 or more printable ASCII characters"),
        ("KEY", "ключ-ключ-ключ-ключ", "expected 16 or more printable ASCII characters"),
        ("MAX_BODY_BYTES", "10", "greater than or equal to 1024"),
        ("PREDICTION_LOG", "perhaps", "valid boolean"),
        ("REQUEST_LOG", "2", "valid boolean"),
        ("LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
        ("KEY_FILE", "no/such/file", "No such file"),
        ("PROT", "80", "no such setting; did you mean FLIGHT_DELAYS_PORT?"),
        ("XYZZY", "1", "no such setting; the settings are FLIGHT_DELAYS_STATE"),
    ],
)
def test_a_wrong_variable_is_named(name, value, message):
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({f"FLIGHT_DELAYS_{name}": value})
    text = str(raised.value)
    assert text.startswith(f"FLIGHT_DELAYS_{name}: ")
    assert message in text
    assert "\n" not in text


def test_all_wrong_variables_are_named_at_once():
    wrong = {"FLIGHT_DELAYS_PORT": "x", "FLIGHT_DELAYS_WORKERS": "y", "FLIGHT_DELAYS_WOKRERS": "2"}
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment(wrong)
    names = {line.split(":")[0] for line in str(raised.value).splitlines()}
    assert names == set(wrong)


def test_a_wrong_key_is_not_told():
    with pytest.raises(SettingsError) as raised:
        Settings.from_environment({"FLIGHT_DELAYS_KEY": "secret word"})
    assert "secret word" not in str(raised.value)
    assert KEY not in repr(Settings(key=SecretStr(KEY)))


def test_the_key_can_come_from_a_file(tmp_path):
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    settings = Settings.from_environment({"FLIGHT_DELAYS_KEY_FILE": str(file)})
    assert settings.key.get_secret_value() == KEY
    file.write_text("short\n")
    with pytest.raises(SettingsError, match=r"^FLIGHT_DELAYS_KEY_FILE: expected 16 or more"):
        Settings.from_environment({"FLIGHT_DELAYS_KEY_FILE": str(file)})


def test_one_key_is_enough(tmp_path):
    variables = {"FLIGHT_DELAYS_KEY_FILE": str(tmp_path / "key"), "FLIGHT_DELAYS_KEY": KEY}
    with pytest.raises(SettingsError, match="expected either this or FLIGHT_DELAYS_KEY"):
        Settings.from_environment(variables)


def test_options_win_and_are_named_as_options():
    settings = Settings.from_environment({"FLIGHT_DELAYS_PORT": "80"}, port=81, host=None)
    assert (settings.port, settings.host) == (81, "127.0.0.1")
    with pytest.raises(SettingsError, match=r"^--workers: .* found '0'$"):
        Settings.from_environment({}, workers=0)
