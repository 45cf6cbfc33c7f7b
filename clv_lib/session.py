"""The only builder of Spark sessions: plain Python on a laptop, spark-submit, or a session that a platform made."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clv_lib import jars
from clv_lib.errors import EnvironmentFault, Fault
from clv_lib.java import JavaRuntime, find_java
from clv_lib.spark_conf import (
    DEFAULT_MASTER,
    DELTA_EXTENSION,
    FIXED_CONF,
    default_driver_memory,
    is_local,
    machine_memory,
    refuse_contradictions,
    session_conf,
    with_delta_jars,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Launch = Literal["python", "spark-submit", "platform"]

# PySpark prints each failed query with its whole plan there, literals included, which may be personal data.
_LOGGERS_OF_QUERY_PLANS = ("SQLQueryContextLogger", "DataFrameQueryContextLogger")

# Spark prints there each exception of a task with the value that a row had, and its stack. What failed comes to the
# driver as an error anyway. On a cluster this is in the logs of the executors, which are not ours.
_LOGGERS_OF_FAILED_TASKS = (
    "org.apache.spark.executor.Executor",
    "org.apache.spark.scheduler.TaskSetManager",
    "org.apache.spark.sql.delta.files.DeltaFileFormatWriter",
)

# PySpark asks the JVM for these names anew at each use, some in every expression, and the JVM then looks through all of
# its JARs for each package that a short name may lie in.
_CLASSES_OFTEN_ASKED = ("functions", "PythonUtils", "PythonSQLUtils", "org.apache.spark.sql.functions")


@dataclass(frozen=True)
class Environment:
    """What `clv doctor` reports of this machine; a fault is None where all is well."""

    python: str
    executable: Path
    launch: Launch
    packages: Mapping[str, str]
    java: JavaRuntime | None
    java_fault: EnvironmentFault | None
    jars_folder: Path
    jar_faults: tuple[str, ...]
    delta_package: str
    notes: tuple[str, ...]


def launch_of(environ: Mapping[str, str]) -> Launch:
    """How this process came to Spark: by plain Python, under spark-submit, or in a platform's own session."""
    if environ.get("DATABRICKS_RUNTIME_VERSION") or environ.get("SPARK_REMOTE"):
        return "platform"
    return "spark-submit" if environ.get("PYSPARK_GATEWAY_PORT") else "python"


def build_session(app_name: str, spark_conf: Mapping[str, str] | None = None) -> SparkSession:
    """Start Spark with Delta, or join the session that is running.

    `spark_conf` is the `spark:` section of the configuration. Under plain Python, Java, the JARs and the workers'
    Python are taken care of, and the master is `local[*]` unless `spark.master` says otherwise.
    Raises ConfigurationError for a refused entry, EnvironmentFault if Spark, Java or Delta cannot be had.
    """
    user = dict(spark_conf or {})
    launch = launch_of(os.environ)
    if launch == "spark-submit":
        spark = _submitted_session(app_name, user)
    elif launch == "python" and not _has_running_session():
        spark = _own_session(app_name, user)
    else:
        spark = _platform_session(app_name, user)
    _install_delta_errors()
    _check_applied(spark)
    _remember_classes(spark)
    for name in _LOGGERS_OF_QUERY_PLANS:
        logging.getLogger(name).disabled = True
    _silence_failed_tasks(spark)
    return spark


def prepare_local_machine(environ: MutableMapping[str, str], *, local: bool) -> None:
    """Point Spark's launcher at a usable Java and at this Python, through the environment that it reads.

    Workers on this machine must run the driver's Python: a `python3` from PATH may lack pyarrow.
    Raises EnvironmentFault if no Java fits.
    """
    environ["JAVA_HOME"] = str(find_java(environ).home)
    home = jars.spark_home()
    if (home / "jars").is_dir():
        # A SPARK_HOME left over from another Spark would start that one's JVM under this pyspark.
        environ["SPARK_HOME"] = str(home)
    checkout_conf = Path(__file__).resolve().parent.parent / "conf" / "spark"
    if local:
        environ["PYSPARK_PYTHON"] = sys.executable
        environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
        if checkout_conf.is_dir():
            environ.setdefault("SPARK_CONF_DIR", str(checkout_conf))


def describe_environment(environ: Mapping[str, str] | None = None) -> Environment:
    """Everything about Java, JARs and Python that can be known without starting Spark; never raises."""
    environ = os.environ if environ is None else environ
    java, java_fault = None, None
    try:
        java = find_java(environ)
    except EnvironmentFault as fault:
        java_fault = fault
    spark, delta, folder = jars.installed_spark_version(), jars.installed_delta_version(), jars.jars_folder(environ)
    names = ("pyspark", "delta-spark", "great-expectations", "pandas", "numpy", "scipy", "pyarrow", "pydantic")
    return Environment(
        python=".".join(str(part) for part in sys.version_info[:3]),
        executable=Path(sys.executable),
        launch=launch_of(environ),
        packages={name: jars.installed_version(name, "not installed") for name in names},
        java=java,
        java_fault=java_fault,
        jars_folder=folder,
        jar_faults=tuple(jars.jar_faults(folder, spark, delta)),
        delta_package=jars.delta_package(spark, delta),
        notes=_environment_notes(environ),
    )


