"""Lab 03, exercises 5 and 6: answers to try."""

from __future__ import annotations

_MODELS = """
def add_models(app, desk):
    class Recipe(BaseModel):
        model_config = ConfigDict(extra="forbid")
        features: list[str]

    def described(version):
        return {"version": version, "features": list(desk.models[version].features)}

    @app.get("/models/{version}")
    def show(version: str):
        if version not in desk.models:
            raise HTTPException(404, "no such version")
        return described(version)

    @app.put("/models/{version}")
    def put(version: Annotated[str, Path(pattern="^v[0-9]+$")], recipe: Recipe, response: Response):
        try:
            model = desk.fit(recipe.features)
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
        if version == desk.active:
            raise HTTPException(409, "active")
        response.status_code = 200 if version in desk.models else 201
        desk.models[version] = model
        return described(version)

    @app.delete("/models/{version}", status_code=204)
    def delete(version: str):
        if version == desk.active:
            raise HTTPException(409, "active")
        if version not in desk.models:
            raise HTTPException(404, "no such version")
        del desk.models[version]
"""


def _models(old: str, new: str) -> str:
    assert old in _MODELS, old
    return _MODELS.replace(old, new)


MODELS_RIGHT = {
    "validated by pydantic, responses of its own": """
import re
from typing import Literal
from fastapi import APIRouter
from fastapi.responses import JSONResponse

def add_models(app, desk):
    Feature = Literal["skills", "years", "gap_years"]
    router = APIRouter(prefix="/models")

    class Recipe(BaseModel, extra="forbid"):
        features: list[Feature] = Field(min_length=1)

    def found(version):
        if version not in desk.models:
            raise HTTPException(404)
        return {"features": sorted(desk.models[version].features), "version": version}

    @router.get("/{version}")
    async def read(version: str):
        return found(version)

    @router.put("/{version}")
    async def write(version: str, recipe: Recipe):
        if not re.fullmatch("v[0-9]+", version) or len(set(recipe.features)) < len(recipe.features):
            return JSONResponse({"detail": "no such name, or a feature twice"}, 422)
        if version == desk.active:
            return JSONResponse({"detail": "active"}, 409)
        status = 200 if version in desk.models else 201
        desk.models[version] = desk.fit(sorted(recipe.features))
        return JSONResponse(found(version), status, headers={"Location": f"/models/{version}"})

    @router.delete("/{version}")
    async def remove(version: str):
        if desk.active == version:
            raise HTTPException(409)
        found(version)
        desk.models.pop(version)
        return Response(status_code=204)

    app.include_router(router)
""",
}

