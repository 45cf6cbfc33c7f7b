"""The root of all errors: readable text, distinct exit codes, near names."""

from __future__ import annotations

import pickle

import pytest

from clv_lib import errors
from clv_lib.errors import ClvError, ConfigurationError, ContractError, Fault, did_you_mean, exit_codes, nearest

LEAVES = {
    errors.ConfigurationError: 2,
    errors.UnknownCommand: 2,
    errors.ContractError: 3,
    errors.QualityGateFailed: 4,
    errors.ConflictError: 5,
    errors.EnvironmentFault: 6,
    errors.LakeError: 7,
    errors.NotReproduced: 8,
}


def test_text_holds_every_part_that_is_known() -> None:
    error = ContractError(
        "a column is missing",
        where="sources.orders",
        expected="order_id STRING",
        found="Invoice, Quantity",
        next_step="map it:\ncolumns: {order_id: Invoice}",
    )
    assert str(error).splitlines() == [
        "a column is missing",
        "  where:    sources.orders",
        "  expected: order_id STRING",
        "  found:    Invoice, Quantity",
        "  to do:    map it:",
        "            columns: {order_id: Invoice}",
    ]


def test_text_leaves_out_what_is_not_known() -> None:
    assert str(ClvError("it failed")) == "it failed"


def test_several_faults_are_numbered() -> None:
    error = ConfigurationError("2 faults", next_step="mend them", faults=[Fault("a", where="x"), Fault("b")])
    assert str(error).splitlines() == [
        "2 faults",
        "  1. a",
        "     where:    x",
        "  2. b",
        "  to do:    mend them",
    ]


@pytest.mark.parametrize(("leaf", "code"), LEAVES.items())
def test_exit_code_of_each_leaf(leaf: type[ClvError], code: int) -> None:
    assert leaf.exit_code == code
    assert code in exit_codes()


def test_exit_codes_are_distinct_and_explained() -> None:
    codes = exit_codes()
    assert list(codes) == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert len(set(codes.values())) == len(codes)


def test_errors_survive_the_way_from_a_worker() -> None:
    error = ConfigurationError("a", where="b", faults=[Fault("c")])
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(copy) is ConfigurationError
    assert str(copy) == str(error)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("custmer_id", "customer_id"), ("Net-Amount", "net_amount"), ("ORDER_ID", "order_id"), ("zzz", None)],
)
def test_nearest_name(name: str, meant: str | None) -> None:
    assert nearest(name, ["order_id", "customer_id", "net_amount"]) == meant


def test_names_that_are_like_nothing_get_the_whole_list() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == "one of: a, b"
    assert did_you_mean("grian", ["grain", "table"]) == "did you mean grain?"
