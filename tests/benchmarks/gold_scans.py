"""How often each step scanned a table of the lake, from the plans and stages of Spark's event log."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_JOB, _STAGE = "SparkListenerJobStart", "SparkListenerStageCompleted"
_SQL = "org.apache.spark.sql.execution.ui.SparkListenerSQL"
_PLANS = (f"{_SQL}ExecutionStart", f"{_SQL}AdaptiveExecutionUpdate")
_ROWS = "number of output rows"


@dataclass(frozen=True)
class Scan:
    """One stage that read a table: when the job that ran it was submitted (s), and what the stage read."""

    submitted: float
    read_bytes: int


def scans_of(log_folder: Path, table: str) -> list[Scan]:
    """Every scan of a table that read rows, whatever plan it was part of.

    A scan is known by the accumulator that counts its rows: plans that reuse its output name the same one, and only the
    stage that read the files adds to it. So a frame that was kept counts once, however often it is used.
    """
    counters: set[int] = set()
    submitted: dict[int, float] = {}
    stages: list[Mapping[str, Any]] = []
    for event in _events(log_folder):
        if event["Event"] == _JOB:
            for stage in event["Stage IDs"]:
                submitted.setdefault(stage, event["Submission Time"] / 1000)
        elif event["Event"] == _STAGE:
            stages.append(event["Stage Info"])
        else:
            counters.update(_row_counters(event["sparkPlanInfo"], f"/{table}]"))
    found = []
    for stage in stages:
        values = {one["ID"]: one for one in stage["Accumulables"]}
        read = [number for number in counters if number in values and int(values[number]["Value"]) > 0]
        total = sum(int(one["Value"]) for one in values.values() if one["Name"] == "internal.metrics.input.bytesRead")
        found += [Scan(submitted[stage["Stage ID"]], total)] * len(read)
    return found


def scans_by_step(log_folder: Path, table: str, spans: Mapping[str, tuple[float, float]]) -> dict[str, int]:
    """Number of scans of a table in each step that scanned it."""
    counts: dict[str, int] = defaultdict(int)
    for scan in scans_of(log_folder, table):
        begun = [(began, name) for name, (began, ended) in spans.items() if began - 0.001 <= scan.submitted <= ended]
        counts[max(begun)[1] if begun else "between steps"] += 1
    return dict(counts)


def _row_counters(plan: Mapping[str, Any], place: str) -> Iterator[int]:
    """Accumulators of the rows of each scan of files below the place in a plan."""
    if plan["nodeName"].startswith("Scan ") and place in plan["metadata"].get("Location", ""):
        yield from (metric["accumulatorId"] for metric in plan["metrics"] if metric["name"] == _ROWS)
    for child in plan["children"]:
        yield from _row_counters(child, place)


def _events(log_folder: Path) -> Iterator[dict[str, Any]]:
    """Plans, job starts and completed stages in the order of the log."""
    wanted = tuple(f'{{"Event":"{kind}"' for kind in (_JOB, _STAGE, *_PLANS))
    for path in sorted(path for path in log_folder.rglob("*") if path.is_file()):
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith(wanted):
                    yield json.loads(line)
