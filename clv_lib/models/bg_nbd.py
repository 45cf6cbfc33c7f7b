"""BG/NBD: Fader, Hardie and Lee 2005, Marketing Science 24:275; stable forms after Hardie's notes 021 and 027.

P(alive) = 1 if x = 0, else 1 / (1 + exp d), d = (r+x) ln((alpha+T)/(alpha+t_x)) + ln a - ln(b+x-1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clv_lib.models.beta_geometric import BetaGeometric


@dataclass(frozen=True)
class BgNbd(BetaGeometric):
    """A customer may leave after each repeat purchase, so one-time buyers all count as alive.

    Purchase rate ~ Gamma(shape r, rate alpha), chance to leave after a repeat purchase ~ Beta(a, b).
    """

    name: ClassVar[str] = "bg_nbd"
    first_purchase_may_be_last: ClassVar[bool] = False
