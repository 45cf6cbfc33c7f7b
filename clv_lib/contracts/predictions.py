"""Gold tables of the models: what they predict for customers and segments, and how they fit."""

from __future__ import annotations

from itertools import pairwise

from clv_lib.contracts.columns import SNAPSHOT, count, probability, status, within
from clv_lib.contracts.types import MONEY_SUM, Field, Rule, Table

SPEND_MODEL_NAME = "gamma_gamma"
NO_DEATH = "nbd"
"""The model in which nobody leaves, which stands in where nobody is seen to."""

ORDER_MODEL_NAMES = ("bg_nbd", "mbg_nbd", "pareto_nbd", NO_DEATH)
NO_CHURN_SEEN = "no_churn_seen"
BANDS = ("low", "medium", "high")
"""Of churn risk and of spend, in ascending order."""

_CUSTOMER = Field("customer_id", "string", "The customer.", required=True)
_MODEL = Field("model_id", "string", "Transaction and spend model.", required=True)
_HORIZON = Field("horizon_days", "int", "Days after as_of that are predicted.", True, "horizon_days > 0")
_BASIS = status("value_basis", "What value is measured in.", "contribution_margin", "net_revenue")
_LEVEL = Field(
    "interval_level", "double", "Level of every interval.", True, "interval_level > 0 and interval_level < 1"
)
_AS_OF = Field("as_of_date", "date", "Last day that counts.", required=True)


def expected(name: str, meaning: str) -> Field:
    """An expected number, never negative."""
    return Field(name, "double", meaning, check=f"{name} >= 0")


def predicted_money(name: str, meaning: str) -> Field:
    """A predicted amount, never negative."""
    return Field(name, MONEY_SUM, meaning, check=f"{name} >= 0")


def ordered(*names: str) -> Rule:
    """The ends of an interval are in order, as far as they are known."""
    low, high = names[0], names[-1]
    pairs = " and ".join(f"coalesce({a} <= {b}, true)" for a, b in pairwise(names))
    return Rule(f"{low}_below_{high}", pairs, f"{' <= '.join(names)}")


