"""A trial of write access for `clv doctor`: a tiny Delta table is written to the lake, read back and removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clv_lib.contracts.types import Field, Table
from clv_lib.errors import LakeError
from clv_lib.lake.reporting import reported

if TYPE_CHECKING:
    from clv_lib.lake.tables import Lake

_ROWS = 3

TRIAL = Table(
    name="doctor_trial",
    layer="control",
    grain="one row per number; made and removed by clv doctor",
    key=("number",),
    fields=(Field("number", "bigint", "0, 1, 2.", required=True),),
)


def try_writing(lake: Lake) -> float | None:
    """Write, read and remove a table; LakeError if one of these fails.

    Returns when the file system says that it was written, in seconds since 1970 (UTC), None where it does not say.
    """
    try:
        version, _ = lake.write_state(TRIAL, lake.spark.range(_ROWS).toDF("number"), "doctor")
        with reported(lake.place(TRIAL), "read"):
            found = lake.read_state(TRIAL, version).count()
        if found != _ROWS:
            raise LakeError(
                "rows that were just written are not found", where=lake.place(TRIAL), found=f"{found} of {_ROWS} rows"
            )
        with reported(lake.place(TRIAL), "read"):
            return _written_at(lake)
    finally:
        _remove(lake)


def _written_at(lake: Lake) -> float | None:
    from pyspark.sql import functions as F

    if not lake.is_path:
        return None
    log = lake.spark.read.format("binaryFile").load(f"{lake.place(TRIAL)}/_delta_log/*.json")
    seconds = log.agg(F.max(F.unix_millis("modificationTime"))).collect()[0][0]
    return None if seconds is None else float(seconds) / 1000


def _remove(lake: Lake) -> None:
    """Remove the table; by path also the folders around it if they were made for it and are empty."""
    with reported(lake.place(TRIAL), "removed"):
        if not lake.is_path:
            lake.spark.sql(f"DROP TABLE IF EXISTS {lake.reference(TRIAL)}")
            return
        session: Any = lake.spark  # its Java side knows every file system; Python alone does not
        jvm = session._jvm  # noqa: SLF001
        path = jvm.org.apache.hadoop.fs.Path(lake.place(TRIAL))
        files = path.getFileSystem(session._jsparkSession.sessionState().newHadoopConf())  # noqa: SLF001
        files.delete(path, True)
        for folder in (path.getParent(), path.getParent().getParent()):
            if files.exists(folder) and not files.listStatus(folder):
                files.delete(folder, False)
