"""What pydantic found wrong, in the words of a configuration: the key, its line, what was expected, what was found."""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from clv_lib.errors import Fault, did_you_mean
from clv_lib.settings.layers import Place, origin_of, show_place
from clv_lib.settings.models import Settings
from clv_lib.settings.secrets import REDACTED, is_secret

_MAX_FOUND = 100


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    """The models that a field may hold, through Optional, Annotated, unions and containers."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    if get_origin(annotation) in (Annotated, Union, types.UnionType, tuple, list):
        return [model for part in get_args(annotation) for model in _models_in(part)]
    return []


def _models_at(place: Place, values: Any) -> list[type[BaseModel]]:
    """The models at a place; among segment types the one whose `type` is given."""
    models: list[type[BaseModel]] = [Settings]
    for part in place:
        values = _child(values, part)
        if isinstance(part, str):
            fields = [model.model_fields[part].annotation for model in models if part in model.model_fields]
            models = [model for annotation in fields for model in _models_in(annotation)]
    kind = values.get("type") if isinstance(values, dict) else None
    named = [model for model in models if "type" in model.model_fields and kind in _literals(model)]
    return named or models


def _literals(model: type[BaseModel]) -> tuple[Any, ...]:
    return get_args(model.model_fields["type"].annotation)


def _child(values: Any, part: str | int) -> Any:
    try:
        return values[part]
    except (KeyError, IndexError, TypeError):
        return None


def _place(loc: tuple[str | int, ...]) -> Place:
    """pydantic's location without the segment type that it puts behind the index."""
    if len(loc) > 2 and loc[0] == "segments":
        loc = (*loc[:2], *loc[3:])
    return tuple(part for part in loc if part != "[key]")


def _found(value: Any, place: Place) -> str:
    if is_secret(place):
        return REDACTED
    if isinstance(value, dict) and any(is_secret((*place[-1:], key)) for key in value):
        return "a mapping"
    text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= _MAX_FOUND else text[: _MAX_FOUND - 1] + "…"


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]


def _expected(error: ErrorDetails) -> str:
    """pydantic's sentence without its beginning: `greater than 0`, `'delta', 'parquet' or 'csv'`."""
    text = error["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    named = {
        "dict_type": "a mapping of keys and values",
        "model_type": "a mapping of keys and values",
        "model_attributes_type": "a mapping of keys and values, such as {type: rfm}",
        "tuple_type": "a list in brackets, such as [a, b]",
        "string_type": "text; quote it if YAML takes it for something else",
        "date_from_datetime_parsing": "a date as YYYY-MM-DD",
        "date_parsing": "a date as YYYY-MM-DD",
        "float_parsing": "a number, such as 0.05",
        "decimal_parsing": "a number, such as 2.5",
        "int_parsing": "a whole number",
        "int_from_float": "a whole number",
        "bool_parsing": "true or false",
        "bool_type": "true or false",
        "too_short": f"at least {error.get('ctx', {}).get('min_length')} of them",
    }
    return named.get(error["type"], _lower_first(text))


def _fault(error: ErrorDetails, values: Any, origins: Mapping[Place, str]) -> Fault:
    place, kind = _place(error["loc"]), error["type"]
    name, origin = show_place(place), origin_of(place, origins)
    where = f"{name} ({origin})" if origin else name
    if kind == "clv":
        context = error.get("ctx", {})
        found = "" if is_secret(place) else context["found"] or _short_found(error["input"], place)
        return Fault(context["what"], where, context["expected"], found, context["next_step"])
    if kind == "extra_forbidden":
        keys = {key for model in _models_at(place[:-1], values) for key in model.model_fields}
        return Fault(f"unknown key {place[-1]}", where, expected=did_you_mean(str(place[-1]), keys))
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        types_known = [kind for model in _models_at(("segments",), values) for kind in _literals(model)]
        given = _child(error["input"], "type")
        expected = did_you_mean(given, types_known) if isinstance(given, str) else f"one of: {', '.join(types_known)}"
        return Fault("this segment type does not exist", f"{name}.type ({origin})", expected, _found(given, place))
    if kind == "missing":
        return _missing(place, name, where, values)
    return Fault(f"{name} cannot be used", where, _expected(error), _found(error["input"], place))


def _missing(place: Place, name: str, where: str, values: Any) -> Fault:
    """What the key says, and an example of it if its field has one."""
    key = str(place[-1])
    fields = [model.model_fields[key] for model in _models_at(place[:-1], values) if key in model.model_fields]
    description = next((field.description for field in fields if field.description), "")
    examples = [example for field in fields for example in field.examples or ()]
    step = f"add it, such as {key}: {examples[0]}" if examples else ""
    return Fault(f"{name} is missing", where, expected=description, next_step=step)


def _short_found(value: Any, place: Place) -> str:
    """The value that was refused, unless it is a whole section: then the sentence names the part."""
    return "" if isinstance(value, dict | list | tuple | BaseModel) else _found(value, place)


def validation_faults(error: ValidationError, values: Any, origins: Mapping[Place, str]) -> list[Fault]:
    """One fault per thing that pydantic refused, in the order of the models' fields.

    A list whose members were refused is not said to be too short as well.
    """
    found = error.errors(include_url=False)
    parents = {details["loc"][:-1] for details in found}
    told = [details for details in found if not (details["type"] == "too_short" and details["loc"] in parents)]
    return [_fault(details, values, origins) for details in told]
