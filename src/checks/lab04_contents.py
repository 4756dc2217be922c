"""Lab 04: what is in an image, and what must not be: the project's clutter, the tools of training, a token."""

from __future__ import annotations

import json
import os
import tempfile
from base64 import b64encode
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from docker.utils.build import exclude_paths

from checks.lab04_dockerfile import Dockerfile, Stage, read_dockerfile, text_of
from checks.lab04_engine import InEngine, expect_scores, running
from checks.lab04_images import LOG, expect_install, expect_starts, installing
from labkit.answer import Answer
from labkit.exercise import case, expect
from lessonkit.engine_build import Image, Layer
from lessonkit.engine_scope import Scope
from lessonkit.shipping import BASE, MADE_UP_TOKEN, sealed_project, training_project

BEYOND_BASE_MB = 10.0
NEEDED = ("requirements.txt", "requirements-train.txt", "server.py", "train.py", "data/past.csv")
PRIVATE = {
    ".git/": "the whole history of the project, also of what was deleted from it",
    ".env": "passwords",
    "applications/": "what people have sent in",
    "tests/": "tests, which nobody runs in an image",
    "notebooks/": "notebooks, which nobody opens in an image",
}
SECRET = "model_token"


def left_out(text: str, names: Iterable[str]) -> list[str]:
    """The files that a .dockerignore keeps from the builder, as docker's own Python library reads it."""
    lines = (line.strip() for line in text.splitlines())
    patterns = [line for line in lines if line and not line.startswith("#")]
    names = list(names)
    with tempfile.TemporaryDirectory() as folder:  # it walks through real folders
        for name in names:
            path = Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        sent = {name.replace(os.sep, "/") for name in exclude_paths(folder, patterns)}
    return [name for name in names if name not in sent]


def kind_of(name: str) -> str:
    """Why a file must not leave the machine, or ""."""
    for mark, why in PRIVATE.items():
        if name.startswith(mark) if mark.endswith("/") else name.rpartition("/")[2] == mark:
            return why
    return ""


