"""Value of a customer's future orders: mean, variance by cause, and intervals; NumPy arrays in and out, no loop.

The fits of purchases and of spend are treated as independent, and so are the number of orders and their value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from clv_lib.models.gamma_gamma import SpendMoments
from clv_lib.models.sufficient_statistics import FloatArray, as_floats
from clv_lib.models.survivors import Residual, SurvivorTable
from clv_lib.models.uncertainty import gradient_of_product, level_given, mean_interval, parameter_variance


@dataclass(frozen=True)
class OrderForecast:
    """Expected orders of customers: mean p G and own variance p E[N^2] - (p G)^2, one per customer.

    gradient: of the mean, in the log-parameters of the purchase model; none: P(no order) within the horizon. Add up
    mean, own_variance and gradient over customers for uncertainty.sum_interval.
    """

    mean: FloatArray
    own_variance: FloatArray
    gradient: FloatArray
    none: FloatArray


def order_forecast(alive: FloatArray, alive_gradient: FloatArray, survivor: SurvivorTable) -> OrderForecast:
    """Forecast of the number of orders: P(alive) with its gradient, and the table's row of each customer."""
    mean = alive * survivor.mean
    return OrderForecast(
        mean=mean,
        own_variance=np.maximum(alive * survivor.second_moment - mean**2, 0.0),
        gradient=gradient_of_product(alive, alive_gradient, survivor.mean, survivor.mean_gradient),
        none=1 - alive * (1 - survivor.none),
    )


@dataclass(frozen=True)
class ValueForecast:
    """Present value of the orders of customers within the horizon, one per customer, in the currency of the spend.

    mean: p D E[M], D the discounted orders if alive; own_variance: of the realised value with known parameters,
    infinite where the spend has no variance (A <= 2); order_gradient and spend_gradient: of the mean, in the
    log-parameters of the two fits (customers by parameters). All four may be added up over customers.
    """

    mean: FloatArray
    own_variance: FloatArray
    order_gradient: FloatArray
    spend_gradient: FloatArray

    def parameter_variance(self, order_covariance: FloatArray, spend_covariance: FloatArray) -> FloatArray:
        """Variance of the mean by the estimated parameters: g'Vg of the two independent fits, with log_covariance."""
        by_orders = parameter_variance(self.order_gradient, order_covariance)
        return by_orders + parameter_variance(self.spend_gradient, spend_covariance)


def value_forecast(
    alive: FloatArray,
    alive_gradient: FloatArray,
    survivor: SurvivorTable,
    spend: SpendMoments,
    spend_gradient: FloatArray,
) -> ValueForecast:
    """Mean, own variance and gradients of the discounted value of future orders.

    Arguments: P(alive) and its gradient; the table's row of each customer; GammaGamma.spend_moments and
    expected_spend_gradient of each customer. The own variance of N orders is E[N] E[p/nu^2] + E[N^2] E[M^2] -
    (E[N] E[M])^2 (law of total variance), times the square of D / G: every order is taken to be discounted by the mean
    factor of the horizon's orders, which keeps the mean exact.
    """
    survived = order_forecast(alive, alive_gradient, survivor)
    factor = _mean_discount(survivor)
    random = survived.mean * spend.purchase_variance + alive * survivor.second_moment * spend.second_moment
    discounted = alive * survivor.discounted
    # With no chance of an order there is no variance, even where that of the spend is infinite.
    own = np.where(survived.mean > 0, random - (survived.mean * spend.mean) ** 2, 0.0 * discounted)
    by_orders = gradient_of_product(alive, alive_gradient, survivor.discounted, survivor.discounted_gradient)
    return ValueForecast(
        mean=discounted * spend.mean,
        own_variance=np.maximum(own, 0.0) * factor**2,
        order_gradient=spend.mean[..., None] * by_orders,
        spend_gradient=discounted[..., None] * spend_gradient,
    )


def residual_forecast(
    alive: FloatArray,
    alive_gradient: FloatArray,
    residual: Residual,
    spend: SpendMoments,
    spend_gradient: FloatArray,
) -> ValueForecast:
    """Mean, own variance and gradients of the discounted value of all future orders, without a horizon.

    As value_forecast, but the variance is exact: with weights w_i = exp(-delta t_i) of the orders it is E[sum w_i^2]
    E[p/nu^2] + E[(sum w_i)^2] E[M^2] - (E[sum w_i] E[M])^2.
    """
    discounted = alive * residual.purchases
    each = residual.squares * spend.purchase_variance + residual.second_moment * spend.second_moment
    # 0 times an infinite variance is 0 here: who is dead buys nothing.
    random = np.where(discounted > 0, alive, 1.0) * each
    own = np.where(discounted > 0, random - (discounted * spend.mean) ** 2, 0.0 * discounted)
    by_orders = gradient_of_product(alive, alive_gradient, residual.purchases, residual.gradient)
    return ValueForecast(
        mean=discounted * spend.mean,
        own_variance=np.maximum(own, 0.0),
        order_gradient=spend.mean[..., None] * by_orders,
        spend_gradient=discounted[..., None] * spend_gradient,
    )


