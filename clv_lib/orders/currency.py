"""Exchange rates by day, and the check that they can be trusted; a missing rate is never 1."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F

from clv_lib.contracts.types import MONEY

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def normalised_currency(rows: DataFrame) -> DataFrame:
    """The rows with `currency_code` trimmed and in capitals. Grain: kept."""
    return rows.withColumn("currency_code", F.upper(F.trim("currency_code")))


def rate_faults(rates: DataFrame) -> DataFrame:
    """Days and pairs that make the rates unusable: several rates for a day, or a rate that is not a positive number.

    Grain: day and pair of currencies, faulty ones only; the three columns and `fault`.
    """
    pair = ("rate_date", "from_currency_code", "to_currency_code")
    days = rates.groupBy(*pair).agg(
        F.count_distinct("rate").alias("rate_count"),
        F.count_if(~F.coalesce(F.col("rate") > 0, F.lit(False))).alias("bad"),
    )
    fault = F.when(F.col("bad") > 0, "not a positive number").when(F.col("rate_count") > 1, "several rates for the day")
    return days.select(*pair, fault.alias("fault")).where("fault is not null")


def daily_rates(rates: DataFrame, currency: str, max_age_days: int, as_of: dt.date) -> DataFrame:
    """Rates into the reporting currency for every day that has one, known or at most `max_age_days` old.

    Grain: day and currency; columns `rate_day, rate_currency, exchange_rate`. Days after `as_of` are left out.
    """
    known = (
        normalised_pair(rates)
        .where((F.col("to_currency_code") == currency) & (F.col("rate_date") <= F.lit(as_of)))
        .groupBy("rate_date", "from_currency_code")
        .agg(F.max("rate").alias("exchange_rate"))
    )
    following = F.lead("rate_date").over(Window.partitionBy("from_currency_code").orderBy("rate_date"))
    last_day = F.least(
        F.date_add("rate_date", max_age_days), F.coalesce(F.date_sub(following, 1), F.lit(as_of)), F.lit(as_of)
    )
    return known.withColumn("last_day", last_day).select(
        F.explode(F.sequence("rate_date", "last_day")).alias("rate_day"),
        F.col("from_currency_code").alias("rate_currency"),
        "exchange_rate",
    )


def normalised_pair(rates: DataFrame) -> DataFrame:
    """The rates with both currency codes trimmed and in capitals. Grain: kept."""
    return rates.withColumns({name: F.upper(F.trim(name)) for name in ("from_currency_code", "to_currency_code")})


def with_exchange_rate(rows: DataFrame, rates: DataFrame | None, day: str, currency: str) -> DataFrame:
    """Add `exchange_rate` of the row's `day` into the reporting currency; NULL where there is none. Grain: kept.

    `rates` come from `daily_rates`, one per day and currency, so the join adds no rows; rows in the reporting currency
    have the rate 1 by definition.
    """
    own = F.when(F.col("currency_code") == currency, F.lit(1).cast("decimal(28,12)"))
    if rates is None:
        return rows.withColumn("exchange_rate", own)
    of_day = (F.col(day) == F.col("rate_day")) & (F.col("currency_code") == F.col("rate_currency"))
    return (
        rows.join(F.broadcast(rates), of_day, "left")
        .withColumn("exchange_rate", F.coalesce(own, F.col("exchange_rate")))
        .drop("rate_day", "rate_currency")
    )


def converted(amount: str) -> Column:
    """An amount of a row in the reporting currency, rounded half up to four decimals; NULL stays NULL.

    Spark keeps seven decimals of the plain product, and rounding those again is not rounding half up; the products with
    the whole and the broken part of the rate are exact, and the former has four decimals already.
    """
    value, rate = F.col(amount), F.col("exchange_rate")
    whole = F.floor(rate).cast("decimal(16,0)")
    part = (rate - whole).cast("decimal(13,12)")
    exact = (value * whole + F.round(value * part, 4)).cast(MONEY)
    return F.when(rate == 1, value.cast(MONEY)).otherwise(exact).alias(amount)
