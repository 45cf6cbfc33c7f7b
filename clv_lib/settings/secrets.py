"""Which values of a configuration must not be shown."""

from __future__ import annotations

import re

REDACTED = "<redacted>"
_SECRET = re.compile(r"secret|passw|token|credential|key|\bsas\b", re.IGNORECASE)
_HOLDERS_OF_SECRETS = ("spark", "options")


def is_secret(place: tuple[str | int, ...]) -> bool:
    """True for Spark and reader options whose key says that the value is a secret."""
    held = len(place) > 1 and place[-2] in _HOLDERS_OF_SECRETS
    return held and bool(_SECRET.search(str(place[-1])))


def redacted_text(text: str) -> str:
    """The text, or a mark in its place if it names something secret."""
    return REDACTED if _SECRET.search(text) else text
