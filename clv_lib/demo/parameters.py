"""What the demo business is like: every number from which the demo data is drawn, with its unit.

All classes are frozen; a changed world is a new `DemoParameters`, and the same parameters give the same data.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from clv_lib.errors import ConfigurationError

MINIMUM_CUSTOMERS = 100
UNATTRIBUTED = "unattributed"


@dataclass(frozen=True)
class CustomerType:
    """How customers of one type buy (BG/NBD) and spend (Gamma-Gamma); the type parameters are the true ones.

    The purchase rate while alive is Gamma(`r`, rate `alpha_days`) per day of operational time, the chance to leave
    after each repeat purchase Beta(`a`, `b`) (Fader, Hardie and Lee 2005a). The net value of a purchase day is
    Gamma(`p`, rate nu) with nu ~ Gamma(`q`, rate `gamma_amount`) in the reporting currency (Fader, Hardie and Lee
    2005b), so the mean over customers is p * gamma / (q - 1). `cost_share` is cost of goods over net value.
    """

    name: str
    share: float
    r: float
    alpha_days: float
    a: float
    b: float
    p: float
    q: float
    gamma_amount: float
    cost_share: float
    shipping_amount: float
    free_shipping_from: float

    @property
    def mean_dropout(self) -> float:
        """The mean chance to leave after a repeat purchase, a / (a + b)."""
        return self.a / (self.a + self.b)

    @property
    def mean_spend(self) -> float:
        """The mean net value of a purchase day over all customers, in the reporting currency."""
        return self.p * self.gamma_amount / (self.q - 1)


@dataclass(frozen=True)
class Channel:
    """An acquisition channel: its share of first and of repeat orders, and what a new customer truly costs.

    `cac_amount` is fully loaded, in the reporting currency; None means that no spend is recorded at all. `cost_shares`
    splits it over cost types. In `paused_months` (`YYYY-MM`) the spend is recorded as 0 and few customers arrive; in
    `missing_months` customers arrive and the spend rows are lacking. Only media spend is paid spend.
    """

    name: str
    first_share: float
    repeat_share: float
    cac_amount: float | None = None
    cost_shares: tuple[tuple[str, float], ...] = ()
    paused_months: tuple[str, ...] = ()
    missing_months: tuple[str, ...] = ()


@dataclass(frozen=True)
class Region:
    """A sales region with its currency; `tax_rate` is added to the net value."""

    name: str
    share: float
    country_code: str
    currency_code: str
    tax_rate: float


@dataclass(frozen=True)
class Plan:
    """What a subscription charges: `unit_amount` per seat and bill, in the reporting currency."""

    name: str
    billing_interval: str
    unit_amount: float


# From the smallest to the largest charge per month: an upgrade is the next one. 1,990 a year is no whole sum a month.
_PLANS = (Plan("basic", "month", 29.0), Plan("standard", "month", 79.0), Plan("premium", "year", 1990.0))


@dataclass(frozen=True)
class SubscriptionRates:
    """How customers subscribe. The rates are per month of a paying subscriber, and at most one of them strikes a month.

    `subscriber_share` are subscribers over companies; of fewer companies than `minimum_subscribers` all subscribe, and
    consumers make up the rest. `voluntary_churn_rate` and `involuntary_churn_rate` end a subscription; they are means
    over new subscribers, whose chances to leave, of both kinds, differ as Beta(rate x `churn_concentration`,
    (1 - rate) x it): who leaves easily is gone early, and churn falls with age (Fader and Hardie 2007); None: all are
    alike.
    `return_share` of those who left come back after 2 to 6 months. A pause lasts 1 to 3 months and charges nothing.
    """

    subscriber_share: float = 0.25
    minimum_subscribers: int = 30
    voluntary_churn_rate: float = 0.03
    involuntary_churn_rate: float = 0.015
    churn_concentration: float | None = 8.0
    pause_rate: float = 0.008
    upgrade_rate: float = 0.03
    downgrade_rate: float = 0.015
    return_share: float = 0.2
    trial_share: float = 0.4
    trial_days: int = 14
    unconverted_trial_share: float = 0.15
    discount_share: float = 0.2
    discount_rate: float = 0.15
    plans: tuple[Plan, ...] = _PLANS

    @property
    def monthly_churn_rate(self) -> float:
        """The mean chance that a new paying subscriber ends the subscription within a month; a pause is none."""
        return self.voluntary_churn_rate + self.involuntary_churn_rate


@dataclass(frozen=True)
class Experiment:
    """Half of the customers who have ordered before `assigned_date` get the variant, the others are the control.

    The orders of who got it are worth more by `uplift` in the `outcome_months` calendar months after that of the
    assignment. `conflicting_share` are assigned to both and get nothing, `repeated_share` are assigned twice.
    """

    name: str
    variant: str
    assigned_date: date
    uplift: float
    outcome_months: int = 3
    conflicting_share: float = 0.01
    repeated_share: float = 0.01


@dataclass(frozen=True)
class DirtRates:
    """Faults to inject, each as a share of accepted orders, refunds or subscription periods, at least 1 each.

    Apart from copies of accepted orders (`exact_duplicate`, `superseded_version`), every fault is an additional row,
    so that what a correct job accepts is known.
    """

    anonymous: float = 0.03
    test_order: float = 0.004
    cancelled: float = 0.02
    gift_card: float = 0.004
    deleted: float = 0.002
    exact_duplicate: float = 0.004
    superseded_version: float = 0.01
    conflicting_version: float = 0.0004
    negative_amount: float = 0.0005
    missing_order_id: float = 0.0003
    unknown_currency: float = 0.0006
    implausible_date: float = 0.0003
    orphan_refund: float = 0.008
    refund_exceeds_order: float = 0.004
    ended_before_started: float = 0.002
    unknown_interval: float = 0.002


# Two types: companies buy more often, spend more and leave more slowly.
_TYPES = (
    CustomerType("b2b", 0.2, 1.8, 52.0, 0.6, 11.0, 5.0, 4.5, 210.0, 0.62, 9.50, 150.0),
    CustomerType("b2c", 0.8, 0.9, 52.0, 0.8, 3.6, 6.0, 4.0, 30.0, 0.54, 3.95, 50.0),
)
_CHANNELS = (
    Channel("paid_search", 0.30, 0.15, 78.0, (("media", 0.75), ("agency", 0.10), ("salary", 0.15)), ("2024-02",)),
    Channel(
        "paid_social", 0.24, 0.08, 140.0, (("media", 0.80), ("agency", 0.12), ("salary", 0.08)), ("2023-08", "2024-08")
    ),
    Channel("email", 0.12, 0.37, 9.0, (("tool", 0.40), ("salary", 0.60)), (), ("2023-05",)),
    Channel("organic", 0.22, 0.34, 4.0, (("salary", 1.0),)),
    Channel("referral", 0.10, 0.06),
    Channel(UNATTRIBUTED, 0.02, 0.0),
)
_REGIONS = (
    Region("London", 0.30, "GB", "GBP", 0.20),
    Region("South", 0.25, "GB", "GBP", 0.20),
    Region("North", 0.23, "GB", "GBP", 0.20),
    Region("Ireland", 0.10, "IE", "EUR", 0.23),
    Region("Continent", 0.12, "DE", "EUR", 0.19),
)
_EXPERIMENTS = (
    Experiment("retention_coupon", "coupon", date(2024, 8, 12), 0.25),
    Experiment("free_samples", "samples", date(2025, 5, 12), 0.0),
)
_SEASON = (0.93, 0.92, 0.97, 0.98, 1.00, 0.98, 0.95, 0.94, 1.00, 1.03, 1.14, 1.16)


@dataclass(frozen=True)
class DemoParameters:
    """The whole demo world. Shares of types, channels and regions are weights; rates are ratios.

    `season` are twelve monthly factors (scaled to mean 1): they stretch the time in which customers are acquired and
    buy, so that purchases follow the type's BG/NBD process exactly in operational days and nearly in calendar days.
    `prospect_share` are registered customers without an order, on top of `customers`; `moved_share` of the buyers moved
    to another region of their country. Raises ConfigurationError.
    """

    seed: int = 20250630
    customers: int = 2000
    history_start: date = date(2023, 1, 1)
    as_of: date = date(2025, 6, 30)
    reporting_currency: str = "GBP"
    foreign_currency: str = "EUR"
    mean_exchange_rate: float = 0.86
    types: tuple[CustomerType, ...] = _TYPES
    channels: tuple[Channel, ...] = _CHANNELS
    regions: tuple[Region, ...] = _REGIONS
    season: tuple[float, ...] = _SEASON
    prospect_share: float = 0.025
    moved_share: float = 0.08
    same_day_share: float = 0.02
    discount_share: float = 0.25
    payment_fee_rate: float = 0.014
    payment_fee_amount: float = 0.20
    refund_rate: float = 0.04
    partial_refund_share: float = 0.4
    retention_month_amount: float = 400.0
    brand_month_amount: float = 900.0
    subscriptions: SubscriptionRates = field(default_factory=SubscriptionRates)
    experiments: tuple[Experiment, ...] = _EXPERIMENTS
    dirt: DirtRates = field(default_factory=DirtRates)

    def __post_init__(self) -> None:
        """Refuse a world that is too small or too short to hold every kind of row."""
        if self.customers < MINIMUM_CUSTOMERS:
            raise ConfigurationError(
                "the demo needs more customers",
                where="DemoParameters.customers",
                expected=f"at least {MINIMUM_CUSTOMERS}",
                found=str(self.customers),
            )
        if (self.as_of - self.history_start).days < 180:
            raise ConfigurationError(
                "the demo needs a longer history",
                where="DemoParameters.history_start and as_of",
                expected="at least 180 days",
                found=f"{self.history_start} to {self.as_of}",
            )
        if len(self.season) != 12 or min(self.season) <= 0:
            raise ConfigurationError(
                "the demo needs a positive factor for each month",
                where="DemoParameters.season",
                expected="12 positive numbers",
                found=str(self.season),
            )

    @property
    def days(self) -> int:
        """Days of history, both ends included."""
        return (self.as_of - self.history_start).days + 1
