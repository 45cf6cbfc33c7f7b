"""The gold tables that a run publishes, and the tables that keep record of runs and audits."""

from __future__ import annotations

from clv_lib.contracts.silver import TRAILING_DAYS
from clv_lib.contracts.types import MONEY_SUM, RATIO, Field, Rule, Table

SNAPSHOT = ("snapshot_id",)

METRIC_WINDOWS_DAYS = (30, 60, 90, 365)
"""Trailing windows of customer_metrics, in days."""


def _within(name: str, values: tuple[str, ...]) -> str:
    listed = ", ".join(f"'{value}'" for value in values)
    return f"{name} in ({listed})"


def _status(name: str, meaning: str, *values: str) -> Field:
    return Field(name, "string", f"{meaning} One of: {', '.join(values)}.", True, _within(name, values))


def _share(name: str, meaning: str) -> Field:
    return Field(name, RATIO, meaning)


def _money(name: str, meaning: str, required: bool = False) -> Field:
    return Field(name, MONEY_SUM, meaning, required)


def _count(name: str, meaning: str, required: bool = True) -> Field:
    return Field(name, "bigint", meaning, required, f"{name} >= 0")


def _probability(name: str, meaning: str) -> Field:
    return Field(name, "double", meaning, check=f"{name} between 0 and 1")


