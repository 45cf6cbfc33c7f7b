"""What readers query: a view per published table, over the pointer, in a catalog or in a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from clv_lib.contracts import PUBLISHED_TABLES
from clv_lib.contracts.control import PUBLISHED
from clv_lib.contracts.types import Table
from clv_lib.lake.reporting import reported
from clv_lib.lake.statements import SNAPSHOT_COLUMN

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.lake.pointer import Publication
    from clv_lib.lake.tables import Lake


def view_query(lake: Lake, table: Table, publication: Publication) -> str:
    """SQL that reads the published rows of a table.

    A gold table is filtered by the pointer, so its view never has to change; a silver table is read at the version
    that the publication names.
    """
    columns = ", ".join(_columns(table))
    if table.layer == "silver":
        version = int(publication.silver_versions[table.name])
        return f"SELECT {columns} FROM {lake.reference(table)} VERSION AS OF {version}"
    pointer = f"SELECT {SNAPSHOT_COLUMN} FROM {lake.reference(PUBLISHED)}"
    return f"SELECT {columns} FROM {lake.reference(table)} WHERE {SNAPSHOT_COLUMN} = ({pointer})"


def as_read(stored: DataFrame, table: Table) -> DataFrame:
    """Stored rows of a table with the columns that its view computes."""
    return stored.selectExpr(*_columns(table))


def _columns(table: Table) -> list[str]:
    computed = [f"CAST({field.sql} AS {field.type}) AS `{field.name}`" for field in table.computed_on_read]
    return [*(f"`{name}`" for name in table.columns), *computed]


def register_views(lake: Lake, publication: Publication) -> None:
    """Make a temporary view of every published table in the lake's session, under the table's own name."""
    for table in PUBLISHED_TABLES:
        lake.spark.sql(f"CREATE OR REPLACE TEMPORARY VIEW `{table.name}` AS {view_query(lake, table, publication)}")


def view_statements(lake: Lake, publication: Publication) -> list[str]:
    """CREATE OR REPLACE VIEW statements for the catalog schema of the lake."""
    schema = ".".join(f"`{part}`" for part in lake.root.split("."))
    return [
        f"CREATE OR REPLACE VIEW {schema}.`{table.name}` COMMENT '{table.grain.replace(chr(39), '')}'"
        f" AS {view_query(lake, table, publication)}"
        for table in PUBLISHED_TABLES
    ]


def create_catalog_views(lake: Lake, publication: Publication) -> None:
    """Bring the views of a catalog up to date; a lake by path has none and is left alone."""
    if not lake.is_path:
        with reported(lake.root, "shown as views"):
            for statement in view_statements(lake, publication):
                lake.spark.sql(statement)
