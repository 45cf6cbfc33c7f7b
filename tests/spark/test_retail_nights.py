"""Online Retail fed night by night, with lines that come late and in any order: a refresh equals a rebuild.

Not part of `make test`, since it needs the file and a quarter of an hour: `make test-retail ONLINE_RETAIL=file.csv`.
"""

from __future__ import annotations

import csv
import datetime as dt
import gzip
import os
import random
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.contracts.put_aside import CONSERVATION
from tests.spark.nights import CURRENCY, Shop, assert_same, later

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.pipeline.workspace import Workspace

FILE = os.environ.get("CLV_ONLINE_RETAIL", "")
NIGHTS = int(os.environ.get("CLV_RETAIL_NIGHTS", "40"))
"""How many of the last days come in one by one; those before are loaded at once."""

SEED = int(os.environ.get("CLV_RETAIL_SEED", "1"))
COMPARED_EVERY = 10
LATE_SHARE = 0.1
LONGEST_DELAY_DAYS = 60
READ = ("InvoiceNo", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")
SOURCE = (
    ", grain: line, columns: {order_id: InvoiceNo, ordered_at: InvoiceDate,"
    " customer_id: cast(cast(CustomerID as double) as int),"
    ' net_amount: "cast(Quantity as int) * cast(UnitPrice as decimal(18,4))"}'
)


def read_lines(file: Path) -> list[dict[str, Any]]:
    """The lines of the file, as text."""
    packed = file.read_bytes()
    text = (gzip.decompress(packed) if file.suffix == ".gz" else packed).decode("utf-8")
    return [{name: row[name] or None for name in READ} for row in csv.DictReader(text.splitlines())]


def invoiced(line: dict[str, Any]) -> dt.date:
    return dt.date.fromisoformat(line["InvoiceDate"][:10])


def by_arrival(lines: list[dict[str, Any]], chance: random.Random) -> dict[dt.date, list[dict[str, Any]]]:
    """The lines by the day on which they come in, shuffled: that of their invoice, or some weeks after it."""
    arrived: dict[dt.date, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        delay = chance.randint(1, LONGEST_DELAY_DAYS) if chance.random() < LATE_SHARE else 0
        arrived[later(invoiced(line), delay)].append(line)
    for day in sorted(arrived):
        chance.shuffle(arrived[day])
    return arrived


def assert_conserved(work: Workspace, fed: list[dict[str, Any]]) -> None:
    """Every line that was fed is counted, and so is its money, to the last digit."""
    [counted] = work.read(CONSERVATION).where("source_name = 'orders' and disposition = 'input'").collect()
    money = sum((int(line["Quantity"]) * Decimal(line["UnitPrice"]) for line in fed), Decimal(0))
    assert (counted["currency_code"], counted["row_count"], counted["amount"]) == (CURRENCY, len(fed), money)


@pytest.mark.drill
def test_online_retail_night_by_night(spark: SparkSession, tmp_path: Path) -> None:
    if not FILE:
        pytest.fail("name the file of the data set: make test-retail ONLINE_RETAIL=online_retail.csv")
    lines = read_lines(Path(FILE))
    arrivals, end = by_arrival(lines, random.Random(SEED)), max(map(invoiced, lines))
    begin = later(end, -NIGHTS)
    shop = Shop(spark, tmp_path, ("orders",), options={"orders": SOURCE, "buckets": 2})
    fed = [line for day in sorted(arrivals) if day <= begin for line in arrivals[day]]
    shop.insert("orders", fed)
    shop.night(begin)
    for number in range(1, NIGHTS + 1):
        day = later(begin, number)
        # Lines that are late beyond the last night come in it.
        come = [when for when in sorted(arrivals) if when == day or (when > day == end)]
        new = [line for when in come for line in arrivals[when]]
        shop.insert("orders", new)
        fed += new
        work = shop.night(day)
        print(f"{day}: {len(new):,} lines, {work.run.refreshed_from or work.run.rebuild_reason}", flush=True)  # noqa: T201
        assert work.run.refreshed_from is not None
        assert_conserved(work, fed)
        if number % COMPARED_EVERY == 0 or day == end:
            assert_same(work, shop.rebuilt(day))
