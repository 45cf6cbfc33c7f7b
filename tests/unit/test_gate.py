"""The gate without Spark: what is expected, how it is judged, and how a refusal reads."""

from __future__ import annotations

import time
import warnings
from decimal import Decimal
from typing import Any

import pytest

from clv_lib.contracts import CONTROL_TABLES, PUBLISHED_TABLES, TABLES
from clv_lib.contracts.identities import IDENTITIES
from clv_lib.contracts.types import Field, Identity, Rule, Table
from clv_lib.errors import QualityGateFailed
from clv_lib.quality import gate
from clv_lib.quality.expectations import Expectation, SourceIntake, expectations, source_intakes
from clv_lib.quality.gate import judge, refuse
from clv_lib.quality.profile import TableProfile, structure_faults
from clv_lib.settings import Gate

LIMITS = Gate()
CLEAN = (SourceIntake("orders", 100, 0, {"rows": 0, "GBP": 0}),)
SALES = Table(
    "sales",
    "gold",
    "one row per sale",
    ("sale_id",),
    (Field("sale_id", "string", "Key.", required=True), Field("amount", "decimal(18,4)", "Money.")),
    rules=(Rule("positive", "amount > 0", "amounts are positive", severity="warning"),),
    measures={"net": "sum(amount)"},
)
BOOKS = Table("books", "gold", "one row per book", (), (Field("a", "int", "A."),), measures={"net": "", "rows": ""})
SAME_NET = Identity("same_net", (("sales", "net"),), (("books", "net"),), "books hold all sales")


def sales(**changes: Any) -> TableProfile:
    found: dict[str, Any] = {
        "table_name": "sales",
        "row_count": 10,
        "violations": {"sale_id_not_null": 0, "positive": 0},
        "duplicate_key_count": 0,
        "measures": {"net": Decimal("5.0000")},
    }
    return TableProfile(**{**found, **changes})


def books(net: Decimal | int | None = Decimal("5.0000"), row_count: int = 10) -> TableProfile:
    return TableProfile("books", row_count, measures={"net": net})


def expected_of(
    *profiles: TableProfile,
    limits: Gate = LIMITS,
    intake: tuple[SourceIntake, ...] = CLEAN,
    tables: tuple[Table, ...] = (SALES, BOOKS),
) -> tuple[Expectation, ...]:
    by_name = {one.table_name: one for one in (profiles or (sales(), books()))}
    return expectations(tables, by_name, (SAME_NET,), limits, intake)


def failed_names(expected: tuple[Expectation, ...]) -> set[str]:
    return {one.expectation.label for one in judge(expected).results if not one.is_success}


def one(observed: int | None = 0, **changes: Any) -> Expectation:
    facts: dict[str, Any] = {
        "table_name": "sales",
        "name": "positive",
        "meaning": "amounts are positive",
        "severity": "error",
        "kind": "rule",
        "observed": observed,
    }
    return Expectation(**{**facts, **changes})


def test_clean_profiles_pass():
    verdict = judge(expected_of())
    assert verdict.status == "passed"
    assert {r.expectation.label for r in verdict.results} == {
        "conservation.sources",
        "sales.structure",
        "sales.row_count",
        "sales.sale_id_not_null",
        "sales.positive",
        "sales.unique_key",
        "books.structure",
        "books.row_count",
        "sales.same_net",
        "conservation.orders_rows_conserved",
        "conservation.orders_GBP_conserved",
        "quarantined_rows.orders_warn_quarantined_ppm",
        "quarantined_rows.orders_max_quarantined_ppm",
    }
    assert all(r.is_success and not r.problem for r in verdict.results)
    assert not verdict.errors and not verdict.warnings


@pytest.mark.parametrize(
    ("profiles", "failed"),
    [
        ((sales(violations={"sale_id_not_null": 1, "positive": 0}), books()), {"sales.sale_id_not_null"}),
        ((sales(violations={"positive": 0}), books()), {"sales.sale_id_not_null"}),
        ((sales(violations={"sale_id_not_null": None, "positive": 0}), books()), {"sales.sale_id_not_null"}),
        ((sales(duplicate_key_count=2), books()), {"sales.unique_key"}),
        ((sales(duplicate_key_count=None), books()), {"sales.unique_key"}),
        ((sales(row_count=0), books()), {"sales.row_count"}),
        ((sales(structure_faults=("column amount is missing",)), books()), {"sales.structure"}),
        ((sales(), books(Decimal("5.0001"))), {"sales.same_net"}),
        ((sales(), books(None)), {"sales.same_net"}),
        ((sales(measures={"net": None}), books(None)), {"sales.same_net"}),
        ((sales(measures={}), books()), {"sales.same_net"}),
    ],
)
def test_each_fault_of_a_profile_fails(profiles: tuple[TableProfile, ...], failed: set[str]):
    assert failed_names(expected_of(*profiles)) == failed
    assert judge(expected_of(*profiles)).status == "failed"


