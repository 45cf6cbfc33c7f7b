"""The code version says which sources computed a table, wherever they were imported from."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from clv_lib import __version__
from clv_lib.code_version import code_version

PACKAGE = Path(__file__).resolve().parents[2] / "clv_lib"
ASK = "from clv_lib.code_version import code_version; print(code_version())"


def asked(place: Path) -> str:
    """The code version of the package that lies in a folder or zip."""
    environ = {"PYTHONPATH": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
    # Python looks into its working directory first, which must not be the checkout.
    answer = subprocess.run(
        [sys.executable, "-c", ASK], env=environ, cwd=place.parent, capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()


def test_a_copy_and_a_zip_of_the_same_sources_are_the_same_code(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "clv_lib")
    with zipfile.ZipFile(tmp_path / "clv_lib.zip", "w") as archive:
        for path in PACKAGE.rglob("*.py"):
            archive.write(path, path.relative_to(PACKAGE.parent))
    assert code_version().startswith(f"{__version__}+")
    assert asked(tmp_path) == asked(tmp_path / "clv_lib.zip") == code_version()


def test_one_changed_line_is_other_code(tmp_path: Path) -> None:
    shutil.copytree(PACKAGE, tmp_path / "clv_lib")
    with (tmp_path / "clv_lib" / "periods.py").open("a", encoding="utf-8") as source:
        source.write("\nCHANGED = True\n")
    assert asked(tmp_path) != code_version()
