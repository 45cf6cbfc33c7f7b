"""What may be imported when, and that the lock files and the ranges of pyproject.toml agree."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import clv_lib

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("build.lock", "runtime.lock", "dev.lock")
LOCKED_LINE = re.compile(r"^(?P<name>[a-z0-9-]+)==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\]+?))? \\$")


def run_python(code: str) -> str:
    """Standard output of a fresh Python that can find neither Java nor Spark's leftovers."""
    bare = {"PATH": "", "HOME": "/nonexistent"}
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, env=bare, capture_output=True, text=True, cwd=ROOT, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def locked(name: str) -> list[tuple[str, str]]:
    """Package and version of each entry of a lock file."""
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    entries = [LOCKED_LINE.match(line) for line in text.splitlines() if not line.startswith(" ")]
    assert all(entries), "a line of the lock file is no exact version"
    return [(entry["name"], entry["version"]) for entry in entries if entry]


def declared() -> list[Requirement]:
    """The requirements of the installed distribution, extras included."""
    from importlib.metadata import requires

    return [Requirement(line) for line in requires("clv-lib") or []]


def test_import_takes_less_than_a_second() -> None:
    code = "import time; start = time.perf_counter(); import clv_lib; print(time.perf_counter() - start)"
    assert min(float(run_python(code)) for _ in range(3)) < 1


def test_import_of_the_package_brings_no_heavy_library() -> None:
    heavy = {"pyspark", "great_expectations", "pandas", "numpy", "scipy", "pydantic"}
    loaded = json.loads(run_python("import sys, json, clv_lib; print(json.dumps(list(sys.modules)))"))
    assert heavy.isdisjoint(loaded)


def test_every_module_imports_without_java_and_without_great_expectations() -> None:
    code = (
        "import sys, importlib, pkgutil, clv_lib\n"
        "for module in pkgutil.walk_packages(clv_lib.__path__, 'clv_lib.'):\n"
        "    if not module.name.endswith('__main__'):\n"
        "        importlib.import_module(module.name)\n"
        "assert 'great_expectations' not in sys.modules, 'great_expectations was imported'\n"
        "if 'pyspark' in sys.modules:\n"
        "    from pyspark import SparkContext\n"
        "    assert SparkContext._gateway is None, 'a JVM was started'\n"
    )
    run_python(code)


def test_command_line_does_not_import_pyspark() -> None:
    loaded = run_python("import sys, clv_lib.cli; print(*sys.modules)").split()
    assert {"pyspark", "great_expectations", "pandas"}.isdisjoint(loaded)


def test_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert version("clv-lib") == clv_lib.__version__


@pytest.mark.parametrize("name", LOCKS)
def test_lock_is_exact_hashed_and_names_no_registry(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
    assert not re.search(r"https?:|file:|--index|--extra-index|--find-links|@ ", text)
    assert text.count("--hash=sha256:") >= len(locked(name)) > 0


def test_run_lock_has_the_versions_that_were_verified_together() -> None:
    expected = {("pyspark", "4.1.4"), ("delta-spark", "4.4.0"), ("great-expectations", "1.24.1")}
    assert expected <= set(locked("runtime.lock"))


def test_dev_lock_contains_the_run_lock() -> None:
    assert set(locked("runtime.lock")) <= set(locked("dev.lock"))


def test_locked_versions_lie_in_the_declared_ranges() -> None:
    versions: dict[str, list[str]] = {}
    for name, version in locked("dev.lock"):
        versions.setdefault(name, []).append(version)
    for requirement in declared():
        found = versions[canonicalize_name(requirement.name)]
        assert all(requirement.specifier.contains(version) for version in found), f"{requirement}: {found}"


def test_no_file_of_the_project_names_a_registry_host() -> None:
    hosts = re.compile(r"\b(?:pypi|pythonhosted|maven|repo1|apache)\.(?:org|apache\.org)\b|files\.pythonhosted")
    suffixes = {".py", ".toml", ".lock", ".in", ".yaml", ".conf", ".properties"}
    folders = [ROOT / name for name in ("clv_lib", "jobs", "conf", "requirements")]
    files = [path for folder in folders for path in folder.rglob("*") if path.suffix in suffixes]
    named = [
        str(path) for path in [*files, ROOT / "Makefile", ROOT / "pyproject.toml"] if hosts.search(path.read_text())
    ]
    assert not named
