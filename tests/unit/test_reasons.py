"""Reasons of quarantine as people read them."""

from __future__ import annotations

import json

import pytest

from clv_lib.contracts.inputs import counted_reason
from clv_lib.settings import load_settings
from clv_lib.settings.loading import recorded_text


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("null_order_id", "null_order_id 4,230"),
        ("amount_too_large", "amount_too_large 4,230 (see orders.max_amount)"),
        ("before_earliest_date", "before_earliest_date 4,230 (see orders.earliest_date)"),
    ],
)
def test_a_reason_names_the_setting_that_draws_its_line(reason: str, told: str) -> None:
    assert counted_reason(reason, 4230) == told
    text = "lake: /x\nreporting: {currency: GBP}\nsources: {orders: {table: /o}}"
    known = json.loads(recorded_text(load_settings(None, text=text, environ={}).settings))
    _, _, setting = told.partition("(see orders.")
    assert not setting or setting.strip(")") in known["orders"]
