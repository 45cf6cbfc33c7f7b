"""Checks of this machine, the lake and the sources, each with what to do where it fails."""

from __future__ import annotations

import datetime as dt
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from clv_lib.errors import (
    SUCCESS_EXIT_CODE,
    ClvError,
    ConfigurationError,
    ContractError,
    EnvironmentFault,
    LakeError,
)
from clv_lib.java import SUPPORTED_TEXT
from clv_lib.session import build_session, describe_environment, launch_of
from clv_lib.settings import Settings, load_settings

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from clv_lib.session import Environment
    from clv_lib.settings import Source

Status = Literal["ok", "warn", "FAIL"]
OK: Status = "ok"
WARN: Status = "warn"
FAIL: Status = "FAIL"

SUPPORTED_PYTHONS = ((3, 10), (3, 13))
PLAUSIBLE_YEARS = (2025, 2100)
MOST_CLOCK_SECONDS = 300
_ROWS_TO_TRY = 100_000
_MOST_STATUSES = 30

_GRAVEST_FIRST = (EnvironmentFault.exit_code, ConfigurationError.exit_code, ContractError.exit_code)
# Lower bounds and the first version that is too new, as in pyproject.toml.
_PACKAGES = {
    "pyspark": ("4.0", "4.2"),
    "delta-spark": ("4.0", "4.4.1"),
    "great-expectations": ("1.16", "2"),
    "numpy": ("1.26", "3"),
    "pandas": ("2.2", "3"),
    "pyarrow": ("15", ""),
    "pydantic": ("2.7", "3"),
    "scipy": ("1.12", "2"),
}


@dataclass(frozen=True)
class Check:
    """One line of the report; `exit_code` counts where it failed."""

    status: Status
    what: str
    found: str
    next_step: str = ""
    exit_code: int = SUCCESS_EXIT_CODE


def exit_code_of(checks: Sequence[Check]) -> int:
    """Of the gravest kind that failed: environment, then configuration, then contract; 0 if none failed."""
    failed = {check.exit_code for check in checks if check.status == FAIL}
    return next((code for code in _GRAVEST_FIRST if code in failed), SUCCESS_EXIT_CODE)


def examine(config: str | None, overrides: Sequence[str] = ()) -> Iterator[Check]:
    """Every check in its order, each as soon as it is known; raises nothing that a check can say.

    Without a configuration the lake and the sources are left out.
    """
    settings = None
    if config is not None:
        try:
            settings = load_settings(config, overrides, os.environ).settings
            yield Check(OK, "configuration", config)
        except ConfigurationError as error:
            yield failed("configuration", error)
    environment = describe_environment()
    yield from environment_checks(environment)
    if environment.java is None and environment.launch == "python":
        yield Check(WARN, "Spark", "not started, since there is no Java")
        return
    yield from _spark_checks(settings)
    if config is None:
        yield Check(WARN, "lake and sources", "not checked", "clv doctor --config FILE")


def failed(what: str, error: ClvError) -> Check:
    """A failed check from an error, all of its faults included; a lake that cannot be used is the environment's."""
    known = error.exit_code if error.exit_code in _GRAVEST_FIRST else EnvironmentFault.exit_code
    text, next_step = str(error), error.next_step
    if next_step:
        text = text.rpartition("\n  to do:")[0] or text
    return Check(FAIL, what, text, next_step or "see the lines above", known)


def environment_checks(environment: Environment) -> Iterator[Check]:
    """Python, packages, Java and JARs, without starting Spark."""
    yield _python(environment)
    for name, (least, below) in _PACKAGES.items():
        yield package_check(name, environment.packages[name], least, below)
    yield _java(environment)
    yield _jars(environment)
    for note in environment.notes:
        yield Check(WARN, "environment", note, "unset it if Spark behaves strangely")


def package_check(name: str, version: str, least: str, below: str) -> Check:
    """Whether an installed package is there and in its range."""
    wanted = f"{name}>={least}" + (f",<{below}" if below else "")
    if version == "not installed":
        return Check(FAIL, name, version, _install(wanted), EnvironmentFault.exit_code)
    if _numbers(version) < _numbers(least) or (below and _numbers(version) >= _numbers(below)):
        return Check(WARN, name, f"{version}, clv is made for {wanted}", _install(wanted))
    return Check(OK, name, version)


def _install(wanted: str) -> str:
    return f"in a checkout: make setup; elsewhere: pip install '{wanted}'"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())


