"""Lab 03, exercises 1 to 4 and 7: answers to try."""

from __future__ import annotations

_CANDIDATE = '''
def candidate_model():
    class Candidate(BaseModel):
        model_config = ConfigDict({config})
        skills: Annotated[list[{skill}], Field({skills})]
        years: {years}
        gap_years: Annotated[int, Field(ge=0, le=60)]
    return Candidate

def score_text(score):
    return {text}
'''
_RIGHT_PARTS = {
    "config": 'extra="forbid", strict=True',
    "skill": r'Annotated[str, Field(min_length=1, max_length=40, pattern=r"\S")]',
    "skills": "min_length=1, max_length=30",
    "years": "Annotated[int, Field(ge=0, le=60)]",
    "text": 'f"{score:.4f}"',
}


def _candidate(**parts: str) -> str:
    return _CANDIDATE.format(**(_RIGHT_PARTS | parts))


CANDIDATE_RIGHT = {
    "validators and Decimal": '''
from decimal import Decimal
from pydantic import StrictInt, StrictStr, conint, conlist, field_validator

def candidate_model():
    class Details(BaseModel, extra="forbid"):
        skills: conlist(StrictStr, min_length=1, max_length=30)
        years: conint(strict=True, ge=0, le=60)
        gap_years: StrictInt

        @field_validator("skills")
        @classmethod
        def neither_blank_nor_long(cls, skills):
            if any(not skill.strip() or len(skill) > 40 for skill in skills):
                raise ValueError("a skill has 1 to 40 characters and is not blank")
            return skills

        @field_validator("gap_years")
        @classmethod
        def between(cls, years):
            assert 0 <= years <= 60, "gap_years lies between 0 and 60"
            return years
    return Details

def score_text(score):
    return str(Decimal(str(float(score))).quantize(Decimal("0.0001")))
''',
    "the class outside": _candidate().replace("def candidate_model():\n", "")
    .replace("    class", "class").replace("        ", "    ").replace("    return Candidate\n", "")
    .replace("def score_text", "def candidate_model():\n    return Candidate\n\ndef score_text"),
    "percent format": _candidate(text='"%.4f" % score'),
}  # fmt: skip

CANDIDATE_WRONG = {
    "unknown fields accepted": (_candidate(config="strict=True"), "a field nobody asked for, the group"),
    "texts and true as numbers": (_candidate(config='extra="forbid"'), "years as a text"),
    "true as a number": (
        _candidate(years='Annotated[int, Field(ge=0, le=60, strict=False), BeforeValidator(lambda x: int(x) if x is True else x)]')
        .replace("def candidate_model", "from pydantic import BeforeValidator\n\ndef candidate_model", 1),
        "years as true",
    ),
    "no bounds": (_candidate(years="int"), "years below zero"),
    "upper bound left out": (_candidate(years="Annotated[int, Field(ge=0)]"), "61 years"),
    "bound excluded": (_candidate(years="Annotated[int, Field(gt=0, le=60)]"), "keeps the rules is refused"),
    "blank skills": (_candidate(skill="Annotated[str, Field(min_length=1, max_length=40)]"), "a skill of blanks"),
    "any list": (_candidate(skills=""), "no skill at all"),
    "years optional": (_candidate(years="Annotated[int, Field(ge=0, le=60)] = 0"), "no years"),
    "an instance": (_candidate().replace("return Candidate", "return Candidate.model_construct"), "the class itself"),
    "prints the score": (_candidate(text="print(score)"), "This is not a text"),
    "a float": (_candidate(text="round(score, 4)"), "This is not a text"),
    "zeros lost": (_candidate(text="str(round(score, 4))"), "Not four places"),
    "significant digits": (_candidate(text='f"{score:.4}"'), "Not four places"),
    "percent": (_candidate(text='f"{score:.2%}"'), "Not four places"),
    "cut off": (_candidate(text='f"{int(score * 1000) / 1000:.4f}"'), "another number"),
}  # fmt: skip

_CREATE = '''
def add_create(app, desk):
    Candidate = candidate_model()

    @app.post("/screenings", status_code=201)
    def create(candidate: Candidate, response: Response):
        details = candidate.model_dump()
        version = desk.active
        score = score_text(desk.models[version].score(details))
        screening = desk.add(details, version, score)
        response.headers["Location"] = f"/screenings/{screening['id']}"
        return screening
'''


def _create(old: str, new: str) -> str:
    assert old in _CREATE, old
    return _CREATE.replace(old, new)


