"""Versions of the model and the champion as REST resources."""

from __future__ import annotations

import hmac
import logging
import re
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Path, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr, ValidationError

from flight_delays.archive import MAX_ARCHIVE_BYTES
from flight_delays.bodies import ZIP, read_body
from flight_delays.bundle import BundleError
from flight_delays.problems import MEDIA_TYPE, Problem, from_validation
from flight_delays.schemas import (
    CHAMPION_REQUEST,
    ChampionState,
    ModelDescription,
    ModelList,
    ModelSummary,
)
from flight_delays.serving import Follower
from flight_delays.store import (
    Champion,
    IsChampion,
    ModelStore,
    PreconditionFailed,
    StoreBusy,
    StoreDamaged,
    StoredModel,
    UnknownVersion,
    VersionConflict,
)

MAX_JSON_BYTES = 16 * 1024  # of a body that is not predictions
MAX_PAGE = 100
VERSION_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}-[0-9a-f]{8}$"

_ETAG = re.compile(r'(?:^|,)\s*(?:W/"[^"]*"|"([^"]*)")\s*(?=,|$)')
_BEARER = HTTPBearer(auto_error=False, description="the key in FLIGHT_DELAYS_KEY")
_log = logging.getLogger(__name__)

# The pattern is documented and not enforced here: a version of another form is an unknown one.
VersionPath = Annotated[
    str,
    Path(
        description="a version, such as 2013-06-30-0a1b2c3d",
        json_schema_extra={"pattern": VERSION_PATTERN},
    ),
]


