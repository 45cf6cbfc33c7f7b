"""Rows as an aligned table, CSV or JSON; money exactly as stored, NULL as NULL, empty and null."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

OutputFormat = Literal["table", "csv", "json"]

Row = Sequence[Any]

_WIDEST = 100


def render(columns: Sequence[str], rows: Iterable[Row], style: OutputFormat) -> Iterator[str]:
    """Lines of the rows. A table is aligned, so it takes all rows at once; CSV and JSON (one array) are streamed."""
    if style == "csv":
        return _csv_lines(columns, rows)
    if style == "json":
        return _json_lines(columns, rows)
    return iter(table_lines(columns, list(rows)))


def table_lines(columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Header, rule and rows in aligned columns; numbers to the right, with as many decimals as their column needs."""
    texts = [_column_texts([row[index] for row in rows]) for index in range(len(columns))]
    is_number = [any(_is_number(row[index]) for row in rows) for index in range(len(columns))]
    widths = [max(len(name), *map(len, cells), 4) for name, cells in zip(columns, texts, strict=True)]
    lines = [_line(columns, widths, is_number), "  ".join("-" * width for width in widths)]
    return lines + [_line([cells[number] for cells in texts], widths, is_number) for number in range(len(rows))]


def plain_number(value: Decimal | float | int) -> str:
    """The shortest exact text of a decimal, without exponent and without zeros at its end; doubles to 6 digits."""
    if isinstance(value, float):
        return f"{value:.6g}"
    text = f"{value:f}"
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def _column_texts(values: Sequence[Any]) -> list[str]:
    """Decimals of one column get the same number of decimals: as many as any of them needs, 2 if any needs one."""
    decimals = [value for value in values if isinstance(value, Decimal)]
    needed = max((_places(value) for value in decimals), default=0)
    places = 2 if needed == 1 else needed
    return [f"{value:.{places}f}" if isinstance(value, Decimal) else _cell(value) for value in values]


def _places(value: Decimal) -> int:
    return len(plain_number(value).partition(".")[2])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)


def _line(cells: Sequence[str], widths: Sequence[int], is_number: Sequence[bool]) -> str:
    aligned = (
        cell.rjust(width) if right else cell.ljust(width)
        for cell, width, right in zip(cells, widths, is_number, strict=True)
    )
    return "  ".join(aligned).rstrip()


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, float):
        return plain_number(value)
    text = str(value).lower() if isinstance(value, bool) else _text(value)
    flat = " ".join(text.split())
    return flat if len(flat) <= _WIDEST else flat[: _WIDEST - 1] + "…"


def _text(value: Any) -> str:
    """Lists and maps as JSON, everything else as it prints."""
    return json_text(value) if isinstance(value, list | tuple | Mapping) else str(value)


def json_text(value: Any) -> str:
    """A value as JSON; decimals as numbers with all their digits, which a detour over float would lose."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {json_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(json_text(item) for item in value) + "]"
    if isinstance(value, Decimal):
        return plain_number(value)
    if isinstance(value, float) and value != value:  # noqa: PLR0124 NaN is not equal to itself, and not JSON
        return "null"
    if isinstance(value, dt.date | bytes | bytearray):
        return json.dumps(str(value))
    return json.dumps(value, ensure_ascii=False, default=str)


def _csv_lines(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    yield _csv_line(columns)
    for row in rows:
        yield _csv_line(["" if value is None else _csv_cell(value) for value in row])


def _csv_cell(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return plain_number(value) if isinstance(value, Decimal) else _text(value)


def _csv_line(cells: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(cells)
    return buffer.getvalue()


def _json_lines(columns: Sequence[str], rows: Iterable[Row]) -> Iterator[str]:
    before = "["
    for row in rows:
        yield before + json_text(dict(zip(columns, row, strict=True)))
        before = ","
    yield "]" if before == "," else "[]"
