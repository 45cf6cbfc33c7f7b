"""How often queries scanned the tables of a lake, counted in the plans that Spark ran; a kept frame counts once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pyspark import SparkContext
from pyspark.java_gateway import ensure_callback_server_started

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_INDENT = re.compile(r"[ :]*(?:[+:]- )?")
_LENGTH = "spark.sql.maxMetadataStringLength"  # places are cut at 100 characters otherwise


class Listener:
    """Listens to the queries of a session; Spark calls it from the JVM, some time after each has ended."""

    def onSuccess(self, _name: str, execution: Any, _nanoseconds: int) -> None:  # noqa: N802 - Java's name
        """A query has ended."""
        raise NotImplementedError

    def onFailure(self, _name: str, _execution: Any, _error: Any) -> None:  # noqa: N802 - Java's name
        """A query that failed proves nothing."""

    class Java:
        """What the JVM takes this for."""

        implements = ("org.apache.spark.sql.util.QueryExecutionListener",)


@contextmanager
def listening(spark: SparkSession, listener: Listener) -> Iterator[None]:
    """Let it hear of the queries of the block, with the places of tables in full."""
    ensure_callback_server_started(SparkContext._gateway)
    manager, before = spark._jsparkSession.listenerManager(), spark.conf.get(_LENGTH)
    manager.register(listener)
    spark.conf.set(_LENGTH, "1000")
    try:
        yield
    finally:
        manager.unregister(listener)
        spark.conf.set(_LENGTH, str(before))


class Scans(Listener):
    """The plans of queries that have ended."""

    def __init__(self, spark: SparkSession) -> None:
        """Nothing was scanned yet."""
        self._bus = spark.sparkContext._jsc.sc().listenerBus()
        self._plans: list[str] = []

    def onSuccess(self, _name: str, execution: Any, _nanoseconds: int) -> None:  # noqa: N802 - Java's name
        """Keep the plan of a query that has ended."""
        self._plans.append(execution.executedPlan().toString())

    def taken(self, table: str) -> int:
        """Scans of a silver or gold table since the last call."""
        return len(self.lines(table))

    def taken_of(self, *tables: str) -> tuple[int, ...]:
        """The same of each of several tables."""
        plans = self._since_the_last_call()
        return tuple(scans_in(plans, table) for table in tables)

    def lines(self, table: str) -> list[str]:
        """What the plans say of each scan since the last call, its filters included."""
        return scan_lines(self._since_the_last_call(), table)

    def _since_the_last_call(self) -> list[str]:
        self._bus.waitUntilEmpty()
        plans, self._plans = self._plans, []
        return plans


@contextmanager
def counted_scans(spark: SparkSession) -> Iterator[Scans]:
    """Count the scans of a session within the block."""
    scans = Scans(spark)
    with listening(spark, scans):
        yield scans


def scans_in(plans: list[str], table: str) -> int:
    """Number of scans of a table in texts of plans."""
    return len(scan_lines(plans, table))


def scan_lines(plans: list[str], table: str) -> list[str]:
    """Lines of the scans of a table in texts of plans; what was computed once and kept is printed with each use."""
    scan = re.compile(rf"Scan .*/{table}\]")
    outside: list[str] = []
    kept: set[tuple[str, ...]] = set()
    texts = [plan.splitlines() for plan in plans]
    while texts:
        lines = texts.pop()
        while lines:
            line = lines.pop(0)
            outside.append(line)
            below = _below(lines, _indent(line)) if "InMemoryRelation" in line else ()
            if below and below not in kept:
                kept.add(below)
                texts.append(list(below))
    return [line for line in outside if scan.search(line)]


def _below(lines: list[str], indent: int) -> tuple[str, ...]:
    """Take the lines that are indented deeper from the front, without the bars of what lies around them."""
    count = next((number for number, line in enumerate(lines) if _indent(line) <= indent), len(lines))
    taken = tuple(line[indent:] for line in lines[:count])
    del lines[:count]
    return taken


def _indent(line: str) -> int:
    found = _INDENT.match(line)
    return found.end() if found else 0
