"""A source's own columns become the columns of its contract; the contract is checked before any row is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from pyspark.errors import AnalysisException, ParseException
from pyspark.sql import functions as F

from clv_lib.contracts.types import InputContract, InputField
from clv_lib.errors import ContractError, Fault, did_you_mean, nearest

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

PAYLOAD = "source_row"
"""The source's own row, a struct until the row has its disposition: as JSON it is only needed in quarantine."""

_ACCEPTED_TYPES: Mapping[str, tuple[str, ...]] = {
    "string": (
        "string",
        "varchar",
        "char",
        "int",
        "bigint",
        "smallint",
        "tinyint",
        "decimal",
        "double",
        "float",
        "date",
    ),
    "decimal": ("decimal", "int", "bigint", "smallint", "tinyint", "double", "float", "string", "void"),
    "timestamp": ("timestamp", "timestamp_ntz", "date", "string"),
    "date": ("date", "timestamp", "timestamp_ntz", "string"),
    "boolean": ("boolean", "string", "int", "void"),
}
_WORD = re.compile(r"[a-z_]+")
_HAS_ZONE = r"(?:Z|[+-]\d{2}:?\d{2})\z"


def map_source(
    raw: DataFrame, contract: InputContract, columns: Mapping[str, str], *, currency: str, time_zone: str
) -> DataFrame:
    """The source with exactly the contract's columns, typed, and `source_row`.

    Grain: kept. A value that cannot be read as its type is NULL, so that a row rule can say so; times without a zone
    are reporting time; keys are trimmed and blank ones NULL. ContractError lists every column that is missing, unknown
    or of a type that cannot be meant.
    """
    expressions = contract_expressions(raw, contract, columns)
    families = _families(raw, expressions)
    typed = {
        field.name: _typed(expressions[field.name], families[field.name], field, time_zone)
        for field in contract.fields
        if field.name in expressions
    }
    mapped = raw.select(*(column.alias(name) for name, column in typed.items()), _payload(raw).alias(PAYLOAD))
    return _with_defaults(mapped, contract, currency).select(*contract.columns, PAYLOAD)


def contract_expressions(raw: DataFrame, contract: InputContract, columns: Mapping[str, str]) -> dict[str, str]:
    """Contract column to SQL over the source, for each column that the source offers: mapped, or of the same name."""
    faults = [
        Fault(
            f"{name} is not a column of the contract",
            where=f"sources.{contract.name}.columns",
            expected=did_you_mean(name, contract.columns),
        )
        for name in columns
        if name not in contract.columns
    ]
    own = {name.lower(): name for name in raw.columns}
    offered = {field.name: f"`{own[field.name]}`" for field in contract.fields if field.name in own} | dict(columns)
    faults += _missing_faults(contract, offered, raw.columns)
    if faults or not _fits(raw, contract, offered):
        for field in contract.fields:
            if field.name in offered:
                faults += _column_faults(raw, contract, field, offered[field.name])
    if faults:
        raise ContractError(
            f"the source {contract.name} does not fit its contract",
            where=f"sources.{contract.name}",
            next_step=f"map them under sources.{contract.name}.columns; `clv contract {contract.name}` lists them",
            faults=faults,
        )
    return {name: offered[name] for name in contract.columns if name in offered}


def _fits(raw: DataFrame, contract: InputContract, offered: Mapping[str, str]) -> bool:
    """Whether all columns can be computed and have accepted types: one analysis in the normal case."""
    try:
        families = _families(raw, {name: offered[name] for name in offered if name in contract.columns})
    except (AnalysisException, ParseException):
        return False
    accepted = {field.name: _ACCEPTED_TYPES[_family(field.type)] for field in contract.fields}
    return all(family in accepted[name] for name, family in families.items())


def _families(raw: DataFrame, expressions: Mapping[str, str]) -> dict[str, str]:
    """Type family of each expression over the source."""
    schema = raw.select(*(F.expr(sql).alias(name) for name, sql in expressions.items())).schema
    return {field.name: _family(field.dataType.simpleString()) for field in schema.fields}


