"""Checks of single values: locations, names, zones, currencies, SQL text; each refusal says what to write instead."""

from __future__ import annotations

import os
import re
from pathlib import Path
from zoneinfo import ZoneInfo, available_timezones

from pydantic_core import PydanticCustomError

from clv_lib.errors import did_you_mean

IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
SEGMENT_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_DOTTED_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_FILE_NAME = re.compile(r"[\w-][\w.-]*")
_CREDENTIALS = re.compile(r"(://)[^/@:]*:[^/@]*@")
_FORBIDDEN_IN_PATHS = re.compile(r"[`'\"\x00-\x1f]")
_QUOTED_SQL = re.compile(r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.)*\"|`[^`]*`")
_CHANGING_SQL = re.compile(
    r"\b(current_date|current_timestamp|localtimestamp|current_user|(?:now|curdate|unix_timestamp)(?=\s*\(\s*\))"
    r"|(?:rand|random|randn|uuid|shuffle|monotonically_increasing_id)(?=\s*\())",
    re.IGNORECASE,
)
_NOT_A_LAKE = ("http:", "https:", "ftp:", "jdbc:")


def refusal(what: str, *, expected: str = "", found: str = "", next_step: str = "") -> PydanticCustomError:
    """An error for a validator to raise; its parts become the parts of a `Fault`."""
    parts = {"what": what, "expected": expected, "found": found, "next_step": next_step}
    return PydanticCustomError("clv", "{what}", parts)


def is_path(location: str) -> bool:
    """True for a path or URI, False for a name in a catalog (`schema`, `catalog.schema`, `catalog.schema.table`)."""
    return "/" in location or ":" in location or location in (".", "..", "~")


def check_location(location: str, *, max_parts: int, shape: str) -> str:
    """The path, URI or dotted name without surrounding blanks. Refuses `..`, `~`, quotes and credentials.

    `max_parts` is how many identifiers a name may have, `shape` how such a name is written.
    """
    location = location.strip()
    if is_path(location):
        return check_path(location)
    if not _DOTTED_NAME.fullmatch(location) or location.count(".") >= max_parts:
        raise refusal(
            "this is neither a path nor a table or schema name",
            expected=f"a path or URI (with a /) or {shape}, in letters, digits and _",
            next_step=f"for a folder here, write ./{location}" if _FILE_NAME.fullmatch(location) else "",
        )
    return location


def check_path(path: str) -> str:
    """The path or URI as written, if it is one that clv opens; relative ones stay relative."""
    if _CREDENTIALS.search(path):
        raise refusal(
            "credentials do not belong in a location",
            expected="a URI without user:password@",
            found=_CREDENTIALS.sub(r"\1<redacted>@", path),
            next_step="give them to Spark by its environment or its own configuration",
        )
    if ".." in path.replace("\\", "/").split("/"):
        raise refusal("a path must not contain ..", expected="a path without ..", next_step="write the absolute path")
    if path.startswith("~"):
        raise refusal("~ is not expanded", expected="a whole path", next_step=f"write {Path(path).expanduser()}")
    if path.lower().startswith(_NOT_A_LAKE):
        raise refusal("tables cannot be opened at this kind of address", expected="a path, or s3a://, abfss://, gs://…")
    if _FORBIDDEN_IN_PATHS.search(path):
        raise refusal("a path must not contain quotes, backquotes or control characters", expected="a plain path")
    return path


def comparable_path(path: str) -> str:
    """One spelling per place, with a trailing `/`: `file:` dropped and links resolved, `s3:` and `s3n:` as `s3a:`."""
    path = re.sub(r"^file:(//)?(?=/)", "", path)
    scheme, separator, rest = path.partition("://")
    if not separator:
        return os.path.realpath(path).rstrip("/") + "/"
    scheme = {"s3": "s3a", "s3n": "s3a"}.get(scheme.lower(), scheme.lower())
    parts = [part for part in rest.split("/") if part not in ("", ".")]
    return f"{scheme}://{'/'.join(parts)}/"


def check_currency(code: str) -> str:
    """An ISO 4217 code in upper case; only its shape is checked."""
    code = code.strip().upper()
    if not re.fullmatch(r"[A-Z]{3}", code):
        raise refusal("this is not a currency code", expected="three letters of ISO 4217, such as GBP or EUR")
    return code


def check_time_zone(name: str) -> str:
    """A zone of the IANA database by its own name."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        known = name != "localtime" and name in available_timezones()
    else:
        known = name not in ("", "localtime")
    if not known:
        hint = did_you_mean(name, available_timezones())
        raise refusal(
            "this time zone does not exist",
            expected="an IANA zone, such as Europe/London or UTC",
            next_step=hint if hint.startswith("did you mean") else "",
        )
    return name


def check_sql(text: str) -> str:
    """A SQL expression that is not empty and reads neither the clock nor random numbers. Spark parses it later."""
    if not text.strip():
        raise refusal("the SQL expression is empty", expected="a SQL expression over the columns of the source")
    changing = _CHANGING_SQL.search(_QUOTED_SQL.sub("''", text))
    if changing:
        raise refusal(
            f"{changing.group(1)} gives another result on every run",
            expected="an expression over the columns of the source",
            next_step="clv itself leaves out what is later than --as-of; remove the function",
        )
    return text.strip()
