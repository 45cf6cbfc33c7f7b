"""Names of RFM segments: a rule is a range of recency scores and a range of frequency plus monetary score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType

from pyspark.sql import Column
from pyspark.sql import functions as F

WEAK, MIDDLE, STRONG = (2, 3), (4, 7), (8, 10)
"""Ranges of frequency score + monetary score: their mean is below 2, from 2 to below 4, and 4 or more."""


@dataclass(frozen=True)
class RfmRule:
    """A name for every score triple within two ranges, both ends included."""

    name: str
    recency: tuple[int, int]
    frequency_plus_monetary: tuple[int, int]

    def matches(self, recency: int, frequency: int, monetary: int) -> bool:
        """True if the three scores (1 worst to 5 best) fall in the ranges."""
        (oldest, newest), (least, most) = self.recency, self.frequency_plus_monetary
        return oldest <= recency <= newest and least <= frequency + monetary <= most


CLASSIC: tuple[RfmRule, ...] = (
    RfmRule("champions", (5, 5), STRONG),
    RfmRule("loyal", (3, 4), STRONG),
    RfmRule("previously_loyal", (1, 2), STRONG),
    RfmRule("active", (4, 5), MIDDLE),
    RfmRule("needs_attention", (3, 3), MIDDLE),
    RfmRule("at_risk", (1, 2), MIDDLE),
    RfmRule("new", (5, 5), WEAK),
    RfmRule("promising", (4, 4), WEAK),
    RfmRule("almost_lost", (2, 3), WEAK),
    RfmRule("dormant", (1, 1), WEAK),
)
"""Ten names by recency and the mean of the two other scores, after the groups of Shopify, whose cuts are not public."""

RULE_SETS: Mapping[str, tuple[RfmRule, ...]] = MappingProxyType({"classic": CLASSIC})


def rfm_segment(recency: Column, frequency: Column, monetary: Column, rule_set: str = "classic") -> Column:
    """Name of the three scores (1 worst to 5 best) by a rule set; NULL if a score is NULL or outside of 1 to 5.

    The rules of a set do not overlap, so their order does not matter.
    """
    both = frequency + monetary
    in_range = {
        rule.name: recency.between(*rule.recency) & both.between(*rule.frequency_plus_monetary)
        for rule in RULE_SETS[rule_set]
    }
    first, *others = in_range.items()
    return reduce(lambda named, rule: named.when(rule[1], rule[0]), others, F.when(first[1], first[0]))
