"""Lab 02: answers to `errors`, `health` and `service`. See the package's docstring for the form."""

from __future__ import annotations

_ERRORS = """
def add_errors(app):
    def problem(status, detail, headers=None, **more):
        body = {{"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **more}}
        return {response}

    @app.exception_handler(RequestValidationError)
    async def invalid(request, error):
        kind = request.headers.get("content-type", "").split(";")[0]
        if {not_json}:
            return problem(415, "JSON only")
        if {unreadable}:
            return problem(400, "no JSON")
        errors = [{fault} for fault in error.errors()]
        return problem({invalid}, "invalid", errors=errors)

    @app.exception_handler({http})
    async def refused(request, error):
        return problem(error.status_code, {detail}, {headers})

    @app.exception_handler(Exception)
    async def unexpected(request, error):
        return {unexpected}
"""


def _errors(**changes: str) -> str:
    parts = {
        "response": 'JSONResponse(body, status, headers, media_type="application/problem+json")',
        "not_json": 'error.errors()[0]["loc"][0] == "body" and kind != "application/json"',
        "unreadable": 'error.errors()[0]["type"] == "json_invalid"',
        "fault": '{"field": str(fault["loc"][-1]), "message": fault["msg"]}',
        "invalid": "422",
        "http": "StarletteHTTPException",
        "detail": "error.detail",
        "headers": "error.headers",
        "unexpected": 'problem(500, "It is our fault.")',
    }
    return _ERRORS.format(**(parts | changes))


ERRORS_RIGHT = {
    "another wording": _errors(),
    "registered by name, type checked in a middleware": """
import json
from starlette.responses import Response

def add_errors(app):
    def document(status, detail, **more):
        content = json.dumps({"title": "Problem", "status": status, "detail": detail} | more).encode()
        return content

    def answer(status, detail, headers=None, **more):
        kind = {"content-type": "application/problem+json; charset=utf-8"}
        return Response(document(status, detail, **more), status, {**(headers or {}), **kind})

    @app.middleware("http")
    async def json_only(request, call_next):
        kind = request.headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        if request.method in ("POST", "PUT") and kind != "application/json":
            return answer(415, f"{kind} is not JSON")
        return await call_next(request)

    async def invalid(request, error):
        types = {one["type"] for one in error.errors()}
        if "json_invalid" in types:
            return answer(400, "cannot be read")
        faults = [dict(field=str(one["loc"][-1]), message=one["msg"]) for one in error.errors()]
        return answer(422, "cannot be used", errors=faults)

    async def refused(request, error):
        return answer(error.status_code, str(error.detail), error.headers)

    async def unexpected(request, error):
        return answer(500, "unexpected")

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(StarletteHTTPException, refused)
    app.add_exception_handler(Exception, unexpected)
""",
}
ERRORS_WRONG = {
    "the input is repeated": (
        _errors(fault='{"field": str(fault["loc"][-1]), "message": fault["msg"], "input": fault["input"]}'),
        "the answer repeats the input",
    ),
    "200 for everything": (
        _errors(response='JSONResponse(body, 200, headers, media_type="application/problem+json")'),
        "200 says that all went well",
    ),
    "415 for a GET": (_errors(not_json='kind != "application/json"'), "A GET has no body and so no content type"),
    "a content type is always there": (
        _errors(
            not_json='error.errors()[0]["loc"][0] == "body" and "json" not in request.headers["content-type"]',
        ),
        "names no content type at all",
    ),
    "a field is always there": (
        _errors(fault='{"field": fault["loc"][1], "message": fault["msg"]}'),
        "The body is a list, so no field is to blame",
    ),
    "the value in the message": (
        _errors(fault="""{"field": str(fault["loc"][-1]), "message": f"{fault['msg']}, not {fault['input']}"}"""),
        "The answer repeats the value that was sent",
    ),
    "the error's own text": (
        _errors(unexpected="problem(500, str(error))"),
        "The client reads the error's own text",
    ),
    "a traceback": (
        "import traceback\n" + _errors(unexpected='problem(500, "".join(traceback.format_exception(error)))'),
        "The client is shown a traceback",
    ),
    "plain JSON": (_errors(response="JSONResponse(body, status, headers)"), "is not marked as a problem document"),
    "422 for all that is wrong with a body": (
        _errors(unreadable="False"),
        "The body is not JSON. That is 400",
    ),
    "400 for all that is wrong with a body": (
        _errors(invalid="400"),
        "422 is the status for content that breaks the rules",
    ),
    "any content type": (_errors(not_json="False"), "415 is the status for that"),
    "a charset is too much": (
        _errors()
        + """
    @app.middleware("http")
    async def json_only(request, call_next):
        if request.method == "POST" and request.headers.get("content-type") != "application/json":
            return problem(415, "JSON only")
        return await call_next(request)
""",
        "A request without a fault is refused",
    ),
    "FastAPI's HTTPException alone": (_errors(http="HTTPException"), "is not marked as a problem document"),
    "headers are lost": (_errors(headers="None"), "is lost on the way through your handler"),
    "the detail is lost": (_errors(detail='"refused"'), "The endpoint said why, and the client is not told"),
    "the field is not named": (
        _errors(fault='{"field": "body", "message": fault["msg"]}'),
        "no `field` in `errors` says so",
    ),
    "no list of errors": (_errors(fault='fault["msg"]'), "`errors` is a list with an object for each fault"),
    "the status is a text": (
        _errors().replace('"status": status', '"status": str(status)'),
        "must be the status of the response",
    ),
    "nothing for what nobody expected": (
        _errors().split("    @app.exception_handler(Exception)")[0],
        "is not marked as a problem document",
    ),
}

