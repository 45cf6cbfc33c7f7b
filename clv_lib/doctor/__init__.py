"""Checks of this machine, the lake and the sources, each with what to do where it fails."""

from __future__ import annotations

import datetime as dt
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from clv_lib.doctor.checks import FAIL, GRAVEST_FIRST, OK, WARN, Check, failed
from clv_lib.errors import SUCCESS_EXIT_CODE, ClvError, ConfigurationError, EnvironmentFault, LakeError
from clv_lib.java import SUPPORTED_TEXT
from clv_lib.session import build_session, describe_environment, launch_of
from clv_lib.settings import Settings, load_settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.session import Environment

__all__ = [
    "FAIL",
    "OK",
    "WARN",
    "Check",
    "clock_check",
    "environment_checks",
    "examine",
    "exit_code_of",
    "failed",
    "guarded",
    "package_check",
]

SUPPORTED_PYTHONS = ((3, 10), (3, 13))
PLAUSIBLE_YEARS = (2025, 2100)
MOST_CLOCK_SECONDS = 300
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


def exit_code_of(checks: Sequence[Check]) -> int:
    """Of the gravest kind that failed: environment, then configuration, then contract; 0 if none failed."""
    failed = {check.exit_code for check in checks if check.status == FAIL}
    return next((code for code in GRAVEST_FIRST if code in failed), SUCCESS_EXIT_CODE)


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

    from clv_lib.doctor.sources import source_check

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
        now = dt.datetime.now(dt.timezone.utc)
        yield clock_check(now, None)
        if settings is not None:
            yield guarded("lake", lambda: _lake(spark, settings))
            for name in settings.sources.configured():
                yield guarded(f"source {name}", partial(source_check, spark, name, settings, now.date()))
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
