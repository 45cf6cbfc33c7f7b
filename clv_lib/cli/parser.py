"""The arguments of every command. Each command names a function, which is imported when it is called."""

from __future__ import annotations

import argparse
import datetime as dt
import importlib
import re
from collections.abc import Callable
from typing import Any, NoReturn

from clv_lib import __version__
from clv_lib.contracts.inputs import CONTRACTS
from clv_lib.errors import ConfigurationError, UnknownCommand, did_you_mean, exit_codes
from clv_lib.steps import STEPS

INTERRUPTED = (130, "interrupted")

_CHOICE = re.compile(r"invalid choice: '(?P<given>[^']*)' \(choose from (?P<allowed>.*)\)")

_EXAMPLES = """\
examples:
  clv demo --config conf/demo.yaml                             generate data, run everything, print what it says
  clv doctor --config conf/my_shop.yaml                        check this machine and the sources
  clv run --config conf/my_shop.yaml --as-of 2025-06-30        compute, validate and publish
  clv sql --config conf/my_shop.yaml "select * from segments"  read what is published
"""


class Parser(argparse.ArgumentParser):
    """Reports what is wrong with the arguments as the errors of clv, with the nearest allowed word."""

    def error(self, message: str) -> NoReturn:
        """Raise UnknownCommand or ConfigurationError instead of printing usage and leaving."""
        next_step = f"{self.prog} --help"
        choice = _CHOICE.search(message)
        if choice:
            allowed = re.findall(r"[\w-]+", choice["allowed"])
            what = message[: choice.start()].removeprefix("argument ").rstrip(": ").lower()
            raise UnknownCommand(
                f"there is no {what} {choice['given']}",
                expected=did_you_mean(choice["given"], allowed),
                next_step=next_step,
            )
        raise ConfigurationError(f"the command line is wrong: {message}", next_step=next_step)


def day(text: str) -> dt.date:
    """A day written as YYYY-MM-DD."""
    try:
        return dt.datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=dt.timezone.utc).date()
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a day such as 2025-06-30") from None


