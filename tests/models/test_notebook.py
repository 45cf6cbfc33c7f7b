"""The notebook runs from its first cell to its last, without Jupyter, and its numbers are the published ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

NOTEBOOK = Path(__file__).resolve().parents[2] / "notebooks" / "cdnow.ipynb"


@pytest.fixture(scope="module")
def content() -> dict[str, Any]:
    notebook: dict[str, Any] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    return notebook


@pytest.fixture(scope="module")
def names(content: dict[str, Any]) -> Any:
    """What the code cells define, run in their order."""
    from matplotlib import pyplot as plt

    plt.switch_backend("Agg")
    defined: dict[str, Any] = {}
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{NOTEBOOK.name}:{cell['id']}", "exec"), defined)  # noqa: S102
    yield defined
    plt.close("all")


def test_format(content: dict[str, Any]) -> None:
    assert (content["nbformat"], content["nbformat_minor"]) == (4, 5)
    ids = [cell["id"] for cell in content["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in content["cells"]:
        only_code = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == {"cell_type", "id", "metadata", "source"} | only_code
        assert not cell.get("outputs") and cell.get("execution_count") is None


def test_statistics(names: dict[str, Any], published: dict[str, Any]) -> None:
    customers, expected = names["customers"], published["cdnow"]
    assert len(customers) == expected["customers"]
    assert customers["frequency"].sum() == expected["repeat_cal"]
    assert customers["holdout"].sum() == expected["holdout_repeat_39wk"]
    assert customers["mean_spend"].mean() == pytest.approx(expected["mean_m"], rel=1e-6)


def test_estimates(names: dict[str, Any], published: dict[str, Any]) -> None:
    models = ("bg_nbd", "mbg_nbd", "pareto_nbd", "gamma_gamma")
    for column, key in (("estimate", "parameters"), ("standard_error", "standard_errors")):
        expected = [value for name in models for value in published[name][key]]
        np.testing.assert_allclose(names["estimates"][column], expected, rtol=1e-3)
    # What the notebook prints as published is rounded.
    np.testing.assert_allclose(names["estimates"]["estimate"], names["estimates"]["published"], rtol=2e-3)


def test_holdout_and_tracking(names: dict[str, Any], published: dict[str, Any]) -> None:
    for label, name in (("BG/NBD", "bg_nbd"), ("MBG/NBD", "mbg_nbd"), ("Pareto/NBD", "pareto_nbd")):
        assert names["predicted"][label].sum() == pytest.approx(published[name]["sum_expected_39"], abs=0.05)
    calibration, all_weeks = published["cdnow"]["repeat_cal"], 6696 - 2357
    assert names["actual"][38] == calibration and names["actual"][-1] <= all_weeks
    assert names["actual"][-1] == calibration + published["cdnow"]["holdout_repeat_39wk"]
    np.testing.assert_array_equal(names["actual"], published["cdnow_actual"]["cumulative_by_week"])


def test_predictions_of_some_customers(names: dict[str, Any]) -> None:
    table = names["predictions"]
    assert (table["orders_low"] <= table["orders"]).all() and (table["value_low"] <= table["value"]).all()
    assert (table["orders_high"] >= np.floor(table["orders"])).all() and table["alive"].between(0, 1).all()
    alone = names["bg_nbd"].expected_purchases(39, table["frequency"], table["recency"], table["age"])
    np.testing.assert_allclose(table["orders"], alone, rtol=1e-10)
    # What the text says about customer 1166.
    told = table.loc[1166]
    assert (told["frequency"], told["recency"] * 7, told["actual_orders"]) == (4, pytest.approx(9), 11)
    assert told["age"] - told["recency"] == pytest.approx(31, abs=0.5)


def test_what_the_text_says_about_silence(names: dict[str, Any]) -> None:
    few, many = names["bg_nbd"].probability_alive([2, 15], 19, 39)
    assert few == pytest.approx(0.5, abs=0.05) and many < 0.01


def test_every_picture_is_drawn(names: dict[str, Any]) -> None:
    pictures = {name: value for name, value in names.items() if name.endswith("_plot")}
    assert len(pictures) == 8
    for name, ax in pictures.items():
        ax.figure.canvas.draw()
        assert ax.has_data() and ax.get_xlabel() and ax.get_ylabel() and ax.get_title(), name
