"""How often intervals hold what they should, on simulated customers with known parameters; writes docs/coverage.md.

`make coverage-study`: draws, fits, predicts and looks at the future, again and again; a few minutes on one core.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from clv_lib.models import BgNbd, GammaGamma, MbgNbd, ParetoNbd
from clv_lib.models.sufficient_statistics import FloatArray
from tests.studies.populations import Scenario
from tests.studies.recovery import APART, Recovery
from tests.studies.replication import LEVELS, Coverage, replicate

CUSTOMERS = 10_000
REPLICATIONS = 200
DENSE = (2.0, 8.0, 0.6, 4.0)
SPEND, HEAVY_SPEND = GammaGamma(6.25, 3.74, 15.44), GammaGamma(2.0, 2.6, 25.0)
SPARSE_BG, SPARSE_MBG = BgNbd(0.243, 4.414, 0.793, 2.426), MbgNbd(0.525, 6.183, 0.891, 1.614)
SCENARIOS = (
    Scenario("BG/NBD, sparse", SPARSE_BG, SPEND, (26, 39), 26),
    Scenario("BG/NBD, sparse, fitted on a tenth of the customers", SPARSE_BG, SPEND, (26, 39), 26, fitted_share=0.1),
    Scenario("BG/NBD, dense, heavy-tailed spend", BgNbd(*DENSE), HEAVY_SPEND, (26, 104), 26),
    Scenario("MBG/NBD, sparse", SPARSE_MBG, SPEND, (26, 39), 26),
    Scenario("MBG/NBD, dense, heavy-tailed spend", MbgNbd(*DENSE), HEAVY_SPEND, (26, 104), 26),
    Scenario("Wrong model: purchases 15 % faster in the horizon", BgNbd(*DENSE), SPEND, (26, 104), 26, season=1.15),
    Scenario("Wrong model: frequent buyers spend more", SPARSE_MBG, SPEND, (26, 39), 26, coupling=0.2),
    Scenario("Pareto/NBD, sparse", ParetoNbd(0.553, 10.578, 0.606, 11.669), SPEND, (26, 39), 26),
    Scenario("Pareto/NBD, dense, heavy-tailed spend", ParetoNbd(2.0, 8.0, 1.5, 60.0), HEAVY_SPEND, (26, 104), 26),
)
BEGIN, END = "<!-- figures: written by tests/studies/coverage.py -->", "<!-- end of figures -->"
REPORT = Path(__file__).parents[2] / "docs" / "coverage.md"


def study(scenario: Scenario, customers: int, replications: int, first_seed: int) -> tuple[dict[str, Shares], int]:
    """Mean coverage and its standard error over replications, by quantity; and how many fits failed."""
    return summary([replicate(scenario, customers, first_seed + number) for number in range(replications)])


def recovery(one: Recovery, customers: int, replications: int, first_seed: int) -> tuple[dict[str, Shares], int]:
    """As `study`, of the parameters of a model alone."""
    return summary([one.replicate(customers, first_seed + number) for number in range(replications)])


def summary(results: Sequence[Coverage | None]) -> tuple[dict[str, Shares], int]:
    """Coverage over the replications with usable fits, and how many had none."""
    usable = [result for result in results if result is not None]
    names = usable[0] if usable else {}
    columns = {name: np.array([result[name] for result in usable]) for name in names}
    return {name: Shares.of(column) for name, column in columns.items()}, len(results) - len(usable)


@dataclass(frozen=True)
class Shares:
    """Coverage at each of LEVELS with its standard error."""

    mean: FloatArray
    error: FloatArray

    @classmethod
    def of(cls, replications: FloatArray) -> Shares:
        """Summarise rows of replications by columns of levels."""
        count = len(replications)
        spread = replications.std(axis=0, ddof=1) if count > 1 else np.full(len(LEVELS), np.nan)
        return cls(replications.mean(axis=0), spread / np.sqrt(count))


def tables(
    results: Sequence[tuple[Scenario, dict[str, Shares], int, int]],
    apart: Sequence[tuple[Recovery, dict[str, Shares], int, int]],
) -> str:
    """Markdown: predictions of each scenario, then parameters of those whose model is right and of models apart."""
    lines = ["## Predictions", ""]
    for scenario, shares, replications, failed in results:
        lines += [f"### {scenario.name}", "", _caption(scenario, replications, failed), "", *_header("held by")]
        lines += [_row(name, held) for name, held in shares.items() if "parameter" not in name or ", " in name]
        lines.append("")
    lines += ["## Parameters", ""]
    for scenario, shares, _, _ in results:
        own = {name: held for name, held in shares.items() if "parameter" in name and ", " not in name}
        if own:
            lines += [f"### {scenario.name}", "", *_header("held by"), *(_row(*item) for item in own.items()), ""]
    for one, shares, replications, failed in apart:
        lines += [f"### {one.name}", "", f"{_fits(replications, failed)}; {_parameters(one.truth)}; {one.observed}."]
        lines += ["", *_header("held by"), *(_row(*item) for item in shares.items()), ""]
    return "\n".join(lines)


def _caption(scenario: Scenario, replications: int, failed: int) -> str:
    return (
        f"{_fits(replications, failed)}; {_parameters(scenario.model)}; {_parameters(scenario.spend)}; "
        f"first purchase {scenario.ages[0]} to {scenario.ages[1]} weeks ago, horizon {scenario.horizon} weeks."
    )


def _fits(replications: int, failed: int) -> str:
    return f"{replications} replications of {CUSTOMERS:,} customers, {failed} without a usable fit"


def _parameters(model: Any) -> str:
    return ", ".join(f"{name} {getattr(model, name)}" for name in model.parameter_names)


def _header(first: str) -> list[str]:
    nominal = " | ".join(f"{level:.0%} interval".replace("%", " %") for level in LEVELS)
    return [f"| {first} | {nominal} |", "| --- |" + " ---: |" * len(LEVELS)]


def _row(name: str, shares: Shares) -> str:
    cells = (f"{100 * mean:.1f} ± {100 * error:.1f}" for mean, error in zip(shares.mean, shares.error, strict=True))
    return f"| {name} | " + " | ".join(cells) + " |"


def main() -> None:
    """Run all scenarios and put their tables between the marks of the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replications", type=int, default=REPLICATIONS)
    count = parser.parse_args().replications
    results = []
    for number, scenario in enumerate(SCENARIOS):
        began, repeated = time.monotonic(), count if scenario.well_specified else max(1, count // 3)
        shares, failed = study(scenario, CUSTOMERS, repeated, 1000 * number)
        results.append((scenario, shares, repeated, failed))
        sys.stdout.write(f"{scenario.name}: {time.monotonic() - began:.0f} s\n")
    apart = []
    for number, one in enumerate(APART, start=1):
        shares, failed = recovery(one, CUSTOMERS, 5 * count, 100_000 * number)
        apart.append((one, shares, 5 * count, failed))
    text = REPORT.read_text(encoding="utf-8")
    before, after = text[: text.index(BEGIN)], text[text.index(END) :]
    REPORT.write_text(f"{before}{BEGIN}\n\n{tables(results, apart)}\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
