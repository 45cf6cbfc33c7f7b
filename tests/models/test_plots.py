"""Every picture draws the numbers it was given, or those that the model gives elsewhere."""

from __future__ import annotations

import datetime as dt
import itertools
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import dates
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from scipy import stats

from clv_lib import plots
from clv_lib.models import BgNbd, MbgNbd, ParetoNbd, TransactionStatistics
from tests.models.conftest import Cdnow
from tests.models.simulation import FloatArray

BG = BgNbd(0.242595, 4.413602, 0.792922, 2.425907)
MBG = MbgNbd(0.524843, 6.183085, 0.891359, 1.614002)
PARETO = ParetoNbd(0.553277, 10.577683, 0.60624, 11.668735)
MODELS = {"bg_nbd": BG, "mbg_nbd": MBG, "pareto_nbd": PARETO}


@pytest.fixture(autouse=True)
def figures() -> Iterator[None]:
    """Draw without a screen; every figure is rendered at the end, so that a warning of rendering fails the test."""
    with mpl.rc_context():
        plt.switch_backend("Agg")
        yield
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
        plt.close("all")


def bars(ax: Axes) -> dict[str, list[float]]:
    """Heights of the bars by label."""
    return {str(group.get_label()): [bar.get_height() for bar in group] for group in ax.containers}


def lines(ax: Axes) -> dict[str, tuple[FloatArray, FloatArray]]:
    """Data of the lines by label."""
    return {str(line.get_label()): (line.get_xdata(), line.get_ydata()) for line in ax.lines}


def ticks(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_xticklabels()]


def legend(ax: Axes) -> list[str]:
    box = ax.get_legend()
    return [text.get_text() for text in box.get_texts()] if box else []


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_expected_customers_have_the_expected_purchases(model: BgNbd | MbgNbd | ParetoNbd) -> None:
    """The probabilities add up to all customers, and their mean is the closed form of E[X(T)]."""
    age = np.array([0.0, 3.0, 39.0, 39.0])
    counts = plots.expected_customers_by_frequency(model, age, max_frequency=1500)
    assert counts.min() > -1e-12 and counts.sum() == pytest.approx(4)
    assert counts @ np.arange(1501) == pytest.approx(model.expected_purchases_new(age).sum(), rel=1e-8)


def test_one_time_buyers_of_mbg_nbd_left_at_once_or_did_not_come_back_yet() -> None:
    model = MbgNbd(r=2, alpha=10, a=1, b=3)
    counts = plots.expected_customers_by_frequency(model, [10.0, 10.0], [100, 300], max_frequency=1)
    assert counts == pytest.approx([400 * (1 / 4 + 3 / 4 * (1 / 2) ** 2), 400 * 3 / 4 * 3 / 4])
    with pytest.raises(ValueError, match="at least 1; found 0"):
        plots.expected_customers_by_frequency(model, [10.0], max_frequency=0)


def test_period_transactions_counts_weights() -> None:
    statistics = TransactionStatistics(
        np.array([0.0, 1, 2, 5]), np.array([0.0, 2, 3, 9]), np.full(4, 10.0), np.array([50.0, 20, 10, 3])
    )
    ax = plots.plot_period_transactions({"BG": BG, "MBG": MBG}, statistics, max_frequency=3)
    found = bars(ax)
    assert found["Actual"] == [50, 20, 10, 3]
    assert found["BG"] == pytest.approx(plots.expected_customers_by_frequency(BG, [10], [83], max_frequency=3))
    assert found["MBG"] == pytest.approx(plots.expected_customers_by_frequency(MBG, [10], [83], max_frequency=3))
    assert ticks(ax) == ["0", "1", "2", "3+"]
    assert legend(ax) == ["Actual", "BG", "MBG"]
    assert ax.get_xlabel() == "Repeat purchases in the calibration period"
    edges = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for group in ax.containers for bar in group)
    assert all(left[1] <= right[0] + 1e-12 for left, right in itertools.pairwise(edges)), "bars overlap"


