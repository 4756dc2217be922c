"""Lab 05, exercise 5: answers to try."""

from __future__ import annotations

_DEPLOY = """
def deploy(client, version, content, golden):
    seen = client.get("/v1/champion")
    old = seen.json()["version"]
    if not client.put(f"/v1/models/{version}", json=content).is_success:
        return "refused"
    tag = {"If-Match": seen.headers["etag"]}
    switched = client.put("/v1/champion", json={"version": version}, headers=tag)
    if not switched.is_success:
        return "refused"

    def works():
        if client.get("/readyz").status_code != 200:
            return False
        for row in golden:
            reply = client.post("/v1/predictions", json=row["flight"])
            if reply.status_code != 200 or reply.json()["version"] != version:
                return False
            probability = reply.json()["probability"]
            if probability is None or not abs(probability - row["probability"]) <= 0.0001:
                return False
        return True

    try:
        fine = works()
    except httpx.HTTPError:
        fine = False
    if fine:
        return "deployed"
    tag = {"If-Match": switched.headers["etag"]}
    client.put("/v1/champion", json={"version": old}, headers=tag)
    return "rolled back"
"""


def _deploy(old: str, new: str) -> str:
    assert old in _DEPLOY, old
    return _DEPLOY.replace(old, new)


DEPLOY_RIGHT = {
    "raise_for_status, one try": """
class Smoke(Exception):
    pass

def look(client, version, golden):
    client.get("/readyz").raise_for_status()
    for row in golden:
        reply = client.post("/v1/predictions", json=row["flight"]).raise_for_status().json()
        if reply.get("version") != version:
            raise Smoke(f"{reply.get('version')} answers")
        if not np.isclose(reply.get("probability") or -1, row["probability"], rtol=0, atol=1e-4):
            raise Smoke("another probability")

def deploy(client, version, content, golden):
    before = client.get("/v1/champion")
    try:
        client.put("/v1/models/" + version, json=content).raise_for_status()
        after = client.put(
            "/v1/champion", json={"version": version}, headers={"If-Match": before.headers["ETag"]}
        ).raise_for_status()
    except httpx.HTTPStatusError:
        return "refused"
    try:
        look(client, version, golden)
    except (httpx.HTTPError, Smoke):
        client.put("/v1/champion", json=before.json(), headers={"If-Match": after.headers["ETag"]})
        return "rolled back"
    return "deployed"
""",
    "looks who serves before the way back": _deploy(
        '    tag = {"If-Match": switched.headers["etag"]}\n    client.put("/v1/champion", json={"version": old}',
        '    now = client.get("/v1/champion")\n    if now.headers["etag"] != switched.headers["etag"]:\n'
        '        return "refused"\n    tag = {"If-Match": now.headers["etag"]}\n'
        '    client.put("/v1/champion", json={"version": old}',
    ),
}
DEPLOY_WRONG = {
    "nobody looks": (
        _deploy("        fine = works()", "        fine = True"),
        "Nobody looked at the service after the switch",
    ),
    "looks before the switch": (
        _deploy("        fine = works()", "        fine = looked").replace(
            '    tag = {"If-Match": seen.headers["etag"]}',
            '    looked = client.get("/readyz").status_code == 200 and all(\n'
            '        client.post("/v1/predictions", json=row["flight"]).is_success for row in golden\n    )\n'
            '    tag = {"If-Match": seen.headers["etag"]}',
            1,
        ),
        "Nobody looked at the service after the switch",
    ),
    "the status alone": (
        _deploy('probability is None or not abs(probability - row["probability"]) <= 0.0001', "False"),
        "it does not run the model that was judged",
    ),
    "the first row alone": (_deploy("for row in golden:", "for row in golden[:1]:"), "Each golden row is to be asked"),
    "readyz is not asked": (_deploy('client.get("/readyz").status_code != 200', "False"), "Nobody asked /readyz"),
    "the version is not looked at": (
        _deploy(' or reply.json()["version"] != version', ""),
        "The answers come from the old version",
    ),
    "a timeout goes through": (
        _deploy("except httpx.HTTPError", "except ZeroDivisionError"),
        "A timeout is a failed smoke test",
    ),
    "the first failure is not looked at": (
        _deploy(
            '    if not client.put(f"/v1/models/{version}", json=content).is_success:\n        return "refused"',
            '    client.put(f"/v1/models/{version}", json=content)',
        ),
        "Stop at the first failure",
    ),
    "rolled back although nothing was switched": (
        _deploy(
            '    if not switched.is_success:\n        return "refused"',
            '    if not switched.is_success:\n        return "rolled back"',
        ),
        "nothing is to be undone",
    ),
    "a fresh tag for the PUT": (
        _deploy(
            "headers=tag)\n    if not switched",
            'headers={"If-Match": client.get("/v1/champion").headers["etag"]})\n    if not switched',
        ),
        "The gate compared with the one you saw",
    ),
    "tries again after 412": (
        _deploy(
            "    if not switched.is_success:",
            "    if switched.status_code == 412:\n"
            '        tag = {"If-Match": client.get("/v1/champion").headers["etag"]}\n'
            '        switched = client.put("/v1/champion", json={"version": version}, headers=tag)\n'
            "    if not switched.is_success:",
        ),
        "412 is a refusal, not a reason",
    ),
    "no tag": (
        _deploy('json={"version": version}, headers=tag)', 'json={"version": version})'),
        "Nothing is wrong with this service",
    ),
    "a fresh tag for the way back": (
        _deploy(
            'tag = {"If-Match": switched.headers["etag"]}',
            'tag = {"If-Match": client.get("/v1/champion").headers["etag"]}',
        ),
        "your roll-back has overwritten that",
    ),
    "the tag of the first look for the way back": (
        _deploy('tag = {"If-Match": switched.headers["etag"]}', 'tag = {"If-Match": seen.headers["etag"]}'),
        "The old version must be back",
    ),
    "no way back": (
        _deploy('    client.put("/v1/champion", json={"version": old}, headers=tag)\n', ""),
        "The old version must be back",
    ),
    "true or false": (_deploy('return "deployed"', "return True"), "Give one of the three words"),
    "null is not thought of": (_deploy("probability is None or not", "not"), "stopped with an error"),
    "one right row is enough": (
        _deploy("        return True\n\n    try", "        return bool(near)\n\n    try")
        .replace("        for row in golden:", "        near = []\n        for row in golden:")
        .replace(
            'if probability is None or not abs(probability - row["probability"]) <= 0.0001:\n'
            "                return False",
            'if probability is not None and abs(probability - row["probability"]) <= 0.0001:\n'
            "                near.append(row)",
        ),
        "is wrong for one golden row",
    ),
    "lower probabilities pass": (
        _deploy('abs(probability - row["probability"])', 'probability - row["probability"]'),
        "is wrong for one golden row",
    ),
    "near enough": (_deploy("<= 0.0001", "<= 0.01"), "is wrong for one golden row"),
}
