"""The frame of the pages that grading writes, and what a text must go through to stand in one.

A page is one file that loads nothing and runs nothing: its Content-Security-Policy forbids scripts,
forms and every address, and allows only the styles and pictures that the file itself holds.
"""

from __future__ import annotations

import re
from html import escape

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
# Control characters, halves of characters that no file can hold, and the marks that turn the
# direction of writing, with which a text can make its neighbour read backwards.
UNFIT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")

STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #57606a; --paper: #ffffff; --line: #d0d7de; --field: #f6f8fa;
  --jp-success-color1: #2e7d32; --jp-warn-color1: #a84c00; --jp-info-color1: #1565c0; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --ink: #e6edf3; --soft: #9da7b1; --paper: #15191e; --line: #3a424b; --field: #20262d;
    --jp-success-color1: #6fcf75; --jp-warn-color1: #ffa657; --jp-info-color1: #79b8ff; } }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem; color: var(--ink); background: var(--paper);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .3rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .6rem; }
p { margin: .3rem 0; }
a { color: inherit; }
code { font-family: ui-monospace, Consolas, Menlo, monospace; font-size: .88em;
  overflow-wrap: anywhere; }
table { border-collapse: collapse; }
td, th { padding: .15rem .6rem .15rem 0; text-align: left; vertical-align: top; }
table.list { width: 100%; }
table.list td, table.list th { border-bottom: 1px solid var(--line); padding: .3rem .6rem .3rem 0; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td.whole, th { white-space: nowrap; }
td.names { overflow-wrap: anywhere; }
td.names:last-child { min-width: 9rem; }
.score { font-size: 1.2rem; font-weight: 600; }
.told { background: var(--field); border: 1px solid var(--line); border-radius: 6px; padding: .6rem .9rem;
  margin: .8rem 0; }
.told ul { margin: .2rem 0; padding-left: 1.2rem; }
section { margin: 1.3rem 0; }
figure { margin: 1rem 0; }
figure img { width: 100%; height: auto; background: #ffffff; border-radius: 6px; }
footer, .soft { color: var(--soft); font-size: .85rem; }
footer { margin-top: 2.5rem; border-top: 1px solid var(--line); padding-top: .6rem; }
@media print { body { max-width: none; padding: 0; font-size: 11pt; } section, figure, tr { break-inside: avoid; }
  * { print-color-adjust: exact; } }
"""


def fit(text: str, limit: int = 2_000) -> str:
    """The text with what no page should hold shown as �, cut after `limit` characters. Not yet escaped."""
    return UNFIT.sub("�", text if len(text) <= limit else text[: limit - 1] + "…")


def plain(text: str, limit: int = 2_000) -> str:
    """A text that a student may have written, fit for a page and escaped."""
    return escape(fit(text, limit))


def number(value: float) -> str:
    """A score as people write it: two decimals at most, none where there are none."""
    return f"{value:.2f}".rstrip("0").rstrip(".")


def page(title: str, body: str) -> str:
    """A whole HTML document. `title` is text, `body` is HTML that is escaped already."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{escape(POLICY)}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{plain(title, 300)}</title>
<style>{STYLE}</style>
</head>
<body>
{body}
</body>
</html>
"""
