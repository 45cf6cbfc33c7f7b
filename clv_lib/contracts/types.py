"""What a table is: its grain, key, columns, rules and measures, declared once and read by schema, checks and docs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

MONEY = "decimal(18,4)"
MONEY_SUM = "decimal(28,4)"
RATIO = "decimal(28,8)"

Layer = Literal["silver", "gold", "control"]
Divisor = Literal["count", "amount", "days"]
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

    @property
    def description(self) -> str:
        """The meaning, and how the column is made where it derives from others."""
        return self.meaning


@dataclass(frozen=True, kw_only=True)
class Metric(Field):
    """A figure that is a quotient of sums, declared with its parts; its column and its documentation derive from it.

    `numerator` and `denominator` are SQL over other columns of the table, so that sums of both over rows give the
    figure of the rows together. `over` is what the denominator counts: `days` gives a figure per month of 365.25/12
    days. NULL where the denominator is 0 or NULL, a part is not known, or `defined_when` is not true; `status_column`
    then says why. `source` is where the definition comes from.
    """

    numerator: str
    denominator: str
    unit: str
    over: Divisor = "count"
    defined_when: str | None = None
    status_column: str | None = None
    source: str | None = None

    @property
    def description(self) -> str:
        """The meaning, the parts, the unit, and where to look when it is NULL."""
        months = " in months" if self.over == "days" else ""
        reason = f" NULL: see {self.status_column}." if self.status_column else ""
        return f"{self.meaning} {_part(self.numerator)} / {_part(self.denominator)}{months}; {self.unit}.{reason}"


@dataclass(frozen=True)
class ComputedField:
    """A column that readers get from the view of a table, computed from its stored columns by `sql`.

    It would change whenever a later row arrives; computed on read, rows that are stored need not change for that, and a
    query that does not select it does not pay for it.
    """

    name: str
    type: str
    meaning: str
    sql: str


@dataclass(frozen=True)
class Rule:
    """A SQL predicate over one row of a table that must hold; NULL counts as broken."""

    name: str
    predicate: str
    meaning: str
    severity: Severity = "error"


@dataclass(frozen=True)
class Table:
    """A curated table. `measures` are SQL aggregates that the audit takes in its one pass, for identities.

    `adds_up_over` says over which rows counts, amounts and the parts of metrics may be added up; a table that says
    so is in the catalogue of metrics.
    """

    name: str
    layer: Layer
    grain: str
    key: tuple[str, ...]
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...] = ()
    measures: Mapping[str, str] | None = None
    partition_by: tuple[str, ...] = ()
    may_be_empty: bool = False
    adds_up_over: str | None = None
    computed_on_read: tuple[ComputedField, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in their order."""
        return tuple(field.name for field in self.fields)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The figures that are quotients of sums."""
        return tuple(field for field in self.fields if isinstance(field, Metric))

    @property
    def schema(self) -> dict[str, str]:
        """Column name to Spark type, in order."""
        return {field.name: field.type for field in self.fields}

    @property
    def read_schema(self) -> dict[str, str]:
        """Column name to Spark type of the view that readers query, in order."""
        return {**self.schema, **{field.name: field.type for field in self.computed_on_read}}

    @property
    def ddl(self) -> str:
        """The columns as a schema in SQL, for rows that are made on the driver."""
        return ", ".join(f"{name} {kind}" for name, kind in self.schema.items())

    @property
    def is_of_groups(self) -> bool:
        """Whether a row is of a group, month, model or source, so that the table does not grow with the customers.

        A table without a key, such as one of bad rows, is not.
        """
        return self.layer == "gold" and bool(self.key) and not {"customer_id", "order_id"} & self.schema.keys()

    @property
    def own_columns(self) -> tuple[str, ...]:
        """Names of the columns that are no metrics, in their order: what rows made on the driver have."""
        return tuple(field.name for field in self.fields if not isinstance(field, Metric))

    @property
    def own_ddl(self) -> str:
        """`own_columns` as a schema in SQL."""
        return ", ".join(f"{name} {self.schema[name]}" for name in self.own_columns)

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
    """What a source must offer: columns, and groups of which at least one column must be mapped.

    `without` says what is not known where an optional source is not configured.
    """

    name: str
    grain: str
    key: tuple[str, ...]
    fields: tuple[InputField, ...]
    one_of: tuple[tuple[str, ...], ...] = ()
    without: str | None = None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in their order."""
        return tuple(field.name for field in self.fields)


def _part(sql: str) -> str:
    return f"({sql})" if " " in sql else sql


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
