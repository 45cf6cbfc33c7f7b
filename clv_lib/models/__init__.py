"""Statistical models of purchases and spend: NumPy and SciPy only, usable on their own in a notebook."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from clv_lib.models.bg_nbd import BgNbd
from clv_lib.models.discounting import discounted_purchases_if_alive, month_ends
from clv_lib.models.fitting import Fitted
from clv_lib.models.gamma_gamma import GammaGamma
from clv_lib.models.mbg_nbd import MbgNbd
from clv_lib.models.nbd import Nbd
from clv_lib.models.protocol import TransactionModel
from clv_lib.models.sufficient_statistics import SpendStatistics, TransactionStatistics

TRANSACTION_MODELS: Mapping[str, type[BgNbd | MbgNbd]] = MappingProxyType({BgNbd.name: BgNbd, MbgNbd.name: MbgNbd})

__all__ = [
    "TRANSACTION_MODELS",
    "BgNbd",
    "Fitted",
    "GammaGamma",
    "MbgNbd",
    "Nbd",
    "SpendStatistics",
    "TransactionModel",
    "TransactionStatistics",
    "discounted_purchases_if_alive",
    "month_ends",
]
