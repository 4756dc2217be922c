"""Lab 03, exercises 1 and 2: answers to try."""

from __future__ import annotations

_CANDIDATE = """
def candidate_model():
    class Candidate(BaseModel):
        model_config = ConfigDict({config})
        skills: Annotated[list[{skill}], Field({skills})]
        years: {years}
        gap_years: Annotated[int, Field(ge=0, le=60)]
    return Candidate

def score_text(score):
    return {text}
"""
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
    "validators and Decimal": """
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
""",
    "the class outside": _candidate()
    .replace(
        """\
def candidate_model():
""",
        "",
    )
    .replace("    class", "class")
    .replace("        ", "    ")
    .replace(
        """\
    return Candidate
""",
        "",
    )
    .replace(
        "def score_text",
        """\
def candidate_model():
    return Candidate

def score_text""",
    ),
    "percent format": _candidate(text='"%.4f" % score'),
}

CANDIDATE_WRONG = {
    "unknown fields accepted": (_candidate(config="strict=True"), "a field nobody asked for, the group"),
    "texts and true as numbers": (_candidate(config='extra="forbid"'), "years as a text"),
    "true as a number": (
        _candidate(
            years="Annotated[int, BeforeValidator(lambda x: int(x) if x is True else x), Field(ge=0, le=60)]"
        ).replace(
            "def candidate_model",
            """\
from pydantic import BeforeValidator

def candidate_model""",
            1,
        ),
        "years as true",
    ),
    "no bounds": (_candidate(years="int"), "years below zero"),
    "upper bound left out": (_candidate(years="Annotated[int, Field(ge=0)]"), "61 years"),
    "bound excluded": (_candidate(years="Annotated[int, Field(gt=0, le=60)]"), "keeps the rules is refused"),
    "blank skills": (_candidate(skill="Annotated[str, Field(min_length=1, max_length=40)]"), "a skill of blanks"),
    "any list": (_candidate(skills=""), "no skill at all"),
    "gap_years not strict": (
        _candidate(config='extra="forbid"', years="Annotated[int, Field(strict=True, ge=0, le=60)]"),
        "gap_years as a text",
    ),
    "gap_years optional": (
        _candidate().replace("ge=0, le=60)]\n    return", "ge=0, le=60)] = 0\n    return"),
        "no gap_years",
    ),
    "skills optional": (_candidate(skills='default=["python"], min_length=1, max_length=30'), "no skills"),
    "years optional": (_candidate(years="Annotated[int, Field(ge=0, le=60)] = 0"), "no years"),
    "an instance": (_candidate().replace("return Candidate", "return Candidate.model_construct"), "the class itself"),
    "prints the score": (_candidate(text="print(score)"), "This is not a text"),
    "a float": (_candidate(text="round(score, 4)"), "This is not a text"),
    "zeros lost": (_candidate(text="str(round(score, 4))"), "Not four places"),
    "significant digits": (_candidate(text='f"{score:.4}"'), "Not four places"),
    "percent": (_candidate(text='f"{score:.2%}"'), "Not four places"),
    "cut off after four places": (_candidate(text='f"{int(score * 10_000) / 10_000:.4f}"'), "cut off"),
    "cut off": (_candidate(text='f"{int(score * 1000) / 1000:.4f}"'), "another number"),
}

_CREATE = """
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
"""


def _create(old: str, new: str) -> str:
    assert old in _CREATE, old
    return _CREATE.replace(old, new)


CREATE_RIGHT = {
    "a router, async, a response of its own": """
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
""",
    "a Starlette route": """
from pydantic import ValidationError
from starlette.responses import JSONResponse

def add_create(app, desk):
    Candidate = candidate_model()

    async def create(request):
        try:
            details = Candidate.model_validate_json(await request.body()).model_dump()
        except ValidationError as error:
            return JSONResponse({"title": "not a candidate", "errors": error.error_count()}, 422)
        version = desk.active
        kept = desk.add(details, version, score_text(desk.models[version].score(details)))
        place = f"{request.base_url}screenings/{kept['id']}"
        return JSONResponse(kept, 201, headers={"Location": place})

    app.add_route("/screenings", create, methods=["POST"], name="create")
""",
    "503 where the model is missing": _create(
        "        score =",
        """\
        if version not in desk.models:
            raise HTTPException(503, "no model can score right now")
        score =""",
    ),
}

CREATE_WRONG = {
    "200": (_create(", status_code=201", ""), "201 is the status that says so"),
    "200 for everything": (
        """
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
""",
        "must learn from the status that this was refused",
    ),
    "no Location": (_create("        response.headers[", "        dict()["), "with a Location header"),
    "Location without the id": (_create("/{screening['id']}", ""), "with a Location header"),
    "a float": (
        _create("score_text(desk.models[version].score(details))", "round(desk.models[version].score(details), 4)"),
        "The score is a number",
    ),
    "a text of a float": (
        _create("score_text(desk.models[version].score(details))", "str(desk.models[version].score(details))"),
        "not exactly four places",
    ),
    "always v1": (_create("version = desk.active", 'version = "v1"'), "was active when the candidate came in"),
    "the active version of the start": (
        _create(
            "    Candidate = candidate_model()",
            """\
    Candidate = candidate_model()
    active = desk.active""",
        ).replace(
            """\
= desk.active
        score""",
            """\
= active
        score""",
        ),
        "was active when the candidate came in",
    ),
    "the notebook's desk": (
        _create("desk.models[version].score", "globals()['desk'].models[version].score"),
        "This is not the score that v1 gives",
    ),
    "kept nowhere": (
        _create(
            "desk.add(details, version, score)", '{"id": 1, "candidate": details, "version": version, "score": score}'
        ),
        "was not kept",
    ),
    "all digits kept, four told": (
        _create("score_text(desk.models[version].score(details))", "desk.models[version].score(details)").replace(
            "return screening", 'return {**screening, "score": score_text(score)}'
        ),
        "and another one is told to the client",
    ),
    "another form": (
        _create("return screening", 'return {"match": screening["score"], "id": screening["id"]}'),
        "The screening lacks",
    ),
    "validation after the side effect": (
        """
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
""",
        "Check first, act then",
    ),
    "kept before it is scored": (
        _create(
            """\
score = score_text(desk.models[version].score(details))
        screening = desk.add(details, version, score)""",
            """\
screening = desk.add(details, version, "")
        screening["score"] = score_text(desk.models[version].score(details))""",
        ),
        "The model could not answer, and a screening is kept",
    ),
    "a traceback for the client": (
        _create(
            """\
        version = desk.active
        score = score_text(desk.models[version].score(details))""",
            """        import traceback
        version = desk.active
        try:
            score = score_text(desk.models[version].score(details))
        except Exception:
            raise HTTPException(500, traceback.format_exc())""",
        ),
        "shown a traceback",
    ),
    "the exception for the client": (
        _create(
            """\
        version = desk.active
        score = score_text(desk.models[version].score(details))""",
            """        version = desk.active
        try:
            score = score_text(desk.models[version].score(details))
        except Exception as error:
            raise HTTPException(500, repr(error))""",
        ),
        "names the exception of your code",
    ),
    "the server's failure told as the client's": (
        _create(
            """\
        version = desk.active
        score = score_text(desk.models[version].score(details))""",
            """        version = desk.active
        try:
            score = score_text(desk.models[version].score(details))
        except Exception:
            raise HTTPException(400, "something went wrong")""",
        ),
        "That is the server's failure",
    ),
    "no validation": (
        _create("candidate: Candidate", "candidate: dict").replace("candidate.model_dump()", "candidate"),
        "must learn from the status that this was refused",
    ),
}
