"""Which model of orders is published, by what the candidates said of the holdouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from clv_lib.models import Nbd
from clv_lib.scoring.fits import POOLED_SEGMENT, Choice
from clv_lib.settings.predictions import AUTO

if TYPE_CHECKING:
    from clv_lib.scoring.fits import Fits
    from clv_lib.settings.predictions import Predictions

PREFERENCE = ("mbg_nbd", "pareto_nbd", "bg_nbd")
"""Which candidate is taken where the holdout does not tell them apart: first those in which anybody may have left."""

_TELLS_APART = 0.01


def choose(fits: Fits, rows: Sequence[Mapping[str, Any]], settings: Predictions) -> Choice:
    """The model to publish: the named one, or for `auto` the usable one with the lowest error on the holdouts.

    The error is the root mean squared error of orders over all customers and holdouts, which the best expected value
    minimises; candidates within 1 % of the lowest are not told apart and PREFERENCE decides. Without a holdout the
    likelihood decides, as all candidates have four parameters. Where nobody is seen to leave it is the NBD, which knows
    no churn.
    """
    if settings.model != AUTO:
        others = dict.fromkeys(fits.candidates, "not asked for: the configuration names another model")
        return Choice(settings.model, {**others, settings.model: "named by the configuration"})
    usable = [name for name in PREFERENCE if fits.candidates[name].converged]
    if not usable:
        unusable = {name: f"not usable: {fit.status}" for name, fit in fits.candidates.items()}
        if fits.is_nobody_seen_to_leave:
            return Choice(Nbd.name, {**unusable, Nbd.name: "nobody is seen to leave: models with death are no better"})
        return Choice(PREFERENCE[0], unusable)
    errors = _errors(rows, usable)
    if errors:
        name = _lowest(errors)
        reasons = {other: _reason(other, name, errors) for other in errors}
    else:
        name = max(usable, key=lambda one: fits.candidates[one].log_likelihood)
        nowhere = "no candidate usable on the holdout" if rows else "no holdout to compare on"
        reasons = {other: f"{'highest' if other == name else 'lower'} likelihood; {nowhere}" for other in usable}
    unusable = {
        other: "not usable on a holdout" if fit.converged else f"not usable: {fit.status}"
        for other, fit in fits.candidates.items()
        if other not in reasons
    }
    return Choice(name, {**reasons, **unusable})


def _errors(rows: Sequence[Mapping[str, Any]], usable: Sequence[str]) -> dict[str, float]:
    """Root mean squared error of orders over all holdouts, of the candidates that have one on each of them."""
    pooled = [row for row in rows if row["segment_id"] == POOLED_SEGMENT]
    ends = {row["calibration_end_date"] for row in pooled}
    errors = {}
    for name in usable:
        own = [row for row in pooled if row["model_id"] == name and row.get("orders_rmse") is not None]
        if own and len(own) == len(ends):
            customers = sum(row["customer_count"] for row in own)
            errors[name] = (sum(row["orders_rmse"] ** 2 * row["customer_count"] for row in own) / customers) ** 0.5
    return errors


def _lowest(errors: Mapping[str, float]) -> str:
    limit = min(errors.values()) * (1 + _TELLS_APART)
    return next(name for name in PREFERENCE if errors.get(name, np.inf) <= limit)


def _reason(name: str, chosen: str, errors: Mapping[str, float]) -> str:
    error, least = errors[name], min(errors.values())
    if name != chosen:
        return f"root mean squared error of orders on the holdout {error:.4g}, that of {chosen} {errors[chosen]:.4g}"
    if error > least:
        return f"root mean squared error of orders on the holdout {error:.4g}, within 1 % of the lowest ({least:.4g})"
    return f"lowest root mean squared error of orders on the holdout ({error:.4g})"