def positive(text: str) -> int:
    """A whole number above 0."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def build_parser() -> Parser:
    """The whole command line. `arguments.command(arguments)` runs what was asked for."""
    parser = Parser(
        prog="clv",
        description="Customer lifetime value, churn and acquisition cost as validated Delta tables, by Spark.",
        epilog=f"{_EXAMPLES}\n{_exit_code_text()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"clv {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command_name", required=True)
    _running(commands)
    _reading(commands)
    _describing(commands)
    return parser


def _exit_code_text() -> str:
    codes = {**exit_codes(), INTERRUPTED[0]: INTERRUPTED[1]}
    return "exit codes:\n" + "\n".join(f"  {code:>3}  {meaning}" for code, meaning in codes.items())


def _running(commands: Any) -> None:
    run = _command(commands, "run", "running.run", "compute every table, validate, and publish all at once")
    _config(run)
    _as_of(run)
    _rebuild(run)
    _run_options(run)
    backfill = _command(commands, "backfill", "running.backfill", "run and publish one day after the other")
    _config(backfill)
    backfill.add_argument("--from", dest="first", type=day, metavar="DATE", required=True, help="the first day")
    backfill.add_argument("--to", dest="last", type=day, metavar="DATE", required=True, help="the last day")
    backfill.add_argument(
        "--every", choices=("day", "month"), default="day", help="each day, or month ends and the last (default: day)"
    )
    backfill.add_argument("--allow-older", action="store_true", help="although a later day is published")
    step = _command(commands, "step", "running.step", "run one step of a run, for schedulers that start each by itself")
    step.add_argument("name", metavar="STEP", choices=STEPS, help=", ".join(STEPS))
    _config(step)
    _as_of(step)
    step.add_argument("--allow-older", action="store_true", help="although a later day is published")
    _rebuild(step)
    demo = _command(
        commands, "demo", "running.demo", "write demo data as Delta tables, run everything, say what to type next"
    )
    _config(demo)
    demo.add_argument(
        "--as-of", type=day, metavar="DATE", help="last day that counts (default: the last of the demo data)"
    )
    demo.add_argument("--fresh", action="store_true", help="write the demo data again; else existing tables are kept")
    demo.add_argument("--customers", type=positive, metavar="N", help="customers to draw (default: 2000)")
    _run_options(demo)
    demo.set_defaults(rebuild=False, accept_differences=False)


def _reading(commands: Any) -> None:
    sql = _command(commands, "sql", "reading.sql", "one SELECT over the published tables")
    sql.add_argument("statement", metavar="SQL", help="SELECT, WITH, SHOW or DESCRIBE, in quotes")
    _config(sql)
    _output(sql)
    show = _command(commands, "show", "reading.show", "the first rows of a published table")
    show.add_argument("table", metavar="TABLE", help="a table of `clv tables`")
    _config(show)
    _output(show, limit=20)
    show.add_argument(
        "--run-id", metavar="ID", help="rows of this run, published or not: those of a run that failed too"
    )
    runs = _command(commands, "runs", "reading.runs", "all runs, newest first")
    _config(runs)
    _output(runs, limit=20)
    back = _command(commands, "rollback", "publications.rollback", "publish the previous snapshot again")
    _config(back)
    back.add_argument(
        "--to", metavar="RUN_ID", help="publish this run again instead (default: the one published before)"
    )
    upkeep = _command(
        commands, "maintain", "maintaining.maintain", "put small files together, remove dead runs and unused files"
    )
    _config(upkeep)
    _output(upkeep)
    again = _command(
        commands, "reproduce", "reproducing.reproduce", "compute a recorded run again and compare every table"
    )
    again.add_argument("run_id", metavar="RUN_ID", help="a run of `clv runs` whose tables are still kept")
    _config(again)
    again.add_argument("--into", metavar="LAKE", help="where to compute it (default: the lake's name and _reproduced)")
    views = _command(commands, "views", "reading.views", "CREATE VIEW statements for other engines and catalogs")
    _config(views)


def _describing(commands: Any) -> None:
    tables = _command(commands, "tables", "describing.tables", "the published tables, or the columns of one")
    tables.add_argument("table", metavar="TABLE", nargs="?", help="show its columns with type and meaning")
    contract = _command(commands, "contract", "describing.contract", "what a source must offer, column by column")
    contract.add_argument(
        "name",
        metavar="SOURCE",
        nargs="?",
        help=", ".join(CONTRACTS),
    )
    config = commands.add_parser("config", help="the settings in force, and their schema", allow_abbrev=False)
    inner = config.add_subparsers(title="commands", metavar="COMMAND", dest="config_command", required=True)
    shown = _command(inner, "show", "describing.config_show", "every setting, its value and where it came from")
    _config(shown)
    shown.add_argument("--format", choices=("text", "yaml", "json"), default="text", help="default: text")
    _command(inner, "schema", "describing.config_schema", "JSON schema of the configuration file")
    doctor = _command(commands, "doctor", "describing.doctor", "check Java, JARs, Python, the lake and each source")
    _config(doctor, required=False)
    _command(commands, "jars", "describing.jars", "fetch the Delta JARs once")


def _command(commands: Any, name: str, function: str, meaning: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=meaning, description=f"{meaning[0].upper()}{meaning[1:]}.", allow_abbrev=False
    )
    parser.set_defaults(command=_later(function), log_format="text")
    return parser


def _later(function: str) -> Callable[[argparse.Namespace], int]:
    module, _, name = function.partition(".")

    def call(arguments: argparse.Namespace) -> int:
        called: Callable[[argparse.Namespace], int] = getattr(importlib.import_module(f"clv_lib.cli.{module}"), name)
        return called(arguments)

    return call


def _config(parser: argparse.ArgumentParser, *, required: bool = True) -> None:
    parser.add_argument("--config", metavar="FILE", required=required, help="the YAML file with the settings")
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="a setting in place of the file's, such as churn.inactivity_days=90; may be repeated",
    )
    parser.add_argument(
        "--log-format", choices=("text", "json"), default="text", help="how log lines and errors are written"
    )


def _as_of(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--as-of", type=day, metavar="DATE", required=True, help="last day that counts, YYYY-MM-DD in reporting time"
    )


def _rebuild(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="make silver anew from the whole sources, and go on only if it equals what a refresh gives",
    )
    parser.add_argument(
        "--accept-differences", action="store_true", help="with --rebuild: go on although it differs, and say how"
    )


def _run_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--allow-older", action="store_true", help="publish although a later day is published")
    parser.add_argument("--summary-json", metavar="FILE", help="write how the run ended, also when it failed")


def _output(parser: argparse.ArgumentParser, limit: int | None = None) -> None:
    parser.add_argument("--format", choices=("table", "csv", "json"), default="table", help="default: table")
    meaning = "most rows to print" + (f" (default: {limit})" if limit else " (default: 1000 in a table, else all)")
    parser.add_argument("--limit", type=positive, default=limit, metavar="N", help=meaning)
