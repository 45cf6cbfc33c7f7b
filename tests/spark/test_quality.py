"""The profile on real rows: every rule of every contract can fail, and what fails reaches the gate's message."""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.contracts import TABLES
from clv_lib.contracts.control import DATA_QUALITY_RESULTS, PIPELINE_RUNS
from clv_lib.contracts.customers import CUSTOMER_METRICS
from clv_lib.contracts.types import Field, Table
from clv_lib.errors import QualityGateFailed
from clv_lib.pipeline import open_lake, run_step
from clv_lib.pipeline.audit import AUDITED_TABLES
from clv_lib.quality.expectations import SourceIntake, expectations
from clv_lib.quality.gate import judge, refuse
from clv_lib.quality.profile import (
    DUPLICATE_KEYS,
    UNIQUE_KEY,
    VIOLATIONS,
    duplicate_keys,
    failing_examples,
    is_broken,
    profile,
    quarantine_reasons,
    structure_faults,
    table_profile,
)
from clv_lib.runs import GATE_FAILED
from clv_lib.settings import Gate, load_settings
from tests.spark.generated import INTERPRETED, conf
from tests.spark.nights import NOW, Shop

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

NAN, INFINITY = math.nan, math.inf
DAY = dt.date(2024, 1, 1)
CLEAN = (SourceIntake("orders", 100, 0, {"rows": 0}),)

# Per type: a value of the good row, then values of which some break any rule on such a column.
POOL: dict[str, list[Any]] = {
    "string": ["a", "", "zz"],
    "tinyint": [1, -1, 0, 100],
    "int": [1, -1, 0, 2, 1000],
    "bigint": [1, -1, 0, 2, 1000],
    "double": [0.5, -1.0, 0.0, 2.0, NAN, INFINITY, -INFINITY],
    "decimal": [Decimal("1.0000"), Decimal("-1.0000"), Decimal("0.0003"), Decimal(1000)],
    "boolean": [True, False],
    "date": [DAY, dt.date(2023, 12, 31), dt.date(2024, 2, 1)],
    "timestamp": [dt.datetime(2024, 1, 1, 12, tzinfo=dt.timezone.utc)],
    "array": [["a"], []],
    "map": [{"orders": "1"}],
}
# Where the first values of the pool do not go together.
GOOD_VALUES: dict[str, dict[str, Any]] = {
    "customer_orders": {"gross_amount": Decimal(3)},
    "customer_metrics": {"is_churned": False, "churned_date": None, "reactivated_date": None},
    "customer_survival": {"censored_count": 0},
    "segment_churn": {"late_churned_customer_count": 0},
    "rfm_segment_rules": {"rfm_code": "111"},
    "segment_metrics": {"customer_count_end": 2},
    "cohort_metrics": {"months_since_first_order": 0},
    "acquisition_costs": {
        "channel": "all",
        "campaign_name": "all",
        "segment_id": "all:all",
        "cac_status": "spend_incomplete",
    },
    "unit_economics": {
        "cac_payback_months": 0,
        "forecast_payback_status": "observed",
        "forecast_payback_months": None,
    },
    "mrr_movements": {"mrr_end": Decimal(2), "movement_type": "expansion", "churn_type": None},
    "mrr_metrics": {
        "mrr_end": Decimal(2),
        "customer_count_end": 2,
        **{f"{kind}_churn_amount": Decimal(0) for kind in ("involuntary", "unknown")},
        **{f"{kind}_churned_customer_count": 0 for kind in ("involuntary", "unknown")},
    },
}


def _pool(field: Field) -> list[Any]:
    pool = POOL[re.split(r"\W", field.type)[0]]
    if field.type.startswith("map<string,") and not field.type.endswith("string>"):
        return [{"customer_orders": 1.0 if field.type.endswith("double>") else 1}]
    allowed = re.search(r" in \('(\w+)'", field.check or "")
    return [allowed.group(1), *pool] if allowed else pool


def _good_row(table: Table) -> dict[str, Any]:
    row = {field.name: _pool(field)[0] for field in table.fields}
    return {**row, **GOOD_VALUES.get(table.name, {})}


def _variants(table: Table) -> Iterator[dict[str, Any]]:
    """Rows that differ from the good one in one column: NULL, and each value of the pool."""
    good = _good_row(table)
    for field in table.fields:
        yield from ({**good, field.name: value} for value in (None, *_pool(field)[1:]))


def _frame(spark: SparkSession, table: Table, rows: list[dict[str, Any]]) -> DataFrame:
    schema = ", ".join(f"`{name}` {kind}" for name, kind in table.schema.items())
    return spark.createDataFrame([tuple(row[name] for name in table.columns) for row in rows], schema)


