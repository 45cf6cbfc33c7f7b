"""Customers of the demo who moved from one region to another: when, and the history of attributes that says so."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pandas as pd

from clv_lib.demo.orders import customer_ids
from clv_lib.demo.parameters import DemoParameters
from clv_lib.demo.purchases import region_of

HISTORY_COLUMNS = ("customer_id", "attribute_name", "attribute_value", "valid_from_date", "valid_to_date")

_STREAM = 2


def draw_region_moves(parameters: DemoParameters, customers: pd.DataFrame) -> pd.DataFrame:
    """One row per buyer who moved: `customer_id, moved_date, from_region, to_region`; the latter is today's.

    Moves stay within a country, so that no currency changes. Random numbers of their own: no other table of the same
    seed changes.
    """
    rng = np.random.default_rng((parameters.seed, _STREAM))
    today = region_of(parameters, customers)
    neighbours = [
        [other.name for other in parameters.regions if other.country_code == own.country_code and other != own]
        for own in today
    ]
    moves = rng.random(len(customers)) < parameters.moved_share
    day, choice = rng.integers(1, parameters.days, len(customers)), rng.random(len(customers))
    ids = customer_ids(len(customers))
    rows = [
        (
            ids[i],
            parameters.history_start + timedelta(days=int(day[i])),
            neighbours[i][int(choice[i] * len(neighbours[i]))],
            today[i].name,
        )
        for i in np.flatnonzero(moves)
        if neighbours[i]
    ]
    return pd.DataFrame(rows, columns=["customer_id", "moved_date", "from_region", "to_region"])


def make_attribute_history(parameters: DemoParameters, moves: pd.DataFrame) -> pd.DataFrame:
    """Two periods of the region per move: up to its day, and from it on. Who never moved has no history."""
    start = parameters.history_start
    rows = [
        period
        for move in moves.itertuples()
        for period in (
            (move.customer_id, "region", move.from_region, start, move.moved_date),
            (move.customer_id, "region", move.to_region, move.moved_date, None),
        )
    ]
    return pd.DataFrame(rows, columns=list(HISTORY_COLUMNS))
