"""Credits of customers to channels and campaigns: the optional input, and the silver table that is made of it."""

from __future__ import annotations

from clv_lib.contracts.types import RATIO, Field, InputContract, InputField, Rule, Table

CREDIT = "decimal(9,8)"
CREDIT_TOLERANCE = "0.000001"
"""How far the credits of a customer may be off 1, since thirds have no end; the greatest credit takes the rest."""

DECLARED_MODEL = "declared_else_first_order"
"""A customer belongs wholly to one channel: the one that customers names, else that of the first order."""

UNATTRIBUTED = "unattributed"
"""The channel of customers of whom none is known."""

NO_CAMPAIGN = "none"

CUSTOMER_ACQUISITIONS = InputContract(
    name="customer_acquisitions",
    grain="one row per customer, attribution model and touch; the credits of a customer and model add up to 1",
    without="no credits are known, so a customer belongs wholly to one channel",
    key=("customer_id", "attribution_model", "channel", "campaign_name"),
    fields=(
        InputField("customer_id", "string", "Who was won, spelled as in orders.", required=True),
        InputField("attribution_model", "string", "Name of the model, such as first_touch or linear.", required=True),
        InputField(
            "channel", "string", "Channel, spelled as in marketing_spend; NULL or blank: unattributed.", required=True
        ),
        InputField("campaign_name", "string", "Campaign of the channel, spelled as in marketing_spend."),
        InputField("credit", CREDIT, "Share of the customer, from 0 to 1.", required=True),
    ),
)

ACQUISITION_CREDITS = Table(
    name="acquisition_credits",
    layer="silver",
    grain="one row per customer, attribution model, channel and campaign; empty without the source",
    key=("customer_id", "attribution_model", "channel", "campaign_name"),
    may_be_empty=True,
    fields=(
        Field("customer_id", "string", "The customer.", required=True),
        Field("attribution_model", "string", "Name of the model.", required=True),
        Field("channel", "string", "Channel; unattributed: no channel known.", required=True),
        Field("campaign_name", "string", f"Campaign; {NO_CAMPAIGN}: none known.", required=True),
        Field(
            "credit", RATIO, "Share of the customer; those of a customer and model add up to 1.", True, "credit >= 0"
        ),
    ),
    measures={
        "credits": "coalesce(sum(credit), 0)",
        "customers_by_models": "count(distinct customer_id, attribution_model)",
    },
)


def credit_rules(clean_key: Rule) -> tuple[Rule, ...]:
    """Rules of one credit by itself; `clean_key` is that of customer_id. `CREDITS_TOGETHER` needs the others."""
    return (
        Rule("null_customer_id", "customer_id is not null", "the credit names its customer"),
        clean_key,
        Rule("null_attribution_model", "attribution_model is not null", "the credit names its model"),
        Rule(
            "reserved_attribution_model",
            f"attribution_model is null or attribution_model <> '{DECLARED_MODEL}'",
            "the model has a name of its own",
        ),
        Rule("unreadable_credit", "credit is not null", "the credit is a number below 10"),
        Rule("negative_credit", "credit is null or credit >= 0", "a credit is not negative"),
    )


CREDITS_TOGETHER: tuple[Rule, ...] = (
    Rule(
        "credits_do_not_sum_to_1",
        f"abs(credit_sum - 1) <= {CREDIT_TOLERANCE}",
        f"the credits of a customer and model add up to 1, within {CREDIT_TOLERANCE}",
    ),
)