MODELS_WRONG = {
    "200 for what is not there": (
        _models(
            """\
            raise HTTPException(404, "no such version")
        return described""",
            """\
            return None
        return described""",
        ),
        "There is no such version, and 404 says so",
    ),
    "a GET that fits what is missing": (
        _models(
            """\
            raise HTTPException(404, "no such version")
        return described""",
            """\
            desk.models[version] = desk.fit(["skills"])
        return described""",
        ),
        "404 says so",
    ),
    "always 200": (_models("200 if version in desk.models else 201", "200"), "The version is new: 201"),
    "always 201": (_models("200 if version in desk.models else 201", "201"), "the second must be as welcome"),
    "409 the second time": (
        _models(
            """\
        if version == desk.active:
            raise HTTPException(409, "active")
        response""",
            """\
        if version in desk.models:
            raise HTTPException(409, "there is one")
        response""",
        ),
        "the second must be as welcome",
    ),
    "a new name the second time": (
        _models(
            """\
        response.status_code = 200 if version in desk.models else 201
""",
            """\
        response.status_code = 200 if version in desk.models else 201
        if version in desk.models:
            version = f'v{len(desk.models) + 1}'
""",
        ),
        "gave two different answers",
    ),
    "a copy kept the second time": (
        _models(
            """\
        desk.models[version] = model
""",
            """\
        if version in desk.models:
            desk.models[version + '0'] = desk.models[version]
        desk.models[version] = model
""",
        ),
        "others than after one",
    ),
    "features are added": (
        _models(
            "desk.fit(recipe.features)",
            "desk.fit(sorted({*recipe.features, *(desk.models[version].features if version in desk.models else ())}))",
        ),
        "which version it is, and its features",
    ),
    "the first PUT stays": (
        _models("desk.models[version] = model", "desk.models.setdefault(version, model)"),
        "which version it is, and its features",
    ),
    "the model of another version": (
        _models(
            "desk.models[version] = model",
            'desk.models[version] = type(model)(model.features, desk.models["v1"].pipeline)',
        ),
        "does not score as a model on",
    ),
    "active at once": (
        _models(
            "desk.models[version] = model",
            """\
desk.models[version] = model
        desk.active = version""",
        ),
        "Nobody asked for that",
    ),
    "ValueError lets through": (
        _models(
            """\
        try:
            model = desk.fit(recipe.features)
        except ValueError as error:
            raise HTTPException(422, str(error)) from None
""",
            """\
        model = desk.fit(recipe.features)
""",
        ),
        "Your app stopped with an error. This describes no model",
    ),
    "a traceback for the client": (
        _models(
            "raise HTTPException(422, str(error)) from None",
            "import traceback; raise HTTPException(422, traceback.format_exc()) from None",
        ),
        "shown a traceback",
    ),
    "removed before it is checked": (
        _models(
            """\
        try:
            model""",
            """\
        desk.models.pop(version, None) if version != desk.active else None
        try:
            model""",
        ),
        "has changed the versions all the same",
    ),
    "unknown fields accepted": (
        _models('model_config = ConfigDict(extra="forbid")', "pass"),
        "a field nobody asked for",
    ),
    "any name": (_models('Annotated[str, Path(pattern="^v[0-9]+$")]', "str"), "would be another model every week"),
    "any name with a v": (_models("^v[0-9]+$", "^v"), "v and a whole number"),
    "a number in the name": (_models("^v[0-9]+$", "v[0-9]+"), "v and a whole number"),
    "200 for a DELETE": (_models(", status_code=204)", ")"), "there is nothing more to say: 204"),
    "a second DELETE is a 500": (
        _models(
            """\
        if version not in desk.models:
            raise HTTPException(404, "no such version")
        del""",
            "        del",
        ),
        "Your app stopped with an error. DELETE again",
    ),
    "a second DELETE is a 204": (
        _models(
            """\
        if version not in desk.models:
            raise HTTPException(404, "no such version")
        del desk.models[version]""",
            "        desk.models.pop(version, None)",
        ),
        "DELETE again: the version is gone",
    ),
    "a DELETE of the last one": (
        _models(
            """\
        if version not in desk.models:
            raise HTTPException(404, "no such version")
        del desk.models[version]""",
            """\
        if version not in desk.models:
            desk.models.popitem()
            raise HTTPException(404, "no such version")
        del desk.models[version]""",
        ),
        "has removed another version",
    ),
    "the active version may go": (
        _models(
            """\
    def delete(version: str):
        if version == desk.active:
            raise HTTPException(409, "active")
""",
            """\
    def delete(version: str):
""",
        ),
        "is scoring candidates right now",
    ),
    "the version active at the start may not go": (
        _models("    class Recipe", "    active = desk.active\n\n    class Recipe").replace(
            "== desk.active", "== active"
        ),
        "active since a moment ago",
    ),
    "the active version may be replaced": (
        _models(
            """\
        if version == desk.active:
            raise HTTPException(409, "active")
        response""",
            "        response",
        ),
        "other scores than those on record",
    ),
    "deleted, and then 409": (
        _models(
            """\
        if version == desk.active:
            raise HTTPException(409, "active")
        if version not""",
            """\
        if version == desk.active:
            del desk.models[version]
            raise HTTPException(409, "active")
        if version not""",
        ),
        "409 said that nothing happened",
    ),
}

_ACTIVE = """
def add_active(app, desk):
    class Choice(BaseModel):
        model_config = ConfigDict(extra="forbid")
        version: str

    def tag():
        return f'"{desk.active}"'

    @app.get("/active")
    def show(response: Response):
        response.headers["ETag"] = tag()
        return {"version": desk.active}

    @app.put("/active")
    def switch(choice: Choice, response: Response, if_match: Annotated[str | None, Header()] = None):
        with desk.lock:
            if if_match is None:
                raise HTTPException(428, "send If-Match")
            if if_match != tag():
                raise HTTPException(412, "look again")
            if choice.version not in desk.models:
                raise HTTPException(422, "no such version")
            desk.activate(choice.version)
            response.headers["ETag"] = tag()
            return {"version": desk.active}
"""


def _active(old: str, new: str) -> str:
    assert old in _ACTIVE, old
    return _ACTIVE.replace(old, new)


