"""Rows of the survivor table on their way to the workers: packed into bytes, and the same numbers again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from clv_lib.models import MbgNbd, ParetoNbd, TransactionModel, residual_if_alive, survivor_table
from clv_lib.scoring.statistics import TIME_UNIT_DAYS
from clv_lib.scoring.survivors import _tables, unpacked

RATE = 0.1


@pytest.mark.parametrize("model", [MbgNbd(0.52, 6.2, 0.89, 1.6), ParetoNbd(0.55, 10.6, 0.61, 11.7)])
def test_packed_rows_are_unpacked_as_they_were(model: TransactionModel) -> None:
    pairs = pd.DataFrame({"btyd_frequency": [0, 3, 0, 40], "btyd_age_days": [10, 200, 700, 700]})
    [rows] = _tables(pairs, model, (90,), RATE)
    order = [2, 0, 0, 3]
    table, residual = unpacked(rows.iloc[order])
    x, age = pairs["btyd_frequency"].to_numpy(float), pairs["btyd_age_days"].to_numpy(float) / TIME_UNIT_DAYS
    of_horizon = {"horizon_days": 90, "annual_discount_rate": RATE, "time_unit_days": TIME_UNIT_DAYS}
    without_end = {"annual_discount_rate": RATE, "time_unit_days": TIME_UNIT_DAYS}
    for found, expected in (
        (table, survivor_table(model, x, age, **of_horizon)),
        (residual, residual_if_alive(model, x, age, **without_end)),
    ):
        for name in expected.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name)[order], err_msg=name)
