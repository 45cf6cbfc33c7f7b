"""Tables of the lake by their contract: where they lie, and making, writing, reading and thinning them out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from clv_lib.contracts.types import Table
from clv_lib.errors import LakeError
from clv_lib.lake import versions
from clv_lib.lake.reporting import conflict, reported
from clv_lib.lake.statements import SNAPSHOT_COLUMN, create_statement, selecting, stored_schema

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

_SNAPSHOT_ID = re.compile(r"[A-Za-z0-9._-]{1,128}\Z")


class Lake:
    """A lake at a path or URI (`/data/clv`, `s3a://...`), or in a catalog (`schema`, `catalog.schema`).

    By path a table lies at `<root>/<layer>/<table>`. In a catalog tables lie in the schema with `_internal` behind its
    name, and the schema itself holds the views that readers use.
    """

    def __init__(self, spark: SparkSession, root: str, *, is_path: bool) -> None:
        """Keep the session and the place; nothing is read or made yet."""
        self.spark = spark
        self.root = absolute(root).rstrip("/") if is_path else root
        self.is_path = is_path

    def place(self, table: Table) -> str:
        """Path or dotted name of the table, for messages and other engines."""
        if self.is_path:
            return f"{self.root}/{table.layer}/{table.name}"
        return f"{self.root}_internal.{table.name}"

    def reference(self, table: Table) -> str:
        """The table as SQL names it."""
        if self.is_path:
            return f"delta.`{self.place(table)}`"
        return ".".join(f"`{part}`" for part in self.place(table).split("."))

    def exists(self, table: Table) -> bool:
        """Whether the table has been made."""
        from delta.tables import DeltaTable

        if self.is_path:
            return bool(DeltaTable.isDeltaTable(self.spark, self.place(table)))
        return bool(self.spark.catalog.tableExists(self.place(table)))

    def ensure(self, table: Table) -> bool:
        """Make the table by its contract, or add the columns that the contract has gained since it was made.

        Returns whether it was made, and so holds nothing.
        """
        with reported(self.place(table), "made"):
            if not self.exists(table):
                self._ensure_schema()
                self.spark.sql(create_statement(table, self.reference(table)))
                return True
            stored = {field.name: field.dataType.simpleString() for field in self._read(table).schema.fields}
            declared = stored_schema(table)
            retyped = [
                f"{name}: {stored[name]}, now {kind}"
                for name, kind in declared.items()
                if stored.get(name, kind) != kind
            ]
            if retyped:
                raise LakeError(
                    "a stored table has columns of other types than this version of clv writes",
                    where=self.place(table),
                    expected="the types of the contract",
                    found="; ".join(retyped),
                    next_step="point `lake` at a new place, or remove this table, and run again",
                )
            added = [f"`{name}` {kind}" for name, kind in declared.items() if name not in stored]
            if added:
                self.spark.sql(f"ALTER TABLE {self.reference(table)} ADD COLUMNS ({', '.join(added)})")
            return False

    def write_snapshot(self, table: Table, frame: DataFrame, snapshot_id: str) -> int | None:
        """Replace the table's rows of one snapshot by the frame's; other snapshots stay.

        Returns the number of rows for people to see, None where nobody counted them; what is checked is counted from
        the stored table.
        """
        from pyspark.sql import functions as F

        is_new = self.ensure(table)
        rows = conform(frame, table).withColumn(SNAPSHOT_COLUMN, F.lit(checked_snapshot_id(snapshot_id)))
        with reported(self.place(table), "written"):
            replaced = f"{SNAPSHOT_COLUMN} = '{snapshot_id}'"
            return self._save(table, rows, {"replaceWhere": replaced, "userMetadata": snapshot_id}, is_new=is_new)

    def write_rows(self, table: Table, frame: DataFrame, where: str) -> None:
        """Replace the rows that a predicate on partition columns selects; the frame holds only such rows."""
        is_new = self.ensure(table)
        with reported(self.place(table), "written"):
            self._save(table, conform(frame, table), {"replaceWhere": where}, is_new=is_new)

    def write_state(self, table: Table, frame: DataFrame, run_id: str) -> tuple[int, int | None]:
        """Replace a silver table in one commit; returns its version and rows. Older versions stay readable.

        ConflictError if another run writes to a table that this one made, since its rows would be among those written.
        """
        is_new = self.ensure(table)
        with reported(self.place(table), "written"):
            rows = self._save(
                table, conform(frame, table), {"userMetadata": checked_snapshot_id(run_id)}, is_new=is_new
            )
            version = self._commit_of(table, run_id)[0]
            if is_new and version > 1:
                raise conflict(self.place(table), f"version {version}", "the first rows of a new table")
            return version, rows

    def replace_in_state(
        self, table: Table, frame: DataFrame, partitions: Iterable[Row], run_id: str, base_version: int
    ) -> tuple[int, int | None]:
        """Replace some partitions of a silver table, as in `selecting`; the rest is as in `base_version`.

        If a run wrote to the table since, it is set back first. ConflictError if another run writes meanwhile, since
        its partitions would then be taken for those of the base. Returns the version and the rows written.
        """
        self.ensure(table)
        with reported(self.place(table), "written"):
            read = self._set_back(table, base_version)
            chosen = {"replaceWhere": selecting(table, partitions), "userMetadata": checked_snapshot_id(run_id)}
            rows = self._save(table, conform(frame, table), chosen)
            written = self._latest(table)
            if (written["userMetadata"], written["readVersion"], written["version"]) != (run_id, read, read + 1):
                found = f"version {written['version']} written by {written['userMetadata'] or 'someone else'}"
                raise conflict(self.place(table), found, f"version {read + 1} written by run {run_id}")
            return int(written["version"]), rows

    def _set_back(self, table: Table, version: int) -> int:
        """The newest version; it holds the rows of the given one, to which the table is set back if need be."""
        same, newest = versions.same_rows_until(self.spark, self.reference(table), version)
        if same == newest:
            return newest
        self.spark.sql(f"RESTORE TABLE {self.reference(table)} TO VERSION AS OF {same}").collect()
        # Also the table's properties are those of that version again.
        versions.outlive_a_run(self.spark, self.reference(table), version)
        return int(self._latest(table)["version"])

    def _latest(self, table: Table) -> Row:
        return self.spark.sql(f"DESCRIBE HISTORY {self.reference(table)} LIMIT 1").collect()[0]

    def read_snapshot(self, table: Table, snapshot_id: str) -> DataFrame:
        """The rows of one snapshot with the contract's columns.

        Rows of groups are read by one task: to add up so few Spark then needs no shuffle, and one job for several.
        """
        from pyspark.sql import functions as F

        with reported(self.place(table), "read"):
            of_run = self._read(table).where(F.col(SNAPSHOT_COLUMN) == checked_snapshot_id(snapshot_id))
            rows = of_run.select(*table.columns)
            return rows.coalesce(1) if table.is_of_groups else rows

    def read_state(self, table: Table, version: int) -> DataFrame:
        """A silver table as of one version."""
        with reported(self.place(table), "read"):
            return self._read(table, version).select(*table.columns)

    def read_rows(self, table: Table) -> DataFrame:
        """Every row of a control table."""
        with reported(self.place(table), "read"):
            return self._read(table).select(*table.columns)

    def snapshots(self, table: Table) -> set[str]:
        """Snapshots of which the table holds rows."""
        with reported(self.place(table), "read"):
            return {row[0] for row in self._read(table).select(SNAPSHOT_COLUMN).distinct().collect()}

    def drop_snapshots(self, table: Table, snapshot_ids: set[str]) -> None:
        """Delete whole snapshots (partitions); their files stay until a VACUUM."""
        if snapshot_ids:
            listed = ", ".join(f"'{checked_snapshot_id(name)}'" for name in sorted(snapshot_ids))
            with reported(self.place(table), "thinned out"):
                self.spark.sql(f"DELETE FROM {self.reference(table)} WHERE {SNAPSHOT_COLUMN} IN ({listed})")

    def _read(self, table: Table, version: int | None = None) -> DataFrame:
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.place(table)) if self.is_path else reader.table(self.place(table))

    def _save(self, table: Table, rows: DataFrame, options: Mapping[str, str], *, is_new: bool = False) -> int | None:
        """Write, and count the rows on their way, since to ask Delta's history for their number takes jobs of its own.

        For a table in a catalog it is asked: Spark plans such a write anew and loses what was observed. To a new table
        the rows are added: to replace some, Delta first lists the files of the table, with two jobs.
        """
        from pyspark.sql import Observation
        from pyspark.sql import functions as F

        how = {"format": "delta", "mode": "overwrite", **options}
        if is_new:
            how["mode"] = "append"
            how.pop("replaceWhere", None)
        if not self.is_path:
            rows.write.saveAsTable(self.place(table), **how)
            return self._commit_of(table, options.get("userMetadata"))[1]
        counted = Observation()
        rows.observe(counted, F.count(F.lit(1)).alias("rows")).write.save(self.place(table), **how)
        return int(counted.get["rows"])

    def _commit_of(self, table: Table, run_id: str | None) -> tuple[int, int | None]:
        """Version and number of rows of the latest commit that a run made; None: without statistics of files.

        It nearly always is the last one; each commit that is looked at is a file of the log that is read. Delta
        commits nothing where no rows replace no rows; what the run wrote is then the latest version.
        """
        for looked_at in (1, 50):
            history = self.spark.sql(f"DESCRIBE HISTORY {self.reference(table)} LIMIT {looked_at}").collect()
            latest_first = sorted(history, key=lambda row: int(row["version"]), reverse=True)
            own = next((row for row in latest_first if row["userMetadata"] == run_id), None)
            if own is not None:
                rows = own["operationMetrics"].get("numOutputRows")
                return int(own["version"]), None if rows is None else int(rows)
        return int(latest_first[0]["version"]), 0

    def _ensure_schema(self) -> None:
        if not self.is_path:
            for schema in (self.root, f"{self.root}_internal"):
                quoted = ".".join(f"`{part}`" for part in schema.split("."))
                self.spark.sql(f"CREATE SCHEMA IF NOT EXISTS {quoted}")


def absolute(path: str) -> str:
    """A local path in full, since Delta's SQL finds no relative one; a URI as it is."""
    return path if "://" in path else str(Path(path.removeprefix("file:")).resolve())


def conform(frame: DataFrame, table: Table) -> DataFrame:
    """The contract's columns in their order, cast to the contract's types."""
    from pyspark.sql import functions as F

    return frame.select(*(F.col(name).cast(kind).alias(name) for name, kind in table.schema.items()))


def checked_snapshot_id(snapshot_id: str) -> str:
    """The id itself if it is safe inside SQL text and paths, else LakeError."""
    if not _SNAPSHOT_ID.match(snapshot_id):
        raise LakeError(
            "this is not the id of a run or snapshot",
            expected="letters, digits, '.', '_' and '-'",
            found=repr(snapshot_id),
            next_step="`clv runs` lists the runs",
        )
    return snapshot_id
