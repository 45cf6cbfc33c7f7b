"""Every triple of RFM scores has exactly one name."""

from __future__ import annotations

from itertools import product
from typing import get_args

import pytest

from clv_lib.segments.rfm_rules import RULE_SETS, RfmRule, named_codes
from clv_lib.settings.segments import RfmRuleSet

SCORES = range(1, 6)
TRIPLES = list(product(SCORES, SCORES, SCORES))


def names(rules: tuple[RfmRule, ...], recency: int, frequency: int, monetary: int) -> list[str]:
    return [rule.name for rule in rules if rule.matches(recency, frequency, monetary)]


def test_the_settings_offer_the_rule_sets_that_exist() -> None:
    assert set(get_args(RfmRuleSet)) == set(RULE_SETS)


@pytest.mark.parametrize("rule_set", sorted(RULE_SETS))
def test_each_of_125_codes_matches_exactly_one_rule(rule_set: str) -> None:
    wrong = {triple: found for triple in TRIPLES if len(found := names(RULE_SETS[rule_set], *triple)) != 1}
    assert len(TRIPLES) == 125
    assert wrong == {}


@pytest.mark.parametrize("rule_set", sorted(RULE_SETS))
def test_the_published_list_of_codes_is_complete_and_names_none_twice(rule_set: str) -> None:
    assert sorted(code for *code, _ in named_codes(rule_set)) == sorted(map(list, TRIPLES))


@pytest.mark.parametrize("rule_set", sorted(RULE_SETS))
def test_names_are_unique_and_each_is_reached(rule_set: str) -> None:
    declared = [rule.name for rule in RULE_SETS[rule_set]]
    reached = {name for triple in TRIPLES for name in names(RULE_SETS[rule_set], *triple)}
    assert len(set(declared)) == len(declared)
    assert reached == set(declared)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("555", "champions"),
        ("553", "champions"),  # FM is exactly 4
        ("535", "champions"),  # a low frequency is made up for by the amount
        ("543", "active"),  # FM is 3.5
        ("522", "active"),  # FM is exactly 2
        ("521", "new"),
        ("511", "new"),
        ("455", "loyal"),
        ("433", "active"),
        ("412", "promising"),
        ("344", "loyal"),
        ("333", "needs_attention"),
        ("311", "almost_lost"),
        ("255", "previously_loyal"),
        ("224", "at_risk"),
        ("211", "almost_lost"),
        ("144", "previously_loyal"),
        ("122", "at_risk"),
        ("111", "dormant"),
    ],
)
def test_classic_names(code: str, name: str) -> None:
    assert names(RULE_SETS["classic"], *map(int, code)) == [name]


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("554", "champions"),
        ("344", "loyal"),
        ("323", "potential_loyalist"),
        ("311", "new_customers"),
        ("515", "promising"),
        ("443", "needs_attention"),
        ("251", "about_to_sleep"),  # some published copies also name it hibernating
        ("153", "at_risk"),
        ("115", "cannot_lose_them"),
        ("211", "hibernating"),
        ("151", "lost"),
    ],
)
def test_eleven_names(code: str, name: str) -> None:
    assert names(RULE_SETS["eleven"], *map(int, code)) == [name]
