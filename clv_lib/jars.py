"""The two Delta JARs: which ones belong to the running Spark, where they lie, and how they are fetched once.

`python -m clv_lib.jars` fetches them. They are resolved by Spark's own Ivy, so mirrors set up for Spark apply.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clv_lib.errors import EnvironmentFault
from clv_lib.java import find_java
from clv_lib.java_trust import java_key_store, system_certificates, trust_options

SCALA_VERSION = "2.13"
PINNED_SPARK_LINE = "4.1"
PINNED_DELTA_VERSION = "4.4.0"
JARS_FOLDER_VARIABLE = "CLV_JARS_DIR"

_FIRST_DELTA_WITH_SPARK_SUFFIX = (4, 1)
_FETCH_SECONDS = 600
# Declared by delta-spark, but only needed for catalog-managed tables, which clv does not use.
_UNUSED_PACKAGES = (
    "io.delta:delta-kernel-api",
    "io.delta:delta-kernel-defaults",
    "io.delta:delta-kernel-unitycatalog",
    "io.unitycatalog:unitycatalog-client",
    "io.unitycatalog:unitycatalog-hadoop",
)


@dataclass(frozen=True)
class Jar:
    """One JAR file and, for the pinned versions, the SHA-256 it must have."""

    name: str
    sha256: str = ""


_PINNED_SHA256 = {
    "delta-spark_4.1_2.13-4.4.0.jar": "75a9400986853c061f5109f012547de2545a5759e5e752e5ef633dabe16a4f10",
    "delta-storage-4.4.0.jar": "c46735481fa8e326b0957be02b4420cbcab4b325bb08009b7f2045a95133f1cc",
}


def _numbers(version: str) -> tuple[int, ...]:
    """The leading two numbers of a version."""
    return tuple(int(part) for part in version.split(".")[:2])


def delta_artifact(spark_version: str, delta_version: str) -> str:
    """The artifact of delta-spark that was built for this Spark.

    Since Delta 4.1 its name carries the Spark line; the name without it means another Spark in each release.
    """
    line = ".".join(spark_version.split(".")[:2])
    suffix = f"_{line}" if _numbers(delta_version) >= _FIRST_DELTA_WITH_SPARK_SUFFIX else ""
    return f"delta-spark{suffix}_{SCALA_VERSION}"


def delta_package(spark_version: str, delta_version: str) -> str:
    """The coordinate for `--packages` and `spark.jars.packages`."""
    return f"io.delta:{delta_artifact(spark_version, delta_version)}:{delta_version}"


def delta_jars(spark_version: str, delta_version: str) -> tuple[Jar, ...]:
    """The two files that are enough for Delta on this Spark."""
    names = (
        f"{delta_artifact(spark_version, delta_version)}-{delta_version}.jar",
        f"delta-storage-{delta_version}.jar",
    )
    return tuple(Jar(name, _PINNED_SHA256.get(name, "")) for name in names)


def installed_version(distribution: str, default: str) -> str:
    """The version of an installed Python package, `default` if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return default


def installed_delta_version() -> str:
    """The version of the Python package delta-spark, the pinned one if it is not installed."""
    return installed_version("delta-spark", PINNED_DELTA_VERSION)


def installed_spark_version() -> str:
    """The version of the Python package pyspark, the pinned line if it is not installed."""
    return installed_version("pyspark", f"{PINNED_SPARK_LINE}.0")


def jars_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Where the JARs lie: CLV_JARS_DIR, else `share/clv/jars` of the running Python environment."""
    environ = os.environ if environ is None else environ
    configured = environ.get(JARS_FOLDER_VARIABLE, "")
    return Path(configured) if configured else Path(sys.prefix) / "share" / "clv" / "jars"


def local_jars(folder: Path, spark_version: str, delta_version: str) -> tuple[Path, ...]:
    """Both JARs in `folder`, or nothing: one of them alone would fail at the first table."""
    paths = tuple(folder / jar.name for jar in delta_jars(spark_version, delta_version))
    return paths if all(path.is_file() for path in paths) else ()


def jar_faults(folder: Path, spark_version: str, delta_version: str) -> list[str]:
    """What is wrong with the JARs in `folder`, one sentence each; empty if both are there and intact."""
    faults = []
    for jar in delta_jars(spark_version, delta_version):
        path = folder / jar.name
        if not path.is_file():
            faults.append(f"{path} is missing")
        elif jar.sha256 and _sha256(path) != jar.sha256:
            faults.append(f"{path} has SHA-256 {_sha256(path)}, expected {jar.sha256}")
    return faults


def fetch_jars(folder: Path | None = None) -> tuple[Path, ...]:
    """Bring both JARs into `folder` (default: `jars_folder()`) and return them; intact ones are left alone.

    Raises EnvironmentFault if there is no Java, if they cannot be resolved, or if a checksum differs.
    """
    folder = folder or jars_folder()
    spark, delta = installed_spark_version(), installed_delta_version()
    if jar_faults(folder, spark, delta):
        with tempfile.TemporaryDirectory(prefix="clv-jars-") as scratch:
            _resolve(delta_package(spark, delta), Path(scratch), folder)
            _copy(Path(scratch) / "ivy" / "jars", folder, delta_jars(spark, delta))
        faults = jar_faults(folder, spark, delta)
        if faults:
            raise _fetch_fault("the Delta JARs that were fetched are not the expected ones", "\n".join(faults), folder)
    return tuple(folder / jar.name for jar in delta_jars(spark, delta))


def spark_home() -> Path:
    """The folder of the installed pyspark. Raises EnvironmentFault if it is not installed."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise EnvironmentFault(
            "the Python package pyspark is not installed",
            where=sys.executable,
            next_step="in a checkout: make setup; elsewhere: pip install clv-lib",
        )
    return Path(spec.origin).parent


