"""Which rows of a source changed between two of its versions, read without reading the rest."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pyspark.sql import functions as F

from clv_lib.lake.reporting import first_line, reported
from clv_lib.lake.sources import PinnedSource, read_source
from clv_lib.lake.tables import absolute

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_FEED = "delta.enableChangeDataFeed"
_NO_FEED = "DELTA_MISSING_CHANGE_DATA"
_MAPPING = "delta.columnMapping.mode"
_GLOB = set("{}[]*?\\")
_ACTIONS = (
    "add struct<path string, dataChange boolean, deletionVector struct<storageType string>>,"
    " remove struct<path string, dataChange boolean, deletionVector struct<storageType string>>"
)


class Untraceable(Exception):
    """It cannot be told what changed in a source; the text is the reason, for the log."""


@dataclass(frozen=True)
class Changes:
    """The source's own rows, through its filter, that were added and removed. A row may be in both: then it stayed."""

    added: DataFrame
    removed: DataFrame


@dataclass(frozen=True)
class TableDetail:
    """What Delta says of a table: an id that a table made anew does not share, where it lies, how it is kept."""

    table_id: str
    location: str
    partition_columns: tuple[str, ...]
    properties: dict[str, str]


def table_detail(spark: SparkSession, pinned: PinnedSource) -> TableDetail:
    """The detail of a source that is a Delta table."""
    source = pinned.source
    reference = f"delta.`{absolute(source.table)}`" if source.is_path else source.table
    with reported(source.table, "described"):
        row = spark.sql(f"DESCRIBE DETAIL {reference}").collect()[0]
    return TableDetail(row["id"], unquote(row["location"]), tuple(row["partitionColumns"]), dict(row["properties"]))


def changes_since(spark: SparkSession, pinned: PinnedSource, version: str, table: TableDetail) -> Changes:
    """Rows of a table that were added and removed from an earlier version to the pinned one.

    By the change feed if it was on all the time, else by the commits of the log. Untraceable where neither tells.
    """
    try:
        before, now = (read_source(spark, replace(pinned, version=one)) for one in (version, pinned.version))
        if before.schema != now.schema:
            raise Untraceable(f"{pinned.name} has other columns than in version {version}")
        if "map<" in now.schema.simpleString():
            raise Untraceable(f"{pinned.name} has a column of type map, whose rows cannot be compared")
        feed = _from_feed(spark, pinned, int(version)) if table.properties.get(_FEED) == "true" else None
        return _from_files(spark, pinned, int(version), table) if feed is None else feed
    except Untraceable:
        raise
    except Exception as error:
        text = first_line(str(error))
        raise Untraceable(f"the history of {pinned.name} since version {version} cannot be read: {text}") from error


def _from_feed(spark: SparkSession, pinned: PinnedSource, version: int) -> Changes | None:
    """What the feed says; None if it was switched on later than the version."""
    source = pinned.source
    options = {"readChangeFeed": "true", "startingVersion": str(version + 1), "endingVersion": pinned.version}
    reader = spark.read.format("delta").options(**options)
    feed = reader.load(absolute(source.table)) if source.is_path else reader.table(source.table)
    try:
        feed.select("_commit_version").limit(1).collect()
    except Exception as error:
        if _NO_FEED not in str(error):
            raise
        return None
    rows = feed.where(source.filter) if source.filter else feed
    added = F.col("_change_type").isin("insert", "update_postimage")
    removed = F.col("_change_type").isin("delete", "update_preimage")
    own = [name for name in feed.columns if name not in ("_change_type", "_commit_version", "_commit_timestamp")]
    quoted = [f"`{name}`" for name in own]
    return Changes(rows.where(added).select(*quoted), rows.where(removed).select(*quoted))


def _from_files(spark: SparkSession, pinned: PinnedSource, version: int, detail: TableDetail) -> Changes:
    """The added and removed files of the commits hold every changed row, beside rows that were only copied."""
    if detail.properties.get(_MAPPING, "none") != "none":
        raise Untraceable(f"{pinned.name} maps columns; set {_FEED} to true on it")
    commits = [f"{detail.location}/_delta_log/{n:020d}.json" for n in range(version + 1, int(pinned.version) + 1)]
    files: Counter[str] = Counter()
    for row in spark.read.schema(_ACTIONS).json(commits).collect():
        for action, sign in ((row["add"], 1), (row["remove"], -1)):
            if action is None or not action["dataChange"]:
                continue
            if action["deletionVector"] is not None:
                raise Untraceable(f"{pinned.name} has deletion vectors; set {_FEED} to true on it")
            files[_path(pinned, action["path"], detail)] += sign
    added = sorted(path for path, count in files.items() if count > 0)
    removed = sorted(path for path, count in files.items() if count < 0)
    return Changes(_rows_of(spark, pinned, added, detail), _rows_of(spark, pinned, removed, detail))


def _path(pinned: PinnedSource, path: str, detail: TableDetail) -> str:
    """Full path of a data file; its partition is read from the path, so it must stand there."""
    relative = unquote(path)
    in_partition = all(f"{name}=" in relative for name in detail.partition_columns)
    if "://" in relative or relative.startswith("/") or _GLOB & set(relative) or not in_partition:
        raise Untraceable(f"{pinned.name} has files outside of its own folders; set {_FEED} to true on it")
    return f"{detail.location}/{relative}"


def _rows_of(spark: SparkSession, pinned: PinnedSource, paths: list[str], detail: TableDetail) -> DataFrame:
    table = read_source(spark, replace(pinned, source=pinned.source.model_copy(update={"filter": None})))
    if paths:
        reader = spark.read.schema(table.schema).option("basePath", detail.location)
        rows = reader.parquet(*paths).select(*(f"`{name}`" for name in table.columns))
    else:
        rows = table.limit(0)
    return rows.where(pinned.source.filter) if pinned.source.filter else rows
