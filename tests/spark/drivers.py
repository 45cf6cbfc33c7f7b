"""The command line in processes of its own, which may be killed: after so many commits, or seconds into its work."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import TEST_CONF
from tests.spark.readers import commits

_SMALL_LAKES = {**TEST_CONF, "spark.sql.shuffle.partitions": "1", "spark.default.parallelism": "1"}
"""The section `spark` of a configuration over few rows, whose time is that of planning."""

_CONFIGURATION = """
lake: {lake}
reporting: {{currency: GBP, time_zone: Europe/London}}
sources: {{orders: {{table: {sources}/orders}}, refunds: {{table: {sources}/refunds}}}}
segments: [{{type: channel}}]
predictions: {{model: bg_nbd, holdout_days: 0, horizons_days: [365], minimum_customers: 30, compare_groups: []}}
economics: {{segment_types: [], spend_lag_months: [0]}}
forecasts: {{months: 0}}
spark: {spark}
"""


def configuration(lake: Path, sources: Path, *more: str) -> str:
    """Every step with little to compute, for orders and refunds of a folder; `more` are lines of the configuration."""
    text = _CONFIGURATION.format(lake=lake, sources=sources, spark=json.dumps(_SMALL_LAKES))
    return "\n".join((text, *more))


_LOOK_EVERY = 0.01
_LONGEST = 900
_BEGUN = " started\n"


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, negative for a signal; commits to the lake, seconds, and what it printed."""

    exit_code: int
    commits: int
    seconds: float
    output: str
    log: str

    @property
    def was_killed(self) -> bool:
        return self.exit_code == -signal.SIGKILL


@dataclass(frozen=True)
class Kill:
    """When a driver dies: after its commit number `at_commit`, or `after` seconds from the start of its first step.

    Its Java dies with it, or, `python_alone`, ends by itself when it finds that its driver is gone.
    """

    at_commit: int = 0
    after: float = 0
    python_alone: bool = False

    def __str__(self) -> str:
        when = f"at commit {self.at_commit}" if self.at_commit else f"{self.after:.1f} s into its work"
        return f"{when}, Python alone" if self.python_alone else when

    def strikes(self, made: int, working_seconds: float | None) -> bool:
        if self.at_commit:
            return made >= self.at_commit
        return working_seconds is not None and working_seconds >= self.after


@dataclass(frozen=True)
class Driver:
    """Commands of clv over one lake; what they print is kept in files of `folder` until the next one starts."""

    folder: Path
    lake: Path
    environ: Mapping[str, str]

    def clv(self, *arguments: str, kill: Kill | None = None) -> Ended:
        """Run a command to its end, or until it is killed."""
        before, began = commits(self.lake), time.monotonic()
        output, log = self.folder / "output.txt", self.folder / "log.txt"
        command = [sys.executable, "-m", "clv_lib.cli", *arguments]
        with output.open("w") as out, log.open("w") as err:
            process = subprocess.Popen(command, stdout=out, stderr=err, env=self.environ, start_new_session=True)
            try:
                _wait(process, kill, lambda: len(commits(self.lake) - before), log)
            finally:
                _end_of_group(process)
        seconds = time.monotonic() - began
        made = len(commits(self.lake) - before)
        return Ended(process.returncode, made, seconds, output.read_text(), log.read_text())


def _wait(process: subprocess.Popen[bytes], kill: Kill | None, made: Callable[[], int], log: Path) -> None:
    if kill is None:
        process.wait(timeout=_LONGEST)
        return
    began, last = None, time.monotonic() + _LONGEST
    while process.poll() is None and time.monotonic() < last:
        if began is None and _BEGUN in log.read_text():
            began = time.monotonic()
        count = made() if kill.at_commit else 0
        if kill.strikes(count, None if began is None else time.monotonic() - began):
            _strike(process, kill)
            return
        time.sleep(_LOOK_EVERY)


def _strike(process: subprocess.Popen[bytes], kill: Kill) -> None:
    if not kill.python_alone:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=60)
        return
    process.kill()
    process.wait(timeout=60)
    for _ in range(600):
        if not _has_members(process.pid):
            return
        time.sleep(0.1)


def _end_of_group(process: subprocess.Popen[bytes]) -> None:
    """Nothing of the command works on after this."""
    if _has_members(process.pid):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=60)
    for _ in range(20):
        if not _has_members(process.pid):
            return
        time.sleep(0.1)


def _has_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