CREATE_RIGHT = {
    "a router, async, a response of its own": '''
from fastapi import APIRouter
from fastapi.responses import JSONResponse

def add_create(app, desk):
    Candidate = candidate_model()
    router = APIRouter(prefix="/screenings")

    @router.post("")
    async def create(candidate: Candidate):
        active = desk.active
        kept = desk.add(candidate.model_dump(), active, score_text(desk.models[active].score(candidate.model_dump())))
        return JSONResponse(kept, 201, headers={"location": f"/screenings/{kept['id']}"})

    app.include_router(router)
''',
    "a Starlette route": '''
from pydantic import ValidationError
from starlette.responses import JSONResponse

def add_create(app, desk):
    Candidate = candidate_model()

    async def create(request):
        try:
            details = Candidate.model_validate_json(await request.body()).model_dump()
        except ValidationError as error:
            return JSONResponse({"title": "not a candidate", "detail": error.errors(include_url=False, include_input=False, include_context=False)}, 422)
        version = desk.active
        kept = desk.add(details, version, score_text(desk.models[version].score(details)))
        place = request.url_for("create") if False else f"{request.base_url}screenings/{kept['id']}"
        return JSONResponse(kept, 201, headers={"Location": place})

    app.add_route("/screenings", create, methods=["POST"], name="create")
''',
    "503 where the model is missing": _create(
        "        score =",
        '        if version not in desk.models:\n            raise HTTPException(503, "no model can score right now")\n        score =',
    ),
}  # fmt: skip

CREATE_WRONG = {
    "200": (_create(", status_code=201", ""), "201 is the status that says so"),
    "200 for everything": (
        '''
def add_create(app, desk):
    Candidate = candidate_model()

    @app.post("/screenings")
    def create(body: dict, response: Response):
        try:
            details = Candidate.model_validate(body).model_dump()
        except ValueError:
            return {"error": "this is not a candidate"}
        version = desk.active
        response.status_code = 201
        screening = desk.add(details, version, score_text(desk.models[version].score(details)))
        response.headers["Location"] = f"/screenings/{screening['id']}"
        return screening
''',
        "must learn from the status that this was refused",
    ),
    "no Location": (_create("        response.headers[", "        dict()["), "with a Location header"),
    "Location without the id": (_create("/{screening['id']}", ""), "with a Location header"),
    "a float": (_create("score_text(desk.models[version].score(details))", "round(desk.models[version].score(details), 4)"), "The score is a number"),
    "a text of a float": (_create("score_text(desk.models[version].score(details))", "str(desk.models[version].score(details))"), "not exactly four places"),
    "always v1": (_create("version = desk.active", 'version = "v1"'), "was active when the candidate came in"),
    "the active version of the start": (
        _create("    Candidate = candidate_model()", "    Candidate = candidate_model()\n    active = desk.active").replace("= desk.active\n        score", "= active\n        score"),
        "was active when the candidate came in",
    ),
    "the notebook's desk": (_create("desk.models[version].score", "globals()['desk'].models[version].score"), "This is not the score that v1 gives"),
    "kept nowhere": (_create("desk.add(details, version, score)", '{"id": 1, "candidate": details, "version": version, "score": score}'), "was not kept"),
    "another form": (_create("return screening", 'return {"match": screening["score"], "id": screening["id"]}'), "The screening lacks"),
    "validation after the side effect": (
        '''
def add_create(app, desk):
    Candidate = candidate_model()

    @app.post("/screenings", status_code=201)
    def create(body: dict, response: Response):
        version = desk.active
        screening = desk.add(body, version, "")
        try:
            details = Candidate.model_validate(body).model_dump()
        except ValueError:
            raise HTTPException(422, "not a candidate") from None
        screening["score"] = score_text(desk.models[version].score(details))
        response.headers["Location"] = f"/screenings/{screening['id']}"
        return screening
''',
        "Check first, act then",
    ),
    "kept before it is scored": (
        _create("score = score_text(desk.models[version].score(details))\n        screening = desk.add(details, version, score)",
                'screening = desk.add(details, version, "")\n        screening["score"] = score_text(desk.models[version].score(details))'),
        "The model could not answer, and a screening is kept",
    ),
    "a traceback for the client": (
        _create("        version = desk.active\n        score = score_text(desk.models[version].score(details))", '''        import traceback
        version = desk.active
        try:
            score = score_text(desk.models[version].score(details))
        except Exception:
            raise HTTPException(500, traceback.format_exc())'''),
        "shown a traceback",
    ),
    "the exception for the client": (
        _create("        version = desk.active\n        score = score_text(desk.models[version].score(details))", '''        version = desk.active
        try:
            score = score_text(desk.models[version].score(details))
        except Exception as error:
            raise HTTPException(500, repr(error))'''),
        "names the exception of your code",
    ),
    "the server's failure told as the client's": (
        _create("        version = desk.active\n        score = score_text(desk.models[version].score(details))", '''        version = desk.active
        try:
            score = score_text(desk.models[version].score(details))
        except Exception:
            raise HTTPException(400, "something went wrong")'''),
        "That is the server's failure",
    ),
    "no validation": (
        _create("candidate: Candidate", "candidate: dict").replace("candidate.model_dump()", "candidate"),
        "must learn from the status that this was refused",
    ),
}  # fmt: skip