def _python(environment: Environment) -> Check:
    found = f"{environment.python} ({environment.executable})"
    least, most = SUPPORTED_PYTHONS
    if least <= sys.version_info[:2] <= most:
        return Check(OK, "Python of the driver", found)
    wanted = "use Python 3.10 to 3.13, in a checkout: make setup PYTHON=/path/to/python3.11"
    return Check(FAIL, "Python of the driver", found, wanted, EnvironmentFault.exit_code)


def _java(environment: Environment) -> Check:
    if environment.java is not None:
        java = environment.java
        passed_over = "".join(f"\n{note}" for note in java.notes)
        return Check(OK, "Java", f"{java.version} in {java.home}, from {java.source}{passed_over}")
    if environment.launch != "python":
        return Check(OK, "Java", "that of the running Spark")
    fault = environment.java_fault or EnvironmentFault(f"no Java {SUPPORTED_TEXT} was found")
    return failed("Java", fault)


def _jars(environment: Environment) -> Check:
    if environment.launch != "python":
        return Check(OK, "Delta JARs", f"those of the running Spark ({environment.delta_package} expected)")
    if environment.jar_faults:
        found = "\n".join(environment.jar_faults)
        step = "clv jars fetches them once; until then Spark asks a Maven repository for them at each start"
        return Check(WARN, "Delta JARs", found, step)
    return Check(OK, "Delta JARs", f"{environment.delta_package} in {environment.jars_folder}")


def _spark_checks(settings: Settings | None) -> Iterator[Check]:
    """Everything that needs a running Spark; a session of ours is stopped at the end."""
    from pyspark.sql import SparkSession

    joined = SparkSession.getActiveSession() is not None or launch_of(os.environ) == "platform"
    try:
        spark = build_session("clv-doctor", settings.spark if settings else None)
    except ClvError as error:
        yield failed("Spark", error)
        return
    try:
        yield Check(OK, "Spark", f"{spark.version}, {spark.conf.get('spark.master', '') or 'platform'}")
        yield guarded("Python of the workers", lambda: _workers(spark))
        yield guarded("time zone", lambda: _time_zone(spark, settings))
        yield clock_check(dt.datetime.now(dt.timezone.utc), None)
        if settings is not None:
            yield guarded("lake", lambda: _lake(spark, settings))
            for name, source in settings.sources.configured().items():
                yield guarded(f"source {name}", partial(_source, spark, name, source, settings))
    finally:
        if not joined:
            spark.stop()


def guarded(what: str, check: Callable[[], Check]) -> Check:
    """The check, or a failed one if it raised: a doctor must not die of what he looks for."""
    try:
        return check()
    except ClvError as error:
        return failed(what, error)
    except Exception as error:  # noqa: BLE001 whatever Spark raises is a finding
        from clv_lib.lake.reporting import first_line

        step = "read the lines that Spark printed above"
        return Check(FAIL, what, first_line(str(error)), step, EnvironmentFault.exit_code)


def _workers(spark: SparkSession) -> Check:
    """Run pandas in a worker and compare its Python with the driver's."""
    import pandas as pd

    def versions(batches: Iterable[pd.DataFrame]) -> Iterable[pd.DataFrame]:
        import platform
        import sys

        for batch in batches:
            yield batch.assign(python=platform.python_version(), executable=sys.executable)[["python", "executable"]]

    row = spark.range(1, numPartitions=1).mapInPandas(versions, "python string, executable string").collect()[0]
    found = f"{row['python']} ({row['executable']}), runs pandas"
    if row["python"].split(".")[:2] != [str(part) for part in sys.version_info[:2]]:
        step = "set PYSPARK_PYTHON on the workers to a Python of the driver's version"
        return Check(FAIL, "Python of the workers", found, step, EnvironmentFault.exit_code)
    return Check(OK, "Python of the workers", found)


def _time_zone(spark: SparkSession, settings: Settings | None) -> Check:
    zone = settings.reporting.time_zone if settings else "UTC"
    local = spark.sql(f"SELECT CAST(from_utc_timestamp(timestamp'2024-07-01 12:00:00', '{zone}') AS string)")
    session = spark.conf.get("spark.sql.session.timeZone")
    return Check(OK, "time zone", f"session {session}; noon UTC of 1 July 2024 is {local.collect()[0][0]} in {zone}")


