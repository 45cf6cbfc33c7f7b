"""Users' source tables: pinned to a version when a run begins, and read at that version."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clv_lib.errors import ContractError
from clv_lib.lake.reporting import MISSING_CONNECTOR, first_line
from clv_lib.lake.tables import absolute
from clv_lib.settings.sources import Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@dataclass(frozen=True)
class PinnedSource:
    """A source at one version: a Delta version, or for files a fingerprint of their names, sizes and times."""

    name: str
    source: Source
    version: str


def pin_source(spark: SparkSession, name: str, source: Source) -> PinnedSource:
    """Find the version of a source that exists now. ContractError if it cannot be opened."""
    try:
        if source.format == "delta":
            reference = f"delta.`{absolute(source.table)}`" if source.is_path else source.table
            row = spark.sql(f"DESCRIBE HISTORY {reference} LIMIT 1").collect()[0]
            return PinnedSource(name, source, str(row["version"]))
        return PinnedSource(name, source, _fingerprint(_load(spark, source)))
    except Exception as error:
        raise _cannot_open(name, source, error) from error


def read_source(spark: SparkSession, pinned: PinnedSource) -> DataFrame:
    """The source's own rows at the pinned version, through its filter. ContractError if they cannot be read."""
    source = pinned.source
    try:
        frame = _load(spark, source, pinned.version if source.format == "delta" else None)
        return frame.where(source.filter) if source.filter else frame
    except Exception as error:
        raise _cannot_open(pinned.name, source, error) from error


def _load(spark: SparkSession, source: Source, version: str | None = None) -> DataFrame:
    reader = spark.read.format(source.format)
    if version is not None:
        reader = reader.option("versionAsOf", version)
    if source.format == "csv":
        return _load_csv(spark, source)
    reader = reader.options(**source.options)
    return reader.load(absolute(source.table)) if source.is_path else reader.table(source.table)


def _load_csv(spark: SparkSession, source: Source) -> DataFrame:
    """CSV has no zones: its times are inferred as local ones, so that the reporting zone applies, not the session's.

    They are inferred in a session of its own, because the setting that does it concerns every plan of a session. A
    quote within quotes is doubled, as RFC 4180 has it; Spark alone expects a backslash.
    """
    options = {"header": "true", "inferSchema": "true", "escape": '"', **source.options}
    apart = spark.newSession()
    apart.conf.set("spark.sql.timestampType", "TIMESTAMP_NTZ")
    schema = apart.read.format("csv").options(**options).load(absolute(source.table)).schema
    return spark.read.format("csv").options(**options).schema(schema).load(absolute(source.table))


def _fingerprint(frame: DataFrame) -> str:
    files = frame.select("_metadata.file_path", "_metadata.file_size", "_metadata.file_modification_time").distinct()
    listed = sorted((row[0], row[1], str(row[2])) for row in files.collect())
    if not listed:
        raise FileNotFoundError("no file with rows")
    return hashlib.sha256(repr(listed).encode()).hexdigest()[:16]


def _cannot_open(name: str, source: Source, error: Exception) -> ContractError:
    if isinstance(error, ContractError):
        return error
    text = str(error)
    if "versionAsOf" in text or "DELTA_VERSION_NOT_FOUND" in text or "time travel" in text.lower():
        step = "the version that this run had read is gone; start a new run"
    elif "DELTA_MISSING_DELTA_TABLE" in text or "is not a Delta table" in text:
        step = f"check sources.{name}.table, and set sources.{name}.format where files of parquet or csv lie there"
    elif "UNRESOLVED_COLUMN" in text or "PARSE_SYNTAX_ERROR" in text:
        step = f"correct sources.{name}.filter: it is SQL over the source's own columns"
    elif isinstance(error, FileNotFoundError):
        step = "the file is empty or the folder holds no file of this format: put rows there, or name another place"
    elif "No FileSystem for scheme" in text or "FileSystem not found" in text:
        step = MISSING_CONNECTOR
    else:
        step = f"check sources.{name}.table and the rights of this user; `clv doctor` shows what opens"
    return ContractError(
        f"the source {name} cannot be opened",
        where=f"sources.{name}: {source.table} ({source.format})",
        expected="a table or folder that exists and that this user may read",
        found=first_line(text),
        next_step=step,
    )