def add_routes(api: FastAPI, store: ModelStore, follower: Follower, key: SecretStr | None) -> None:
    """Add the path operations on a store; writes need the key, without one they are off."""
    writes = {"dependencies": [Depends(_key_needed(key))]}

    @api.get("/v1/models", tags=["models"], responses=problems(422))
    def list_models(
        limit: Annotated[int, Query(ge=1, le=MAX_PAGE, description="versions a page")] = 20,
        after: Annotated[
            str | None, Query(max_length=64, description="the `next` of the page before")
        ] = None,
    ) -> ModelList:
        """List the versions, oldest data first."""
        versions = [version for version in store.versions() if after is None or version > after]
        champion = store.champion()
        page = [_summary(stored, champion) for stored in _sound(store, versions[:limit])]
        return ModelList(models=page, next=versions[limit - 1] if len(versions) > limit else None)

    @api.get(
        "/v1/models/{version}",
        tags=["models"],
        responses=problems(404) | {200: _with_etag(), 304: {"description": "Not Modified"}},
        response_model=ModelDescription,
    )
    def get_model(version: VersionPath, request: Request, response: Response) -> Any:
        """Describe a version; its ETag follows from bundle.json and from whether it is champion."""
        stored, champion = store.get(version), store.champion()
        tag = _tag(stored, champion)
        response.headers["ETag"] = f'"{tag}"'
        if _matches(request.headers.get("if-none-match"), tag, weak=True):
            return Response(status_code=304, headers={"ETag": f'"{tag}"'})
        return _description(stored, champion)

    @api.put(
        "/v1/models/{version}",
        tags=["models"],
        responses=problems(401, 403, 409, 412, 413, 415, 422, 503)
        | {
            200: _with_etag("The same content was there already."),
            201: {
                **_with_etag("The version is new."),
                "model": ModelDescription,
                "headers": _header("ETag") | _header("Location"),
            },
        },
        response_model=ModelDescription,
        openapi_extra=_body(
            ZIP, {"type": "string", "format": "binary"}, "a zip of model.onnx and bundle.json"
        )
        | _parameters("If-None-Match", "`*`: only if the version is not there yet"),
        **writes,
    )
    async def put_model(version: VersionPath, request: Request, response: Response) -> Any:
        """Store a version, once it has passed every check; a version never changes."""
        must_be_new = request.headers.get("if-none-match", "").strip() == "*"
        if must_be_new and version in await run_in_threadpool(store.versions):
            raise PreconditionFailed(f"{version} is there already")
        archive = await read_body(request.scope["headers"], request.receive, MAX_ARCHIVE_BYTES, ZIP)
        stored, new = await run_in_threadpool(store.add_archive, version, archive)
        if must_be_new and not new:  # another writer was faster
            raise PreconditionFailed(f"{version} is there already")
        champion = await run_in_threadpool(store.champion)
        response.headers["ETag"] = f'"{_tag(stored, champion)}"'
        if new:
            response.status_code = 201
            response.headers["Location"] = f"/v1/models/{version}"
        return _description(stored, champion)

    @api.delete(
        "/v1/models/{version}",
        tags=["models"],
        status_code=204,
        responses=problems(401, 403, 404, 409, 412, 503),
        openapi_extra=_parameters("If-Match", "the ETag of the version to delete"),
        **writes,
    )
    def delete_model(version: VersionPath, request: Request) -> None:
        """Delete a version that is not the champion."""
        condition = request.headers.get("if-match")
        if condition is None:
            store.remove(version)
            return
        stored = store.get(version)
        tag = _tag(stored, store.champion())
        if not _matches(condition, tag):
            raise PreconditionFailed(f'{version} has the ETag "{tag}", not {condition[:100]}')
        store.remove(version, if_match=stored.sha256)

    @api.get(
        "/v1/champion",
        tags=["models"],
        responses=problems(404) | {200: _with_etag(), 304: {"description": "Not Modified"}},
        response_model=ChampionState,
    )
    def get_champion(request: Request, response: Response) -> Any:
        """Say which version is in service; the ETag counts the switches."""
        champion = store.champion()
        if champion is None:
            raise Problem("no-champion", "No version has been made champion yet.")
        response.headers["ETag"] = tag = f'"{champion.revision}"'
        if _matches(request.headers.get("if-none-match"), str(champion.revision), weak=True):
            return Response(status_code=304, headers={"ETag": tag})
        return _state(champion)

    @api.put(
        "/v1/champion",
        tags=["models"],
        responses=problems(400, 401, 403, 404, 412, 413, 415, 422, 428, 503)
        | {200: _with_etag("The version is champion.")},
        response_model=ChampionState,
        openapi_extra=_body(b"application/json", {"$ref": "#/components/schemas/ChampionRequest"})
        | _parameters(
            "If-Match",
            "the ETag of the champion as last seen",
            "If-None-Match",
            "`*`: only if there is no champion yet",
        ),
        **writes,
    )
    async def put_champion(request: Request, response: Response) -> Any:
        """Make a version the champion, once it has passed every check.

        Needs `If-Match`, or `If-None-Match: *` for the first. If the version is champion already,
        nothing changes and the answer is 200 whatever the condition, so that a retry is safe.
        """
        body = await read_body(request.scope["headers"], request.receive, MAX_JSON_BYTES)
        try:
            version = CHAMPION_REQUEST.validate_json(body)["version"]
        except ValidationError as error:
            raise from_validation(error) from None
        champion, bundle = await run_in_threadpool(_switch, store, version, request.headers)
        follower.adopt(champion, bundle)
        response.headers["ETag"] = f'"{champion.revision}"'
        return _state(champion)


def _switch(store: ModelStore, version: str, headers: Any) -> Any:
    """Make a version the champion on the conditions of a request."""
    old = store.champion()
    condition = headers.get("if-match")
    must_be_first = headers.get("if-none-match", "").strip() == "*"
    if old is not None and old.version == version:
        return store.set_champion(version, if_match=old.revision)
    store.get(version)
    if condition is None and not must_be_first:
        raise Problem(
            "precondition-needed",
            "send If-Match with the ETag of GET /v1/champion, or If-None-Match: * for the first",
        )
    if condition is None:
        return store.set_champion(version, if_match=None, must_be_first=True)
    if old is None or not _matches(condition, str(old.revision)):
        found = "there is no champion" if old is None else f'the ETag is "{old.revision}"'
        raise PreconditionFailed(f"{found}, not {condition[:100]}; look again before you switch")
    return store.set_champion(version, if_match=old.revision, must_be_first=must_be_first)


