"""Commands that users type, over the published demo lake: what they print, and what they refuse."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from deltalake import DeltaTable

from clv_lib.cli import main
from clv_lib.cli.running import _next_commands
from clv_lib.contracts import PUBLISHED_TABLES
from clv_lib.contracts.acquisition_costs import ACQUISITION_COSTS
from clv_lib.contracts.customers import CUSTOMER_METRICS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.contracts.types import Table

Command = Callable[..., str]
TOTALS = "select count(*) as customers, sum(lifetime_order_count) as orders from customer_metrics"


@pytest.fixture
def clv(spark: SparkSession, published: Any, capfd: pytest.CaptureFixture[str]) -> Command:
    """A command over the demo lake in this session: its output, or what it says on standard error if it fails."""

    def command(name: str, *arguments: str, exit_code: int = 0) -> str:
        capfd.readouterr()
        assert main([name, *arguments, *published.demo.arguments]) == exit_code
        said = capfd.readouterr()
        return said.err if exit_code else said.out

    return command


def stored(published: Any, table: Table) -> list[dict[str, Any]]:
    """The published rows of a gold table, read by another engine."""
    place, snapshot = published.demo.lake.place(table), published.outcome.publication.snapshot_id
    rows: list[dict[str, Any]] = (
        DeltaTable(place).to_pyarrow_table(filters=[("snapshot_id", "=", snapshot)]).to_pylist()
    )
    return rows


def test_sql_prints_the_same_in_each_format_as_another_engine_reads(published: Any, clv: Command) -> None:
    rows = stored(published, CUSTOMER_METRICS)
    expected = {"customers": len(rows), "orders": sum(row["lifetime_order_count"] for row in rows)}
    assert json.loads(clv("sql", TOTALS, "--format", "json")) == [expected]
    [row] = csv.DictReader(io.StringIO(clv("sql", TOTALS, "--format", "csv")))
    assert {name: int(value) for name, value in row.items()} == expected
    table = clv("sql", f"{TOTALS};")
    assert [int(number) for number in re.findall(r"\d+", table.splitlines()[-2])] == list(expected.values())
    assert table.splitlines()[-1] == "(1 row)"


@pytest.mark.parametrize(
    "statement",
    [
        "select 1; drop table segments",
        "with one as (select 1) insert into segments select * from one",
        "select * from no_such_table",
        "select no_such_column from segments",
    ],
)
def test_sql_that_would_write_or_is_not_valid_is_refused(statement: str, clv: Command) -> None:
    said = clv("sql", statement, exit_code=2)
    assert "this statement cannot be run" in said and "clv tables" in said and "Traceback" not in said


def test_the_same_run_again_prints_what_is_published(published: Any, clv: Command, tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    said = clv("run", "--as-of", str(published.demo.as_of), "--summary-json", str(file))
    run_id = published.outcome.run.run_id
    assert f"unchanged: run {run_id} is published already" in said
    customers = stored(published, CUSTOMER_METRICS)
    for told in (
        "Acquisition by channel",
        "earned back",
        "MRR",
        "Net revenue",
        "Forecast",
        "taken: mbg_nbd",
        f"{len(customers):,}",
    ):
        assert told in said, told
    costs = [row for row in stored(published, ACQUISITION_COSTS) if row["cac_type"] == "fully_loaded"]
    for channel in {row["channel"] for row in costs if row["level"] == "channel"}:
        assert re.search(rf"^ +{re.escape(channel)} ", said, flags=re.MULTILINE), channel
    written = json.loads(file.read_text(encoding="utf-8"))
    assert (written["status"], written["exit_code"], written["run_id"]) == ("unchanged", 0, run_id)
    assert written["headline"]["customers"] == len(customers)


def test_the_commands_that_the_demo_names_can_be_typed(clv: Command) -> None:
    [statement] = re.findall(r'clv sql --config \S+ "(.*?)"', _next_commands("FILE"), flags=re.DOTALL)
    assert len(clv("sql", statement, "--format", "csv").splitlines()) > 5
    assert "(the first 3 rows; more with --limit)" in clv("show", "customer_predictions", "--limit", "3")
    assert "predicted_clv_amount" in clv("show", "customer_predictions", "--limit", "1", "--format", "csv")


def test_runs_and_views(published: Any, clv: Command, spark: SparkSession) -> None:
    runs = list(csv.DictReader(io.StringIO(clv("runs", "--format", "csv"))))
    [now] = [row for row in runs if row["readers_see"] == "published now"]
    assert now["run_id"] == published.outcome.run.run_id and now["status"] == "published"
    printed = clv("views")
    statements = dict(re.findall(r"CREATE OR REPLACE VIEW (\w+) AS (.*?);$", printed, flags=re.MULTILINE | re.DOTALL))
    assert set(statements) == {table.name for table in PUBLISHED_TABLES}
    for table in ("customer_metrics", "customer_orders"):
        assert spark.sql(statements[table]).count() > 0


def test_there_is_nothing_to_roll_back_to_after_the_first_run(clv: Command) -> None:
    assert "there is no snapshot before the published one" in clv("rollback", exit_code=7)
