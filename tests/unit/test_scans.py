"""The counter of scans on texts of plans as Spark prints them."""

from __future__ import annotations

from tests.spark.scans import scans_in

MONTHS = "FileScan parquet [a#1] Location: PreparedDeltaFileIndex(1 paths)[file:/lake/silver/customer_months], Read: []"
KEPT = [
    "InMemoryTableScan [a#1]",
    "   +- InMemoryRelation [a#1], StorageLevel(disk, 1 replicas)",
    "         +- Exchange hashpartitioning(a#1, 2)",
    f"            +- {MONTHS}",
]


def below(lines: list[str], bar: str) -> list[str]:
    """The lines as a child of a node, with or without a sibling after it."""
    return [f"{bar}- {lines[0]}", *(f"{':' if bar.endswith(':') else ' ' * len(bar)}  {line}" for line in lines[1:])]


def test_a_scan_is_counted_in_each_plan() -> None:
    plan = "\n".join(["Project [a#1]", f"+- {MONTHS}"])
    assert scans_in([plan, plan], "customer_months") == 2
    assert scans_in([plan], "months") == scans_in([plan], "customer_metrics") == 0


def test_what_was_kept_counts_once_wherever_it_is_used() -> None:
    alone = "\n".join(["Project [a#1]", *below(KEPT, "+")])
    joined = "\n".join(["Join", *below(KEPT, ":"), *below(KEPT, "+")])
    beside = "\n".join(["Union", *below(KEPT, ":"), f"+- {MONTHS}"])
    assert scans_in([alone, joined], "customer_months") == 1
    assert scans_in([alone, beside, joined], "customer_months") == 2


def test_a_kept_frame_within_another_counts_once() -> None:
    outer = ["InMemoryTableScan [b#2]", "   +- InMemoryRelation [b#2], StorageLevel(disk, 1 replicas)"]
    nested = [*outer, *(f"         {line}" for line in below(KEPT, "+"))]
    plan = "\n".join(["Project [b#2]", *below(nested, "+")])
    assert scans_in([plan, "\n".join(["Sort", *below(KEPT, "+")])], "customer_months") == 1
