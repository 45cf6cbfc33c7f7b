"""Every error that clv raises on purpose: one root, a leaf per cause, an exit code per leaf.

An exception that is not a `ClvError` is a defect of clv; the command line then exits with `CRASH_EXIT_CODE`.
"""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

SUCCESS_EXIT_CODE = 0
CRASH_EXIT_CODE = 1

_LABEL_WIDTH = 10


def _labelled(label: str, text: str, indent: str = "  ") -> str:
    """One `label: text` line; further lines of the text are aligned under the first."""
    head = f"{indent}{label + ':':<{_LABEL_WIDTH}}"
    return head + textwrap.indent(text, " " * len(head)).lstrip()


@dataclass(frozen=True)
class Fault:
    """One of several things that are wrong at the same time, with the place where it can be mended."""

    what: str
    where: str = ""
    expected: str = ""
    found: str = ""
    next_step: str = ""

    def lines(self, indent: str = "  ") -> list[str]:
        """The parts that are known, one labelled line each, without `what`."""
        parts = (
            ("where", self.where),
            ("expected", self.expected),
            ("found", self.found),
            ("to do", self.next_step),
        )
        return [_labelled(label, text, indent) for label, text in parts if text]


class ClvError(Exception):
    """What went wrong, where, what was expected, what was found, and what to do next.

    `faults` lists several causes that were found at once. `str()` is a text of several lines for a person.
    """

    exit_code: ClassVar[int] = CRASH_EXIT_CODE
    meaning: ClassVar[str] = "clv failed"

    def __init__(
        self,
        what: str,
        *,
        where: str = "",
        expected: str = "",
        found: str = "",
        next_step: str = "",
        faults: Sequence[Fault] = (),
    ) -> None:
        """Keep each part; only `what` is needed."""
        super().__init__(what)
        self.what = what
        self.where = where
        self.expected = expected
        self.found = found
        self.next_step = next_step
        self.faults = tuple(faults)

    def __str__(self) -> str:
        own = Fault(self.what, self.where, self.expected, self.found, self.next_step)
        lines = [self.what]
        for number, fault in enumerate(self.faults, start=1):
            head = f"  {number}. "
            lines.append(head + fault.what)
            lines.extend(fault.lines(indent=" " * len(head)))
        return "\n".join(lines + own.lines())


class ConfigurationError(ClvError):
    """The configuration, an option or an argument cannot be used."""

    exit_code = 2
    meaning = "configuration: the settings file, an option or an argument is wrong"


class UnknownCommand(ConfigurationError):
    """The command line names a command, table or step that does not exist."""


class ContractError(ClvError):
    """A source is missing, empty, or does not have the columns and types that its contract asks for."""

    exit_code = 3
    meaning = "data contract: a source is missing, empty, or lacks the columns and types it needs"


class FailingExpression(ContractError):
    """SQL of the configuration over a source cannot be computed of some row."""


class QualityGateFailed(ClvError):
    """The gate judged the candidate tables and refused them, or could not judge them; nothing was published."""

    exit_code = 4
    meaning = "quality gate: the candidate tables were refused, nothing was published"


class ConflictError(ClvError):
    """Another run published first, or what is published is newer than this run."""

    exit_code = 5
    meaning = "conflict: another run published first, or a later as-of date is already published"


class EnvironmentFault(ClvError):
    """Java, a JAR, Python or the file system of this machine does not allow the job to run."""

    exit_code = 6
    meaning = "environment: Java, a JAR, Python or this machine's file system is not usable"


class LakeError(ClvError):
    """A table of the lake cannot be read or written, a file is corrupt, or a snapshot is missing."""

    exit_code = 7
    meaning = "lake: a table cannot be read or written, a file is corrupt, or a snapshot is missing"


class NotReproduced(ClvError):
    """What was computed again gave other tables: a run than it had published, a rebuild than a refresh."""

    exit_code = 8
    meaning = "reproduction: a run or silver that was computed again gave other figures, or could not be compared"


def exit_codes() -> dict[int, str]:
    """Exit code to meaning, ascending; the source of the table in the documentation and in `--help`."""
    codes = {SUCCESS_EXIT_CODE: "success", CRASH_EXIT_CODE: "crash: a defect of clv, please report it"}
    codes.update({leaf.exit_code: leaf.meaning for leaf in ClvError.__subclasses__()})
    return dict(sorted(codes.items()))


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """The candidate most like `name` (case and `-` ignored), or None if none is near enough to be meant."""
    by_key = {candidate.lower().replace("-", "_"): candidate for candidate in sorted(set(candidates))}
    found = difflib.get_close_matches(name.lower().replace("-", "_"), by_key, n=1, cutoff=0.6)
    return by_key[found[0]] if found else None


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """`did you mean X?` if something near exists, else the sorted list of what is allowed."""
    allowed = sorted(set(candidates))
    close = nearest(name, allowed)
    return f"did you mean {close}?" if close else f"one of: {', '.join(allowed)}"
