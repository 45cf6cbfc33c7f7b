"""What Spark, Delta or the file system raise, told as one error that says what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from clv_lib.errors import ClvError, ConflictError, EnvironmentFault, FailingExpression, LakeError

MISSING_CONNECTOR = (
    "Spark lacks the connector of this kind of place; for s3a:// see the section on S3 in ARCHITECTURE.md"
)
"""What to do where Hadoop does not know a kind of file system."""
_DATA_EXCEPTION = re.compile(r"SQLSTATE: 22\w{3}")
_VALUE = re.compile(r"(?:[Tt]he value '.*?'(?= of)|Text '.*?'(?= could not be parsed))")


@contextmanager
def reported(place: str, action: str) -> Iterator[None]:
    """Turn what Spark, Delta or the file system raise into one readable ClvError; a ClvError passes as it is."""
    import delta.exceptions as delta_errors
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        yield
    except ClvError:
        raise
    except (
        # In Python Delta's conflicts are no subclasses of the first, as they are in Java.
        delta_errors.DeltaConcurrentModificationException,
        delta_errors.ConcurrentAppendException,
        delta_errors.ConcurrentDeleteDeleteException,
        delta_errors.ConcurrentDeleteReadException,
        delta_errors.ConcurrentTransactionException,
        delta_errors.ConcurrentWriteException,
        delta_errors.MetadataChangedException,
        delta_errors.ProtocolChangedException,
    ) as error:
        raise conflict(place, first_line(str(error))) from error
    except (PySparkException, Py4JError) as error:
        raise _failure(str(error), place, action) from error


def conflict(place: str, found: str, expected: str = "") -> ConflictError:
    """The error of a table that two runs write at once."""
    return ConflictError(
        "another run wrote the same table at the same time",
        where=place,
        expected=expected,
        found=found,
        next_step="nothing is broken; let one run end before the next one starts, and run again",
    )


def _failure(text: str, place: str, action: str) -> ClvError:
    """The error that tells the user what to do about a text of Spark; values of rows are left out of it."""
    if _DATA_EXCEPTION.search(text):
        return FailingExpression(
            "an SQL expression fails on some row",
            where=place,
            found=told_of_values(text),
            next_step="use try_cast, try_divide, try_to_date or the like in the query, or in `columns` and `filter`",
        )
    if "No space left on device" in text:
        step = "free some space and run again"
        return EnvironmentFault("the disk is full", where=place, found=first_line(text), next_step=step)
    return LakeError(f"a table could not be {action}", where=place, found=first_line(text), next_step=_next_step(text))


def told_of_values(text: str) -> str:
    """The first telling line of an error about a value, without the value."""
    return _VALUE.sub("a value", first_line(text))


def first_line(text: str) -> str:
    """The first telling line of an error of Spark, without its stack trace."""
    lines = [line.strip().removeprefix(": ") for line in text.splitlines() if line.strip(": \t")]
    telling = [line for line in lines if line.startswith("[") or "Exception:" in line]
    return (telling or lines or ["no message"])[0][:500]


def _next_step(text: str) -> str:
    if "checksum" in text.lower() or "CORRUPT" in text or "FAILED_READ_FILE" in text:
        return "a data file is damaged: restore it, or run again with the source or table repaired"
    if "PATH_NOT_FOUND" in text or "DELTA_TABLE_NOT_FOUND" in text or "TABLE_OR_VIEW_NOT_FOUND" in text:
        return "nothing has been published there yet: run `clv run` first, or check `lake`"
    if "No FileSystem for scheme" in text or "FileSystem not found" in text:
        return MISSING_CONNECTOR
    if "Permission denied" in text or "AccessDenied" in text:
        return "give this user write access, or point `lake` elsewhere; `clv doctor` checks it"
    return "see the error above; nothing was published, and running again is safe"
