"""The hand-written histories of the test suites of lifetimes and PyMC-Marketing, in days, through the Spark path.

Their tables by calendar week have no counterpart here: times are never rounded to weeks. They put 0 where we put NULL.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.spark.test_cdnow import judged_rows, metrics_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

History = tuple[int, int, int, float | None]

PURCHASES = {
    "1": ["2015-01-01 1", "2015-02-06 2"],
    "2": ["2015-01-01 2"],
    "3": ["2015-01-01 3", "2015-01-02 1", "2015-01-05 5"],
    "4": ["2015-01-16 6", "2015-02-02 3", "2015-02-05 3"],
    "4 twice on a day": ["2015-01-16 6", "2015-02-02 3", "2015-02-05 3", "2015-02-05 6"],
    "5": ["2015-01-16 3", "2015-01-17 1", "2015-01-18 8"],
    "6": ["2015-02-02 5"],
    "late": ["2015-02-01 4", "2015-02-06 7"],
    "one day": ["2015-01-01 1", "2015-01-01 5"],
    "out of order": ["2014-04-09 20", "2014-03-14 10", "2014-05-21 25"],
}
WHOLE: dict[str, History] = {
    "1": (1, 36, 37, 2), "2": (0, 0, 37, None), "3": (2, 4, 37, 3), "4": (2, 20, 22, 3),
    "4 twice on a day": (2, 20, 22, 6), "5": (2, 2, 22, 4.5), "6": (0, 0, 5, None), "late": (1, 5, 6, 7),
    "one day": (0, 0, 37, None), "out of order": (2, 68, 330, 22.5),
}  # fmt: skip
CALIBRATION: dict[str, History] = {
    "1": (0, 0, 31, None), "2": (0, 0, 31, None), "3": (2, 4, 31, 3), "4": (0, 0, 16, None),
    "4 twice on a day": (0, 0, 16, None), "5": (2, 2, 16, 4.5), "late": (0, 0, 0, None), "one day": (0, 0, 31, None),
    "out of order": (2, 68, 324, 22.5),
}  # fmt: skip


@pytest.fixture(scope="module")
def histories(spark_session: SparkSession) -> Iterator[dict[str, dict[str, History]]]:
    """Histories by day and customer, of one query over three days."""
    lines = [
        (f"{customer}-{number}", customer, *purchase.split())
        for customer, purchases in PURCHASES.items()
        for number, purchase in enumerate(purchases)
    ]
    days = ["2015-02-01", "2015-02-04", "2015-02-07"]
    frames = []
    for day in map(dt.date.fromisoformat, days):
        accepted = judged_rows(spark_session, lines, day).where("disposition = 'accepted'")
        frames.append(metrics_of(accepted, day).selectExpr(f"'{day}' as day", "*"))
    rows = frames[0].unionByName(frames[1]).unionByName(frames[2]).collect()
    found: dict[str, dict[str, History]] = {day: {} for day in days}
    for row in rows:
        mean = None if row.btyd_monetary_value is None else float(row.btyd_monetary_value)
        found[row.day][row.customer_id] = (row.btyd_frequency, row.btyd_recency_days, row.btyd_age_days, mean)
    yield found
    spark_session.catalog.clearCache()


def test_histories_by_day(histories: dict[str, dict[str, History]]) -> None:
    assert histories["2015-02-07"] == WHOLE


def test_what_comes_after_the_calibration_is_not_seen(histories: dict[str, dict[str, History]]) -> None:
    """A customer who first bought after it is not there at all."""
    assert histories["2015-02-01"] == CALIBRATION


def test_purchases_of_the_holdout_end_with_its_last_day(histories: dict[str, dict[str, History]]) -> None:
    calibration = histories["2015-02-01"]

    def bought_until(day: str) -> dict[str, int]:
        later = {customer: histories[day][customer][0] - history[0] for customer, history in calibration.items()}
        return {customer: count for customer, count in later.items() if count}

    assert bought_until("2015-02-04") == {"4": 1, "4 twice on a day": 1}
    assert bought_until("2015-02-07") == {"1": 1, "4": 2, "4 twice on a day": 2, "late": 1}
