"""A published lake of demo data, made once for all test processes; tests that change a lake take a copy of it."""

from __future__ import annotations

import datetime as dt
import fcntl
import os
import pickle
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clv_lib.demo import AcquisitionTruth, DemoParameters, DemoTruth, generate

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from clv_lib.lake import Lake
    from clv_lib.pipeline import Outcome
    from clv_lib.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
SOURCES = (
    "orders",
    "refunds",
    "customers",
    "customer_attributes_history",
    "marketing_spend",
    "customer_acquisitions",
    "subscriptions",
    "plans",
    "experiment_assignments",
    "exchange_rates",
)


SEASON = (0.85, 0.75, 0.90, 1.00, 1.20, 1.06, 0.65, 0.65, 1.00, 1.15, 1.35, 1.44)
"""Quiet summers and a strong Christmas: seasons that the orders of 300 customers can show, unlike those of the demo.

The history has as many operational days as with those, so the customers, and who of them is alive, are the same. What
they spend is drawn anew.
"""

PARAMETERS = DemoParameters(customers=300, season=SEASON)

LESS_TO_COMPUTE = (
    "predictions.model=bg_nbd",
    "predictions.holdout_days=0",
    "predictions.compare_groups=[]",
    "forecasts.months=0",
    "segments=[{type: channel}]",
    "economics.segment_types=[]",
    "economics.spend_lag_months=[0]",
)
"""Settings for runs that are about publishing, not about figures."""


@dataclass(frozen=True)
class DemoLake:
    """A lake, the settings that name it, and the arguments with which the command line finds the same ones."""

    lake: Lake
    settings: Settings
    arguments: tuple[str, ...]
    as_of: dt.date

    def copy(self, folder: Path) -> DemoLake:
        """The same state at another place, over the same sources: run ids do not depend on the place."""
        from clv_lib.pipeline import open_lake

        shutil.copytree(self.lake.root, folder)
        settings = self.settings.model_copy(update={"lake": str(folder)})
        arguments = (*self.arguments, "--set", f"lake={folder}")
        return replace(self, lake=open_lake(self.lake.spark, settings), settings=settings, arguments=arguments)

    def with_less_to_compute(self) -> DemoLake:
        """The same lake and sources with settings that leave out what takes long."""
        from clv_lib.settings import load_settings

        given = [part for override in LESS_TO_COMPUTE for part in ("--set", override)]
        own = [*self.arguments[3::2], *LESS_TO_COMPUTE]
        settings = load_settings(ROOT / "conf" / "demo.yaml", own, {}).settings
        return replace(self, settings=settings, arguments=(*self.arguments, *given))


@dataclass(frozen=True)
class Published:
    """How the run of the demo data ended, and what is true of that data."""

    demo: DemoLake
    outcome: Outcome
    parameters: DemoParameters
    truth: DemoTruth
    acquisition_truth: AcquisitionTruth


@pytest.fixture(scope="session")
def published(spark_session: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Published:
    """Demo data of 300 customers, run once for all test processes; the first that comes makes it, others wait.

    Read it, or work on `published.demo.copy(folder)`.
    """
    from clv_lib.pipeline import open_lake
    from clv_lib.settings import load_settings

    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent  # the folder of a process lies in that of all of them
    folder = shared / "demo"
    overrides = [f"lake={folder / 'lake'}", *(f"sources.{name}.table={folder / name}" for name in SOURCES)]
    overrides.append("predictions.minimum_group_customers=40")
    settings = load_settings(ROOT / "conf" / "demo.yaml", overrides, {}).settings
    with (shared / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = _outcome(spark_session, settings, folder / "outcome.pickle")
    given = [part for override in overrides for part in ("--set", override)]
    arguments = ("--config", str(ROOT / "conf" / "demo.yaml"), *given)
    demo = DemoLake(open_lake(spark_session, settings), settings, arguments, PARAMETERS.as_of)
    made = generate(PARAMETERS)
    return Published(demo, outcome, PARAMETERS, made.truth, made.acquisition_truth)


def _outcome(spark: SparkSession, settings: Settings, kept: Path) -> Outcome:
    """How the run ended, from the process that did it, or by doing it here."""
    from clv_lib.demo.tables import write_sources
    from clv_lib.pipeline import run_all

    if not kept.exists():
        write_sources(spark, settings.sources, PARAMETERS, fresh=False)
        made = run_all(spark, settings, PARAMETERS.as_of, clock=lambda: dt.datetime.now(dt.timezone.utc))
        kept.write_bytes(pickle.dumps(made))
    outcome: Outcome = pickle.loads(kept.read_bytes())  # noqa: S301 - written by these tests
    return outcome
