"""What every purchase model offers, so that scoring does not depend on which one was fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from numpy.typing import ArrayLike

from clv_lib.models.fitting import Fitted
from clv_lib.models.sufficient_statistics import FloatArray, TransactionStatistics

if TYPE_CHECKING:
    from typing_extensions import Self


class TransactionModel(Protocol):
    """A purchase model with known parameters; arguments broadcast, times are in the unit the model was fitted in."""

    name: ClassVar[str]
    parameter_names: ClassVar[tuple[str, ...]]
    knows_churn: ClassVar[bool]
    """Whether customers leave in it: else P(alive) is 1, which says nothing of a customer."""

    @classmethod
    def fit(cls, statistics: TransactionStatistics, *, minimum_customers: int = 1) -> Fitted[Self]:
        """Estimate the parameters; `model` of the result is None unless its status is 'converged'."""

    def log_likelihood(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Log-likelihood of each row."""

    def probability_alive(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Probability that the customer may still buy after `age`."""

    def probability_alive_gradient(self, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Derivatives of P(alive) in the logarithms of the parameters, on a last axis."""

    def expected_purchases(
        self, horizon: ArrayLike, frequency: ArrayLike, recency: ArrayLike, age: ArrayLike
    ) -> FloatArray:
        """Expected purchases in (age, age + horizon] of a customer with this history."""

    def expected_purchases_if_alive(self, horizon: ArrayLike, frequency: ArrayLike, age: ArrayLike) -> FloatArray:
        """Expected purchases in (age, age + horizon] if the customer is alive; does not depend on recency."""

    def second_moment_if_alive(self, horizon: ArrayLike, frequency: ArrayLike, age: ArrayLike) -> FloatArray:
        """E[N^2] of the purchases N in (age, age + horizon] if the customer is alive."""

    def order_probabilities_if_alive(
        self, horizon: ArrayLike, frequency: ArrayLike, age: ArrayLike, most: int
    ) -> FloatArray:
        """P(N = 0), ..., P(N = most) if the customer is alive, on a last axis."""

    def expected_purchases_new(self, horizon: ArrayLike) -> FloatArray:
        """Expected repeat purchases of a random new customer within `horizon` of the first purchase."""
