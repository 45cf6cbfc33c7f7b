"""Tables that keep record of audits, runs and publications."""

from __future__ import annotations

from clv_lib.contracts.columns import SNAPSHOT, status
from clv_lib.contracts.types import Field, Table

DATA_QUALITY_RESULTS = Table(
    name="data_quality_results",
    layer="gold",
    grain="one row per run and expectation",
    key=("run_id", "table_name", "expectation"),
    partition_by=SNAPSHOT,
    fields=(
        Field("run_id", "string", "The run.", required=True),
        Field("table_name", "string", "The audited table.", required=True),
        Field("expectation", "string", "What was expected.", required=True),
        Field("meaning", "string", "The expectation in words.", required=True),
        status("severity", "error stops the publication, warning is shown.", "error", "warning"),
        Field("is_success", "boolean", "It was met.", required=True),
        Field("observed_value", "string", "What was found."),
        Field("unexpected_count", "bigint", "Rows (or units of the last digit) that break it."),
        Field("threshold", "string", "What was allowed."),
        Field("as_of_date", "date", "Last day that counts.", required=True),
    ),
)

SILVER_PROFILES = Table(
    name="silver_profiles",
    layer="gold",
    grain="one row per silver table of orders and figure that the audit took of it",
    key=("table_name", "figure"),
    partition_by=SNAPSHOT,
    fields=(
        Field("table_name", "string", "The silver table.", required=True),
        Field(
            "figure",
            "string",
            "row_count, duplicate_key_count, violations__RULE (rows that break it) or measure__NAME (what identities"
            " compare): the next audit goes on from it.",
            required=True,
        ),
        Field("counted", "bigint", "The figure, if it counts something."),
        Field("amount", "decimal(38,4)", "The figure, if it is a sum of money."),
    ),
)

AUDIT_TABLES: tuple[Table, ...] = (SILVER_PROFILES, DATA_QUALITY_RESULTS)
"""What the audit writes, and so does not judge."""

PIPELINE_RUNS = Table(
    name="pipeline_runs",
    layer="control",
    grain="one row per run",
    key=("run_id",),
    partition_by=("run_id",),
    fields=(
        Field(
            "run_id",
            "string",
            "Derived from as_of, input versions, configuration and code; also the snapshot_id.",
            required=True,
        ),
        Field("as_of_date", "date", "Last day that counts.", required=True),
        Field("status", "string", "started, gate_failed, rebuild_refused, published, superseded.", required=True),
        Field("code_version", "string", "Version of clv_lib and a digest of its sources.", required=True),
        Field("config_hash", "string", "SHA-256 of the settings that change results.", required=True),
        Field("configuration", "string", "Those settings as JSON, secrets redacted.", required=True),
        Field(
            "input_versions",
            "map<string,string>",
            "Source to Delta version, or a fingerprint of its files.",
            required=True,
        ),
        Field(
            "silver_versions",
            "map<string,bigint>",
            "Silver table to the Delta version of this run; `clv maintain` may name one with the same rows.",
            required=True,
        ),
        Field(
            "source_ids",
            "map<string,string>",
            "Source to the id of its Delta table, for those that a refresh follows: a table made anew has another one.",
        ),
        Field(
            "silver_definition",
            "string",
            "Hash of the settings and the code that make silver; a refresh goes on from silver of the same one.",
        ),
        Field("refreshed_from", "string", "The run from whose silver this one went on; NULL: all was read anew."),
        Field(
            "rebuild_reason",
            "string",
            "Why all was read anew, and what a rebuild that was asked for was compared with; NULL: it was not.",
        ),
        Field("value_basis", "string", "What value is measured in."),
        Field("started_at", "timestamp", "When the run began (clock of the driver).", required=True),
        Field("finished_at", "timestamp", "When it was published or failed."),
    ),
)

PUBLISHED = Table(
    name="published",
    layer="control",
    grain="one row: which snapshot readers see",
    key=("dataset",),
    fields=(
        Field("dataset", "string", "Always clv.", required=True),
        Field("snapshot_id", "string", "The published snapshot.", required=True),
        Field("previous_snapshot_id", "string", "The one before; NULL for the first."),
        Field("sequence", "bigint", "Counts publications and rollbacks.", required=True),
        Field("as_of_date", "date", "as_of of the snapshot.", required=True),
        Field(
            "silver_versions", "map<string,bigint>", "Silver table to the Delta version of the snapshot.", required=True
        ),
        Field("published_at", "timestamp", "When (clock of the driver).", required=True),
    ),
)
