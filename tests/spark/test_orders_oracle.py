"""Whole data sets of generated orders, refunds and rates: the job must find what plain Python finds."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clv_lib.contracts.customers import CUSTOMER_METRICS
from clv_lib.contracts.inputs import EXCHANGE_RATES, ORDERS, REFUNDS
from clv_lib.contracts.silver import CUSTOMER_MONTHS, CUSTOMER_ORDERS
from clv_lib.customers.metrics import NET_REVENUE, boundary_months, boundary_sums, customer_metrics
from clv_lib.lake import as_read
from clv_lib.orders import refunds as refunding
from clv_lib.orders.currency import daily_rates, normalised_currency
from clv_lib.orders.disposition import disposition_totals, input_totals, repeated_ids
from clv_lib.orders.history import customer_orders
from clv_lib.orders.intake import in_reporting_currency, judged_orders, with_order_dispositions
from clv_lib.orders.mapping import map_source
from clv_lib.orders.months import customer_months
from clv_lib.settings.models import Settings
from tests.spark import oracle
from tests.spark.generated import INTERPRETED, WHOLE_JOBS, conf
from tests.spark.history_oracle import converted
from tests.spark.oracle import DataSet, evaluate, rate_rows, totals

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, Row, SparkSession

SETTINGS = Settings.model_validate(
    {
        "lake": "clv",
        "reporting": {"currency": oracle.CURRENCY, "time_zone": str(oracle.ZONE)},
        "sources": {"orders": {"table": "shop.orders"}},
    }
)
FIRST_DAY = dt.date(2023, 1, 15)
SPAN = 450
AS_OF = FIRST_DAY + dt.timedelta(days=SPAN - 50)
CUSTOMERS = [f"c{number:02}" for number in range(14)]
# Around midnight in winter and in summer time, so that instants fall on another day in UTC.
TIMES = [
    "T00:00:00Z",
    "T23:10:00Z",
    "T23:59:59Z",
    "T09:30:00Z",
    "T12:00:00+05:00",
    " 00:30:00",
    " 23:59:59",
    "T01:30:00",
]
CURRENCIES = ["GBP", "GBP", "GBP", "GBP", " gbp", "EUR", "EUR", "EUR", "USD", "USD", "JPY", "GBP"]

hundredths = st.integers(0, 30_000).map(lambda n: f"{Decimal(n) / 100}")
amounts = st.one_of(*[hundredths] * 9, st.sampled_from(["0", "0.00", "12.3456", "-5", "much", None, "8"]))


def day_text(offset: int) -> str:
    return (FIRST_DAY + dt.timedelta(days=offset)).isoformat()


@st.composite
def order(draw: st.DrawFn) -> dict[str, Any]:
    flag = draw(st.integers(0, 29))
    return {
        "customer_id": draw(st.sampled_from([*CUSTOMERS, *CUSTOMERS, *CUSTOMERS, None, "  ", "c01"])),
        "ordered_at": None if flag == 11 else day_text(draw(st.integers(0, SPAN))) + draw(st.sampled_from(TIMES)),
        "gross_amount": draw(amounts),
        "discount_amount": draw(st.sampled_from(["0"] * 12 + ["0.25", "0.01", "3.5", "-1", "0"])),
        "cost_amount": draw(st.sampled_from(["1.1111", "2", "0", None])),
        "currency_code": draw(st.sampled_from(CURRENCIES)),
        "order_status": "cancelled" if flag == 13 else "paid",
        "is_test_order": "true" if flag == 17 else "false",
        "updated_at": "2024-01-01T00:00:00Z",
        "order_id": " " if flag == 19 else "",
        "kind": draw(st.sampled_from(["alone"] * 8 + ["copy", "older", "newer", "conflict", "untimed", "alone"])),
        "same_day": draw(st.sampled_from([False, False, True])),
    }


def with_versions(drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Number the orders, put some on the day of the one before, and add copies and other versions of some."""
    rows: list[dict[str, Any]] = []
    for number, values in enumerate(drawn):
        row = values | {"order_id": values["order_id"] or f"o{number:03}"}
        kind, same_day = row.pop("kind"), row.pop("same_day")
        if same_day and rows:
            row |= {name: rows[-1][name] for name in ("customer_id", "ordered_at")}
        rows.append(row)
        other = row | {"gross_amount": "77.77", "discount_amount": "0"}
        versions: dict[str, list[dict[str, Any]]] = {
            "copy": [row, row],
            "older": [other | {"updated_at": "2023-12-31T23:59:59Z"}],
            "newer": [other | {"updated_at": "2024-01-02T00:00:00Z", "order_status": "cancelled"}],
            "conflict": [other, row],
            "untimed": [other | {"updated_at": None}],
        }
        rows += versions.get(kind, [])
    return rows


