"""Part of step predictions: fits per group of customers, compared with the pooled fit, and taken where they beat it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from clv_lib.contracts.accuracy import ORDER_VALUE, ORDERS
from clv_lib.pipeline.attributes import attribute_columns, attributes
from clv_lib.scoring import (
    Fits,
    Groupings,
    OfGroups,
    Taken,
    assigned,
    churn_model,
    counted_by_group,
    scorers,
    with_groups,
)
from clv_lib.scoring.accuracy import calibration_rows, group_accuracy_rows
from clv_lib.scoring.fits import POOLED_SEGMENT, GroupFits, GroupSpend
from clv_lib.scoring.group_comparison import (
    LATER,
    Comparison,
    choose_grouping,
    compare,
    compare_spend,
    fit_groups,
    fit_spend_groups,
    grouping_rows,
)
from clv_lib.scoring.groups import band_cuts, band_limits, counted_later_spend, counted_spend_by_group
from clv_lib.scoring.holdout import cells, said_by_group
from clv_lib.scoring.statistics import sampled
from clv_lib.segments.definitions import present_segment_types
from clv_lib.settings.predictions import AUTO, FIRST_ORDER_VALUE_BAND, NO_GROUPS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.models import Fitted
    from clv_lib.pipeline.workspace import Workspace
    from clv_lib.scoring.holdout import Holdout

_WORDS = {ORDERS: "orders", ORDER_VALUE: "value"}


@dataclass(frozen=True)
class LatestHoldout:
    """The holdout that ends at as_of: its customers at the end of calibration, what they did, and the pooled fits.

    `before` are all customers, `known` the compared share of them with their `holdout.outcomes` and `segment_ids` then;
    `rows` what was said of the pooled fits.
    """

    holdout: Holdout
    before: DataFrame
    known: DataFrame
    sampled_share: float
    fits: Fits
    rows: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Verdict:
    """The groupings that score, of orders and of spend, None without one.

    rows: of `prediction_groupings`; accuracy, calibration: of `prediction_accuracy` by column name and of
    `prediction_calibration`, what the fits of these groupings said of the holdout.
    """

    orders: str | None = None
    spend: str | None = None
    rows: list[tuple[object, ...]] = field(default_factory=list)
    accuracy: list[dict[str, Any]] = field(default_factory=list)
    calibration: list[tuple[object, ...]] = field(default_factory=list)


@dataclass(frozen=True)
class Assignment:
    """Customers with the fits that are theirs, and the fits of the groups."""

    states: DataFrame
    fits: OfGroups = field(default_factory=OfGroups)


def compare_groups(work: Workspace, latest: LatestHoldout | None, model_name: str) -> Verdict:
    """Fits per group beside the pooled ones on the latest holdout, and which groupings are taken.

    Compared are fits of the chosen model of orders and of spend, each where the pooled fit is usable. A few Spark jobs
    for all groupings together. Without a holdout a grouping that the configuration names is taken for both.
    """
    asked, names = work.settings.predictions.group_by, _present(work)
    named = asked if asked in names else None
    if not names or latest is None or _are_few(work, latest):
        return Verdict(named, named)
    compared = _Compared(work, latest, _groupings(work, latest.before, names))
    judged = {
        ORDERS: choose_grouping(compared.of_orders(model_name), asked),
        ORDER_VALUE: choose_grouping(compared.of_spend(), asked),
    }
    taken = {
        measure: next((one.grouping for one in found if one.is_taken), None if found else named)
        for measure, found in judged.items()
    }
    for measure, found in judged.items():
        _report(work, measure, found)
    every = [one for found in judged.values() for one in found]
    limits = _limits(every, compared.groupings.band_cuts or ())
    rows = grouping_rows(every, limits, latest.sampled_share, work.as_of)
    said = compared.accuracy(work, model_name, [one for one in every if one.is_taken])
    return Verdict(taken[ORDERS], taken[ORDER_VALUE], rows, *said)


class _Compared:
    """Groups of the customers at the end of calibration, and the comparison of their fits."""

    def __init__(self, work: Workspace, latest: LatestHoldout, groupings: Groupings) -> None:
        self.latest, self.groupings = latest, groupings
        self._orders: dict[str, GroupFits] = {}
        self._spend: dict[str, GroupSpend] = {}
        self.enough = work.settings.predictions.minimum_group_customers
        then = attributes(work, latest.holdout.calibration_end)
        self._known = with_groups(latest.known, then, groupings)
        self._sample = sampled(with_groups(latest.before, then, groupings), latest.fits.sampled_share)
        self._counted = counted_by_group(self._sample, groupings)

    def of_orders(self, model_name: str) -> list[Comparison]:
        """One comparison per grouping; none without a usable pooled fit."""
        pooled = self.latest.fits.compared[model_name]
        if pooled.model is None:
            return []
        outcomes = counted_by_group(self._known, self.groupings, *LATER)
        names = self.groupings.names
        self._orders = {name: fit_groups(self._counted, name, model_name, self.enough) for name in names}
        return [compare(outcomes, name, self._orders[name], pooled, self.latest.holdout) for name in names]

    def of_spend(self) -> list[Comparison]:
        """One comparison per grouping; none without a usable pooled fit, or if nobody bought in the holdout."""
        pooled = self.latest.fits.spend.fit
        outcomes = None if pooled.model is None else counted_later_spend(self._known, self.groupings)
        if outcomes is None or outcomes.empty:
            return []
        spend, names = counted_spend_by_group(self._sample, self.groupings), self.groupings.names
        self._spend = {name: fit_spend_groups(self._counted, spend, name, self.enough) for name in names}
        return [compare_spend(outcomes, name, self._spend[name], pooled, self.latest.holdout) for name in names]

    def accuracy(
        self, work: Workspace, model_name: str, taken: Sequence[Comparison]
    ) -> tuple[list[dict[str, Any]], list[tuple[object, ...]]]:
        """Rows of accuracy and of calibration of the fits of the groupings that are taken; none without one."""
        if not taken or self.latest.fits.compared[model_name].model is None:
            return [], []
        grouping = {one.measure: one.grouping for one in taken}
        orders, spend = (
            self._orders.get(grouping.get(ORDERS, ""), {}),
            self._spend.get(grouping.get(ORDER_VALUE, ""), {}),
        )
        own = scorers(self.latest.fits, model_name, OfGroups({model_name: orders}, spend))
        known = assigned(
            self._known,
            _taken(grouping.get(ORDERS), orders),
            _taken(grouping.get(ORDER_VALUE), {name: one.fit for name, one in spend.items()}),
        )
        holdout = self.latest.holdout
        counted = cells(said_by_group(known, own, holdout)).toPandas()
        rows = group_accuracy_rows(counted, self.latest.rows, own, holdout, work.as_of)
        return rows, calibration_rows(counted, holdout, work.as_of)


def assign(work: Workspace, metrics: DataFrame, fits: Fits, verdict: Verdict, model_name: str) -> Assignment:
    """Today's customers, each with the fits of its groups where a grouping is taken and the group's fit is usable."""
    of_orders = verdict.orders if fits.compared[model_name].model is not None else None
    of_spend = verdict.spend if fits.spend.fit.model is not None else None
    names = [name for name in dict.fromkeys((of_orders, of_spend)) if name is not None]
    if not names:
        return Assignment(assigned(metrics))
    groupings = _groupings(work, metrics, names)
    grouped = with_groups(metrics, attributes(work, work.as_of), groupings)
    sample = sampled(grouped, fits.sampled_share)
    counted, enough = counted_by_group(sample, groupings), work.settings.predictions.minimum_group_customers
    orders: Mapping[str, GroupFits] = {}
    spend: GroupSpend = {}
    if of_orders is not None:
        models = dict.fromkeys((model_name, churn_model(model_name)))
        orders = {name: fit_groups(counted, of_orders, name, enough) for name in models}
    if of_spend is not None:
        spend = fit_spend_groups(counted, counted_spend_by_group(sample, groupings), of_spend, enough)
    of_value = {name: one.fit for name, one in spend.items()}
    _report_pooled(work, ORDERS, orders.get(model_name, {}))
    _report_pooled(work, ORDER_VALUE, of_value)
    by_orders, by_spend = _taken(of_orders, orders.get(model_name, {})), _taken(of_spend, of_value)
    return Assignment(assigned(grouped, by_orders, by_spend), OfGroups(orders, spend))


def _taken(grouping: str | None, fits: Mapping[str, Fitted[Any]]) -> Taken | None:
    """The groups that have a usable fit."""
    usable = [segment_id for segment_id, fit in fits.items() if fit.model is not None]
    return None if grouping is None else Taken(grouping, usable)


def _report_pooled(work: Workspace, measure: str, fits: Mapping[str, Fitted[Any]]) -> None:
    others = sorted(segment_id for segment_id, fit in fits.items() if fit.model is None)
    if others:
        why = "without a usable fit of their own"
        work.progress.info(f"{_WORDS[measure]} by the pooled fit, {why}: {', '.join(others)}")


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


def _report(work: Workspace, measure: str, judged: Sequence[Comparison]) -> None:
    asked, word = work.settings.predictions.group_by, _WORDS[measure]
    taken = [one for one in judged if one.is_taken]
    for one in taken:
        work.progress.info(f"fits of {word} per group: {one.grouping}, {one.reason}")
    if judged and not taken:
        names = ", ".join(one.grouping for one in judged)
        if asked == AUTO:
            work.progress.info(f"one fit of {word} for all customers: fits by {names} do not beat it on the holdout")
        elif asked != NO_GROUPS:
            work.progress.note(
                f"predictions.group_by: {asked} is not taken for {word}, no group has a usable fit of its own"
            )


def _limits(judged: Sequence[Comparison], cuts: Sequence[float]) -> dict[str, tuple[float | None, float | None]]:
    bands = [row["segment_id"] for one in judged if one.grouping == FIRST_ORDER_VALUE_BAND for row in one.rows]
    return {segment_id: band_limits(segment_id, cuts) for segment_id in bands if segment_id != POOLED_SEGMENT}
