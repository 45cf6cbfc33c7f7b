"""Blocks of the report on how far to trust it: model fit, data quality, and what is absent and why."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from clv_lib.contracts.accuracy import BY_GROUP
from clv_lib.contracts.inputs import counted_reason
from clv_lib.contracts.predictions import NO_DEATH, SPEND_MODEL_NAME
from clv_lib.models.fitting import AT_BOUND, WORSE_THAN_NBD
from clv_lib.report.text import count, labelled, percent, significant, wrapped
from clv_lib.scoring.fits import PARAMETERS_OF_LEAVING
from clv_lib.settings.predictions import AUTO

if TYPE_CHECKING:
    from pyspark.sql import Row, SparkSession

    from clv_lib.pipeline import Outcome
    from clv_lib.settings import Settings

WARNING_MARK = "warning: "
"""How the notes of a run begin that repeat a warning of the gate."""

_FITS = "SELECT * FROM model_fits ORDER BY model_id, segment_id, parameter"

_ACCURACY = """
SELECT * FROM prediction_accuracy WHERE segment_id = 'all:all'
ORDER BY calibration_end_date DESC, horizon_days DESC, model_id
"""

_GROUPINGS = """
SELECT measure, grouping, is_taken, reason FROM prediction_groupings WHERE segment_id = 'all:all'
ORDER BY measure DESC, is_taken DESC, log_score_gain DESC, grouping
"""

_CHECKS = """
SELECT table_name, expectation, meaning, severity, is_success, observed_value, threshold
FROM data_quality_results ORDER BY table_name, expectation
"""

_REASONS = """
SELECT source_name, reason, count(1) AS row_count
FROM quarantined_rows LATERAL VIEW explode(reasons) AS reason
GROUP BY source_name, reason ORDER BY source_name, row_count DESC, reason
"""

_DISPOSITIONS = """
SELECT source_name, disposition, sum(row_count) AS row_count
FROM conservation GROUP BY source_name, disposition
ORDER BY source_name, disposition <> 'input', disposition <> 'accepted', row_count DESC, disposition
"""


def model_fit(spark: SparkSession, settings: Settings) -> list[str]:
    """Parameters with standard errors, log-likelihood and convergence of each fit, and how to read P(alive)."""
    rows = spark.sql(_FITS).collect()
    if not rows:
        return labelled("Models", "none was fitted")
    fits = [list(fit) for _, fit in groupby(rows, key=lambda row: (row["model_id"], row["segment_id"]))]
    taken = [fit for fit in fits if fit[0]["is_published_model"] or fit[0]["model_id"] == SPEND_MODEL_NAME]
    lines = [line for fit in taken for line in _fit_lines(fit)]
    pooled = [fit[0] for fit in taken if fit[0]["segment_id"] == "all:all" and fit[0]["selection_reason"]]
    lines += [line for row in pooled for line in wrapped(_taken(row), "  taken: ")]
    for row in spark.sql(_GROUPINGS).collect():
        verdict = "taken" if row["is_taken"] else "not taken"
        what = f"{row['measure'].replace('_', ' ')} by {row['grouping']}"
        lines += wrapped(f"{verdict}, {row['reason']}", f"  fits of {what}: ")
    others = [_short(fit[0]) for fit in fits if fit not in taken]
    if others:
        lines += wrapped(", ".join(others), "  also fitted: ")
    lines += _if_nobody_leaves([fit[0] for fit in fits], settings.predictions.model)
    if any(fit[0]["model_id"] == "bg_nbd" for fit in taken):
        lines.append("  BG/NBD calls every one-time buyer alive; churn_probability, of MBG/NBD, does not")
    return ["Models (estimate ± standard error, times in weeks)", *lines]


def accuracy(spark: SparkSession) -> list[str]:
    """What the published model said of the last days before it saw them, and whether a simple rule did better.

    Where it was not usable then, the NBD stands for it, which is its limit if nobody is seen to leave.
    """
    rows = spark.sql(_ACCURACY).collect()
    known = [row for row in rows if row["orders_rmse"] is not None]
    published = [row for row in known if row["is_published_model"]]
    without_death = [row for row in known if row["model_id"] == NO_DEATH]
    if not published and not without_death:
        return labelled("Accuracy", "the published model was not compared with days that it had not seen")
    row = (published or without_death)[0]
    name = "the model with its fits per group" if row["model_id"] == BY_GROUP else row["model_id"]
    if not published:
        name = f"{NO_DEATH}, in which nobody leaves, since the published model was not usable,"
    lines = labelled(
        "Accuracy",
        f"of {name} over the {row['horizon_days']} days after {row['calibration_end_date']}, not seen by it:"
        f" {count(round(row['predicted_orders']), 'day')} with orders predicted,"
        f" {count(round(row['actual_orders']))} came"
        f" ({_within(row['actual_orders'], row['orders_total_lower'], row['orders_total_upper'])});"
        f" {_value(row)}",
    )
    nominal = percent(row["interval_level"], 0)
    inside = f"{percent(row['orders_interval_coverage'])} of customers had orders within their {nominal} interval"
    lines += wrapped(f"{inside}, {percent(row['amount_interval_coverage'])} value", "  ")
    return lines + wrapped(_against_baselines(row, rows), "  ")


def _if_nobody_leaves(fits: list[Row], asked: str) -> list[str]:
    """What it means if no model with churn is usable, or the published one is hardly better than none; else nothing.

    One row of each fit; asked: `predictions.model`.
    """
    orders = {row["model_id"]: row for row in fits if row["segment_id"] == "all:all"}
    orders.pop(SPEND_MODEL_NAME, None)
    without_death = orders.pop(NO_DEATH, None)
    if without_death is None or not without_death["is_converged"]:
        return []
    published = next((row for row in orders.values() if row["is_published_model"]), None)
    if published is not None:
        gain = max(published["log_likelihood"] - without_death["log_likelihood"], 0.0)
        return _if_hardly_better(published["model_id"], gain)
    if not {row["fit_status"] for row in orders.values()} <= {AT_BOUND, WORSE_THAN_NBD}:
        return []
    if without_death["is_published_model"]:
        what = f"orders and value are predicted by {NO_DEATH}, as if all customers stayed, and nothing is said of churn"
    elif asked != AUTO:
        what = f"nothing is predicted; predictions.model: auto takes {NO_DEATH}, as if all customers stayed"
    else:
        return []
    seen = "this history does not tell who has left, it looks as if nobody ever did"
    return wrapped(f"{AT_BOUND}: {seen}. So {what}; a longer history may tell", "  ")


def _if_hardly_better(model: str, gain: float) -> list[str]:
    """A warning where the two parameters of leaving describe no more than chance does (Akaike's criterion)."""
    if gain >= PARAMETERS_OF_LEAVING:
        return []
    return wrapped(
        f"{model} describes this history no better than {NO_DEATH}, in which nobody leaves (log-likelihood"
        f" +{gain:.1f}): it hardly tells who has left, so do not rely on P(alive), churn_probability and the residual"
        " value",
        "  ",
    )


def _taken(row: Row) -> str:
    return f"{row['model_id']}, {row['selection_reason']}"


def _within(actual: float, lower: float | None, upper: float | None) -> str:
    if lower is None or upper is None:
        return "no interval"
    where = "inside" if lower <= actual <= upper else "OUTSIDE"
    return f"{where} the interval {lower:,.0f} to {upper:,.0f}"


def _value(row: Row) -> str:
    if row["predicted_amount"] is None:
        return "no value was predicted"
    interval = _within(row["actual_amount"], row["amount_total_lower"], row["amount_total_upper"])
    return f"value {row['predicted_amount']:,.0f} predicted, {row['actual_amount']:,.0f} came ({interval})"


def _against_baselines(row: Row, rows: list[Row]) -> str:
    """Errors of the model beside those of the simple rules on the same customers."""
    own, error = row["orders_rmse"], "{:.3f}".format
    rules = {
        other["model_id"]: other["orders_rmse"]
        for other in rows
        if other["is_baseline"] and other["orders_rmse"] is not None
        and all(other[name] == row[name] for name in ("calibration_end_date", "horizon_days"))
    }  # fmt: skip
    if row["beats_baselines"]:
        verdict = "better than each simple rule"
    elif error(own) == error(min(rules.values(), default=own)):
        verdict = "no better than a simple rule"
    else:
        verdict = "WORSE than a simple rule: do not rely on it"
    listed = ", ".join(f"{name} {error(value)}" for name, value in rules.items())
    return f"error of orders per customer (root mean square) {error(own)}, {verdict} ({listed})"


def _short(row: Row) -> str:
    likelihood = row["log_likelihood"]
    found = f"log-likelihood {likelihood:,.1f}" if row["is_converged"] else f"not usable: {row['fit_status']}"
    return f"{row['model_id']} ({found})"


def _fit_lines(rows: list[Row]) -> list[str]:
    first = rows[0]
    head = f"  {first['model_id']:<12}"
    where = "" if first["segment_id"] == "all:all" else f" in {first['segment_id']}"
    basis = f"{count(first['customer_count'], 'customer')}{where}"
    if first["sampled_share"] < 1:
        basis += f", a sample of {first['sampled_share']:.0%}"
    estimated = [row for row in rows if row["estimate"] is not None]
    if not estimated:
        return wrapped(f"not used: {first['fit_status']} ({basis})", head)
    listed = ", ".join(f"{row['parameter']} {significant(row['estimate'])} {_error(row)}" for row in estimated)
    state = first["fit_status"] if first["is_converged"] else f"not used: {first['fit_status']}"
    return wrapped(f"{listed}; log-likelihood {first['log_likelihood']:,.1f}, {basis}, {state}", head)


def _error(row: Row) -> str:
    error = row["standard_error"]
    return "(held)" if error is None and row["is_converged"] else f"± {significant(error, 2)}"


def quality(spark: SparkSession) -> list[str]:
    """Expectations that were met, warnings, and what became of the input rows."""
    checks = spark.sql(_CHECKS).collect()
    met = sum(row["is_success"] for row in checks)
    missed = [row for row in checks if not row["is_success"]]
    result = f"{met:,} of {count(len(checks), 'expectation')} met, {count(len(missed), 'warning')}"
    lines = labelled("Data quality", result)
    for row in missed:
        lines += wrapped(f"{row['meaning']}: {row['observed_value']} (allowed {row['threshold']})", "  warning: ")
    for source, rows in groupby(spark.sql(_DISPOSITIONS).collect(), key=lambda row: row["source_name"]):
        counted = {row["disposition"]: row["row_count"] for row in rows}
        listed = [f"{number:,} {name.replace('_', ' ')}" for name, number in counted.items() if name != "input"]
        lines += wrapped(f"{counted.get('input', 0):,} rows: {', '.join(listed)}", f"  {source}: ")
    broken = spark.sql(_REASONS).collect()
    reasons = [f"{row['source_name']} {counted_reason(row['reason'], row['row_count'])}" for row in broken]
    return lines + wrapped(", ".join(reasons) or "nothing", "  quarantined because of: ")


def notes(settings: Settings, outcome: Outcome) -> list[str]:
    """What is absent and why; of a run that had nothing to do, the sources that are not configured."""
    from clv_lib.pipeline import absent_sources

    texts = [text for text in outcome.progress.notes if not text.startswith(WARNING_MARK)]
    if outcome.status == "unchanged":
        texts += absent_sources(settings)
    if not texts:
        return []
    return ["Absent, and why", *(line for text in texts for line in wrapped(text, "  - "))]