@st.composite
def refund(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "of": draw(st.integers(0, 79)),
        "names": draw(
            st.sampled_from(
                ["order", "order", "both", "both", "customer", "customer", "stranger", "unknown", "nothing", "order"]
            )
        ),
        "refund_amount": draw(st.sampled_from(["1", "2.5", "0.3333", "9.99", "40", "40", "250", "0", "-1", "?", "2"])),
        "cost_recovered_amount": draw(st.sampled_from(["0", "0.5", None])),
        "days_later": draw(st.sampled_from([0, 0, 1, 5, 30, 45, 90, -20, 2])),
        "time": draw(st.sampled_from(TIMES)),
        "currency_code": draw(st.sampled_from(CURRENCIES)),
        "own_currency": draw(st.sampled_from([True, True, True, False])),
        "is_deleted": draw(st.sampled_from(["false"] * 7 + ["true", "false"])),
        "kind": draw(st.sampled_from(["alone"] * 8 + ["copy", "conflict", "alone"])),
    }


def named_refunds(drawn: list[dict[str, Any]], orders: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Point the refunds to orders or customers, and add copies and contradictions of some."""
    rows: list[dict[str, Any]] = []
    for number, values in enumerate(drawn):
        row = values | {"refund_id": f"r{number:03}"}
        of, names, kind = orders[row.pop("of") % len(orders)], row.pop("names"), row.pop("kind")
        row |= {"currency_code": of["currency_code"]} if row.pop("own_currency") else {}
        bought = dt.date.fromisoformat((of["ordered_at"] or day_text(0))[:10])
        row["refunded_at"] = f"{bought + dt.timedelta(days=row.pop('days_later'))}{row.pop('time')}"
        order_id = {"order": of["order_id"], "both": of["order_id"], "stranger": of["order_id"], "unknown": "o999"}
        customer = {"both": of["customer_id"], "customer": of["customer_id"], "stranger": "c99"}
        row |= {"order_id": order_id.get(names), "customer_id": customer.get(names)}
        rows += {"copy": [row, row], "conflict": [row, row | {"refund_amount": "3"}]}.get(kind, [row])
    return rows


@st.composite
def data_sets(draw: st.DrawFn) -> DataSet:
    orders = with_versions(draw(st.lists(order(), min_size=45, max_size=55)))
    refunds = named_refunds(draw(st.lists(refund(), min_size=25, max_size=30)), orders)
    step = draw(st.sampled_from([1, 5, 8, 13]))
    rate = Decimal(draw(st.integers(1, 3 * 10**12))).scaleb(-12)
    rates = [
        {"day": FIRST_DAY + dt.timedelta(days=offset), "currency": currency, "rate": rate * factor}
        for offset in range(0, SPAN, step)
        for currency, factor in (("EUR", 1), ("USD", 3))
    ]
    return DataSet(orders, refunds, rates, AS_OF)


@dataclass
class Found:
    """Rows that the job gives for a data set."""

    orders: list[Row]
    refunds: list[Row]
    customer_refunds: list[Row]
    customer_orders: list[Row]
    customer_months: list[Row]
    customer_metrics: list[Row]
    totals: dict[str, dict[tuple[str, str], tuple[int, Decimal]]]


def texts(spark: SparkSession, rows: list[dict[str, Any]]) -> DataFrame:
    names = sorted(rows[0])
    schema = ", ".join(f"{name} string" for name in ("row_number", *names))
    return spark.createDataFrame([(f"{n}", *(row[name] for name in names)) for n, row in enumerate(rows)], schema)


def mapped(spark: SparkSession, rows: list[dict[str, Any]], contract: Any) -> DataFrame:
    reporting = SETTINGS.reporting
    frame = texts(spark, rows)
    return map_source(frame, contract, {}, currency=reporting.currency, time_zone=reporting.time_zone)


def stored(frame: DataFrame) -> DataFrame:
    """The rows alone, without the plan that gave them: what the job has after each table that it writes or keeps."""
    return frame.sparkSession.createDataFrame(frame.toArrow(), frame.schema)


def by_job(spark: SparkSession, data: DataSet) -> Found:
    """The functions of the job in their order, without a lake."""
    limits = SETTINGS.orders
    rates = stored(
        daily_rates(
            mapped(spark, rate_rows(data), EXCHANGE_RATES), oracle.CURRENCY, limits.max_rate_age_days, data.as_of
        )
    )
    raw_orders, raw_refunds = stored(mapped(spark, data.orders, ORDERS)), stored(mapped(spark, data.refunds, REFUNDS))
    judged = judged_orders(raw_orders, rates, SETTINGS, data.as_of, is_line=False)
    repeated = stored(repeated_ids(raw_orders, "order_id"))
    orders = stored(with_order_dispositions(judged, repeated, SETTINGS, data.as_of))
    resolved = refunding.resolved_refunds(
        refunding.judged_refunds(raw_refunds, rates, SETTINGS, data.as_of),
        stored(repeated_ids(raw_refunds, "refund_id")),
    )
    found = stored(refunding.with_order(stored(resolved), refunding.order_index(orders), fall_back=False))
    refunds = stored(refunding.with_refund_dispositions(found, data.as_of))
    paid_back = stored(refunding.customer_refunds(refunds))
    accepted = in_reporting_currency(orders.where("disposition = 'accepted'"))
    histories = stored(as_read(customer_orders(refunding.with_refunds(accepted, paid_back)), CUSTOMER_ORDERS))
    months = stored(customer_months(histories, paid_back))
    boundary = boundary_sums(histories.where(histories.ordered_month.isin(boundary_months(data.as_of))), data.as_of)
    metrics = customer_metrics(months, boundary, None, as_of=data.as_of, inactivity_days=180, value_basis=NET_REVENUE)
    accounts = [
        input_totals(normalised_currency(raw_orders), "orders", "net_amount"),
        disposition_totals(orders, "orders", "net_amount"),
        input_totals(normalised_currency(raw_refunds), "refunds", "refund_amount"),
        disposition_totals(refunds, "refunds", "refund_amount"),
    ]
    answer = Found(
        orders.collect(),
        refunds.collect(),
        paid_back.collect(),
        histories.collect(),
        months.collect(),
        metrics.collect(),
        {},
    )
    union = accounts[0].unionByName(accounts[1]).unionByName(accounts[2]).unionByName(accounts[3])
    for row in union.collect():
        cell = (row.currency_code, row.disposition)
        answer.totals.setdefault(row.source_name, {})[cell] = (row.row_count, row.amount)
    return answer


def judgements(rows: list[Any], key: str) -> list[tuple[str, str, str, str]]:
    """Key, amount, disposition and reasons of each row, sorted: all that tells two input rows of one id apart."""
    return sorted(
        (str(row[key]), f"{row['amount']}", row["disposition"], ",".join(sorted(row["reasons"]))) for row in rows
    )


def as_dicts(rows: list[Row], amount: str) -> list[dict[str, Any]]:
    judged = []
    for row in rows:
        value = row[amount]
        judged.append(row.asDict() | {"amount": None if value is None else value.normalize()})
    return judged


def normalised(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"amount": None if row["amount"] is None else row["amount"].normalize()} for row in rows]


def check(
    found: dict[Any, Any], expected: dict[Any, dict[str, Any]], left_out: set[str], columns: tuple[str, ...]
) -> None:
    """All rows and, but for the keys and what is left out, all columns of a table."""
    assert set(found) == set(expected)
    for key, values in expected.items():
        assert {name: found[key][name] for name in values} == values, key
        assert set(columns) - set(values) <= left_out


# A generator that avoids a case would prove nothing about it.
CASES = {
    *("accepted", "quarantined", "anonymous", "test", "cancelled", "after_as_of", "deleted", "superseded"),
    *("null_order_id", "unreadable_ordered_at", "unreadable_amount", "no_exchange_rate", "negative_amount"),
    *("orphan_refund", "refund_before_order", "refund_exceeds_order", "refund_names_other_customer"),
    *("exact_duplicate", "conflicting_duplicate", "order_put_aside", "no_order_or_customer", "negative_refund"),
}


@pytest.mark.slow
def test_silver_and_metrics_agree_with_the_oracle(spark: SparkSession) -> None:
    seen: set[str] = set()

    @settings(WHOLE_JOBS, max_examples=6)
    @given(data=data_sets())
    def agrees(data: DataSet) -> None:
        with conf(spark, INTERPRETED):
            expected, found = evaluate(data), by_job(spark, data)
        assert judgements(as_dicts(found.orders, "net_amount"), "order_id") == judgements(
            normalised(expected.orders), "order_id"
        )
        assert judgements(as_dicts(found.refunds, "refund_amount"), "refund_id") == judgements(
            normalised(expected.refunds), "refund_id"
        )
        paid_back = {row.refund_id: (row.refund_amount, row.cost_recovered_amount) for row in found.customer_refunds}
        assert paid_back == {
            row["refund_id"]: (converted(row["amount"], row["rate"]), converted(row["cost_recovered"], row["rate"]))
            for row in expected.refunds
            if row["disposition"] == "accepted"
        }
        orders = {row.order_id: row for row in found.customer_orders}
        check(
            orders,
            expected.customer_orders,
            {"channel", "ordered_at", "source_row_count", "customer_bucket"},
            CUSTOMER_ORDERS.columns,
        )
        months = {(row.customer_id, row.month): row for row in found.customer_months}
        absent = {"customer_id", "month", "first_order_channel", "customer_bucket"}
        check(months, expected.customer_months, absent, CUSTOMER_MONTHS.columns)
        metrics = {row.customer_id: row for row in found.customer_metrics}
        absent = {"customer_id", "value_basis", "acquisition_campaign", "acquisition_channel", "as_of_date"}
        check(metrics, expected.customer_metrics, absent, CUSTOMER_METRICS.columns)
        check_conservation(found, expected)
        judged = [*expected.orders, *expected.refunds]
        seen.update(*(row["reasons"] for row in judged), (row["disposition"] for row in judged))

    agrees()
    assert seen >= CASES, f"never generated: {CASES - seen}"


def check_conservation(found: Found, expected: oracle.Expected) -> None:
    """Rows and money per currency: what came in is what was judged, and what is stored is what was accepted."""
    for source, rows in (("orders", expected.orders), ("refunds", expected.refunds)):
        cells = found.totals[source]
        wanted = totals(rows, lambda row: str(row["disposition"])) | totals(rows, lambda _: "input")
        assert cells == wanted
        for currency in {code for code, _ in cells}:
            parts = [cell for (code, kind), cell in cells.items() if code == currency and kind != "input"]
            assert (sum(n for n, _ in parts), sum(money for _, money in parts)) == cells[currency, "input"]
    stored = sum(row.net_amount_original for row in found.customer_orders)
    assert stored == sum(money for (_, kind), (_, money) in found.totals["orders"].items() if kind == "accepted")
    assert sum(row.net_amount for row in found.customer_months) == sum(row.net_amount for row in found.customer_orders)
    assert sum(row.lifetime_net_amount for row in found.customer_metrics) == sum(
        r.net_amount for r in found.customer_months
    )
