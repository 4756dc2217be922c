"""Contract tests in a notebook: the shortest request that breaks it is found, and no file stays behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest

schemathesis = pytest.importorskip("schemathesis", reason="the contract is tested where schemathesis is")

from fastapi import FastAPI  # noqa: E402
from pydantic import BaseModel, BeforeValidator, Field, Strict  # noqa: E402

from lessonkit.contract import failure_of  # noqa: E402
from lessonkit.served import served  # noqa: E402


def number(value: object) -> object:
    """JSON Schema's idea of an integer: 5 and 5.0 are, "5" and true are not. pydantic's lax and strict ones differ."""
    if type(value) not in (int, float):
        raise ValueError("not a number")
    return value


class Question(BaseModel, extra="forbid"):
    hour: Annotated[int, Field(ge=0, lt=24), BeforeValidator(number)]
    text: Annotated[str, Strict()] = ""


class Reply(BaseModel):
    share: float


def app_that_breaks_from(hour: int) -> FastAPI:
    app = FastAPI()

    @app.post("/ask", responses={400: {"description": "The body is not JSON."}})
    def ask(question: Question) -> Reply:
        return Reply(share=float("nan") if question.hour >= hour else 0.5)

    return app


@pytest.fixture
def asked() -> list[Any]:
    return []


def checked(app: FastAPI, asked: list[Any], **options: Any) -> str | None:
    with served(app) as client:
        document = schemathesis.openapi.from_dict(client.get("/openapi.json").json())

        def check(case: schemathesis.Case) -> None:
            answer = case.call(base_url=str(client.base_url))
            asked.append((case.body, answer.text))
            case.validate_response(answer)

        return failure_of(check, document["/ask"]["POST"], **options)


@pytest.fixture(autouse=True)
def nothing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.iterdir())


def test_the_last_call_is_the_shortest_request_that_breaks_it(asked: list[Any]) -> None:
    assert checked(app_that_breaks_from(19), asked) == 'Response violates schema: null is not of type "number"'
    assert asked[-1] == ({"hour": 19}, '{"share":null}')


def test_nothing_is_found_where_nothing_is_broken_and_as_many_were_asked_as_told(asked: list[Any]) -> None:
    assert checked(app_that_breaks_from(24), asked, requests=12) is None
    assert 1 < len(asked) <= 12
    assert all("detail" not in text for _, text in asked)


def test_forbidden_requests_are_drawn_when_told(asked: list[Any]) -> None:
    assert checked(app_that_breaks_from(24), asked, requests=12, valid=False) is None
    assert asked and all("detail" in text for _, text in asked)


def test_the_same_document_gives_the_same_requests(asked: list[Any]) -> None:
    again: list[Any] = []
    checked(app_that_breaks_from(24), asked, requests=10)
    checked(app_that_breaks_from(24), again, requests=10)
    assert [body for body, _ in asked] == [body for body, _ in again]
