"""What a model says about a customer's history: P(alive) and expected purchases by (x, t_x), and P(alive) over time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from clv_lib.models import FloatArray, TransactionModel
from clv_lib.models.sufficient_statistics import as_floats
from clv_lib.plots.axes import axes_or_new, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 400


def plot_probability_alive_matrix(
    model: TransactionModel,
    max_frequency: int,
    max_recency: int,
    *,
    time_unit: str = "weeks",
    ax: Axes | None = None,
) -> Axes:
    """Draw P(alive) of customers of age max_recency by frequency and recency, in steps of one purchase and one unit.

    Recency grows downwards, as in lifetimes. Histories that cannot be stay grey: no repeat purchase goes with recency 0
    and nothing else.
    """
    frequency, recency, possible = _histories(max_frequency, max_recency)
    values = model.probability_alive(frequency, recency, max_recency)
    ax = axes_or_new(ax)
    _draw_matrix(ax, np.where(possible, values, np.nan), "P(alive)", 1.0)
    title = f"Probability that a customer is alive after {max_recency} {time_unit}"
    return finish(ax, title, "Frequency (repeat purchases)", _recency_label(time_unit))


def plot_frequency_recency_matrix(
    model: TransactionModel,
    horizon: float,
    max_frequency: int,
    max_recency: int,
    *,
    time_unit: str = "weeks",
    ax: Axes | None = None,
) -> Axes:
    """Draw the expected purchases within the next horizon of customers of age max_recency; the rest as P(alive)."""
    frequency, recency, possible = _histories(max_frequency, max_recency)
    values = model.expected_purchases(horizon, frequency, recency, max_recency)
    ax = axes_or_new(ax)
    _draw_matrix(ax, np.where(possible, values, np.nan), "Expected purchases", None)
    title = f"Expected purchases in the next {horizon:g} {time_unit} of a customer after {max_recency} {time_unit}"
    return finish(ax, title, "Frequency (repeat purchases)", _recency_label(time_unit))


def plot_history_alive(
    model: TransactionModel,
    purchases: ArrayLike,
    age: float,
    *,
    time_unit: str = "weeks",
    ax: Axes | None = None,
) -> Axes:
    """Draw P(alive) of one customer from the first purchase to age, as it was known at each time, and the purchases.

    purchases: times of the repeat purchases since the first purchase, above 0, one per purchase day; both in the
    model's unit. Raises ValueError for a purchase at or before 0 or after age.
    """
    repeats = np.unique(as_floats(purchases))
    if not np.all((repeats > 0) & (repeats <= age)):
        raise ValueError(f"repeat purchases must be after 0 and not after age {age}; found {repeats}")
    # A purchase lifts P(alive) at once: the last moment before it is on the line too.
    times = np.unique(np.concatenate([np.linspace(0.0, age, _POINTS), repeats, np.nextafter(repeats, 0.0)]))
    frequency = np.searchsorted(repeats, times, side="right")
    recency = np.append(0.0, repeats)[frequency]
    ax = axes_or_new(ax)
    ax.plot(times, model.probability_alive(frequency, recency, times), label="P(alive)")
    ax.vlines(np.append(0.0, repeats), 0, 1, colors="C3", linestyles="dashed", linewidth=1, label="Purchase")
    ax.set_ylim(0, 1.05)
    return finish(ax, "History of P(alive)", f"Time since the first purchase ({time_unit})", "P(alive)")


def _histories(max_frequency: int, max_recency: int) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Frequency as a row, recency as a column, and where the two go together."""
    if max_frequency < 1 or max_recency < 1:
        raise ValueError(f"max_frequency and max_recency must be at least 1; found {max_frequency}, {max_recency}")
    frequency, recency = np.arange(max_frequency + 1.0)[np.newaxis, :], np.arange(max_recency + 1.0)[:, np.newaxis]
    return frequency, recency, as_floats((frequency == 0) == (recency == 0))


def _draw_matrix(ax: Axes, values: FloatArray, label: str, highest: float | None) -> None:
    image = ax.imshow(values, aspect="auto", interpolation="none", vmin=0.0, vmax=highest)
    ax.set_facecolor("0.85")
    ax.figure.colorbar(image, ax=ax, label=label)


def _recency_label(time_unit: str) -> str:
    return f"Recency ({time_unit} from first to last purchase)"
