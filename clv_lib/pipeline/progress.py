"""What a run says while it works: log records with run and step, and the times and rows for the table at its end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

LOGGER = "clv"

_SILENT_SECONDS = 10.0
_SILENT_SHARE = 0.1
"""How long a step says nothing before it is said that it is at work; of a long step a tenth of its time so far."""


@dataclass
class StepRecord:
    """One step: seconds taken and rows written per table, in order."""

    name: str
    seconds: float = 0.0
    rows: dict[str, int | None] = field(default_factory=dict)


@dataclass
class Progress:
    """Collects the steps of one run. Times are for people only; nothing is computed from them."""

    run_id: str
    steps: list[StepRecord] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _last_said: float = field(default=0.0, repr=False, compare=False)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Log a step's start and end, time it, and say that it is at work where it says nothing for long."""
        record = StepRecord(name)
        self.steps.append(record)
        self._log("started")
        began, ended = time.monotonic(), threading.Event()
        threading.Thread(target=self._say_at_work, args=(began, ended), daemon=True).start()
        try:
            yield
        finally:
            ended.set()
            record.seconds = time.monotonic() - began
        self._log(f"ended after {record.seconds:.1f} s")

    def written(self, table: str, rows: int | None) -> None:
        """Log a table that was written; None: nobody counted its rows."""
        self.steps[-1].rows[table] = rows
        self._log(f"wrote {table}" if rows is None else f"wrote {table}: {rows:,} rows")

    def info(self, text: str) -> None:
        """Log something that is good to know while the run works."""
        self._log(text)

    def note(self, text: str) -> None:
        """Log something that the reader of the results should know, and keep it for the summary."""
        self.notes.append(text)
        self._log(text, logging.WARNING)

    def _say_at_work(self, began: float, ended: threading.Event) -> None:
        while not ended.wait(_SILENT_SECONDS / 4):
            now = time.monotonic()
            if now - self._last_said >= max(_SILENT_SECONDS, _SILENT_SHARE * (now - began)):
                self._log(f"at work for {now - began:.0f} s")

    def _log(self, text: str, level: int = logging.INFO) -> None:
        self._last_said = time.monotonic()
        step = self.steps[-1].name if self.steps else "start"
        logging.getLogger(LOGGER).log(level, text, extra={"run_id": self.run_id, "step": step})