ACTIVE_RIGHT = {
    "a hash, and a dependency that looks at the header": """
import hashlib
from fastapi import Depends
from fastapi.responses import JSONResponse

def add_active(app, desk):
    class Wish(BaseModel, extra="forbid", strict=True):
        version: str

    def state():
        mark = hashlib.sha256(desk.active.encode()).hexdigest()[:16]
        return JSONResponse({"version": desk.active}, headers={"ETag": f'"{mark}"'})

    async def current(if_match: str | None = Header(default=None)):
        if not if_match:
            raise HTTPException(428)
        if if_match not in ("*", state().headers["etag"]):
            raise HTTPException(412)

    @app.get("/active")
    async def read():
        return state()

    @app.put("/active", dependencies=[Depends(current)])
    async def write(wish: Wish):
        try:
            desk.activate(wish.version)
        except KeyError:
            raise HTTPException(422, f"no version {wish.version}") from None
        return state()
""",
    "a counter": """
def add_active(app, desk):
    changes = {"count": 0, "version": desk.active}

    class Choice(BaseModel, extra="forbid"):
        version: str

    def answer(response):
        if changes["version"] != desk.active:
            changes.update(count=changes["count"] + 1, version=desk.active)
        response.headers["ETag"] = '"' + str(changes["count"]) + '"'
        return {"version": desk.active}

    @app.get("/active")
    def read(response: Response):
        return answer(response)

    @app.put("/active")
    def write(choice: Choice, response: Response, seen: Annotated[str | None, Header(alias="If-Match")] = None):
        with desk.lock:
            answer(response)
            if seen is None:
                raise HTTPException(status_code=428, detail="which state have you seen?")
            if seen != response.headers["ETag"]:
                raise HTTPException(status_code=412, detail="not the current state")
            if choice.version not in desk.models:
                raise HTTPException(status_code=422, detail="no such version")
            desk.active = choice.version
            return answer(response)
""",
}

ACTIVE_WRONG = {
    "no ETag": (
        _active(
            """\
        response.headers["ETag"] = tag()
        return""",
            "        return",
        ),
        "There is no ETag header",
    ),
    "without quotes": (_active("""f'"{desk.active}"'""", "desk.active"), "text in double quotes"),
    "a weak ETag": (_active("""f'"{""", """f'W/"{"""), "text in double quotes"),
    "the same ETag always": (_active("""f'"{desk.active}"'""", """'"active"'"""), "the ETag is the same"),
    "another ETag each time": (
        _active(
            """return f'"{desk.active}"'""",
            """desk.receipts["n"] = desk.receipts.get("n", 0) + 1\n        return f'"{desk.receipts["n"]}"'""",
        ),
        "Nothing has changed between two GETs",
    ),
    "If-Match ignored": (_active("if if_match != tag()", "if False"), "must be told: 412"),
    "switched, then 412": (
        _active(
            "            if if_match != tag():",
            """\
            before = tag()
            if choice.version in desk.models:
                desk.activate(choice.version)
            if if_match != before:""",
        ),
        "412 said that nothing happened",
    ),
    "If-Match may be missing": (
        _active(
            """\
            if if_match is None:
                raise HTTPException(428, "send If-Match")
            if if_match != tag()""",
            "            if if_match is not None and if_match != tag()",
        ),
        "may overwrite what somebody else has just done",
    ),
    "422 where If-Match is missing": (
        _active("if_match: Annotated[str | None, Header()] = None", "if_match: Annotated[str, Header()]"),
        "428 asks for the If-Match header",
    ),
    "409 for a stale tag": (_active("HTTPException(412", "HTTPException(409"), "must be told: 412"),
    "any version": (
        _active(
            """\
            if choice.version not in desk.models:
                raise HTTPException(422, "no such version")
            desk.activate(choice.version)""",
            "            desk.active = choice.version",
        ),
        "what the body asks for cannot be done",
    ),
    "KeyError": (
        _active(
            """\
            if choice.version not in desk.models:
                raise HTTPException(422, "no such version")
""",
            "",
        ),
        "Your app stopped with an error",
    ),
    "404 for the body's version": (_active("HTTPException(422", "HTTPException(404"), "The address exists"),
    "200 for everything": (
        _active('raise HTTPException(412, "look again")', 'return {"error": "look again"}'),
        "must be told: 412",
    ),
    "already active is a conflict": (
        _active(
            "            desk.activate",
            """\
            if choice.version == desk.active:
                raise HTTPException(409, "it is active already")
            desk.activate""",
        ),
        "That is no conflict",
    ),
    "a switch that toggles": (
        _active(
            "desk.activate(choice.version)", 'desk.activate(choice.version if choice.version != desk.active else "v1")'
        ),
        "The body is",
    ),
    "nothing is switched": (
        _active("desk.activate(choice.version)", "pass").replace(
            '            return {"version": desk.active}', '            return {"version": choice.version}'
        ),
        "goes on with the old version",
    ),
    "the ETag of before": (
        _active(
            """\
            desk.activate(choice.version)
            response.headers["ETag"] = tag()""",
            """\
            response.headers["ETag"] = tag()
            desk.activate(choice.version)""",
        ),
        "the ETag is the same",
    ),
    "a GET that switches": (
        _active(
            """\
    def show(response: Response):
""",
            """\
    def show(response: Response):
        desk.active = "v1"
""",
        ),
        "The body is",
    ),
    "unknown fields accepted": (
        _active(
            """\
        model_config = ConfigDict(extra="forbid")
""",
            "",
        ),
        "what the body asks for cannot be done",
    ),
}
