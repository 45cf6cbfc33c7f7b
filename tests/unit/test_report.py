"""The report without Spark: numbers as text, ratios from sums, models, notes."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import Row

from clv_lib.lake import Publication
from clv_lib.pipeline import Outcome, absent_sources
from clv_lib.pipeline.progress import Progress, StepRecord
from clv_lib.report.acquisition import ltv_to_cac, maximum_cac, quotient, under_two_names
from clv_lib.report.customers import customers
from clv_lib.report.forecast import forecast_lines
from clv_lib.report.text import WIDTH, amount, count, interval, labelled, percent, significant, table
from clv_lib.report.trust import _against_baselines, _fit_lines, _if_nobody_leaves, notes
from clv_lib.runs import Run
from clv_lib.settings import Settings, load_settings

NOON = dt.datetime(2025, 7, 1, 12, tzinfo=dt.timezone.utc)


@pytest.fixture
def settings() -> Settings:
    text = "lake: ./lake\nreporting: {currency: GBP}\nsources: {orders: {table: ./orders}, refunds: {table: ./refunds}}"
    return load_settings(None, text=text).settings


def outcome(status: Any, *lines: str) -> Outcome:
    run = Run("20250630-3f9ac1aa00bb", dt.date(2025, 6, 30), "", "", {}, NOON)
    publication = Publication(run.run_id, None, 1, run.as_of, {}, NOON)
    return Outcome(status, run, publication, None, Progress(run.run_id, [StepRecord("intake")], list(lines)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (count(4000), "4,000"),
        (count(1, "customer"), "1 customer"),
        (count(0, "warning"), "0 warnings"),
        (count(2, "month"), "2 months"),
        (count(None), "-"),
        (amount(Decimal("1234.5"), "GBP"), "GBP 1,234.50"),
        (amount(Decimal("-0.5")), "-0.50"),
        (amount(None, "GBP"), "-"),
        (percent(Decimal("0.0425")), "4.2 %"),
        (percent(0.05, 0), "5 %"),
        (percent(None), "-"),
        (interval(0.042, 0.039, 0.0451), "4.2 % (3.9-4.5)"),
        (interval(0.042, None, None), "4.2 %"),
        (interval(None, None, None), "-"),
        (significant(0.24259), "0.2426"),
        (significant(None), "-"),
    ],
)
def test_numbers_as_text(text: str, expected: str) -> None:
    assert text == expected


def test_lines_keep_the_width_and_their_indent() -> None:
    lines = labelled("Notes", "word " * 60)
    assert len(lines) > 1
    assert all(len(line) <= WIDTH for line in lines)
    assert all(line.startswith(" " * 14) for line in lines[1:])


def test_tables_are_aligned() -> None:
    assert table(("channel", "CAC"), [("email", "9.00"), ("paid_search", "24.10")]) == [
        "  channel        CAC",
        "  email         9.00",
        "  paid_search  24.10",
    ]


def _channel(**changes: Any) -> Row:
    known = {
        "spend": Decimal(200),
        "paid_clv": Decimal(900),
        "is_paid_clv_known": True,
        "clv": Decimal(1000),
        "valued_customers": 10,
    }
    return Row(**{**known, **changes})


def test_ratios_are_made_from_sums() -> None:
    assert ltv_to_cac(_channel()) == Decimal("4.5")
    assert maximum_cac(_channel(), Decimal(4)) == Decimal(25)


def test_undefined_ratios_are_absent() -> None:
    assert ltv_to_cac(_channel(spend=None, paid_clv=None)) is None
    assert ltv_to_cac(_channel(spend=Decimal(0))) is None
    assert ltv_to_cac(_channel(is_paid_clv_known=False)) is None
    assert maximum_cac(_channel(clv=None, valued_customers=None), Decimal(3)) is None
    assert quotient(Decimal(1), 0) is None


def test_a_loss_allows_no_cost() -> None:
    assert maximum_cac(_channel(clv=Decimal(-5)), Decimal(3)) == 0


def _parameter(name: str, **changes: Any) -> Row:
    known = {
        "model_id": "bg_nbd",
        "segment_id": "all:all",
        "parameter": name,
        "estimate": 0.2426,
        "standard_error": 0.0123,
        "log_likelihood": -9582.43,
        "customer_count": 2357,
        "sampled_share": 1.0,
        "is_converged": True,
        "fit_status": "converged",
    }
    return Row(**{**known, **changes})


def test_a_fit_shows_estimates_with_errors() -> None:
    text = " ".join(" ".join(_fit_lines([_parameter("alpha"), _parameter("r")])).split())
    assert text == (
        "bg_nbd alpha 0.2426 ± 0.012, r 0.2426 ± 0.012; log-likelihood -9,582.4, 2,357 customers, converged"
    )


def test_a_parameter_that_was_held_has_no_error() -> None:
    text = " ".join(_fit_lines([_parameter("p", standard_error=None, fit_status="mean_constrained")]))
    assert "p 0.2426 (held); " in text and text.endswith("2,357 customers, mean_constrained")


def test_a_fit_that_is_not_used_says_why() -> None:
    failed = {"estimate": None, "standard_error": None, "log_likelihood": None, "is_converged": False}
    lines = _fit_lines([_parameter("r", **failed, fit_status="too_few_customers", customer_count=12)])
    assert "not used: too_few_customers (12 customers)" in lines[0]


def test_it_is_said_if_nobody_seems_to_leave() -> None:
    def text(published: str, asked: str = "auto", gain: float = 0.0, **states: str) -> str:
        statuses = {"bg_nbd": "at_bound", "pareto_nbd": "worse_than_nbd", "nbd": "converged", **states}
        rows = [
            _parameter(
                "r",
                model_id=name,
                fit_status=status,
                is_converged=status == "converged",
                is_published_model=name == published,
                log_likelihood=-100.0 + (gain if name == published else 0.0),
            )
            for name, status in {**statuses, "gamma_gamma": "converged"}.items()
        ]
        return " ".join(" ".join(_if_nobody_leaves(rows, asked)).split())

    assert "orders and value are predicted by nbd, as if all customers stayed" in text("nbd")
    assert "nothing is predicted; predictions.model: auto takes nbd" in text("", "bg_nbd")
    assert not text(""), "they ended at another bound"
    assert not text("", "bg_nbd", nbd="at_bound")
    assert not text("", "bg_nbd", bg_nbd="not_converged")
    hardly = text("bg_nbd", gain=1.94, bg_nbd="converged")
    assert hardly.startswith("bg_nbd describes this history no better than nbd, in which nobody leaves")
    assert "(log-likelihood +1.9)" in hardly and "do not rely on P(alive)" in hardly
    assert not text("bg_nbd", gain=2.0, bg_nbd="converged")


def test_a_fit_to_a_sample_says_so() -> None:
    assert "2,357 customers, a sample of 13%" in " ".join(
        " ".join(_fit_lines([_parameter("r", sampled_share=0.13)])).split()
    )


def test_a_model_that_loses_to_a_simple_rule_is_said_to_lose() -> None:
    """Beside the rules of the same days only."""
    end = dt.date(2025, 1, 1)

    def judged(model_id: str, error: float, days: int = 180, beats: bool | None = None) -> Row:
        return Row(
            model_id=model_id, is_baseline=beats is None, orders_rmse=error, beats_baselines=beats,
            calibration_end_date=end, horizon_days=days,
        )  # fmt: skip

    rules = [judged("last_period", 2.344), judged("mean_rate", 2.441), judged("mean_rate", 1.1, days=60)]
    losing, winning = judged("bg_nbd", 2.512, beats=False), judged("mbg_nbd", 1.9, beats=True)
    said = _against_baselines(losing, [losing, *rules])
    assert said.endswith("2.512, WORSE than a simple rule: do not rely on it (last_period 2.344, mean_rate 2.441)")
    assert "1.900, better than each simple rule (" in _against_baselines(winning, [winning, *rules])
    nobody_came = [judged("pareto_nbd", 1e-11, beats=False), judged("last_period", 0.0), judged("mean_rate", 0.342)]
    assert "0.000, no better than a simple rule (" in _against_baselines(nobody_came[0], nobody_came)


def test_notes_of_a_run_leave_the_warnings_to_the_gate(settings: Settings) -> None:
    text = "\n".join(notes(settings, outcome("published", "warning: x", "source customers is not configured: y")))
    assert "  - source customers is not configured: y" in text
    assert "warning" not in text


def test_a_run_that_had_nothing_to_do_names_the_missing_sources(settings: Settings) -> None:
    text = "\n".join(notes(settings, outcome("unchanged")))
    assert "source marketing_spend is not configured" in text
    assert "source refunds" not in text


def test_a_channel_under_two_names_is_hinted_at() -> None:
    def channel(name: str, customers: int, spend: int | None) -> Row:
        return Row(channel=name, customers=customers, spend=None if spend is None else Decimal(spend))

    known = [channel("all", 9, 70), channel("unattributed", 3, None), channel("email", 4, 20)]
    assert under_two_names([*known, channel("referral", 2, None)]) == []
    assert under_two_names([*known, channel("google", 0, 50)]) == []
    [*lines] = under_two_names([*known, channel("Google Ads", 2, None), channel("google", 0, 50)])
    text = " ".join(line.strip() for line in lines)
    assert text.startswith("spend without customers: google; customers without spend: Google Ads. If that is a channel")


def test_refunds_are_known_by_negative_lines() -> None:
    text = "lake: ./lake\nreporting: {currency: GBP}\nsources: {orders: {table: ./orders, grain: line}}"
    by_line, by_order = (
        absent_sources(load_settings(None, text=one).settings) for one in (text, text.replace("line}", "order}"))
    )
    said = [next(one for one in absent if "source refunds" in one) for absent in (by_line, by_order)]
    assert "by negative order lines alone" in said[0]
    assert "values are before refunds" in said[1]


def test_nothing_absent_is_no_block(settings: Settings) -> None:
    assert notes(settings, outcome("published")) == []


def _forecast(**changes: Any) -> Row:
    known = {
        "period_type": "month",
        "period_end_date": dt.date(2025, 7, 31),
        "customer_group": "existing",
        "expected_orders": Decimal("412.4"),
        "expected_net_amount": Decimal(21_000),
        "net_lower_80": Decimal(19_000),
        "net_upper_80": Decimal(23_000),
        "expected_margin_amount": None,
        "seasonality_status": "seasonal",
        "seasonality_p_value": 0.0123,
        "forecast_status": "ok",
    }
    return Row(**{**known, **changes})


ACCURACY = Row(wape=0.071, baseline_wape=0.124, origin_count=3, coverage_80=0.75)


def test_a_forecast_shows_months_totals_seasons_and_how_it_came_out_before() -> None:
    total = _forecast(period_type="cumulative", period_end_date=dt.date(2026, 6, 30), net_lower_80=None)
    lines = forecast_lines([_forecast(), total], [ACCURACY], "GBP")
    assert lines[0] == "Forecast by month and in total (GBP; with the seasons of the history, p = 0.012)"
    assert lines[2].split() == ["2025-07-31", "existing", "412", "21,000", "19,000", "to", "23,000", "-"]
    assert lines[3].split() == ["total", "2026-06-30", "existing", "412", "21,000", "-", "-"]
    text = " ".join(" ".join(lines[4:]).split())
    assert "no new customers are planned" in text
    assert "from 3 earlier days" in text and "off by 7.1 % (a simple rule: 12.4 %)" in text
    assert all(len(line) <= WIDTH for line in lines)


def test_months_show_known_and_planned_customers_together_and_totals_each() -> None:
    groups = ("existing", "new", "all")
    rows = [_forecast(customer_group=one, period_type=period) for period in ("month", "cumulative") for one in groups]
    lines = forecast_lines(rows, [ACCURACY], "GBP")
    assert [line.split()[:2] for line in lines[2:3]] == [["2025-07-31", "all"]]
    assert [line.split()[2] for line in lines[3:6]] == list(groups)
    assert "planned" not in "".join(lines)


def test_a_forecast_that_is_not_there_says_why() -> None:
    assert forecast_lines([], [], "GBP") == []
    none = _forecast(expected_orders=None, forecast_status="model_unusable")
    assert "none: model_unusable" in forecast_lines([none], [], "GBP")[0]
    short = _forecast(seasonality_status="history_too_short", seasonality_p_value=None)
    lines = forecast_lines([short], [], "GBP")
    assert "history too short to show seasons" in lines[0] and "not compared with the past" in lines[-1]


def test_it_is_said_how_value_is_predicted_and_why_not(settings: Settings) -> None:
    known = {
        "customers": 10, "active_customers": 6, "churned_customers": 4, "repeat_customers": 5, "orders": 20,
        "net_revenue": 200, "net_revenue_365d": 200, "refunds": 0, "value_basis": "net_revenue",
        "valued_customers": 10, "historic_value": 200, "horizon_days": 365, "predicted_customers": 0,
        "predicted_value": None, "expected_orders": None, "prediction_problem": "too_few_customers",
        "is_no_churn_seen": False,
    }  # fmt: skip

    def said(**changes: object) -> str:
        return " ".join(" ".join(customers({**known, **changes}, settings)).split())

    assert said().endswith("not predicted: too_few_customers, fewer than predictions.minimum_customers (100)")
    assert "not predicted: no customers" in said(prediction_problem=None)
    predicted = {"predicted_customers": 10, "predicted_value": 50, "expected_orders": 5.2, "prediction_problem": None}
    assert "GBP 5.00 per customer predicted, GBP 50.00 in total; 5 days with orders" in said(**predicted)
    loyal = said(**predicted, is_no_churn_seen=True)
    assert "GBP 5.00 per customer predicted as if all of them stayed (no_churn_seen), GBP 50.00" in loyal
