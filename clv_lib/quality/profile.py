"""The profile of a stored table: one aggregation for all row rules and measures, one group-by for the key.

Everything here returns plans, compares schemas or reckons with collected figures; the caller runs the plans. All
figures but that of the key add up over rows, so those of a table of which a part was replaced follow from that part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from clv_lib.contracts.types import Rule, Table

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame
    from pyspark.sql.types import StructType

ROW_COUNT = "row_count"
DUPLICATE_KEYS = "duplicate_key_count"
VIOLATIONS = "violations__"
MEASURE = "measure__"
UNIQUE_KEY = "unique_key"
"""Name of the expectation that no key occurs twice."""

_HASH_CHARACTERS = 12
_ROWS_OF_KEY = "__rows_of_key"


@dataclass(frozen=True)
class TableProfile:
    """What the audit found in one stored table.

    None, or a rule or measure that is absent, means: not measured. The gate never takes that for good.
    `duplicate_key_count` counts keys that occur more than once.
    """

    table_name: str
    row_count: int | None
    violations: Mapping[str, int | None] = field(default_factory=dict)
    duplicate_key_count: int | None = None
    measures: Mapping[str, Decimal | int | None] = field(default_factory=dict)
    structure_faults: tuple[str, ...] = ()

    def figures(self) -> dict[str, Decimal | int | None]:
        """What was measured, by `figure_names`."""
        found: dict[str, Decimal | int | None] = {ROW_COUNT: self.row_count}
        found |= {VIOLATIONS + name: count for name, count in self.violations.items()}
        found |= {MEASURE + name: value for name, value in self.measures.items()}
        return found if self.duplicate_key_count is None else {**found, DUPLICATE_KEYS: self.duplicate_key_count}


def is_broken(rule: Rule) -> Column:
    """True for a row that breaks the rule, also where its predicate is NULL."""
    return F.expr(_broken_sql(rule))


def profile_columns(table: Table) -> list[Column]:
    """Aggregates of a profile: `row_count`, `violations__<rule>` per row rule, `measure__<name>` per measure."""
    rows = F.count(F.lit(1)).alias(ROW_COUNT)
    # As one text per rule: a column made in Python of five parts is five times as many calls to the JVM. No count_if:
    # Spark judges all rules of a row in one method then, which of a wide table is too long for Java to compile.
    counted = {rule.name: f"count(case when {_broken_sql(rule)} then 1 end)" for rule in table.all_rules()}
    violations = [F.expr(sql).alias(VIOLATIONS + name) for name, sql in counted.items()]
    measures = [F.expr(sql).alias(MEASURE + name) for name, sql in (table.measures or {}).items()]
    return [rows, *violations, *measures]


def profile(frame: DataFrame, table: Table) -> DataFrame:
    """One row with the columns of `profile_columns`, in one pass and without a shuffle of rows."""
    return frame.agg(*profile_columns(table))


def duplicate_keys(frame: DataFrame, table: Table) -> DataFrame | None:
    """One row: `duplicate_key_count`, repeated keys, and `surplus_row_count`, their rows less one each.

    NULLs in a key are equal to each other. None for a table without a key.
    """
    if not table.key:
        return None
    return _repeated_keys(frame, table).agg(
        F.count(F.lit(1)).alias(DUPLICATE_KEYS),
        F.coalesce(F.sum(F.col(_ROWS_OF_KEY) - 1), F.lit(0)).cast("bigint").alias("surplus_row_count"),
    )


def changed_keys(were: DataFrame, are: DataFrame, table: Table) -> DataFrame:
    """Keys that some rows did not have before they were replaced, or have more than once. Grain: key.

    Adds `is_new` and `is_repeated`. The table must have a key.
    """
    both = were.select(*table.key, F.lit(0).alias("now")).unionByName(are.select(*table.key, F.lit(1).alias("now")))
    counted = both.groupBy(*table.key).agg(F.sum("now").alias("now"), F.count_if(F.col("now") == 0).alias("before"))
    flagged = counted.withColumns({"is_new": F.col("before") == 0, "is_repeated": F.col("now") > 1})
    return flagged.where("is_new or is_repeated").select(*table.key, "is_new", "is_repeated")


def with_replaced(
    figures: Mapping[str, Any], were: Mapping[str, Any], are: Mapping[str, Any]
) -> dict[str, Decimal | int | None]:
    """Figures of a table in which rows that had the figures `were` have been replaced by others that have `are`.

    All are rows of `profile`. None stays unknown, but a sum over no rows is 0.
    """

    def known(values: Mapping[str, Any], name: str) -> Any:
        return 0 if values[name] is None and values[ROW_COUNT] == 0 else values[name]

    found: dict[str, Decimal | int | None] = {}
    for name in figures:
        old, gone, come = (known(values, name) for values in (figures, were, are))
        found[name] = None if None in (old, gone, come) else old + come - gone
    return found


def structure_faults(schema: StructType | Iterable[tuple[str, str]], table: Table) -> list[str]:
    """How stored columns differ from the contract: missing, extra, repeated or of another type, decimal scale included.

    `schema` is a Spark schema or its (name, `simpleString` type) pairs, such as `DataFrame.dtypes`, without
    `snapshot_id`. Names are compared with their case; order is free. An empty list means that it fits.
    """
    found = _name_type_pairs(schema)
    stored, expected = dict(found), table.schema
    repeated = [name for name, times in Counter(name for name, _ in found).items() if times > 1]
    return [
        *(f"column {name} is missing, expected {kind}" for name, kind in expected.items() if name not in stored),
        *(
            f"column {name} is {stored[name]}, expected {kind}"
            for name, kind in expected.items()
            if name in stored and stored[name] != kind
        ),
        *(f"column {name} ({kind}) is not in the contract" for name, kind in stored.items() if name not in expected),
        *(f"column {name} is there more than once" for name in repeated),
    ]


def figure_names(table: Table) -> list[str]:
    """The columns of `profile`, and `duplicate_key_count` of a table with a key."""
    names = [VIOLATIONS + rule.name for rule in table.all_rules()] + [MEASURE + name for name in table.measures or {}]
    return [ROW_COUNT, *names, *([DUPLICATE_KEYS] if table.key else [])]


def table_profile(table: Table, figures: Mapping[str, Any] | None, faults: Iterable[str] = ()) -> TableProfile:
    """The profile from the `figure_names` that were measured; None: nothing was, as the structure does not fit."""
    found = dict(figures or {})
    return TableProfile(
        table_name=table.name,
        row_count=found.get(ROW_COUNT),
        violations=_with_prefix(found, VIOLATIONS),
        duplicate_key_count=found.get(DUPLICATE_KEYS),
        measures=_with_prefix(found, MEASURE),
        structure_faults=tuple(faults),
    )


def failing_examples(frame: DataFrame, table: Table, rule_name: str, limit: int = 5) -> DataFrame:
    """Keys of rows that break a rule, or of keys that `unique_key` found twice: at most `limit` rows, in hash order.

    Each key column holds the first 12 characters of the SHA-256 of its text, so no value leaves the lake; NULL
    stays NULL. A table without a key gives the hash of its whole row, in the column `row`.
    """
    if rule_name == UNIQUE_KEY:
        failing = _repeated_keys(frame, table)
    else:
        rule = {rule.name: rule for rule in table.all_rules()}[rule_name]
        failing = frame.filter(is_broken(rule))
    if table.key:
        hashes = [short_hash(F.col(name).cast("string")).alias(name) for name in table.key]
    else:
        hashes = [short_hash(F.to_json(F.struct(*map(F.col, table.columns)))).alias("row")]
    masked = failing.select(*hashes)
    return masked.orderBy(*masked.columns).limit(limit)


def quarantine_reasons(quarantined: DataFrame) -> DataFrame:
    """Rows per source and reason (`source_name`, `reason`, `row_count`), most first; a row counts under each reason."""
    each = quarantined.select("source_name", F.explode("reasons").alias("reason"))
    counted = each.groupBy("source_name", "reason").agg(F.count(F.lit(1)).alias("row_count"))
    return counted.orderBy("source_name", F.desc("row_count"), "reason")


def _broken_sql(rule: Rule) -> str:
    return f"NOT coalesce({rule.predicate}, false)"


def _repeated_keys(frame: DataFrame, table: Table) -> DataFrame:
    counted = frame.groupBy(*table.key).agg(F.count(F.lit(1)).alias(_ROWS_OF_KEY))
    return counted.filter(F.col(_ROWS_OF_KEY) > 1)


def short_hash(text: Column) -> Column:
    """The first 12 characters of the SHA-256 of a text: it tells values apart and does not give them away."""
    return F.substring(F.sha2(text, 256), 1, _HASH_CHARACTERS)


def _name_type_pairs(schema: StructType | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    from pyspark.sql.types import StructType

    if isinstance(schema, StructType):
        return [(column.name, column.dataType.simpleString()) for column in schema.fields]
    return list(schema)


def _with_prefix(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {name[len(prefix) :]: value for name, value in values.items() if name.startswith(prefix)}