def _missing_faults(contract: InputContract, offered: Mapping[str, str], available: list[str]) -> list[Fault]:
    needed = [(field.name,) for field in contract.fields if field.required] + list(contract.one_of)
    return [
        Fault(
            f"{' or '.join(group)} is missing",
            where=f"sources.{contract.name}.columns",
            expected="a mapping to SQL over the source's columns, or a column of that name",
            found=_available(group[0], available),
        )
        for group in needed
        if not any(name in offered for name in group)
    ]


def _available(name: str, available: list[str]) -> str:
    close = nearest(name, available)
    listed = f"the source has {', '.join(available)}"
    return f"{listed}; nearest: {close}" if close else listed


def _column_faults(raw: DataFrame, contract: InputContract, field: InputField, expression: str) -> list[Fault]:
    where = f"sources.{contract.name}.columns.{field.name}: {expression}"
    try:
        family = _family_of(raw, expression)
    except (AnalysisException, ParseException) as error:
        found = str(error).splitlines()[0]
        return [
            Fault(
                f"{field.name} cannot be computed",
                where,
                "SQL over the source's columns",
                f"{found} (columns: {', '.join(raw.columns)})",
            )
        ]
    accepted = _ACCEPTED_TYPES[_family(field.type)]
    if family in accepted:
        return []
    return [Fault(f"{field.name} has the wrong type", where, f"{field.type}, or {', '.join(accepted)}", family)]


def _family_of(raw: DataFrame, expression: str) -> str:
    return _family(raw.select(F.expr(expression)).schema.fields[0].dataType.simpleString())


def _family(spark_type: str) -> str:
    return spark_type.split("(", maxsplit=1)[0].split("<", maxsplit=1)[0]


def _typed(expression: str, family: str, field: InputField, time_zone: str) -> Column:
    """The expression as the field's type; NULL where a value cannot be read."""
    value = F.expr(expression)
    if field.type == "timestamp":
        return _as_instant(value, family, time_zone)
    if field.type == "date" and family == "timestamp":
        return F.to_date(F.from_utc_timestamp(value, time_zone))
    if field.type == "string":
        text = F.trim(value.cast("string"))
        return F.when(text != "", text)
    return value.try_cast(field.type)


def _as_instant(value: Column, family: str, time_zone: str) -> Column:
    """A UTC instant; local times, dates and texts without a zone are taken as reporting time."""
    if family == "timestamp":
        return value
    local = F.to_utc_timestamp(value.try_cast("timestamp_ntz").cast("timestamp"), time_zone)
    if family != "string":
        return local
    return F.when(value.rlike(_HAS_ZONE), value.try_cast("timestamp")).otherwise(local)


def _with_defaults(mapped: DataFrame, contract: InputContract, currency: str) -> DataFrame:
    """Add the contract's columns that the source does not offer, in two passes: a default may use another column."""
    for _ in range(2):
        present = set(mapped.columns)
        missing = [field for field in contract.fields if field.name not in present]
        ready = {field.name: _default(field, present, contract.columns, currency) for field in missing}
        mapped = mapped.withColumns({name: column for name, column in ready.items() if column is not None})
    absent = {field.name: F.lit(None).cast(field.type) for field in contract.fields if field.name not in mapped.columns}
    return mapped.withColumns(absent)


def _default(field: InputField, present: set[str], columns: tuple[str, ...], currency: str) -> Column | None:
    """The first default whose columns are present, or None if that has to wait for another column."""
    if field.name == "currency_code":
        return F.lit(currency)
    for sql in field.defaults:
        if {word for word in _WORD.findall(sql) if word in columns} <= present:
            return F.expr(f"cast({sql} as {field.type})")
    return None


def _payload(raw: DataFrame) -> Column:
    return F.struct(*(F.col(f"`{name}`") for name in raw.columns))
