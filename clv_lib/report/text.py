"""Numbers and lines of the report as text: amounts, shares, intervals, labelled blocks and small tables."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from decimal import Decimal

WIDTH = 100
LABEL_WIDTH = 14
MISSING = "-"

Number = Decimal | float | int


def count(value: int | None, one: str = "", many: str = "") -> str:
    """`4,000`, with a noun `4,000 customers` or `1 customer`; `-` for NULL."""
    if value is None:
        return MISSING
    noun = one if value == 1 else many or f"{one}s" if one else ""
    return f"{value:,} {noun}".rstrip()


def amount(value: Number | None, currency: str = "", places: int = 2) -> str:
    """`GBP 1,234.50`, without a currency `1,234.50`; `-` for NULL."""
    return MISSING if value is None else f"{currency} {value:,.{places}f}".lstrip()


def percent(share: Number | None, places: int = 1) -> str:
    """A ratio as `4.2 %`; `-` for NULL."""
    return MISSING if share is None else f"{float(share) * 100:.{places}f} %"


def interval(share: Number | None, lower: Number | None, upper: Number | None) -> str:
    """A ratio with its interval as `4.2 % (3.9-4.5)`; `-` for NULL."""
    if share is None or lower is None or upper is None:
        return percent(share)
    return f"{percent(share)} ({float(lower) * 100:.1f}-{float(upper) * 100:.1f})"


def significant(value: float | None, digits: int = 4) -> str:
    """A parameter to a few significant digits; `-` for NULL."""
    return MISSING if value is None else f"{value:.{digits}g}"


def labelled(label: str, text: str) -> list[str]:
    """The text behind its label, wrapped to the width, further lines below the first."""
    return wrapped(text, f"{label:<{LABEL_WIDTH}}")


def wrapped(text: str, first: str) -> list[str]:
    """The text behind `first`, further lines indented by as much."""
    indent = " " * len(first)
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=indent, break_long_words=False)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], left: int = 1) -> list[str]:
    """Aligned, indented lines; the first `left` columns to the left, the others to the right."""
    lines = [header, *rows]
    widths = [max(len(line[index]) for line in lines) for index in range(len(header))]
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if index < left else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
