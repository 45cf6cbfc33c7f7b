"""Gold tables of the models: what they predict and how they fit."""

from __future__ import annotations

from clv_lib.contracts.columns import SNAPSHOT, count, probability, status, within
from clv_lib.contracts.types import MONEY_SUM, Field, Rule, Table

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
        status("value_basis", "What value is measured in.", "contribution_margin", "net_revenue"),
        probability("probability_alive", "P(alive) of the transaction model; BG/NBD calls every one-time buyer alive."),
        probability("churn_probability", "1 - P(alive) of MBG/NBD, where a one-time buyer may have left."),
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
            within(
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
        count("customer_count", "Customers in the fit."),
        count("distinct_statistics_count", "Distinct (x, t_x, T) or (x, m) in the fit."),
        count("excluded_customer_count", "Customers left out: for Gamma-Gamma without a positive repeat value."),
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
