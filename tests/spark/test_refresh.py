"""A refresh of silver equals a rebuild, table by table, whatever changed in the sources."""

from __future__ import annotations

import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.spark.nights import Shop, assert_same, disturbed, later
from tests.spark.test_orders_oracle import AS_OF, INTERPRETED, conf, data_sets

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tests.spark.oracle import DataSet


def sources_of(data: DataSet) -> dict[str, list[dict[str, Any]]]:
    rates = [
        {
            "rate_date": f"{rate['day']}",
            "from_currency_code": rate["currency"],
            "to_currency_code": "gbp",
            "rate": f"{rate['rate']:f}",
        }
        for rate in data.rates
    ]
    return {"orders": list(data.orders), "refunds": list(data.refunds), "exchange_rates": rates}


@pytest.mark.slow
def test_refreshed_equals_rebuilt(spark: SparkSession, tmp_path: Path) -> None:
    refreshed: list[str] = []

    @settings(
        max_examples=3,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(data=data_sets(), seed=st.integers(0, 2**32), feed=st.booleans())
    def agrees(data: DataSet, seed: int, feed: bool) -> None:
        chance, held_back = random.Random(seed), sources_of(data)
        shop = Shop(spark, tmp_path / f"{len(refreshed)}-{seed}", tuple(held_back), feed=feed)
        shop.folder.mkdir()
        for name, rows in held_back.items():
            chance.shuffle(rows)
            shop.insert(name, rows[: 2 * len(rows) // 3])
            held_back[name] = rows[2 * len(rows) // 3 :]
        day = later(AS_OF, -40)
        with conf(spark, INTERPRETED):
            shop.night(day)
            for _ in range(2):
                for _ in range(chance.randint(1, 2)):
                    disturbed(shop, chance, held_back)
                day = later(day, chance.choice((0, 1, 25)))
                work = shop.night(day)
                refreshed.append(work.run.refreshed_from or f"not: {work.run.rebuild_reason}")
                assert_same(work, shop.rebuilt(day))

    agrees()
    assert not any(found.startswith("not") for found in refreshed), refreshed
