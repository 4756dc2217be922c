"""The shell commands of a declarative Jenkinsfile.

A Jenkinsfile is a Groovy program, and only Jenkins can say what it does. The declarative form is narrow enough to be
read: names, their arguments, and blocks in braces. Pygments cuts the text into tokens, this module builds the blocks.
What could decide at run time which commands there are (`script { }`, a program without `pipeline { }`) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from pygments.lexers import GroovyLexer
from pygments.token import Comment, String, Token, _TokenType

PAIRS = {"(": ")", "[": "]", "{": "}"}
ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "\n": ""}
SHELLS = ("sh", "bat", "powershell", "pwsh")


class JenkinsfileError(ValueError):
    """The text is no declarative pipeline that can be read; the message names the line."""


@dataclass(frozen=True)
class Word:
    """A token: its text, where it stands, and whether it is a text in quotes (then without them)."""

    text: str
    line: int
    quoted: bool = False


@dataclass(frozen=True)
class Statement:
    """A name, what follows it on its line or in its brackets, and its block if it has one."""

    name: str
    line: int
    arguments: tuple[Word, ...] = ()
    block: tuple[Statement, ...] | None = None

    def all(self, name: str) -> list[Statement]:
        """The statements of this name directly in the block."""
        return [one for one in self.block or () if one.name == name]


@dataclass(frozen=True)
class Shell:
    """A command.

    Attributes
    ----------
    stage
        The stage it stands in.
    environment
        The variables set for it; the value of a call is its text with `$` before it.
    when
        The conditions of its stage and of the stages around it, as written.
    may_fail
        Whether what follows runs although it failed.
    """

    stage: str
    command: str
    environment: Mapping[str, str] = field(default_factory=dict)
    when: tuple[str, ...] = ()
    may_fail: bool = False


def shells(text: str) -> list[Shell]:
    """The commands of all `sh` steps in the order in which they run; those of `post` are left out.

    Raises
    ------
    JenkinsfileError
        It is not declarative, a bracket is not closed, or a step can only be known at run time.
    """
    statements = parse(text)
    pipelines = [one for one in statements if one.name == "pipeline" and one.block is not None]
    if len(pipelines) != 1:
        raise JenkinsfileError(f"one block `pipeline {{ }}` is expected, found {len(pipelines)}: it is not declarative")
    (pipeline,) = pipelines
    if not pipeline.all("stages"):
        raise JenkinsfileError(f"line {pipeline.line}: `pipeline` has no `stages`")
    return [shell for one in pipeline.all("stages") for shell in _stages(one, _environment(pipeline), ())]


def parse(text: str) -> tuple[Statement, ...]:
    """The statements of the text, each with the block in its braces."""
    words = list(_words(text))
    statements, end = _block(words, 0)
    if end < len(words):
        raise JenkinsfileError(f"line {words[end].line}: {words[end].text} closes nothing")
    return statements


def _words(text: str) -> Iterator[Word]:
    """Tokens without blanks and comments; the end of a line is a word of its own."""
    line = 1
    for kind, value in GroovyLexer().get_tokens(text):
        if kind is Token.Error:
            raise JenkinsfileError(f"line {line}: {value!r} is not Groovy")
        if kind in Comment:
            pass
        elif _is_text(kind, value):
            yield Word(_unquoted(value), line, quoted=True)
        elif value.isspace():
            if "\n" in value:
                yield Word("\n", line)
        else:
            yield Word(value.strip(), line)
        line += value.count("\n")


def _is_text(kind: _TokenType, value: str) -> bool:
    return kind in String and value[:1] in "'\"$/"


def _unquoted(value: str) -> str:
    marks = 3 if value[:3] in ("'''", '"""') else 2 if value[:2] == "$/" else 1
    inner = value[marks:-marks]
    if value[0] not in "'\"":
        return inner  # between slashes or dollars a backslash is one
    return re.sub(r"\\(.)", lambda found: ESCAPED.get(found[1], found[1]), inner, flags=re.S)


def _block(words: list[Word], at: int) -> tuple[tuple[Statement, ...], int]:
    """The statements from `at` to the brace that closes them, and where that stands."""
    found = []
    while at < len(words) and not (words[at].text == "}" and not words[at].quoted):
        if words[at].text in ("\n", ";") and not words[at].quoted:
            at += 1
            continue
        statement, at = _statement(words, at)
        found.append(statement)
    return tuple(found), at


