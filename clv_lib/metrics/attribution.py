"""To which channel and campaign a customer belongs, wholly or by credits, and in which segments it counts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from clv_lib.contracts.acquisitions import CREDIT, DECLARED_MODEL, NO_CAMPAIGN, UNATTRIBUTED
from clv_lib.contracts.types import MONEY_SUM
from clv_lib.errors import ConfigurationError, did_you_mean

ALL = "all"
"""Name of every channel, or every campaign of a channel."""

EVERYBODY = "all:all"
"""Id of the segment that holds every customer."""

_VALUED = ("customer_id", "cohort_month", "value_basis", "historic_clv_amount", "exposure_days")
_CREDITED = ("customer_id", "cohort_month", "attribution_model", "channel", "campaign_name", "credit")


@dataclass(frozen=True)
class Attribution:
    """The models by which customers are attributed, `declared_else_first_order` first, and that of unit_economics."""

    models: tuple[str, ...] = (DECLARED_MODEL,)
    chosen: str = DECLARED_MODEL


DECLARED = Attribution()


def attribution_of(credited: Sequence[str], wanted: str | None) -> Attribution:
    """The models of the credits and the declared one; `wanted`, else the only one with credits, else the declared.

    ConfigurationError if nothing is credited by the wanted model.
    """
    models = (DECLARED_MODEL, *sorted(credited))
    if wanted is not None and wanted not in models:
        raise ConfigurationError(
            f"nothing is credited by the attribution model {wanted}",
            where="economics.attribution_model",
            expected=f"one of {', '.join(models)}",
            found=wanted,
            next_step=did_you_mean(wanted, models),
        )
    only = credited[0] if len(credited) == 1 else DECLARED_MODEL
    return Attribution(models, wanted or only)


def credited_customers(customer_metrics: DataFrame, credited: DataFrame | None, models: Sequence[str]) -> DataFrame:
    """Every customer by each model, wholly or in parts that add up to 1.

    Grain: `customer_id, attribution_model, channel, campaign_name`; `cohort_month` and `credit`. `credited` are
    `acquisition_credits`; a customer without any by a model is `unattributed`.
    """
    declared = customer_metrics.select(
        "customer_id",
        "cohort_month",
        F.lit(DECLARED_MODEL).alias("attribution_model"),
        F.col("acquisition_channel").alias("channel"),
        F.coalesce(F.nullif("acquisition_campaign", F.lit(ALL)), F.lit(NO_CAMPAIGN)).alias("campaign_name"),
        F.lit(1).cast(CREDIT).alias("credit"),
    )
    others = [name for name in models if name != DECLARED_MODEL]
    if credited is None or not others:
        return declared
    each = customer_metrics.select("customer_id", "cohort_month", F.explode(_texts(others)).alias("attribution_model"))
    unknown = {"channel": UNATTRIBUTED, "campaign_name": NO_CAMPAIGN}
    found = each.join(credited, on=["customer_id", "attribution_model"], how="left").withColumns(
        {
            **{name: F.coalesce(name, F.lit(text)) for name, text in unknown.items()},
            "credit": F.coalesce("credit", F.lit(1)).cast(CREDIT),
        }
    )
    return declared.unionByName(found.select(*_CREDITED)) if DECLARED_MODEL in models else found.select(*_CREDITED)


def memberships(members: DataFrame, segment_types: Collection[str]) -> DataFrame | None:
    """`segment_ids` (sorted) of each customer in the given types, from `packed_members`; None without types.

    Grain: customer.
    """
    if not segment_types:
        return None
    kind = list(segment_types)
    own = F.filter(F.flatten("packs"), lambda name: F.substring_index(name, ":", 1).isin(kind))
    return members.select("customer_id", F.array_sort(own).alias("segment_ids"))


def with_segments(rows: DataFrame, members: DataFrame | None) -> DataFrame:
    """Rows of customers with `segment_ids` of `memberships`, empty where there are none. Grain: kept."""
    nothing = F.array().cast("array<string>")
    if members is None:
        return rows.withColumn("segment_ids", nothing)
    joined = rows.join(members, on="customer_id", how="left")
    return joined.withColumn("segment_ids", F.coalesce("segment_ids", nothing))


def with_places(
    customer_metrics: DataFrame, credited: DataFrame | None, members: DataFrame | None, model: str
) -> DataFrame:
    """Customers with their value, and with `places`: `channel`, `segment_id` and `credit` of each cell they count in.

    Grain: customer, kept. A channel has the segment all:all, a segment the channel `all`; the total over channels is
    left to `in_cells`. The array is sorted, so that customers of the same cells can be added up first.
    """
    placed = with_segments(customer_metrics, members)
    own = F.array(_place(F.col("acquisition_channel"), F.lit(EVERYBODY), F.lit(1)))
    if credited is not None and model != DECLARED_MODEL:
        of_model = credited.where(F.col("attribution_model") == model).groupBy("customer_id")
        listed = F.collect_list(_place(F.col("channel"), F.lit(EVERYBODY), F.col("credit")))
        placed = placed.join(of_model.agg(listed.alias("channels")), on="customer_id", how="left")
        nowhere = F.array(_place(F.lit(UNATTRIBUTED), F.lit(EVERYBODY), F.lit(1)))
        own = F.coalesce("channels", nowhere)
    of_segments = F.transform("segment_ids", lambda name: _place(F.lit(ALL), name, F.lit(1)))
    places = F.array_sort(F.concat(own, of_segments))
    return placed.select(*_VALUED, places.alias("places"))


def in_cells(
    sums: DataFrame,
    keys: Sequence[str],
    amounts: Sequence[str],
    counts: Sequence[str] = (),
    doubles: Sequence[str] = (),
) -> DataFrame:
    """Sums by `places` and keys as sums by cell: channels, the total over them, and segments.

    Grain: `channel, segment_id` and the keys. `amounts` are multiplied by the credit and added up exactly, as
    decimal(38,12), `doubles` as DOUBLE; `counts` are added up whole, so that they can be compared with each other
    alone. `value_basis` is kept where it is a column.
    """
    # A sum of this type times a credit has 38 digits, 12 of them decimals: nothing is rounded.
    credited = {name: F.col(name).cast(MONEY_SUM) * F.col("credit") for name in amounts}
    shared = {name: F.col(name) * F.col("credit") for name in doubles}
    rows = sums.select("*", F.inline("places")).withColumns({**credited, **shared})
    both = F.when(F.col("segment_id") == EVERYBODY, F.array("channel", F.lit(ALL))).otherwise(F.array("channel"))
    basis = [F.max("value_basis").alias("value_basis")] if "value_basis" in sums.columns else []
    each = rows.withColumn("channel", F.explode(both)).groupBy("channel", "segment_id", *keys)
    return each.agg(
        *basis,
        *(F.sum(name).cast("decimal(38,12)").alias(name) for name in amounts),
        *(F.sum(name).alias(name) for name in (*counts, *doubles)),
    )


def _place(channel: Column, segment_id: Column, credit: Column) -> Column:
    return F.struct(channel.alias("channel"), segment_id.alias("segment_id"), credit.cast(CREDIT).alias("credit"))


def _texts(names: Sequence[str]) -> Column:
    return F.array(*(F.lit(name) for name in names))