def _environment_notes(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Variables that people leave set and that change how Spark starts."""
    names = ("SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS")
    notes = [f"{name} is set: {environ[name]}" for name in names if environ.get(name)]
    worker = environ.get("PYSPARK_PYTHON", "")
    if worker and Path(worker) != Path(sys.executable):
        notes.append(f"PYSPARK_PYTHON is {worker}; local workers run {sys.executable} instead")
    return tuple(notes)


def _own_session(app_name: str, user: dict[str, str]) -> SparkSession:
    """A session whose JVM this process starts."""
    import pyspark
    from pyspark.errors import PySparkRuntimeError

    master = user.get("spark.master", DEFAULT_MASTER)
    prepare_local_machine(os.environ, local=is_local(master))
    conf = session_conf(user, master=master) | {"spark.master": master}
    conf.setdefault("spark.driver.memory", default_driver_memory(machine_memory()))
    conf = with_delta_jars(conf, jars.jars_folder(), pyspark.__version__, jars.installed_delta_version())
    try:
        with _output_of_java_apart():
            return _get_or_create(app_name, conf)
    except PySparkRuntimeError as error:
        raise EnvironmentFault(
            "Spark did not start: its Java process ended at once",
            found=str(error),
            next_step="read the lines that Java printed above, then run: clv doctor\n"
            f"if it was a JAR that could not be resolved: {sys.executable} -m clv_lib.jars",
        ) from error


@contextmanager
def _output_of_java_apart() -> Iterator[None]:
    """Let a Java that starts meanwhile print to standard error: Delta's VACUUM prints, and ours is for results."""
    ours = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(ours, 1)
        os.close(ours)


def _submitted_session(app_name: str, user: dict[str, str]) -> SparkSession:
    """A session in the JVM of spark-submit, whose class path can no longer be changed."""
    import pyspark
    from pyspark import SparkConf

    _require_delta_class(pyspark.__version__)
    given = dict(SparkConf().getAll())
    master = user.get("spark.master") or given.get("spark.master", "")
    if is_local(master):
        os.environ["PYSPARK_PYTHON"] = sys.executable
    return _get_or_create(app_name, session_conf(user, master=master, given=given))


def _platform_session(app_name: str, user: dict[str, str]) -> SparkSession:
    """The running session, with the part of the configuration that can still be set."""
    from pyspark.sql import SparkSession

    refuse_contradictions(user)
    spark = SparkSession.getActiveSession() or SparkSession.builder.appName(app_name).getOrCreate()
    for key, value in {**user, **FIXED_CONF}.items():
        if key.startswith("spark.hadoop."):
            spark.conf.set(key.removeprefix("spark.hadoop."), value)
        elif key.startswith("spark.sql.") and spark.conf.isModifiable(key):
            spark.conf.set(key, value)
    return spark


def _get_or_create(app_name: str, conf: Mapping[str, str]) -> SparkSession:
    """The builder call itself."""
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(app_name)
    for key, value in conf.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def _has_running_session() -> bool:
    """Whether this process has a session already, as in a notebook."""
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession() is not None


def _require_delta_class(spark_version: str) -> None:
    """Stop before the first table if spark-submit was called without Delta.

    Spark itself only warns, and fails later with "Failed to find data source: delta".
    """
    from py4j.protocol import Py4JJavaError
    from pyspark import SparkContext

    SparkContext._ensure_initialized()  # noqa: SLF001 - the only way to the class path before a session exists
    jvm = SparkContext._jvm  # noqa: SLF001
    if jvm is None:
        return
    try:
        jvm.java.lang.Thread.currentThread().getContextClassLoader().loadClass(DELTA_EXTENSION)
    except Py4JJavaError as error:
        package = jars.delta_package(spark_version, jars.installed_delta_version())
        raise EnvironmentFault(
            "spark-submit was called without Delta",
            expected=f"the class {DELTA_EXTENSION} on the class path",
            next_step=f"spark-submit --packages {package} …",
        ) from error


def _install_delta_errors() -> None:
    """Make Delta's Java exceptions arrive as Python classes; without this they are bare Py4JJavaErrors."""
    try:
        import delta.exceptions  # noqa: F401
    except ModuleNotFoundError as error:
        raise EnvironmentFault(
            "the Python package delta-spark is not installed for the driver",
            where=sys.executable,
            next_step=f"pip install delta-spark=={jars.PINNED_DELTA_VERSION}",
        ) from error


def _silence_failed_tasks(spark: SparkSession) -> None:
    """Where tasks run in the driver's process, print none of their exceptions: values in them may be personal data."""
    jvm = getattr(spark, "_jvm", None)
    if jvm is None or not is_local(spark.conf.get("spark.master", "") or ""):
        return
    log4j = jvm.org.apache.logging.log4j
    for name in _LOGGERS_OF_FAILED_TASKS:
        log4j.core.config.Configurator.setLevel(name, log4j.Level.OFF)


def _remember_classes(spark: SparkSession) -> None:
    """Keep what the JVM answers as attributes of Python's view of it; a session without a JVM of its own has none."""
    from py4j.java_gateway import JavaClass

    jvm = getattr(spark, "_jvm", None)
    if jvm is None:
        return
    for name in _CLASSES_OFTEN_ASKED:
        found = getattr(jvm, name)
        if isinstance(found, JavaClass):  # another version of Spark may have none of this name
            setattr(jvm, name, found)


def _check_applied(spark: SparkSession) -> None:
    """Read FIXED_CONF back from the session, since a running one may refuse changes without an error."""
    faults = []
    for key, value in FIXED_CONF.items():
        shown = key
        found = spark.conf.get(key, None)
        if found is None and key.startswith("spark.hadoop."):
            shown = key.removeprefix("spark.hadoop.")
            found = spark.conf.get(shown, None)
        if found is None or found.casefold() != value.casefold():
            faults.append(Fault(shown, expected=value, found=found or "not set"))
    if faults:
        raise EnvironmentFault(
            "the running Spark session cannot be used",
            faults=faults,
            next_step="set these where the session is started, or start clv in a process of its own",
        )