def _statement(words: list[Word], at: int) -> tuple[Statement, int]:
    first, arguments, open_brackets = words[at], [], []
    at += 1
    while at < len(words):
        word = words[at]
        mark = "" if word.quoted else word.text
        if not open_brackets and mark in ("\n", ";", "}"):
            break
        if not open_brackets and mark == "{":
            block, end = _block(words, at + 1)
            if end == len(words):
                raise JenkinsfileError(f"line {word.line}: {{ is not closed")
            return Statement(first.text, first.line, tuple(arguments), block), end + 1
        if mark in PAIRS:
            open_brackets.append(word)
        elif mark in PAIRS.values() and (not open_brackets or PAIRS[open_brackets.pop().text] != mark):
            raise JenkinsfileError(f"line {word.line}: {mark} closes nothing")
        if mark != "\n":
            arguments.append(word)
        at += 1
    if open_brackets:
        raise JenkinsfileError(f"line {open_brackets[-1].line}: {open_brackets[-1].text} is not closed")
    return Statement(first.text, first.line, tuple(arguments)), at


def _stages(block: Statement, environment: Mapping[str, str], when: tuple[str, ...]) -> Iterator[Shell]:
    for stage in block.block or ():
        if stage.name != "stage":
            raise JenkinsfileError(f"line {stage.line}: `stage` is expected, found {stage.name}")
        name = _text(stage)
        inside = {**environment, **_environment(stage)}
        conditions = (*when, *(_written(one) for clause in stage.all("when") for one in clause.block or ()))
        for part in stage.block or ():
            if part.name in ("stages", "parallel"):
                yield from _stages(part, inside, conditions)
            elif part.name == "matrix":
                raise JenkinsfileError(f"line {part.line}: a matrix is not read here")
            elif part.name == "steps":
                yield from (Shell(name, command, inside, conditions, lax) for command, lax in _steps(part))


def _steps(block: Statement, may_fail: bool = False) -> Iterator[tuple[str, bool]]:
    """Each command, and whether its failure is caught or handed back as a value."""
    for step in block.block or ():
        if step.name in SHELLS:
            handed_back = any(word.text.strip(": ") == "returnStatus" for word in step.arguments if not word.quoted)
            yield _text(step, "script").strip(), may_fail or handed_back
        elif step.name in ("script", "if", "for", "while", "try"):
            raise JenkinsfileError(f"line {step.line}: what {step.name} does is known at run time only")
        elif step.block is not None:  # withCredentials, dir, timeout, retry: the steps are in their block
            yield from _steps(step, may_fail or step.name in ("catchError", "warnError"))


def _environment(block: Statement) -> dict[str, str]:
    """What `environment { }` sets: a text, or a call as `credentials('x')`, written `$credentials('x')`."""
    found = {}
    for clause in block.all("environment"):
        for one in clause.block or ():
            sign, *value = one.arguments or (Word("", one.line),)
            if sign.text != "=" or not value:
                raise JenkinsfileError(f"line {one.line}: NAME = value is expected in `environment`")
            written = "".join(f"'{word.text}'" if word.quoted else word.text for word in value)
            found[one.name] = value[0].text if len(value) == 1 and value[0].quoted else f"${written}"
    return found


def _text(statement: Statement, label: str = "") -> str:
    """The text that a statement is given: `sh 'x'`, `sh('x')`, or `sh(label: 'y', script: 'x')` for a label."""
    words = [word for word in statement.arguments if word.quoted or word.text not in "(),"]
    if len(words) == 1 and words[0].quoted:
        return words[0].text
    named = [after for word, after in pairwise(words) if label and word.text.strip(": ") == label]
    if len(named) == 1 and named[0].quoted:
        return named[0].text
    raise JenkinsfileError(f"line {statement.line}: what {statement.name} is given is known at run time only")


def _written(statement: Statement) -> str:
    inner = f" {{ {'; '.join(map(_written, statement.block))} }}" if statement.block is not None else ""
    words = [f"'{word.text}'" if word.quoted else word.text for word in statement.arguments]
    return " ".join([statement.name, *words]) + inner
