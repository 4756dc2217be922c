"""Lab 03, exercises 3 and 4: answers to try."""

from __future__ import annotations

_RETRY = """
def add_create_once(app, desk):
    Candidate = candidate_model()

    @app.post("/screenings", status_code=201)
    def create(candidate: Candidate, response: Response, idempotency_key: Annotated[str | None, Header()] = None):
        details = candidate.model_dump()
        with desk.lock:
            screening = desk.receipts.get(idempotency_key)
            if screening and screening["candidate"] != details:
                raise HTTPException(422, "this key came with another candidate")
            if screening is None:
                version = desk.active
                score = score_text(desk.models[version].score(details))
                screening = desk.add(details, version, score)
                if idempotency_key is not None:
                    desk.receipts[idempotency_key] = screening
        response.headers["Location"] = f"/screenings/{screening['id']}"
        return screening
"""


def _retry(old: str, new: str) -> str:
    assert old in _RETRY, old
    return _RETRY.replace(old, new)


RETRY_RIGHT = {
    "a fingerprint and the response that was sent": """
import hashlib
import json
from fastapi import Request
from fastapi.responses import JSONResponse

def add_create_once(app, desk):
    Candidate = candidate_model()
    answers = {}

    @app.post("/screenings")
    async def create(candidate: Candidate, request: Request):
        key = request.headers.get("idempotency-key")
        details = candidate.model_dump()
        print_ = hashlib.sha256(json.dumps(details, sort_keys=True).encode()).hexdigest()
        if key in answers:
            known, answer = answers[key]
            if known != print_:
                return JSONResponse({"detail": "the key was used for another candidate"}, 422)
            return JSONResponse(*answer)
        version = desk.active
        kept = desk.add(details, version, score_text(desk.models[version].score(details)))
        answer = (dict(kept), 201, {"Location": f"/screenings/{kept['id']}"})
        if key:
            answers[key] = print_, answer
        return JSONResponse(*answer)
""",
    "receipts of ids, a function of its own": """
def make_screening(desk, details):
    version = desk.active
    return desk.add(details, version, score_text(desk.models[version].score(details)))["id"]

def add_create_once(app, desk):
    Candidate = candidate_model()

    @app.post("/screenings", status_code=201)
    def create(candidate: Candidate, response: Response, key: Annotated[str, Header(alias="Idempotency-Key")] = ""):
        details = candidate.model_dump()
        with desk.lock:
            if not key:
                number = make_screening(desk, details)
            elif key not in desk.receipts:
                number = desk.receipts[key] = make_screening(desk, details)
            else:
                number = desk.receipts[key]
            if desk.screenings[number]["candidate"] != details:
                raise HTTPException(422, "another candidate")
        response.headers["Location"] = f"/screenings/{number}"
        return desk.screenings[number]
""",
}

