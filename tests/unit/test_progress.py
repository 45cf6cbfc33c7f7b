"""What a run says while it works."""

from __future__ import annotations

import logging
import time

import pytest

from clv_lib.pipeline import progress
from clv_lib.pipeline.progress import Progress


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """The log, with silence counted in hundredths of seconds."""
    monkeypatch.setattr(progress, "_SILENT_SECONDS", 0.05)
    caplog.set_level(logging.INFO, progress.LOGGER)
    return caplog


def test_a_silent_step_says_that_it_is_at_work_until_it_ends(quick: pytest.LogCaptureFixture) -> None:
    with Progress("r").step("intake"):
        time.sleep(0.3)
    said = [record.getMessage() for record in quick.records]
    assert said[0] == "started" and said[1] == "at work for 0 s" and said[-1].startswith("ended after 0.")
    assert {record.__dict__["step"] for record in quick.records} == {"intake"}
    time.sleep(0.1)
    assert len(quick.records) == len(said)


def test_a_step_that_says_something_is_not_said_to_be_at_work(quick: pytest.LogCaptureFixture) -> None:
    run = Progress("r")
    with run.step("intake"):
        for rows in range(30):
            run.written("customer_orders", rows)
            time.sleep(0.01)
    assert not [record for record in quick.records if "at work" in record.getMessage()]
    assert run.steps[0].rows == {"customer_orders": 29} and run.steps[0].seconds >= 0.3


def test_a_step_that_fails_is_timed_and_falls_silent(quick: pytest.LogCaptureFixture) -> None:
    run = Progress("r")
    with pytest.raises(ValueError, match="bad"), run.step("intake"):
        raise ValueError("bad")
    time.sleep(0.1)
    assert [record.getMessage() for record in quick.records] == ["started"]
