"""What a run is reproduced from: its recorded configuration, with the secrets and the places of today."""

from __future__ import annotations

import datetime as dt
import json

import pytest

from clv_lib.cli.reproducing import comparison_lines
from clv_lib.errors import ConfigurationError
from clv_lib.pipeline.reproducing import recorded_settings
from clv_lib.quality.comparison import Comparison
from clv_lib.runs import new_run
from clv_lib.settings import Settings, load_settings
from clv_lib.settings.loading import config_hash, recorded_text

TEXT = """
lake: /data/lake
reporting: {currency: GBP, time_zone: Europe/London}
sources:
  orders: {table: /data/orders, options: {password: hunter2, mergeSchema: "true"}}
segments:
  - {type: sql, name: size, cases: {small: lifetime_net_amount < 10, large: lifetime_net_amount >= 10}}
economics: {target_ltv_to_cac: 2.5}
"""


@pytest.fixture
def settings() -> Settings:
    """The settings of a run."""
    return load_settings("test", text=TEXT).settings


def test_the_recorded_configuration_gives_the_settings_again_and_keeps_no_secret(settings: Settings) -> None:
    recorded = recorded_text(settings)
    assert "hunter2" not in recorded
    assert config_hash(recorded_settings(recorded, settings)) == config_hash(settings)


def test_the_configuration_of_then_counts_not_that_of_today(settings: Settings) -> None:
    changed = load_settings("test", ["churn.inactivity_days=90", "lake=/data/elsewhere"], text=TEXT).settings
    then = recorded_settings(recorded_text(settings), changed)
    assert (then.churn.inactivity_days, then.lake) == (settings.churn.inactivity_days, "/data/elsewhere")


def test_a_configuration_that_is_not_understood_any_more_is_an_error(settings: Settings) -> None:
    recorded = json.loads(recorded_text(settings)) | {"loyalty": {"points": 1}}
    with pytest.raises(ConfigurationError, match="cannot use the configuration of the run") as caught:
        recorded_settings(json.dumps(recorded), settings)
    assert caught.value.faults and "code_version" in caught.value.next_step


def test_tables_that_differ_come_first() -> None:
    same = Comparison("segments", 1200, 0, 0)
    other = Comparison("segment_metrics", 10, 1, 0, {"net_amount": 3})
    lines = comparison_lines([same, other])
    assert [line.split()[0] for line in lines[-2:]] == ["segment_metrics", "segments"]
    assert "net_amount (3)" in lines[-2] and "1,200" in lines[-1]


def test_a_rebuild_is_a_run_of_its_own_from_which_any_other_can_go_on(settings: Settings) -> None:
    day, now = dt.date(2025, 6, 30), dt.datetime(2025, 7, 1, tzinfo=dt.timezone.utc)
    ordinary, rebuild, again = (
        new_run(settings, day, {"orders": "3"}, now, is_rebuild=one) for one in (False, True, True)
    )
    assert ordinary.run_id != rebuild.run_id == again.run_id
    assert ordinary.silver_definition == rebuild.silver_definition
