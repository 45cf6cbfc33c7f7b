"""The CDNOW sample and the published numbers, read once."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime
from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clv_lib.models import SpendStatistics, TransactionStatistics
from tests.models.simulation import FloatArray

END_OF_CALIBRATION = date(1997, 9, 30)


@dataclass(frozen=True)
class Cdnow:
    """One value per customer, in the order of the file; times in weeks; mean spend NaN without repeat purchase."""

    frequency: FloatArray
    recency: FloatArray
    age: FloatArray
    mean_spend: FloatArray
    holdout_purchases: FloatArray
    lines: int
    customer_days: int

    @property
    def transactions(self) -> TransactionStatistics:
        """Statistics of one row per customer."""
        return TransactionStatistics.unweighted(self.frequency, self.recency, self.age)

    @property
    def spend(self) -> SpendStatistics:
        """Statistics of one row per customer with a repeat purchase."""
        bought = self.frequency > 0
        return SpendStatistics.unweighted(self.frequency[bought], self.mean_spend[bought])


def cdnow_lines(name: str = "CDNOW_sample.txt") -> list[list[str]]:
    """The lines of the file in the installed package `lifetimes`, not imported, since that would warn.

    Each ends with customer, day, number of discs and value; in the sample the customer's number in the master is first.
    """
    files = distribution("lifetimes").files or []
    path = next(file.locate() for file in files if file.name == name)
    lines = [line.split() for line in Path(str(path)).read_text(encoding="utf-8").splitlines() if line.strip()]
    return [line for line in lines if line[0].isdigit()]


def read_cdnow(name: str = "CDNOW_sample.txt") -> Cdnow:
    """Histories of the customers in the order of their first lines."""
    lines = cdnow_lines(name)
    days: dict[str, dict[date, float]] = defaultdict(lambda: defaultdict(float))
    for *_, customer, day, _, value in lines:
        days[customer][datetime.strptime(day, "%Y%m%d").date()] += float(value)  # noqa: DTZ007 - a calendar day
    rows = [_customer(values) for values in days.values()]
    columns = np.array(rows, dtype=np.float64).T
    return Cdnow(*columns, lines=len(lines), customer_days=sum(map(len, days.values())))


def _customer(values: dict[date, float]) -> tuple[float, float, float, float, float]:
    seen = sorted(day for day in values if day <= END_OF_CALIBRATION)
    first, last, repeats = seen[0], seen[-1], seen[1:]
    mean = sum(values[day] for day in repeats) / len(repeats) if repeats else float("nan")
    later = len(values) - len(seen)
    return len(repeats), (last - first).days / 7, (END_OF_CALIBRATION - first).days / 7, mean, later


@pytest.fixture(scope="session")
def cdnow() -> Cdnow:
    """The one-tenth sample, calibrated to 1997-09-30."""
    return read_cdnow()


@pytest.fixture(scope="session")
def published() -> dict[str, Any]:
    """Numbers of the papers and of other implementations; sources in the file."""
    content: dict[str, Any] = json.loads(Path(__file__).with_name("published.json").read_text())
    return content
