"""The command line: train, evaluate and check a model, serve it, the pipeline, monitoring."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

# Everything is imported where it is used: `check` also works where only the serving half is
# installed, and a pipeline with nothing to do loads neither NumPy nor onnxruntime.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code, 0 for success and 1 for a failure told on stderr."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser(arguments[:1]).parse_args(arguments)
    try:
        return options.run(options) or 0
    except ModuleNotFoundError as error:
        print(f"error: {error}; {options.needs}", file=sys.stderr)
        return 1
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


def _parser(command: Sequence[str] = ()) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="flight_delays", description=__doc__)
    parser.set_defaults(needs="training needs flight-delays[train]")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    train = commands.add_parser("train", help="train on 2013 up to a day, write the bundle")
    train.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="the bundle goes to FOLDER/VERSION",
    )
    _add_through(train)
    train.set_defaults(run=_train)

    evaluate = commands.add_parser("evaluate", help="train up to a day, score every month of 2013")
    _add_through(evaluate)
    evaluate.set_defaults(run=_evaluate)

    check = commands.add_parser("check", help="check a bundle as the service does before it serves")
    check.add_argument("folder", type=Path, metavar="FOLDER")
    check.add_argument("--sha256", help="digest of bundle.json, obtained elsewhere")
    check.set_defaults(run=_check)

    serve = commands.add_parser(
        "serve",
        help="answer requests with a bundle",
        description="Answer requests until SIGTERM or Ctrl-C. Settings are read from variables "
        "FLIGHT_DELAYS_..., see README.md; options win over them.",
    )
    serve.add_argument(
        "bundle",
        type=Path,
        nargs="?",
        metavar="FOLDER",
        help="bundle to put into the store; it becomes champion if there is none",
    )
    serve.add_argument("--state", type=Path, metavar="FOLDER", help="versions, champion and log")
    serve.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", type=int, help="port to listen on, 0 for any (default: 8000)")
    serve.add_argument("--workers", type=int, help="processes that answer (default: 1)")
    serve.set_defaults(run=_serve)

    pipeline = commands.add_parser(
        "pipeline",
        help="from a commit to a model in service: test train validate package deploy monitor",
        description="Run one stage of the pipeline, or all of them in order. What has not changed "
        "is not done again. Exit codes: 0 done or up to date; 1 the stage says no; 2 wrong "
        "configuration; 3 run an earlier stage first; 4 something outside failed.",
    )
    pipeline.add_argument(
        "stage",
        choices=("test", "train", "validate", "package", "deploy", "monitor", "run"),
        help="the stage; run: all six, up to the first that does not succeed",
    )
    _add_project(pipeline)
    pipeline.add_argument(
        "--work",
        type=Path,
        metavar="FOLDER",
        help="folder for outputs (default: .pipeline in the project's folder)",
    )
    pipeline.add_argument(
        "--force", action="store_true", help="do the work though nothing has changed"
    )
    pipeline.add_argument(
        "--champion",
        type=Path,
        metavar="FOLDER",
        help="bundle of the version in service, where the registry does not have it yet",
    )
    pipeline.set_defaults(run=_pipeline, needs="the pipeline needs flight-delays[train,pipeline]")

    _add_monitoring(commands, in_full=command == ["monitoring"])

    openapi = commands.add_parser("openapi", help="print the OpenAPI document of the service")
    openapi.set_defaults(run=_openapi)
    return parser


def _add_monitoring(commands: argparse._SubParsersAction, *, in_full: bool) -> None:
    """Add the command; its own sub-commands, whose modules load NumPy, only where it is run."""
    monitoring = commands.add_parser(
        "monitoring",
        help="look after a model in service: what it is asked, how good it is, what to do",
    )
    monitoring.set_defaults(needs="this needs flight-delays[train,pipeline,monitoring]")
    if in_full:
        from flight_delays.monitoring.command import add_commands

        add_commands(monitoring, _day, _add_project)


def _add_through(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--through",
        type=_day,
        default=date(2013, 6, 30),
        metavar="DAY",
        help="last day of the training data (default: %(default)s)",
    )


def _add_project(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--project",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help="folder with pipeline.toml, src and tests (default: the current one)",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        type=_setting,
        metavar="SETTING=VALUE",
        help="a setting that wins over pipeline.toml, such as as_of=2013-09-30; may be repeated",
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected a day like 2013-06-30, found {text!r}"
        ) from None


def _setting(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        raise argparse.ArgumentTypeError(
            f"expected SETTING=VALUE with the value as in pipeline.toml, such as "
            f"as_of=2013-09-30 or data.scenario='\"scenario.toml\"', found {text!r}"
        ) from None


def _train(options: argparse.Namespace) -> None:
    from flight_delays.export import train_bundle

    folder = train_bundle(options.out, options.through)
    print(folder)
    _report(folder)


def _evaluate(options: argparse.Namespace) -> None:
    from flight_delays.evaluation import by_month, compare_holdouts
    from flight_delays.flights import load_flights, split_by_day
    from flight_delays.training import fit, predict

    flights = load_flights()
    holdouts = compare_holdouts(flights, options.through)
    window, _ = split_by_day(flights, options.through)
    print(by_month(flights, predict(fit(window), flights)).round(3).to_string())
    print(f"\nROC AUC of a random holdout up to {options.through}: {holdouts.random:.3f}")
    print(f"ROC AUC of all flights after it: {holdouts.following:.3f}")


def _check(options: argparse.Namespace) -> None:
    _report(options.folder, options.sha256)


def _serve(options: argparse.Namespace) -> None:
    from flight_delays.server import serve
    from flight_delays.settings import Settings

    names = ("state", "host", "port", "workers")
    settings = Settings.from_environment(
        os.environ, **{name: getattr(options, name) for name in names}
    )
    serve(settings, options.bundle)


def _pipeline(options: argparse.Namespace) -> int:
    from flight_delays.pipeline.command import run_command

    return run_command(
        options.stage,
        options.project,
        options.work,
        force=options.force,
        champion=options.champion,
        changes=dict(options.set),
    )


def _openapi(options: argparse.Namespace) -> None:
    from flight_delays.app import create_app
    from flight_delays.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        app = create_app(Settings(state=Path(folder), prediction_log=False))
        print(json.dumps(app.api.openapi(), indent=2))
        app.close()


def _report(folder: Path, expected_sha256: str | None = None) -> None:
    from flight_delays.bundle import load_bundle

    bundle = load_bundle(folder, expected_sha256)
    info, metrics = bundle.info, bundle.info.metrics
    print(f"version    {info.version}")
    print(f"data       {info.data.first} to {info.data.last}, {info.data.rows:,} flights")
    print(f"validated  {metrics.first} to {metrics.last}, ROC AUC {metrics.roc_auc:.3f}")
    print(f"golden     {len(info.golden.probabilities)} rows within {info.golden.tolerance:g}")
    print(f"SHA-256    {bundle.sha256}  bundle.json")
