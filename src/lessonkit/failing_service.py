"""A prediction service of one process and no socket, reached by httpx, that can be made to fail.

    service = SmallService({"v1": {"base": -1.0}, "v2": {"base": -1.2}}, champion="v1")
    with service.client() as client:
        client.get("/v1/champion").headers["etag"]

It keeps the contract of the flight-delay service as far as a switch of versions needs it: PUT of a version, PUT of the
champion with If-Match, predictions that name their version.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from lessonkit.flight_tables import as_table
from lessonkit.scorecard import Scorecard

Weights = Mapping[str, float]


@dataclass
class SmallService:
    """The service and a log of what it was asked.

    Attributes
    ----------
    versions
        Version to the weights of its `Scorecard`.
    champion
        The version that serves.
    trouble
        What goes wrong, by name; several may be given:
        `refuse` {version: status}, the answer to its PUT; `switch` {version: status}, the answer to the champion's PUT;
        `ready` {version: status}, the answer of /readyz while it serves; `predict` {version: status}, that of a
        prediction; `weights` {version: weights}, what it really computes with; `says` {version: other name};
        `hang` [version], a prediction times out; `null` [version], the probability is null;
        `switched` {"after": method, "to": version}, somebody else switches right after that request of the champion,
        "GET" or "PUT", has succeeded for the first time.
    requests
        `METHOD path status`, in order.
    """

    versions: dict[str, Weights]
    champion: str
    trouble: dict[str, Any] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    _switches: int = 1

    def client(self) -> httpx.Client:
        """A client whose requests come here."""
        return httpx.Client(transport=httpx.MockTransport(self._serve), base_url="http://service")

    @property
    def etag(self) -> str:
        """The tag of who is champion: another one after each switch."""
        return f'"{self.champion}-{self._switches}"'

    def _serve(self, request: httpx.Request) -> httpx.Response:
        line = f"{request.method} {request.url.path}"
        try:
            response = self._answer(request)
        except httpx.TimeoutException:
            self.requests.append(f"{line} timed out")
            raise
        self.requests.append(f"{line} {response.status_code}")
        somebody = self.trouble.get("switched")
        if somebody and line == f"{somebody['after']} /v1/champion" and response.is_success:
            del self.trouble["switched"]
            self._switch(somebody["to"])
            self.requests.append(f"somebody else: PUT /v1/champion {somebody['to']}")
        return response

    def _answer(self, request: httpx.Request) -> httpx.Response:
        match (request.method, request.url.path.strip("/").split("/")):
            case ("GET", ["readyz"]):
                status = self._trouble("ready", self.champion)
                return _said(status) if status else httpx.Response(200, json={"status": "ready"})
            case ("PUT", ["v1", "models", version]):
                return self._put(version, request)
            case ("GET", ["v1", "champion"]):
                return self._shown()
            case ("PUT", ["v1", "champion"]):
                return self._put_champion(request)
            case ("POST", ["v1", "predictions"]):
                return self._predict(request)
        return _said(404)

    def _trouble(self, kind: str, version: str) -> int | None:
        return self.trouble.get(kind, {}).get(version)

    def _put(self, version: str, request: httpx.Request) -> httpx.Response:
        status = self._trouble("refuse", version)
        if status:
            return _said(status)
        content = _json(request)
        if not isinstance(content, dict) or not all(isinstance(value, int | float) for value in content.values()):
            return _said(422)
        if version == self.champion:
            return _said(409)
        new = version not in self.versions
        self.versions[version] = content
        return httpx.Response(201 if new else 200, json={"version": version})

    def _put_champion(self, request: httpx.Request) -> httpx.Response:
        content = _json(request)
        version = content.get("version") if isinstance(content, dict) else None
        if not isinstance(version, str):
            return _said(422)
        status = self._trouble("switch", version)
        if status:
            return _said(status)
        if version not in self.versions:
            return _said(404)
        if "if-match" not in request.headers:
            return _said(428)
        if request.headers["if-match"] != self.etag:
            return _said(412)
        self._switch(version)
        return self._shown()

    def _switch(self, version: str) -> None:
        self.champion = version
        self._switches += 1

    def _shown(self) -> httpx.Response:
        return httpx.Response(200, json={"version": self.champion}, headers={"ETag": self.etag})

    def _predict(self, request: httpx.Request) -> httpx.Response:
        version = self.champion
        if version in self.trouble.get("hang", ()):
            raise httpx.ReadTimeout("the service did not answer in time", request=request)
        status = self._trouble("predict", version)
        if status:
            return _said(status)
        flight = _json(request)
        try:
            weights = self.trouble.get("weights", {}).get(version, self.versions[version])
            probability = predict_one(weights, flight)
        except (KeyError, TypeError, ValueError, AttributeError):
            return _said(422)
        none = version in self.trouble.get("null", ()) or math.isnan(probability)
        said = self.trouble.get("says", {}).get(version, version)
        return httpx.Response(200, json={"probability": None if none else probability, "version": said})


def _said(status: int) -> httpx.Response:
    return httpx.Response(status, json={"status": status, "title": httpx.codes.get_reason_phrase(status)})


def _json(request: httpx.Request) -> Any:
    try:
        return json.loads(request.content)
    except ValueError:
        return None


def predict_one(weights: Weights, flight: Mapping[str, Any]) -> float:
    """The probability for one flight, a dict with the columns of a table."""
    return float(Scorecard(weights)(as_table({name: [value] for name, value in flight.items()}))[0])


def golden_rows(weights: Weights, flights: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Flights with the probability that a model of these weights gives: what a smoke test compares with."""
    return [{"flight": dict(flight), "probability": predict_one(weights, flight)} for flight in flights]