_HEALTH = """
def add_health(app):
    {before}
    @app.get("/livez")
    def live(request: Request):
        {live}

    @app.get("/readyz")
    def ready(request: Request):
        {ready}
"""


def _health(**changes: str) -> str:
    parts = {
        "before": "",
        "live": "return {}",
        "ready": """found = getattr(request.app.state, "model", None)
        if not found: raise HTTPException(503)
        return {"version": found.version}""",
    }
    return _HEALTH.format(**(parts | changes))


HEALTH_RIGHT = {
    "the status set on the response": """
from fastapi import APIRouter, Response

def add_health(app):
    router = APIRouter(tags=["health"])

    @router.get("/livez")
    async def livez():
        return "alive"

    @router.get("/readyz")
    async def readyz(response: Response):
        try:
            return {"ready": True, "version": app.state.model.version}
        except AttributeError:
            response.status_code = 503
            return {"ready": False}

    app.include_router(router)
""",
    "responses by hand": _health(
        live='return JSONResponse("yes")',
        ready="""found = getattr(app.state, "model", None)
        return JSONResponse({"version": found and found.version}, 200 if found else 503)""",
    ),
}
HEALTH_WRONG = {
    "always ready": (
        _health(
            ready="""found = getattr(request.app.state, "model", None)
        return {"version": found and found.version}"""
        ),
        "The app says that it is ready and has no model",
    ),
    "the status is in the body": (
        _health(
            ready="""found = getattr(request.app.state, "model", None)
        return {"status": 200 if found else 503, "version": found.version if found else None}"""
        ),
        "The app says that it is ready and has no model",
    ),
    "looked for when the endpoint was made": (
        _health(
            before='found = getattr(app.state, "model", None)',
            ready="""if found is None: raise HTTPException(503)
        return {"version": found.version}""",
        ),
        "or once, when the endpoint was made",
    ),
    "remembers that it was ready": (
        _health(
            before="seen = []",
            ready="""found = getattr(request.app.state, "model", None)
        if found: seen.append(found)
        if not seen: raise HTTPException(503)
        return {"version": seen[-1].version}""",
        ),
        "The app says that it is ready and has no model",
    ),
    "no model at all is an error": (
        _health(ready="return {'version': request.app.state.model.version}"),
        "an error of your code, not the answer that the app is not ready",
    ),
    "not ready is dead": (
        _health(
            live="""if getattr(request.app.state, "model", None) is None: raise HTTPException(503)
        return {}"""
        ),
        "Who is told that the process is dead kills it",
    ),
    "404 while there is no model": (
        _health(
            ready="""found = getattr(request.app.state, "model", None)
        if not found: raise HTTPException(404)
        return {"version": found.version}"""
        ),
        "There is nothing at this address",
    ),
    "no version": (
        _health(
            ready="""if getattr(request.app.state, "model", None) is None: raise HTTPException(503)
        return {"status": "ready"}"""
        ),
        "The answer lacks version",
    ),
}

