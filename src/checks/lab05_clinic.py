"""Lab 05, exercises 7 and 8: somebody's CI files, their defects found and mended."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from checks.lab05_workflow import expect_least_rights, expect_pinned, lines, parsed, rehearsed, text_of
from labkit.answer import Answer, Wrong
from labkit.exercise import Exercise, case, expect
from labkit.values import show
from lessonkit.clinic import CLINIC, KINDS

# File, kind, and the lines of which any one names the defect.
DEFECTS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("release.yml", "too many rights", (5,)),
    ("release.yml", "not pinned", (10,)),
    ("release.yml", "no such file", (12,)),
    ("release.yml", "failure hidden", (16,)),
    ("release.yml", "made-up figure", (18,)),
    ("release.yml", "old command", (21,)),
    ("release.yml", "not pinned", (23, 26)),
    ("release.yml", "always true", (25,)),
    ("nightly.sh", "wrong package", (4,)),
    ("nightly.sh", "goes on", (5, 2, 1)),
    ("Dockerfile", "key in the image", (2, 3)),
    ("stability.py", "wrong check", (7, 2)),
)
# The same defect, seen at another command whose failure is passed over as well.
SEEN_TOO = {("nightly.sh", "goes on"): (3, 6)}
# Where a reader may see a defect of these kinds without being wrong.
ALSO = {("release.yml", 15), ("Dockerfile", 1)}
REVISION = "3f2a9c1d"


class Find(Exercise):
    id = "find"
    title = "Find what is wrong in somebody else's files"
    names = ("defects",)
    points = 2.0
    hints = (
        "Go through the kinds one by one and ask of each file whether it has one; twelve lines are to be named. Ask of "
        "each step: if this fails, who notices?",
        "`pytest -q | tee report.txt`: whose exit code is that of the line? `if: ${{ x }} == 'success'`: GitHub puts "
        "the value into the text, and then asks whether a text is true. Which texts are not?",
        "`:latest` and `@main` are both names that somebody moves. `pickle` comes with Python. A preset for quality "
        "looks at one table, stability compares two.",
    )

    def _named(self, answer: Answer) -> dict[str, dict[int, str]]:
        result = answer.call("defects")
        found = result.value
        form = "Give a dict from file to a dict from line to kind: {'nightly.sh': {4: '...'}}."
        expect(isinstance(found, dict) and found, form, result, expected="{file: {line: kind}}")
        for file, named in found.items():
            expect(file in CLINIC, f"There is no file {show(file)}.", result, expected=", ".join(CLINIC))
            fits = isinstance(named, dict) and all(type(line) is int for line in named)
            expect(fits, form, result, got=f"{file}: {show(named)}", expected="{line: kind}")
            for kind in named.values():
                expect(kind in KINDS, f"There is no kind {show(kind)}.", result, expected=", ".join(KINDS))
        return found

    def _look(self, answer: Answer, *kinds: str) -> None:
        found = self._named(answer)
        for file, kind, places in DEFECTS:
            if kind not in kinds:
                continue
            named = found.get(file, {})
            places += SEEN_TOO.get((file, kind), ())
            if any(named.get(line) == kind for line in places):
                continue
            elsewhere = [line for line, other in named.items() if other == kind]
            other = [named[line] for line in places if line in named]
            several = sum(kind == one and file == where for where, one, _ in DEFECTS) > 1
            message = f"{file} has a defect of the kind `{kind}` that is not named."
            if file == "release.yml" and elsewhere == [15]:
                message = (
                    f"Line {elsewhere[0]} of {file} forgives a failure, which is seen rightly. Without it one more "
                    f"line of the kind `{kind}` would be left."
                )
            elif elsewhere and not several:
                message = f"The kind `{kind}` is in {file}, on another line than {elsewhere[0]}."
            elif other:
                message = f"You saw that something is wrong where {file} has a `{kind}`, and took it for `{other[0]}`."
            elif several and elsewhere:
                message = f"{file} has a second line of the kind `{kind}`: one more name that somebody moves."
            expect(False, message, "defects()", got=f"{file}: {show(named)}")

    @case("what lets a failure through: three of them", weight=3)
    def failures(self, answer: Answer, rng: np.random.Generator) -> None:
        self._look(answer, "always true", "failure hidden", "goes on")

    @case("what gives too much away: rights and keys", weight=2)
    def rights(self, answer: Answer, rng: np.random.Generator) -> None:
        self._look(answer, "too many rights", "key in the image")

    @case("what is installed or named, and is not what it seems", weight=3)
    def names_(self, answer: Answer, rng: np.random.Generator) -> None:
        self._look(answer, "not pinned", "no such file", "wrong package")

    @case("what looks like a measurement or a result", weight=2)
    def figures(self, answer: Answer, rng: np.random.Generator) -> None:
        self._look(answer, "made-up figure", "wrong check", "old command")

    @case("no sound line is accused")
    def sound(self, answer: Answer, rng: np.random.Generator) -> None:
        allowed = {(file, line) for file, _, places in DEFECTS for line in places} | ALSO
        allowed |= {(file, line) for (file, _), places in SEEN_TOO.items() for line in places}
        accused = [
            (file, line) for file, named in self._named(answer).items() for line in named if (file, line) not in allowed
        ]
        message = "These lines are sound, or the defect that you mean stands on another one."
        got = "; ".join(f"{file} line {line}" for file, line in accused[:4])
        expect(not accused, message, "defects()", got=got, expected="the lines with a defect, and no others")


class Mend(Exercise):
    id = "mend"
    title = "Mend them"
    names = ("mended_release", "mended_nightly")
    points = 4.0
    hints = (
        "release.yml: without `continue-on-error` and without the pipe a failing test ends the job by itself, and "
        "`publish` needs no condition. `pytest -q > report.txt` keeps the report and the exit code.",
        "The revision of the commit is a name that nobody moves: `registry.example/flights:${{ github.sha }}`, or "
        '`$GITHUB_SHA`, in build and in push. A value for a later step is written by `echo "tag=..." >> '
        '"$GITHUB_OUTPUT"`.',
        "nightly.sh: `set -euo pipefail` as the first command. Nothing in the project needs pickle-mixin; `pickle` "
        "comes with Python.",
    )

    def _release(self, answer: Answer, **scene: Any) -> tuple[dict[str, Any], str]:
        tried = f"release.yml, {scene['fails']} fails" if scene else "release.yml, all is well"
        return rehearsed(answer, "rehearse", text_of(answer, "mended_release"), tried, **scene), tried

    def _nightly(self, answer: Answer, fails: str = "") -> tuple[dict[str, Any], str]:
        tried = f"bash nightly.sh {REVISION}" + (f", {fails} fails" if fails else "")
        script = f"set -- {REVISION}\n{text_of(answer, 'mended_nightly')}"
        return rehearsed(answer, "rehearse_script", script, tried, fails=fails), tried

    @case("release.yml: a good commit is tested, built and published")
    def releases(self, answer: Answer, rng: np.random.Generator) -> None:
        seen, tried = self._release(answer)
        got = self._told(seen)
        if not seen["green"] and "requirements" in got:
            raise Wrong("The requirements file that it names does not exist.", tried=tried, got=got)
        expect(
            seen["started"] and seen["green"], "Nothing is wrong with this commit, and the run is red.", tried, got=got
        )
        for command in ("pip install", "pytest", "docker build", "docker push"):
            there = any(line.startswith(command) or f" {command} " in f" {line} " for line in lines(seen))
            expect(there, f"`{command}` was not called.", tried, got=got, expected="install, test, build, publish")
        self._locked(seen, tried)
        for scene in ({"branch": "try-something"}, {"event": "pull_request", "branch": "better-model"}):
            text = text_of(answer, "mended_release")
            tried = "release.yml, " + ", ".join(f"{key} {value}" for key, value in scene.items())
            seen = rehearsed(answer, "rehearse", text, tried, **scene)
            pushed = any(line.startswith("docker push") for line in lines(seen))
            expect(not pushed, "Only main is published.", tried, got=self._told(seen), expected="no docker push")

    @case("release.yml: a commit whose tests fail is not published, and is red", weight=3)
    def stops(self, answer: Answer, rng: np.random.Generator) -> None:
        for fails in ("pytest", "docker build"):
            seen, tried = self._release(answer, fails=fails)
            pushed = [line for line in lines(seen) if line.startswith("docker push")]
            message = f"{fails} failed and the image was published all the same."
            expect(not pushed, message, tried, got=self._told(seen), expected="no docker push")
            message = f"{fails} failed and the run is green."
            expect(not seen["green"], message, tried, got=self._told(seen), expected="red")

    @case("release.yml: the image is named by its revision")
    def tags(self, answer: Answer, rng: np.random.Generator) -> None:
        seen, tried = self._release(answer)
        pushed = [line.split()[-1] for line in lines(seen) if line.startswith("docker push")]
        expect(pushed, "`docker push` was not called.", tried, got=self._told(seen))
        for image in pushed:
            tag = image.partition("/")[2].partition(":")[2]
            message = "An image without a tag, or with one that moves, is another image tomorrow: name the revision."
            fixed = "1f1f1f1" in tag
            if not tag and "::set-output" in text_of(answer, "mended_release"):
                message = "The tag is empty: `::set-output` hands on nothing here. Write to the file $GITHUB_OUTPUT."
            expect(fixed, message, tried, got=f"docker push {image}", expected="the commit's SHA in the tag")
            built = any(line.startswith("docker build") and image in line.split() for line in lines(seen))
            expect(built, "Another name is pushed than was built.", tried, got=self._told(seen), expected=image)

    @case("release.yml: least rights, pinned actions, no figure that nothing has measured")
    def rest(self, answer: Answer, rng: np.random.Generator) -> None:
        workflow = parsed(text_of(answer, "mended_release"), "mended_release()")
        expect_least_rights(workflow, "mended_release()")
        expect_pinned(workflow, "mended_release()")
        runs = [str(step.get("run", "")) for job in workflow["jobs"].values() for step in job.get("steps") or []]
        shown = [run for run in runs if "coverage" in run and re.search(r"\d\s*%", run)]
        message = "A coverage is still written down, and no command measures this one. Leave it out, or measure it."
        expect(not shown, message, "mended_release()", got=shown[0] if shown else "")

    @case("nightly.sh: a failure is the end of it, and its exit code says so", weight=3)
    def nightly(self, answer: Answer, rng: np.random.Generator) -> None:
        seen, tried = self._nightly(answer)
        got = self._told(seen)
        expect(seen["code"] == 0, "Nothing is wrong with this revision, and the script fails.", tried, got=got)
        for command in ("pytest", "docker build", "docker push"):
            there = any(line.startswith(command) or f" {command} " in f" {line} " for line in lines(seen))
            expect(there, f"`{command}` was not called.", tried, got=got, expected="test, build, publish")
        pushed = [line for line in lines(seen) if line.startswith("docker push")]
        for line in pushed:
            expect(REVISION in line, "The image is to be named by the revision, $1.", tried, got=line)
            built = any(one.startswith("docker build") and line.split()[-1] in one.split() for one in lines(seen))
            expect(built, "Another name is pushed than was built.", tried, got=got, expected=line.split()[-1])
        for fails in ("pip install", "pytest", "docker build"):
            seen, tried = self._nightly(answer, fails)
            pushed = [line for line in lines(seen) if line.startswith("docker push")]
            message = f"{fails} failed, and the script went on and published."
            expect(not pushed, message, tried, got=self._told(seen), expected="no docker push")
            message = f"{fails} failed, and the script ends with exit code 0: whoever called it thinks all is well."
            expect(seen["code"] != 0, message, tried, got=self._told(seen), expected="an exit code that is not 0")

    @case("nightly.sh: nothing is installed that has nothing to do with it")
    def packages(self, answer: Answer, rng: np.random.Generator) -> None:
        seen, tried = self._nightly(answer)
        message = (
            "pickle-mixin is still installed. It is a package of strangers with a name that sounds like Python's own; "
            "`pickle` needs no installation."
        )
        bad = [line for line in lines(seen) if "pickle" in line]
        expect(not bad, message, tried, got="; ".join(bad))
        self._locked(seen, tried)

    def _locked(self, seen: dict[str, Any], tried: str) -> None:
        locked = any("install" in line and "requirements.lock" in line for line in lines(seen))
        expect(locked, "The locked requirements are not installed any more.", tried, got=self._told(seen))

    def _told(self, seen: dict[str, Any]) -> str:
        colour = ("green" if seen["green"] else "red") if "green" in seen else f"exit code {seen['code']}"
        said = seen["said"][-1:] if seen["said"] else []
        return "; ".join([colour, *lines(seen)[-6:], *said])
