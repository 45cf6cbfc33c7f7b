"""`order_gaps`: within how many days a share of customers orders again, with the gaps that are still open.

A quantile over closed gaps alone is too short, because long gaps are more often still open; here open gaps are
right-censored. The first gap is kept apart: one-time buyers have no other.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from clv_lib.contracts.churn import GAP_KINDS
from clv_lib.metrics.spells import FIRST_GAP, LATER_GAP
from clv_lib.models import FloatArray, kaplan_meier

if TYPE_CHECKING:
    import pandas as pd

    from clv_lib.models import SurvivalCurve
    from clv_lib.settings.models import Churn

PUBLISHED_QUANTILES = (0.5, 0.8, 0.9)
"""Beside the one by which customers are judged."""

_ALL_GAPS = "all"
_KINDS_OF: Mapping[str, tuple[str, ...]] = {
    FIRST_GAP: (FIRST_GAP,),
    LATER_GAP: (LATER_GAP,),
    _ALL_GAPS: (FIRST_GAP, LATER_GAP),
}


@dataclass(frozen=True)
class Spells:
    """Lengths in days, and how many spells of each length ended, and were still open."""

    days: FloatArray
    ended: FloatArray
    opened: FloatArray

    def curve(self) -> SurvivalCurve | None:
        """Their Kaplan-Meier curve; None without spells."""
        return kaplan_meier(self.days, self.ended, self.opened) if len(self.days) else None


def spells_by_segment(counts: pd.DataFrame) -> dict[str, dict[str, Spells]]:
    """The collected `spell_counts` by segment and kind, segments in ascending order."""
    columns = ["days", "ended_count", "open_count"]
    found: dict[str, dict[str, Spells]] = {}
    for (segment_id, kind), rows in counts.sort_values("days").groupby(["segment_id", "spell_kind"], sort=True):
        found.setdefault(str(segment_id), {})[str(kind)] = Spells(*(rows[name].to_numpy(float) for name in columns))
    return found


def segment_columns(segment_id: str) -> dict[str, str]:
    """Id, type and name of a segment; a name may hold colons, a type may not."""
    kind, _, name = segment_id.partition(":")
    return {"segment_id": segment_id, "segment_type": kind, "segment_name": name}


def order_gaps(spells: Mapping[str, Mapping[str, Spells]], churn: Churn, as_of: dt.date) -> list[dict[str, Any]]:
    """Rows of contract `order_gaps` without its metrics, one per segment, kind of gap and quantile.

    NULL `no_gaps` without a closed gap, `too_few` with fewer than `minimum_gap_count`, `not_reached` if the curve of
    Kaplan and Meier ends above 1 - quantile: then too many customers have not ordered again, for as long as was seen.
    """
    quantiles = sorted({*PUBLISHED_QUANTILES, churn.gap_quantile})
    return [
        {**segment_columns(segment_id), "gap_kind": kind, **row, "as_of_date": as_of}
        for segment_id, own in spells.items()
        for kind in GAP_KINDS
        for row in _rows(_joined([own[part] for part in _KINDS_OF[kind] if part in own]), quantiles, churn)
    ]


def _joined(parts: Sequence[Spells]) -> Spells:
    columns = [np.concatenate([[], *(getattr(part, name) for part in parts)]) for name in ("days", "ended", "opened")]
    return Spells(*columns)


def _rows(spells: Spells, quantiles: Sequence[float], churn: Churn) -> list[dict[str, Any]]:
    curve, closed, opened = spells.curve(), int(spells.ended.sum()), int(spells.opened.sum())
    known = {
        "closed_gap_count": closed,
        "open_gap_count": opened,
        "longest_gap_days": None if curve is None else int(curve.longest),
        "last_survival": None if curve is None else float(curve.survival[-1]),
    }
    rows = []
    for quantile in quantiles:
        found = _quantile(spells, curve, quantile, churn)
        gap = found["gap_days"]
        overdue = None if gap is None else int(spells.opened[spells.days > gap].sum())
        judged = {
            "judged_customer_count": 0 if gap is None else opened,
            "overdue_customer_count": overdue,
        }
        rows.append({"quantile": quantile, "is_rule": quantile == churn.gap_quantile, **known, **found, **judged})
    return rows


def _quantile(spells: Spells, curve: SurvivalCurve | None, share: float, churn: Churn) -> dict[str, Any]:
    closed = spells.ended.sum()
    names = ("gap_days", "gap_days_lower", "gap_days_upper", "closed_gap_days")
    if curve is None or closed < churn.minimum_gap_count:
        return {**dict.fromkeys(names), "gap_status": "too_few" if closed else "no_gaps"}
    censored = curve.quantile(share, churn.confidence_level)
    naive = kaplan_meier(spells.days, spells.ended, np.zeros_like(spells.ended))
    cells = (
        censored.value,
        censored.lower,
        censored.upper,
        naive.quantile(share, churn.confidence_level).value,
    )
    whole = {name: None if cell is None else int(cell) for name, cell in zip(names, cells, strict=True)}
    return {**whole, "gap_status": "not_reached" if censored.value is None else "ok"}
