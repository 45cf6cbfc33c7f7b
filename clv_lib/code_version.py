"""Which code computed a table: the package's version and a digest of its sources, in a checkout, a wheel or a zip."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

from clv_lib import __version__

if TYPE_CHECKING:
    from importlib.abc import Traversable

_DIGITS = 12


@lru_cache(maxsize=1)
def code_version() -> str:
    """`0.1.0+3f9ac1d27b40`: two checkouts of one version with different sources are different code."""
    digest = hashlib.sha256()
    for name, source in sorted(_sources(files("clv_lib"), "")):
        digest.update(f"{name}\n".encode())
        digest.update(source.read_bytes())
    return f"{__version__}+{digest.hexdigest()[:_DIGITS]}"


def _sources(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        name = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _sources(entry, f"{name}/")
        elif entry.name.endswith(".py"):
            yield name, entry
