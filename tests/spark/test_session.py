"""The session that clv builds: its settings, Delta's errors, and spark-submit without Delta."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from clv_lib import jars
from clv_lib.errors import ConfigurationError
from clv_lib.session import build_session
from clv_lib.spark_conf import FIXED_CONF

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_fixed_settings_are_in_force(spark: SparkSession) -> None:
    assert {key: spark.conf.get(key) for key in FIXED_CONF} == dict(FIXED_CONF)


def test_plans_of_failed_queries_are_not_printed(spark: SparkSession) -> None:
    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        assert logging.getLogger(name).disabled


def test_failed_tasks_print_no_values_of_rows(spark: SparkSession) -> None:
    """Spark's executor prints the exception of a task, such as a customer's name that is no number."""
    log4j = spark._jvm.org.apache.logging.log4j
    of_tasks, of_others = (
        log4j.LogManager.getLogger(f"org.apache.spark.{name}") for name in ("executor.Executor", "x")
    )
    assert not of_tasks.isFatalEnabled() and of_others.isErrorEnabled()


def test_the_jvm_is_not_asked_again_for_the_functions_of_expressions(spark: SparkSession) -> None:
    assert {"functions", "PythonUtils", "org.apache.spark.sql.functions"} <= set(vars(spark._jvm))


def test_a_running_session_is_joined(spark: SparkSession) -> None:
    assert build_session("another") is spark


def test_a_contradiction_is_refused_by_a_running_session_too(spark: SparkSession) -> None:
    with pytest.raises(ConfigurationError, match="contradict"):
        build_session("another", {"spark.sql.ansi.enabled": "false"})


def test_delta_reads_writes_and_raises_python_errors(spark: SparkSession, lake_dir: Path) -> None:
    path = str(lake_dir / "numbers")
    spark.range(3).write.format("delta").save(path)
    assert spark.read.format("delta").load(path).count() == 3
    from delta.exceptions import DeltaConcurrentModificationException
    from pyspark.errors import AnalysisException

    assert issubclass(DeltaConcurrentModificationException, Exception)
    with pytest.raises(AnalysisException, match="DELTA_NEW_CHECK_CONSTRAINT_VIOLATION"):
        spark.sql(f"ALTER TABLE delta.`{path}` ADD CONSTRAINT small CHECK (id < 1)")


def test_workers_run_the_python_of_the_driver(spark: SparkSession) -> None:
    from pyspark.sql import functions as F

    executable = F.udf(lambda: __import__("sys").executable, "string")
    assert spark.range(1).select(executable().alias("python")).collect()[0].python == sys.executable


def test_spark_submit_without_delta_prints_the_missing_option(tmp_path: Path, clean_environ: dict[str, str]) -> None:
    program = tmp_path / "job.py"
    program.write_text(
        "from clv_lib.errors import EnvironmentFault\n"
        "from clv_lib.session import build_session\n"
        "try:\n    build_session('job')\nexcept EnvironmentFault as fault:\n    print(fault)\n",
        encoding="utf-8",
    )
    home = jars.spark_home()
    own = {"SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run(
        [home / "bin" / "spark-submit", "--master", "local[1]", program],
        env={**clean_environ, **own},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "spark-submit was called without Delta" in answer.stdout, answer.stderr
    assert "--packages io.delta:delta-spark_4.1_2.13:4.4.0" in answer.stdout
