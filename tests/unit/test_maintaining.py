"""What `clv maintain` is told, and the sum that it prints."""

from __future__ import annotations

import pytest

from clv_lib.cli.maintaining import COLUMNS, summary
from clv_lib.errors import ConfigurationError
from clv_lib.pipeline.maintaining import Maintained
from clv_lib.settings import load_settings
from clv_lib.settings.loading import config_hash

TEXT = "lake: /data/lake\nreporting: {currency: GBP}\nsources: {orders: {table: /data/orders}}\n"


def test_the_sum_counts_tables_files_and_megabytes() -> None:
    done = [
        Maintained("customer_orders", 90, 30, partitions_compacted=20, bytes_freed=3 * 1024 * 1024),
        Maintained("published", 1, 1),
        Maintained("customer_months", 5, 5, left_alone="left alone: version 4 is too old"),
    ]
    assert summary(done[:2]) == "(2 tables: 91 files, now 31; 3.0 MB freed)"
    assert summary(done) == "(3 tables: 96 files, now 36; 3.0 MB freed; 1 left alone)"
    assert len(vars(done[0])) == len(COLUMNS)


def test_the_policy_does_not_change_what_a_run_is() -> None:
    plain = load_settings("test", text=TEXT).settings
    other = load_settings("test", ["maintenance.retention_days=14"], text=TEXT).settings
    assert other.maintenance.retention_days == 14 and config_hash(other) == config_hash(plain)


def test_files_are_kept_for_a_week_at_least() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings("test", ["maintenance.retention_days=6"], text=TEXT)
    assert "maintenance.retention_days" in str(caught.value)
