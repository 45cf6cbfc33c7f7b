"""Demo data with known truth: `generate(DemoParameters())`."""

from clv_lib.demo.acquisitions import AcquisitionTruth
from clv_lib.demo.experiments import ExperimentTruth
from clv_lib.demo.generator import DemoData, generate
from clv_lib.demo.parameters import (
    Channel,
    CustomerType,
    DemoParameters,
    DirtRates,
    Experiment,
    Plan,
    Region,
    SubscriptionRates,
)
from clv_lib.demo.recurring_truth import RecurringTruth
from clv_lib.demo.truth import ChannelTruth, DemoTruth

__all__ = [
    "AcquisitionTruth",
    "Channel",
    "ChannelTruth",
    "CustomerType",
    "DemoData",
    "DemoParameters",
    "DemoTruth",
    "DirtRates",
    "Experiment",
    "ExperimentTruth",
    "Plan",
    "RecurringTruth",
    "Region",
    "SubscriptionRates",
    "generate",
]
