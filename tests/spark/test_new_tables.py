"""The first rows of a table are added to it; a run that meets the rows of another one there stops."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clv_lib.contracts.acquisitions import ACQUISITION_CREDITS
from clv_lib.errors import ConflictError
from clv_lib.lake import Lake
from tests.spark.generated import INTERPRETED, conf

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def credited(spark: SparkSession, customers: list[str]) -> DataFrame:
    rows = [(customer, "linear", "search", "none", "1.0") for customer in customers]
    return spark.createDataFrame(rows, list(ACQUISITION_CREDITS.columns))


def test_two_first_runs_do_not_mix_their_rows(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake = Lake(spark, str(tmp_path), is_path=True)
    with conf(spark, INTERPRETED):
        assert lake.write_state(ACQUISITION_CREDITS, credited(spark, ["a", "b"]), "first") == (1, 2)
        assert lake.write_state(ACQUISITION_CREDITS, credited(spark, ["a", "c", "d"]), "second") == (2, 3)
        # A run that found no table, as another one was about to write to it.
        monkeypatch.setattr(Lake, "ensure", lambda *_: True)
        with pytest.raises(ConflictError, match="another run wrote the same table") as stopped:
            lake.write_state(ACQUISITION_CREDITS, credited(spark, ["e"]), "third")
        assert "version 3" in stopped.value.found
        found = {row["customer_id"] for row in lake.read_state(ACQUISITION_CREDITS, 2).collect()}
    assert found == {"a", "c", "d"}
