"""What Spark and Delta raise becomes an error with its own exit code that tells what to do."""

from __future__ import annotations

import pytest
from delta.exceptions import ConcurrentAppendException
from pyspark.errors import PySparkException

from clv_lib.errors import ClvError, ConflictError, ContractError, EnvironmentFault, FailingExpression, LakeError
from clv_lib.lake import reported

CASES = {
    "a value that cannot be cast": (
        PySparkException(
            '[CAST_INVALID_INPUT] The value \'Jane Roe\' of the type "STRING" cannot be cast to "INT". SQLSTATE: 22018'
        ),
        FailingExpression,
        "try_cast",
    ),
    "a text that is no date": (
        PySparkException("[CANNOT_PARSE_TIMESTAMP] Text 'Jane Roe' could not be parsed at index 0. SQLSTATE: 22007"),
        FailingExpression,
        "try_to_date",
    ),
    "a full disk": (
        PySparkException("java.io.IOException: No space left on device"),
        EnvironmentFault,
        "free some space",
    ),
    "no connector": (
        PySparkException("java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found"),
        LakeError,
        "see the section on S3",
    ),
    "a damaged file": (PySparkException("[FAILED_READ_FILE] part-0.parquet"), LakeError, "damaged"),
    "two writers": (ConcurrentAppendException("Files were added"), ConflictError, "run again"),
}


@pytest.mark.parametrize(("raised", "kind", "says"), CASES.values(), ids=CASES)
def test_an_error_of_spark_says_what_to_do(raised: Exception, kind: type[ClvError], says: str) -> None:
    with pytest.raises(kind, match=says) as caught, reported("/data/clv/silver/customer_orders", "written"):
        raise raised
    assert type(caught.value) is kind
    assert "/data/clv/silver/customer_orders" in str(caught.value)


@pytest.mark.parametrize("case", ["a value that cannot be cast", "a text that is no date"])
def test_no_value_of_a_row_is_shown(case: str) -> None:
    with pytest.raises(ContractError) as caught, reported("step intake", "computed"):
        raise CASES[case][0]
    assert "Jane Roe" not in str(caught.value)


def test_an_error_of_clv_passes_as_it_is() -> None:
    own = LakeError("gone")
    with pytest.raises(LakeError) as caught, reported("a place", "read"):
        raise own
    assert caught.value is own
