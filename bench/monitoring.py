"""How soon monitors see what goes wrong, and how often they call somebody for nothing.

    make bench-monitoring
    make bench-monitoring ARGS="--references 1 --years 2 --only adwin,ours"    a short trial
    make bench-monitoring ARGS="--tuning"                                      years that are never reported
    make bench-monitoring ARGS="--update ours"                                 that monitor anew, the others as stored

Prints one table and writes bench/monitoring.json, a trial only where --out says. Every monitor
is led through the same years: see bench/monitors/years.py for how they are drawn so that nothing
drifts in them, injections.toml for what is injected from a seeded day on, alarms.py for how alarms
are counted. A label comes two to seven days after its flight. Nothing here is a time that was
measured: the same code gives the same figures on any machine.

What a monitor is told and when it speaks: ours and ADWIN each day, Evidently and NannyML, whose
defaults are made for windows, each Sunday about the week. False alarms are those of the years
without injection. `none` is not an injection: how often luck alone raises an alarm after the day.

Whoever sets a threshold does so with --tuning, which draws other years. The weeks behind them are
the same 26: what is held out is their order and choice, not the weather of 2013.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import date
from importlib import metadata
from multiprocessing import active_children, get_context
from pathlib import Path

from bench.monitors.alarms import median_delay
from bench.monitors.days import INJECTIONS, NONE, Days, make_days
from bench.monitors.nannyml_weeks import ENVIRONMENT, NannymlWeeks
from bench.monitors.watching import Watched, watch_daily, watch_weekly
from bench.monitors.years import FOLLOWED, Year, drawn_years, real_year
from bench.pages import write_pages
from flight_delays.export import train_bundle
from flight_delays.flights import load_flights
from lessonkit.cores import usable
from tests.nbgrader_environment import environment

STORED = Path(__file__).with_suffix(".json")
REPORTED, TUNING = 2013, 7  # seeds
REFERENCES, YEARS = 3, 8
TRAINED_THROUGH = date(2013, 6, 30)
ALL = "all"
DAYS_A_YEAR = 365
MONITORS = {
    "ours": "this course's monitor",
    "evidently": "Evidently, DataDriftPreset",
    "nannyml": "NannyML, CBPE and univariate drift",
    "nannyml-cbpe": "NannyML, CBPE alone",
    "nannyml-drift": "NannyML, univariate drift alone",
    "adwin": "river, ADWIN on the errors",
}
OTHERS = ("evidently", "nannyml", "adwin")  # whole; a part that never says anything has no false alarm either
Seen = dict[str, list[Watched]]
"""Key of a monitor to what it said, year by year."""


@dataclass
class Row:
    """One monitor and one injection. What could not be measured is None, and `note` says why."""

    key: str
    monitor: str
    injection: str
    false_alarms_per_year: float | None = None
    median_delay_days: float | None = None  # None, too, if half of the years or more were missed
    missed: int | None = None
    years: int | None = None
    in_alarm_share: float | None = None  # of the days without injection
    note: str = ""


@dataclass
class Real:
    """One monitor on July to December as it was, with January to June as its reference."""

    key: str
    monitor: str
    alarms: list[str] | None = None  # days
    in_alarm_share: float | None = None
    note: str = ""


def watch(
    days: Days, years: Sequence[Year], keys: Sequence[str], injections: Sequence[str], nannyml: Path | None
) -> Seen:
    """Lead monitors through years that share a reference."""
    seen: Seen = {}
    first = years[0]
    if "adwin" in keys:
        from bench.monitors.adwin import Adwin

        threshold = days.load().info.threshold
        seen["adwin"] = [watch_daily(Adwin(threshold), days, year, injections) for year in years]
    if "ours" in keys:
        from bench.monitors.ours import Ours

        fitted = Ours.fit(days, first)
        seen["ours"] = [watch_daily(fitted.copy(), days, year, injections) for year in years]
    if "evidently" in keys:
        from bench.monitors.evidently_preset import EvidentlyPreset

        preset = EvidentlyPreset(days, first)
        seen["evidently"] = [watch_weekly(preset, year, injections) for year in years]
    parts = {"nannyml": None, "nannyml-cbpe": True, "nannyml-drift": False}
    if nannyml and set(parts) & set(keys):
        each = [year.with_injection(name) for year in years for name in (NONE, *injections)]
        weeks = NannymlWeeks.ask(nannyml, days, first, [window for year in each for window in year.windows()])
        for key, part in parts.items():
            if key in keys:
                judge = weeks if part is None else weeks.part(part)
                seen[key] = [watch_weekly(judge, year, injections) for year in years]
    return seen


def rows_of(seen: Seen, injections: Sequence[str], notes: dict[str, str]) -> list[Row]:
    """A row for each monitor and injection; `all` takes every injected year together."""
    rows = []
    for key, told in notes.items():
        years = seen.get(key, [])
        for injection in (ALL, *injections, NONE):
            row = Row(key, MONITORS[key], injection, note=told)
            if years:
                spent = sum(year.days for year in years)
                row.false_alarms_per_year = round(sum(len(y.false_alarms) for y in years) / spent * DAYS_A_YEAR, 2)
                row.in_alarm_share = round(sum(year.in_alarm for year in years) / spent, 3)
                delays = [delay for year in years for delay in _delays(year, injection)]
                row.median_delay_days = median_delay(delays)
                row.missed, row.years = delays.count(None), len(delays)
            rows.append(row)
    return rows


def _delays(year: Watched, injection: str) -> list[int | None]:
    if injection == NONE:
        return [year.chance]
    return [*year.delays.values()] if injection == ALL else [year.delays[injection]]


def real_of(seen: Seen, year: Year, notes: dict[str, str]) -> list[Real]:
    rows = []
    for key, told in notes.items():
        row = Real(key, MONITORS[key], note=told)
        for one in seen.get(key, []):
            row.alarms = [str(year.date_of(day)) for day in one.false_alarms]
            row.in_alarm_share = round(one.in_alarm / one.days, 3)
        rows.append(row)
    return rows


def joined(fresh: Sequence[Row | Real], stored: Sequence[Row | Real]) -> list[Row | Real]:
    """The stored rows, those of the monitors that were measured anew replaced; in the order of `MONITORS`."""
    measured = {row.key for row in fresh}
    rows = [*fresh, *(row for row in stored if row.key not in measured)]
    return sorted(rows, key=lambda row: [*MONITORS].index(row.key))


def table(rows: Sequence[Row]) -> str:
    """A line for each injection, for each monitor its median delay in days and what it missed."""
    keys = list(dict.fromkeys(row.key for row in rows))
    found = {(row.key, row.injection): row for row in rows}
    injections = list(dict.fromkeys(row.injection for row in rows))
    head = ["median delay in days (missed)", *keys]
    lines = [head]
    for injection in injections:
        lines.append([injection, *(_told(found[key, injection]) for key in keys)])
    firsts = [found[key, injections[0]] for key in keys]
    lines.append(["false alarms a year", *(_number(row.false_alarms_per_year) for row in firsts)])
    lines.append(["share of days in alarm", *(_number(row.in_alarm_share) for row in firsts)])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines)


def _told(row: Row) -> str:
    if row.years is None:
        return "-"
    delay = "never" if row.median_delay_days is None else f"{row.median_delay_days:g}"
    return f"{delay} ({row.missed}/{row.years})"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def summary(rows: Sequence[Row]) -> dict[str, float | bool | None]:
    """What the rows say of the target; None where a monitor was not measured."""
    whole = {row.key: row for row in rows if row.injection == ALL and row.years}
    others = [whole[key] for key in OTHERS if key in whole]
    if "ours" not in whole or not others:
        return {}
    ours = whole["ours"]
    fewest = min(row.false_alarms_per_year for row in others)
    delays = [row.median_delay_days for row in others if row.median_delay_days is not None]
    soonest = min(delays, default=None)
    return {
        "false alarms a year, ours": ours.false_alarms_per_year,
        "false alarms a year, fewest of the others": fewest,
        "no more false alarms than the fewest": ours.false_alarms_per_year <= fewest,
        "median delay over all injections, ours": ours.median_delay_days,
        "median delay over all injections, soonest of the others": soonest,
        "no longer median delay than the soonest": ours.median_delay_days is not None
        and (soonest is None or ours.median_delay_days <= soonest),
    }


def machine() -> dict[str, object]:
    packages = ("evidently", "river", "numpy", "pandas", "scikit-learn")
    return {
        "cores": len(usable()),
        "system": platform.system(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in packages},
    }


def ended_by_signal() -> None:
    """Let what runs be ended and cleaned up when this process is told to end, as by Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


