"""What every picture needs: Axes to draw on, one colour for what happened, and bars and lines side by side with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from clv_lib.models import FloatArray
from clv_lib.models.sufficient_statistics import as_floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ACTUAL_COLOUR = "0.25"

_WIDTH_OF_GROUP = 0.8
_LABEL = "Model"

ValueT = TypeVar("ValueT")


def axes_or_new(ax: Axes | None) -> Axes:
    """Return the given Axes, or those of a new figure; ImportError says how to install matplotlib if it is missing."""
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot as plt
    except ModuleNotFoundError as error:
        raise ImportError(
            f"clv_lib.plots draws with matplotlib, but there is no module {error.name!r}: pip install 'clv-lib[plots]'"
        ) from error
    _, new = plt.subplots(figsize=(8, 5), layout="constrained")
    return new


def by_label(values: ValueT | Mapping[str, ValueT]) -> dict[str, ValueT]:
    """Return values by their label in the legend; what has no label of its own is called Model."""
    return dict(values) if isinstance(values, Mapping) else {_LABEL: values}


def arrays_by_label(values: ArrayLike | Mapping[str, ArrayLike]) -> dict[str, FloatArray]:
    """Return one array, or several by label, as arrays of doubles by their label."""
    arrays: Mapping[str, ArrayLike] = values if isinstance(values, Mapping) else {_LABEL: values}
    return {label: as_floats(array) for label, array in arrays.items()}


def draw_bars(ax: Axes, actual: FloatArray, predicted: Mapping[str, FloatArray], ticks: Sequence[str]) -> None:
    """Draw a group of bars per tick: what happened, and what each label says, at 0, 1, 2, ..."""
    groups = {"Actual": actual, **predicted}
    width = _WIDTH_OF_GROUP / len(groups)
    centre = np.arange(len(actual), dtype=np.float64)
    for number, (label, heights) in enumerate(groups.items()):
        place = centre + (number - (len(groups) - 1) / 2) * width
        ax.bar(place, heights, width, label=label, color=f"C{number - 1}" if number else ACTUAL_COLOUR)
    ax.set_xticks(centre, ticks)


def draw_lines(ax: Axes, x: Any, actual: FloatArray, predicted: Mapping[str, FloatArray], marker: str = "") -> None:
    """Draw a line of what happened, and one of what each label says; x: numbers or days."""
    ax.plot(x, actual, color=ACTUAL_COLOUR, linewidth=2, marker=marker, label="Actual")
    for number, (label, values) in enumerate(predicted.items()):
        ax.plot(x, values, color=f"C{number}", linestyle="--", marker=marker, label=label)


def finish(ax: Axes, title: str, xlabel: str, ylabel: str) -> Axes:
    """Write title, labels and, if something has a label, the legend."""
    ax.set_title(title)
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    if ax.get_legend_handles_labels()[1]:
        ax.legend()
    return ax
