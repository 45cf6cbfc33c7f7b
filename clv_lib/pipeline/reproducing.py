"""A recorded run computed again, from the versions of its inputs, in a lake of its own, and compared table by table."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clv_lib.contracts import PUBLISHED_TABLES
from clv_lib.contracts.control import AUDIT_TABLES
from clv_lib.errors import ConfigurationError, ContractError
from clv_lib.lake import PinnedSource, pin_source
from clv_lib.pipeline import compute, open_lake
from clv_lib.pipeline.comparing import compare
from clv_lib.pipeline.progress import Progress
from clv_lib.pipeline.workspace import Workspace
from clv_lib.runs import new_run, require_stored
from clv_lib.settings import load_settings
from clv_lib.steps import STEPS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.contracts.types import Table
    from clv_lib.pipeline import Clock
    from clv_lib.quality.comparison import Comparison
    from clv_lib.settings import Settings

COMPARED_TABLES: tuple[Table, ...] = tuple(table for table in PUBLISHED_TABLES if table not in AUDIT_TABLES)
_COMPUTED_STEPS = tuple(name for name in STEPS if name not in ("audit", "publish"))


def recorded_settings(configuration: str, now: Settings) -> Settings:
    """The settings of a recorded run; where it is computed, and how sources are opened, is taken from those of today.

    ConfigurationError if this version of clv does not understand them any more.
    """
    recorded = json.loads(configuration)
    for name, source in now.sources.configured().items():
        if recorded["sources"].get(name):
            recorded["sources"][name]["options"] = dict(source.options)
    recorded |= {"lake": now.lake, "spark": dict(now.spark)}
    try:
        return load_settings("the recorded configuration", text=json.dumps(recorded)).settings
    except ConfigurationError as error:
        raise ConfigurationError(
            "this version of clv cannot use the configuration of the run",
            faults=error.faults,
            next_step="reproduce it with the version of clv that computed it: `clv runs` shows code_version",
        ) from error


def reproduce(spark: SparkSession, settings: Settings, recorded: Any, place: str, clock: Clock) -> list[Comparison]:
    """Compute a run again in the lake at `place`, and compare each published table but the audit's.

    `recorded` is its row of `pipeline_runs`, `settings` are those of today. ContractError if a source has no longer the
    version that the run read, LakeError if the tables that the run wrote are gone.
    """
    then = recorded_settings(recorded["configuration"], settings)
    lake = open_lake(spark, settings)
    require_stored(lake, recorded["run_id"], dict(recorded["silver_versions"]))
    again = then.model_copy(update={"lake": place})
    sources = _pinned_again(spark, then, dict(recorded["input_versions"]))
    run = new_run(then, recorded["as_of_date"], recorded["input_versions"], clock())
    run = replace(run, run_id=recorded["run_id"])  # also that of a rebuild, or of another version of clv
    work = Workspace(open_lake(spark, again), again, run, sources, Progress(run.run_id))
    for name in _COMPUTED_STEPS:
        with work.progress.step(name):
            work, _ = compute(work, name, clock)
    wrote = replace(run, silver_versions=dict(recorded["silver_versions"]), value_basis=None)
    before = replace(work, lake=lake, run=wrote)
    return compare(before, work, COMPARED_TABLES)


def _pinned_again(spark: SparkSession, settings: Settings, versions: dict[str, str]) -> dict[str, PinnedSource]:
    """The sources at the versions that the run read; files have no older versions than the present one."""
    pinned = {}
    for name, source in settings.sources.configured().items():
        if source.format != "delta":
            found = pin_source(spark, name, source).version
            if found != versions[name]:
                raise ContractError(
                    f"the files of the source {name} are not those that the run read",
                    where=f"sources.{name}: {source.table} ({source.format})",
                    expected=f"fingerprint {versions[name]}",
                    found=f"fingerprint {found}",
                    next_step="put the files of that day back; only Delta sources keep older versions",
                )
        pinned[name] = PinnedSource(name, source, versions[name])
    return pinned
