"""Gold tables that say how well the models did on a part of the data that they had not seen."""

from __future__ import annotations

from clv_lib.contracts.columns import SNAPSHOT, count, probability, status, within
from clv_lib.contracts.predictions import ORDER_MODEL_NAMES, SPEND_MODEL_NAME
from clv_lib.contracts.types import Field, Table

LAST_PERIOD = "last_period"
MEAN_RATE = "mean_rate"
HIATUS = "hiatus"
BASELINES = (LAST_PERIOD, MEAN_RATE, HIATUS)
"""What a model has to beat: the last period again, the customer's mean rate, and activity by days of silence."""

BY_GROUP = "by_group"
"""The published model with its fits per group, as far as a grouping is taken."""

ORDERS, ORDER_VALUE = "orders", "order_value"
GROUPED_MEASURES = (ORDERS, ORDER_VALUE)
"""What may be fitted per group, each by a grouping of its own."""

EVALUATED = (*ORDER_MODEL_NAMES, BY_GROUP, *BASELINES)

_MODEL = Field(
    "model_id",
    "string",
    "Model of orders (with Gamma-Gamma for value), in its pooled fit; by_group: the published model with the fits of"
    " the groupings that are taken; nbd, in which nobody leaves; or a baseline: last_period (the same again),"
    " mean_rate (the customer's rate so far goes on), hiatus (active if the last order is recent enough; no amounts).",
    True,
    within("model_id", EVALUATED),
)
_CALIBRATION_END = Field("calibration_end_date", "date", "Last day that the model has seen.", required=True)
_HOLDOUT = Field("horizon_days", "int", "Days after it that are predicted and compared.", True, "horizon_days > 0")
_AS_OF = Field("as_of_date", "date", "Last day that counts.", required=True)


def figure(name: str, meaning: str) -> Field:
    """A DOUBLE that may be NULL."""
    return Field(name, "double", meaning)


PREDICTION_ACCURACY = Table(
    name="prediction_accuracy",
    layer="gold",
    grain="one row per model or baseline, end of calibration, horizon and segment",
    key=("model_id", "calibration_end_date", "horizon_days", "segment_id"),
    partition_by=SNAPSHOT,
    may_be_empty=True,
    fields=(
        _MODEL,
        _CALIBRATION_END,
        _HOLDOUT,
        Field("segment_id", "string", "Segment at the end of calibration; all:all is every customer.", required=True),
        Field("is_baseline", "boolean", "A baseline, not a model.", required=True),
        Field(
            "is_published_model",
            "boolean",
            "customer_predictions come from this model: by_group where a grouping is taken.",
            required=True,
        ),
        count("customer_count", "Customers compared: those with an order up to the end of calibration."),
        Field(
            "sampled_share",
            "double",
            "Share of the customers that was compared (by hash of the id); 1: all.",
            True,
            "sampled_share > 0 and sampled_share <= 1",
        ),
        figure("actual_orders", "Days with orders in the horizon."),
        figure("predicted_orders", "Expected days with orders; NULL: the model predicts no number."),
        figure("orders_bias_ratio", "predicted_orders / actual_orders; 1 is unbiased."),
        figure("orders_mae", "Mean absolute error per customer."),
        figure("orders_rmse", "Root mean squared error per customer; lowest for the best expected value."),
        figure("orders_wape", "Sum of absolute errors / actual_orders; favours predictions near the median, often 0."),
        figure("orders_spearman", "Rank correlation of predicted and actual, ties at their middle rank."),
        figure("orders_normalised_gini", "Gini of actual by predicted order over Gini by actual order; 1 is perfect."),
        figure("orders_top_decile_capture", "Share of actual orders from the tenth predicted to order most."),
        figure("orders_interval_coverage", "Share of customers inside their predictive interval."),
        figure("orders_total_lower", "Low end of the predictive interval of the sum."),
        figure("orders_total_upper", "High end of the predictive interval of the sum."),
        figure("actual_amount", "Value realised in the horizon, in the run's value basis."),
        figure("predicted_amount", "Expected value, not discounted; NULL: no usable spend model."),
        figure("amount_bias_ratio", "predicted_amount / actual_amount; 1 is unbiased."),
        figure("amount_mae", "Mean absolute error per customer."),
        figure("amount_rmse", "Root mean squared error per customer."),
        figure("amount_wape", "Sum of absolute errors / actual_amount."),
        figure("amount_spearman", "Rank correlation of predicted and actual, ties at their middle rank."),
        figure("amount_normalised_gini", "Gini of actual by predicted order over Gini by actual order."),
        figure("amount_top_decile_capture", "Share of actual value from the tenth predicted to be worth most."),
        figure("amount_interval_coverage", "Share of customers inside their predictive interval."),
        figure("amount_total_lower", "Low end of the predictive interval of the sum."),
        figure("amount_total_upper", "High end of the predictive interval of the sum."),
        probability("actual_active_share", "Share of customers with an order in the horizon."),
        probability("predicted_active_share", "Mean predicted probability of an order in the horizon."),
        figure("activity_brier_score", "Mean squared error of that probability: 0 is perfect, 0.25 a coin."),
        Field("interval_level", "double", "Nominal level of the intervals.", required=True),
        figure("baseline_orders_rmse", "Lowest orders_rmse of a baseline in this segment."),
        Field("beats_baselines", "boolean", "orders_rmse is below that; NULL for baselines and without figures."),
        status(
            "accuracy_status", "Why figures are NULL.", "ok", "no_orders_in_horizon", "model_unusable", "activity_only"
        ),
        _AS_OF,
    ),
)