def _profile_row(spark: SparkSession, table: Table, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return profile(_frame(spark, table, rows), table).collect()[0].asDict()


LONGEST_COMPILED_METHOD = 8000
"""Bytes: HotSpot interprets longer methods for ever, which takes eight times as long (`DontCompileHugeMethods`)."""


def test_java_compiles_the_profile_of_every_table_that_grows(spark: SparkSession, tmp_path: Path) -> None:
    grow = [table for table in AUDITED_TABLES if not table.is_of_groups]
    assert {"customer_predictions", "customer_metrics", "customer_orders", "customer_months"} <= {t.name for t in grow}
    with conf(spark, {"spark.sql.codegen.wholeStage": "true", "spark.sql.codegen.factoryMode": "FALLBACK"}):
        for table in grow:
            place = str(tmp_path / table.name)
            spark.createDataFrame([], table.ddl).write.parquet(place)
            plan = profile(spark.read.parquet(place), table)._jdf.queryExecution().debug().codegenToSeq()
            sizes = [plan.apply(number)._3().maxMethodCodeSize() for number in range(plan.size())]
            assert sizes and 0 < max(sizes) <= LONGEST_COMPILED_METHOD, table.name


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES.keys())
def test_every_rule_passes_a_good_row_and_can_fail(spark: SparkSession, table: Table):
    rows = [_good_row(table), *_variants(table)]
    schema = "tried int, " + ", ".join(f"`{name}` {kind}" for name, kind in table.schema.items())
    numbered = [(number, *(row[name] for name in table.columns)) for number, row in enumerate(rows)]
    rules = table.all_rules()
    judged = [is_broken(rule).alias(rule.name) for rule in rules]
    found = spark.createDataFrame(numbered, schema).select("tried", *judged).collect()
    broken = {row["tried"]: {rule.name for rule in rules if row[rule.name]} for row in found}
    assert len(broken) == len(rows)
    assert broken[0] == set(), "the good row"
    assert {rule.name for rule in rules} - set().union(*broken.values()) == set(), "rules that nothing breaks"


def test_null_predicates_count_as_broken_and_measures_are_exact(spark: SparkSession):
    table = TABLES["customer_orders"]
    good = {**_good_row(table), "net_amount": Decimal("0.1000"), "gross_amount": Decimal("2.1000")}
    good["cumulative_net_amount"] = good["net_amount"]
    rows = [
        good,
        {**good, "order_id": "b", "is_first_order": None},
        {**good, "order_id": None, "net_amount": Decimal("0.2000")},
    ]
    row = _profile_row(spark, table, rows)
    assert row["row_count"] == 3
    assert {name for name, value in row.items() if name.startswith(VIOLATIONS) and value} == {
        "violations__order_id_not_null",
        "violations__is_first_order_not_null",
        "violations__first_order_has_number_1",
        "violations__net_is_gross_less_discount_and_refund",
        "violations__running_value_starts_at_value",
    }
    assert row["measure__net"] == Decimal("0.4000") and row["measure__orders"] == 3
    assert row["measure__customers"] == 2
    found = table_profile(table, {**row, DUPLICATE_KEYS: 0})
    assert found.violations["order_id_not_null"] == 1 and found.measures["net"] == Decimal("0.4000")
    assert set(found.violations) == {rule.name for rule in table.all_rules()}
    assert set(found.measures) == set(table.measures or {})


def test_an_empty_table_has_no_violations_and_no_rows(spark: SparkSession):
    table = TABLES["customer_refunds"]
    row = _profile_row(spark, table, [])
    assert row.pop("row_count") == 0 and set(row.values()) == {0}
    keys = duplicate_keys(_frame(spark, table, []), table)
    assert keys is not None and keys.collect()[0].asDict() == {"duplicate_key_count": 0, "surplus_row_count": 0}


def test_duplicate_keys_are_counted_with_their_surplus_rows(spark: SparkSession):
    table = TABLES["customer_months"]
    good = _good_row(table)
    keys = [("a", DAY)] * 3 + [("b", DAY), ("b", dt.date(2024, 2, 1))] + [(None, DAY)] * 2
    frame = _frame(spark, table, [{**good, "customer_id": customer, "month": month} for customer, month in keys])
    counts = duplicate_keys(frame, table)
    assert counts is not None
    assert counts.collect()[0].asDict() == {"duplicate_key_count": 2, "surplus_row_count": 3}
    examples = {tuple(row) for row in failing_examples(frame, table, UNIQUE_KEY).collect()}
    assert examples == {(_hash("a"), _hash("2024-01-01")), (None, _hash("2024-01-01"))}
    assert duplicate_keys(frame, TABLES["quarantined_rows"]) is None


def test_reasons_of_quarantine_are_counted_by_source(spark: SparkSession):
    reasons = [("orders", ["b", "a"]), ("orders", ["b"]), ("refunds", ["a"])]
    counted = quarantine_reasons(spark.createDataFrame(reasons, "source_name string, reasons array<string>"))
    assert [tuple(row) for row in counted.collect()] == [("orders", "b", 2), ("orders", "a", 1), ("refunds", "a", 1)]