_RETRY = '''
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
'''


def _retry(old: str, new: str) -> str:
    assert old in _RETRY, old
    return _RETRY.replace(old, new)


RETRY_RIGHT = {
    "a fingerprint and the response that was sent": '''
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
''',
    "receipts of ids, a function of its own": '''
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
''',
}

RETRY_WRONG = {
    "the key is not looked at": (_retry("desk.receipts.get(idempotency_key)", "None"), "a second screening was made"),
    "another header": (_retry("idempotency_key: Annotated[str | None, Header()]", 'idempotency_key: Annotated[str | None, Header(alias="X-Request-Id")]'), "a second screening was made"),
    "a query parameter": (_retry("Annotated[str | None, Header()]", "str | None"), "a second screening was made"),
    "one candidate, one screening": (
        _retry("desk.receipts.get(idempotency_key)", "desk.receipts.get(repr(details))").replace("desk.receipts[idempotency_key]", "desk.receipts[repr(details)]").replace("if idempotency_key is not None", "if True"),
        "nobody can know that the second POST is a repetition",
    ),
    "no key is a key as well": (_retry("                if idempotency_key is not None:\n                    desk", "                desk"), "Your app stopped with" if False else "201 is the status that says so"),
    "one candidate, one screening, with a key": (
        _retry("desk.receipts.get(idempotency_key)", "next((one for one in desk.receipts.values() if idempotency_key and one['candidate'] == details), None)"),
        "Two keys mean two requests",
    ),
    "the old answer for another candidate": (_retry('if screening and screening["candidate"] != details', "if False"), "One key, two candidates"),
    "409 for a repetition": (
        _retry('if screening and screening["candidate"] != details:\n                raise HTTPException(422,', 'if screening:\n                raise HTTPException(422 if screening["candidate"] != details else 409,'),
        "may have been lost on the way",
    ),
    "200 for a repetition": (_retry("        with desk.lock:\n", "        with desk.lock:\n            if idempotency_key in desk.receipts:\n                response.status_code = 200\n"), "may have been lost on the way"),
    "no Location the second time": (
        _retry("        response.headers", "        if screening is not desk.receipts.get('last'):\n            response.headers").replace("        return screening", "        desk.receipts['last'] = screening\n        return screening").replace("if screening is not desk.receipts.get('last')", "if not desk.receipts.setdefault(('told', screening['id']), False)").replace("        desk.receipts['last'] = screening", "        desk.receipts['told', screening['id']] = True"),
        "lacks the Location of the first answer",
    ),
    "scored again": (
        _retry("            if screening is None:", "            if screening:\n                version = desk.active\n                screening = {**screening, 'version': version, 'score': score_text(desk.models[version].score(details))}\n            if screening is None:"),
        "got another answer than the first request",
    ),
    "scored again, the old answer given": (
        _retry("        with desk.lock:\n", "        desk.models[desk.active].score(details)\n        with desk.lock:\n").replace("score = score_text(desk.models[version].score(details))", "score = score_text(desk.models[version].pipeline and desk.models[version].score(details))"),
        "was scored again",
    ),
    "only the last key is remembered": (_retry("                    desk.receipts[idempotency_key]", "                    desk.receipts.clear()\n                    desk.receipts[idempotency_key]"), "a second screening was made"),
    "the key is noted before the work": (
        _retry("            if screening is None:", "            if idempotency_key in desk.receipts and screening is None:\n                raise HTTPException(409, 'still under way')\n            if screening is None:\n                if idempotency_key is not None:\n                    desk.receipts[idempotency_key] = None"),
        "The client repeats with the same key, and now it must work",
    ),
    "the key is spent by a refusal": (
        '''
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
''',
        "was refused; corrected, it must pass",
    ),
}  # fmt: skip

