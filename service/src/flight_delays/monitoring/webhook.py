"""The message that Alertmanager sends to a webhook, read and refused if it is no such message.

Version 4 of the format, https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
Fields that are not needed here are not looked at, so that a newer Alertmanager may add some.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from flight_delays.monitoring.inbox import Alert, Status
from flight_delays.problems import from_validation

MAX_BODY_BYTES = 1024**2
MAX_ALERTS = 1_000

_Text = Annotated[str, Field(max_length=4_096)]
_Texts = Annotated[dict[Annotated[str, Field(max_length=256)], _Text], Field(max_length=100)]


class _Alert(BaseModel):
    model_config = ConfigDict(frozen=True)

    status: Status
    labels: _Texts
    annotations: _Texts
    startsAt: AwareDatetime
    endsAt: AwareDatetime | None = None
    fingerprint: Annotated[str, Field(pattern=r"^[0-9a-fA-F]{1,64}$")]

    def read(self) -> Alert:
        # One that fires has the year 1, or the time at which it ends if it is not heard of again.
        ends_at: datetime | None = self.endsAt if self.status == "resolved" else None
        return Alert(
            self.fingerprint, self.status, self.startsAt, ends_at, self.labels, self.annotations
        )


class _Message(BaseModel):
    model_config = ConfigDict(frozen=True)

    version: Literal["4"]
    receiver: str
    status: Status
    alerts: Annotated[list[_Alert], Field(min_length=1, max_length=MAX_ALERTS)]


def read_message(body: bytes) -> list[Alert]:
    """Return the alerts of a message, in its order.

    Raises:
        Problem: not JSON (400), or no message of this kind (422, with what does not fit).
    """
    try:
        message = _Message.model_validate_json(body)
    except ValidationError as error:
        raise from_validation(error) from None
    return [alert.read() for alert in message.alerts]