def measure(
    days: Days, options: argparse.Namespace, keys: Sequence[str], nannyml: Path | None, say: Callable[[str], None]
):
    """All references, two at a time, and the real half-year: what was seen in each."""
    seed = TUNING if options.tuning else REPORTED
    injections = days.injections
    tasks = {
        f"reference {number + 1}": (list(drawn_years(days, number, options.years, seed)), injections)
        for number in range(options.references)
    }
    real = real_year(days)
    tasks["the real year"] = ([real], [])
    seen: Seen = {}
    told = {}
    with ProcessPoolExecutor(min(2, len(usable())), get_context("spawn"), initializer=ended_by_signal) as pool:
        try:
            running = {
                pool.submit(watch, days, years, keys, names, nannyml): name for name, (years, names) in tasks.items()
            }
            for one in as_completed(running):
                told[running[one]] = one.result()
                say(f"{running[one]} is done")
        except BaseException:  # Ctrl-C, too: nobody waits for minutes of work whose result is lost
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            raise
    for name in tasks:
        if name != "the real year":
            for key, watched in told[name].items():
                seen.setdefault(key, []).extend(watched)
    return seen, told["the real year"], real


def made_of(options: argparse.Namespace) -> dict[str, object]:
    """What decides which years are watched."""
    injections = hashlib.sha256(INJECTIONS.read_bytes().replace(b"\r\n", b"\n")).hexdigest()[:12]
    return {
        "references": options.references,
        "years": options.years,
        "seed": TUNING if options.tuning else REPORTED,
        "followed_days": FOLLOWED,
        "injections": injections,
    }


