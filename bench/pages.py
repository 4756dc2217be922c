"""Put the figures of bench/*.json into the pages that tell them: no figure there is typed by hand.

    make bench-pages

In README.md and docs/ a block begins with `<!-- figures: NAME -->` and ends with `<!-- end -->`; what
stands between is written anew. Each measurement does this when it has stored its figures, and a
test compares the pages with them.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from labkit.environment import ROOT

PAGES = ("README.md", "docs/instructor.md")
BLOCK = re.compile(r"(<!-- figures: (?P<name>[a-z-]+) -->\n).*?(<!-- end -->)", re.S)
Stored = Mapping[str, Any]


def _number(value: float | None) -> str:
    """Three digits are as many as a noisy machine can promise."""
    if value is None:
        return "-"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _lines(head: list[str], rows: list[list[str]]) -> str:
    table = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(row)} |\n" for row in table)


def serving(stored: Stored) -> str:
    """The servers at 16 connections, and in batches; see bench/serving.py."""
    rows = {(row["key"], row["rows_a_request"], row["connections"]): row for row in stored["rows"]}
    singles = [row for row in stored["rows"] if row["rows_a_request"] == 1 and row["connections"] == 16]
    head = ["server", "workers", "requests/s", "p50 ms", "p99 ms", "CPU ms each", "memory MB", "rows/s in batches"]
    measures = ("requests_per_s", "p50_ms", "p99_ms", "cpu_ms_per_request", "rss_mb")
    lines, said = [], []
    for row in singles:
        batch = next(each for (key, size, _), each in rows.items() if key == row["key"] and size > 1)
        told = [_number(row[name]) for name in measures]
        lines.append([row["server"], str(row["workers"]), *told, _number(batch["rows_per_s"])])
        if row["note"]:
            said.append(f"{row['server']}, {row['workers']} worker{'s' * (row['workers'] > 1)}: {row['note']}.")
    notes = sorted({row["note"] for row in stored["rows"] if "other programs" in row["note"]})
    machine = stored["machine"]
    told = (
        f"At 16 connections, one flight a request; batches of 1,000. {machine['cores']} cores, {machine['system']}, "
        f"Python {machine['python']}; all in one run."
    )
    if notes:
        told += " Other programs ran meanwhile, so the ratios say more than the figures."
    below = "  \n".join(said)  # two spaces are a line's end in Markdown
    return f"{told}\n\n{_lines(head, lines)}" + (f"\n{below}\n" if below else "")


def grading(stored: Stored) -> str:
    """What a class of each size costs; see bench/grading.py."""
    head = ["grader", "lab", "submissions", "a minute", "CPU s each", "peak MB", "same scores"]
    same = {True: "yes", False: "no", None: "-"}
    rows = [
        [
            row["grader"],
            row["lab"],
            f"{row['submissions']:,}",
            *(_number(row[name]) for name in ("submissions_per_minute", "cpu_s_each", "peak_mb")),
            same[row["scores_equal"]],
        ]
        for row in stored["rows"]
        if row["seconds"] is not None
    ]
    return _lines(head, rows)


def monitoring(stored: Stored) -> str:
    """False alarms and delays of monitors in the same years; see bench/monitoring.py."""
    rows = {(row["key"], row["injection"]): row for row in stored["rows"]}
    keys = list(dict.fromkeys(key for key, _ in rows))
    names = [rows[key, "all"]["monitor"] for key in keys]
    real = {row["key"]: row for row in stored["real"]}

    def delay(row: Stored) -> str:
        if row["years"] is None:
            return "-"
        days = "never" if row["median_delay_days"] is None else f"{row['median_delay_days']:g}"
        return f"{days} ({row['missed']})" if row["missed"] else days

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.0%}"

    whole = [rows[key, "all"] for key in keys]
    lines = [["**false alarms a year**", *(_number(row["false_alarms_per_year"]) for row in whole)]]
    lines += [["days in alarm, nothing injected", *(share(row["in_alarm_share"]) for row in whole)]]
    lines += [["**median delay, all injections**", *(delay(row) for row in whole)]]
    injections = [name for key, name in rows if key == keys[0] and name not in ("all", "none")]
    lines += [[name, *(delay(rows[key, name]) for key in keys)] for name in injections]
    lines += [["nothing: an alarm by luck", *(delay(rows[key, "none"]) for key in keys)]]
    alarms = [real[key]["alarms"] for key in keys]
    lines += [["alarms, July to December as it was", *("-" if one is None else str(len(one)) for one in alarms)]]
    years, options = rows[keys[0], "none"]["years"], stored["options"]
    told = (
        f"{years or 0} years against {options['references']} references. Delays are medians in days; in brackets, of "
        f"how many injected years nothing was said within {options['followed_days']} days."
    )
    return f"{told}\n\n{_lines(['', *names], lines)}"


def _of(name: str) -> Callable[[Stored], str] | None:
    return {"serving": serving, "grading": grading, "monitoring": monitoring}.get(name)


def filled(text: str) -> str:
    """The page with each block written anew from its JSON file.

    Raises
    ------
    LookupError
        A block names figures that nobody measures.
    """

    def block(found: re.Match[str]) -> str:
        write, path = _of(found["name"]), ROOT / "bench" / f"{found['name']}.json"
        if write is None or not path.exists():
            raise LookupError(f"there are no figures {found['name']}: make bench-{found['name']}")
        return found[1] + write(json.loads(path.read_text(encoding="utf-8"))) + found[3]

    return BLOCK.sub(block, text)


def write_pages() -> list[str]:
    """Fill every page; gives those that have changed."""
    changed = []
    for name in PAGES:
        path = Path(ROOT, name)
        before = path.read_text(encoding="utf-8")
        after = filled(before)
        if after != before:
            path.write_text(after, encoding="utf-8", newline="\n")
            changed.append(name)
    return changed


def main() -> int:
    print(", ".join(write_pages()) or "every page tells what is stored")
    return 0


if __name__ == "__main__":
    sys.exit(main())
