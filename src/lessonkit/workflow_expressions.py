"""GitHub's workflow expressions, as far as conditions and short texts need them.

    evaluate("github.ref == 'refs/heads/main' && success()", contexts, functions)
    holds("${{ steps.test.outcome }} == 'success'", contexts, functions)    # true, whatever the outcome

See docs.github.com, "Evaluate expressions in workflows and actions".
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any

Functions = Mapping[str, Callable[..., Any]]

_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>-?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?))"
    r"|(?P<name>[A-Za-z_][\w-]*)|(?P<sign>==|!=|<=|>=|&&|\|\||[<>!()\[\].,*]))"
)
_PART = re.compile(r"\$\{\{(.*?)\}\}", re.S)
_STATUS = re.compile(r"\b(success|failure|always|cancelled)\s*\(")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None, "NaN": math.nan, "Infinity": math.inf}


class ExpressionError(ValueError):
    """An expression that GitHub would not understand, or that is not understood here; the text says which."""


def evaluate(expression: str, contexts: Mapping[str, Any], functions: Functions) -> Any:
    """The value of an expression, given without `${{ }}`.

    Args:
        contexts: name such as `github` to what lies below it: a mapping, or a function from a key to its value. What is
            not there is null, as on GitHub.
        functions: name in small letters to a function, beside those that are built in.

    Raises:
        ExpressionError: it cannot be read, or names a context or function that there is not.
    """
    return _Reader(expression, contexts, {**_BUILT_IN, **functions}).read()


def holds(condition: Any, contexts: Mapping[str, Any], functions: Functions) -> bool:
    """Whether an `if:` lets a step or job run.

    A condition without `${{ }}` is an expression, so is one that is nothing but `${{ ... }}`. Anything around the
    marks makes it a text, and a text that is not empty is true. Where no status function is called, `success()` must
    hold, too.
    """
    if condition is None or condition == "":
        return bool(functions["success"]())
    if isinstance(condition, bool | int | float):
        value: Any = condition
        text = ""
    else:
        text = str(condition).strip()
        whole = re.fullmatch(r"\$\{\{((?:(?!\}\}).)*)\}\}", text, re.S)
        if whole:
            value = evaluate(whole[1], contexts, functions)
        elif "${{" in text:
            value = fill(text, contexts, functions)
        else:
            value = evaluate(text, contexts, functions)
    implied = True if _STATUS.search(text) else bool(functions["success"]())
    return truth(value) and implied


def fill(text: str, contexts: Mapping[str, Any], functions: Functions) -> str:
    """The text with each `${{ ... }}` replaced by its value."""
    return _PART.sub(lambda found: as_text(evaluate(found[1], contexts, functions)), text)


def truth(value: Any) -> bool:
    """False, 0, NaN, null and the empty text are false."""
    return not (value is None or value is False or value == "" or value == 0 or value != value)


def as_text(value: Any) -> str:
    """A value as it stands in a text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "Object" if isinstance(value, dict) else "Array"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _number(value: Any) -> float:
    if isinstance(value, bool):
        return float(value)
    if value is None or value == "":
        return 0.0
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, str) and isinstance(right, str):
        return left.lower() == right.lower()
    if type(left) is type(right):
        return bool(left == right)
    return _number(left) == _number(right)


def _contains(where: Any, what: Any) -> bool:
    if isinstance(where, list):
        return any(_equal(item, what) for item in where)
    return as_text(what).lower() in as_text(where).lower()


def _format(text: Any, *values: Any) -> str:
    filled = as_text(text)
    for place, value in enumerate(values):
        filled = filled.replace(f"{{{place}}}", as_text(value))
    return filled.replace("{{", "{").replace("}}", "}")


def _join(values: Any, separator: Any = ",") -> str:
    return as_text(separator).join(map(as_text, values if isinstance(values, list) else [values]))