def test_a_written_table_without_profile_fails():
    failed = failed_names(expected_of(sales()))
    assert {"books.structure", "books.row_count", "sales.same_net"} == failed


def test_an_identity_goes_with_its_absent_table():
    names = {e.label for e in expected_of(sales(), tables=(SALES,))}
    assert "sales.same_net" not in names and "sales.unique_key" in names


def test_no_intake_fails():
    assert failed_names(expected_of(intake=())) == {"conservation.sources"}


def test_emptiness_is_allowed_by_table_or_by_settings():
    empty = (sales(row_count=0, measures={"net": None}), books(None, row_count=0))
    assert failed_names(expected_of(*empty)) == {"sales.row_count", "books.row_count"}
    assert judge(expected_of(*empty, limits=Gate(allow_empty=True))).status == "passed"
    refunds = TABLES["customer_refunds"]
    profile = TableProfile("customer_refunds", 0, {r.name: 0 for r in refunds.all_rules()}, 0)
    assert judge(expectations((refunds,), {"customer_refunds": profile}, (), LIMITS, CLEAN)).status == "passed"


def test_identities_are_exact_beyond_floats_and_default_decimals():
    huge = Decimal("123456789012345678901234567890.1234")
    found = expected_of(sales(measures={"net": huge}), books(huge + 0))
    assert next(e for e in found if e.kind == "identity").observed != 0, "the sum was rounded to 28 digits"
    found = expected_of(sales(measures={"net": huge}), books(Decimal("123456789012345678901234567890.1235")))
    identity = next(e for e in found if e.kind == "identity")
    assert identity.observed == 1
    assert identity.observed_value == f"sales.net = {huge}, books.net = 123456789012345678901234567890.1235"


def test_counts_differ_by_rows_and_money_by_units_of_the_last_digit():
    counts = next(e for e in expected_of(sales(measures={"net": 7}), books(5)) if e.kind == "identity")
    assert (counts.observed, counts.unexpected_count, counts.threshold) == (2, 2, "0")
    assert counts.observed_value == "sales.net = 7, books.net = 5"
    money = next(e for e in expected_of(sales(measures={"net": 7}), books(Decimal("6.5"))) if e.kind == "identity")
    assert money.observed == 5000


@pytest.mark.parametrize(
    ("quarantined", "rows", "status"),
    [
        (5, 1000, "passed"),
        (6, 1000, "warned"),
        (50, 1000, "warned"),
        (51, 1000, "failed"),
        (50_000_001, 1_000_000_000, "failed"),
        (0, 0, "passed"),
        (1, 0, "failed"),
    ],
)
def test_quarantine_limits_hold_to_the_row(quarantined: int, rows: int, status: str):
    verdict = judge(expected_of(intake=(SourceIntake("orders", rows, quarantined, {"rows": 0}),)))
    assert verdict.status == status


def test_a_quarantined_row_among_billions_is_not_zero():
    limits = Gate(max_quarantined_rate=0, warn_quarantined_rate=0)
    verdict = judge(expected_of(limits=limits, intake=(SourceIntake("orders", 10**10, 1, {"rows": 0}),)))
    assert verdict.status == "failed"


def test_conservation_is_read_from_its_table():
    rows = [
        ("orders", "GBP", "input", 10, Decimal("100.0000")),
        ("orders", "GBP", "accepted", 7, Decimal("70.0000")),
        ("orders", "GBP", "quarantined", 2, Decimal("20.0000")),
        ("orders", "GBP", "anonymous", 1, Decimal("10.0000")),
        ("refunds", "EUR", "input", 2, Decimal("3.0000")),
        ("refunds", "EUR", "accepted", 1, Decimal("2.9999")),
        ("spend", "?", "accepted", 4, Decimal("1.0000")),
    ]
    assert source_intakes(rows) == (
        SourceIntake("orders", 10, 2, {"rows": 0, "GBP": 0}),
        SourceIntake("refunds", 2, 0, {"rows": 1, "EUR": 1}),
        SourceIntake("spend", 0, 0, {"rows": -4, "?": -10000}),
    )
    assert failed_names(expected_of(intake=source_intakes(rows))) == {
        "quarantined_rows.orders_warn_quarantined_ppm",
        "quarantined_rows.orders_max_quarantined_ppm",
        "conservation.refunds_rows_conserved",
        "conservation.refunds_EUR_conserved",
        "conservation.spend_rows_conserved",
        "conservation.spend_?_conserved",
    }