PREDICTION_CALIBRATION = Table(
    name="prediction_calibration",
    layer="gold",
    grain="one row per model or baseline, end of calibration, horizon, kind of bucket and bucket",
    key=("model_id", "calibration_end_date", "horizon_days", "bucket_type", "bucket"),
    partition_by=SNAPSHOT,
    may_be_empty=True,
    fields=(
        _MODEL,
        _CALIBRATION_END,
        _HOLDOUT,
        status(
            "bucket_type",
            "frequency: repeat purchase days at the end of calibration, 7 is 7 and more. predicted_decile: tenth of the"
            " customers by predicted orders, 1 the highest.",
            "frequency",
            "predicted_decile",
        ),
        Field("bucket", "int", "The bucket.", True, "bucket >= 0"),
        count("customer_count", "Customers in it."),
        Field("actual_orders_mean", "double", "Days with orders per customer.", required=True),
        figure("predicted_orders_mean", "Expected days with orders per customer."),
        _AS_OF,
    ),
)

PREDICTION_TRACKING = Table(
    name="prediction_tracking",
    layer="gold",
    grain="one row per model, end of calibration and month: repeat orders, actual and expected",
    key=("model_id", "calibration_end_date", "period_month"),
    partition_by=SNAPSHOT,
    may_be_empty=True,
    fields=(
        _MODEL,
        _CALIBRATION_END,
        Field("period_month", "date", "First day of a month that had ended at as_of.", required=True),
        Field("actual_orders", "double", "Repeat purchase days of the month.", required=True),
        Field(
            "predicted_orders",
            "double",
            "Expected repeat purchase days, from the first order days alone.",
            required=True,
        ),
        Field("cumulative_actual_orders", "double", "Up to the end of the month.", required=True),
        Field("cumulative_predicted_orders", "double", "Up to the end of the month.", required=True),
        Field("is_holdout", "boolean", "The month ends after the calibration.", required=True),
        _AS_OF,
    ),
)

PREDICTION_GROUPINGS = Table(
    name="prediction_groupings",
    layer="gold",
    grain="one row per measure, grouping and group, all:all too: fits per group beside the pooled fit",
    key=("measure", "grouping", "segment_id"),
    partition_by=SNAPSHOT,
    may_be_empty=True,
    fields=(
        status(
            "measure",
            "What is fitted. orders: days with orders. order_value: their value, given how many they are.",
            *GROUPED_MEASURES,
        ),
        Field("grouping", "string", "Segment type, or first_order_value_band, by which was fitted.", required=True),
        Field("segment_id", "string", "The group; all:all is every customer, each by the fit used.", required=True),
        Field(
            "model_id",
            "string",
            "The published model of orders, or gamma_gamma.",
            True,
            within("model_id", (*ORDER_MODEL_NAMES, SPEND_MODEL_NAME)),
        ),
        _CALIBRATION_END,
        _HOLDOUT,
        figure("lower_value", "first_order_value_band: first days above this are in the band; NULL: no low end."),
        figure("upper_value", "first_order_value_band: first days up to this are in the band; NULL: no high end."),
        count(
            "fitted_customer_count",
            "Customers of the group at the end of calibration to whom it was fitted; order_value: with a repeat value.",
        ),
        count("customer_count", "Customers compared; order_value: who bought in the horizon."),
        Field(
            "sampled_share",
            "double",
            "Share of the customers that was compared (by hash of the id); 1: all.",
            True,
            "sampled_share > 0 and sampled_share <= 1",
        ),
        status(
            "fit_used", "Whose fit said the group's figures; mixed: some groups their own.", "own", "pooled", "mixed"
        ),
        Field("fit_status", "string", "As in model_fits, of the group's own fit; NULL for all customers."),
        figure("actual_value", "Days with orders in the horizon, or their value."),
        *(
            figure(f"{who}_{name}", f"{meaning} {by}")
            for name, meaning in (
                ("predicted_value", "What was expected of that,"),
                ("bias_ratio", "Expected / actual_value,"),
                ("mae", "Mean absolute error per customer,"),
                ("rmse", "Root mean squared error per customer,"),
                ("wape", "Sum of absolute errors / actual_value,"),
                ("log_score", "Mean log-density of what a customer did in the holdout; higher is better,"),
            )
            for who, by in (("pooled", "by the pooled fit."), ("grouped", "by the fit used."))
        ),
        figure("log_score_gain", "grouped_log_score - pooled_log_score."),
        figure("log_score_gain_standard_error", "Its standard error over customers; NULL: one customer."),
        Field(
            "beats_pooled",
            "boolean",
            "log_score_gain is above two standard errors and grouped_rmse below pooled_rmse.",
            required=True,
        ),
        Field("is_taken", "boolean", "customer_predictions come from the fits of this grouping.", required=True),
        Field("reason", "string", "Why the grouping was taken or not.", required=True),
        _AS_OF,
    ),
)
