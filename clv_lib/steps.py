"""The steps of a run; a module without Spark, since the command line names them before it starts any."""

from __future__ import annotations

STEPS: tuple[str, ...] = (
    "intake",
    "customers",
    "segments",
    "predictions",
    "experiments",
    "economics",
    "recurring",
    "audit",
    "publish",
)
"""The steps in their order; each reads what the ones before have stored."""