def test_only_warnings_broken_is_warned():
    verdict = judge(expected_of(sales(violations={"sale_id_not_null": 0, "positive": 3}), books()))
    assert verdict.status == "warned"
    assert [r.expectation.name for r in verdict.warnings] == ["positive"] and not verdict.errors


def test_a_warning_beside_an_error_is_failed():
    verdict = judge(expected_of(sales(violations={"sale_id_not_null": 1, "positive": 3}), books()))
    assert verdict.status == "failed"
    assert [r.expectation.name for r in verdict.errors] == ["sale_id_not_null"]
    assert [r.expectation.name for r in verdict.warnings] == ["positive"]


@pytest.mark.parametrize("severity", ["error", "warning"])
def test_what_was_not_measured_fails_at_any_severity(severity: str):
    verdict = judge([one(None, severity=severity), one(name="other")])
    assert verdict.status == "failed"
    assert [(r.is_success, r.problem) for r in verdict.results] == [(False, "not measured"), (True, "")]
    assert len(verdict.errors) == 1


def test_nothing_expected_is_failed():
    verdict = judge([])
    assert verdict.status == "failed" and "no expectation" in verdict.problem
    assert "no expectation" in str(refuse(verdict))


@pytest.mark.parametrize("observed", [2**53 + 1, 10**30])
def test_huge_counts_fail(observed: int):
    assert judge([one(observed)]).status == "failed"
    assert judge([one(observed, minimum=1, maximum=None)]).status == "passed"


def test_negative_and_low_numbers_fail():
    assert judge([one(-1)]).status == "failed"
    assert judge([one(4, minimum=5, maximum=None)]).status == "failed"


@pytest.mark.parametrize(
    "wrong",
    [
        [one(maximum=2**53)],
        [one(minimum=None, maximum=None)],
        [one(minimum=2, maximum=1)],
        [one(), one()],
        [one(severity="fatal")],
    ],
    ids=["bound too large", "no bounds", "bounds crossed", "one name twice", "unknown severity"],
)
def test_expectations_that_make_no_sense_fail(wrong: list[Expectation]):
    verdict = judge(wrong)
    assert verdict.status == "failed"
    assert not any(r.is_success for r in verdict.results) and len(verdict.errors) == len(wrong)


class _Broken:
    """A validation of Great Expectations that can be changed before it is read."""

    def __init__(self, real: Any, **changes: Any) -> None:
        self.success, self.results = real.success, list(real.results)
        self.get_max_severity_failure = real.get_max_severity_failure
        for name, value in changes.items():
            setattr(self, name, value)


def _tampered(monkeypatch: pytest.MonkeyPatch, tamper: Any) -> None:
    real = gate._validate
    monkeypatch.setattr(gate, "_validate", lambda expected: tamper(real(expected)))


def test_whatever_great_expectations_raises_is_failed(monkeypatch: pytest.MonkeyPatch):
    def crash(_: object) -> None:
        raise TypeError("Object of type bool is not JSON serializable\nwith a second line")

    monkeypatch.setattr(gate, "_validate", crash)
    verdict = judge([one(), one(name="other", severity="warning")])
    assert verdict.status == "failed" and not any(r.is_success for r in verdict.results)
    assert verdict.problem == "the gate could not judge: TypeError: Object of type bool is not JSON serializable"
    error = refuse(verdict)
    assert isinstance(error, QualityGateFailed) and error.exit_code == 4 and "TypeError" in str(error)


def test_a_missing_library_is_failed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "great_expectations", None)
    assert judge([one()]).status == "failed"


def test_a_result_left_out_is_failed(monkeypatch: pytest.MonkeyPatch):
    _tampered(monkeypatch, lambda real: _Broken(real, results=real.results[:-1]))
    verdict = judge([one(), one(name="other")])
    assert verdict.status == "failed" and "2 results for 3 expectations" in verdict.problem


def test_an_exception_within_a_warning_is_failed(monkeypatch: pytest.MonkeyPatch):
    def raised(real: Any) -> Any:
        for result in real.results:
            if result.expectation_config.kwargs.get("column"):
                result.exception_info = {"raised_exception": True, "exception_message": "no such column"}
        return real

    _tampered(monkeypatch, raised)
    verdict = judge([one(severity="warning")])
    assert verdict.status == "failed" and verdict.results[0].problem == "not judged: no such column"


def test_another_number_than_the_one_sent_is_failed(monkeypatch: pytest.MonkeyPatch):
    def changed(real: Any) -> Any:
        for result in real.results:
            if result.expectation_config.kwargs.get("column"):
                result.result = {"observed_value": 0}
        return real

    _tampered(monkeypatch, changed)
    verdict = judge([one(7, maximum=None)])
    assert verdict.status == "failed" and verdict.results[0].problem == "not judged: found 0"


