"""Every table that the job reads or writes, declared once: schema, checks and documentation derive from it."""

from __future__ import annotations

from clv_lib.contracts.accuracy import (
    PREDICTION_ACCURACY,
    PREDICTION_CALIBRATION,
    PREDICTION_GROUPINGS,
    PREDICTION_TRACKING,
)
from clv_lib.contracts.acquisition_costs import ACQUISITION_COSTS
from clv_lib.contracts.acquisitions import ACQUISITION_CREDITS
from clv_lib.contracts.budgets import MARKETING_BUDGETS, RETENTION_BUDGETS
from clv_lib.contracts.catalogue import METRIC_DEFINITIONS
from clv_lib.contracts.churn import CHURN_REASONS, CUSTOMER_SURVIVAL, ORDER_GAPS, SEGMENT_CHURN
from clv_lib.contracts.cohorts import COHORT_METRICS
from clv_lib.contracts.concentration import SEGMENT_CONCENTRATION
from clv_lib.contracts.contract_retention import CONTRACT_RETENTION
from clv_lib.contracts.control import AUDIT_TABLES, PIPELINE_RUNS, PUBLISHED
from clv_lib.contracts.customers import CUSTOMER_METRICS, CUSTOMER_RFM, RFM_SEGMENT_RULES, RFM_THRESHOLDS
from clv_lib.contracts.economics import UNIT_ECONOMICS
from clv_lib.contracts.experiments import EXPERIMENT_RESULTS
from clv_lib.contracts.forecasts import FORECAST_TABLES
from clv_lib.contracts.predictions import CUSTOMER_PREDICTIONS, MODEL_FITS, PREDICTION_BANDS, SEGMENT_PREDICTIONS
from clv_lib.contracts.put_aside import INTAKE_TABLES
from clv_lib.contracts.recurring import MRR_METRICS, MRR_MOVEMENTS
from clv_lib.contracts.segments import CUSTOMER_SEGMENTS, SEGMENT_METRICS, SEGMENTS
from clv_lib.contracts.silver import STATE_TABLES
from clv_lib.contracts.subscriptions import SUBSCRIPTION_PERIODS
from clv_lib.contracts.types import Table

SILVER_TABLES: tuple[Table, ...] = (*STATE_TABLES, ACQUISITION_CREDITS, SUBSCRIPTION_PERIODS)
GOLD_TABLES: tuple[Table, ...] = (
    *INTAKE_TABLES,
    CUSTOMER_METRICS,
    CUSTOMER_RFM,
    RFM_THRESHOLDS,
    RFM_SEGMENT_RULES,
    SEGMENTS,
    CUSTOMER_SEGMENTS,
    CUSTOMER_PREDICTIONS,
    SEGMENT_PREDICTIONS,
    PREDICTION_BANDS,
    MODEL_FITS,
    PREDICTION_ACCURACY,
    PREDICTION_CALIBRATION,
    PREDICTION_TRACKING,
    EXPERIMENT_RESULTS,
    PREDICTION_GROUPINGS,
    SEGMENT_METRICS,
    SEGMENT_CONCENTRATION,
    COHORT_METRICS,
    ORDER_GAPS,
    CUSTOMER_SURVIVAL,
    SEGMENT_CHURN,
    ACQUISITION_COSTS,
    UNIT_ECONOMICS,
    MARKETING_BUDGETS,
    RETENTION_BUDGETS,
    *FORECAST_TABLES,
    MRR_MOVEMENTS,
    MRR_METRICS,
    CONTRACT_RETENTION,
    CHURN_REASONS,
    METRIC_DEFINITIONS,
    *AUDIT_TABLES,
)
CONTROL_TABLES: tuple[Table, ...] = (PIPELINE_RUNS, PUBLISHED)
TABLES: dict[str, Table] = {table.name: table for table in (*SILVER_TABLES, *GOLD_TABLES, *CONTROL_TABLES)}
PUBLISHED_TABLES: tuple[Table, ...] = (*SILVER_TABLES, *GOLD_TABLES)

__all__ = ["CONTROL_TABLES", "GOLD_TABLES", "PUBLISHED_TABLES", "SILVER_TABLES", "TABLES"]