_BUILT_IN: dict[str, Callable[..., Any]] = {
    "contains": _contains,
    "startswith": lambda text, start: as_text(text).lower().startswith(as_text(start).lower()),
    "endswith": lambda text, end: as_text(text).lower().endswith(as_text(end).lower()),
    "format": _format,
    "join": _join,
    "tojson": lambda value: json.dumps(value, indent=2),
    "fromjson": lambda text: json.loads(as_text(text)),
    "hashfiles": lambda *patterns: "0" * 64,
}


class _Reader:
    """Reads and evaluates in one pass; both sides of && and || are read, as they have no side effects."""

    def __init__(self, text: str, contexts: Mapping[str, Any], functions: Functions) -> None:
        self._text, self._contexts, self._functions = text, contexts, functions
        self._tokens = self._split(text)
        self._at = 0

    def _split(self, text: str) -> list[tuple[str, str]]:
        tokens, place = [], 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if not found:
                raise ExpressionError(f"`{text.strip()}`: not understood from `{text[place:].strip()[:20]}` on")
            kind = str(found.lastgroup)
            tokens.append((kind, found[kind]))
            place = found.end()
        return tokens

    def read(self) -> Any:
        value = self._or()
        if self._at < len(self._tokens):
            raise ExpressionError(f"`{self._text.strip()}`: not understood from `{self._tokens[self._at][1]}` on")
        return value

    def _take(self, *signs: str) -> str:
        if self._at < len(self._tokens) and self._tokens[self._at] in [("sign", sign) for sign in signs]:
            self._at += 1
            return self._tokens[self._at - 1][1]
        return ""

    def _want(self, sign: str) -> None:
        if not self._take(sign):
            raise ExpressionError(f"`{self._text.strip()}`: a `{sign}` is missing")

    def _or(self) -> Any:
        value = self._and()
        while self._take("||"):
            other = self._and()
            value = value if truth(value) else other
        return value

    def _and(self) -> Any:
        value = self._comparison()
        while self._take("&&"):
            other = self._comparison()
            value = other if truth(value) else value
        return value

    def _comparison(self) -> Any:
        value = self._not()
        while sign := self._take("==", "!=", "<=", ">=", "<", ">"):
            other = self._not()
            if sign in ("==", "!="):
                value = _equal(value, other) == (sign == "==")
            else:
                left, right = _number(value), _number(other)
                value = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[sign]
        return value

    def _not(self) -> Any:
        return not truth(self._not()) if self._take("!") else self._path()

    def _path(self) -> Any:
        value = self._primary()
        while sign := self._take(".", "["):
            if sign == "[":
                key = self._or()
                self._want("]")
            else:
                kind, key = self._next()
                if kind != "name":
                    raise ExpressionError(f"`{self._text.strip()}`: `.{key}` is not supported here")
            value = _below(value, key)
        return value

    def _next(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise ExpressionError(f"`{self._text.strip()}` ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _primary(self) -> Any:
        if self._take("("):
            value = self._or()
            self._want(")")
            return value
        kind, text = self._next()
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(int(text, 16) if "0x" in text else text)
        if kind == "sign":
            raise ExpressionError(f"`{self._text.strip()}`: `{text}` stands where a value should")
        if self._take("("):
            return self._call(text)
        if text in _WORDS:
            return _WORDS[text]
        found = {name.lower(): value for name, value in self._contexts.items()}
        if text.lower() not in found:
            raise ExpressionError(f"`{text}` is no context; texts stand in single quotes")
        return found[text.lower()]

    def _call(self, name: str) -> Any:
        arguments = []
        while not self._take(")"):
            arguments.append(self._or())
            if not self._take(","):
                self._want(")")
                break
        if name.lower() not in self._functions:
            raise ExpressionError(f"there is no function `{name}`")
        try:
            return self._functions[name.lower()](*arguments)
        except (TypeError, ValueError) as error:
            raise ExpressionError(f"`{name}`: {error}") from error


def _below(value: Any, key: Any) -> Any:
    if callable(value):
        return value(as_text(key))
    if isinstance(value, Mapping):
        return next((item for name, item in value.items() if str(name).lower() == as_text(key).lower()), None)
    if isinstance(value, list) and _number(key) in range(len(value)):
        return value[int(_number(key))]
    return None