_READ = '''
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
'''
_OFFSET = '''
    @app.get("/screenings")
    def page(limit: Annotated[int, Query(ge=1, le=50)] = 20, cursor: Annotated[int, Query(ge=0)] = 0):
        newest = sorted(desk.screenings, reverse=True)
        following = str(cursor + limit) if cursor + limit < len(newest) else None
        return {"items": [desk.screenings[n] for n in newest[cursor : cursor + limit]], "next": following}
'''


def _read(old: str, new: str) -> str:
    assert old in _READ, old
    return _READ.replace(old, new)


READ_RIGHT = {
    "an opaque cursor, one more read than shown": '''
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
''',
    "the cursor names the first of the next page": _read("n < cursor", "n <= cursor").replace("str(shown[-1])", "str(older[limit])"),
}  # fmt: skip

READ_WRONG = {
    "by offset": (_READ[: _READ.index('\n    @app.get("/screenings")\n')] + _OFFSET, "some stand on two of them"),
    "a snapshot of the first page alone": (
        _read("older = [n", "older = [] if cursor and len(desk.screenings) > max(desk.screenings) + 1 else [n")
        .replace("older = [] if cursor and len(desk.screenings) > max(desk.screenings) + 1 else [n", "total = desk.receipts.setdefault('total', len(desk.screenings))\n        older = [n")
        .replace("n < cursor]", "n < cursor - (len(desk.screenings) - total)]"),
        "stand on none",
    ),
    "oldest first": (
        _read("sorted(desk.screenings, reverse=True) if cursor is None or n < cursor", "sorted(desk.screenings) if cursor is None or n > cursor"),
        "not newest first",
    ),
    "200 for what is not there": (_read('raise HTTPException(404, "no such screening")', 'return {"error": "no such screening"}'), "404 is the status that says so"),
    "KeyError": (_read('        if number not in desk.screenings:\n            raise HTTPException(404, "no such screening")\n', ""), "Your app stopped with an error"),
    "scores again": (
        _read("        return desk.screenings[number]", "        kept = desk.screenings[number]\n        kept['version'] = desk.active\n        kept['score'] = score_text(desk.models[desk.active].score(kept['candidate']))\n        return kept"),
        "the same GET gave another answer".capitalize(),
    ),
    "counts its readers": (
        _read("        return desk.screenings[number]", "        kept = desk.screenings[number]\n        kept['seen'] = kept.get('seen', 0) + 1\n        return kept"),
        "The same GET gave another answer",
    ),
    "marks what was read": (
        _read("        return desk.screenings[number]", "        kept = dict(desk.screenings[number])\n        desk.screenings[number]['read'] = True\n        return {k: v for k, v in kept.items() if k != 'read'}")
        .replace("[desk.screenings[n] for n in shown]", "[{k: v for k, v in desk.screenings[n].items() if k != 'read'} for n in shown]"),
        "GET has changed the desk",
    ),
    "a model is asked": (
        _read("        return desk.screenings[number]", "        kept = desk.screenings[number]\n        desk.models[desk.active].score(kept['candidate'])\n        return kept"),
        "GET has scored a candidate again",
    ),
    "a next page that is empty": (_read("if len(older) > limit else", "if len(shown) == limit else"), "asks for a page in vain"),
    "next always": (_read("if len(older) > limit else None", "if shown else '1'"), "asks for a page in vain"),
    "the cursor is included": (_read("n < cursor", "n <= cursor"), "A screening stands on two pages"),
    "no next": (_read('"next": following', '"next": None'), "not every screening has been shown"),
    "limit ignored": (_read("older[:limit]", "older").replace("if len(older) > limit else", "if False else"), "`limit` says"),
    "a bare list": (_read('return {"items": [desk.screenings[n] for n in shown], "next": following}', "return [desk.screenings[n] for n in shown]"), "not a JSON object"),
    "any limit": (_read("Annotated[int, Query(ge=1, le=50)]", "int"), "A limit lies between 1 and 50"),
    "all where no limit is given": (_read("= 20, cursor", "= 50, cursor"), "Without a limit a page holds 20"),
    "a bad cursor is the first page": (
        _read("cursor: Annotated[int | None, Query(ge=1)] = None):", "cursor: str | None = None):\n        cursor = int(cursor) if cursor and cursor.isdecimal() else None"),
        "This cursor was never given out",
    ),
    "a bad cursor is a 500": (_read("cursor: Annotated[int | None, Query(ge=1)] = None):", "cursor: str | None = None):\n        cursor = int(cursor) if cursor else None"), "Your app stopped with an error"),
}  # fmt: skip

