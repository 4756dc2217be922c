"""What the service can be told from outside: environment variables FLIGHT_DELAYS_..."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

PREFIX = "FLIGHT_DELAYS_"
KEY_LENGTH = 16


class SettingsError(ValueError):
    """One or more settings are wrong; the message has a line for each, with its name."""


class Settings(BaseModel):
    """Settings of the service; each is the variable FLIGHT_DELAYS_ and its name in capitals."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    state: Path = Field(
        Path("state"), description="folder of the versions, the champion and the prediction log"
    )
    host: Annotated[str, Field(min_length=1)] = Field(
        "127.0.0.1", description="address to listen on; 0.0.0.0 for all"
    )
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        8000, description="port to listen on; 0 for any that is free"
    )
    workers: Annotated[int, Field(ge=1, le=64)] = Field(
        1, description="processes that answer requests"
    )
    key: SecretStr | None = Field(
        None, description=f"key for writes, {KEY_LENGTH} characters or more; none: no writes"
    )
    key_file: Path | None = Field(
        None, description="file with the key, instead of `key`; a container's secret"
    )
    max_body_bytes: Annotated[int, Field(ge=1024, le=1024**3)] = Field(
        4 * 1024**2, description="largest body with predictions, in bytes"
    )
    prediction_log: bool = Field(True, description="log predictions to STATE/predictions.sqlite")
    request_log: bool = Field(True, description="log a line of JSON a request on stderr")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="how much else is logged on stderr"
    )

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: Any) -> Any:
        return value.lower() if isinstance(value, str) else value

    @field_validator("key")
    @classmethod
    def _key_is_strong(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None:
            check_key(key.get_secret_value())
        return key

    @classmethod
    def from_environment(cls, environment: Mapping[str, str], **options: Any) -> Self:
        """Read the settings.

        Args:
            environment: such as os.environ; names without the prefix are not looked at.
            options: settings from the command line, which win; None where none was given.

        Raises:
            SettingsError: with all that is wrong, not only the first.
        """
        given = {
            name.removeprefix(PREFIX).lower(): (name, value)
            for name, value in environment.items()
            if name.startswith(PREFIX)
        }
        given |= {
            name: (f"--{name.replace('_', '-')}", value)
            for name, value in options.items()
            if value is not None
        }
        try:
            settings = cls.model_validate({name: value for name, (_, value) in given.items()})
        except ValidationError as error:
            raise SettingsError("\n".join(_explain(error, given))) from None
        return settings._with_key_file()

    def _with_key_file(self) -> Self:
        if self.key_file is None:
            return self
        name = f"{PREFIX}KEY_FILE"
        if self.key is not None:
            raise SettingsError(f"{name}: expected either this or {PREFIX}KEY, found both")
        try:
            key = self.key_file.read_text(encoding="utf-8").strip()
            check_key(key)
        except (OSError, ValueError) as error:
            raise SettingsError(f"{name}: {error}") from None
        return self.model_copy(update={"key": SecretStr(key)})


def check_key(key: str) -> None:
    """Refuse a key that is short, or that cannot stand in a header.

    Raises:
        ValueError: the message does not tell the key.
    """
    if len(key) < KEY_LENGTH or not all("!" <= character <= "~" for character in key):
        raise ValueError(
            f"expected {KEY_LENGTH} or more printable ASCII characters without blanks, "
            f"found {len(key)} characters"
        )


def _explain(error: ValidationError, given: Mapping[str, tuple[str, Any]]) -> list[str]:
    lines = []
    for fault in error.errors(include_url=False):
        field = str(fault["loc"][0])
        name, value = given[field]
        if fault["type"] == "extra_forbidden":
            near = get_close_matches(field, Settings.model_fields, n=1)
            hint = f"did you mean {PREFIX}{near[0].upper()}?" if near else _all_names()
            lines.append(f"{name}: no such setting; {hint}")
        elif field == "key":
            lines.append(f"{name}: {fault['msg'].removeprefix('Value error, ')}")
        else:
            lines.append(f"{name}: {fault['msg']}, found {str(value)[:80]!r}")
    return lines


def _all_names() -> str:
    names = ", ".join(f"{PREFIX}{name.upper()}" for name in Settings.model_fields)
    return f"the settings are {names}"
