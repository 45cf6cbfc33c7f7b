"""The zip of `make dist` under a real spark-submit, from a folder outside the checkout: driver, workers, exit codes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest
from deltalake import DeltaTable

from clv_lib import jars
from clv_lib.java import find_java
from tests.conftest import TEST_CONF

ROOT = Path(__file__).resolve().parents[2]
PACKAGED = ("clv_lib", "pyproject.toml", "README.md", "LICENSE")

WHERE_FROM = '''
"""Prints from where the driver and a worker import clv_lib, and what a worker computes with it."""
import json
import pandas as pd
import clv_lib
from clv_lib.session import build_session


def in_worker(frames):
    import datetime as dt
    import clv_lib
    from clv_lib import periods
    for frame in frames:
        yield pd.DataFrame({"place": [clv_lib.__file__], "month": [str(periods.month_start(dt.date(2024, 2, 29)))]})


spark = build_session("where-from", {})
row = spark.range(1, numPartitions=1).mapInPandas(in_worker, "place string, month string").collect()[0]
print("FOUND " + json.dumps({"driver": clv_lib.__file__, "worker": row.place, "month": row.month}))
spark.stop()
'''

CONFIGURATION = """
lake: {folder}/lake
reporting: {{currency: GBP, time_zone: Europe/London}}
sources:
  orders:
    table: {folder}/orders.csv
    format: csv
    columns: {{order_id: number, customer_id: "cast(buyer as string)", ordered_at: day, net_amount: amount}}
"""


LESS_TO_COMPUTE = """
segments: [{type: channel}]
predictions: {model: bg_nbd, holdout_days: 0, horizons_days: [365], compare_groups: []}
economics: {segment_types: [], spend_lag_months: [0]}
forecasts: {months: 0}
"""
TOTAL = sum(Decimal(f"{10 + number}.50") for number in range(30))


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make dist` leaves as dist/clv_lib.zip, built from a copy so that the checkout stays as it is."""
    folder = tmp_path_factory.mktemp("dist")
    for name in PACKAGED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    code = "from setuptools import build_meta; build_meta.build_wheel('dist')"
    (folder / "dist").mkdir()
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, capture_output=True)
    [wheel] = (folder / "dist").glob("clv_lib-*.whl")
    return Path(shutil.copy(wheel, tmp_path_factory.mktemp("elsewhere") / "clv_lib.zip"))


@pytest.fixture
def submitted(package: Path, tmp_path: Path, clean_environ: dict[str, str]) -> Submit:
    """Calls spark-submit in an empty folder with the zip and the two Delta JARs, as a stranger would."""
    return Submit(package, tmp_path, clean_environ)


class Submit:
    """One way of calling spark-submit; the folder holds what the program reads and writes."""

    def __init__(self, package: Path, folder: Path, environ: dict[str, str]) -> None:
        """Keep the zip, the folder and the environment, from which everything that points to the checkout is gone."""
        self.package, self.folder = package, folder
        home = str(jars.spark_home())
        own = {"SPARK_HOME": home, "JAVA_HOME": str(find_java().home), "PYSPARK_DRIVER_PYTHON": sys.executable}
        inherited = {k: v for k, v in environ.items() if not k.startswith(("PYSPARK_", "PYTHON", "CLV_", "COVERAGE"))}
        self.environ = {**inherited, **own}

    def __call__(self, program: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the program to its end. spark-submit writes both streams of the program to standard output."""
        spark, delta = jars.installed_spark_version(), jars.installed_delta_version()
        delta_jars = ",".join(str(path) for path in jars.local_jars(jars.jars_folder(), spark, delta))
        options = {
            "--master": "local[2]",
            "--driver-memory": "2g",
            "--driver-java-options": TEST_CONF["spark.driver.extraJavaOptions"],
            "--jars": delta_jars,
            "--py-files": str(self.package),
        }
        quick = {key: value for key, value in TEST_CONF.items() if key.startswith(("spark.sql.", "spark.databricks."))}
        given = [part for option in options.items() for part in option]
        given += [part for key, value in quick.items() for part in ("--conf", f"{key}={value}")]
        return subprocess.run(
            [f"{self.environ['SPARK_HOME']}/bin/spark-submit", *given, str(program), *arguments],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )


def test_the_zip_holds_every_module_and_its_data(package: Path) -> None:
    names = set(zipfile.ZipFile(package).namelist())
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "clv_lib").rglob("*.py")}
    assert modules <= names and "clv_lib/py.typed" in names


def test_driver_and_workers_import_clv_from_the_zip(submitted: Submit) -> None:
    program = submitted.folder / "where_from.py"
    program.write_text(WHERE_FROM, encoding="utf-8")
    answer = submitted(program)
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    [line] = [line for line in answer.stdout.splitlines() if line.startswith("FOUND ")]
    found = json.loads(line.removeprefix("FOUND "))
    assert "clv_lib.zip/clv_lib/__init__.py" in found["driver"]
    assert "clv_lib.zip/clv_lib/__init__.py" in found["worker"]
    assert found["month"] == "2024-02-01"


@pytest.mark.long
def test_the_whole_job_publishes_what_another_engine_reads(submitted: Submit) -> None:
    write_orders(submitted.folder, LESS_TO_COMPUTE)
    job, summary = shutil.copy(ROOT / "jobs" / "run.py", submitted.folder), submitted.folder / "summary.json"
    arguments = ("--config", str(submitted.folder / "clv.yaml"), "--as-of", "2024-12-31")
    answer = submitted(Path(job), *arguments, "--summary-json", str(summary))
    assert answer.returncode == 0, answer.stdout[-3000:] + answer.stderr[-3000:]
    lake = submitted.folder / "lake"
    [now] = DeltaTable(str(lake / "control" / "published")).to_pyarrow_table().to_pylist()
    snapshot = [("snapshot_id", "=", now["snapshot_id"])]
    assert "customer_orders" in answer.stdout and now["snapshot_id"] in answer.stdout
    customers = DeltaTable(str(lake / "gold" / "customer_metrics")).to_pyarrow_table(filters=snapshot).to_pylist()
    results = DeltaTable(str(lake / "gold" / "data_quality_results")).to_pyarrow_table(filters=snapshot).to_pylist()
    assert len(customers) == 12 and sum(row["lifetime_net_amount"] for row in customers) == TOTAL
    assert results and all(row["is_success"] for row in results)
    assert json.loads(summary.read_text(encoding="utf-8"))["run_id"] == now["snapshot_id"]


def test_a_wrong_configuration_ends_with_exit_code_2(submitted: Submit) -> None:
    write_orders(submitted.folder)
    job = shutil.copy(ROOT / "jobs" / "run.py", submitted.folder)
    path = submitted.folder / "clv.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("time_zone", "timezone"), encoding="utf-8")
    answer = submitted(Path(job), "--config", str(path), "--as-of", "2024-12-31")
    assert answer.returncode == 2, answer.stdout[-3000:] + answer.stderr[-3000:]
    assert "timezone" in answer.stdout and "time_zone" in answer.stdout
    assert not (submitted.folder / "lake").exists()


def write_orders(folder: Path, more: str = "") -> None:
    """30 orders of 12 customers, and the configuration that reads them, with `more` of it."""
    lines = [f"o{n},{n % 12},2024-{n % 12 + 1:02d}-{n % 27 + 1:02d} 10:00:00,{10 + n}.50" for n in range(30)]
    (folder / "orders.csv").write_text("\n".join(["number,buyer,day,amount", *lines]), encoding="utf-8")
    (folder / "clv.yaml").write_text(CONFIGURATION.format(folder=folder) + more, encoding="utf-8")
