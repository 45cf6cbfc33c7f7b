"""Steps audit and publish: read back what was stored, let the gate judge it, and move the pointer."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from clv_lib.contracts import PUBLISHED_TABLES
from clv_lib.contracts.control import AUDIT_TABLES, DATA_QUALITY_RESULTS, SILVER_PROFILES
from clv_lib.contracts.identities import IDENTITIES
from clv_lib.contracts.inputs import counted_reason
from clv_lib.contracts.put_aside import ACCEPTED, CONSERVATION, INPUT, LINE_REFUNDS, ORDERS, QUARANTINED_ROWS
from clv_lib.contracts.silver import CUSTOMER_ORDERS
from clv_lib.contracts.types import Table
from clv_lib.errors import QualityGateFailed
from clv_lib.lake import Pointer, Publication, create_catalog_views
from clv_lib.pipeline.read_back import audited_before, silver_figures, stored_profile
from clv_lib.quality.expectations import (
    SourceIntake,
    expectations,
    intake_expectations,
    quarantine_name,
    source_intakes,
)
from clv_lib.quality.gate import Verdict, judge, prepare, refuse
from clv_lib.quality.profile import (
    UNIQUE_KEY,
    TableProfile,
    failing_examples,
    quarantine_reasons,
)

if TYPE_CHECKING:
    from clv_lib.pipeline.workspace import Workspace

_PROFILES_AT_A_TIME = 4
_PROFILES_PER_LINE = 10
_WITH_EXAMPLES = 5
_REASONS_TOLD = 5
AUDITED_TABLES: tuple[Table, ...] = tuple(table for table in PUBLISHED_TABLES if table not in AUDIT_TABLES)


def audit_intake(work: Workspace) -> None:
    """Refuse what the audit would refuse before it is computed on: no order left, too many bad rows, anything lost.

    Judged are the counts of `conservation` alone; the audit judges them again with everything else. QualityGateFailed
    as from the audit, with its results in data_quality_results; if all is well nothing is written.
    """
    accounts = _accounts(work)
    accepted = sum(rows for source, _, disposition, rows, _ in accounts if (source, disposition) == (ORDERS, ACCEPTED))
    intakes = of_whole_sources(source_intakes(accounts))
    verdict = judge(intake_expectations(CUSTOMER_ORDERS, accepted, work.settings.gate, intakes))
    if verdict.status == "failed":
        _write_results(work, verdict)
        raise _refusal(work, verdict, accounts)


def audit(work: Workspace) -> Verdict:
    """Judge the stored tables of the run and write the AUDIT_TABLES; QualityGateFailed if it is refused."""
    profiles, accounts = stored_profiles(work), _accounts(work)
    intakes = of_whole_sources(source_intakes(accounts))
    verdict = judge(expectations(AUDITED_TABLES, profiles, IDENTITIES, work.settings.gate, intakes))
    work.write(SILVER_PROFILES, work.frame(SILVER_PROFILES, silver_figures(profiles)))
    _write_results(work, verdict)
    if verdict.status == "failed":
        raise _refusal(work, verdict, accounts)
    return verdict


def _accounts(work: Workspace) -> list[tuple[Any, ...]]:
    """The rows of `conservation`."""
    return [tuple(row) for row in work.read(CONSERVATION).collect()]


def _refusal(work: Workspace, verdict: Verdict, accounts: Sequence[tuple[Any, ...]]) -> QualityGateFailed:
    if verdict.problem:
        return refuse(verdict)
    return refuse(verdict, _examples(work, verdict), _explained(work, verdict, accounts))


def stored_profiles(work: Workspace) -> dict[str, TableProfile]:
    """The profile of each audited table by its name; the first that cannot be taken ends it, with its error."""
    profiles, before = {}, audited_before(work)
    with ThreadPoolExecutor(max_workers=_PROFILES_AT_A_TIME + 1) as pool:
        pool.submit(prepare)
        for found in pool.map(lambda table: stored_profile(work, table, before), AUDITED_TABLES):
            profiles[found.table_name] = found
            if not len(profiles) % _PROFILES_PER_LINE:
                work.progress.info(f"read back {len(profiles)} of {len(AUDITED_TABLES)} tables")
    return profiles


def of_whole_sources(intakes: Sequence[SourceIntake]) -> tuple[SourceIntake, ...]:
    """Refunds made of negative lines are measured against the lines of `orders`: they are no source of their own."""
    rows = {intake.source_name: intake.input_rows for intake in intakes}
    return tuple(
        replace(intake, input_rows=rows["orders"]) if intake.source_name == LINE_REFUNDS else intake
        for intake in intakes
    )


def publish(work: Workspace, expected: Publication | None, published_at: dt.datetime) -> Publication:
    """Move the pointer to the run's snapshot if `expected` is still published; then renew a catalog's views."""
    run = work.run
    now = Pointer(work.lake).move(expected, run.run_id, run.as_of, run.silver_versions, published_at)
    create_catalog_views(work.lake, now)
    return now


def _write_results(work: Workspace, verdict: Verdict) -> None:
    rows = [
        (
            work.run.run_id,
            result.expectation.table_name,
            result.expectation.name,
            result.expectation.meaning,
            result.expectation.severity,
            result.is_success,
            result.expectation.observed_value,
            result.expectation.unexpected_count,
            result.expectation.threshold,
            work.as_of,
        )
        for result in verdict.results
    ]
    work.write(DATA_QUALITY_RESULTS, work.frame(DATA_QUALITY_RESULTS, rows))


def _examples(work: Workspace, verdict: Verdict) -> dict[tuple[str, str], list[str]]:
    """Hashed keys of a few broken rows per broken row rule."""
    tables = {table.name: table for table in AUDITED_TABLES}
    examples = {}
    of_rows = [one.expectation for one in verdict.errors if one.expectation.kind in ("rule", "key")]
    for broken in of_rows[:_WITH_EXAMPLES]:
        table = tables.get(broken.table_name)
        names = {rule.name for rule in table.all_rules()} | {UNIQUE_KEY} if table else set()
        if table is not None and broken.name in names:
            rows = failing_examples(work.read(table), table, broken.name).collect()
            examples[(broken.table_name, broken.name)] = [" ".join(str(value) for value in row) for row in rows]
    return examples


def _explained(work: Workspace, verdict: Verdict, accounts: Sequence[tuple[Any, ...]]) -> dict[tuple[str, str], str]:
    """Why rows of a source were quarantined, and what became of the orders where none was left."""
    broken = {one.expectation.kind for one in verdict.errors if one.expectation.table_name == QUARANTINED_ROWS.name}
    reasons: dict[str, list[str]] = defaultdict(list)
    if "quarantine" in broken and "structure" not in broken:
        for source, reason, rows in quarantine_reasons(work.read(QUARANTINED_ROWS)).collect():
            reasons[source].append(counted_reason(reason, rows))
    explained = {
        (QUARANTINED_ROWS.name, quarantine_name(source, "max")): f"by reason: {', '.join(told[:_REASONS_TOLD])}"
        for source, told in reasons.items()
    }
    became: dict[str, int] = defaultdict(int)
    for source, _, disposition, rows, _ in accounts:
        if source == ORDERS and disposition != INPUT:
            became[disposition] += rows
    told = ", ".join(f"{disposition} {rows:,}" for disposition, rows in sorted(became.items()))
    return {**explained, (CUSTOMER_ORDERS.name, "row_count"): f"rows of orders: {told or 'none'}"}


def require_passed_audit(work: Workspace) -> None:
    """QualityGateFailed unless the run's audit is stored, complete, and without a failed error."""
    results = work.read(DATA_QUALITY_RESULTS).collect()
    failed = [
        f"{row.table_name}.{row.expectation}" for row in results if not row.is_success and row.severity == "error"
    ]
    if failed or not results:
        raise QualityGateFailed(
            "this run has not passed the gate",
            where=f"run {work.run.run_id}",
            found=", ".join(failed[:5]) or "no audit",
            next_step="run the step audit, and mend what it reports",
        )