def test_period_transactions_of_cdnow(cdnow: Cdnow) -> None:
    found = bars(plots.plot_period_transactions(BG, cdnow.transactions))
    assert found["Actual"] == [1411, 439, 214, 100, 62, 38, 29, 64]
    assert sum(found["Model"]) == pytest.approx(2357)
    assert found["Model"][0] == pytest.approx(((BG.alpha / (BG.alpha + cdnow.age)) ** BG.r).sum())


@pytest.mark.parametrize("name", MODELS)
def test_cumulative_transactions(name: str, cdnow: Cdnow, published: dict[str, Any]) -> None:
    weeks = np.arange(1, 79)
    expected = plots.expected_cumulative_transactions(MODELS[name], 272 / 7 - cdnow.age, weeks)
    ax = plots.plot_cumulative_transactions(weeks, weeks * 50, {name: expected}, end_of_calibration=39)
    found = lines(ax)
    np.testing.assert_allclose(found[name][1], published[name]["cumulative_by_week"], rtol=2e-5)
    np.testing.assert_array_equal(found["Actual"], (weeks, weeks * 50))
    np.testing.assert_array_equal(found["End of calibration"][0], [39, 39])
    assert ax.get_xlabel() == "Time (weeks)" and ax.get_ylabel() == "Cumulative repeat purchases"


def test_incremental_transactions_by_month() -> None:
    months = [dt.date(2024, 1, 31), dt.date(2024, 2, 29), dt.date(2024, 3, 31)]
    ax = plots.plot_incremental_transactions(months, [5, 7, 6], [6.5, 6, 5.5], end_of_calibration=dt.date(2024, 2, 29))
    found = lines(ax)
    assert list(found["Actual"][1]) == [5, 7, 6] and list(found["Model"][1]) == [6.5, 6, 5.5]
    drawn = [dates.num2date(ax.convert_xunits(day)).date() for day in found["Model"][0]]
    assert drawn == months
    assert ax.convert_xunits(found["End of calibration"][0][0]) == dates.date2num(months[1])
    assert ax.get_xlabel() == "Date" and ax.get_ylim()[0] == 0


def test_frequency_recency_matrix(published: dict[str, Any]) -> None:
    for model, name in ((BG, "bg_nbd"), (PARETO, "pareto_nbd")):
        ax = plots.plot_frequency_recency_matrix(model, 52, max_frequency=25, max_recency=39)
        image = ax.images[0].get_array()
        assert image is not None and image.shape == (40, 26)
        expected = published[name]["expected_52_after_20_of_39"]
        np.testing.assert_allclose([image[20, int(x)] for x in expected], [*expected.values()], rtol=2e-4)
        assert ax.get_title() == "Expected purchases in the next 52 weeks of a customer after 39 weeks"


def test_probability_alive_matrix_leaves_out_what_cannot_be() -> None:
    ax = plots.plot_probability_alive_matrix(BG, max_frequency=3, max_recency=4, time_unit="months")
    image = np.ma.filled(np.ma.asarray(ax.images[0].get_array()), np.nan)
    for (t_x, x), value in np.ndenumerate(image):
        expected = BG.probability_alive(x, t_x, 4) if (x == 0) == (t_x == 0) else np.nan
        assert value == pytest.approx(float(expected), nan_ok=True)
    assert ax.images[0].get_clim() == (0, 1)
    assert ax.get_ylabel() == "Recency (months from first to last purchase)"
    with pytest.raises(ValueError, match="must be at least 1; found 3, 0"):
        plots.plot_probability_alive_matrix(BG, 3, 0)


@pytest.mark.parametrize("name", MODELS)
def test_calibration_by_frequency(name: str, cdnow: Cdnow, published: dict[str, Any]) -> None:
    predicted = MODELS[name].expected_purchases(39, cdnow.frequency, cdnow.recency, cdnow.age)
    ax = plots.plot_calibration_purchases_vs_holdout_purchases(cdnow.frequency, cdnow.holdout_purchases, predicted)
    found = lines(ax)
    np.testing.assert_allclose(found["Model"][1], published[name]["holdout_by_frequency"], atol=1e-4)
    customers = [int(text.split("n=")[1]) for text in ticks(ax)]
    assert found["Actual"][1] @ customers == pytest.approx(published["cdnow"]["holdout_repeat_39wk"])


