"""Every table that the job reads or writes, declared once: schema, checks and documentation derive from it."""

from __future__ import annotations

from clv_lib.contracts.gold import (
    CUSTOMER_TABLES,
    DATA_QUALITY_RESULTS,
    ECONOMICS_TABLES,
    PIPELINE_RUNS,
    PREDICTION_TABLES,
    PUBLISHED,
    SEGMENT_TABLES,
)
from clv_lib.contracts.silver import INTAKE_TABLES, SILVER_TABLES
from clv_lib.contracts.types import Table

GOLD_TABLES: tuple[Table, ...] = (
    *INTAKE_TABLES,
    *CUSTOMER_TABLES,
    *SEGMENT_TABLES,
    *PREDICTION_TABLES,
    *ECONOMICS_TABLES,
    DATA_QUALITY_RESULTS,
)
CONTROL_TABLES: tuple[Table, ...] = (PIPELINE_RUNS, PUBLISHED)
TABLES: dict[str, Table] = {table.name: table for table in (*SILVER_TABLES, *GOLD_TABLES, *CONTROL_TABLES)}
PUBLISHED_TABLES: tuple[Table, ...] = (*SILVER_TABLES, *GOLD_TABLES)

__all__ = ["CONTROL_TABLES", "GOLD_TABLES", "PUBLISHED_TABLES", "SILVER_TABLES", "TABLES"]