_AUDIT = '''
def audit(scores, groups, suited, threshold):
    selected = np.array(scores, dtype=float) >= float(threshold)
    groups, suited = np.array(groups), np.array(suited)
    names = sorted(set(groups.tolist()))
    rates = {name: float(selected[groups == name].mean()) for name in names}
    highest = max(rates.values())
    found = {name: float(selected[(groups == name) & suited].mean()) for name in names}
    ratio = min(rates.values()) / highest if highest else None
    return {"selection_rates": rates, "impact_ratio": ratio, "true_positive_rates": found}
'''


def _audit(old: str, new: str) -> str:
    assert old in _AUDIT, old
    return _AUDIT.replace(old, new)


AUDIT_RIGHT = {
    "pandas": '''
def audit(scores, groups, suited, threshold):
    table = pd.DataFrame({"group": groups, "suited": suited})
    table["selected"] = pd.to_numeric(pd.Series(scores)) >= float(threshold)
    rates = table.groupby("group")["selected"].mean()
    found = table[table["suited"]].groupby("group")["selected"].mean()
    return {
        "selection_rates": rates.to_dict(),
        "true_positive_rates": found.to_dict(),
        "impact_ratio": rates.min() / rates.max() if rates.max() > 0 else None,
    }
''',
    "loops and Decimal": '''
from collections import Counter
from decimal import Decimal

def audit(scores, groups, suited, threshold):
    everybody, good, chosen, chosen_good = Counter(), Counter(), Counter(), Counter()
    for score, group, is_suited in zip(scores, groups, suited):
        everybody[group] += 1
        good[group] += is_suited
        if Decimal(score) >= Decimal(threshold):
            chosen[group] += 1
            chosen_good[group] += is_suited
    rates = {group: chosen[group] / everybody[group] for group in everybody}
    ratio = min(rates.values()) / max(rates.values()) if any(rates.values()) else None
    found = {group: chosen_good[group] / good[group] for group in everybody}
    return {"selection_rates": rates, "impact_ratio": ratio, "true_positive_rates": found}
''',
}

AUDIT_WRONG = {
    "of the selected": (_audit("selected[groups == name].mean()", "(groups[selected] == name).mean()"), "shares of each group among the selected"),
    "of all candidates": (_audit("selected[groups == name].mean()", "(selected & (groups == name)).mean()"), "These are divided by all candidates"),
    "above the threshold": (_audit(">=", ">"), "A score that equals the threshold"),
    "percents": (_audit("rates = {name: float(selected[groups == name].mean())", "rates = {name: 100 * float(selected[groups == name].mean())"), "These are percents"),
    "upside down": (_audit("min(rates.values()) / highest", "highest / min(rates.values())"), "upside down"),
    "B through A": (_audit("min(rates.values()) / highest", "rates[names[-1]] / rates[names[0]]"), "upside down"),
    "A through B, never above 1": (_audit("min(rates.values()) / highest", "min(1.0, rates[names[-1]] / rates[names[0]])"), "not the ratio of the lowest"),
    "a difference": (_audit("min(rates.values()) / highest", "highest - min(rates.values())"), "This is a difference"),
    "of the true-positive rates": (_audit("min(rates.values()) / highest", "min(found.values()) / max(found.values())"), "ratio of the true-positive rates"),
    "precision": (_audit("selected[(groups == name) & suited].mean()", "suited[(groups == name) & selected].mean()"), "the suited among the selected"),
    "suited and selected of all": (_audit("selected[(groups == name) & suited].mean()", "(selected & suited)[groups == name].mean()"), "divides by its suited ones"),
    "0 through 0": (_audit("if highest else None", "if highest else 1.0"), "nothing was measured"),
    "a division by zero": (_audit("if highest else None", ""), "stopped with an error"),
    "texts compared with a number": (_audit("np.array(scores, dtype=float) >= float(threshold)", "np.array([s >= 0.5 for s in scores])"), "stopped with an error"),
    "a tuple": (_audit('return {"selection_rates": rates, "impact_ratio": ratio, "true_positive_rates": found}', "return rates, ratio, found"), "Give a dict with"),
    "the notebook's candidates": (_audit("groups, suited = np.array(groups), np.array(suited)", "groups, suited = candidates.group[: len(selected)], candidates.suited[: len(selected)]"), "These are not the rates"),
}  # fmt: skip
