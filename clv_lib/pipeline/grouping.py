"""Part of step predictions: fits per group of customers, compared with the pooled fit, and taken where they beat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from clv_lib.pipeline.attributes import attribute_columns, attributes
from clv_lib.scoring import Fits, Groupings, assigned, churn_model, counted_by_group, with_groups
from clv_lib.scoring.fits import POOLED_SEGMENT, GroupFits
from clv_lib.scoring.group_comparison import (
    LATER,
    Comparison,
    choose_grouping,
    compare,
    fit_groups,
    grouping_rows,
)
from clv_lib.scoring.groups import band_cuts, band_limits
from clv_lib.scoring.statistics import sampled
from clv_lib.segments.definitions import present_segment_types
from clv_lib.settings.predictions import AUTO, FIRST_ORDER_VALUE_BAND, NO_GROUPS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace
    from clv_lib.scoring.holdout import Holdout


@dataclass(frozen=True)
class LatestHoldout:
    """The holdout that ends at as_of: its customers at the end of calibration, what they did, and the pooled fits.

    `before` are all customers, `known` the compared share of them with their `holdout.outcomes`.
    """

    holdout: Holdout
    before: DataFrame
    known: DataFrame
    sampled_share: float
    fits: Fits


@dataclass(frozen=True)
class Verdict:
    """The grouping that scores, or None, and rows of contract `prediction_groupings`."""

    grouping: str | None = None
    rows: list[tuple[object, ...]] = field(default_factory=list)


@dataclass(frozen=True)
class Assignment:
    """Customers with the fit that is theirs, and the fits of the groups by model, None without a grouping."""

    states: DataFrame
    fits: Mapping[str, GroupFits] | None = None


def compare_groups(work: Workspace, latest: LatestHoldout | None, model_name: str) -> Verdict:
    """Fits of the chosen model per group beside the pooled one on the latest holdout, and which grouping is taken.

    Three Spark jobs for all groupings together. Without a holdout a grouping that the configuration names is taken.
    """
    asked, names = work.settings.predictions.group_by, _present(work)
    missing = latest is None or latest.fits.candidates[model_name].model is None
    if not names or missing or latest is None or _are_few(work, latest):
        return Verdict(asked if asked in names else None)
    groupings = _groupings(work, latest.before, names)
    then = attributes(work, latest.holdout.calibration_end)
    grouped = with_groups(latest.before, then, groupings)
    counted = counted_by_group(sampled(grouped, latest.fits.sampled_share), groupings)
    outcomes = counted_by_group(with_groups(latest.known, then, groupings), groupings, *LATER)
    pooled, enough = latest.fits.candidates[model_name], work.settings.predictions.minimum_group_customers
    found = [
        compare(outcomes, name, fit_groups(counted, name, model_name, enough), pooled, latest.holdout) for name in names
    ]
    judged = choose_grouping(found, asked)
    _report(work, judged)
    taken = next((one.grouping for one in judged if one.is_taken), None)
    limits = _limits(judged, groupings.band_cuts or ())
    return Verdict(taken, grouping_rows(judged, limits, latest.sampled_share, work.as_of))


def assign(work: Workspace, metrics: DataFrame, fits: Fits, grouping: str | None, model_name: str) -> Assignment:
    """Today's customers, each with the fit of its group where the grouping is taken and the group's fit is usable."""
    if grouping is None or fits.candidates[model_name].model is None:
        return Assignment(assigned(metrics, None, ()))
    groupings = _groupings(work, metrics, (grouping,))
    grouped = with_groups(metrics, attributes(work, work.as_of), groupings)
    counted = counted_by_group(sampled(grouped, fits.sampled_share), groupings)
    enough = work.settings.predictions.minimum_group_customers
    own = {
        name: fit_groups(counted, grouping, name, enough)
        for name in dict.fromkeys((model_name, churn_model(model_name)))
    }
    usable = [segment_id for segment_id, fit in own[model_name].items() if fit.model is not None]
    others = sorted(set(own[model_name]) - set(usable))
    if others:
        work.progress.info(f"scored by the pooled fit, without a usable fit of their own: {', '.join(others)}")
    return Assignment(assigned(grouped, grouping, usable), own)


def _present(work: Workspace) -> tuple[str, ...]:
    """The configured groupings that the sources offer; what is left out is reported with the segment types."""
    names = work.settings.compared_groups
    offered = {kind.name for kind in present_segment_types(work.settings.segments, attribute_columns(work))}
    return tuple(name for name in names if name in offered or name == FIRST_ORDER_VALUE_BAND)


def _groupings(work: Workspace, states: DataFrame, names: Sequence[str]) -> Groupings:
    kinds = [kind for kind in work.settings.segments if kind.name in names and kind.name != FIRST_ORDER_VALUE_BAND]
    return Groupings(kinds, band_cuts(states) if FIRST_ORDER_VALUE_BAND in names else None)


def _are_few(work: Workspace, latest: LatestHoldout) -> bool:
    """Whether no group can have enough customers, which spares the comparison."""
    customers, enough = latest.fits.baseline.customer_count, work.settings.predictions.minimum_group_customers
    if customers < enough:
        work.progress.note(
            f"fits per group are not compared: {customers:,} customers at {latest.holdout.calibration_end}, fewer than"
            f" predictions.minimum_group_customers ({enough:,})"
        )
    return customers < enough


def _report(work: Workspace, judged: Sequence[Comparison]) -> None:
    asked = work.settings.predictions.group_by
    taken = [one for one in judged if one.is_taken]
    for one in taken:
        work.progress.info(f"fits per group: {one.grouping}, {one.reason}")
    if not taken:
        names = ", ".join(one.grouping for one in judged)
        if asked == AUTO:
            work.progress.info(f"one fit for all customers: fits by {names} do not beat it on the holdout")
        elif asked != NO_GROUPS:
            work.progress.note(f"predictions.group_by: {asked} is not taken, no group has a usable fit of its own")


def _limits(judged: Sequence[Comparison], cuts: Sequence[float]) -> dict[str, tuple[float | None, float | None]]:
    bands = [row["segment_id"] for one in judged if one.grouping == FIRST_ORDER_VALUE_BAND for row in one.rows]
    return {segment_id: band_limits(segment_id, cuts) for segment_id in bands if segment_id != POOLED_SEGMENT}
