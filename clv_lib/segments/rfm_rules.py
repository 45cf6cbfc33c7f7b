"""Names of RFM segments: two standards as data, each of which names every one of the 125 codes exactly once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import product
from types import MappingProxyType
from typing import Protocol

from pyspark.sql import Column
from pyspark.sql import functions as F

SCORES = range(1, 6)
WEAK, MIDDLE, STRONG = (2, 3), (4, 7), (8, 10)
"""Ranges of frequency score + monetary score: their mean is below 2, from 2 to below 4, and 4 or more."""


class RfmRule(Protocol):
    """A name and the score triples that have it."""

    @property
    def name(self) -> str:
        """Name of the segment."""
        ...

    def matches(self, recency: int, frequency: int, monetary: int) -> bool:
        """True if the three scores (1 worst to 5 best) have this name."""
        ...


@dataclass(frozen=True)
class ScoreRange:
    """A name for every score triple within two ranges, both ends included."""

    name: str
    recency: tuple[int, int]
    frequency_plus_monetary: tuple[int, int]

    def matches(self, recency: int, frequency: int, monetary: int) -> bool:
        """True if the three scores (1 worst to 5 best) fall in the ranges."""
        (oldest, newest), (least, most) = self.recency, self.frequency_plus_monetary
        return oldest <= recency <= newest and least <= frequency + monetary <= most


@dataclass(frozen=True)
class CodeList:
    """A name for the listed codes, R F M in one text."""

    name: str
    codes: str

    def matches(self, recency: int, frequency: int, monetary: int) -> bool:
        """True if the code of the three scores (1 worst to 5 best) is listed."""
        return f"{recency}{frequency}{monetary}" in self.codes.split()


CLASSIC: tuple[ScoreRange, ...] = (
    ScoreRange("champions", (5, 5), STRONG),
    ScoreRange("loyal", (3, 4), STRONG),
    ScoreRange("previously_loyal", (1, 2), STRONG),
    ScoreRange("active", (4, 5), MIDDLE),
    ScoreRange("needs_attention", (3, 3), MIDDLE),
    ScoreRange("at_risk", (1, 2), MIDDLE),
    ScoreRange("new", (5, 5), WEAK),
    ScoreRange("promising", (4, 4), WEAK),
    ScoreRange("almost_lost", (2, 3), WEAK),
    ScoreRange("dormant", (1, 1), WEAK),
)
"""Ten names by recency and the mean of the two other scores, after the groups of Shopify, whose cuts are not public."""

ELEVEN: tuple[CodeList, ...] = (
    CodeList("champions", "555 554 545 544 455 454 445"),
    CodeList("loyal", "543 444 435 355 354 345 344 335"),
    CodeList(
        "potential_loyalist",
        "553 552 551 542 541 533 532 531 453 452 451 442 441 433 432 431 423 353 352 351 342 341 333 323",
    ),
    CodeList("new_customers", "512 511 422 421 412 411 311"),
    CodeList("promising", "525 524 523 522 521 515 514 513 425 424 415 414 413 315 314 313"),
    CodeList("needs_attention", "535 534 443 434 343 334 325 324"),
    CodeList("about_to_sleep", "331 321 312 251 241 231 221 213"),
    CodeList("at_risk", "255 254 253 252 245 244 243 242 235 234 225 224 153 152 145 143 142 135 134 133 125 124"),
    CodeList("cannot_lose_them", "215 214 155 154 144 115 114 113"),
    CodeList("hibernating", "332 322 233 232 223 222 212 211 132 123 122"),
    CodeList("lost", "151 141 131 121 112 111"),
)
"""Eleven names by lists of codes, as Putler and others publish them; some copies name 231, 241 and 251 twice."""

RULE_SETS: Mapping[str, tuple[RfmRule, ...]] = MappingProxyType({"classic": CLASSIC, "eleven": ELEVEN})


def named_codes(rule_set: str) -> Iterator[tuple[int, int, int, str]]:
    """Recency, frequency and monetary score with each name that a rule of the set gives them."""
    for r, f, m in product(SCORES, SCORES, SCORES):
        yield from ((r, f, m, rule.name) for rule in RULE_SETS[rule_set] if rule.matches(r, f, m))


def rfm_segment(recency: Column, frequency: Column, monetary: Column, rule_set: str = "classic") -> Column:
    """Name of the three scores (1 worst to 5 best) by a rule set; NULL if a score is NULL or outside of 1 to 5."""
    code = F.concat(recency.cast("string"), frequency.cast("string"), monetary.cast("string"))
    codes: dict[str, list[str]] = {}
    for r, f, m, name in named_codes(rule_set):
        codes.setdefault(name, []).append(f"{r}{f}{m}")
    first, *others = ((name, code.isin(listed)) for name, listed in codes.items())
    return reduce(lambda named, rule: named.when(rule[1], rule[0]), others, F.when(first[1], first[0]))