@pytest.mark.filterwarnings("ignore::DeprecationWarning:sre_constants", "ignore::DeprecationWarning:great_expectations")
def test_why_the_maximum_and_not_between():
    """Between passes NULL in a frame of one row, the maximum does not."""
    import great_expectations as gx
    import great_expectations.expectations as gxe
    import pandas as pd

    context = gx.get_context(mode="ephemeral")
    asset = context.data_sources.add_pandas("p").add_dataframe_asset("a")
    batch = asset.add_batch_definition_whole_dataframe("w").get_batch(
        {"dataframe": pd.DataFrame({"c": [float("nan")]})}
    )
    assert batch.validate(gxe.ExpectColumnValuesToBeBetween(column="c", min_value=0, max_value=0)).success
    assert not batch.validate(gxe.ExpectColumnMaxToBeBetween(column="c", min_value=0, max_value=0)).success


def test_the_whole_contract_is_judged_quickly_and_without_warnings():
    tables = [t for t in PUBLISHED_TABLES if t.name != "data_quality_results"]
    profiles = {
        t.name: TableProfile(t.name, 10, {r.name: 0 for r in t.all_rules()}, 0, dict.fromkeys(t.measures or {}, 10))
        for t in tables
    }
    expected = expectations(tables, profiles, IDENTITIES, LIMITS, CLEAN)
    assert len(expected) > 300 and {e.name for e in expected} >= {i.name for i in IDENTITIES}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        started = time.process_time()
        verdict = judge(expected)
        seconds = time.process_time() - started
    assert verdict.status == "passed" and len(verdict.results) == len(expected)
    assert seconds < 15


def test_identities_name_measures_that_tables_have():
    sides = {side for identity in IDENTITIES for side in (*identity.left, *identity.right)}
    assert [s for s in sides if s[1] not in (TABLES[s[0]].measures or {})] == []
    assert len({i.name for i in IDENTITIES}) == len(IDENTITIES)


@pytest.mark.parametrize("table", [*PUBLISHED_TABLES, *CONTROL_TABLES], ids=lambda t: t.name)
def test_names_within_a_contract_are_unique(table: Table):
    rules = [rule.name for rule in table.all_rules()]
    reserved = {"structure", "row_count", "unique_key", *(i.name for i in IDENTITIES if i.left[0][0] == table.name)}
    assert len(set(rules)) == len(rules) and not reserved & set(rules)
    assert set(table.key) <= set(table.columns)
    assert structure_faults(list(table.schema.items()), table) == []


def test_a_refusal_says_where_what_how_many_and_what_to_do():
    broken = sales(violations={"sale_id_not_null": 3, "positive": 1}, duplicate_key_count=None, structure_faults=())
    verdict = judge(expected_of(broken, books(Decimal("4.0000"))))
    hashes = [f"{n:012x}" for n in range(7)]
    text = str(refuse(verdict, {("sales", "sale_id_not_null"): hashes}))
    assert "3 broken in 1 table" in text and "nothing was published" in text
    assert "sales: sale_id_not_null: sale_id is never NULL" in text
    assert "0 rows that break it" in text and "3 rows that break it" in text
    assert ", ".join(hashes[:5]) in text and hashes[5] not in text
    assert "not measured" in text and "sales.net = 5.0000, books.net = 4.0000" in text
    assert text.count("to do:") >= 3 and "positive" not in text


def test_a_refusal_of_very_much_is_short():
    verdict = judge([one(1, name=f"rule_{n}") for n in range(30)])
    text = str(refuse(verdict))
    assert "30 broken" in text and "and 20 more" in text and len(text.splitlines()) < 60


def test_a_refusal_tells_causes_first_and_empty_tables_once():
    bad_rows = (SourceIntake("orders", 400, 400, {"rows": 0}),)
    nothing = (sales(row_count=0, measures={"net": None}), books(None, row_count=0))
    verdict = judge(expected_of(*nothing, intake=bad_rows))
    why = {("quarantined_rows", "orders_max_quarantined_ppm"): "by reason: net_amount_is_a_number 400"}
    text = str(refuse(verdict, explained=why))
    lines = [line.strip() for line in text.splitlines()]
    assert lines[1].startswith("1. quarantined_rows: orders_max_quarantined_ppm")
    assert "400 of 400 rows, 1000000 per million" in text and "by reason: net_amount_is_a_number 400" in lines
    assert lines.index("by reason: net_amount_is_a_number 400") < lines.index("2. sales: row_count: the table has rows")
    assert "3. no rows either in books" in lines
