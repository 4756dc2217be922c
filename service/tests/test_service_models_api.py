"""Versions and the champion as resources: each status with its reason."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest

from flight_delays.archive import MAX_ARCHIVE_BYTES
from flight_delays.bundle import INFO_FILE, load_bundle
from flight_delays.metadata import MODEL_FILE, BundleInfo
from flight_delays.schemas import EXAMPLE_FLIGHT
from flight_delays.store import StoreBusy

KEY = {"Authorization": "Bearer a-key-for-tests-only"}
ZIP = {"Content-Type": "application/zip"}
JSON = {"Content-Type": "application/json"}
PROBLEM = "urn:flight-delays:problem:"
UNKNOWN = "2013-06-30-00000000"


@pytest.fixture
def one(two_bundles) -> Path:
    return two_bundles[0]


@pytest.fixture
def two(two_bundles) -> Path:
    return two_bundles[1]


@pytest.fixture
def client(make_client, one):
    """A service with one version, its champion."""
    return make_client(one)


@pytest.fixture
def pair(make_client, one, two):
    """A service with two versions, the first is champion."""
    return make_client(one, two)


def zipped(folder: Path, **replaced: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in (MODEL_FILE, INFO_FILE):
            key = name.partition(".")[0]
            opened.writestr(name, replaced.get(key, (folder / name).read_bytes()))
    return buffer.getvalue()


def put(client, folder: Path, content: bytes | None = None, **headers: str):
    content = zipped(folder) if content is None else content
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    path = f"/v1/models/{folder.name}"
    return client.request("PUT", path, content=content, headers=KEY | ZIP | headers)


def switch(client, version: str, **headers: str):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    content = json.dumps({"version": version})
    return client.request("PUT", "/v1/champion", content=content, headers=KEY | JSON | headers)


def refused(answer, status: int, kind: str, detail: str = ""):
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["status"]) == (PROBLEM + kind, status)
    assert problem["request_id"] == answer.headers["X-Request-ID"]
    assert detail in problem["detail"]
    assert "Traceback" not in answer.text


# Versions


def test_a_version_is_described(client, one):
    answer = client.request("GET", f"/v1/models/{one.name}")
    bundle = load_bundle(one)
    body = answer.json()
    assert (answer.status_code, answer.headers["ETag"]) == (200, f'"{bundle.sha256}-champion"')
    assert (body["version"], body["sha256"]) == (one.name, bundle.sha256)
    assert body["champion"] is True
    assert BundleInfo.model_validate_json(json.dumps(body["bundle"])) == bundle.info


def test_what_has_not_changed_is_not_sent_again(client, one):
    for path in (f"/v1/models/{one.name}", "/v1/champion"):
        tag = client.request("GET", path).headers["ETag"]
        for same in (tag, f"W/{tag}", f'"x", {tag}', "*"):
            again = client.request("GET", path, headers={"If-None-Match": same})
            assert (again.status_code, again.content) == (304, b""), same
            assert again.headers["ETag"] == tag
        other = client.request("GET", path, headers={"If-None-Match": '"x"'})
        assert other.status_code == 200


@pytest.mark.parametrize(
    "version", [UNKNOWN, "x", "..", "%2e%2e", ".draft-1", "2013-06-30-0000000G", "x" * 5000]
)
def test_an_unknown_version(client, version):
    for method, headers in (("GET", {}), ("DELETE", KEY)):
        answer = client.request(method, f"/v1/models/{version}", headers=headers)
        assert answer.status_code in (404, 405), (
            answer.text
        )  # `..` is the list, which has no DELETE
        assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_new_version_is_stored(client, two):
    answer = put(client, two)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/v1/models/{two.name}"
    assert answer.headers["ETag"] == f'"{load_bundle(two).sha256}"'
    assert answer.json()["champion"] is False
    assert client.request("GET", answer.headers["Location"]).json() == answer.json()


def test_storing_twice_changes_nothing(client, two):
    first, second = put(client, two), put(client, two)
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json()
    assert "Location" not in second.headers


def test_a_version_never_changes(client, two, tmp_path):
    info = json.loads((two / INFO_FILE).read_text()) | {"created": "2020-01-01T00:00:00Z"}
    sealed = BundleInfo.model_validate_json(json.dumps(info)).sealed().model_dump_json().encode()
    assert put(client, two).status_code == 201
    before = client.request("GET", f"/v1/models/{two.name}").json()
    refused(put(client, two, zipped(two, bundle=sealed)), 409, "version-conflict", "never changes")
    assert client.request("GET", f"/v1/models/{two.name}").json() == before


def test_only_if_it_is_new(client, two):
    assert put(client, two, If_None_Match="*").status_code == 201
    refused(put(client, two, If_None_Match="*"), 412, "precondition-failed", "is there already")


def edited(folder: Path, **changes) -> bytes:
    info = json.loads((folder / INFO_FILE).read_text()) | changes
    return json.dumps(info).encode()


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: b"", "archive"),
        (lambda folder: b"no zip at all", "archive"),
        (lambda folder: zipped(folder)[:-100], "archive"),
        (lambda folder: zipped(folder, model=b"x"), "model.onnx: size in bytes"),
        (
            lambda folder: zipped(folder, model=b"x" * (folder / MODEL_FILE).stat().st_size),
            "model.onnx: SHA-256",
        ),
        (lambda folder: zipped(folder, bundle=b"{}"), "bundle.json: "),
        (lambda folder: zipped(folder, bundle=edited(folder, threshold=0.9)), "bundle.json: "),
        (lambda folder: zipped(folder, bundle=edited(folder, extra=1)), "bundle.json: extra"),
        (lambda folder: zipped(folder, bundle=wrong_golden(folder)), "golden row 0"),
    ],
)
def test_a_bundle_that_fails_a_check_is_refused(client, two, spoil, reason):
    refused(put(client, two, spoil(two)), 422, "bundle-refused", reason)
    refused(client.request("GET", f"/v1/models/{two.name}"), 404, "no-such-version")
    assert client.predict({"flight": EXAMPLE_FLIGHT}).status_code == 200


def wrong_golden(folder: Path) -> bytes:
    info = json.loads((folder / INFO_FILE).read_text())
    info["golden"]["probabilities"][0] = 1 - info["golden"]["probabilities"][0] / 2
    return BundleInfo.model_validate_json(json.dumps(info)).sealed().model_dump_json().encode()


def test_a_bundle_under_another_name_is_refused(client, one, two):
    path = f"/v1/models/{UNKNOWN}"
    answer = client.request("PUT", path, content=zipped(two), headers=KEY | ZIP)
    refused(answer, 422, "bundle-refused", f"expected {UNKNOWN}, found {two.name}")


def test_an_archive_of_another_type(client, two):
    headers = KEY | {"Content-Type": "application/octet-stream"}
    answer = client.request("PUT", f"/v1/models/{two.name}", content=b"", headers=headers)
    refused(answer, 415, "wrong-media-type", "expected Content-Type application/zip")


def test_an_archive_that_is_too_large(client, two):
    async def chunks():
        for _ in range(MAX_ARCHIVE_BYTES // 2**20 + 2):
            yield bytes(2**20)

    path = f"/v1/models/{two.name}"
    answer = client.request("PUT", path, content=chunks(), headers=KEY | ZIP)
    refused(answer, 413, "too-large")
    headers = KEY | ZIP | {"Content-Length": str(MAX_ARCHIVE_BYTES + 1)}
    refused(client.request("PUT", path, content=b"", headers=headers), 413, "too-large")


def test_versions_are_listed_page_by_page(pair, one, two):
    body = pair.request("GET", "/v1/models").json()
    names = sorted([one.name, two.name])
    assert [model["version"] for model in body["models"]] == names
    assert {model["version"]: model["champion"] for model in body["models"]} == {
        one.name: True,
        two.name: False,
    }
    assert body["next"] is None
    first = pair.request("GET", "/v1/models?limit=1").json()
    assert ([model["version"] for model in first["models"]], first["next"]) == (names[:1], names[0])
    second = pair.request("GET", f"/v1/models?limit=1&after={first['next']}").json()
    assert ([model["version"] for model in second["models"]], second["next"]) == (names[1:], None)
    third = pair.request("GET", f"/v1/models?after={names[1]}").json()
    assert third == {"models": [], "next": None}


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", f"after={'x' * 65}"])
def test_a_wrong_page_is_refused(client, query):
    answer = client.request("GET", f"/v1/models?{query}")
    refused(answer, 422, "invalid-input")
    assert answer.json()["errors"][0]["pointer"] == f"/query/{query.split('=')[0]}"


def test_an_empty_store_has_an_empty_list(make_client):
    assert make_client().request("GET", "/v1/models").json() == {"models": [], "next": None}


def test_a_damaged_version_is_left_out_of_the_list(pair, one, two):
    (pair.service.store.folder / "models" / two.name / INFO_FILE).write_text("{}")
    body = pair.request("GET", "/v1/models").json()
    assert [model["version"] for model in body["models"]] == [one.name]
    refused(pair.request("GET", f"/v1/models/{two.name}"), 500, "damaged")


def test_a_version_is_deleted(pair, two):
    path = f"/v1/models/{two.name}"
    answer = pair.request("DELETE", path, headers=KEY)
    assert (answer.status_code, answer.content) == (204, b"")
    refused(pair.request("DELETE", path, headers=KEY), 404, "no-such-version")
    refused(pair.request("GET", path), 404, "no-such-version")


def test_a_description_that_a_switch_has_changed_is_sent_again(pair, one, two):
    """`champion` is part of it, so the tag of before does not stand for it any more."""
    tags = {}
    for bundle in (one, two):
        tags[bundle] = pair.request("GET", f"/v1/models/{bundle.name}").headers["ETag"]
    condition = {"If-Match": pair.request("GET", "/v1/champion").headers["ETag"]}
    switched = pair.request(
        "PUT", "/v1/champion", json={"version": two.name}, headers=KEY | condition
    )
    assert switched.status_code == 200
    for bundle, champion in ((one, False), (two, True)):
        headers = {"If-None-Match": tags[bundle]}
        again = pair.request("GET", f"/v1/models/{bundle.name}", headers=headers)
        assert (again.status_code, again.json()["champion"]) == (200, champion)


def test_the_champion_cannot_be_deleted(client, one):
    answer = client.request("DELETE", f"/v1/models/{one.name}", headers=KEY)
    refused(answer, 409, "is-champion", "make another version champion first")


def test_a_delete_may_name_what_it_means(pair, two):
    path = f"/v1/models/{two.name}"
    tag = pair.request("GET", path).headers["ETag"]
    for wrong in ('"x"', f"W/{tag}", "x", ""):
        answer = pair.request("DELETE", path, headers=KEY | {"If-Match": wrong})
        refused(answer, 412, "precondition-failed")
    assert pair.request("DELETE", path, headers=KEY | {"If-Match": tag}).status_code == 204


# The champion


def test_the_champion_is_told(client, one):
    answer = client.request("GET", "/v1/champion")
    body = answer.json()
    assert (body["version"], body["previous"], answer.headers["ETag"]) == (one.name, None, '"1"')
    assert body["since"].endswith("Z")


def test_there_may_be_none(make_client, one):
    client = make_client()
    refused(client.request("GET", "/v1/champion"), 404, "no-champion")
    put(client, one)
    refused(switch(client, one.name), 428, "precondition-needed", "If-None-Match: *")
    refused(switch(client, one.name, If_Match='"1"'), 412, "precondition-failed", "no champion")
    answer = switch(client, one.name, If_None_Match="*")
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"1"')
    assert client.predict({"flight": EXAMPLE_FLIGHT}).json()["version"] == one.name


def test_the_champion_is_switched_and_answers_at_once(pair, one, two):
    assert pair.predict({"flight": EXAMPLE_FLIGHT}).json()["version"] == one.name
    answer = switch(pair, two.name, If_Match='"1"')
    body = answer.json()
    assert (answer.status_code, answer.headers["ETag"]) == (200, '"2"')
    assert (body["version"], body["previous"]) == (two.name, one.name)
    assert pair.predict({"flight": EXAMPLE_FLIGHT}).json()["version"] == two.name
    assert pair.request("GET", "/readyz").json()["version"] == two.name


def test_a_stale_switch_is_refused_also_after_there_and_back(pair, one, two):
    assert switch(pair, two.name, If_Match='"1"').status_code == 200
    assert switch(pair, one.name, If_Match='"2"').status_code == 200
    refused(switch(pair, two.name, If_Match='"1"'), 412, "precondition-failed", '"3"')
    refused(switch(pair, two.name, If_None_Match="*"), 412, "precondition-failed")
    assert pair.request("GET", "/v1/champion").json()["version"] == one.name


@pytest.mark.parametrize("tags", ['"1"', '"0", "1"', "*", ' "1" '])
def test_conditions_that_hold(pair, two, tags):
    assert switch(pair, two.name, If_Match=tags).status_code == 200


@pytest.mark.parametrize("tags", ['"0"', 'W/"1"', "1", "", '"1', '"01"', '"1"x'])
def test_conditions_that_do_not_hold(pair, two, tags):
    refused(switch(pair, two.name, If_Match=tags), 412, "precondition-failed")


def test_a_switch_needs_a_condition(pair, two):
    refused(switch(pair, two.name), 428, "precondition-needed", "If-Match")
    refused(switch(pair, two.name, If_None_Match='"1"'), 428, "precondition-needed")


def test_a_switch_can_be_repeated(pair, one, two):
    first = switch(pair, two.name, If_Match='"1"')
    for headers in ({"If_Match": '"1"'}, {"If_None_Match": "*"}, {}):
        again = switch(pair, two.name, **headers)
        assert (again.status_code, again.json()) == (200, first.json())
        assert again.headers["ETag"] == '"2"'


@pytest.mark.parametrize("version", [UNKNOWN, "", "../x", "x" * 64])
def test_a_switch_to_an_unknown_version(client, version):
    refused(switch(client, version, If_Match='"1"'), 404, "no-such-version")


def test_a_switch_to_a_damaged_bundle_leaves_the_old_one(pair, one, two):
    model = pair.service.store.folder / "models" / two.name / MODEL_FILE
    model.write_bytes(b"x" * model.stat().st_size)
    refused(switch(pair, two.name, If_Match='"1"'), 422, "bundle-refused", "SHA-256")
    assert pair.request("GET", "/v1/champion").json()["version"] == one.name
    assert pair.predict({"flight": EXAMPLE_FLIGHT}).json()["version"] == one.name


@pytest.mark.parametrize(
    ("content", "status", "kind"),
    [
        (b"", 400, "not-json"),
        (b"{", 400, "not-json"),
        (b"[" * 10_000, 400, "not-json"),
        (b"[]", 422, "invalid-input"),
        (b"{}", 422, "invalid-input"),
        (b'{"version": 1}', 422, "invalid-input"),
        (b'{"version": null}', 422, "invalid-input"),
        (b'{"version": "x", "more": 1}', 422, "invalid-input"),
        (b'{"version": "%s"}' % (b"x" * 65), 422, "invalid-input"),
        (b" " * 20_000, 413, "too-large"),
    ],
)
def test_a_wrong_switch(client, content, status, kind):
    headers = KEY | JSON | {"If-Match": '"1"'}
    answer = client.request("PUT", "/v1/champion", content=content, headers=headers)
    refused(answer, status, kind)


def test_a_switch_of_another_type(client):
    answer = client.request("PUT", "/v1/champion", content=b"{}", headers=KEY)
    refused(answer, 415, "wrong-media-type")


def test_a_champion_set_by_another_process_is_followed(pair, two):
    pair.service.store.set_champion(two.name, if_match=1)

    async def wait():
        while pair.service.predictions.model.version != two.name:
            await asyncio.sleep(0.01)

    pair.run(asyncio.wait_for(wait(), 10))
    assert pair.predict({"flight": EXAMPLE_FLIGHT}).json()["version"] == two.name


def test_a_damaged_champion_on_disk_leaves_the_old_one_in_service(pair, one, two, caplog):
    champion = pair.service.store.folder / "champion.json"
    sound = champion.read_bytes()
    champion.write_bytes(b"{}")
    pair.run(pair.service.follower.look())
    assert "the old one stays" in caplog.text
    assert pair.predict({"flight": EXAMPLE_FLIGHT}).json()["version"] == one.name
    refused(pair.request("GET", "/v1/champion"), 500, "damaged")
    champion.write_bytes(sound)
    pair.run(pair.service.follower.look())
    assert pair.request("GET", "/v1/champion").status_code == 200


def test_an_older_switch_that_finishes_late_does_not_win(pair, one, two):
    """The first writer's load ends after the second's switch: what is on disk counts."""
    store, follower = pair.service.store, pair.service.follower
    late = store.set_champion(two.name, if_match=1)
    follower.adopt(*store.set_champion(one.name, if_match=2))
    follower.adopt(*late)
    assert pair.service.predictions.model.version == one.name


# The key


def writes(one: Path) -> list[tuple[str, str]]:
    return [
        ("PUT", f"/v1/models/{one.name}"),
        ("DELETE", f"/v1/models/{one.name}"),
        ("PUT", "/v1/champion"),
    ]


@pytest.mark.parametrize(
    "header",
    [None, "", "Bearer", "Bearer wrong-key-of-length", "Basic a-key-for-tests-only", "Bearer \xe9"],
)
def test_writes_need_the_key(client, one, header):
    headers = {} if header is None else {"Authorization": header.encode("latin-1")}
    for method, path in writes(one):
        answer = client.request(method, path, headers=headers)
        refused(answer, 401, "key-needed", "Authorization: Bearer")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_without_a_key_writes_are_off(make_client, one):
    client = make_client(one, key=None)
    for method, path in writes(one):
        refused(client.request(method, path, headers=KEY), 403, "writes-off", "FLIGHT_DELAYS_KEY")
    assert client.request("GET", "/v1/models").status_code == 200


# The disk


def test_a_busy_store_says_when_to_come_again(client, two, monkeypatch):
    def busy(*_):
        raise StoreBusy("another writer held the lock for 10 s")

    monkeypatch.setattr(client.service.store, "add_archive", busy)
    answer = put(client, two)
    refused(answer, 503, "busy")
    assert answer.headers["Retry-After"] == "1"


def test_a_full_disk_is_no_stack_trace(client, two, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device", "/secret/path")

    monkeypatch.setattr(client.service.store, "add_archive", full)
    answer = put(client, two)
    refused(answer, 503, "busy")
    assert answer.headers["Retry-After"] == "10"
    assert "/secret/path" not in answer.text
    assert "No space left" in caplog.text


def test_what_was_switched_is_there_after_a_restart(make_client, pair, one, two):
    switch(pair, two.name, If_Match='"1"')
    state = shutil.copytree(pair.service.store.folder, pair.service.store.folder.with_name("copy"))
    again = make_client(state=state)
    assert again.predict({"flight": EXAMPLE_FLIGHT}).json()["version"] == two.name
