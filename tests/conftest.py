"""Spark fixtures: one session per test process, cleaned of views and caches after each test."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadFileScheduling

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TEST_CONF = {
    "spark.master": "local[2]",
    "spark.driver.memory": "2g",
    "spark.sql.shuffle.partitions": "2",
    "spark.default.parallelism": "2",
    # Tests run many plans over few rows: as in conf/demo.yaml, planning and starting jobs is what takes the time.
    # Unlike there, the test processes share the cores, so each collects garbage with one thread.
    "spark.driver.extraJavaOptions": (
        "-XX:TieredStopAtLevel=1 -XX:ReservedCodeCacheSize=256m -XX:+UseSerialGC -XX:MetaspaceSize=256m"
        " -XX:InitialRAMPercentage=12"
    ),
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.constraintPropagation.enabled": "false",
    "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
    "spark.hadoop.fs.AbstractFileSystem.file.impl": "org.apache.hadoop.fs.local.RawLocalFs",
    "spark.databricks.delta.stats.skipping": "false",
    "spark.databricks.delta.stats.collect": "false",
}


DEMO_LAKE = "tests/spark/demo_lake/"
# All processes share one published demo lake, which takes minutes to make: the file that begins with it comes first,
# the other files over it last, the longest of them before the others, so that no process waits and all end together.
_FIRST, _LAST = "test_pipeline.py", ("test_publishing.py", "test_reproducing.py", "test_accuracy.py")


def _turn(item: pytest.Item) -> tuple[int, int]:
    """Before, among or after the tests that do not read the demo lake; and the place among those after them."""
    folder, _, file = item.nodeid.partition("::")[0].rpartition("/")
    if f"{folder}/" != DEMO_LAKE:
        return (1, 0)
    return (0, 0) if file == _FIRST else (2, _LAST.index(file) if file in _LAST else len(_LAST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the files for `--dist loadfile`."""
    items.sort(key=_turn)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """Hand out files in their order; xdist would take those with the most tests first."""
    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.fixture(scope="session")
def spark_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    """The Spark of this test process, with a warehouse of its own (the base folder differs per xdist worker)."""
    from clv_lib.session import build_session

    warehouse = tmp_path_factory.mktemp("warehouse")
    spark = build_session("clv-tests", {**TEST_CONF, "spark.sql.warehouse.dir": str(warehouse)})
    yield spark
    spark.stop()


@pytest.fixture
def spark(spark_session: SparkSession) -> Iterator[SparkSession]:
    """The shared session; temporary views and cached tables of the test are dropped after it."""
    yield spark_session
    spark_session.catalog.clearCache()
    # The catalog's list of tables reads each view's query, which fails if the lake of the test is gone.
    for view in spark_session.sql("SHOW VIEWS").collect():
        if view["isTemporary"]:
            spark_session.catalog.dropTempView(view["viewName"])


@pytest.fixture
def lake_dir(tmp_path: Path) -> Path:
    """An empty folder for a lake."""
    folder = tmp_path / "lake"
    folder.mkdir()
    return folder


@pytest.fixture
def clean_environ(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A copy of the environment for child processes, without what a Spark of this process has set."""
    for name in ("PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET", "SPARK_HOME", "SPARK_CONF_DIR"):
        monkeypatch.delenv(name, raising=False)
    return dict(os.environ)
