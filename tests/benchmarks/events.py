"""What each step of a run made Spark do, from Spark's event log: jobs, shuffles, bytes."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BETWEEN = "between steps"
_JOB, _STAGE = "SparkListenerJobStart", "SparkListenerStageCompleted"


class StepTimes(logging.Handler):
    """When each step began and ended, in seconds since the epoch, from the time stamps of its log records."""

    def __init__(self) -> None:
        """Nothing has begun yet."""
        super().__init__(logging.INFO)
        self.spans: dict[str, tuple[float, float]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Widen the span of the record's step."""
        step = getattr(record, "step", None)
        if step:
            began, _ = self.spans.get(step, (record.created, record.created))
            self.spans[step] = (began, record.created)


@dataclass
class Work:
    """Jobs and stages of one step; a shuffle is a stage that wrote for one."""

    jobs: int = 0
    shuffles: int = 0
    shuffled_bytes: int = 0
    spilled_bytes: int = 0
    read_bytes: int = 0
    written_bytes: int = 0


def work_by_step(
    log_folder: Path, spans: Mapping[str, tuple[float, float]], run: tuple[float, float]
) -> dict[str, Work]:
    """Work of each step of `spans`, and of the jobs of the run that no step started, under BETWEEN.

    A job belongs to the step in whose span it was submitted, a stage to the first job that names it: a stage may
    complete when the next step has begun, and later jobs that reuse its output name it again.
    """
    found = {name: Work() for name in (*spans, BETWEEN)}
    step_of_stage: dict[int, str] = defaultdict(str)
    for event in _events(log_folder):
        if event["Event"] == _JOB:
            step = _step_at(event["Submission Time"] / 1000, spans, run)
            for stage in event["Stage IDs"]:
                step_of_stage.setdefault(stage, step)
            if step:
                found[step].jobs += 1
        elif step := step_of_stage[event["Stage Info"]["Stage ID"]]:
            _add(found[step], event["Stage Info"])
    return {step: work for step, work in found.items() if work.jobs}


def show_work(found: Mapping[str, Work]) -> None:
    """Print a line per step."""
    print(f"{'jobs':>6} {'shuffles':>8} {'shuffled':>9} {'spilled':>8} {'read':>8} {'written':>8}  (GB)")
    for step, work in found.items():
        sizes = (work.shuffled_bytes, work.spilled_bytes, work.read_bytes, work.written_bytes)
        shuffled, spilled, read, written = (size / 1e9 for size in sizes)
        print(
            f"{work.jobs:6d} {work.shuffles:8d} {shuffled:9.3f} {spilled:8.3f} {read:8.3f} {written:8.3f}  {step}",
            flush=True,
        )


def _events(log_folder: Path) -> Iterator[dict[str, Any]]:
    """Job starts and completed stages in the order of the log; lines of tasks are many and not parsed."""
    wanted = tuple(f'{{"Event":"{kind}"' for kind in (_JOB, _STAGE))
    for path in sorted(path for path in log_folder.rglob("*") if path.is_file()):
        with path.open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if line.startswith(wanted):
                    yield json.loads(line)


def _step_at(time: float, spans: Mapping[str, tuple[float, float]], run: tuple[float, float]) -> str:
    """The step that was the last to begin before, if it had not ended; else BETWEEN within the run, else nothing."""
    # Spark cuts its times to milliseconds.
    begun = [(began, name) for name, (began, ended) in spans.items() if began - 0.001 <= time <= ended]
    if begun:
        return max(begun)[1]
    return BETWEEN if run[0] <= time <= run[1] else ""


def _add(work: Work, stage: Mapping[str, Any]) -> None:
    values = {one.get("Name"): one.get("Value", 0) for one in stage["Accumulables"]}

    def size(name: str) -> int:
        return int(values.get(f"internal.metrics.{name}", 0))

    shuffled = size("shuffle.write.bytesWritten")
    work.shuffles += shuffled > 0
    work.shuffled_bytes += shuffled
    work.spilled_bytes += size("diskBytesSpilled")
    work.read_bytes += size("input.bytesRead")
    work.written_bytes += size("output.bytesWritten")
