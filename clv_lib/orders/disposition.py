"""What becomes of an input row: the broken rules of each row, and one disposition per row."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from clv_lib.contracts.put_aside import ACCEPTED, INPUT
from clv_lib.contracts.types import MONEY_SUM, Rule
from clv_lib.orders.mapping import PAYLOAD

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

REFUND_LINE = "refund_line"
QUARANTINED = "quarantined"
UNREADABLE_CURRENCY = "?"

_CONFLICT = "conflicting_duplicate"
_ID_HASH = "id_hash"


def with_broken_rules(rows: DataFrame, rules: Iterable[Rule]) -> DataFrame:
    """Add `reasons`: the names of the rules that the row breaks, an empty array if none. Grain: kept."""
    holds = {rule.name: F.coalesce(F.expr(rule.predicate), F.lit(False)) for rule in rules}
    broken = F.array_compact(F.array(*(F.when(~held, F.lit(name)) for name, held in holds.items())))
    # Spark does not compile what compacts an array, so it is left to the few rows that need it.
    is_sound = reduce(and_, holds.values())
    return rows.withColumn("reasons", F.when(is_sound, F.array().cast("array<string>")).otherwise(broken))


def with_local_date(rows: DataFrame, instant: str, day: str, time_zone: str) -> DataFrame:
    """Add the calendar day of an instant in the reporting time zone. Grain: kept."""
    return rows.withColumn(day, F.to_date(F.from_utc_timestamp(F.col(instant), time_zone)))


def with_competition(rows: DataFrame, day: str, as_of: dt.date) -> DataFrame:
    """Add `competes`: the row is sound and not after as_of, so it can be the version that counts. Grain: kept."""
    is_known = F.coalesce(F.col(day) <= F.lit(as_of), F.lit(False))
    return rows.withColumn("competes", is_known & (F.size("reasons") == 0))


def is_cancelled(exclude_statuses: Sequence[str]) -> Column:
    """Whether the `order_status` of a mapped order is one of those that give no value, in any case; NULL for NULL."""
    return F.lower(F.col("order_status")).isin(list(exclude_statuses))


def order_disposition(as_of: dt.date, exclude_statuses: Sequence[str], exclude_gift_cards: bool) -> Column:
    """What becomes of an order row that is the current version of its order; the first that applies.

    Rows after as_of and rows that the source itself calls deleted, test or cancelled are put aside before they are
    judged; an anonymous order is sound, and kept apart.
    """
    is_late = F.col("ordered_date") > F.lit(as_of)
    is_gift_card = F.coalesce("is_gift_card_order", F.lit(False)) & F.lit(exclude_gift_cards)
    return (
        F.when(is_late, "after_as_of")
        .when(F.coalesce("is_deleted", F.lit(False)), "deleted")
        .when(F.coalesce("is_test_order", F.lit(False)), "test")
        .when(is_cancelled(exclude_statuses), "cancelled")
        .when(is_gift_card, "gift_card")
        .when(F.size("reasons") > 0, QUARANTINED)
        .when(F.col("customer_id").isNull(), "anonymous")
        .otherwise(ACCEPTED)
    )


def repeated_ids(rows: DataFrame, key: str) -> DataFrame:
    """Hashes of the ids that several rows have; usually few, so that only those rows must be compared.

    Grain: one row per hash, column `id_hash`. Takes mapped rows, so that only the id is read;
    two ids with one hash are only compared needlessly.
    """
    hashes = rows.where(F.col(key).isNotNull()).select(F.xxhash64(key).alias(_ID_HASH))
    # Nearly all are alone: to count them before they are sent would be in vain.
    return (
        hashes.repartition(_ID_HASH)
        .groupBy(_ID_HASH)
        .agg(F.count(F.lit(1)).alias("row_count"))
        .where("row_count > 1")
        .select(_ID_HASH)
    )


def with_versions_resolved(rows: DataFrame, key: str, repeated: DataFrame | None) -> DataFrame:
    """Add `version_disposition`: NULL for the row that counts, else what it is instead. Grain: kept.

    Of the competing rows with one id: identical copies are `exact_duplicate` but for one; of versions the newest
    `updated_at` counts and older ones are `superseded`; if the newest time has different versions, none counts and all
    of them break the rule `conflicting_duplicate`. `repeated` are the hashes of `repeated_ids`, None if there are none.
    """
    if repeated is None:
        return rows.withColumn("version_disposition", F.lit(None).cast("string"))
    # The id alone decides, so that Spark joins right after reading: only rows with a repeated id are judged twice.
    hashed = rows.withColumn(_ID_HASH, F.xxhash64(key))
    alone = hashed.join(F.broadcast(repeated), _ID_HASH, "left_anti").drop(_ID_HASH)
    several = hashed.join(F.broadcast(repeated), _ID_HASH, "left_semi").drop(_ID_HASH)
    return alone.withColumn("version_disposition", F.lit(None).cast("string")).unionByName(_compared(several, key))


def _compared(several: DataFrame, key: str) -> DataFrame:
    """As `with_versions_resolved`, of rows whose id is repeated; those that do not compete keep what they have."""
    content = [name for name in several.columns if name not in (PAYLOAD, "reasons")]
    one_id = Window.partitionBy(key, "competes")
    whole_id = one_id.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    copies = (
        Window.partitionBy(key, "competes", "content")
        .orderBy(F.to_json(PAYLOAD))
        .rowsBetween(Window.unboundedPreceding, Window.currentRow)
    )
    written = F.coalesce("updated_at", F.lit("0001-01-01").cast("timestamp"))
    judged = several.withColumn("content", F.xxhash64(*content)).withColumns(
        {"written": written, "copy_number": F.row_number().over(copies)}
    )
    judged = judged.withColumn("newest", F.max("written").over(whole_id))
    at_newest = F.when(F.col("written") == F.col("newest"), F.col("content"))
    judged = judged.withColumn("is_tied", F.min(at_newest).over(whole_id) != F.max(at_newest).over(whole_id))
    disposition = (
        F.when(~F.col("competes"), None)
        .when(F.col("copy_number") > 1, "exact_duplicate")
        .when(F.col("written") < F.col("newest"), "superseded")
        .when(F.col("is_tied"), QUARANTINED)
    )
    reasons = F.when(disposition == QUARANTINED, F.array(F.lit(_CONFLICT))).otherwise(F.col("reasons"))
    return judged.withColumns({"version_disposition": disposition, "reasons": reasons}).drop(
        "content", "written", "copy_number", "newest", "is_tied"
    )


def with_disposition(rows: DataFrame, disposition: Column) -> DataFrame:
    """Add `disposition`, and keep `source_row`, as JSON, only where it goes to quarantine. Grain: kept."""
    placed = rows.withColumn("disposition", disposition)
    return placed.withColumn(PAYLOAD, F.when(F.col("disposition") == QUARANTINED, F.to_json(PAYLOAD)))


def counted(
    rows: DataFrame,
    source: str | Column,
    amount: str | Column,
    disposition: Column,
    row_count: Column | None = None,
) -> DataFrame:
    """What `totals` adds up: the key of `conservation`, `row_count` and the row's `amount`. Grain: kept.

    `source` is the name of the source, or the column that holds it; `amount` a column. A row counts 1 unless it stands
    for `row_count` rows.
    """
    is_code = F.col("currency_code").rlike(r"\A[A-Z]{3}\z")
    return rows.select(
        (F.lit(source) if isinstance(source, str) else source).alias("source_name"),
        F.when(is_code, F.col("currency_code")).otherwise(UNREADABLE_CURRENCY).alias("currency_code"),
        disposition.alias("disposition"),
        (F.lit(1) if row_count is None else row_count).alias("row_count"),
        (F.col(amount) if isinstance(amount, str) else amount).alias("amount"),
    )


def totals(counted_rows: DataFrame) -> DataFrame:
    """Contract `conservation` of rows from `counted`, of one source or of several. NULL amounts count 0."""
    return counted_rows.groupBy("source_name", "currency_code", "disposition").agg(
        F.sum("row_count").alias("row_count"),
        F.coalesce(F.sum("amount"), F.lit(0)).cast(MONEY_SUM).alias("amount"),
    )


def disposition_totals(rows: DataFrame, source_name: str, amount: str) -> DataFrame:
    """Rows and money by currency and disposition: contract `conservation`. NULL amounts count 0."""
    return totals(counted(rows, source_name, amount, F.col("disposition")))


def input_totals(rows: DataFrame, source_name: str, amount: str) -> DataFrame:
    """Rows and money by currency of the input itself, before any judgement: contract `conservation`."""
    return totals(counted(rows, source_name, amount, F.lit(INPUT)))


def quarantined(rows: DataFrame, source_name: str, key: str, amount: str) -> DataFrame:
    """The quarantined rows as contract `quarantined_rows`. Grain: one row per input row with that disposition."""
    return rows.where(F.col("disposition") == QUARANTINED).select(
        F.lit(source_name).alias("source_name"),
        F.col(key).alias("row_key"),
        "reasons",
        F.col(amount).alias("amount_original"),
        "currency_code",
        F.col(PAYLOAD).alias("payload"),
    )