def as_problem(error: Exception) -> Problem:
    """Turn what the store raises into what a client is told."""
    match error:
        case BundleError():
            return Problem("bundle-refused", str(error))
        case UnknownVersion():
            return Problem("no-such-version", str(error))
        case VersionConflict():
            return Problem("version-conflict", str(error))
        case IsChampion():
            return Problem("is-champion", str(error))
        case PreconditionFailed():
            return Problem("precondition-failed", str(error))
        case StoreBusy():
            return Problem("busy", "Another writer does not finish.", headers={"Retry-After": "1"})
        case StoreDamaged():
            _log.error("%s", error)
            return Problem("damaged", "A file of the store is damaged; the log says which.")
        case _:
            _log.error("the store failed: %s", error)
            return Problem("busy", "The disk refuses.", headers={"Retry-After": "10"})


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe problem documents for the OpenAPI document."""
    schema = {"$ref": "#/components/schemas/ProblemDocument"}
    return {
        status: {"description": _MEANING[status], "content": {MEDIA_TYPE: {"schema": schema}}}
        for status in statuses
    }


_MEANING = {
    400: "The body is not JSON.",
    401: "The key is missing or wrong.",
    403: "Writes are switched off: the service has no key.",
    404: "There is none.",
    409: "It conflicts with what is there.",
    412: "The condition does not hold.",
    413: "The body is too large.",
    415: "The body is of another media type.",
    422: "The content does not fit.",
    428: "A condition is needed.",
    503: "Not now; try again after Retry-After seconds.",
}


def _key_needed(key: SecretStr | None) -> Any:
    def check(found: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]) -> None:
        if key is None:
            raise Problem("writes-off", "Writes are switched off: FLIGHT_DELAYS_KEY is not set.")
        given = b"" if found is None else found.credentials.encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, key.get_secret_value().encode()):
            raise Problem(
                "key-needed",
                "send Authorization: Bearer KEY with the service's key",
                headers={"WWW-Authenticate": 'Bearer realm="flight-delays"'},
            )

    return check


def _sound(store: ModelStore, versions: list[str]) -> list[StoredModel]:
    """Describe versions; one that is damaged, or was removed meanwhile, is left out."""
    found = []
    for version in versions:
        try:
            found.append(store.get(version))
        except UnknownVersion:
            pass
        except StoreDamaged as error:
            _log.warning("left out of the list: %s", error)
    return found


def _summary(stored: StoredModel, champion: Champion | None) -> ModelSummary:
    return ModelSummary(**_fields(stored, champion))


def _description(stored: StoredModel, champion: Champion | None) -> ModelDescription:
    return ModelDescription(**_fields(stored, champion), bundle=stored.info)


def _fields(stored: StoredModel, champion: Champion | None) -> dict[str, Any]:
    return {
        "version": stored.version,
        "sha256": stored.sha256,
        "created": stored.info.created,
        "data": stored.info.data,
        "metrics": stored.info.metrics,
        "champion": champion is not None and champion.version == stored.version,
    }


def _tag(stored: StoredModel, champion: Champion | None) -> str:
    """What stands for the description of a version: another tag where it says something else."""
    in_service = champion is not None and champion.version == stored.version
    return f"{stored.sha256}-champion" if in_service else stored.sha256


def _state(champion: Champion) -> ChampionState:
    return ChampionState(**champion.model_dump(exclude={"revision"}))


def _matches(condition: str | None, tag: str, *, weak: bool = False) -> bool:
    """Say whether an If-Match or If-None-Match names a tag; what cannot be read names none."""
    if condition is None:
        return False
    if condition.strip() == "*":
        return True
    text = condition.replace("W/", "") if weak else condition
    return any(match.group(1) == tag for match in _ETAG.finditer(text))


def _header(name: str) -> dict[str, Any]:
    return {name: {"schema": {"type": "string"}}}


def _with_etag(description: str = "Successful Response") -> dict[str, Any]:
    return {"description": description, "headers": _header("ETag")}


def _body(media_type: bytes, schema: dict[str, Any], description: str = "") -> dict[str, Any]:
    content = {media_type.decode(): {"schema": schema}}
    body: dict[str, Any] = {"required": True, "content": content}
    if description:
        body["description"] = description
    return {"requestBody": body}


def _parameters(*named: str) -> dict[str, Any]:
    pairs = zip(named[::2], named[1::2], strict=True)
    return {
        "parameters": [
            {"name": name, "in": "header", "description": text, "schema": {"type": "string"}}
            for name, text in pairs
        ]
    }
