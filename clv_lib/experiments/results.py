"""What the variants of experiments changed: rows of `experiment_results`, computed on the driver from few sums."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import groupby
from math import isnan, nan
from typing import TYPE_CHECKING, Any

from clv_lib.contracts.experiments import EXPERIMENT_RESULTS
from clv_lib.experiments.cells import SUMS
from clv_lib.models.experiments import Effect, Moments, effect, history_adjusted, holm, sample_ratio_p_value
from clv_lib.segments.definitions import ALL

if TYPE_CHECKING:
    from clv_lib.settings.experiments import Experiments

MISMATCH_BELOW = 0.001
"""P-value below which the sizes of variants do not fit the intended ratio: Fabijan and others 2019, KDD."""

_COUNTS = ("assigned_count", "immature_count", "customer_count", "unknown_margin_count")
_EFFECT = {
    "difference_amount": "difference",
    "difference_lower_amount": "lower",
    "difference_upper_amount": "upper",
    "relative_uplift": "relative_uplift",
    "relative_uplift_lower": "relative_lower",
    "relative_uplift_upper": "relative_upper",
    "p_value": "p_value",
}

Cell = Mapping[str, Any]
Segment = tuple[str, str]


@dataclass(frozen=True)
class _Experiment:
    """The cells of one experiment by segment and variant; NULL stands for customers of several variants."""

    name: str
    cells: Mapping[tuple[Segment, str | None], Cell]
    control: str | None
    variants: tuple[str, ...]
    srm_p_value: float

    @property
    def segments(self) -> list[Segment]:
        return sorted({segment for segment, _ in self.cells})

    def cell(self, segment: Segment, variant: str | None) -> Cell:
        """The sums of a variant in a segment, all 0 if nobody is there."""
        return self.cells.get((segment, variant), dict.fromkeys(_COUNTS, 0))


def result_rows(
    cells: Iterable[Cell], metrics: Sequence[str], settings: Experiments, as_of: dt.date
) -> list[tuple[object, ...]]:
    """Rows of contract `experiment_results`, its own columns in their order, from the collected `experiment_cells`.

    A p-value is adjusted among the segments of a type and the variants of an experiment, for each metric.
    """
    rows: list[dict[str, Any]] = []
    ordered = sorted(cells, key=lambda cell: str(cell["experiment_id"]))
    for name, own in groupby(ordered, key=lambda cell: str(cell["experiment_id"])):
        experiment = _experiment(name, list(own), settings)
        for metric in metrics:
            found = _metric_rows(experiment, metric, settings)
            rows += _with_adjusted_p_values(found, settings.confidence_level)
    return [tuple({**row, "as_of_date": as_of}[name] for name in EXPERIMENT_RESULTS.own_columns) for row in rows]


def _experiment(name: str, cells: list[Cell], settings: Experiments) -> _Experiment:
    placed = {((cell["segment_type"], cell["segment_name"]), cell["variant"]): cell for cell in cells}
    total = (ALL, ALL)
    variants = sorted({variant for _, variant in placed if variant is not None})
    counts = [placed[total, variant]["assigned_count"] for variant in variants]
    weights = [settings.variant_weights.get(f"{name}:{variant}", 1.0) for variant in variants]
    control = next((one for one in settings.control_variants if one in variants), None)
    compared = tuple(variant for variant in variants if variant != control)
    return _Experiment(name, placed, control, compared, sample_ratio_p_value(counts, weights))


def _metric_rows(experiment: _Experiment, metric: str, settings: Experiments) -> list[dict[str, Any]]:
    return [
        row
        for segment in experiment.segments
        for row in _segment_rows(experiment, metric, segment, _moments(experiment, metric, segment), settings)
    ]


def _moments(experiment: _Experiment, metric: str, segment: Segment) -> dict[str, Moments]:
    """Moments of the control and each variant that has customers in the segment."""
    cells = {name: experiment.cell(segment, name) for name in (experiment.control, *experiment.variants) if name}
    return {
        name: Moments.of_sums(cell["customer_count"], *(cell[f"{metric}_{part}"] for part in SUMS))
        for name, cell in cells.items()
        if cell["customer_count"] > 1
    }


def _segment_rows(
    experiment: _Experiment, metric: str, segment: Segment, moments: dict[str, Moments], settings: Experiments
) -> Iterable[dict[str, Any]]:
    level, control = settings.confidence_level, experiment.control
    history = history_adjusted(list(moments.values())) if moments else None
    theta, adjusted = history or (None, [])
    with_history = dict(zip(moments, adjusted, strict=False))
    for variant in experiment.variants:
        row = _described(experiment, metric, segment, variant, settings)
        plain = cuped = None
        if row["result_status"] == "ok" and control:
            plain = effect(moments[control], moments[variant], level)
            cuped = effect(with_history[control], with_history[variant], level) if plain and history else None
        if row["result_status"] == "ok" and plain is None:
            row["result_status"] = "no_variance"
        is_shown = plain is not None
        values = _amounts(experiment, metric, segment, variant, is_shown)
        yield {**row, **values, **_plain_figures(plain, moments.get(control or "")), **_cuped(plain, cuped, theta)}


def _described(
    experiment: _Experiment, metric: str, segment: Segment, variant: str, settings: Experiments
) -> dict[str, Any]:
    """Who is compared with whom, how many they are, and whether they can be."""
    own, control = experiment.cell(segment, variant), experiment.cell(segment, experiment.control)
    if experiment.control is None:
        control = dict.fromkeys(_COUNTS, 0)
    is_mismatch = experiment.srm_p_value < MISMATCH_BELOW
    is_tested = not isnan(experiment.srm_p_value)
    return {
        "experiment_id": experiment.name,
        "metric": metric,
        "segment_id": ":".join(segment),
        "segment_type": segment[0],
        "segment_name": segment[1],
        "variant": variant,
        "control_variant": experiment.control,
        "outcome_months": settings.outcome_months,
        "customer_count": own["customer_count"],
        "control_customer_count": control["customer_count"],
        "immature_customer_count": own["immature_count"],
        "control_immature_customer_count": control["immature_count"],
        "conflicting_customer_count": experiment.cell(segment, None)["assigned_count"],
        "confidence_level": settings.confidence_level,
        "srm_p_value": experiment.srm_p_value if is_tested else None,
        "srm_status": ("mismatch" if is_mismatch else "ok") if is_tested else "not_tested",
        "result_status": _result_status(experiment.control, metric, control, own, settings.minimum_cell_customers),
    }


def _result_status(control: str | None, metric: str, reference: Cell, own: Cell, minimum: int) -> str:
    if control is None:
        return "no_control"
    pair = (reference, own)
    if any(cell["assigned_count"] and not cell["customer_count"] for cell in pair):
        return "outcome_not_over"
    if min(cell["customer_count"] for cell in pair) < minimum:
        return "too_few_customers"
    if metric == "contribution_margin" and any(cell["unknown_margin_count"] for cell in pair):
        return "margin_unknown"
    return "ok"


def _amounts(
    experiment: _Experiment, metric: str, segment: Segment, variant: str, is_shown: bool
) -> dict[str, Decimal | None]:
    """Sums of both sides, exact; NULL where nothing is shown of them."""
    found: dict[str, Decimal | None] = {}
    for prefix, name in (("", variant), ("control_", experiment.control)):
        cell = experiment.cell(segment, name)
        found[f"{prefix}value_amount"] = cell[f"{metric}_y"] if is_shown else None
    return found


def _plain_figures(plain: Effect | None, control: Moments | None) -> dict[str, Any]:
    status = "ok"
    if plain is None or control is None:
        status = "no_result"
    elif not control.mean > 0:
        status = "control_not_positive"
    elif _figure(plain.relative_lower) is None:
        status = "control_may_be_zero"
    return {**_figures(plain, ""), "uplift_status": status}


def _cuped(plain: Effect | None, cuped: Effect | None, theta: float | None) -> dict[str, Any]:
    """The adjusted difference, and which of the two is to be read: the adjusted one where there is history."""
    best = "cuped" if cuped else "difference" if plain else "none"
    status = {"cuped": "ok", "difference": "no_history", "none": "no_result"}[best]
    return {
        **_figures(cuped, "cuped_"),
        "cuped_theta": theta if cuped else None,
        "cuped_variance_reduction": 1 - cuped.squared_error / plain.squared_error if cuped and plain else None,
        "cuped_status": status,
        "best_estimate": best,
    }


def _figures(found: Effect | None, prefix: str) -> dict[str, float | None]:
    return {
        f"{prefix}{column}": None if found is None else _figure(getattr(found, name))
        for column, name in _EFFECT.items()
    }


def _figure(value: float) -> float | None:
    return None if isnan(value) else value


def _with_adjusted_p_values(rows: list[dict[str, Any]], confidence_level: float) -> list[dict[str, Any]]:
    """Add the p-values of the best estimates, adjusted within each segment type, and what they decide."""
    done: list[dict[str, Any]] = []
    for _, family in groupby(rows, key=lambda row: row["segment_type"]):
        own = list(family)
        tested = [row["cuped_p_value"] if row["best_estimate"] == "cuped" else row["p_value"] for row in own]
        adjusted = holm([nan if p is None else p for p in tested]).tolist()
        tests = sum(p is not None for p in tested)
        for row, p in zip(own, adjusted, strict=True):
            p_value = _figure(p)
            is_significant = None if p_value is None else p_value < 1 - confidence_level
            done.append({**row, "test_count": tests, "adjusted_p_value": p_value, "is_significant": is_significant})
    return done
