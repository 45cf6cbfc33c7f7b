"""How many rows a session read of each table, and how many jobs it started; what was kept is read once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.spark.scans import Listener, listening

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PLACE = re.compile(r"/(\w+)\]")


@dataclass
class Work(Listener):
    """Rows that scans gave, by the last part of the table's path, after whole partitions and files were left out."""

    rows: Counter[str] = field(default_factory=Counter)
    jobs: int = 0

    def onSuccess(self, _name: str, execution: Any, _nanoseconds: int) -> None:  # noqa: N802 - Java's name
        """Add up the scans of a query that has ended."""
        leaves = execution.executedPlan().collectLeaves()
        for leaf in (leaves.apply(number) for number in range(leaves.size())):
            place = _PLACE.search(leaf.toString())
            if leaf.nodeName().startswith("Scan parquet") and place:
                self.rows[place[1]] += leaf.metrics().apply("numOutputRows").value()


@contextmanager
def counted_work(spark: SparkSession) -> Iterator[Work]:
    """Count the work of a session within the block; the counts are there after it. Plans must not be adaptive."""
    context, work = spark.sparkContext._jsc.sc(), Work()
    first_job = context.dagScheduler().numTotalJobs()
    context.listenerBus().waitUntilEmpty()
    with listening(spark, work):
        yield work
        context.listenerBus().waitUntilEmpty()
        work.jobs = context.dagScheduler().numTotalJobs() - first_job
