"""The service as the pipeline sees it: a few requests over HTTP."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from flight_delays.pipeline.config import KEY, URL, Surroundings
from flight_delays.pipeline.outcome import Misconfigured, OutsideFailed, SaysNo

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONNECT_S = 5.0
BUSY_TRIES = 5


@dataclass(frozen=True)
class ServedChampion:
    """The version in service, the one before it, and the ETag that a switch has to name."""

    version: str
    previous: str | None
    etag: str


class Service:
    """A client of the flight-delay service; a context manager.

    Its methods raise OutsideFailed when the service does not answer or answers with a fault of its
    own, Misconfigured when it refuses the key, and SaysNo when it refuses the content.
    """

    def __init__(self, surroundings: Surroundings, timeout_s: float = 10) -> None:
        """Make the client; nothing is sent yet.

        Raises:
            Misconfigured: there is no address.
        """
        if surroundings.service_url is None:
            raise Misconfigured(f"{URL}: is not set; name the service, as http://127.0.0.1:8000")
        self.url = surroundings.service_url
        self._key = surroundings.service_key
        self._http = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_S),
            verify=self.url.startswith("https"),  # reading the certificates takes 0.1 s
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def champion(self) -> ServedChampion | None:
        """Return the version in service, None before there is one."""
        answer = self._ask("GET", "/v1/champion", accept=(200, 404))
        if answer.status_code == 404:
            return None
        return _champion(answer)

    def description(self, version: str) -> dict[str, Any] | None:
        """Return what the service says of a version, None if it has none."""
        answer = self._ask("GET", f"/v1/models/{version}", accept=(200, 404))
        return answer.json() if answer.status_code == 200 else None

    def put_model(self, version: str, archive: bytes) -> bool:
        """Send a bundle; return False if the service holds this version with other content."""
        headers = {"Content-Type": "application/zip"}
        answer = self._write(f"/v1/models/{version}", headers, (200, 201, 409), content=archive)
        return answer.status_code != 409

    def put_champion(self, version: str, before: ServedChampion | None) -> ServedChampion:
        """Switch, provided that the champion is still the one last seen.

        Raises:
            SaysNo: it is another one meanwhile, or the bundle fails the service's checks.
        """
        condition = {"If-None-Match": "*"} if before is None else {"If-Match": before.etag}
        answer = self._write("/v1/champion", condition, (200,), json={"version": version})
        return _champion(answer)

    def ready(self) -> str | None:
        """Return None if the service is ready, else what it says."""
        answer = self._ask("GET", "/readyz", accept=(200, 503))
        return None if answer.status_code == 200 else _detail(answer)

    def predict(
        self, columns: Mapping[str, Any], request_id: str, *, fresh: bool = False
    ) -> dict[str, Any]:
        """Predict flights given as columns.

        Args:
            fresh: on a connection of its own, which another worker may answer.
        """
        headers = {"X-Request-ID": request_id} | ({"Connection": "close"} if fresh else {})
        answer = self._ask(
            "POST", "/v1/predictions", accept=(200,), headers=headers, json={"flights": columns}
        )
        return answer.json()

    def server_errors(self) -> float:
        """Return how many requests were answered with a status of 500 or more, but for /readyz.

        /readyz answers 503 by design, before there is a champion.
        """
        from prometheus_client.parser import text_string_to_metric_families

        text = self._ask("GET", "/metrics", accept=(200,)).text
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            if family.name == "flight_delays_requests"
            for sample in family.samples
            if sample.labels.get("status", "").startswith("5")
            and sample.labels.get("route") != "/readyz"
        )

    def _write(
        self, path: str, headers: dict[str, str], accept: tuple[int, ...], **body: Any
    ) -> httpx.Response:
        if self._key is None:
            raise Misconfigured(f"{KEY}: is not set; writing to the service needs its key")
        headers |= {"Authorization": f"Bearer {self._key.get_secret_value()}"}
        return self._ask("PUT", path, accept=accept, headers=headers, **body)

    def _ask(
        self, method: str, path: str, *, accept: tuple[int, ...], **options: Any
    ) -> httpx.Response:
        for tries_left in reversed(range(BUSY_TRIES)):
            try:
                answer = self._http.request(method, path, **options)
            except httpx.HTTPError as error:
                raise OutsideFailed(
                    f"{method} {self.url}{path}: {error or type(error).__name__}; "
                    f"is the service running?"
                ) from None
            if answer.status_code in accept:
                return answer
            if answer.status_code != 503 or not tries_left:
                break
            time.sleep(min(float(answer.headers.get("Retry-After", 1)), 2))  # as it asked
        raise _refusal(method, path, answer)


def as_json(columns: Mapping[str, NDArray[Any]]) -> dict[str, list[Any]]:
    """Columns, one entry a flight, as JSON can hold them: what is missing becomes None."""
    return {
        name: [None if value != value else value for value in values.tolist()]
        for name, values in columns.items()
    }


def _champion(answer: httpx.Response) -> ServedChampion:
    content = answer.json()
    return ServedChampion(content["version"], content["previous"], answer.headers["ETag"])


def _refusal(method: str, path: str, answer: httpx.Response) -> Exception:
    text = f"{method} {path}: {answer.status_code}, {_detail(answer)}"
    match answer.status_code:
        case 401:
            return Misconfigured(f"{text} ({KEY} holds another key than the service's)")
        case 412 | 422 | 428:
            return SaysNo(text)
        case _:
            return OutsideFailed(text)


def _detail(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.text[:200] or answer.reason_phrase