class Ship(InEngine):
    id = "ship"
    title = "Leave behind what nobody needs there"
    names = ("ignore_file", "small_dockerfile")
    points = 3.0
    hints = (
        ".dockerignore has a pattern on each line, and a folder's name leaves out all that is in it. A pattern without "
        "`**/` counts from the project's own folder: `.env` is not `deploy/.env`.",
        "The first stage, `FROM ... AS build`, installs the training package and runs train.py. The second begins anew "
        "from the base and holds nothing of the first.",
        "`COPY --from=build /app/model.json ./` fetches one file out of the first stage. What the service itself "
        "needs, the second stage copies and installs as before.",
    )

    def _project(self, rng: np.random.Generator) -> dict[str, bytes]:
        """The project of the set-up with a few more files of the same kinds."""
        month = int(rng.integers(1, 13))
        more = {
            f"applications/2027-{month:02}.csv": b"email,skills\n",
            ".git/objects/a0/11": b"more history",
            f"deploy/region-{int(rng.integers(1, 9))}/.env": b"STORE_PASSWORD=made-up\n",
        }
        return training_project(int(rng.integers(1, 1000))) | more

    def _read(self, answer: Answer, project: dict[str, bytes]) -> tuple[str, str, Dockerfile]:
        ignore = text_of(answer, "ignore_file", ".dockerignore")
        text = text_of(answer, "small_dockerfile")
        read = read_dockerfile(text, project, left_out(ignore, project))
        expect_install(read)
        return ignore, text, read

    @case(".dockerignore keeps back what must not leave the machine")
    def ignores(self, answer: Answer, rng: np.random.Generator) -> None:
        project = self._project(rng)
        ignore = text_of(answer, "ignore_file", ".dockerignore")
        kept_back = set(left_out(ignore, project))
        for name in sorted(project):
            why = kind_of(name)
            expect(not why or name in kept_back, f"{name} is sent to the builder: {why}.", got=f"sent: {name}")

    @case(".dockerignore sends what the build needs")
    def sends(self, answer: Answer, rng: np.random.Generator) -> None:
        project = self._project(rng)
        ignore = text_of(answer, "ignore_file", ".dockerignore")
        kept_back = set(left_out(ignore, project))
        for name in [*NEEDED, *(name for name in project if name.startswith("wheels/"))]:
            expect(name not in kept_back, f"{name} is kept back, and the build needs it.", got=f"kept back: {name}")

    @case("the last stage installs and copies only what the service needs", weight=2)
    def separates(self, answer: Answer, rng: np.random.Generator) -> None:
        project = self._project(rng)
        _, _, read = self._read(answer, project)
        stages = read.chain()
        one = "There is one stage: all that training needs is in the image for good, also if a later line removes it."
        expect(len(read.stages) > 1, one, got="one stage", expected="FROM ... AS build, then FROM")
        for stage in stages:
            _expect_no_training(stage)
        for stage in stages:
            for path, origin in stage.files.items():
                gone = f"{origin} is in the image, and nobody needs it there."
                why = kind_of(origin) or origin.startswith("data/") or origin == "train.py"
                expect(not why, gone, got=f"{path}")
        fetches = any(step.comes_from for stage in stages for step in stage.steps)
        told = "The image that serves fetches nothing from the stage that trains, and has no model.json."
        expect(fetches, told, got="no COPY --from", expected="COPY --from=build /app/model.json ./")
        expect_starts(read.final)

    @case("it trains while it is built, and serves what it has learned")
    def serves(self, answer: Answer, rng: np.random.Generator) -> None:
        seed = int(rng.integers(1, 1000))
        project = training_project(seed)
        ignore, text, read = self._read(answer, project)
        scope = self.scope(answer)
        image = self.image(answer, text, read, project, key="serves", ignore=ignore)
        with running(scope, image, env=LOG) as container:
            expect_scores(container, seed)

    @case(
        f"the image is at most {BEYOND_BASE_MB:g} MB larger than its base, and no layer holds what should stay behind"
    )
    def small(self, answer: Answer, rng: np.random.Generator) -> None:
        project = training_project()
        ignore, text, read = self._read(answer, project)
        scope = self.scope(answer)
        image = self.image(answer, text, read, project, key="small", ignore=ignore)
        layers = own_layers(scope, image)
        for layer in layers:
            for path in layer.files:
                parts = path.split("/")
                stays = kind_of(path) or "fitwords" in parts or parts[-1] in ("past.csv", "train.py")
                expect(
                    not stays, f"A layer holds {parts[-1]}, which should stay behind.", layer.created_by[:200], got=path
                )
        beyond = sum(layer.size for layer in layers) / 1e6
        sizes = sorted(((layer.size, layer.created_by) for layer in layers), reverse=True)[:1]
        got = f"{beyond:.1f} MB" + "".join(f", {size / 1e6:.1f} MB of it by: {said[:100]}" for size, said in sizes)
        expect(beyond <= BEYOND_BASE_MB, "The image is too large.", got=got, expected=f"{BEYOND_BASE_MB:g} MB")


def _expect_no_training(stage: Stage) -> None:
    for step, _, arguments in stage.installs():
        told = "The training package is installed into the image that serves."
        trains = any("requirements-train" in word or word.startswith("fitwords") for word in arguments)
        expect(not trains, told, got=step.instruction.line)
    for step in stage.steps:
        for command in step.commands:
            told = "Training runs in the stage that serves: what it needs is in the image then."
            expect("train.py" not in command.words, told, got=step.instruction.line)


def own_layers(scope: Scope, image: Image) -> list[Layer]:
    """The layers that an image has on top of its base."""
    below = scope.engine.inspect("image", BASE)["RootFS"]["Layers"]
    return image.layers()[len(below) :]


