"""What goes between a client and the service: a line for an exchange, a collection of status codes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
from prometheus_client.parser import text_string_to_metric_families

PROBLEM = "application/problem+json"


def tell(response: httpx.Response) -> httpx.Response:
    """Print method, path and status of an exchange, and give it back."""
    print(_asked(response), "->", response.status_code)
    return response


@dataclass
class Notes:
    """The first answer with each status code, of all clients that were made here."""

    first: dict[int, httpx.Response] = field(default_factory=dict)

    @contextmanager
    def client(self, url: str, key: str | None = None) -> Iterator[httpx.Client]:
        """A client whose answers are noted; `key` is sent as a bearer token with every request."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        hooks = {"response": [self._note]}
        with httpx.Client(base_url=url, headers=headers, event_hooks=hooks, timeout=30, trust_env=False) as client:
            yield client

    def table(self) -> str:
        """A line for each status code: the code, the request that got it, the title of its problem document."""
        lines = [("", "the first request that got it", "title of the problem")]
        lines += [(str(status), _asked(answer), _title(answer)) for status, answer in sorted(self.first.items())]
        width = max(len(line[1]) for line in lines)
        return "\n".join(f"{status:3}  {asked:{width}}  {title}".rstrip() for status, asked, title in lines)

    def _note(self, response: httpx.Response) -> None:
        response.read()  # a hook is called before the body has come
        self.first.setdefault(response.status_code, response)


def predictions_made(client: httpx.Client) -> int:
    """How many predictions the service has made since it started, as it tells its monitoring."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return int(sum(sample.value for sample in samples if sample.name == "flight_delays_predictions_total"))


def _asked(response: httpx.Response) -> str:
    return f"{response.request.method} {response.request.url.path}"


def _title(response: httpx.Response) -> str:
    return response.json()["title"] if response.headers.get("content-type") == PROBLEM else ""
