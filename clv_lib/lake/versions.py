"""Versions of a stored table: which hold the same rows, and for how long they can be read.

Delta refuses to read a version that is not the newest and older than the table's retention, and VACUUM deletes what is
older than it. Each commit, also one that changes no row, makes the newest version an older one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.settings.silver import SILVER_RETENTION_DAYS

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

_FILES_KEPT, _LOG_KEPT = "delta.deletedFileRetentionDuration", "delta.logRetentionDuration"
_DELTA_DEFAULT = "interval 1 week"
_SLACK_DAYS = 7
_SAME_ROWS = {"OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES"}


def same_rows_until(spark: SparkSession, table: str, version: int) -> tuple[int, int]:
    """The last version up to which commits only filed the rows of the given one otherwise, and the newest version.

    `table` is, here and below, the table as SQL names it.
    """
    commits = {commit["version"]: commit["operation"] for commit in _commits(spark, table, version)}
    last = version
    while commits.get(last + 1) in _SAME_ROWS:
        last += 1
    return last, max(commits, default=version)


def keep_readable(spark: SparkSession, table: str, versions: Iterable[int], days: int) -> int | None:
    """See to it that versions of a table stay readable whatever is committed next.

    The table keeps removed files and its log for `days`, or longer by as much as the oldest of the versions needs.
    Returns a version for which that cannot be had, None if there is none: it is not the newest and so old that Delta
    may have forgotten which files it needs. Then nothing is changed, and nothing may be deleted.
    """
    named = sorted(set(versions))
    properties = spark.sql(f"DESCRIBE DETAIL {table}").collect()[0]["properties"]
    kept = _days(spark, properties.get(_FILES_KEPT, _DELTA_DEFAULT))
    commits = _commits(spark, table, named[0]) if named else []
    newest = max((commit["version"] for commit in commits), default=0)
    ages = {commit["version"]: commit["age_days"] for commit in commits if commit["version"] in named}
    lost = [version for version in named if version not in ages or (version != newest and ages[version] > kept)]
    if lost:
        return lost[0]
    needed = max(ages.values(), default=0) + _SLACK_DAYS
    enough = kept if needed <= kept else needed + days
    wanted = days if needed <= days else enough
    if wanted != kept:
        # In one commit, since Delta refuses a log that is kept for less long than the files.
        listed = ", ".join(f"'{name}' = 'interval {wanted} days'" for name in (_FILES_KEPT, _LOG_KEPT))
        spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ({listed})")
    return None


def outlive_a_run(spark: SparkSession, table: str, version: int) -> None:
    """See to it that a version of a silver table stays readable although a run writes newer ones.

    As long as it is the newest its age does not matter; a run that is refused leaves it an older one.
    """
    age = max((commit["age_days"] for commit in _commits(spark, table, version)), default=0)
    if age + _SLACK_DAYS > SILVER_RETENTION_DAYS:
        keep_readable(spark, table, [version], SILVER_RETENTION_DAYS)


def _commits(spark: SparkSession, table: str, since: int) -> list[Row]:
    """Commits from a version on, with `age_days`, a started day counted whole. Each is a file of the log to read."""
    age = F.ceil(F.expr("timestampdiff(HOUR, timestamp, current_timestamp())") / 24).cast("int").alias("age_days")

    def latest(count: int) -> list[Row]:
        history = spark.sql(f"DESCRIBE HISTORY {table} LIMIT {count}")
        return history.select("version", "operation", age).collect()

    commits = latest(1)
    missing = commits[0]["version"] - since
    return [commit for commit in (latest(missing + 1) if missing > 0 else commits) if commit["version"] >= since]


def _days(spark: SparkSession, interval: str) -> int:
    """Whole days of an interval as Delta's properties have it, such as `interval 1 week`."""
    moment = "timestamp'2000-01-01'"
    return int(spark.sql(f"SELECT timestampdiff(DAY, {moment}, {moment} + {interval})").collect()[0][0])