RETRY_WRONG = {
    "the key is not looked at": (_retry("desk.receipts.get(idempotency_key)", "None"), "a second screening was made"),
    "another header": (
        _retry(
            "idempotency_key: Annotated[str | None, Header()]",
            'idempotency_key: Annotated[str | None, Header(alias="X-Request-Id")]',
        ),
        "a second screening was made",
    ),
    "a query parameter": (_retry("Annotated[str | None, Header()]", "str | None"), "a second screening was made"),
    "one candidate, one screening": (
        _retry("desk.receipts.get(idempotency_key)", "desk.receipts.get(repr(details))")
        .replace("desk.receipts[idempotency_key]", "desk.receipts[repr(details)]")
        .replace("if idempotency_key is not None", "if True"),
        "nobody can know that the second POST is a repetition",
    ),
    "the key is asked for": (
        _retry("Annotated[str | None, Header()] = None", "Annotated[str, Header()]"),
        "201 is the status that says so",
    ),
    "no key is a key as well": (
        _retry(
            """\
                if idempotency_key is not None:
                    desk""",
            "                desk",
        ),
        "The first got 201, and then the second was refused",
    ),
    "one candidate, one screening, with a key": (
        _retry(
            "desk.receipts.get(idempotency_key)",
            "next((one for one in desk.receipts.values() if idempotency_key and one['candidate'] == details), None)",
        ),
        "Two keys mean two requests",
    ),
    "the old answer for another candidate": (
        _retry('if screening and screening["candidate"] != details', "if False"),
        "One key, two candidates",
    ),
    "the key stands for the skills": (
        _retry('screening["candidate"] != details', 'screening["candidate"]["skills"] != details["skills"]'),
        "One key, two candidates",
    ),
    "409 for a repetition": (
        _retry(
            """\
if screening and screening["candidate"] != details:
                raise HTTPException(422,""",
            """\
if screening:
                raise HTTPException(422 if screening["candidate"] != details else 409,""",
        ),
        "may have been lost on the way",
    ),
    "200 for a repetition": (
        _retry(
            """\
        with desk.lock:
""",
            """\
        with desk.lock:
            if idempotency_key in desk.receipts:
                response.status_code = 200
""",
        ),
        "may have been lost on the way",
    ),
    "no Location the second time": (
        _retry(
            "        response.headers",
            """\
        if screening['id'] in desk.receipts.setdefault('told', set()):
            return screening
        desk.receipts['told'].add(screening['id'])
        response.headers""",
        ),
        "lacks the Location of the first answer",
    ),
    "scored again": (
        _retry(
            "            if screening is None:",
            """\
            if screening:
                version = desk.active
                screening = {**screening, 'version': version, 'score': score_text(desk.models[version].score(details))}
            if screening is None:""",
        ),
        "got another answer than the first request",
    ),
    "scored again, the old answer given": (
        _retry(
            """\
        with desk.lock:
""",
            """\
        desk.models[desk.active].score(details)
        with desk.lock:
""",
        ),
        "was scored again",
    ),
    "only the last key is remembered": (
        _retry(
            "                    desk.receipts[idempotency_key]",
            """\
                    desk.receipts.clear()
                    desk.receipts[idempotency_key]""",
        ),
        "a second screening was made",
    ),
    "the key is noted before the work": (
        _retry(
            "            if screening is None:",
            """\
            if idempotency_key in desk.receipts and screening is None:
                raise HTTPException(409, 'still under way')
            if screening is None:
                if idempotency_key is not None:
                    desk.receipts[idempotency_key] = None""",
        ),
        "The client repeats with the same key, and now it must work",
    ),
    "the key is spent by a refusal": (
        """
from fastapi import Request
from fastapi.responses import JSONResponse

def add_create_once(app, desk):
    Candidate = candidate_model()

    @app.post("/screenings", status_code=201)
    def create(body: dict, response: Response, idempotency_key: Annotated[str | None, Header()] = None):
        first = desk.receipts.setdefault(idempotency_key, body) if idempotency_key else body
        if first != body:
            raise HTTPException(422, "this key came with another candidate")
        try:
            details = Candidate.model_validate(body).model_dump()
        except ValueError:
            raise HTTPException(422, "not a candidate") from None
        known = desk.receipts.get((idempotency_key, "kept")) if idempotency_key else None
        if known is None:
            version = desk.active
            known = desk.add(details, version, score_text(desk.models[version].score(details)))
            desk.receipts[idempotency_key, "kept"] = known
        response.headers["Location"] = f"/screenings/{known['id']}"
        return known
""",
        "was refused; corrected, it must pass",
    ),
}

_READ = """
def add_read(app, desk):
    @app.get("/screenings/{number}")
    def one(number: int):
        if number not in desk.screenings:
            raise HTTPException(404, "no such screening")
        return desk.screenings[number]

    @app.get("/screenings")
    def page(limit: Annotated[int, Query(ge=1, le=50)] = 20, cursor: Annotated[int | None, Query(ge=1)] = None):
        older = [n for n in sorted(desk.screenings, reverse=True) if cursor is None or n < cursor]
        shown = older[:limit]
        following = str(shown[-1]) if len(older) > limit else None
        return {"items": [desk.screenings[n] for n in shown], "next": following}
"""
_OFFSET = """
    @app.get("/screenings")
    def page(limit: Annotated[int, Query(ge=1, le=50)] = 20, cursor: Annotated[int, Query(ge=0)] = 0):
        newest = sorted(desk.screenings, reverse=True)
        following = str(cursor + limit) if cursor + limit < len(newest) else None
        return {"items": [desk.screenings[n] for n in newest[cursor : cursor + limit]], "next": following}
"""


def _read(old: str, new: str) -> str:
    assert old in _READ, old
    return _READ.replace(old, new)


READ_RIGHT = {
    "an opaque cursor, one more read than shown": """
import base64
from itertools import islice

def add_read(app, desk):
    def read_cursor(cursor):
        if cursor is None:
            return float("inf")
        try:
            return int(base64.urlsafe_b64decode(cursor.encode()).decode().removeprefix("below "))
        except ValueError:
            raise HTTPException(422, "this cursor was not made here") from None

    @app.get("/screenings")
    async def pages(limit: int = 20, cursor: str | None = None):
        if not 1 <= limit <= 50:
            raise HTTPException(422, "limit lies between 1 and 50")
        below = read_cursor(cursor)
        found = list(islice((n for n in reversed(desk.screenings) if n < below), limit + 1))
        more = len(found) > limit
        found = found[:limit]
        mark = base64.urlsafe_b64encode(f"below {found[-1]}".encode()).decode() if more else None
        return {"next": mark, "items": [desk.screenings[n] for n in found]}

    @app.get("/screenings/{number}")
    async def single(number: str):
        screening = desk.screenings.get(int(number) if number.isdecimal() else None)
        if screening is None:
            raise HTTPException(404)
        return screening
""",
    "the cursor names the first of the next page": _read("n < cursor", "n <= cursor").replace(
        "str(shown[-1])", "str(older[limit])"
    ),
}

