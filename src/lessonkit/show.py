"""Show what a reader should see: an expected error in one line, code from the file it lives in."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from IPython.display import Markdown


def error_of(work: Callable[[], Any], limit: int = 200) -> None:
    """Run `work` and print the error it raises as `type: message`, its first line, or say there was none."""
    try:
        work()
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        print(f"{type(error).__name__}: {first[:limit]}")
    else:
        print("no error")


def source_of(thing: Any) -> Markdown:
    """The source of a function or class, read from the file that defines it.

    As Markdown, which JupyterLab colours also in a notebook that is not trusted yet.
    """
    return Markdown(f"```python\n{inspect.getsource(thing)}```")
