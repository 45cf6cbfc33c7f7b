"""The Spark configuration of a session as plain values: what is fixed, what is a default, what a laptop needs.

Pure functions without pyspark; `clv_lib.session` applies what they return.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from clv_lib import jars
from clv_lib.errors import ConfigurationError, Fault

DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
DELTA_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
EXTENSIONS = "spark.sql.extensions"
DEFAULT_MASTER = "local[*]"

# Results depend on these, so a configuration may not say otherwise. The checksum makes a flipped bit in a
# Parquet page an error; without it most such bits are read as wrong numbers.
FIXED_CONF: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.files.ignoreCorruptFiles": "false",
    "spark.sql.files.ignoreMissingFiles": "false",
    "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
}
# The catalog may be replaced by one that knows Delta too, such as Unity Catalog's.
DEFAULT_CONF: Mapping[str, str] = {
    "spark.sql.catalog.spark_catalog": DELTA_CATALOG,
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Frames are kept on disk for two or three uses: to look for the best compression of each column takes longer than
    # to compress all of them at once.
    "spark.sql.inMemoryColumnarStorage.compressed": "false",
    "spark.rdd.compress": "true",
    # Both note for each column expression on which line of Python it was written, for Spark's messages alone. Python
    # asks the JVM six times for it instead of once, and the JVM takes a stack trace; a run builds some ten thousand.
    "spark.python.sql.dataFrameDebugging.enabled": "false",
    "spark.sql.dataFrameQueryContext.enabled": "false",
}
# Spark's defaults are for clusters: 200 shuffle partitions, 50 for a Delta log and 10,000 listing tasks make ten
# rows take a minute on two cores. A log of a few hundred files is one task.
LOCAL_CONF: Mapping[str, str] = {
    "spark.ui.enabled": "false",
    # Kept for a UI that nobody sees, the plans of a thousand queries fill hundreds of megabytes.
    "spark.sql.ui.retainedExecutions": "5",
    "spark.ui.retainedJobs": "20",
    "spark.ui.retainedStages": "20",
    "spark.ui.retainedTasks": "200",
    "spark.ui.showConsoleProgress": "false",
    # The text of each plan is for the UI, too; this form is written in one pass.
    "spark.sql.ui.explainMode": "simple",
    "spark.log.level": "ERROR",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.shuffle.partitions": "4",
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "4",
}

_GIB = 1024**3


def is_local(master: str) -> bool:
    """Whether the workers run on the driver's machine."""
    return master == "local" or master.startswith(("local[", "local-cluster["))


def session_conf(user: Mapping[str, str], *, master: str, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """The Spark configuration of a session.

    From weak to strong: our defaults, what spark-submit was `given`, the `spark:` section of the configuration
    (`user`), and FIXED_CONF. The Delta extension is added to extensions that are there already.
    Raises ConfigurationError with every entry of `user` that contradicts FIXED_CONF.
    """
    refuse_contradictions(user)
    given = given or {}
    defaults = {**DEFAULT_CONF, **(LOCAL_CONF if is_local(master) else {})}
    conf = {**defaults, **{key: given[key] for key in defaults if key in given}, **user, **FIXED_CONF}
    conf[EXTENSIONS] = _joined(user.get(EXTENSIONS) or given.get(EXTENSIONS, ""), DELTA_EXTENSION)
    return conf


def default_driver_memory(total_bytes: int) -> str:
    """A third of the machine's memory in whole GiB, from 1 to 8."""
    return f"{min(8, max(1, total_bytes // 3 // _GIB))}g"


def with_delta_jars(conf: Mapping[str, str], folder: Path, spark_version: str, delta_version: str) -> dict[str, str]:
    """Add Delta to the class path: the two files of `folder` if they are there, else the package to resolve."""
    paths = jars.local_jars(folder, spark_version, delta_version)
    if paths:
        key, value = "spark.jars", ",".join(str(path.resolve()) for path in paths)
    else:
        key, value = "spark.jars.packages", jars.delta_package(spark_version, delta_version)
    return {**conf, key: _joined(conf.get(key, ""), value)}


def machine_memory() -> int:
    """Physical memory in bytes, 0 where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return 0


def refuse_contradictions(user: Mapping[str, str]) -> None:
    """ConfigurationError with every entry that contradicts FIXED_CONF."""
    faults = [
        Fault(f"{key} cannot be changed", where=f"spark: {key}", expected=value, found=user[key])
        for key, value in FIXED_CONF.items()
        if key in user and user[key].casefold() != value.casefold()
    ]
    if faults:
        raise ConfigurationError(
            "the Spark settings contradict what the results depend on",
            faults=faults,
            next_step="remove these lines from the spark section",
        )


def _joined(listed: str, addition: str) -> str:
    """A comma list with `addition` at its end, once."""
    entries = [entry.strip() for entry in listed.split(",") if entry.strip()]
    return ",".join([*(entry for entry in entries if entry != addition), addition])