CUSTOMER_PREDICTIONS = Table(
    name="customer_predictions",
    layer="gold",
    grain="one row per customer, model and horizon",
    key=("customer_id", "model_id", "horizon_days"),
    partition_by=SNAPSHOT,
    fields=(
        _CUSTOMER,
        _MODEL,
        _HORIZON,
        Field(
            "fit_segment_id",
            "string",
            "Whose fit of the model of orders scored the customer, in model_fits; all:all is the pooled fit.",
            required=True,
        ),
        Field(
            "spend_fit_segment_id",
            "string",
            "Whose fit of Gamma-Gamma did, in model_fits; all:all is the pooled fit.",
            required=True,
        ),
        _BASIS,
        probability("probability_alive", "P(alive) of the transaction model; BG/NBD calls every one-time buyer alive."),
        probability("probability_alive_lower", "Low end of its interval (uncertainty of the parameters)."),
        probability("probability_alive_upper", "High end of its interval (uncertainty of the parameters)."),
        probability(
            "churn_probability",
            "1 - P(alive) of a model in which a one-time buyer may have left: that published, or MBG/NBD for BG/NBD.",
        ),
        Field(
            "churn_risk",
            "string",
            "Band of churn_probability: low, medium, high; cuts in prediction_bands.",
            check=within("churn_risk", BANDS),
        ),
        expected("expected_orders", "Expected days with orders within the horizon."),
        expected("expected_orders_lower", "Low end of the interval of the mean (uncertainty of the parameters)."),
        expected("expected_orders_upper", "High end of the interval of the mean (uncertainty of the parameters)."),
        expected("orders_lower", "Low end of the predictive interval: days with orders that this customer may have."),
        expected("orders_upper", "High end of the predictive interval: days with orders that this customer may have."),
        expected(
            "expected_order_value", "Expected value per such day (Gamma-Gamma); one-time buyers: population mean."
        ),
        predicted_money("predicted_clv_amount", "Expected value within the horizon, discounted month by month."),
        predicted_money("predicted_clv_mean_lower_amount", "Low end of the interval of the mean (parameters only)."),
        predicted_money("predicted_clv_mean_upper_amount", "High end of the interval of the mean (parameters only)."),
        predicted_money(
            "predicted_clv_lower_amount", "Low end of the predictive interval of the value to be realised."
        ),
        predicted_money(
            "predicted_clv_upper_amount", "High end of the predictive interval of the value to be realised."
        ),
        expected(
            "predicted_clv_variance",
            "Variance of that value by the customer's own randomness; NULL: the spend has none that is finite.",
        ),
        predicted_money(
            "residual_clv_amount",
            "Expected discounted value of all future orders, without a horizon; NULL: no discount, or no_churn_seen.",
        ),
        predicted_money("residual_clv_mean_lower_amount", "Low end of the interval of that mean (parameters only)."),
        predicted_money("residual_clv_mean_upper_amount", "High end of the interval of that mean (parameters only)."),
        Field("total_clv_amount", MONEY_SUM, "historic_clv_amount + predicted_clv_amount."),
        Field(
            "spend_tier",
            "string",
            "Band of predicted_clv_amount: low, medium, high; cuts in prediction_bands.",
            check=within("spend_tier", BANDS),
        ),
        Field(
            "expected_next_order_date", "date", "Last order + median gap of a customer who comes back; past: overdue."
        ),
        status(
            "next_order_status",
            "Whose gap it is; population_gap: one order, so nothing of the customer's own; too_far: over 100 years.",
            "own_gaps",
            "population_gap",
            "too_far",
            "no_model",
        ),
        _LEVEL,
        status(
            "prediction_status",
            "Why figures are NULL; no_churn_seen: those of churn and the residual value, the others are as if all"
            " stayed.",
            "ok",
            NO_CHURN_SEEN,
            "model_not_converged",
            "too_few_customers",
            "spend_model_unusable",
            "margin_unknown",
        ),
        _AS_OF,
    ),
    rules=(
        Rule(
            "ok_means_predicted",
            f"(prediction_status in ('ok', '{NO_CHURN_SEEN}'))"
            " = (predicted_clv_amount is not null and expected_orders is not null)"
            " or prediction_status = 'margin_unknown'",
            f"a prediction with status ok or {NO_CHURN_SEEN} has its figures, any other has none",
        ),
        Rule(
            "no_churn_without_death",
            f"not startswith(model_id, '{NO_DEATH}+')"
            " or coalesce(probability_alive, churn_probability, residual_clv_amount) is null",
            "a model in which nobody leaves says nothing of churn and of value without a horizon",
        ),
        ordered("probability_alive_lower", "probability_alive", "probability_alive_upper"),
        ordered("expected_orders_lower", "expected_orders", "expected_orders_upper"),
        ordered("orders_lower", "orders_upper"),
        ordered("predicted_clv_mean_lower_amount", "predicted_clv_amount", "predicted_clv_mean_upper_amount"),
        ordered("predicted_clv_lower_amount", "predicted_clv_upper_amount"),
        ordered("residual_clv_mean_lower_amount", "residual_clv_amount", "residual_clv_mean_upper_amount"),
    ),
    measures={
        "rows": "count(1)",
        "horizons": "count(distinct horizon_days)",
        "predicted": "coalesce(sum(predicted_clv_amount), 0)",
    },
)

SEGMENT_PREDICTIONS = Table(
    name="segment_predictions",
    layer="gold",
    grain="one row per segment, model and horizon: the sum over its members, with its intervals",
    key=("segment_id", "model_id", "horizon_days"),
    partition_by=SNAPSHOT,
    fields=(
        Field("segment_id", "string", "The segment; all:all is every customer.", required=True),
        _MODEL,
        _HORIZON,
        _BASIS,
        count("customer_count", "Members."),
        count("predicted_customer_count", "Members with a predicted value; the amounts are sums over them."),
        expected("expected_orders", "Expected days with orders of the members."),
        expected("expected_orders_lower", "Low end of the interval of the mean (parameters only)."),
        expected("expected_orders_upper", "High end of the interval of the mean (parameters only)."),
        expected("orders_lower", "Low end of the predictive interval of the members' days with orders."),
        expected("orders_upper", "High end of the predictive interval of the members' days with orders."),
        predicted_money("predicted_clv_amount", "Sum of the members' predicted_clv_amount; NULL: none predicted."),
        predicted_money("predicted_clv_mean_lower_amount", "Low end of the interval of the mean (parameters only)."),
        predicted_money("predicted_clv_mean_upper_amount", "High end of the interval of the mean (parameters only)."),
        predicted_money("predicted_clv_lower_amount", "Low end of the predictive interval of the sum to be realised."),
        predicted_money("predicted_clv_upper_amount", "High end of the predictive interval of the sum to be realised."),
        predicted_money("residual_clv_amount", "Sum of the members' residual_clv_amount."),
        predicted_money("residual_clv_mean_lower_amount", "Low end of the interval of that mean (parameters only)."),
        predicted_money("residual_clv_mean_upper_amount", "High end of the interval of that mean (parameters only)."),
        predicted_money("residual_clv_lower_amount", "Low end of the predictive interval of the residual value."),
        predicted_money("residual_clv_upper_amount", "High end of the predictive interval of the residual value."),
        _LEVEL,
        status(
            "interval_status",
            "Why predictive intervals of value are NULL: the spend of a member has no finite variance, or nothing is"
            " predicted.",
            "ok",
            "infinite_variance",
            "not_predicted",
        ),
        status(
            "residual_status",
            "The same of the residual value; no_discount_rate: it is NULL, since it may be infinite; no_churn_seen: it"
            " is NULL, since nobody leaves in the model.",
            "ok",
            "infinite_variance",
            "not_predicted",
            "no_discount_rate",
            NO_CHURN_SEEN,
        ),
        _AS_OF,
    ),
    rules=(
        ordered("expected_orders_lower", "expected_orders", "expected_orders_upper"),
        ordered("orders_lower", "orders_upper"),
        ordered("predicted_clv_lower_amount", "predicted_clv_upper_amount"),
        ordered("residual_clv_lower_amount", "residual_clv_upper_amount"),
        Rule(
            "residual_interval_when_ok",
            "(residual_status = 'ok') = (residual_clv_lower_amount is not null)",
            "the predictive interval of the residual value is there if its status is ok, and only then",
        ),
    ),
    measures={"predicted_all": "coalesce(sum(case when segment_id = 'all:all' then predicted_clv_amount end), 0)"},
)

