"""Loaded by schemathesis in test_service_contract.py: bundles, versions and conditions that exist.

Without them nearly every write would end at "no such version", and nothing behind would be tried.
"""

from __future__ import annotations

import os
from pathlib import Path

import schemathesis
from hypothesis import strategies as st

VERSIONS = os.environ["CONTRACT_VERSIONS"].split(",")  # the champion first
SPARE = os.environ["CONTRACT_SPARE"].split(",")  # never deleted: there is one to switch to
ARCHIVE = Path(os.environ["CONTRACT_ARCHIVE"]).read_bytes()


def damaged(position: int) -> bytes:
    content = bytearray(ARCHIVE)
    content[position % len(content)] ^= 0xFF
    return bytes(content)


schemathesis.openapi.media_type(
    "application/zip",
    st.one_of(
        st.just(ARCHIVE),
        st.binary(max_size=200),
        st.integers(0, len(ARCHIVE) - 1).map(damaged),
        st.integers(0, len(ARCHIVE) - 1).map(lambda size: ARCHIVE[:size]),
    ),
)


@schemathesis.serializer("application/zip")
def as_it_is(context, value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def before_generate_path_parameters(context, strategy):
    real = st.sampled_from(VERSIONS).map(lambda version: {"version": version})
    return st.one_of(strategy, real)


@schemathesis.hook
def before_generate_body(context, strategy):
    if context.operation.label != "PUT /v1/champion":
        return strategy
    real = st.sampled_from([*VERSIONS, *SPARE]).map(lambda version: {"version": version})
    return st.integers(0, 3).flatmap(lambda n: real if n else strategy)  # three in four


@schemathesis.hook
def before_generate_headers(context, strategy):
    def holds(headers):
        return {**(headers or {}), "If-Match": "*"}

    conditional = context.operation.label in ("PUT /v1/champion", "DELETE /v1/models/{version}")
    return st.one_of(strategy, strategy.map(holds)) if conditional else strategy
