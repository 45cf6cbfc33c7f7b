"""Attributes of customers: which there are, and the input contract of their history."""

from __future__ import annotations

from clv_lib.contracts.columns import within
from clv_lib.contracts.types import InputContract, InputField, Rule

CUSTOMER_ATTRIBUTES: tuple[str, ...] = (
    "customer_type",
    "industry",
    "annual_revenue_band",
    "employee_band",
    "country_code",
    "region",
    "city",
    "birth_year_band",
    "gender",
    "lifestyle",
    "acquisition_channel",
    "acquisition_campaign",
    "referrer_customer_id",
    "account_id",
)

CUSTOMER_ATTRIBUTES_HISTORY = InputContract(
    name="customer_attributes_history",
    grain="one row per customer, attribute and period with one value; of overlapping periods the latest counts",
    without="attributes are those of today, also in the past",
    key=("customer_id", "attribute_name", "valid_from_date"),
    fields=(
        InputField("customer_id", "string", "The customer.", required=True),
        InputField("attribute_name", "string", "Name of a column of customers, such as region.", required=True),
        InputField("attribute_value", "string", "Its value; NULL: not known in this period.", required=True),
        InputField("valid_from_date", "date", "First day of the period.", required=True),
        InputField("valid_to_date", "date", "First day after the period; NULL: open.", required=True),
        InputField("updated_at", "timestamp", "When this row was written; of rows with one start the newest counts."),
    ),
)


def attribute_history_rules() -> tuple[Rule, ...]:
    """Rules of one period of an attribute; a broken rule's name is the reason in quarantine."""
    return (
        Rule("null_customer_id", "customer_id is not null", "the period names its customer"),
        Rule("unknown_attribute", within("attribute_name", CUSTOMER_ATTRIBUTES), "the attribute is one of customers"),
        Rule("unreadable_valid_from_date", "valid_from_date is not null", "the first day can be read"),
        Rule(
            "ended_before_started",
            "valid_from_date is null or valid_to_date is null or valid_to_date >= valid_from_date",
            "a period does not end before it starts",
        ),
    )