PREDICTION_BANDS = Table(
    name="prediction_bands",
    layer="gold",
    grain="one row per kind of band, horizon and band: where a band begins, and how many customers are in it",
    key=("band_type", "horizon_days", "band"),
    partition_by=SNAPSHOT,
    may_be_empty=True,
    fields=(
        status("band_type", "What is cut.", "churn_risk", "spend_tier"),
        _HORIZON,
        status("band", "Name of the band.", *BANDS),
        Field("lower_value", "double", "The band begins here, inclusive: a probability, or an amount.", required=True),
        Field("upper_value", "double", "The band ends before this; NULL: no end."),
        count("customer_count", "Customers in the band."),
        _AS_OF,
    ),
)

MODEL_FITS = Table(
    name="model_fits",
    layer="gold",
    grain="one row per model, group of customers that it was fitted to, and parameter",
    key=("model_id", "segment_id", "parameter"),
    partition_by=SNAPSHOT,
    fields=(
        Field("model_id", "string", "bg_nbd, mbg_nbd, pareto_nbd, gamma_gamma, nbd.", required=True),
        Field("segment_id", "string", "Whose customers; all:all is the pooled fit. Groups: if taken.", required=True),
        Field("parameter", "string", "Name of the parameter.", required=True),
        Field("estimate", "double", "Maximum-likelihood estimate, time in weeks; NULL: no fit."),
        Field("standard_error", "double", "From the Hessian of the log-parameters (delta method)."),
        Field(
            "covariances",
            "map<string,double>",
            "Covariance with each parameter of the fit, by name; empty: no fit.",
            required=True,
        ),
        Field("log_likelihood", "double", "Of the whole fit."),
        count("customer_count", "Customers in the fit."),
        count("distinct_statistics_count", "Distinct (x, t_x, T) or (x, m) in the fit."),
        count("excluded_customer_count", "Customers left out: for Gamma-Gamma without a positive repeat value."),
        Field(
            "sampled_share",
            "double",
            "Share of customers in the fit; 1: all. Standard errors are those of the sample.",
            True,
            "sampled_share > 0 and sampled_share <= 1",
        ),
        Field("spend_correlation", "double", "Gamma-Gamma only: correlation of x and mean value, which it takes as 0."),
        Field("is_converged", "boolean", "There is an optimum that may be used, see fit_status.", required=True),
        Field("gradient_norm", "double", "Norm of the gradient of the mean log-likelihood."),
        Field(
            "fit_status",
            "string",
            "converged, homogeneous (r, b or s held), mean_constrained (Gamma-Gamma with the observed mean), or why the"
            " fit is not used.",
            required=True,
        ),
        Field("is_published_model", "boolean", "customer_predictions come from this fit.", required=True),
        Field(
            "selection_reason",
            "string",
            "Why the model of orders, or the fit of a group, was taken or not; NULL: not a candidate.",
        ),
        Field("time_unit_days", "double", "Days per unit of time of the parameters.", required=True),
        _AS_OF,
    ),
)
