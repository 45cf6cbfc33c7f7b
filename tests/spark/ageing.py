"""A lake as if it had been written days ago: every time that Delta or the file system noted lies so far back."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

_TIMES = re.compile(r'"(timestamp|modificationTime|deletionTimestamp|createdTime)":(\d+)')
_DAY = 24 * 60 * 60


def aged(lake: Path, copy: Path, days: int) -> None:
    """Copy a lake whose tables have no checkpoint yet; at its own place Delta would remember the times of now."""
    assert not list(lake.glob("*/*/_delta_log/*.checkpoint*"))
    shutil.copytree(lake, copy, ignore=shutil.ignore_patterns("*.crc"))
    for path in copy.rglob("*"):
        if path.suffix == ".json":
            text = path.read_text(encoding="utf-8")
            back = _TIMES.sub(lambda found: f'"{found[1]}":{int(found[2]) - 1000 * _DAY * days}', text)
            path.write_text(back, encoding="utf-8")
        if path.is_file():
            then = (lake / path.relative_to(copy)).stat().st_mtime - _DAY * days
            os.utime(path, (then, then))