_SERVICE = """
def create_service(load):
    app = create_app(load)
    app.title = "Flights"
    add_predictions(app)
    add_batches(app)
    add_errors(app)
    add_health(app)
    {more}
    return app
"""
SERVICE_RIGHT = {
    "one after the other": _SERVICE.format(more='app.version = "1.2.3"'),
    "mounted in an app of its own": """
def create_service(load):
    app = create_app(load)
    app.title, app.description = "Late flights", "Will it be late?"
    for add in (add_health, add_errors, add_batches, add_predictions):
        add(app)

    async def outer(scope, receive, send):
        await app(scope, receive, send)

    return outer
""",
    "an example beside the body": """
from fastapi import Body

def create_service(load):
    app = create_app(load)
    app.title = "Late flights"
    Flight = flight_model()
    example = {"origin": "EWR", "departure_minute": 700, "distance": 200}
    Documented = Annotated[Flight, Body(openapi_examples={"short": {"value": example}})]

    class Prediction(BaseModel):
        probability: float
        late: bool
        version: str

    @app.post("/predictions", response_model=Prediction)
    def predict(flight: Documented, request: Request):
        model = request.app.state.model
        p = float(model.predict({name: [value] for name, value in flight})[0])
        return {"probability": p, "late": p >= model.threshold, "version": model.version}

    for add in (add_batches, add_errors, add_health):
        add(app)
    return app
""",
}
_OWN = """
from fastapi import Body
_ours = add_predictions

def add_predictions(app):
    Flight = flight_model()
    {before}
    @app.post("/predictions")
    def predict(flight: {body}, request: Request){returns}:
        model = request.app.state.model
        p = float(model.predict({{name: [value] for name, value in flight}})[0])
        return {{"probability": p, "late": p >= model.threshold, "version": model.version}}
"""
SERVICE_WRONG = {
    "no title": (
        _SERVICE.format(more='app.title = "FastAPI"'),
        "The title is the framework's",
    ),
    "a part is missing": (
        _SERVICE.format(more="").replace("    add_batches(app)\n", ""),
        "There is nothing at this address",
    ),
    "errors as they were": (
        _SERVICE.format(more="").replace("    add_errors(app)\n", ""),
        "is not marked as a problem document",
    ),
    "no documentation": (
        _SERVICE.format(more="").replace(
            "    app = create_app(load)",
            "    inner = create_app(load)\n    app = FastAPI(docs_url=None, lifespan=inner.router.lifespan_context)"
            '\n    app.get("/model")(lambda request: {})\n    app.router.routes[-1:] = inner.router.routes[-1:]',
        ),
        "The page for people is gone",
    ),
    "no return type": (
        _OWN.format(before="", body="Flight", returns="") + _SERVICE.format(more=""),
        "does not say what a prediction looks like",
    ),
    "an example that is refused": (
        _OWN.format(
            before='example = {"origin": "string", "departure_minute": 0, "distance": 0}',
            body="Annotated[Flight, Body(examples=[example])]",
            returns="",
        )
        + _SERVICE.format(more=""),
        "refuses the example of its own documentation",
    ),
    "hidden endpoints": (
        _SERVICE.format(more="for route in app.router.routes[-2:]: route.include_in_schema = False"),
        "is not in the documentation",
    ),
    "the notebook's model": (
        _SERVICE.format(more="").replace("create_app(load)", 'create_app(lambda: Model("2013-06", 0.25, None))'),
        "The service starts without a bundle",
    ),
    "loaded for each request": (
        _SERVICE.format(
            more="""
    @app.middleware("http")
    async def fresh(request, call_next):
        app.state.model = load()
        return await call_next(request)"""
        ),
        "must name the version of the model that gave it",
    ),
}
