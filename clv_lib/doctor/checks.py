"""What a check is, and how an error becomes a failed one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clv_lib.errors import SUCCESS_EXIT_CODE, ClvError, ConfigurationError, ContractError, EnvironmentFault

Status = Literal["ok", "warn", "FAIL"]
OK: Status = "ok"
WARN: Status = "warn"
FAIL: Status = "FAIL"

GRAVEST_FIRST = (EnvironmentFault.exit_code, ConfigurationError.exit_code, ContractError.exit_code)
"""Exit codes of failed checks, of which the first that occurs is that of all."""


@dataclass(frozen=True)
class Check:
    """One line of the report; `exit_code` counts where it failed."""

    status: Status
    what: str
    found: str
    next_step: str = ""
    exit_code: int = SUCCESS_EXIT_CODE


def failed(what: str, error: ClvError) -> Check:
    """A failed check from an error, all of its faults included; a lake that cannot be used is the environment's."""
    known = error.exit_code if error.exit_code in GRAVEST_FIRST else EnvironmentFault.exit_code
    text, next_step = str(error), error.next_step
    if next_step:
        text = text.rpartition("\n  to do:")[0] or text
    return Check(FAIL, what, text, next_step or "see the lines above", known)