class Secret(InEngine):
    id = "secret"
    title = "Use a token and leave no trace of it"
    names = ("sealed_dockerfile",)
    points = 3.0
    hints = (
        "ARG and ENV are written into the image's history. A file that one line copies and a later one removes is "
        "still in the layer between them.",
        "`RUN --mount=type=secret,id=model_token ...` shows the token to that one line, as a file: "
        "/run/secrets/model_token. open_model.py takes the path of a file.",
        "`COPY . .` takes token.txt along. Name the files that the service needs.",
    )

    def _read(self, answer: Answer) -> tuple[str, Dockerfile]:
        return installing(answer, "sealed_dockerfile", sealed_project())

    @case("neither ARG nor ENV holds the token")
    def variables(self, answer: Answer, rng: np.random.Generator) -> None:
        _, read = self._read(answer)
        for stage in read.stages:
            for kind, known in (("ARG", stage.args), ("ENV", stage.env)):
                for name, value in known.items():
                    told = f"{kind} writes the token into the image's history, where `docker history` shows it."
                    expect(name != "MODEL_TOKEN" and MADE_UP_TOKEN not in value, told, got=f"{kind} {name}")

    @case("no COPY takes token.txt into the image")
    def files(self, answer: Answer, rng: np.random.Generator) -> None:
        _, read = self._read(answer)
        for stage in read.chain():
            for step in stage.steps:
                copies = step.instruction.word in ("COPY", "ADD") and "token.txt" in step.reads
                told = "This copies token.txt into a layer, where it stays, also if a later line removes it."
                expect(not copies, told, got=step.instruction.line)

    @case("the line that opens the model is shown the token as a build secret")
    def mounts(self, answer: Answer, rng: np.random.Generator) -> None:
        _, read = self._read(answer)
        opening = [
            step.instruction
            for stage in read.stages
            for step in stage.steps
            if any("open_model.py" in word for command in step.commands for word in command.words)
        ]
        expect(opening, "No RUN opens the model with open_model.py.", got="no such line")
        for line in opening:
            mounts = [mount for mount in line.mounts() if mount.get("type") == "secret"]
            told = "The line that needs the token has no secret mounted: `RUN --mount=type=secret,id=model_token ...`."
            expect(mounts, told, got=line.line)
            ids = [mount.get("id", "") for mount in mounts]
            expect(SECRET in ids, f"The build is given its secret under the id {SECRET}.", got=line.line)

    @case("it builds with the secret, and serves the model")
    def serves(self, answer: Answer, rng: np.random.Generator) -> None:
        text, read = self._read(answer)
        scope = self.scope(answer)
        seed, token = int(rng.integers(1, 1000)), _token(rng)
        project = sealed_project(token, seed)
        image = self.image(answer, text, read, project, key="serves", secrets={SECRET: token})
        with running(scope, image, env=LOG) as container:
            expect_scores(container, seed)

    @case("the token is in no layer, and not in the history")
    def no_trace(self, answer: Answer, rng: np.random.Generator) -> None:
        text, read = self._read(answer)
        scope = self.scope(answer)
        token = _token(rng)
        image = self.image(answer, text, read, sealed_project(token), key="trace", secrets={SECRET: token})
        told = "The token is in the image's history and settings: whoever has the image reads it with `docker history`."
        written = json.dumps(image.config) + "".join(entry.created_by for entry in image.history())
        expect(not any(form.decode() in written for form in _forms(token)), told, "docker history")
        for layer in own_layers(scope, image):
            for form in _forms(token):
                paths = layer.holds(form)
                found = "A layer holds the token: whoever has the image reads it, also if a later line removes it."
                expect(not paths, found, layer.created_by[:200], got=", ".join(paths[:3]))


def _token(rng: np.random.Generator) -> str:
    return f"tok-{rng.bytes(12).hex()}"


def _forms(token: str) -> list[bytes]:
    """A token as it is, and as people think to hide it."""
    plain = token.encode()
    return [plain, b64encode(plain)[:-4], plain.hex().encode(), plain[::-1]]
