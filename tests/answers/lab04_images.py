"""Lab 04: answers to its first two exercises."""

from __future__ import annotations

from .lab04_texts import CMD, CODE, FROM, PACKAGES, PIP, PLAIN, gives, without

NAME = "serve_dockerfile"
SERVE_RIGHT = {
    "packages from a stage, python -m": gives(
        NAME,
        f"""# the packages
ARG BASE=python:3.11-slim
FROM $BASE as packages
COPY wheels/ /wheels/
COPY requirements.txt /
RUN pip install --no-index --find-links=/wheels --prefix=/install -r /requirements.txt

{FROM}
ENV HOME=/srv/screener
WORKDIR $HOME
COPY --from=packages /install /usr/local
COPY [ "server.py", "model.json", "/srv/screener/" ]
expose 8000/tcp
ENTRYPOINT ["python", "-u"]
CMD ["-m", "server"]""",
    ),
    "everything at once": gives(NAME, without(PLAIN, f"{PACKAGES}\n{CODE}", f"COPY . .\n{PIP}")),
    "a bind mount, and cd": gives(
        NAME,
        f"""{FROM}
WORKDIR /app
ENV PIP_NO_INDEX=1
RUN --mount=type=bind,source=wheels,target=/mnt/wheels --mount=type=bind,source=requirements.txt,target=/mnt/r.txt \\
    cd /mnt && python -m pip install -f wheels -r r.txt
COPY *.py *.json .
EXPOSE 8000
CMD ["/usr/local/bin/python3", "/app/server.py"]""",
    ),
}
SERVE_RIGHT["files into the folder, without a slash"] = gives(
    NAME,
    without(
        without(PLAIN, CODE, "COPY server.py /app\nCOPY model.json /app"),
        "COPY requirements.txt ./",
        "COPY requirements.txt /app",
    ),
)
SERVE_WRONG = {
    "pip before its files": (gives(NAME, without(PLAIN, PACKAGES, f"{PIP}\nCOPY . .")), "copy it before"),
    "pip asks an index": (gives(NAME, without(PLAIN, "--no-index ")), "the build has none"),
    "nothing is installed": (gives(NAME, without(PLAIN, PIP)), "no RUN installs it"),
    "shell form": (gives(NAME, without(PLAIN, CMD, "CMD python server.py")), "This is the shell form"),
    "single quotes": (gives(NAME, without(PLAIN, CMD, "CMD ['python', 'server.py']")), "with double quotes"),
    "no port": (gives(NAME, without(PLAIN, "EXPOSE 8000\n")), "say so with EXPOSE"),
    "cd instead of WORKDIR": (
        gives(NAME, without(PLAIN, "WORKDIR /app", "RUN mkdir /app && cd /app")),
        "Work in a folder of your own",
    ),
    "the model is not copied": (gives(NAME, without(PLAIN, CODE, "COPY server.py ./")), "does not put both into one"),
    "another base": (gives(NAME, without(PLAIN, FROM, "FROM python:3.12")), "reaches no registry"),
    "a slip of the pen": (gives(NAME, without(PLAIN, "WORKDIR", "WORKDIRR")), "is no instruction"),
    "the folder wheels is spilt": (
        gives(NAME, without(PLAIN, "COPY wheels wheels", "COPY wheels ./")),
        "There is no folder `wheels` where pip looks",
    ),
    "server.py in another folder": (
        gives(NAME, without(PLAIN, CODE, "COPY server.py model.json /srv/")),
        "Python will look for /app/server.py",
    ),
    "the module before the file": (
        gives(NAME, without(PLAIN, CMD, 'CMD ["python", "main.py"]')),
        "Python will look for /app/main.py",
    ),
    "installed where nobody looks": (
        gives(NAME, without(PLAIN, "--no-index", "--target /packages --no-index")),
        "The container ended with exit code 1",
    ),
}
SERVE_ENGINE = {"a bind mount, and cd", "files into the folder, without a slash", "installed where nobody looks"}

NAME = "cached_dockerfile"
CACHE_RIGHT = {
    "the packages in a stage of their own": gives(
        NAME,
        f"""{FROM} AS packages
WORKDIR /build
COPY requirements.txt .
COPY wheels/ wheels/
RUN pip install --no-index -f wheels --prefix=/install -r requirements.txt
{FROM}
WORKDIR /app
COPY --from=packages /install /usr/local
COPY . .
EXPOSE 8000
{CMD}""",
    ),
    "a cache mount": gives(
        NAME,
        without(
            PLAIN, "RUN pip install --no-cache-dir", "RUN --mount=type=cache,target=/root/.cache/pip\\\n    pip install"
        ),
    ),
}
CACHE_WRONG = {
    "as it was": (
        gives(NAME, without(PLAIN, f"{PACKAGES}\n{CODE}", f"COPY . .\n{PIP}")),
        "`COPY . .` stands before it",
    ),
    "requirements first, and the rest as well": (
        gives(NAME, without(PLAIN, f"{PACKAGES}\n{CODE}", f"COPY requirements.txt ./\nCOPY . .\n{PIP}")),
        "makes pip install everything again",
    ),
    "server.py above pip": (
        gives(NAME, without(PLAIN, f"{PACKAGES}\n{CODE}", f"{CODE}\n{PACKAGES}")),
        "A change of server.py makes pip",
    ),
    "the package by name": (
        gives(
            NAME, without(PLAIN, PACKAGES, f"COPY wheels wheels\n{without(PIP, '-r requirements.txt', 'matchwords')}")
        ),
        "A change of requirements.txt changes nothing for pip",
    ),
    "the model among the wheels": (
        gives(NAME, without(PLAIN, "COPY requirements.txt ./", "COPY requirements.txt model.json ./")),
        "A change of model.json makes pip",
    ),
}
CACHE_ENGINE = {"the packages in a stage of their own", "as it was"}
