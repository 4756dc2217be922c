"""Lab 04: what its answers to try are made of: Dockerfiles that differ in a line from one that is right."""

from __future__ import annotations

FROM = "FROM python:3.11-slim"
PIP = "RUN pip install --no-cache-dir --no-index --find-links wheels -r requirements.txt"
PACKAGES = f"COPY requirements.txt ./\nCOPY wheels wheels\n{PIP}"
CODE = "COPY server.py model.json ./"
CMD = 'CMD ["python", "server.py"]'
ASKS = "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/health', timeout=2)"

PLAIN = f"{FROM}\nWORKDIR /app\n{PACKAGES}\n{CODE}\nEXPOSE 8000\n{CMD}"
HEALTH = f'HEALTHCHECK --interval=10s --timeout=3s --retries=3 CMD ["python", "-c", "{ASKS}"]'
GUARDED = PLAIN.replace(CMD, f"ENV LOG_FOLDER=/tmp/log\nUSER 10001\n{HEALTH}\n{CMD}")
STOPPING = PLAIN.replace(CMD, f"ENV LOG_FOLDER=/tmp/log\nUSER 10001\nSTOPSIGNAL SIGINT\n{CMD}")


def gives(name: str, text: str) -> str:
    """An answer cell: a function of this name that gives the text."""
    return f"def {name}():\n    return r'''\n{text}\n'''\n"


def without(text: str, part: str, instead: str = "") -> str:
    """The text with a part of it, which must be there, replaced."""
    assert part in text, part
    return text.replace(part, instead)
