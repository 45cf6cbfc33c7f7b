"""How the job is run over generated data: what Hypothesis may do, and a session that wastes no time on small frames."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, Phase, settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WHOLE_JOBS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    # Shrinking would run the job hundreds of times; the assertion names the row.
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
# For a hundred rows Spark spends its time in compiling; the expressions are the same when they are interpreted.
INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
}


@contextmanager
def conf(spark: SparkSession, values: dict[str, str]) -> Iterator[None]:
    before = {key: str(spark.conf.get(key)) for key in values}
    for key, value in values.items():
        spark.conf.set(key, value)
    try:
        yield
    finally:
        for key, value in before.items():
            spark.conf.set(key, value)
