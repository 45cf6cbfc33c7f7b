"""Touches before the first order, credited by two attribution models, and what is true of the cost of each campaign."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import pandas as pd

from clv_lib.demo.parameters import UNATTRIBUTED, DemoParameters
from clv_lib.demo.purchases import type_of

ACQUISITION_COLUMNS = ("customer_id", "attribution_model", "channel", "campaign_name", "credit")
NO_CAMPAIGN = "none"

_STREAM = 4
_FURTHER_TOUCHES = (0.5, 0.3, 0.2)
"""Chances of no, one and two touches after the first."""

_DOUBTFUL_SHARE = 0.003
_DIGITS = Decimal("0.00000001")

Places = Mapping[tuple[str, str], Fraction]


@dataclass(frozen=True)
class AcquisitionTruth:
    """Spend on and customers of each campaign over the whole history, by channel and campaign name.

    `spend`: acquisition spend in the reporting currency, all cost types. `declared`: customers by their declared
    channel and campaign. `credits`: attribution model to exact credits, `unattributed` among the channels. The CAC of
    a channel by a model is its spend over its credits. `quarantined_rows`: credits that do not add up to 1.
    """

    spend: Mapping[tuple[str, str], Decimal]
    declared: Places
    credits: Mapping[str, Places]
    quarantined_rows: int


def make_acquisitions(parameters: DemoParameters, buyers: pd.DataFrame, customers: pd.DataFrame) -> pd.DataFrame:
    """Rows of customer x model x touch with their `credit`; `touches` (0: doubtful) tells the exact one.

    The first touch is the declared channel; unattributed customers have no touch. Customers whose linear credits have
    one row too many are doubtful: nobody can say which is wrong. Random numbers of its own.
    """
    rng = np.random.default_rng((parameters.seed, _STREAM))
    channels = [channel for channel in parameters.channels if channel.name != UNATTRIBUTED]
    weights = np.array([channel.first_share for channel in channels])
    known = customers.iloc[: len(buyers)]
    kinds = [kind.name for kind in type_of(parameters, buyers)]
    counts = rng.choice(len(_FURTHER_TOUCHES), len(buyers), p=_FURTHER_TOUCHES)
    is_doubtful = np.zeros(len(buyers), dtype=bool)
    touched = np.flatnonzero(known["acquisition_channel"].notna())
    is_doubtful[rng.choice(touched, max(1, round(_DOUBTFUL_SHARE * len(buyers))), replace=False)] = True
    rows: list[tuple[str, str, str, str, Decimal, int]] = []
    for customer, first, kind, count, doubtful in zip(
        known["customer_id"], known["acquisition_channel"], kinds, counts.tolist(), is_doubtful.tolist(), strict=True
    ):
        if first is None:
            continue
        picked = rng.choice(len(channels), count, p=weights / weights.sum())
        names = [first, *(channels[index].name for index in picked)]
        rows.append((customer, "first_touch", first, f"{first}_{kind}", Decimal(1), 1))
        credit = (Decimal(1) / len(names)).quantize(_DIGITS)
        number = 0 if doubtful else len(names)
        rows += [(customer, "linear", name, f"{name}_{kind}", credit, number) for name in names]
        if doubtful:
            rows.append((customer, "linear", first, f"{first}_{kind}", Decimal("0.25"), 0))
    return pd.DataFrame(rows, columns=[*ACQUISITION_COLUMNS, "touches"])


def collect_acquisition_truth(
    parameters: DemoParameters, buyers: pd.DataFrame, customers: pd.DataFrame, spend: pd.DataFrame, rows: pd.DataFrame
) -> AcquisitionTruth:
    """Derive the truth from the frames of the demo."""
    own = spend[(spend["spend_purpose"] == "acquisition") & (spend["currency_code"] == parameters.reporting_currency)]
    known = customers.iloc[: len(buyers)]
    declared: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for channel, campaign in zip(known["acquisition_channel"], known["acquisition_campaign"], strict=True):
        declared[channel or UNATTRIBUTED, campaign or NO_CAMPAIGN] += 1
    sound = rows[rows["touches"] > 0]
    spent: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for channel, campaign, amount in zip(own["channel"], own["campaign_name"], own["spend_amount"], strict=True):
        spent[channel, campaign] += amount
    return AcquisitionTruth(
        spend=MappingProxyType(dict(spent)),
        declared=MappingProxyType(dict(declared)),
        credits=MappingProxyType(
            {str(model): _credits(own_rows, len(buyers)) for model, own_rows in sound.groupby("attribution_model")}
        ),
        quarantined_rows=len(rows) - len(sound),
    )


def _credits(rows: pd.DataFrame, customers: int) -> Places:
    """Exact credits of a model; customers without sound rows are unattributed."""
    found: dict[tuple[str, str], Fraction] = defaultdict(Fraction)
    for channel, campaign, touches in zip(rows["channel"], rows["campaign_name"], rows["touches"], strict=True):
        found[channel, campaign] += Fraction(1, int(touches))
    found[UNATTRIBUTED, NO_CAMPAIGN] += customers - rows["customer_id"].nunique()
    return MappingProxyType(dict(found))
