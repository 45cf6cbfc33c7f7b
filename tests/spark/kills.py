"""Runs that die: a driver that SIGKILL ends at a commit of the lake, or within this process right after a commit."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clv_lib.lake import Lake, Pointer

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK_EVERY = 0.002
_LONGEST = 600


class Died(BaseException):
    """No code of clv may catch it: a driver that is killed does nothing any more."""


@contextmanager
def dying_after(commits: int) -> Iterator[list[str]]:
    """Whatever writes to a lake dies right after so many commits; the tables that were written, and Died is swallowed.

    The other thread of an intake, if there is one, dies at its next commit.
    """
    written: list[str] = []

    def dying(write: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        def dies(self: Any, *arguments: Any) -> Any:
            if len(written) >= commits:
                raise Died
            result = write(self, *arguments)
            written.append(name(*arguments))
            if len(written) >= commits:
                raise Died
            return result

        return dies

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Lake, "_save", dying(Lake._save, lambda table, *_: table.name))
        patch.setattr(Pointer, "_merge", dying(Pointer._merge, lambda *_: "published"))
        try:
            yield written
        except Died:
            return


def commits(lake: Path) -> set[str]:
    """Commits of every table of a lake, as their files."""
    return {str(path) for path in lake.glob("*/*/_delta_log/[0-9]*.json")}


def killed(
    arguments: Sequence[str], lake: Path, environ: dict[str, str], *, at_commit: int = 0, after: float = 0
) -> int:
    """Run clv in a process of its own until it has made so many commits, or for so many seconds, and SIGKILL it.

    Returns how many commits it made until then; it may end by itself before.
    """
    before, began = commits(lake), time.monotonic()
    command = [sys.executable, "-m", "clv_lib.cli", *arguments]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environ) as driver:
        while driver.poll() is None and time.monotonic() - began < _LONGEST:
            made, seconds = len(commits(lake) - before), time.monotonic() - began
            if (at_commit and made >= at_commit) or (after and seconds >= after):
                driver.send_signal(signal.SIGKILL)
                break
            time.sleep(_LOOK_EVERY)
        else:
            driver.kill()
        driver.wait(timeout=60)
    return len(commits(lake) - before)