@dataclass(frozen=True)
class ValueInterval:
    """Two intervals per customer at one level, in currency: of the expected value, and of the value to be realised.

    mean_low, mean_high: where the expected value lies, given that the parameters are estimates; low, high: where the
    realised value lies, the customer's own randomness included. 0 <= low; all NaN where the forecast is.
    """

    mean_low: FloatArray
    mean_high: FloatArray
    low: FloatArray
    high: FloatArray


def value_interval(
    level: float,
    forecast: ValueForecast,
    alive: FloatArray,
    survivor: SurvivorTable,
    spend: SpendMoments,
    covariances: tuple[FloatArray, FloatArray],
) -> ValueInterval:
    """Intervals of the discounted value of each customer's orders; covariances: log_covariance of orders and of spend.

    Of the mean: normal on the log scale. Predictive: an atom at 0 with P(N = 0), and above it the value of Gamma-Gamma
    for a gamma-distributed sum. Given nu the sum of N values is X / nu, X ~ Gamma(p N); X for N > 0 is matched by a
    gamma distribution with its two first moments, and with nu ~ Gamma(A, B) the value is B times a beta prime variable.
    So the spend's heavy tail is exact, and finite quantiles exist where its variance does not (A <= 2). The relative
    variance that the parameters cause if the customer is alive is added to that of X.
    """
    none = 1 - alive * (1 - survivor.none)
    low, high = _predictive(level, none, survivor, spend, _relative_variance_if_alive(forecast, survivor, covariances))
    spread = forecast.parameter_variance(*covariances)
    return ValueInterval(*mean_interval(forecast.mean, spread, level), low, high)


def _mean_discount(survivor: SurvivorTable) -> FloatArray:
    """D / G, the mean worth today of an order within the horizon; 1 where none is expected."""
    some = survivor.mean > 0
    return np.where(some, survivor.discounted / np.where(some, survivor.mean, 1.0), 1.0 + 0.0 * survivor.mean)


def _relative_variance_if_alive(
    forecast: ValueForecast, survivor: SurvivorTable, covariances: tuple[FloatArray, FloatArray]
) -> FloatArray:
    """Squared relative standard error of D E[M]: that of P(alive) moves the atom, whose mean is right already."""
    by_orders = parameter_variance(_relative(survivor.discounted_gradient, survivor.discounted), covariances[0])
    return by_orders + parameter_variance(_relative(forecast.spend_gradient, forecast.mean), covariances[1])


def _relative(gradient: FloatArray, value: FloatArray) -> FloatArray:
    some = value[..., None] > 0
    return np.where(some, gradient / np.where(some, value[..., None], 1.0), 0.0)


def _predictive(
    level: float, none: FloatArray, survivor: SurvivorTable, spend: SpendMoments, relative_variance: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Ends of the predictive interval: 0 within the atom, else quantiles of the scaled beta prime distribution."""
    some = 1 - survivor.none
    with np.errstate(divide="ignore", invalid="ignore"):
        mean, second = survivor.mean / some, survivor.second_moment / some
        orders_spread = np.maximum(second / mean**2 - 1, 0.0)
        spread = orders_spread + 1 / (spend.p * mean)
        shape = 1 / ((1 + spread) * (1 + relative_variance) - 1)
    unit = _mean_discount(survivor) * spend.scale * spend.p * mean / shape
    tail = (1 - level) / 2
    given = (level_given(tail, none), level_given(1 - tail, none))
    low, high = (np.where(q > 0, unit * _beta_prime_quantile(shape, spend.shape, q), 0.0 * none) for q in given)
    unknown = np.isnan(none) | np.isnan(spend.scale)
    return np.where(unknown, np.nan, low), np.where(unknown, np.nan, high)


def _beta_prime_quantile(a: FloatArray, b: FloatArray, level: FloatArray) -> FloatArray:
    """Quantile of Gamma(a, 1) / Gamma(b, 1)."""
    below = as_floats(special.betaincinv(a, b, level))
    return below / (1 - below)
