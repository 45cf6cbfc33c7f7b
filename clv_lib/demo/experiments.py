"""Experiments of the demo: who got which variant, and by how much more the treated then bought."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import pandas as pd

from clv_lib.demo.orders import customer_ids, day_seconds, utc
from clv_lib.demo.parameters import DemoParameters, Experiment
from clv_lib.demo.purchases import FloatArray
from clv_lib.periods import add_months, month_start

ASSIGNMENT_COLUMNS = ("experiment_id", "variant", "customer_id", "assigned_at")
CONTROL = "control"

_STREAM = 2
_SECONDS = (8 * 3600, 20 * 3600)
_AGAIN = 3 * 86_400


@dataclass(frozen=True)
class ExperimentTruth:
    """What is true of an experiment.

    `customers`: variant to the customers who had it alone; `conflicting_customers`: those who had both;
    `repeated_rows`: second assignments to the same. `uplift`: by how much an order of a treated customer is worth more
    in the outcome months; `effect_amount`: what that added per treated customer, before refunds, in the reporting
    currency.
    """

    customers: Mapping[str, int]
    conflicting_customers: int
    repeated_rows: int
    uplift: float
    effect_amount: float


def experiment_stream(parameters: DemoParameters) -> np.random.Generator:
    """Random numbers of their own, so that experiments change nothing but the values of the treated orders."""
    return np.random.default_rng((parameters.seed, _STREAM))


def draw_assignments(parameters: DemoParameters, purchases: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One row per assignment, in the order of time: the columns of the source, `customer` (index), and `is_alone`.

    `is_alone` marks the row that counts: of each customer with one variant the first. Experiments outside of the
    history are left out.
    """
    first_day = purchases.groupby("customer")["day"].min()
    frames = [
        _assigned(parameters, experiment, first_day, rng)
        for experiment in parameters.experiments
        if parameters.history_start < experiment.assigned_date <= parameters.as_of
    ]
    columns = [*ASSIGNMENT_COLUMNS, "customer", "is_alone"]
    if not frames:
        return pd.DataFrame(columns=columns)
    rows = pd.concat(frames, ignore_index=True).sort_values(["assigned_at", "customer"], ignore_index=True)
    return rows[columns]


def _assigned(
    parameters: DemoParameters, experiment: Experiment, first_day: pd.Series[int], rng: np.random.Generator
) -> pd.DataFrame:
    day = (experiment.assigned_date - parameters.history_start).days
    customers = rng.permutation(first_day.index[first_day < day].to_numpy(np.int64))
    variant = np.where(np.arange(len(customers)) % 2 == 0, experiment.variant, CONTROL).astype(object)
    other = np.where(variant == CONTROL, experiment.variant, CONTROL).astype(object)
    conflicting = max(1, round(experiment.conflicting_share * len(customers)))
    repeated = max(1, round(experiment.repeated_share * len(customers)))
    time = day_seconds(parameters, np.array([day])) + rng.integers(*_SECONDS, len(customers))
    both, twice = slice(0, conflicting), slice(conflicting, conflicting + repeated)
    again = [(customers[both], other[both], time[both]), (customers[twice], variant[twice], time[twice] + _AGAIN)]
    who, what, when = (np.concatenate(column) for column in zip((customers, variant, time), *again, strict=True))
    is_alone = np.arange(len(who)) < len(customers)
    is_alone[both] = False
    return pd.DataFrame(
        {
            "experiment_id": experiment.name,
            "variant": what,
            "customer_id": customer_ids(parameters.customers)[who],
            "assigned_at": utc(when),
            "customer": who,
            "is_alone": is_alone,
        }
    )


def added_values(parameters: DemoParameters, purchases: pd.DataFrame, assignments: pd.DataFrame) -> FloatArray:
    """What experiments add to the value of each purchase day, shape of `purchases`."""
    added = np.zeros(len(purchases))
    for experiment in parameters.experiments:
        added += _added_by(parameters, experiment, purchases, assignments)
    return added


def _added_by(
    parameters: DemoParameters, experiment: Experiment, purchases: pd.DataFrame, assignments: pd.DataFrame
) -> FloatArray:
    first = add_months(month_start(experiment.assigned_date), 1)
    end = add_months(first, experiment.outcome_months)
    days = [(day - parameters.history_start).days for day in (first, end)]
    is_treated = (assignments["experiment_id"] == experiment.name) & (assignments["variant"] == experiment.variant)
    treated = assignments.loc[is_treated & assignments["is_alone"].astype(bool), "customer"]
    is_hit = purchases["customer"].isin(treated) & purchases["day"].between(days[0], days[1] - 1)
    return np.where(is_hit, experiment.uplift * purchases["value"].to_numpy(), 0.0)


def collect_experiment_truth(
    parameters: DemoParameters, purchases: pd.DataFrame, assignments: pd.DataFrame
) -> Mapping[str, ExperimentTruth]:
    """Experiment to its truth; `purchases` are those before anything was added."""
    return MappingProxyType(
        {
            experiment.name: _truth(parameters, experiment, purchases, assignments)
            for experiment in parameters.experiments
            if (assignments["experiment_id"] == experiment.name).any()
        }
    )


def _truth(
    parameters: DemoParameters, experiment: Experiment, purchases: pd.DataFrame, assignments: pd.DataFrame
) -> ExperimentTruth:
    own = assignments[assignments["experiment_id"] == experiment.name]
    alone = own[own["is_alone"]]
    both = set(own["customer_id"]) - set(alone["customer_id"])
    added = _added_by(parameters, experiment, purchases, assignments).sum()
    return ExperimentTruth(
        customers=MappingProxyType({str(name): int(n) for name, n in alone["variant"].value_counts().items()}),
        conflicting_customers=len(both),
        repeated_rows=len(own) - len(alone) - 2 * len(both),
        uplift=experiment.uplift,
        effect_amount=float(added / (alone["variant"] == experiment.variant).sum()),
    )
