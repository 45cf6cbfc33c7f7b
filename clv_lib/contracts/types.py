"""What a table is: its grain, key, columns, rules and measures, declared once and read by schema, checks and docs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

MONEY = "decimal(18,4)"
MONEY_SUM = "decimal(28,4)"
RATIO = "decimal(28,8)"

Layer = Literal["silver", "gold", "control"]
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Field:
    """One column of a table.

    `type` is a Spark type in its `simpleString` spelling. `required` means NOT NULL. `check` is a SQL predicate
    that must not be false for any row; NULL is judged by `required` alone.
    """

    name: str
    type: str
    meaning: str
    required: bool = False
    check: str | None = None


@dataclass(frozen=True)
class Rule:
    """A SQL predicate over one row of a table that must hold; NULL counts as broken."""

    name: str
    predicate: str
    meaning: str
    severity: Severity = "error"


@dataclass(frozen=True)
class Table:
    """A curated table. `measures` are SQL aggregates that the audit takes in its one pass, for identities."""

    name: str
    layer: Layer
    grain: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...] = ()
    measures: Mapping[str, str] | None = None
    partition_by: tuple[str, ...] = ()
    may_be_empty: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in their order."""
        return tuple(field.name for field in self.fields)

    @property
    def schema(self) -> dict[str, str]:
        """Column name to Spark type, in order."""
        return {field.name: field.type for field in self.fields}

    def all_rules(self) -> tuple[Rule, ...]:
        """Every row rule: those of the fields (NOT NULL, checks) and the table's own."""
        return (*_field_rules(self.fields), *self.rules)


@dataclass(frozen=True)
class Identity:
    """Two sums that must agree exactly: each side is (table, measure) pairs that are added up."""

    name: str
    left: tuple[tuple[str, str], ...]
    right: tuple[tuple[str, str], ...]
    meaning: str


@dataclass(frozen=True)
class InputField:
    """One column of an input contract, which a source maps to a SQL expression over its own columns.

    `defaults` are tried in order when the source offers nothing: SQL over other contract columns (used if the source
    offers those) or a literal; without any the column is NULL. `required` columns must be mapped.
    """

    name: str
    type: str
    meaning: str
    required: bool = False
    defaults: tuple[str, ...] = ()


@dataclass(frozen=True)
class InputContract:
    """What a source must offer: columns, and groups of which at least one column must be mapped."""

    name: str
    grain: str
    key: tuple[str, ...]
    fields: tuple[InputField, ...]
    one_of: tuple[tuple[str, ...], ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in their order."""
        return tuple(field.name for field in self.fields)


def _field_rules(fields: Iterable[Field]) -> Iterable[Rule]:
    for field in fields:
        if field.required:
            yield Rule(f"{field.name}_not_null", f"{field.name} is not null", f"{field.name} is never NULL")
        if field.type == "double":
            finite = f"{field.name} is null or (not isnan({field.name}) and abs({field.name}) < double('infinity'))"
            yield Rule(f"{field.name}_finite", finite, f"{field.name} is a finite number or NULL")
        if field.check:
            yield Rule(
                f"{field.name}_check", f"{field.name} is null or ({field.check})", f"{field.name}: {field.check}"
            )