def test_the_structure_is_compared_to_the_scale(spark: SparkSession):
    table = TABLES["customer_refunds"]
    frame = _frame(spark, table, [])
    assert structure_faults(frame.schema, table) == structure_faults(frame.dtypes, table) == []
    assert structure_faults(frame.select(*reversed(table.columns)).schema, table) == []
    changed = frame.withColumn("refund_amount", frame.refund_amount.cast("decimal(18,2)")).drop("customer_id")
    changed = changed.withColumnRenamed("refunded_at", "Refunded_At").withColumn("note", frame.order_id)
    expected = [
        "column customer_id is missing, expected string",
        "column refunded_at is missing, expected timestamp",
        "column refund_amount is decimal(18,2), expected decimal(18,4)",
        "column Refunded_At (timestamp) is not in the contract",
        "column note (string) is not in the contract",
    ]
    assert structure_faults(changed.schema, table) == structure_faults(changed.dtypes, table) == expected
    twice = [*frame.dtypes, ("order_id", "string")]
    assert structure_faults(twice, table) == ["column order_id is there more than once"]


def test_examples_show_hashed_keys_only(spark: SparkSession):
    table = TABLES["customer_metrics"]
    good = _good_row(table)
    rows = [{**good, "customer_id": f"anna{n}@example.org", "btyd_age_days": -n} for n in range(9)]
    frame = _frame(spark, table, rows)
    found = failing_examples(frame, table, "btyd_age_days_check").collect()
    assert found == failing_examples(frame.repartition(2), table, "btyd_age_days_check").collect()
    assert [row["customer_id"] for row in found] == sorted(_hash(f"anna{n}@example.org") for n in range(1, 9))[:5]
    no_key = TABLES["quarantined_rows"]
    broken = _frame(spark, no_key, [{**_good_row(no_key), "payload": None, "row_key": "anna@example.org"}])
    (row,) = failing_examples(broken, no_key, "payload_not_null").collect()
    assert re.fullmatch("[0-9a-f]{12}", row["row"])


def test_a_broken_row_is_refused_by_name_and_number(spark: SparkSession):
    table = TABLES["customer_metrics"]
    good = _good_row(table)
    rows = [{**good, "customer_id": f"anna{n}@example.org"} for n in range(5)]
    rows[3]["btyd_recency_days"] = 7
    frame = _frame(spark, table, rows)
    keys = duplicate_keys(frame, table)
    assert keys is not None
    figures = profile(frame, table).crossJoin(keys).collect()[0].asDict()
    found = table_profile(table, figures, structure_faults(frame.schema, table))
    verdict = judge(expectations((table,), {table.name: found}, (), Gate(), CLEAN))
    assert verdict.status == "failed"
    assert [r.expectation.label for r in verdict.errors] == ["customer_metrics.recency_up_to_age"]
    hashes = [row["customer_id"] for row in failing_examples(frame, table, "recency_up_to_age").collect()]
    text = str(refuse(verdict, {("customer_metrics", "recency_up_to_age"): hashes}))
    assert "customer_metrics: recency_up_to_age" in text and "1 rows that break it" in text
    assert _hash("anna3@example.org") in text and "anna" not in text


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def test_an_intake_that_cannot_pass_is_refused_before_anything_is_computed(spark: SparkSession, tmp_path: Path) -> None:
    shop = Shop(spark, tmp_path, ("orders",))
    row = {"order_id": "o1", "customer_id": "c1", "ordered_at": "2024-01-01T10:00:00Z", "net_amount": "much"}
    shop.insert("orders", [row, {**row, "order_id": "o2", "ordered_at": "never"}])
    text = shop.configuration("lake").replace("allow_empty: true", "allow_empty: false")
    given = load_settings(None, text=text, environ={}).settings
    with conf(spark, INTERPRETED), pytest.raises(QualityGateFailed) as refused:
        run_step(spark, given, DAY, "intake", clock=lambda: NOW)
    told = str(refused.value)
    assert "customer_orders: row_count" in told and "rows of orders: quarantined 2" in told
    assert "quarantined_rows: orders_max_quarantined_ppm" in told and "2 of 2 rows, 1000000 per million" in told
    assert "unreadable_amount 2" in told
    lake = open_lake(spark, given)
    [run] = lake.read_rows(PIPELINE_RUNS).collect()
    assert run["status"] == GATE_FAILED
    failed = {row["expectation"] for row in lake.read_rows(DATA_QUALITY_RESULTS).where("not is_success").collect()}
    assert failed == {"row_count", "orders_max_quarantined_ppm", "orders_warn_quarantined_ppm"}
    assert not lake.exists(CUSTOMER_METRICS)
