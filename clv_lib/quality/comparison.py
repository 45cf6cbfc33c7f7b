"""Two versions of a table compared by key and column: exactly, but for doubles, which agree within 1e-9."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from clv_lib.contracts.types import Table
from clv_lib.quality.profile import short_hash

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pyspark.sql import Column, DataFrame

RELATIVE_TOLERANCE = 1e-9
_ABSOLUTE_TOLERANCE = 1e-12
_DIFFERS = "differs__"


@dataclass(frozen=True)
class Comparison:
    """How one version of a table differs from another; `differing` counts rows by column."""

    table_name: str
    row_count: int
    missing: int
    surplus: int
    differing: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_same(self) -> bool:
        """Whether both versions hold the same rows."""
        return not (self.missing or self.surplus or self.differing)


def compared(before: DataFrame, after: DataFrame, table: Table, leaving_out: Iterable[str] = ()) -> DataFrame:
    """One row: `row_count` of `before`, rows `missing` in `after`, its `surplus`, and by column the rows that differ.

    Rows belong together by the table's key, NULLs equal; without a key whole rows are compared, and how often each
    occurs. Decimals, integers, dates and texts must be equal, doubles (in maps, too) within 1e-9 of the larger.
    Columns of `leaving_out` are not looked at.
    """
    matched, differs = _matched(before, after, table, set(leaving_out))
    in_left, in_right = _is_in("l"), _is_in("r")
    return matched.agg(
        F.count_if(in_left).alias("row_count"),
        F.count_if(in_left & ~in_right).alias("missing"),
        F.count_if(in_right & ~in_left).alias("surplus"),
        *(F.count_if(in_left & in_right & hit).alias(_DIFFERS + name) for name, hit in differs.items()),
    )


def differing_keys(before: DataFrame, after: DataFrame, table: Table) -> DataFrame:
    """A row for each key that `compared` finds missing, surplus or with other values: the columns of the key.

    Texts are hashed as in `failing_examples`, so that no value leaves the lake. Without a key: the hash of each row
    that differs, in the column `row`.
    """
    matched, differs = _matched(before, after, table, set())
    rows = matched.where(reduce(or_, differs.values(), ~_is_in("l") | ~_is_in("r")))
    key = {name: F.coalesce(F.col(f"l.{name}"), F.col(f"r.{name}")) for name in table.key}
    if not key:
        return rows.select(short_hash(F.coalesce("l.row_text", "r.row_text")).alias("row"))
    texts = {name for name in key if table.schema[name] == "string"}
    return rows.select(*((short_hash(one) if name in texts else one).alias(name) for name, one in key.items()))


def comparison(table: Table, row: Mapping[str, Any]) -> Comparison:
    """The collected row of `compared`."""
    differing = {name.removeprefix(_DIFFERS): count for name, count in row.items() if name.startswith(_DIFFERS)}
    return Comparison(
        table.name,
        row["row_count"],
        row["missing"],
        row["surplus"],
        {name: count for name, count in differing.items() if count},
    )


def _matched(
    before: DataFrame, after: DataFrame, table: Table, leaving_out: set[str]
) -> tuple[DataFrame, dict[str, Column]]:
    """Rows of both versions side by side, as `l` and `r`, and by column whether it differs."""
    columns = [name for name in table.columns if name not in leaving_out]
    key = list(table.key) or ["row_text"]
    left, right = (_with_key(frame.select(*columns), table) for frame in (before, after))
    values = [name for name in left.columns if name not in key]
    matched = left.alias("l").join(
        right.alias("r"), on=[F.col(f"l.{name}").eqNullSafe(F.col(f"r.{name}")) for name in key], how="full_outer"
    )
    types = dict(left.dtypes)
    return matched, {name: ~_is_same(F.col(f"l.{name}"), F.col(f"r.{name}"), types[name]) for name in values}


def _is_in(side: str) -> Column:
    return F.col(f"{side}.is_there").isNotNull()


def _with_key(rows: DataFrame, table: Table) -> DataFrame:
    if table.key:
        return rows.withColumn("is_there", F.lit(True))
    text = rows.select(F.to_json(F.struct(*rows.columns)).alias("row_text"))
    return text.groupBy("row_text").agg(F.count(F.lit(1)).alias("copies"), F.lit(True).alias("is_there"))


def _is_same(left: Column, right: Column, kind: str) -> Column:
    if kind == "double":
        return F.coalesce(_is_near(left, right), left.isNull() & right.isNull())
    if kind == "map<string,double>":
        names = F.array_sort(F.map_keys(left))
        others = F.array_sort(F.map_keys(right))
        near = F.forall(names, lambda name: _is_near(left[name], right[name]))
        return F.coalesce((names == others) & near, left.isNull() & right.isNull())
    return left.eqNullSafe(right)


def _is_near(left: Column, right: Column) -> Column:
    distance, size = F.abs(left - right), F.greatest(F.abs(left), F.abs(right))
    return distance <= F.greatest(size * RELATIVE_TOLERANCE, F.lit(_ABSOLUTE_TOLERANCE))
