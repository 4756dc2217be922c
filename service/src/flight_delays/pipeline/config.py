"""What the pipeline is told: pipeline.toml and the environment. All faults are told at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from flight_delays.pipeline.limits import DataLimits, Limits
from flight_delays.pipeline.outcome import Misconfigured

CONFIG_FILE = "pipeline.toml"
SERVICE_PREFIX = "PIPELINE_SERVICE_"
URL, KEY, KEY_FILE = (SERVICE_PREFIX + name for name in ("URL", "KEY", "KEY_FILE"))
TRACKING_URI = "MLFLOW_TRACKING_URI"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Days(_Section):
    """Days from the first to the last, both included."""

    first: date
    last: date

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


class DataSection(DataLimits):
    """Which flights a model is trained on, and which it is judged on; the data tests' limits.

    No model is trained or judged on a quarantined day. Flights before the day `changed` count
    `[model] weight_before` each, see `training.fit`. `scenario` is a file in the project's
    folder, with changes made on purpose to the flights, see `monitoring.scenario`.
    """

    window_days: int = Field(default=30, ge=7, le=120)
    through: date | None = None
    first: date | None = None
    changed: date | None = None
    quarantined: list[Days] = Field(default=[])
    scenario: str | None = None

    def is_quarantined(self, day: date) -> bool:
        return any(day in days for days in self.quarantined)


class ModelSection(_Section):
    """The model's parameters."""

    max_iter: int = Field(default=100, ge=1, le=5_000)
    max_leaf_nodes: int = Field(default=15, ge=2, le=1_000)
    threshold: float = Field(default=0.25, gt=0, lt=1)
    weight_before: float = Field(default=0.05, gt=0, le=1)


class TestSection(_Section):
    """What pytest is given."""

    arguments: Annotated[list[str], Field(min_length=1)] = ["-q"]
    timeout_s: float = Field(default=600, gt=0)


class DeploySection(_Section):
    """The limits of the smoke test."""

    smoke_max_ms: float = Field(default=250, gt=0)
    timeout_s: float = Field(default=10, gt=0, le=300)


class MonitorSection(_Section):
    """What is replayed, and the limits of an alarm."""

    max_rows: int = Field(default=50_000, ge=1_000)
    batch_rows: int = Field(default=5_000, ge=1, le=10_000)
    psi_maximum: float = Field(default=0.5, gt=0)
    calibration_maximum: float = Field(default=0.1, gt=0, lt=1)


class Config(_Section):
    """The content of pipeline.toml."""

    as_of: date
    data: DataSection = DataSection()
    model: ModelSection = ModelSection()
    test: TestSection = TestSection()
    gate: Limits = Limits()
    deploy: DeploySection = DeploySection()
    monitor: MonitorSection = MonitorSection()

    @property
    def window_first(self) -> date:
        """First day of the window that no model is trained on; `as_of` is its last.

        It holds `window_days` days; quarantined ones do not count.
        """
        day, left = self.as_of, self.data.window_days
        while left > 0:
            left -= not self.data.is_quarantined(day)
            day -= timedelta(days=1)
        return day + timedelta(days=1)

    @property
    def through(self) -> date:
        """Last day of the training data."""
        return self.data.through or self.window_first - timedelta(days=1)

    def faults(self) -> list[str]:
        """Say what does not fit together, though each value is sound."""
        found = [
            f"data.quarantined: expected a first day up to {days.last}, found {days.first}"
            for days in self.data.quarantined
            if days.first > days.last
        ]
        if self.through >= self.window_first:
            found.append(
                f"data.through: expected a day before {self.window_first}, the first of the "
                f"{self.data.window_days} days kept for the gate, found {self.through}"
            )
        if self.data.first is not None and self.data.first > self.through:
            found.append(
                f"data.first: expected a day up to {self.through}, found {self.data.first}"
            )
        return found


Changes = Mapping[str, Any]
"""Setting, named by the path to it such as "as_of" or "data.first", to the value it gets."""


def read_config(project: Path, changes: Changes | None = None) -> Config:
    """Read PROJECT/pipeline.toml.

    Args:
        changes: settings that win over those of the file.

    Raises:
        Misconfigured: with every fault of the file and of the changes.
    """
    path = project / CONFIG_FILE
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Misconfigured(
            f"{CONFIG_FILE}: not found in {project}; name the project's folder by --project"
        ) from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Misconfigured(f"{CONFIG_FILE}: {error}") from None
    for name, value in (changes or {}).items():
        _change(content, name, value)
    try:
        config = Config.model_validate(content)
    except ValidationError as error:
        raise Misconfigured(*(_explain(fault) for fault in error.errors())) from None
    if faults := config.faults():
        raise Misconfigured(*(f"{CONFIG_FILE}: {fault}" for fault in faults))
    return config


def _change(content: dict[str, Any], name: str, value: Any) -> None:
    *above, last = name.split(".")
    for part in above:
        content = content.setdefault(part, {})
        if not isinstance(content, dict):
            raise Misconfigured(f"--set: {name}: {part} is a setting, and holds no others")
    content[last] = value


def _explain(fault: Mapping[str, Any]) -> str:
    *above, last = fault["loc"]
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        near = get_close_matches(str(last), _names(above), n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(_names(above))}"
        return f"{CONFIG_FILE}: {where}: no such setting; {hint}"
    if fault["type"] == "missing":
        return f"{CONFIG_FILE}: {where}: is missing"
    return f"{CONFIG_FILE}: {where}: {fault['msg']}, found {fault['input']!r}"


def _names(above: list[Any]) -> list[str]:
    """List the settings of a section, named by the path to it."""
    section: Any = Config
    for part in above:
        if isinstance(part, int):  # a place in a list
            section = get_args(section)[0]
        else:
            section = section.model_fields[part].annotation
    return list(section.model_fields)


@dataclass(frozen=True)
class Surroundings:
    """What the environment says: where the service is, its key, where runs are kept."""

    service_url: str | None = None
    service_key: SecretStr | None = None
    tracking_uri: str | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the variables; an empty one counts as not set, as CI systems hand over no secret.

        Raises:
            Misconfigured: with every fault.
        """
        faults = [
            f"{name}: no such variable; known are {URL}, {KEY}, {KEY_FILE}"
            for name in sorted(environment)
            if name.startswith(SERVICE_PREFIX) and name not in (URL, KEY, KEY_FILE)
        ]
        url = environment.get(URL, "").strip().rstrip("/") or None
        if url is not None and not url.startswith(("http://", "https://")):
            faults.append(f"{URL}: expected http://... or https://..., found {url[:80]!r}")
        key, file = environment.get(KEY) or None, environment.get(KEY_FILE) or None
        if key is not None and file is not None:
            faults.append(f"{KEY_FILE}: expected either this or {KEY}, found both")
        elif file is not None:
            try:
                key = Path(file).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                faults.append(f"{KEY_FILE}: {error}")
        if key is not None and not all("!" <= character <= "~" for character in key):
            faults.append(f"{KEY}: expected printable ASCII characters without blanks")
        if faults:
            raise Misconfigured(*faults)
        return cls(
            service_url=url,
            service_key=SecretStr(key) if key else None,
            tracking_uri=environment.get(TRACKING_URI) or None,
        )
