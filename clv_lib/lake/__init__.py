"""The only code that reads and writes Delta: tables of the lake, the published pointer, views, and users' sources."""

from __future__ import annotations

from clv_lib.lake.changes import TableDetail, Untraceable, changes_since, table_detail
from clv_lib.lake.files import differing_partitions, files_by_partition
from clv_lib.lake.pointer import Pointer, Publication
from clv_lib.lake.reporting import reported
from clv_lib.lake.sources import PinnedSource, pin_source, read_source
from clv_lib.lake.statements import selecting
from clv_lib.lake.tables import Lake
from clv_lib.lake.views import as_read, create_catalog_views, register_views, view_statements

__all__ = [
    "Lake",
    "PinnedSource",
    "Pointer",
    "Publication",
    "TableDetail",
    "Untraceable",
    "as_read",
    "changes_since",
    "create_catalog_views",
    "differing_partitions",
    "files_by_partition",
    "pin_source",
    "read_source",
    "register_views",
    "reported",
    "selecting",
    "table_detail",
    "view_statements",
]
