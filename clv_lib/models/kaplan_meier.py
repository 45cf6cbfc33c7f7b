"""Kaplan-Meier curves from counts: survival with right-censored times, quantiles and restricted means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from clv_lib.models.sufficient_statistics import FloatArray, as_floats

_ROUNDING = 1e-12


@dataclass(frozen=True)
class Estimate:
    """A figure with the ends of its interval, in the curve's unit of time; None where the curve does not say."""

    value: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class SurvivalCurve:
    """A step function of time. Arrays of one length, one element per distinct time in ascending order.

    time: >= 0. at_risk: not ended and not censored before it. events: ended at it. survival: S just after it.
    cumulated: sum of d / (n (n - d)) up to it, so that Greenwood's variance is S^2 times it; infinite where S is 0.
    """

    time: FloatArray
    at_risk: FloatArray
    events: FloatArray
    survival: FloatArray
    cumulated: FloatArray

    @property
    def longest(self) -> float:
        """The longest time that was observed, ended or not."""
        return float(self.time[-1])

    @property
    def known_until(self) -> float:
        """The longest time, beyond which the curve is not known; infinite if everything has ended by then."""
        return self.longest if self.survival[-1] > 0 else float("inf")

    def survival_at(self, times: FloatArray) -> FloatArray:
        """S at each time, 1 before the first; NaN beyond `known_until`. Shape of `times`."""
        values = np.append(1.0, self.survival)[self._steps(times)]
        return np.where(times <= self.known_until, values, np.nan)

    def interval_at(self, times: FloatArray, level: float) -> tuple[FloatArray, FloatArray]:
        """Pointwise log-log interval of S, S^exp(-+ z sqrt(cumulated) / ln S). Shape of `times`, twice.

        NaN where S is 1 or 0 and has no variance, and beyond `known_until`. Kalbfleisch and Prentice (2002), The
        Statistical Analysis of Failure Time Data, section 1.4.
        """
        lower, upper = self._interval(level)
        steps, known = self._steps(times), times <= self.known_until
        ends = (np.append(np.nan, end)[steps] for end in (lower, upper))
        first, second = (np.where(known, end, np.nan) for end in ends)
        return first, second

    def quantile(self, share: float, level: float) -> Estimate:
        """The first time by which at least this share has ended, with the interval of Brookmeyer and Crowley (1982).

        None where S, or the end of its log-log interval, does not fall to 1 - share.
        """
        lower, upper = self._interval(level)
        return Estimate(*(self._first_at_most(curve, 1 - share) for curve in (self.survival, lower, upper)))

    def restricted_mean(self, until: float, level: float) -> Estimate:
        """Mean time up to `until`: the area under S, with a normal interval within 0 and `until`.

        Variance: sum over events of (area under S from the event to `until`)^2 d / (n (n - d)); Klein and Moeschberger
        (2003), Survival Analysis, eq. 4.5.2. None beyond `known_until`; the ends too where nothing ended before.
        """
        if until > self.known_until:
            return Estimate(None, None, None)
        inside = self.time < until
        edges = np.concatenate(([0.0], self.time[inside], [until]))
        areas = np.append(1.0, self.survival[inside]) * np.diff(edges)
        mean = float(areas.sum())
        if not self.events[inside].any():
            return Estimate(mean, None, None)
        area_after = mean - np.cumsum(areas)[:-1]
        variance = float(np.sum(area_after**2 * _variance_terms(self.at_risk, self.events)[inside]))
        margin = _two_sided(level) * variance**0.5
        return Estimate(mean, max(mean - margin, 0.0), min(mean + margin, until))

    def _steps(self, times: FloatArray) -> np.ndarray:
        """How many distinct times are not after each of `times`."""
        return np.searchsorted(self.time, times, side="right")

    def _interval(self, level: float) -> tuple[FloatArray, FloatArray]:
        has_variance = (self.survival > 0) & (self.survival < 1)
        s = np.where(has_variance, self.survival, 0.5)
        spread = _two_sided(level) * np.sqrt(np.where(has_variance, self.cumulated, 0.0)) / -np.log(s)
        return (
            np.where(has_variance, s ** np.exp(spread), np.nan),
            np.where(has_variance, s ** np.exp(-spread), np.nan),
        )

    def _first_at_most(self, curve: FloatArray, height: float) -> float | None:
        low_enough = np.flatnonzero(curve <= height + _ROUNDING)
        return float(self.time[low_enough[0]]) if len(low_enough) else None


def kaplan_meier(time: FloatArray, events: FloatArray, censored: FloatArray) -> SurvivalCurve:
    """The product-limit curve of counted times: Kaplan and Meier (1958), JASA 53:457.

    Arrays of one shape: at each `time` >= 0 (any order, repeats add up) `events` ended and `censored` were still open,
    these at risk at the events of that time. ValueError if nothing is counted, or a number is negative or not finite.
    """
    counts = np.concatenate([np.ravel(part) for part in (time, events, censored)])
    if not (len(counts) and np.isfinite(counts).all() and (counts >= 0).all()):
        raise ValueError("times and counts must be finite and not negative, and there must be some")
    distinct, place = np.unique(time, return_inverse=True)
    ended, still_open = (as_floats(np.bincount(place, count, len(distinct))) for count in (events, censored))
    leaving = ended + still_open
    at_risk = as_floats(leaving[::-1].cumsum()[::-1])
    if not leaving.sum() > 0:
        raise ValueError("there must be at least one time")
    survival = np.cumprod(1 - np.divide(ended, at_risk, out=np.zeros_like(ended), where=at_risk > 0))
    all_ended = (ended > 0) & (ended == at_risk)
    cumulated = np.cumsum(np.where(all_ended, np.inf, _variance_terms(at_risk, ended)))
    return SurvivalCurve(distinct.astype(float), at_risk, ended, survival, cumulated)


def _variance_terms(at_risk: FloatArray, events: FloatArray) -> FloatArray:
    """d / (n (n - d)); 0 where nothing ended, and where all did: no area is left there."""
    left = at_risk * (at_risk - events)
    return np.divide(events, left, out=np.zeros_like(events), where=left > 0)


def _two_sided(level: float) -> float:
    """z of a two-sided interval: 1.96 for 0.95."""
    return float(special.ndtri((1 + level) / 2))
