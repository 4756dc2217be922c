"""Lab 04: answers to the exercises about what is in an image, and what must not be."""

from __future__ import annotations

from .lab04_texts import CMD, FROM, PACKAGES, PIP, gives, without

IGNORE = ".git\n**/.env\napplications\ntests\nnotebooks"
TRAIN = "RUN pip install --no-cache-dir --no-index --find-links wheels -r requirements-train.txt"
END = f"ENV LOG_FOLDER=/tmp/log\nUSER 10001\nSTOPSIGNAL SIGINT\n{CMD}"
BUILD = f"""{FROM} AS build
WORKDIR /app
COPY requirements-train.txt ./
COPY wheels wheels
{TRAIN}
COPY train.py ./
COPY data data
RUN python train.py
"""
SMALL = f"""{BUILD}
{FROM}
WORKDIR /app
{PACKAGES}
COPY --from=build /app/model.json ./
COPY server.py ./
{END}"""
ONE_STAGE = f"""{FROM}
WORKDIR /app
COPY . .
{PIP} -r requirements-train.txt
RUN python train.py && rm -rf data train.py
{END}"""


def both(ignore: str = IGNORE, dockerfile: str = SMALL) -> str:
    return gives("ignore_file", ignore) + "\n\n" + gives("small_dockerfile", dockerfile)


SHIP_RIGHT = {
    "everything left out but what is named": both(
        "# nothing, but\n*\n!server.py\n!train.py\n!requirements*.txt\n!wheels\n!data\n"
    ),
    "a common stage below both": both(
        "**/.git/\n**/.env\n/applications/**\ntests/\n*.md\nnotebooks",
        f"""{FROM} AS base
WORKDIR /app
COPY wheels wheels

FROM base AS train
COPY requirements-train.txt .
{TRAIN}
COPY data/past.csv data/
COPY train.py .
RUN ["python", "train.py"]

FROM base
COPY requirements.txt .
{PIP}
COPY --from=1 /app/model.json /app/
COPY server.py .
{END}""",
    ),
}
SHIP_WRONG = {
    "one stage and rm": (both(dockerfile=ONE_STAGE), "There is one stage"),
    "only the .env at the top": (both(without(IGNORE, "**/.env", ".env")), "/.env is sent to the builder: passwords"),
    "the files by name": (
        both(without(IGNORE, "applications", "applications/2026-10.csv\napplications/2026-11.csv")),
        "what people have sent in",
    ),
    "the data left out, too": (both(f"{IGNORE}\ndata"), "data/past.csv is kept back, and the build needs it"),
    "all text files left out": (both(f"{IGNORE}\n*.txt"), "is kept back, and the build needs it"),
    "the last stage goes on from the first": (
        both(dockerfile=without(SMALL, f"\n{FROM}\nWORKDIR /app\n{PACKAGES}\n", f"\nFROM build\n{PACKAGES}\n")),
        "installed into the image that serves",
    ),
    "the whole folder from the first stage": (
        both(dockerfile=without(SMALL, "/app/model.json ./\nCOPY server.py ./", "/app ./\nCOPY server.py ./")),
        "is in the image, and nobody needs it there",
    ),
    "both lists in the last stage": (
        both(
            dockerfile=without(SMALL, f"\n{PIP}", f"\nCOPY requirements-train.txt ./\n{PIP} -r requirements-train.txt")
        ),
        "The training package is installed into the image that serves",
    ),
    "all packages from the first stage": (
        both(
            dockerfile=without(
                without(SMALL, PACKAGES, "COPY --from=build /usr/local /usr/local"),
                TRAIN,
                f"COPY requirements.txt ./\n{TRAIN} -r requirements.txt",
            )
        ),
        "which should stay behind",
    ),
    "the model stays in its stage": (
        both(dockerfile=without(SMALL, "COPY --from=build /app/model.json ./\n")),
        "fetches nothing from the stage that trains",
    ),
    "everything is ignored": (both("*"), "is kept back, and the build needs it"),
}
SHIP_ENGINE = {"a common stage below both", "all packages from the first stage"}

NAME = "sealed_dockerfile"
MOUNT = "RUN --mount=type=secret,id=model_token python open_model.py /run/secrets/model_token"
SEALED = f"""{FROM}
WORKDIR /app
{PACKAGES}
COPY open_model.py model.sealed ./
{MOUNT}
COPY server.py ./
{END}"""
VARIABLE = "MODEL_TOKEN=$(cat /run/secrets/model_token) python open_model.py"
SECRET_RIGHT = {
    "shown at another place, in a stage": gives(
        NAME,
        f"""{FROM} AS opened
WORKDIR /work
COPY open_model.py model.sealed ./
RUN --mount=type=secret,id=model_token,required=true,target=/tmp/token python open_model.py /tmp/token
{FROM}
WORKDIR /app
{PACKAGES}
COPY --from=opened /work/model.json .
COPY server.py .
{END}""",
    ),
    "as a variable of one command": gives(
        NAME, without(SEALED, MOUNT, f"RUN --mount=type=secret,id=model_token {VARIABLE}")
    ),
}
SECRET_WRONG = {
    "ARG": (
        gives(NAME, without(SEALED, MOUNT, "ARG MODEL_TOKEN\nRUN MODEL_TOKEN=$MODEL_TOKEN python open_model.py")),
        "ARG writes the token into the image's history",
    ),
    "ENV, emptied later": (
        gives(NAME, without(SEALED, MOUNT, 'ARG T\nENV MODEL_TOKEN=$T\nRUN python open_model.py\nENV MODEL_TOKEN=""')),
        "ENV writes the token into the image's history",
    ),
    "copied and removed": (
        gives(NAME, without(SEALED, MOUNT, "COPY token.txt ./\nRUN python open_model.py token.txt && rm token.txt")),
        "copies token.txt into a layer",
    ),
    "a secret, and COPY . .": (
        gives(NAME, without(SEALED, "COPY server.py ./", "COPY . .")),
        "copies token.txt into a layer",
    ),
    "another id": (gives(NAME, without(SEALED, "id=model_token", "id=token")), "given its secret under the id"),
    "mounted for another line": (
        gives(NAME, without(SEALED, MOUNT, MOUNT.split(" python")[0] + " true\nRUN python open_model.py")),
        "has no secret mounted",
    ),
    "kept for later": (
        gives(NAME, without(SEALED, "python open_model.py", "cp /run/secrets/model_token .t && python open_model.py")),
        "A layer holds the token",
    ),
    "kept in base64": (
        gives(
            NAME,
            without(
                SEALED, "python open_model.py", "base64 /run/secrets/model_token > /app/.cache && python open_model.py"
            ),
        ),
        "A layer holds the token",
    ),
}
SECRET_ENGINE = {"shown at another place, in a stage", "kept for later", "kept in base64"}
