"""Kinds of numbers in the settings; a truth value, which Python takes for 0 or 1, is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from clv_lib.settings import values as check


def no_boolean(value: Any) -> Any:
    """The value, unless it is a truth value."""
    if isinstance(value, bool):
        raise check.refusal("this is a truth value, not a number", expected="a number")
    return value


Count = Annotated[int, BeforeValidator(no_boolean), Field(ge=1)]
Days = Annotated[int, BeforeValidator(no_boolean), Field(ge=1, le=36_500)]
Share = Annotated[float, BeforeValidator(no_boolean), Field(ge=0, le=1)]
Money = Annotated[Decimal, BeforeValidator(no_boolean), Field(gt=0)]
