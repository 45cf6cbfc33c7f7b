"""How customers differ under a fitted model: densities of the rate of purchases and of leaving."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import special

from clv_lib.models import BgNbd, FloatArray, MbgNbd, ParetoNbd
from clv_lib.plots.axes import axes_or_new, finish

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_POINTS = 200
_SHARE_SHOWN = 0.99


def plot_transaction_rate_heterogeneity(
    model: BgNbd | MbgNbd | ParetoNbd, *, time_unit: str = "week", ax: Axes | None = None
) -> Axes:
    """Draw the density of the customers' purchase rates while alive, Gamma(r, alpha), up to the 99 % quantile."""
    ax = axes_or_new(ax)
    _draw_gamma(ax, model.r, model.alpha)
    return finish(ax, "Heterogeneity in transaction rate", f"Purchases per {time_unit} while alive", "Density")


def plot_dropout_rate_heterogeneity(
    model: BgNbd | MbgNbd | ParetoNbd, *, time_unit: str = "week", ax: Axes | None = None
) -> Axes:
    """Draw the density of the customers' inclination to leave.

    BG/NBD and MBG/NBD: chance to leave after a purchase, Beta(a, b). Pareto/NBD: rate of leaving, Gamma(s, beta), up to
    the 99 % quantile.
    """
    ax = axes_or_new(ax)
    if isinstance(model, ParetoNbd):
        _draw_gamma(ax, model.s, model.beta)
        return finish(ax, "Heterogeneity in dropout rate", f"Rate of leaving per {time_unit}", "Density")
    chance = _middles(1.0)
    log_density = (model.a - 1) * np.log(chance) + (model.b - 1) * np.log1p(-chance) - special.betaln(model.a, model.b)
    mean = model.a / (model.a + model.b)
    ax.plot(chance, np.exp(log_density), label=f"Beta({model.a:.3g}, {model.b:.3g}), mean {mean:.3g}")
    ax.set_ylim(bottom=0)
    return finish(ax, "Heterogeneity in dropout probability", "Chance to leave after a purchase", "Density")


def _draw_gamma(ax: Axes, shape: float, rate: float) -> None:
    value = _middles(float(special.gammaincinv(shape, _SHARE_SHOWN)) / rate)
    log_density = shape * np.log(rate) + (shape - 1) * np.log(value) - rate * value - special.gammaln(shape)
    ax.plot(value, np.exp(log_density), label=f"Gamma({shape:.3g}, {rate:.3g}), mean {shape / rate:.3g}")
    ax.set_ylim(bottom=0)


def _middles(end: float) -> FloatArray:
    """Points between 0 and the end, neither of which is hit: a density may be infinite there."""
    points: FloatArray = (np.arange(_POINTS) + 0.5) * end / _POINTS
    return points