def read(path: Path) -> dict[str, object]:
    """The stored result with its rows as such; nothing where there is no file."""
    if not path.exists():
        return {"rows": [], "real": []}
    stored = json.loads(path.read_text(encoding="utf-8"))
    rows, real = [Row(**row) for row in stored["rows"]], [Real(**row) for row in stored["real"]]
    return stored | {"rows": rows, "real": real}


def parsed(argv: list[str] | None) -> tuple[argparse.Namespace, list[str], Path | None]:
    """The options, the monitors to measure, and the file to write."""
    parser = argparse.ArgumentParser(prog="bench.monitoring", description=__doc__.splitlines()[0])
    parser.add_argument("--references", type=int, default=REFERENCES, help=f"drawn (default {REFERENCES})")
    parser.add_argument("--years", type=int, default=YEARS, help=f"for each reference (default {YEARS})")
    parser.add_argument("--only", default=",".join(MONITORS), help=f"a trial of some of {','.join(MONITORS)}")
    parser.add_argument("--update", help="some monitors anew, the others as stored; for years as stored")
    parser.add_argument("--tuning", action="store_true", help="years to set thresholds by, never reported")
    parser.add_argument("--out", type=Path, help="default: bench/monitoring.json for the whole run, else none")
    options = parser.parse_args(argv)
    only = (options.update or options.only).split(",")
    if unknown := sorted(set(only) - set(MONITORS)):
        parser.error(f"there is no monitor {', '.join(unknown)}; there are {', '.join(MONITORS)}")
    keys = [key for key in MONITORS if key in only]
    whole = (options.references, options.years, options.tuning) == (REFERENCES, YEARS, False)
    whole &= len(keys) == len(MONITORS) or bool(options.update)
    stored = STORED if whole else None
    if options.update and (options.out or stored) is None:
        parser.error("--update: name the file of these years by --out")
    if options.update and read(options.out or stored).get("options") != made_of(options):
        parser.error("--update: what is stored was measured on other years; measure all monitors")
    return options, keys, options.out or stored


def main(argv: list[str] | None = None) -> int:
    options, keys, out = parsed(argv)
    ended_by_signal()

    def say(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    notes = dict.fromkeys(keys, "")
    nannyml = None
    if any(key.startswith("nannyml") for key in keys):
        made = environment(*ENVIRONMENT)
        nannyml = made.python
        notes |= {key: made.reason for key in keys if key.startswith("nannyml") and nannyml is None}
    with tempfile.TemporaryDirectory(prefix="bench-monitoring-", ignore_cleanup_errors=True) as folder:
        flights = load_flights()
        days = make_days(flights, train_bundle(Path(folder).resolve(), TRAINED_THROUGH, flights))
        say("the days are made")
        seen, told, real = measure(days, options, keys, nannyml, say)
    rows, reals = rows_of(seen, days.injections, notes), real_of(told, real, notes)
    if options.update:
        stored = read(out)
        rows, reals = joined(rows, stored["rows"]), joined(reals, stored["real"])
    print(table(rows))
    for one in reals:
        share = "" if one.in_alarm_share is None else f", {one.in_alarm_share:.0%} of the days in alarm"
        print(f"July to December as it was, {one.key}: {len(one.alarms or [])} alarms{share}")
    for what, value in summary(rows).items():
        print(f"{what}: {value}")
    if out:
        result = {"machine": machine(), "options": made_of(options), "rows": [asdict(row) for row in rows]}
        result |= {"real": [asdict(row) for row in reals], "summary": summary(rows)}
        out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8", newline="\n")
        if out == STORED:
            write_pages()
    return 0


if __name__ == "__main__":
    sys.exit(main())
