"""Gold table of metrics: how each published figure of a segment, cohort or channel is made and may be added up."""

from __future__ import annotations

from clv_lib.contracts.columns import SNAPSHOT, status
from clv_lib.contracts.types import Field, Rule, Table

METRIC_DEFINITIONS = Table(
    name="metric_definitions",
    layer="gold",
    grain="one row per figure of the tables whose rows may be added up",
    key=("table_name", "metric_name"),
    partition_by=SNAPSHOT,
    fields=(
        Field("table_name", "string", "The table.", required=True),
        Field("metric_name", "string", "The column.", required=True),
        Field("grain", "string", "What a row of the table is.", required=True),
        Field("meaning", "string", "What the figure says.", required=True),
        Field("unit", "string", "Its unit; currency is the reporting currency; NULL: see the meaning."),
        status(
            "aggregation",
            "How to have it of several rows together: quotient: numerator_sql / denominator_sql; sum: numerator_sql;"
            " none: not from this table.",
            "quotient",
            "sum",
            "none",
        ),
        Field("numerator_sql", "string", "Aggregate over the rows; NULL: none."),
        Field("denominator_sql", "string", "Aggregate over the same rows; NULL: no quotient."),
        Field("adds_up_over", "string", "Which rows may be taken together.", required=True),
        Field("defined_when_sql", "string", "The rows for which it is defined; NULL: all."),
        Field("null_rule", "string", "When the figure is NULL.", required=True),
        Field("status_column", "string", "The column that says why it is NULL; NULL: the parts themselves do."),
        Field("source", "string", "Where the definition comes from; NULL: the usual one."),
        Field("metric_version", "string", "Version of clv that defines it so.", required=True),
    ),
    rules=(
        Rule(
            "quotient_has_parts",
            "(aggregation = 'quotient') = (denominator_sql is not null)"
            " and (aggregation = 'none') = (numerator_sql is null)",
            "a quotient has two parts, a sum one",
        ),
    ),
)
