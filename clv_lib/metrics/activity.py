"""What customers did, added up once: the small table from which the figures of segments and cohorts are made.

`customer_months` is read and sorted once, and each of its rows is added up by everything that it counts in.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clv_lib.contracts.acquisitions import CREDIT
from clv_lib.contracts.types import MONEY_SUM
from clv_lib.customers.metrics import CONTRIBUTION_MARGIN
from clv_lib.exact_sums import from_units, with_units
from clv_lib.metrics.movements import with_movements
from clv_lib.metrics.segment_ids import ids_of_customers
from clv_lib.metrics.spells import spells

SUMMED = {
    "new_customer_count": "bigint",
    "reactivated_customer_count": "bigint",
    "churned_customer_count": "bigint",
    "active_customer_count": "bigint",
    "new_repeat_customer_count": "bigint",
    "order_count": "bigint",
    "margin_order_count": "bigint",
    "net_amount": MONEY_SUM,
    "margin_amount": MONEY_SUM,
    "first_day_margin_amount": MONEY_SUM,
    "first_day_number": "bigint",
    "ended_count": "bigint",
    "open_count": "bigint",
}
"""What is added up, with its type; a row of `activity_sums` has 0 of what its fact does not hold."""

MOST_COMBINATIONS = 60
"""Combinations of segments that are added up together at most: few enough to make the sums a small table."""

_AMOUNTS = [name for name, kind in SUMMED.items() if kind == MONEY_SUM]
_UNITS = dict.fromkeys(_AMOUNTS, "bigint")
_FACT = {"cohort_month": "date", "month": "date", "spell_kind": "string", "days": "int", **SUMMED, **_UNITS}
_KEY = ("segment_ids", "places", "in_margin", "cohort_month", "month", "spell_kind", "days")


def packed_types(segment_counts: Mapping[str, int]) -> list[list[str]]:
    """Segment types in packs whose segments have at most `MOST_COMBINATIONS` combinations; a larger type is alone.

    A customer counts once per pack rather than once per type, so fewer packs are fewer rows to add up.
    """
    packs: list[tuple[int, list[str]]] = []
    for name, count in sorted(segment_counts.items(), key=lambda item: (-item[1], item[0])):
        fitting = [pack for pack in packs if pack[0] * count <= MOST_COMBINATIONS]
        if fitting:
            fullest = max(fitting, key=lambda pack: pack[0])
            packs[packs.index(fullest)] = (fullest[0] * count, [*fullest[1], name])
        else:
            packs.append((count, [name]))
    return [names for _, names in packs]


def packed_members(customer_segments: DataFrame, packs: Sequence[Sequence[str]]) -> DataFrame:
    """The segments of each customer by pack: `packs`, an array of arrays of segment ids. Grain: customer."""
    kind = {name: number for number, names in enumerate(packs) for name in names}

    def of_pack(number: int) -> Column:
        names = [name for name, own in kind.items() if own == number]
        return F.filter("segment_ids", lambda segment_id: F.substring_index(segment_id, ":", 1).isin(names))

    in_packs = F.array(*(of_pack(number) for number in range(len(packs))))
    return ids_of_customers(customer_segments).select("customer_id", in_packs.alias("packs"))


def activity_sums(
    customer_months: DataFrame, placed: DataFrame, members: DataFrame, inactivity_days: int, as_of: dt.date
) -> DataFrame:
    """Activity, churns and spells of customers up to as_of, added up by all that they count in: a small table.

    Grain: `segment_ids` (a pack) or `places`, one of them NULL, and `in_margin`; then of activity and churns
    `cohort_month` and `month`, of spells `spell_kind` and `days` (see `spells`). Columns `SUMMED`: counts and amounts
    of months with orders; `churned_customer_count` in the month of the churn; `ended_count` and `open_count` of spells,
    which are counted by segment alone. `placed` are `customer_metrics` `with_places`, `members` `packed_members`.
    """
    facts = F.array(_activity(), _churn(), *(_spell(spell) for spell in spells(as_of)))
    # The array holds NULL where the month has no fact of a kind, and explode makes a row of it.
    of_customers = (
        with_movements(with_units(customer_months, _AMOUNTS), inactivity_days, as_of)
        .join(_customers(placed, members), on="customer_id", how="inner")
        .select("in_margin", "cells", F.explode(facts).alias("fact"))
        .where(F.col("fact").isNotNull())
    )
    each = of_customers.select("in_margin", "fact.*", F.inline("cells"))
    wanted = each.where(F.col("places").isNull() | F.col("spell_kind").isNull())
    sums = {name: F.coalesce(F.sum(name), F.lit(0)) for name in SUMMED}
    return wanted.groupBy(*_KEY).agg(
        *((from_units(total) if name in _AMOUNTS else total).alias(name) for name, total in sums.items())
    )


def in_segments(sums: DataFrame, *keys: Column | str, summed: Sequence[str]) -> DataFrame:
    """`activity_sums` by segment and further keys. Grain: `segment_id` and the keys; columns `summed`."""
    each = sums.where(F.col("segment_ids").isNotNull()).withColumn("segment_id", F.explode("segment_ids"))
    return each.groupBy("segment_id", *keys).agg(*(F.sum(name).cast(SUMMED[name]).alias(name) for name in summed))


def spell_counts(sums: DataFrame) -> DataFrame:
    """How many spells of each length a segment's members have had. Grain: segment_id, spell_kind and days.

    `ended_count` and `open_count`; members are those at as_of.
    """
    ended = sums.where(F.col("spell_kind").isNotNull())
    return in_segments(ended, "spell_kind", "days", summed=("ended_count", "open_count"))


def _customers(placed: DataFrame, members: DataFrame) -> DataFrame:
    """`cells` of each customer: its places, and each pack of its segments. Grain: customer."""
    in_margin = F.coalesce(F.col("value_basis") == CONTRIBUTION_MARGIN, F.lit(False)).alias("in_margin")
    no_places = F.lit(None).cast(f"array<struct<channel:string,segment_id:string,credit:{CREDIT}>>")
    economic = F.array(_cell(F.lit(None).cast("array<string>"), F.col("places")))
    packs = F.transform("packs", lambda pack: _cell(pack, no_places))
    joined = placed.select("customer_id", in_margin, "places").join(members, on="customer_id", how="inner")
    return joined.select("customer_id", "in_margin", F.concat(economic, packs).alias("cells"))


def _cell(segment_ids: Column, places: Column) -> Column:
    return F.struct(segment_ids.alias("segment_ids"), places.alias("places"))


def _fact(values: Mapping[str, Column | int]) -> Column:
    """A struct of all facts, NULL where none is given: a sum skips it."""
    nothing = F.lit(None)
    columns = {name: values.get(name, nothing) for name in _FACT}
    typed = {name: F.lit(value) if isinstance(value, int) else value for name, value in columns.items()}
    return F.struct(*(value.cast(_FACT[name]).alias(name) for name, value in typed.items()))


def _activity() -> Column:
    """A month with orders."""
    days = F.col("days_before") + F.col("active_day_count")
    own = ("cohort_month", "month", "order_count", "margin_order_count", "net_amount", "margin_amount")
    is_new = F.col("is_new")
    return _fact(
        {
            **{name: F.col(name) for name in own},
            "new_customer_count": F.when(is_new, 1),
            "reactivated_customer_count": F.when(F.col("is_reactivated"), 1),
            "active_customer_count": 1,
            "new_repeat_customer_count": F.when((F.col("days_before") < 2) & (days >= 2), 1),
            "first_day_margin_amount": F.when(is_new, F.col("first_day_margin_amount")),
            "first_day_number": F.when(is_new, F.unix_date("first_ordered_date")),
        }
    )


def _churn() -> Column:
    """The churn that followed the month's last order, in its own month; NULL without one."""
    churned = F.col("churned_date")
    month = F.trunc(churned, "month")
    fact = _fact({"cohort_month": F.col("cohort_month"), "month": month, "churned_customer_count": 1})
    return F.when(churned.isNotNull(), fact)


def _spell(spell: Mapping[str, Column]) -> Column:
    """A spell that the month ends, or that is open; NULL where its count is 0."""
    fact = _fact({name: spell[name] for name in ("spell_kind", "days", "ended_count", "open_count")})
    return F.when(spell["is_there"], fact)
