"""Log lines and errors as readable text or as JSON, each with run id and step."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
from dataclasses import asdict
from typing import Any, Literal

from clv_lib.errors import ClvError

LogFormat = Literal["text", "json"]
LOGGER = "clv"


class TextFormatter(logging.Formatter):
    """`20:14:03 3f9ac1 intake       wrote customer_orders: 24,147 rows`, in local time."""

    def format(self, record: logging.LogRecord) -> str:
        """One line; warnings say so."""
        time = dt.datetime.fromtimestamp(record.created).astimezone()
        run_id, step = _context(record)
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        message = record.getMessage()
        if message.startswith(level):
            level = ""
        head = f"{time:%H:%M:%S} {short_id(run_id):<6} {step:<11} "
        return head + level + message.replace("\n", "\n" + " " * len(head)) + _trace(self, record, "\n")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ts (UTC), level, logger, msg, run_id, step."""

    def format(self, record: logging.LogRecord) -> str:
        """One line without line breaks inside."""
        run_id, step = _context(record)
        line = {
            "ts": dt.datetime.fromtimestamp(record.created, dt.timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "msg": record.getMessage() + _trace(self, record, "\n"),
            "run_id": run_id or None,
            "step": step or None,
        }
        return json.dumps(line, ensure_ascii=False)


class Journal(logging.Handler):
    """Remembers run id, steps and their seconds from the log, so that a run that failed can be described too."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        super().__init__()
        self.run_id: str | None = None
        self.steps: dict[str, list[float]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Take run id, step and time of a record."""
        run_id, step = _context(record)
        if run_id:
            self.run_id = run_id
            self.steps.setdefault(step, []).append(record.created)

    @property
    def last_step(self) -> str | None:
        """The step in which the run was last seen."""
        return next(reversed(self.steps), None)

    def seconds(self) -> dict[str, float]:
        """Seconds from the first to the last record of each step."""
        return {step: round(max(times) - min(times), 1) for step, times in self.steps.items() if step != "start"}


def set_up(log_format: LogFormat) -> None:
    """Send the log of clv to standard error in the given format; called again it replaces the format."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    logger = logging.getLogger(LOGGER)
    logger.handlers = [handler]
    logger.propagate = False
    logger.setLevel(logging.INFO)


def short_id(run_id: str) -> str:
    """The first 6 digits of the hash in a run id, enough to tell the runs of a day apart."""
    return run_id.rpartition("-")[2][:6]


def error_text(error: ClvError, log_format: LogFormat) -> str:
    """The error for a person, or as one JSON object on one line."""
    if log_format == "json":
        return json.dumps(error_fields(error), ensure_ascii=False)
    return f"error: {error}"


def error_fields(error: ClvError) -> dict[str, Any]:
    """Every part of an error for programs."""
    return {
        "level": "ERROR",
        "logger": LOGGER,
        "error": type(error).__name__,
        "exit_code": error.exit_code,
        "msg": error.what,
        "where": error.where,
        "expected": error.expected,
        "found": error.found,
        "next_step": error.next_step,
        "faults": [asdict(fault) for fault in error.faults],
    }


def _context(record: logging.LogRecord) -> tuple[str, str]:
    return getattr(record, "run_id", ""), getattr(record, "step", "")


def _trace(formatter: logging.Formatter, record: logging.LogRecord, before: str) -> str:
    return before + formatter.formatException(record.exc_info) if record.exc_info else ""
