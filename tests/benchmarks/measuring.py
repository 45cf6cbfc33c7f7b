"""Seconds of actions, and how they are printed: beside each other, as multiples of one of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession


def timed(action: Callable[[], Any]) -> float:
    """Seconds that the action takes."""
    began = time.monotonic()
    action()
    return time.monotonic() - began


def better_of_two(actions: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    """Seconds of each action by name: all in turn, twice, so that the first round warms up the JVM and the disk."""
    first = {name: timed(action) for name, action in actions.items()}
    return {name: min(first[name], timed(action)) for name, action in actions.items()}


def noop(frame: DataFrame) -> None:
    """Compute every column of every row and keep nothing."""
    frame.write.format("noop").mode("overwrite").save()


def session(folder: Path) -> SparkSession:
    """Spark on two cores with 6 GiB, and an event log in the folder that can be read while it grows."""
    from clv_lib.session import build_session

    events = folder / "events"
    events.mkdir(parents=True, exist_ok=True)
    conf = {
        "spark.master": "local[2]",
        "spark.driver.memory": "6g",
        "spark.sql.shuffle.partitions": "16",
        "spark.eventLog.enabled": "true",
        "spark.eventLog.compress": "false",
        "spark.eventLog.rolling.enabled": "false",
        "spark.eventLog.dir": events.as_uri(),
    }
    return build_session("clv-bench", conf)


def heading(text: str) -> None:
    """Print what the next lines are about."""
    print(f"\n{text}", flush=True)


def show(seconds: Mapping[str, float], unit: float) -> None:
    """Print each time, and as a multiple of `unit` seconds."""
    for name, value in seconds.items():
        print(f"{value:9.2f} s {value / unit:7.2f}x  {name}", flush=True)
