"""The file of `--summary-json`: how a run ended, for schedulers and dashboards, also when it failed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from clv_lib.cli.logs import Journal, error_fields
from clv_lib.cli.rendering import json_text
from clv_lib.code_version import code_version
from clv_lib.errors import CRASH_EXIT_CODE, SUCCESS_EXIT_CODE, ClvError, ConfigurationError

if TYPE_CHECKING:
    from clv_lib.pipeline import Outcome


@contextmanager
def recorded(path: str | None, as_of: dt.date, journal: Journal) -> Iterator[None]:
    """Write the failure to the file if the run inside raises; the exception goes on.

    ConfigurationError at once if the file cannot be written: after the run it would be too late.
    """
    if path is None:
        yield
        return
    _require_writable(path)
    try:
        yield
    except ClvError as error:
        fields = {key: value for key, value in error_fields(error).items() if key not in ("level", "logger")}
        _write(path, _failed(as_of, journal, error.exit_code, {**fields, "text": str(error)}))
        raise
    except Exception as error:
        crash = {"error": type(error).__name__, "msg": next(iter(str(error).splitlines()), "")}
        _write(path, _failed(as_of, journal, CRASH_EXIT_CODE, crash))
        raise


def write_finished(path: str, outcome: Outcome, headline: Mapping[str, Any]) -> None:
    """Write how a run ended that published, or had nothing to do."""
    warned = outcome.verdict.warnings if outcome.verdict else ()
    _write(
        path,
        {
            "status": outcome.status,
            "exit_code": SUCCESS_EXIT_CODE,
            "code_version": code_version(),
            "run_id": outcome.run.run_id,
            "as_of": outcome.run.as_of.isoformat(),
            "snapshot": outcome.publication.snapshot_id,
            "previous_snapshot": outcome.publication.previous_snapshot_id,
            "sequence": outcome.publication.sequence,
            "config_hash": outcome.run.config_hash,
            "input_versions": dict(outcome.run.input_versions),
            "silver_versions": dict(outcome.publication.silver_versions),
            "steps": [
                {"name": step.name, "seconds": round(step.seconds, 1), "rows": dict(step.rows)}
                for step in outcome.progress.steps
            ],
            "notes": list(outcome.progress.notes),
            "warnings": [
                {"expectation": one.expectation.label, "observed": one.expectation.observed_value} for one in warned
            ],
            "headline": dict(headline),
            "error": None,
        },
    )


def _failed(as_of: dt.date, journal: Journal, exit_code: int, error: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "status": "failed",
        "exit_code": exit_code,
        "code_version": code_version(),
        "run_id": journal.run_id,
        "as_of": as_of.isoformat(),
        "snapshot": None,
        "failed_step": journal.last_step,
        "steps": [{"name": name, "seconds": seconds} for name, seconds in journal.seconds().items()],
        "error": dict(error),
    }


def _require_writable(path: str) -> None:
    try:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with Path(path).open("a", encoding="utf-8"):
            pass
    except OSError as error:
        raise ConfigurationError(
            "the summary file cannot be written", where=f"--summary-json {path}", found=error.strerror or str(error)
        ) from error


def _write(path: str, content: Mapping[str, Any]) -> None:
    Path(path).write_text(json_text(content) + "\n", encoding="utf-8")