def clock_check(now: dt.datetime, stored_at: float | None) -> Check:
    """A plausible year, and, if a file was just stored, at most 5 minutes between both clocks."""
    first, last = PLAUSIBLE_YEARS
    step = "set the clock of this machine; run times and the order of commits depend on it"
    if not first <= now.year <= last:
        return Check(FAIL, "clock", f"{now:%Y-%m-%d %H:%M} UTC", step, EnvironmentFault.exit_code)
    if stored_at is not None and abs(now.timestamp() - stored_at) > MOST_CLOCK_SECONDS:
        found = (
            f"{now:%Y-%m-%d %H:%M} UTC here, {abs(now.timestamp() - stored_at):.0f} s from that of the lake's storage"
        )
        return Check(FAIL, "clock", found, step, EnvironmentFault.exit_code)
    return Check(OK, "clock", f"{now:%Y-%m-%d %H:%M} UTC")


def _lake(spark: SparkSession, settings: Settings) -> Check:
    """Write, read and remove a tiny table; the storage's clock is checked on the way."""
    from clv_lib.lake import Lake
    from clv_lib.lake.reporting import MISSING_CONNECTOR
    from clv_lib.lake.trial import try_writing

    began = time.monotonic()
    try:
        stored_at = try_writing(Lake(spark, settings.lake, is_path=settings.lake_is_path))
    except LakeError as error:
        if error.next_step == MISSING_CONNECTOR:
            return failed("lake", error)
        step = f"give this user the right to write to {settings.lake}, or point `lake` elsewhere"
        return replace(failed("lake", error), next_step=step)
    clock = clock_check(dt.datetime.now(dt.timezone.utc), stored_at)
    if clock.status != OK:
        return clock
    return Check(
        OK, "lake", f"{settings.lake}: a table was written, read and removed in {time.monotonic() - began:.1f} s"
    )


def _source(spark: SparkSession, name: str, source: Source, settings: Settings) -> Check:
    """Open the source at its version, check it against the contract, and compute its columns of the first rows."""
    from clv_lib.contracts.inputs import CONTRACTS
    from clv_lib.lake import pin_source, read_source
    from clv_lib.lake.failing_columns import failing_columns
    from clv_lib.orders.mapping import contract_expressions

    pinned = pin_source(spark, name, source)
    raw = read_source(spark, pinned)
    offered = contract_expressions(raw, CONTRACTS[name], source.columns)
    what, place = f"source {name}", f"{source.table} ({source.format}, version {pinned.version})"
    if not raw.limit(1).count():
        return Check(WARN, what, f"{place} has no rows", f"check sources.{name}.table and sources.{name}.filter")
    failing = failing_columns(raw.limit(_ROWS_TO_TRY), CONTRACTS[name], source)
    if failing is not None:
        return failed(what, failing)
    absent = [column for column in CONTRACTS[name].columns if column not in offered]
    note = f"; not offered: {', '.join(absent)}" if absent else ""
    if name == "orders" and "order_status" in offered:
        note += f"\n{_order_statuses(raw.limit(_ROWS_TO_TRY), source, settings)}"
    return Check(OK, what, f"{place} fits the contract{note}")


def _order_statuses(raw: DataFrame, source: Source, settings: Settings) -> str:
    """Which statuses of orders count, so that one that should not is seen before its money is in every figure."""
    from pyspark.sql import functions as F

    from clv_lib.contracts.inputs import CONTRACTS
    from clv_lib.orders.disposition import is_cancelled
    from clv_lib.orders.mapping import map_source

    reporting = settings.reporting
    orders = map_source(
        raw, CONTRACTS["orders"], source.columns, currency=reporting.currency, time_zone=reporting.time_zone
    )
    status = F.coalesce("order_status", F.lit("NULL")).alias("status")
    apart = F.coalesce(is_cancelled(settings.orders.exclude_statuses), F.lit(False)).alias("is_apart")
    found = orders.select(status, apart).distinct().orderBy("status").limit(_MOST_STATUSES + 1).collect()

    def listed(is_apart: bool) -> str:
        return ", ".join(row["status"] for row in found[:_MOST_STATUSES] if row["is_apart"] == is_apart) or "none"

    more = " (there are more)" if len(found) > _MOST_STATUSES else ""
    return (
        f"order_status in its first {_ROWS_TO_TRY:,} rows{more}: {listed(False)} count;"
        f" {listed(True)} kept apart (orders.exclude_statuses)"
    )