def _resolve(package: str, scratch: Path, folder: Path) -> None:
    """Let Spark resolve the package into `scratch/ivy`; a second time with the system's certificates if need be."""
    failure = _spark_submit(package, scratch, "")
    if failure and "SSLHandshakeException" in failure:
        store = scratch / "system.jks"
        store.write_bytes(java_key_store(system_certificates()))
        failure = _spark_submit(package, scratch, trust_options(store))
    if failure:
        raise _fetch_fault("the Delta JARs could not be fetched", failure, folder)


def _spark_submit(package: str, scratch: Path, java_options: str) -> str:
    """Submit a program that does nothing, with the package; the last lines of its log if that fails, else empty."""
    program = scratch / "nothing.py"
    program.write_text("", encoding="utf-8")
    home = spark_home()
    arguments = ["--master", "local[1]", "--conf", f"spark.jars.ivy={scratch / 'ivy'}", "--packages", package]
    command = [str(home / "bin" / "spark-submit"), *arguments, "--exclude-packages", ",".join(_UNUSED_PACKAGES)]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYSPARK_")}
    own = {"JAVA_HOME": str(find_java().home), "SPARK_HOME": str(home), "PYSPARK_DRIVER_PYTHON": sys.executable}
    options = f"{inherited.get('SPARK_SUBMIT_OPTS', '')} {java_options}".strip()
    try:
        answer = subprocess.run(  # noqa: S603 - pyspark's own spark-submit, no shell
            [*command, str(program)],
            env={**inherited, **own, "SPARK_SUBMIT_OPTS": options},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_FETCH_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"no answer in {_FETCH_SECONDS} s"
    told = [line.strip() for line in answer.stderr.splitlines() if line.strip() and not line.startswith("\tat ")]
    return "\n".join(told[-12:]) if answer.returncode else ""


def _copy(source: Path, folder: Path, jars: tuple[Jar, ...]) -> None:
    """Copy the resolved files, which Ivy names `group_artifact-version.jar`, each complete or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for jar in jars:
        resolved = source / f"io.delta_{jar.name}"
        if resolved.is_file():
            draft = folder / f".{jar.name}.{os.getpid()}"
            shutil.copyfile(resolved, draft)
            draft.replace(folder / jar.name)


def _fetch_fault(what: str, found: str, folder: Path) -> EnvironmentFault:
    """The error of a failed fetch, with the ways around it."""
    sums = "\n".join(f"{sha256}  {name}" for name, sha256 in _PINNED_SHA256.items())
    return EnvironmentFault(
        what,
        where=str(folder),
        found=found,
        next_step="let this machine reach a Maven repository, or name a mirror with spark.jars.ivySettings or\n"
        "spark.jars.repositories in the spark-defaults.conf of SPARK_CONF_DIR, or copy the files there yourself:\n"
        + sums,
    )


def _sha256(path: Path) -> str:
    """The SHA-256 of a file in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> int:
    """Fetch the JARs, say where they are, and return the exit code."""
    try:
        sys.stdout.write("Delta JARs: looking, fetching if needed (10 MB)\n")
        sys.stdout.flush()
        paths = fetch_jars()
    except EnvironmentFault as fault:
        sys.stderr.write(f"{fault}\n")
        return fault.exit_code
    sys.stdout.write("".join(f"  {path}\n" for path in paths))
    return 0


if __name__ == "__main__":
    sys.exit(main())