def test_calibration_leaves_out_groups_without_customers() -> None:
    ax = plots.plot_calibration_purchases_vs_holdout_purchases(
        [4, 0, 0, 9, 2], [1, 0, 1, 3, 4], {"A": [2, 1, 1, 1, 1], "B": [0, 0, 0.5, 6, 0]}, max_frequency=4
    )
    found = lines(ax)
    assert [list(values) for values in found["Actual"]] == [[0, 2, 4], [0.5, 4, 2]]
    assert list(found["A"][1]) == [1, 1, 1.5] and list(found["B"][1]) == [0.25, 0, 3]
    assert ticks(ax) == ["0\nn=2", "2\nn=1", "4+\nn=2"]
    assert legend(ax) == ["Actual", "A", "B"]


def test_calibration_by_decile_sorts_its_rows() -> None:
    ax = plots.plot_calibration_by_decile([2, 1, 3], [1.5, 4.0, 0.5], [1.0, 5.0, None])
    found = bars(ax)
    assert found["Actual"] == [4.0, 1.5, 0.5]
    assert found["Model"] == pytest.approx([5.0, 1.0, np.nan], nan_ok=True)
    assert ticks(ax) == ["1", "2", "3"]


def test_history_alive_knows_only_what_was_known_then() -> None:
    ax = plots.plot_history_alive(BG, [30.0, 5.0, 12.0], 39.0)
    times, alive = lines(ax)["P(alive)"]
    assert (times[0], times[-1]) == (0, 39) and np.all(np.diff(times) > 0)
    known = [(0, 0.0, 0.0), (0, 0.0, 4.999999), (1, 5.0, 5.0), (2, 12.0, 12.0), (2, 12.0, 29.999999), (3, 30.0, 30.0)]
    for x, t_x, time in [*known, (3, 30.0, 39.0)]:
        at = np.searchsorted(times, time, side="left")
        assert alive[at] == pytest.approx(float(BG.probability_alive(x, t_x, time)), abs=1e-6)
    purchases = [path.vertices[0, 0] for path in ax.collections[0].get_paths()]
    assert purchases == [0, 5, 12, 30]
    assert legend(ax) == ["P(alive)", "Purchase"]


@pytest.mark.parametrize("purchases", [[0.0, 3.0], [3.0, 39.5], [np.nan]])
def test_history_alive_refuses_purchases_outside(purchases: list[float]) -> None:
    with pytest.raises(ValueError, match="must be after 0 and not after age"):
        plots.plot_history_alive(BG, purchases, 39.0)


def test_heterogeneity_is_the_density_of_the_parameters() -> None:
    rate, chance, leaving = plt.subplots(1, 3)[1]
    plots.plot_transaction_rate_heterogeneity(PARETO, ax=rate)
    plots.plot_dropout_rate_heterogeneity(MBG, ax=chance)
    plots.plot_dropout_rate_heterogeneity(PARETO, ax=leaving, time_unit="day")
    densities = {
        rate: stats.gamma(PARETO.r, scale=1 / PARETO.alpha),
        chance: stats.beta(MBG.a, MBG.b),
        leaving: stats.gamma(PARETO.s, scale=1 / PARETO.beta),
    }
    for ax, density in densities.items():
        ((value, drawn),) = lines(ax).values()
        np.testing.assert_allclose(drawn, density.pdf(value), rtol=1e-10)
        assert density.cdf(value[-1]) > 0.98
        assert f"mean {density.mean():.3g}" in legend(ax)[0]
    assert leaving.get_xlabel() == "Rate of leaving per day"


def test_given_axes_are_used_and_no_figure_is_made() -> None:
    _, ax = plt.subplots()
    assert plots.plot_calibration_by_decile([1, 2], [2, 1], {"BG/NBD": [2, 1]}, ax=ax) is ax
    assert plt.get_fignums() == [1]


def test_without_matplotlib_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"no module 'matplotlib': pip install 'clv-lib\[plots\]'"):
        plots.plot_calibration_by_decile([1], [1], [1])


def test_import_does_not_need_matplotlib() -> None:
    code = "import sys; sys.modules['matplotlib'] = None; import clv_lib.plots"
    subprocess.run([sys.executable, "-c", code], check=True)
