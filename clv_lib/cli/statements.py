"""SQL that users type: one statement that reads, checked before Spark starts and again by Spark's own parser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from clv_lib.errors import ConfigurationError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

READING_WORDS = ("SELECT", "WITH", "SHOW", "DESCRIBE", "DESC")

_SKIPPED = re.compile(r"(?:\s+|--[^\n]*(?:\n|\Z)|/\*.*?\*/|\()*", re.DOTALL)
# Places count the line that the analysis as a subquery puts before the statement.
_PLACE = re.compile(r" \(line \d+, pos \d+\)|; line \d+,? pos \d+;?")
_WORD = re.compile(r"[A-Za-z]*")


def first_word(statement: str) -> str:
    """The first key word in upper case, after comments and opening brackets; '' if there is none."""
    skipped = _SKIPPED.match(statement)
    word = _WORD.match(statement, skipped.end() if skipped else 0)
    return word.group().upper() if word else ""


def checked_statement(statement: str) -> str:
    """The statement without a semicolon at its end. ConfigurationError unless it begins as one that reads."""
    trimmed = statement.strip().removesuffix(";").rstrip()
    word = first_word(trimmed)
    if word not in READING_WORDS:
        raise ConfigurationError(
            "clv sql only reads",
            expected="one SELECT, WITH, SHOW or DESCRIBE statement",
            found=f"a statement that begins with {word}" if word else "no statement",
            next_step='for example: clv sql --config FILE "select * from segments"',
        )
    return trimmed


def query(spark: SparkSession, statement: str) -> DataFrame:
    """The rows of a checked statement, not yet read. ConfigurationError if it is not valid or would write.

    A query is first analysed as a subquery: Spark's parser allows neither a second statement nor an INSERT there.
    """
    from pyspark.errors import AnalysisException, ParseException

    try:
        if first_word(statement) in ("SELECT", "WITH"):
            spark.sql(f"SELECT * FROM (\n{statement}\n)")
        return spark.sql(statement)
    except (ParseException, AnalysisException) as error:
        raise _not_valid(str(error)) from error


def _not_valid(text: str) -> ConfigurationError:
    message = text.strip().partition("\n")[0]
    return ConfigurationError(
        "this statement cannot be run",
        found=_PLACE.sub("", message),
        next_step="`clv tables` lists the tables, `clv tables TABLE` the columns of one",
    )
