"""MBG/NBD: Batislam, Denizel and Filiztekin 2007; Wagner and Hoppe 2008.

P(alive) = 1 / (1 + exp d) for every x, d = (r+x) ln((alpha+T)/(alpha+t_x)) + ln a - ln(b+x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from clv_lib.models.beta_geometric import BetaGeometric


@dataclass(frozen=True)
class MbgNbd(BetaGeometric):
    """A customer may leave after every purchase, the first included, so silence tells about one-time buyers too.

    Purchase rate ~ Gamma(shape r, rate alpha), chance to leave after a purchase ~ Beta(a, b).
    """

    name: ClassVar[str] = "mbg_nbd"
    first_purchase_may_be_last: ClassVar[bool] = True