READ_WRONG = {
    "by offset": (
        _READ[
            : _READ.index("""
    @app.get("/screenings")
""")
        ]
        + _OFFSET,
        "some stand on two of them",
    ),
    "corrected the wrong way for what was added": (
        _read(
            "older = [n",
            """\
total = desk.receipts.setdefault('total', len(desk.screenings))
        older = [n""",
        ).replace("n < cursor]", "n < cursor - (len(desk.screenings) - total)]"),
        "stand on none",
    ),
    "oldest first": (
        _read(
            "sorted(desk.screenings, reverse=True) if cursor is None or n < cursor",
            "sorted(desk.screenings) if cursor is None or n > cursor",
        ),
        "not newest first",
    ),
    "200 for what is not there": (
        _read('raise HTTPException(404, "no such screening")', 'return {"error": "no such screening"}'),
        "404 is the status that says so",
    ),
    "KeyError": (
        _read(
            """\
        if number not in desk.screenings:
            raise HTTPException(404, "no such screening")
""",
            "",
        ),
        "Your app stopped with an error",
    ),
    "scores again": (
        _read(
            "        return desk.screenings[number]",
            """\
        kept = desk.screenings[number]
        kept['version'] = desk.active
        kept['score'] = score_text(desk.models[desk.active].score(kept['candidate']))
        return kept""",
        ),
        "The same GET gave another answer",
    ),
    "counts its readers": (
        _read(
            "        return desk.screenings[number]",
            """\
        kept = desk.screenings[number]
        kept['seen'] = kept.get('seen', 0) + 1
        return kept""",
        ),
        "The same GET gave another answer",
    ),
    "marks what was read": (
        _read(
            "        return desk.screenings[number]",
            """\
        kept = dict(desk.screenings[number])
        desk.screenings[number]['read'] = True
        return {k: v for k, v in kept.items() if k != 'read'}""",
        ).replace(
            "[desk.screenings[n] for n in shown]",
            "[{k: v for k, v in desk.screenings[n].items() if k != 'read'} for n in shown]",
        ),
        "GET has changed the desk",
    ),
    "a model is asked": (
        _read(
            "        return desk.screenings[number]",
            """\
        kept = desk.screenings[number]
        desk.models[desk.active].score(kept['candidate'])
        return kept""",
        ),
        "GET has scored a candidate again",
    ),
    "a next page that is empty": (
        _read("if len(older) > limit else", "if len(shown) == limit else"),
        "asks for a page in vain",
    ),
    "next always": (_read("if len(older) > limit else None", "if shown else '1'"), "asks for a page in vain"),
    "the cursor is included": (_read("n < cursor", "n <= cursor"), "A screening stands on two pages"),
    "no next": (_read('"next": following', '"next": None'), "not every screening has been shown"),
    "limit ignored": (
        _read("older[:limit]", "older").replace("if len(older) > limit else", "if False else"),
        "`limit` says",
    ),
    "a bare list": (
        _read(
            'return {"items": [desk.screenings[n] for n in shown], "next": following}',
            "return [desk.screenings[n] for n in shown]",
        ),
        "not a JSON object",
    ),
    "any limit": (_read("Annotated[int, Query(ge=1, le=50)]", "int"), "A limit lies between 1 and 50"),
    "never more than 20": (_read("older[:limit]", "older[: min(limit, 20)]"), "A limit of 50 is allowed"),
    "a list of ids": (
        _read("[desk.screenings[n] for n in shown]", '[{"id": n} for n in shown]'),
        "not the screening as it was kept",
    ),
    "all where no limit is given": (_read("= 20, cursor", "= 50, cursor"), "Without a limit a page holds 20"),
    "a bad cursor is the first page": (
        _read(
            "cursor: Annotated[int | None, Query(ge=1)] = None):",
            """\
cursor: str | None = None):
        cursor = int(cursor) if cursor and cursor.isdecimal() else None""",
        ),
        "This cursor was never given out",
    ),
    "a bad cursor is a 500": (
        _read(
            "cursor: Annotated[int | None, Query(ge=1)] = None):",
            """\
cursor: str | None = None):
        cursor = int(cursor) if cursor else None""",
        ),
        "Your app stopped with an error",
    ),
}
