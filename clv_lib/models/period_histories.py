"""Histories of BG/BB as sums over the ways in which they can have come about, and the likelihood over them."""

from __future__ import annotations

import numpy as np

from clv_lib.models.curvature import sum_of_products, symmetric
from clv_lib.models.sufficient_statistics import DistinctRows, FloatArray, IntArray, as_floats


def _log_rising(start: float, size: int) -> FloatArray:
    """Logarithms of the rising factorials Gamma(start + k) / Gamma(start), k = 0 .. size - 1."""
    return np.concatenate([[0.0], np.cumsum(np.log(start + np.arange(size - 1)))])


def _slope_of_log_rising(start: float, size: int) -> FloatArray:
    """Derivatives of _log_rising by start."""
    return np.concatenate([[0.0], np.cumsum(1.0 / (start + np.arange(size - 1)))])


def _bend_of_log_rising(start: float, size: int) -> FloatArray:
    """Second derivatives of _log_rising by start."""
    return np.concatenate([[0.0], -np.cumsum((start + np.arange(size - 1)) ** -2.0)])


class Histories:
    """The ways in which each history can have come about: `last` is the last period alive, t_x .. n - 1, or n or later.

    Arrays have one entry per way, the ways of a row next to each other, its way `at_end` behind the others.
    """

    def __init__(self, x: IntArray, t_x: IntArray, n: IntArray) -> None:
        """Take one history per row: periods with a purchase, the last of them, and chances so far."""
        ways = n - t_x + 1
        self.first = np.cumsum(ways) - ways
        self.row = np.repeat(np.arange(len(x)), ways)
        self.last = np.arange(len(self.row)) - (self.first - t_x)[self.row]
        self.at_end = self.last == n[self.row]
        self.x = x[self.row]
        self.missed = self.last - self.x
        self.size = int(n.max()) + 1

    def log_terms(self, parameters: FloatArray) -> FloatArray:
        """Return ln of the likelihood's terms: (alpha)_x (beta)_(last-x) / (alpha+beta)_last times the law of `last`.

        (a)_k is a rising factorial. The law is (delta)_last / (gamma+delta)_last for at least `last` periods alive, and
        that times gamma / (gamma+delta+last) if death follows.
        """
        alpha, beta, gamma, delta = map(float, parameters)
        bought, missed = _log_rising(alpha, self.size)[self.x], _log_rising(beta, self.size)[self.missed]
        of_last = _log_rising(delta, self.size) - _log_rising(gamma + delta, self.size)
        of_last -= _log_rising(alpha + beta, self.size)
        dies = np.log(gamma / (gamma + delta + self.last))
        return as_floats(bought + missed + of_last[self.last] + np.where(self.at_end, 0.0, dies))

    def gradients(self, parameters: FloatArray) -> FloatArray:
        """Derivatives of log_terms in alpha, beta, gamma, delta: one row each."""
        alpha, beta, gamma, delta = map(float, parameters)
        of_both, of_death, of_delta = (
            _slope_of_log_rising(start, self.size)[self.last] for start in (alpha + beta, gamma + delta, delta)
        )
        of_death += np.where(self.at_end, 0.0, 1.0 / (gamma + delta + self.last))
        bought = _slope_of_log_rising(alpha, self.size)[self.x]
        missed = _slope_of_log_rising(beta, self.size)[self.missed]
        dies = np.where(self.at_end, 0.0, 1.0 / gamma)
        return np.array([bought - of_both, missed - of_both, dies - of_death, of_delta - of_death])

    def sum_of_hessians(self, parameters: FloatArray, weight: FloatArray) -> FloatArray:
        """Sum of the Hessians of log_terms in the same order, each with a weight."""
        alpha, beta, gamma, delta = map(float, parameters)
        dead, last = np.where(self.at_end, 0.0, weight), np.bincount(self.last, weight, self.size)
        both, death, by_delta = (
            float(np.sum(last * _bend_of_log_rising(start, self.size)))
            for start in (alpha + beta, gamma + delta, delta)
        )
        death -= float(np.sum(dead / (gamma + delta + self.last) ** 2))
        bought = float(np.sum(weight * _bend_of_log_rising(alpha, self.size)[self.x]))
        missed = float(np.sum(weight * _bend_of_log_rising(beta, self.size)[self.missed]))
        return symmetric(
            (bought - both, -both, 0.0, 0.0),
            (missed - both, 0.0, 0.0),
            (-float(np.sum(dead)) / gamma**2 - death, -death),
            (by_delta - death,),
        )

    def log_orders(self) -> FloatArray:
        """Return ln of the number of ways to place x purchases in `last` periods."""
        factorial = _log_rising(1.0, self.size)
        return as_floats(factorial[self.last] - factorial[self.x] - factorial[self.missed])

    def log_sum(self, terms: FloatArray) -> FloatArray:
        """Return ln of the sum of exp(terms) of each row."""
        top = np.maximum.reduceat(terms, self.first)
        return as_floats(top + np.log(np.add.reduceat(np.exp(terms - top[self.row]), self.first)))


class Likelihood:
    """Total log-likelihood over distinct histories, with its derivatives in (alpha, beta, gamma, delta)."""

    def __init__(self, rows: DistinctRows) -> None:
        """Take distinct (frequency, recency, periods), which are counts."""
        x, t_x, n = (column.rows.astype(np.int64) for column in rows.columns)
        self.histories, self.weight = Histories(x, t_x, n), rows.weight

    def evaluate(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """The gradient is the mean of the terms' gradients, weighted by the posterior probability of each way."""
        ways = self.histories
        totals, share = self._shares(parameters)
        return float(np.sum(self.weight * totals)), ways.gradients(parameters) @ (share * self.weight[ways.row])

    def hessian(self, parameters: FloatArray) -> FloatArray:
        """The mean of the terms' Hessians and products of gradients, less the product of the mean gradient."""
        ways = self.histories
        _, share = self._shares(parameters)
        gradients, weight = ways.gradients(parameters), share * self.weight[ways.row]
        mean = np.add.reduceat(gradients * share, ways.first, axis=1)
        total = ways.sum_of_hessians(parameters, weight) + sum_of_products(gradients, weight)
        return total - sum_of_products(mean, self.weight)

    def _shares(self, parameters: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log-likelihood of each row, and the posterior probability of each of its ways."""
        terms = self.histories.log_terms(parameters)
        totals = self.histories.log_sum(terms)
        return totals, as_floats(np.exp(terms - totals[self.histories.row]))
