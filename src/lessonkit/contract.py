"""Contract tests in a notebook: requests drawn from an OpenAPI document, the shortest one that breaks it.

Schemathesis draws and judges. This module keeps the run the same each time and leaves no files behind.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterator
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis.configuration import set_hypothesis_home_dir
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.core.failures import Failure, FailureGroup


def failure_of(
    check: Callable[[Case], None], operation: APIOperation, requests: int = 100, *, valid: bool = True
) -> str | None:
    """Hand drawn requests to `check` until it fails, then look for the shortest request with which it fails.

    The last call of `check` is with that shortest request. The same document gives the same requests.

    Parameters
    ----------
    check
        Sends the request and raises what `Case.validate_response` raises.
    operation
        From a loaded document, `schema["/path"]["POST"]`.
    requests
        How many to draw at most.
    valid
        Draw requests that the document permits; else such as it forbids.

    Returns
    -------
    Why it failed, in a line; None where no request made it fail.
    """
    mode = GenerationMode.POSITIVE if valid else GenerationMode.NEGATIVE
    with _home():
        run = settings(
            max_examples=requests,
            derandomize=True,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )(given(operation.as_strategy(generation_mode=mode))(_singly(check)))
        try:
            run()
        except Failure as failure:
            return _told(failure)
    return None


def _singly(check: Callable[[Case], None]) -> Callable[[Case], None]:
    """The check, raising one failure at a time: hypothesis shortens nothing that fails with a group."""

    def one(case: Case) -> None:
        try:
            check(case)
        except FailureGroup as group:
            raise group.exceptions[0] from None

    return one


def _told(failure: Failure) -> str:
    first = failure.message.strip().splitlines()[:1]
    return ": ".join([failure.title, *first])


@contextlib.contextmanager
def _home() -> Iterator[None]:
    """A folder for what hypothesis keeps between runs, which goes with the block; no proxy on the way to 127.0.0.1."""
    with (
        tempfile.TemporaryDirectory(prefix="lesson-", ignore_cleanup_errors=True) as folder,
        patch.dict(os.environ, NO_PROXY="127.0.0.1", no_proxy="127.0.0.1"),
    ):
        set_hypothesis_home_dir(folder)
        try:
            yield
        finally:
            set_hypothesis_home_dir(None)