CUSTOMER_METRICS = Table(
    name="customer_metrics",
    layer="gold",
    grain="one row per customer with an order",
    key=("customer_id",),
    partition_by=SNAPSHOT,
    fields=(
        Field("customer_id", "string", "The customer.", required=True),
        _status("value_basis", "What value is measured in.", "contribution_margin", "net_revenue"),
        _status("value_status", "Whether the value is complete.", "ok", "margin_unknown", "negative_value"),
        Field("cohort_month", "date", "Month of the first order.", required=True),
        Field(
            "acquisition_channel",
            "string",
            "From customers, else the channel of the first order, else unattributed.",
            required=True,
        ),
        _count("lifetime_order_count", "Orders."),
        _count("lifetime_occasion_count", "Days with orders."),
        _count("refunded_order_count", "Orders that were refunded in part or whole."),
        _money("lifetime_gross_amount", "Goods before discounts.", True),
        _money("lifetime_discount_amount", "Discounts.", True),
        _money("lifetime_refund_amount", "Refunds of the customer's orders.", True),
        _money("lifetime_net_amount", "Net revenue so far: historic CLV in revenue.", True),
        _money(
            "lifetime_margin_amount", "Contribution margin so far: historic CLV in margin; NULL: a cost is not known."
        ),
        _money("historic_clv_amount", "Value so far, in value_basis; NULL: a cost is not known."),
        Field("average_order_value", RATIO, "lifetime_net_amount / lifetime_order_count.", required=True),
        Field("exposure_days", "int", "Days from the first order to as_of, both counted.", True, "exposure_days >= 1"),
        Field("orders_per_month", RATIO, "Orders per month of 365.25/12 days since the first order; NULL: too short."),
        _status("orders_per_month_status", "Why orders_per_month is NULL.", "ok", "too_short_exposure"),
        Field("average_days_between_orders", RATIO, "Mean gap between days with orders; NULL: one such day."),
        *(_count(f"order_count_{d}d", f"Orders in the {d} days up to as_of.") for d in METRIC_WINDOWS_DAYS),
        *(_money(f"net_amount_{d}d", f"Net revenue of the {d} days up to as_of.", True) for d in METRIC_WINDOWS_DAYS),
        *(
            _money(f"net_amount_first_{d}d", f"Net revenue of the first {d} days; NULL until they have passed.")
            for d in TRAILING_DAYS
        ),
        Field(
            "days_since_first_order", "int", "Days from the first order to as_of.", True, "days_since_first_order >= 0"
        ),
        Field("days_since_last_order", "int", "Days from the last order to as_of.", True, "days_since_last_order >= 0"),
        Field("btyd_frequency", "int", "x: days with orders after the first.", True, "btyd_frequency >= 0"),
        Field(
            "btyd_recency_days", "int", "t_x: days from the first to the last order.", True, "btyd_recency_days >= 0"
        ),
        Field("btyd_age_days", "int", "T: days from the first order to as_of.", True, "btyd_age_days >= 0"),
        Field(
            "btyd_monetary_value",
            RATIO,
            "Mean value (value_basis) per repeat day; NULL: no repeat day or cost not known.",
        ),
        Field("is_repeat_customer", "boolean", "Ordered on more than one day.", required=True),
        Field("is_active", "boolean", "Not churned.", required=True),
        Field("is_churned", "boolean", "No order for inactivity_days.", required=True),
        Field("first_order_date", "date", "Day of the first order.", required=True),
        Field("last_order_date", "date", "Day of the last order.", required=True),
        Field("churned_date", "date", "Last order + inactivity_days, if churned."),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    rules=(
        Rule("recency_up_to_age", "btyd_recency_days <= btyd_age_days", "t_x <= T"),
        Rule("days_up_to_orders", "lifetime_occasion_count <= lifetime_order_count", "no more days than orders"),
        Rule("churned_or_active", "is_active <> is_churned", "a customer is active or churned"),
        Rule("churned_has_date", "is_churned = (churned_date is not null)", "churned customers have a churn date"),
    ),
    measures={
        "net": "sum(lifetime_net_amount)",
        "orders": "sum(lifetime_order_count)",
        "refunds": "sum(lifetime_refund_amount)",
        "customers": "count(1)",
    },
)

CUSTOMER_RFM = Table(
    name="customer_rfm",
    layer="gold",
    grain="one row per customer with an order",
    key=("customer_id",),
    partition_by=SNAPSHOT,
    fields=(
        Field("customer_id", "string", "The customer.", required=True),
        Field("recency_days", "int", "Days since the last order.", True, "recency_days >= 0"),
        _count("frequency", "Orders."),
        _money("monetary_amount", "Net revenue so far.", True),
        *(
            Field(
                f"{name}_score",
                "tinyint",
                f"1 (worst) to 5 (best) by quintile of {name}; equal values score equally.",
                True,
                f"{name}_score between 1 and 5",
            )
            for name in ("recency", "frequency", "monetary")
        ),
        Field("rfm_code", "string", "The three scores, R F M.", required=True),
        Field("rfm_segment", "string", "Name by the rule set.", required=True),
        Field("rule_set", "string", "Which naming rules.", required=True),
        Field(
            "value_decile",
            "tinyint",
            "1 (most net revenue) to 10; equal values share a decile.",
            True,
            "value_decile between 1 and 10",
        ),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    measures={"customers": "count(1)", "net": "sum(monetary_amount)"},
)

RFM_THRESHOLDS = Table(
    name="rfm_thresholds",
    layer="gold",
    grain="one row per dimension and cut",
    key=("dimension", "cut_number"),
    partition_by=SNAPSHOT,
    fields=(
        Field("dimension", "string", "recency, frequency, monetary, value_decile.", required=True),
        Field("cut_number", "int", "1 for the lowest cut.", True, "cut_number >= 1"),
        Field("quantile", "double", "Share of customers at or below the cut.", True, "quantile > 0 and quantile < 1"),
        Field("cut_value", RATIO, "The cut: a value above it belongs to the next score.", required=True),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
)

SEGMENTS = Table(
    name="segments",
    layer="gold",
    grain="one row per segment",
    key=("segment_id",),
    partition_by=SNAPSHOT,
    fields=(
        Field("segment_id", "string", "segment_type:segment_name.", required=True),
        Field(
            "segment_type",
            "string",
            "Within a type each customer is in exactly one segment; all: the total.",
            required=True,
        ),
        Field("segment_name", "string", "Name; unknown where the attribute is not known.", required=True),
        Field("definition", "string", "How membership is decided.", required=True),
        _count("customer_count", "Members at as_of."),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    measures={"types": "count(distinct segment_type)", "memberships": "sum(customer_count)"},
)

CUSTOMER_SEGMENTS = Table(
    name="customer_segments",
    layer="gold",
    grain="one row per customer and segment type",
    key=("customer_id", "segment_type"),
    partition_by=SNAPSHOT,
    fields=(
        Field("customer_id", "string", "The customer.", required=True),
        Field("segment_id", "string", "The segment.", required=True),
        Field("segment_type", "string", "Its type.", required=True),
        Field("segment_name", "string", "Its name.", required=True),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    measures={"memberships": "count(1)", "in_total": "count_if(segment_type = 'all')"},
)

SEGMENT_METRICS = Table(
    name="segment_metrics",
    layer="gold",
    grain="one row per segment and calendar month from its first order to as_of; members are those at as_of",
    key=("segment_id", "period_month"),
    partition_by=SNAPSHOT,
    fields=(
        Field("segment_id", "string", "The segment.", required=True),
        Field("segment_type", "string", "Its type.", required=True),
        Field("segment_name", "string", "Its name.", required=True),
        Field("period_month", "date", "First day of the month.", required=True),
        Field("is_final", "boolean", "The month had ended at as_of.", required=True),
        Field("is_latest", "boolean", "The month of as_of: the row to read for figures so far.", required=True),
        _count("customer_count_start", "Active customers when the month began."),
        _count("new_customer_count", "First orders in the month."),
        _count("reactivated_customer_count", "Orders after a churn, first of the new spell."),
        _count("churned_customer_count", "Customers of the start whose churn date lies in the month."),
        _count("customer_count_end", "Active customers at the end of the month or at as_of."),
        _count("active_customer_count", "Customers with an order in the month."),
        _count("order_count", "Orders of the month."),
        _money("net_amount", "Net revenue of the month's orders.", True),
        _money("margin_amount", "Contribution margin of the month's orders; NULL: a cost is not known."),
        Field("average_order_value", RATIO, "net_amount / order_count; NULL: no_orders."),
        Field("arpu_amount", RATIO, "net_amount / active_customer_count; NULL: no_active_customers."),
        _status("month_status", "Why the month's averages are NULL.", "ok", "no_active_customers"),
        Field(
            "monthly_churn_rate",
            RATIO,
            "churned_customer_count / customer_count_start.",
            check="monthly_churn_rate between 0 and 1",
        ),
        Field("churn_rate_lower", RATIO, "Wilson interval of the month's rate at confidence_level."),
        Field("churn_rate_upper", RATIO, "Wilson interval of the month's rate at confidence_level."),
        _status("churn_status", "Whether the month's rate stands.", "ok", "no_starting_customers", "incomplete_month"),
        Field("churn_rate_12m", RATIO, "Churned over starting customers, summed over the last 12 complete months."),
        Field("churn_rate_12m_lower", RATIO, "Wilson interval of churn_rate_12m."),
        Field("churn_rate_12m_upper", RATIO, "Wilson interval of churn_rate_12m."),
        Field("churn_rate_stddev_12m", "double", "Standard deviation of the last 12 complete monthly rates."),
        Field("expected_lifetime_months", RATIO, "1 / churn_rate_12m; NULL: zero_churn or no history."),
        Field(
            "expected_lifetime_months_lower",
            RATIO,
            "1 / upper bound of the churn rate; with zero churn customer-months / 3.",
        ),
        Field(
            "expected_lifetime_months_capped",
            RATIO,
            "expected_lifetime_months up to lifetime_cap_months, which also stands for zero churn.",
        ),
        _status("lifetime_status", "Why the lifetime is NULL.", "ok", "zero_churn", "no_starting_customers"),
        _count("lifetime_customer_count", "Members whose first order is not after the month."),
        _count("lifetime_order_count", "Their orders up to the end of the month."),
        _money("lifetime_net_amount", "Their net revenue up to the end of the month.", True),
        _money("lifetime_margin_amount", "Their margin up to the end of the month; NULL: a cost is not known."),
        _count("exposure_days", "Their days since first order, summed, both ends counted."),
        Field("lifetime_average_order_value", RATIO, "lifetime_net_amount / lifetime_order_count."),
        Field(
            "purchase_frequency",
            RATIO,
            "Orders per customer-month: lifetime_order_count / exposure months of 365.25/12 days.",
        ),
        Field(
            "customer_value_amount", RATIO, "Net revenue per customer-month: average order value x purchase_frequency."
        ),
        Field(
            "margin_rate", RATIO, "lifetime_margin_amount / lifetime_net_amount; NULL: cost not known or no revenue."
        ),
        Field("historic_clv_avg", RATIO, "Net revenue so far per member."),
        Field("historic_margin_avg", RATIO, "Margin so far per member; NULL: a cost is not known."),
        Field(
            "clv_formula_amount",
            RATIO,
            "Average order value x purchase frequency x expected lifetime (x margin_rate if known).",
        ),
        Field("clv_formula_capped_amount", RATIO, "The same with expected_lifetime_months_capped."),
        Field("clv_discounted_amount", RATIO, "Value per month x (1 + d) / (d + churn), d the monthly discount rate."),
        _status("clv_basis", "What the formula CLV is measured in.", "contribution_margin", "net_revenue"),
        Field(
            "predicted_clv_avg", RATIO, "Mean predicted CLV of the members, in the latest month; NULL: not predicted."
        ),
        _count("predicted_customer_count", "Members with a prediction, in the latest month.", required=False),
        _share("value_share", "Share of lifetime_net_amount within the segment type."),
        _share("customer_share", "Share of lifetime_customer_count within the segment type."),
        Field(
            "clv_rank",
            "int",
            "1: highest historic plus predicted value per member within the type; ties share.",
            True,
            "clv_rank >= 1",
        ),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    rules=(
        Rule(
            "customers_bridge",
            "customer_count_start + new_customer_count + reactivated_customer_count - churned_customer_count = customer_count_end",
            "start + new + reactivated - churned = end",
        ),
    ),
    measures={
        "net_all": "sum(case when segment_type = 'all' then net_amount end)",
        "net_by_type": "sum(net_amount)",
        "orders_by_type": "sum(order_count)",
        "orders_all": "sum(case when segment_type = 'all' then order_count end)",
        "new_all": "sum(case when segment_type = 'all' then new_customer_count end)",
        "types": "count(distinct segment_type)",
    },
)

ACQUISITION_COSTS = Table(
    name="acquisition_costs",
    layer="gold",
    grain="one row per month, type of CAC and channel; channel all is the total",
    key=("period_month", "cac_type", "channel"),
    partition_by=SNAPSHOT,
    fields=(
        Field("period_month", "date", "First day of the month.", required=True),
        _status(
            "cac_type",
            "paid: spend marked paid. blended: all acquisition spend of type media. fully_loaded: every cost type.",
            "blended",
            "paid",
            "fully_loaded",
        ),
        Field("channel", "string", "Channel; all: every channel; unattributed: no channel known.", required=True),
        _money("spend_amount", "Spend of the month; NULL: spend_missing."),
        _count("new_customer_count", "Customers whose first order lies in the month."),
        Field("cac_amount", RATIO, "spend_amount / new_customer_count."),
        _status("cac_status", "Why CAC is NULL or 0.", "ok", "zero_spend", "no_new_customers", "spend_missing"),
        Field("attribution_model", "string", "How customers got their channel.", required=True),
        Field("is_final", "boolean", "The month had ended at as_of.", required=True),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    measures={
        "spend_all": "coalesce(sum(case when channel = 'all' then spend_amount end), 0)",
        "spend_channels": "coalesce(sum(case when channel <> 'all' then spend_amount end), 0)",
        "new_all": "sum(case when channel = 'all' and cac_type = 'blended' then new_customer_count end)",
        "new_channels": "sum(case when channel <> 'all' and cac_type = 'blended' then new_customer_count end)",
    },
)

UNIT_ECONOMICS = Table(
    name="unit_economics",
    layer="gold",
    grain="one row per cohort month, type of CAC and channel; channel all is the total",
    key=("cohort_month", "cac_type", "channel"),
    partition_by=SNAPSHOT,
    fields=(
        Field("cohort_month", "date", "Month of the first order.", required=True),
        _status("cac_type", "As in acquisition_costs.", "blended", "paid", "fully_loaded"),
        Field("channel", "string", "Acquisition channel; all: every channel.", required=True),
        _count("customer_count", "Customers of the cohort."),
        _status("clv_basis", "What value is measured in.", "contribution_margin", "net_revenue"),
        Field("clv_horizon_days", "int", "Horizon of the predicted part, in days.", required=True),
        Field("historic_clv_avg", RATIO, "Value so far per customer of the cohort, in clv_basis."),
        Field("predicted_clv_avg", RATIO, "Predicted value per customer over the horizon; NULL: not predicted."),
        Field("clv_amount", RATIO, "historic + predicted per customer; without predictions historic alone."),
        _status("clv_status", "What clv_amount holds.", "ok", "historic_only", "value_unknown", "no_customers"),
        Field("cac_amount", RATIO, "CAC of the same cohort, channel and type."),
        Field("ltv_to_cac_ratio", RATIO, "clv_amount / cac_amount."),
        _status("ratio_status", "Why the ratio is NULL.", "ok", "zero_cac", "cac_unknown", "value_unknown"),
        Field("monthly_value_per_customer", RATIO, "Value so far per customer-month of the cohort."),
        Field("simple_payback_months", RATIO, "cac_amount / monthly_value_per_customer; NULL: see payback_status."),
        _status(
            "payback_status",
            "Why the payback is NULL or 0.",
            "ok",
            "zero_cac",
            "cac_unknown",
            "value_unknown",
            "no_value",
        ),
        Field("target_ltv_to_cac", RATIO, "Ratio that a new customer must reach.", required=True),
        Field("max_allowable_cac_amount", RATIO, "clv_amount / target_ltv_to_cac; 0 where the value is not positive."),
        _status("max_cac_status", "How the maximum is to be read.", "ok", "unprofitable", "value_unknown"),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    measures={
        "customers_all": "sum(case when channel = 'all' and cac_type = 'blended' then customer_count end)",
        "customers_channels": "sum(case when channel <> 'all' and cac_type = 'blended' then customer_count end)",
    },
)

CUSTOMER_PREDICTIONS = Table(
    name="customer_predictions",
    layer="gold",
    grain="one row per customer, model and horizon",
    key=("customer_id", "model_id", "horizon_days"),
    partition_by=SNAPSHOT,
    fields=(
        Field("customer_id", "string", "The customer.", required=True),
        Field("model_id", "string", "Transaction and spend model.", required=True),
        Field("horizon_days", "int", "Days after as_of that are predicted.", True, "horizon_days > 0"),
        _status("value_basis", "What value is measured in.", "contribution_margin", "net_revenue"),
        _probability(
            "probability_alive", "P(alive) of the transaction model; BG/NBD calls every one-time buyer alive."
        ),
        _probability("churn_probability", "1 - P(alive) of MBG/NBD, where a one-time buyer may have left."),
        Field(
            "expected_orders", "double", "Expected days with orders within the horizon.", check="expected_orders >= 0"
        ),
        Field(
            "expected_order_value",
            "double",
            "Expected value per such day (Gamma-Gamma); one-time buyers: population mean.",
            check="expected_order_value >= 0",
        ),
        Field(
            "predicted_clv_amount",
            MONEY_SUM,
            "Expected value within the horizon, discounted month by month.",
            check="predicted_clv_amount >= 0",
        ),
        Field("total_clv_amount", MONEY_SUM, "historic_clv_amount + predicted_clv_amount."),
        Field(
            "prediction_status",
            "string",
            "ok, or why figures are NULL.",
            True,
            _within(
                "prediction_status",
                ("ok", "model_not_converged", "too_few_customers", "spend_model_unusable", "margin_unknown"),
            ),
        ),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
    rules=(
        Rule(
            "ok_means_predicted",
            "(prediction_status = 'ok') = (predicted_clv_amount is not null and expected_orders is not null)"
            " or prediction_status = 'margin_unknown'",
            "a prediction with status ok has its figures, any other has none",
        ),
    ),
    measures={"rows": "count(1)", "horizons": "count(distinct horizon_days)"},
)

MODEL_FITS = Table(
    name="model_fits",
    layer="gold",
    grain="one row per model and parameter",
    key=("model_id", "segment_id", "parameter"),
    partition_by=SNAPSHOT,
    fields=(
        Field("model_id", "string", "bg_nbd, mbg_nbd, gamma_gamma, nbd.", required=True),
        Field("segment_id", "string", "Whose customers; all:all is the pooled fit.", required=True),
        Field("parameter", "string", "Name of the parameter.", required=True),
        Field("estimate", "double", "Maximum-likelihood estimate, time in weeks; NULL: no fit."),
        Field("standard_error", "double", "From the Hessian of the log-parameters (delta method)."),
        Field("log_likelihood", "double", "Of the whole fit."),
        _count("customer_count", "Customers in the fit."),
        _count("distinct_statistics_count", "Distinct (x, t_x, T) or (x, m) in the fit."),
        _count("excluded_customer_count", "Customers left out: for Gamma-Gamma without a positive repeat value."),
        Field(
            "sampled_share",
            "double",
            "Share of customers in the fit; 1: all.",
            True,
            "sampled_share > 0 and sampled_share <= 1",
        ),
        Field("is_converged", "boolean", "The optimiser reached an interior optimum.", required=True),
        Field("gradient_norm", "double", "Norm of the gradient of the mean log-likelihood."),
        Field("fit_status", "string", "converged, or why the fit is not used.", required=True),
        Field("time_unit_days", "double", "Days per unit of time of the parameters.", required=True),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
)

DATA_QUALITY_RESULTS = Table(
    name="data_quality_results",
    layer="gold",
    grain="one row per run and expectation",
    key=("run_id", "table_name", "expectation"),
    partition_by=SNAPSHOT,
    fields=(
        Field("run_id", "string", "The run.", required=True),
        Field("table_name", "string", "The audited table.", required=True),
        Field("expectation", "string", "What was expected.", required=True),
        Field("meaning", "string", "The expectation in words.", required=True),
        _status("severity", "error stops the publication, warning is shown.", "error", "warning"),
        Field("is_success", "boolean", "It was met.", required=True),
        Field("observed_value", "string", "What was found."),
        Field("unexpected_count", "bigint", "Rows (or units of the last digit) that break it."),
        Field("threshold", "string", "What was allowed."),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
)

PIPELINE_RUNS = Table(
    name="pipeline_runs",
    layer="control",
    grain="one row per run",
    key=("run_id",),
    partition_by=("run_id",),
    fields=(
        Field(
            "run_id",
            "string",
            "Derived from as_of, input versions, configuration and code; also the snapshot_id.",
            required=True,
        ),
        Field("as_of_date", "date", "Last day that counts.", required=True),
        Field("status", "string", "started, gate_failed, published, superseded.", required=True),
        Field("code_version", "string", "Version of clv_lib.", required=True),
        Field("config_hash", "string", "SHA-256 of the settings that change results.", required=True),
        Field("configuration", "string", "Those settings as JSON.", required=True),
        Field(
            "input_versions",
            "map<string,string>",
            "Source to Delta version, or a fingerprint of its files.",
            required=True,
        ),
        Field(
            "silver_versions", "map<string,bigint>", "Silver table to the Delta version this run read.", required=True
        ),
        Field("value_basis", "string", "What value is measured in."),
        Field("started_at", "timestamp", "When the run began (clock of the driver).", required=True),
        Field("finished_at", "timestamp", "When it was published or failed."),
    ),
)

PUBLISHED = Table(
    name="published",
    layer="control",
    grain="one row: which snapshot readers see",
    key=("dataset",),
    fields=(
        Field("dataset", "string", "Always clv.", required=True),
        Field("snapshot_id", "string", "The published snapshot.", required=True),
        Field("previous_snapshot_id", "string", "The one before; NULL for the first."),
        Field("sequence", "bigint", "Counts publications and rollbacks.", required=True),
        Field("as_of_date", "date", "as_of of the snapshot.", required=True),
        Field(
            "silver_versions", "map<string,bigint>", "Silver table to the Delta version of the snapshot.", required=True
        ),
        Field("published_at", "timestamp", "When (clock of the driver).", required=True),
    ),
)

CUSTOMER_TABLES = (CUSTOMER_METRICS, CUSTOMER_RFM, RFM_THRESHOLDS)
SEGMENT_TABLES = (SEGMENTS, CUSTOMER_SEGMENTS)
PREDICTION_TABLES = (CUSTOMER_PREDICTIONS, MODEL_FITS)
ECONOMICS_TABLES = (SEGMENT_METRICS, ACQUISITION_COSTS, UNIT_ECONOMICS)
