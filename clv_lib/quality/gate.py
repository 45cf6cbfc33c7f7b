"""The gate: Great Expectations judges the observed integers, and nothing that it could not judge passes.

Only functions of this module import Great Expectations, which takes seconds.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from clv_lib.errors import Fault, QualityGateFailed
from clv_lib.quality.expectations import Expectation, Kind

if TYPE_CHECKING:
    from great_expectations.core.expectation_validation_result import ExpectationSuiteValidationResult

Status = Literal["passed", "warned", "failed"]

CEILING = 10**15
"""Observed integers are cut to this: Great Expectations turns bounds into floats, exact up to 2^53 only."""

_SHOWN_FAULTS = 10
_SHOWN_EXAMPLES = 5
# Causes before what follows from them: bad rows of a source leave tables empty, an unknown column leaves sums unequal.
_TOLD_FIRST: tuple[Kind, ...] = ("structure", "quarantine", "conservation", "row_count", "key", "rule", "identity")

_NEXT_STEPS: dict[Kind, str] = {
    "structure": "run again with the version of clv that wrote the lake, or give this version a lake of its own",
    "row_count": "check the filter of the source and --as-of; gate.allow_empty publishes empty tables on purpose",
    "rule": "find the rows by the hash of their key: substr(sha2(cast(KEY as string), 256), 1, 12); correct the source "
    "or its column expressions and run again; if the source is right, report this as a defect of clv",
    "key": "look for the key in the source: two rows of one key must not both be valid; run again after a correction",
    "identity": "run again; if it stays, report it as a defect of clv: rows were lost or counted twice between tables",
    "conservation": "run again; if it stays, report it as a defect of clv: rows or money of the source got lost",
    "quarantine": "look at the reasons in quarantined_rows and correct the source, its column expressions or the"
    " setting that is named beside a reason, or raise the limit in the gate section of the settings",
}


@dataclass(frozen=True)
class ExpectationResult:
    """An expectation and whether it was met; `problem` says why it could not be judged, which counts as not met."""

    expectation: Expectation
    is_success: bool
    problem: str = ""


@dataclass(frozen=True)
class Verdict:
    """passed: publish. warned: publish and show the warnings. failed: publish nothing.

    `problem` is set if the gate itself could not judge; the verdict is then failed.
    """

    status: Status
    results: tuple[ExpectationResult, ...]
    problem: str = ""

    @property
    def errors(self) -> tuple[ExpectationResult, ...]:
        """Results that stop the publication."""
        return tuple(r for r in self.results if not r.is_success and (r.problem or r.expectation.severity == "error"))

    @property
    def warnings(self) -> tuple[ExpectationResult, ...]:
        """Results to be shown that do not stop it."""
        stopping = self.errors
        return tuple(r for r in self.results if not r.is_success and r not in stopping)


def prepare() -> None:
    """Import Great Expectations while something else is waited for. `judge` tells of what fails here."""
    with suppress(Exception), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        _great_expectations()


def judge(expected: Sequence[Expectation]) -> Verdict:
    """Let Great Expectations compare each observed integer with its bounds.

    No expectation at all, an integer that was not measured, and anything raised or left out by Great Expectations
    give `failed`; the function itself raises nothing. No Spark, no network, no files.
    """
    if not expected:
        return Verdict("failed", (), "there is no expectation to judge, so nothing was checked")
    try:
        _check_expectations(expected)
        with warnings.catch_warnings():
            # Great Expectations imports modules that newer Pythons deprecate; `-W error` must not fail the gate for it.
            warnings.simplefilter("ignore", DeprecationWarning)
            validation = _validate(expected)
        results = _results(expected, validation)
        worst = validation.get_max_severity_failure()
    except Exception as error:  # noqa: BLE001 whatever breaks the gate must stop the publication, not pass it
        problem = f"the gate could not judge: {type(error).__name__}: {_first_line(error)}"
        return Verdict("failed", tuple(ExpectationResult(one, False, "not judged") for one in expected), problem)
    if any(result.problem for result in results) or any(not r.is_success and _stops(r) for r in results):
        return Verdict("failed", results)
    if validation.success:
        return Verdict("passed", results)
    return Verdict("warned" if worst == "warning" else "failed", results)


def refuse(
    verdict: Verdict,
    examples: Mapping[tuple[str, str], Sequence[str]] | None = None,
    explained: Mapping[tuple[str, str], str] | None = None,
) -> QualityGateFailed:
    """The error of a failed verdict: which table and rule, how many rows, what was allowed, and what to do.

    By (table name, expectation name), `examples` are hashed keys from `failing_examples`, of which at most 5 are shown,
    and `explained` is a line on what led to it. Causes come first; of empty tables only the first is told in full.
    """
    errors = sorted(verdict.errors, key=lambda result: _TOLD_FIRST.index(result.expectation.kind))
    empty = [one for one in errors if one.expectation.kind == "row_count" and not one.problem]
    told = [one for one in errors if one not in empty[1:]]
    faults = [
        _fault(one, (examples or {}).get(_key(one), ()), (explained or {}).get(_key(one), ""))
        for one in told[:_SHOWN_FAULTS]
    ]
    if len(told) > _SHOWN_FAULTS:
        faults.append(Fault(f"and {len(told) - _SHOWN_FAULTS} more"))
    if empty[1:]:
        names = ", ".join(one.expectation.table_name for one in empty[1:])
        faults.append(Fault(f"no rows either in {names}"))
    if verdict.problem:
        faults = [Fault(verdict.problem, next_step="check the installed great-expectations with: clv doctor")]
    tables = len({result.expectation.table_name for result in errors})
    what = f"the quality gate refused the candidate: {len(errors)} broken in {tables} table{'s' if tables != 1 else ''}"
    return QualityGateFailed(
        "the quality gate could not judge the candidate" if verdict.problem else what,
        found="nothing was published; readers see what they saw before",
        faults=faults,
    )


def _check_expectations(expected: Sequence[Expectation]) -> None:
    labels = [one.label for one in expected]
    if repeated := sorted({label for label in labels if labels.count(label) > 1}):
        raise ValueError(f"expectations with one name: {', '.join(repeated)}")
    for one in expected:
        if one.minimum is None and one.maximum is None:
            raise ValueError(f"{one.label} has no bound, so everything would pass")
        if any(bound is not None and abs(bound) >= CEILING for bound in (one.minimum, one.maximum)):
            raise ValueError(f"a bound of {one.label} is too large to be compared exactly")


def _great_expectations() -> Any:
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # versions before 1.24 report usage on import
    import great_expectations as gx

    return gx


def _validate(expected: Sequence[Expectation]) -> ExpectationSuiteValidationResult:
    """One column per expectation in a frame of one row.

    The maximum of one value is the value, and unlike `between` over values it fails on NULL; it also takes half the
    time of a not-null and a between for each of some hundred columns.
    """
    gx = _great_expectations()
    import pandas as pd
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.expectations.core.expect_column_max_to_be_between import ExpectColumnMaxToBeBetween
    from great_expectations.expectations.core.expect_table_row_count_to_equal import ExpectTableRowCountToEqual
    from great_expectations.expectations.metadata_types import FailureSeverity

    severities = {"error": FailureSeverity.CRITICAL, "warning": FailureSeverity.WARNING}
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    context.enable_analytics(False)
    frame = pd.DataFrame({one.label: pd.Series([_sent(one)], dtype=_dtype(one)) for one in expected})
    checks = [
        ExpectColumnMaxToBeBetween(
            column=one.label,
            min_value=one.minimum,
            max_value=one.maximum,
            severity=severities[one.severity],
        )
        for one in expected
    ]
    suite = gx.ExpectationSuite(name="clv", expectations=[ExpectTableRowCountToEqual(value=1), *checks])
    asset = context.data_sources.add_pandas("profile").add_dataframe_asset("observed")
    batch = asset.add_batch_definition_whole_dataframe("row").get_batch(batch_parameters={"dataframe": frame})
    validation: ExpectationSuiteValidationResult = batch.validate(suite, result_format="BASIC")
    return validation


def _results(
    expected: Sequence[Expectation], validation: ExpectationSuiteValidationResult
) -> tuple[ExpectationResult, ...]:
    if len(validation.results) != len(expected) + 1:
        raise ValueError(f"{len(validation.results)} results for {len(expected) + 1} expectations")
    by_column: dict[str | None, Any] = {_column(result): result for result in validation.results}
    if not by_column.pop(None).success:
        raise ValueError("the frame that was judged does not have one row")
    return tuple(_result(one, by_column[one.label]) for one in expected)


def _result(one: Expectation, judged: Any) -> ExpectationResult:
    raised = judged.exception_info or {}
    if raised.get("raised_exception", True):
        return ExpectationResult(one, False, f"not judged: {raised.get('exception_message') or 'an exception'}")
    if one.observed is None:
        return ExpectationResult(one, False, "not measured")
    if judged.result.get("observed_value") != _sent(one):
        return ExpectationResult(one, False, f"not judged: found {judged.result.get('observed_value')}")
    return ExpectationResult(one, bool(judged.success))


def _column(judged: Any) -> str | None:
    column: str | None = judged.expectation_config.kwargs.get("column")
    return column


def _sent(one: Expectation) -> int | None:
    return None if one.observed is None else max(-CEILING, min(one.observed, CEILING))


def _dtype(one: Expectation) -> Literal["float64", "int64"]:
    return "float64" if one.observed is None else "int64"


def _stops(result: ExpectationResult) -> bool:
    return result.expectation.severity == "error"


def _key(result: ExpectationResult) -> tuple[str, str]:
    return result.expectation.table_name, result.expectation.name


def _fault(result: ExpectationResult, examples: Sequence[str], explained: str) -> Fault:
    one = result.expectation
    found = result.problem or _found(one)
    if explained:
        found += f"\n{explained}"
    if examples:
        found += f"\nkeys (hashed): {', '.join(examples[:_SHOWN_EXAMPLES])}"
    return Fault(f"{one.table_name}: {one.name}: {one.meaning}", "", _allowed(one), found, _NEXT_STEPS[one.kind])


_UNITS: dict[Kind, str] = {
    "structure": "differing columns",
    "row_count": "rows",
    "rule": "rows that break it",
    "key": "keys that occur more than once",
    "identity": "difference in the last digit",
    "conservation": "difference in the last digit",
    "quarantine": "per million rows",
}


def _allowed(one: Expectation) -> str:
    return f"{one.threshold} {_UNITS[one.kind]}"


def _found(one: Expectation) -> str:
    return one.detail or f"{one.observed} {_UNITS[one.kind]}"


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")
