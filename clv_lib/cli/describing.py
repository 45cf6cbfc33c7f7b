"""Commands about tables, contracts, settings and this machine; only `doctor` starts Spark."""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Iterable

from clv_lib import jars as delta_jars
from clv_lib.cli.context import loaded, write
from clv_lib.cli.rendering import table_lines
from clv_lib.contracts import CONTROL_TABLES, PUBLISHED_TABLES, TABLES
from clv_lib.contracts.inputs import CONTRACTS
from clv_lib.contracts.types import InputContract, InputField, Table
from clv_lib.errors import SUCCESS_EXIT_CODE, ConfigurationError, did_you_mean
from clv_lib.settings import json_schema, show

_MEANING_WIDTH = 90


def known_table(name: str) -> Table:
    """The table of that name. ConfigurationError with the nearest one."""
    if name not in TABLES:
        raise ConfigurationError(
            f"there is no table {name}", expected=did_you_mean(name, TABLES), next_step="`clv tables` lists them"
        )
    return TABLES[name]


def tables(arguments: argparse.Namespace) -> int:
    """Print the tables with their grain, or the columns of one."""
    if arguments.table:
        return _columns_of(known_table(arguments.table))
    listed = [(table.name, table.layer, table.grain) for table in (*PUBLISHED_TABLES, *CONTROL_TABLES)]
    _write_table(("table", "layer", "grain"), listed)
    write("\ncolumns of one: clv tables TABLE\nits rows: clv show TABLE --config FILE")
    return SUCCESS_EXIT_CODE


def _columns_of(table: Table) -> int:
    write(f"{table.name} ({table.layer}): {table.grain}")
    write(f"key: {', '.join(table.key) or 'none'}\n")
    rows = [(field.name, field.type, "" if field.required else "NULL", field.description) for field in table.fields]
    rows += [(field.name, field.type, "view", field.meaning) for field in table.computed_on_read]
    _write_wrapped(("column", "type", "", "meaning"), rows)
    if table.rules:
        write("\nrules that each row must keep:")
        write("\n".join(f"  {rule.name}: {rule.meaning}" for rule in table.rules))
    return SUCCESS_EXIT_CODE


def contract(arguments: argparse.Namespace) -> int:
    """Print what the sources are, or what one must offer."""
    if not arguments.name:
        _write_table(("source", "grain"), [(one.name, one.grain) for one in CONTRACTS.values()])
        write("\ncolumns of one: clv contract SOURCE")
        return SUCCESS_EXIT_CODE
    if arguments.name not in CONTRACTS:
        raise ConfigurationError(
            f"there is no source {arguments.name}",
            expected=did_you_mean(arguments.name, CONTRACTS),
            next_step="`clv contract` lists them",
        )
    wanted = CONTRACTS[arguments.name]
    write(f"{wanted.name}: {wanted.grain}")
    write(f"without it: {wanted.without}\n" if wanted.without else "needed by every run\n")
    rows = [(field.name, field.type, _need(wanted, field), field.meaning) for field in wanted.fields]
    _write_wrapped(("column", "type", "needed", "meaning"), rows)
    write(f"\nA column of the same name is taken as it is; others are mapped under sources.{wanted.name}.columns.")
    return SUCCESS_EXIT_CODE


def _need(wanted: InputContract, field: InputField) -> str:
    if field.required:
        return "yes"
    if any(field.name in group for group in wanted.one_of):
        return "one of"
    return f"else {field.defaults[-1]}" if field.defaults else ""


def config_show(arguments: argparse.Namespace) -> int:
    """Print every setting with its origin, secrets redacted."""
    write("\n".join(show(loaded(arguments), arguments.format)))
    return SUCCESS_EXIT_CODE


def config_schema(_: argparse.Namespace) -> int:
    """Print the JSON schema of the configuration file."""
    write(json.dumps(json_schema(), indent=2))
    return SUCCESS_EXIT_CODE


def doctor(arguments: argparse.Namespace) -> int:
    """Print each check as it is made; the exit code is that of the gravest fault."""
    from clv_lib.doctor import FAIL, OK, Check, examine, exit_code_of

    made: list[Check] = []
    for check in examine(arguments.config, arguments.overrides):
        made.append(check)
        head = f"{check.status:<4}  {check.what:<22}  "
        write(head + textwrap.indent(check.found, " " * len(head)).lstrip())
        if check.status != OK and check.next_step:
            write(textwrap.indent(f"to do: {check.next_step}", " " * len(head)))
    failed = sum(check.status == FAIL for check in made)
    write(f"\n{len(made)} checks, {failed} failed" if failed else f"\n{len(made)} checks, none failed")
    return exit_code_of(made)


def jars(_: argparse.Namespace) -> int:
    """Fetch the Delta JARs."""
    return delta_jars.main()


def _write_table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    write("\n".join(table_lines(columns, list(rows))))


def _write_wrapped(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    """A table whose last column is wrapped, so that long meanings stay readable."""
    wrapped = []
    for row in rows:
        first, *others = textwrap.wrap(row[-1], _MEANING_WIDTH) or [""]
        wrapped.append((*row[:-1], first))
        wrapped += [(*("" for _ in row[:-1]), other) for other in others]
    _write_table(columns, wrapped)
