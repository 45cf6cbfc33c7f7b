"""The layers of a configuration (YAML file, CLV__ environment, --set) as trees that know where each value is from.

A place is a tuple of keys and list indexes, such as ("segments", 0, "name").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from clv_lib.errors import Fault
from clv_lib.settings.secrets import redacted_text

ENVIRONMENT_PREFIX = "CLV__"
# Mappings whose keys are the user's own and may hold dots.
FREE_MAPS = frozenset({"spark", "columns", "options", "cases", "variant_weights"})
# Fields that are text as it stands: 'GBP' is a SQL literal there, not a quoted YAML scalar.
TEXT_FIELDS = frozenset({"lake", "table", "filter"})
MAX_YAML_NODES = 50_000

Place = tuple[str | int, ...]


@dataclass
class Layer:
    """Nested values, the origin of each place, and what could not be read."""

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Place, str] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)


def show_place(place: Place) -> str:
    """`("segments", 0, "name")` as `segments[0].name`; keys with dots are put in brackets."""
    text = ""
    for part in place:
        plain = isinstance(part, str) and "." not in part
        text += f".{part}" if plain else f"[{part}]"
    return text.removeprefix(".")


def origin_of(place: Place, origins: Mapping[Place, str]) -> str:
    """Origin of the place or of the nearest place around it; '' if nothing is known."""
    return next((origins[place[:n]] for n in range(len(place), -1, -1) if place[:n] in origins), "")


class _Walk:
    """One pass over the YAML nodes: line of each place, duplicate keys, keys that are not text, endless nesting."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.layer = Layer(origins={(): name})
        self.nodes = 0

    def fault(self, node: yaml.Node, what: str, place: Place, expected: str, next_step: str = "") -> None:
        where = f"{show_place(place)} ({self.name}:{node.start_mark.line + 1})".lstrip()
        self.layer.faults.append(Fault(what, where=where, expected=expected, next_step=next_step))

    def visit(self, node: yaml.Node, place: Place, around: tuple[yaml.Node, ...] = ()) -> None:
        self.nodes += 1
        if self.nodes > MAX_YAML_NODES or node in around:
            if self.nodes <= MAX_YAML_NODES + 1:
                self.nodes = MAX_YAML_NODES + 1
                self.fault(node, "the anchors of the file nest without end", place, "values without such anchors")
            return
        if place:
            self.layer.origins.setdefault(place, f"{self.name}:{node.start_mark.line + 1}")
        if isinstance(node, yaml.MappingNode):
            self._mapping(node, place, (*around, node))
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                self.visit(item, (*place, index), (*around, node))

    def _mapping(self, node: yaml.MappingNode, place: Place, around: tuple[yaml.Node, ...]) -> None:
        seen: dict[str, int] = {}
        merged: list[yaml.Node] = []
        for key, value in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                merged += value.value if isinstance(value, yaml.SequenceNode) else [value]
                continue
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                text = f'write "{key.value}":' if isinstance(key, yaml.ScalarNode) else ""
                self.fault(key, "this key is not text", place, "a key in quotes", text)
                continue
            line = key.start_mark.line + 1
            if key.value in seen:
                what = f"the key {key.value} is there twice"
                self.fault(key, what, (*place, key.value), f"one {key.value}; the first is in line {seen[key.value]}")
            seen.setdefault(key.value, line)
            inner = (*place, key.value)
            self.visit(value, inner, around)
            self.layer.origins[inner] = f"{self.name}:{line}"
        for other in merged:
            own = dict(self.layer.origins)
            self.visit(other, place, around)
            self.layer.origins.update(own)


def read_yaml(text: str, name: str) -> Layer:
    """The values of a YAML text; `name` is how its lines are cited. Faults instead of exceptions."""
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return _nothing_in(name)
        walk = _Walk(name)
        walk.visit(node, ())
        if not isinstance(node, yaml.MappingNode):
            walk.fault(node, "the file is not a configuration", (), "keys and values, such as lake: ./build/lake")
        if not walk.layer.faults:
            walk.layer.values = loader.construct_document(node)
        return walk.layer
    except (yaml.YAMLError, ValueError) as error:
        return Layer(origins={(): name}, faults=[_syntax_fault(error, name, text)])
    finally:
        loader.dispose()


def _nothing_in(name: str) -> Layer:
    fault = Fault(
        "the configuration file is empty",
        where=name,
        expected="at least lake, reporting and sources",
        next_step="start with\nlake: ./build/lake\nreporting: {currency: GBP}\nsources: {orders: {table: ./orders}}",
    )
    return Layer(origins={(): name}, faults=[fault])


def _syntax_fault(error: Exception, name: str, text: str) -> Fault:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        return Fault("the file is not valid YAML", where=name, found=str(error))
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    step = "quote values that hold a colon and a blank, or begin with a special character such as * & @ `"
    if "\t" in line:
        step = "indent with blanks; YAML does not allow tabs"
    return Fault(
        "the file is not valid YAML",
        where=f"{name}:{mark.line + 1}, column {mark.column + 1}",
        found=f"{getattr(error, 'problem', error)}, near: {redacted_text(line.strip()[:80])}",
        next_step=step,
    )


def _parse_value(place: Place, raw: str) -> Any:
    """Text where text is meant, else a YAML value; what is not YAML stays text and is judged by the models."""
    is_text = place[-1] in TEXT_FIELDS or (len(place) > 1 and place[-2] in FREE_MAPS)
    if is_text:
        cleared = place[-1] in TEXT_FIELDS and raw.strip() in ("", "null", "~")
        return None if cleared else raw
    try:
        return yaml.safe_load(raw)
    except (yaml.YAMLError, ValueError):
        return raw


def _place_of(parts: Sequence[str]) -> Place:
    """Keys up to a mapping with free keys, whose own key is all the rest; numbers are list indexes."""
    place: list[str | int] = []
    for index, part in enumerate(parts):
        if part in FREE_MAPS and index + 1 < len(parts):
            rest = ".".join(parts[index + 1 :])
            if part == "spark" and not rest.startswith("spark."):
                rest = f"spark.{rest}"
            return (*place, part, rest)
        place.append(int(part) if part.isdecimal() else part)
    return tuple(place)


def _assign(tree: Any, place: Place, value: Any) -> str:
    """Set the value in the tree, making mappings on the way; a reason if it has no such place."""
    for depth, part in enumerate(place):
        last = depth + 1 == len(place)
        if isinstance(tree, list):
            if not isinstance(part, int) or part >= len(tree):
                return f"{show_place(place[:depth])} is a list of {len(tree)}; an index is below {len(tree)}"
        elif isinstance(part, int):
            return f"{show_place(place[:depth])} is no list in the file; set it as a whole"
        elif not last and not isinstance(tree.get(part), dict | list):
            tree[part] = {}
        if last:
            both = isinstance(value, dict) and isinstance(tree, dict) and isinstance(tree.get(part), dict)
            tree[part] = {**tree[part], **value} if both else value
        else:
            tree = tree[part]
    return ""


def _put(layer: Layer, place: Place, raw: str, origin: str) -> None:
    value = _parse_value(place, raw)
    reason = _assign(layer.values, place, value)
    if reason:
        layer.faults.append(Fault("there is no such place in the settings", where=origin, found=reason))
        return
    keys = list(value) if isinstance(value, dict) else []
    replaced = [(*place, key) for key in keys] or [place]
    for known in list(layer.origins):
        if any(known[: len(top)] == top for top in replaced):
            del layer.origins[known]
    layer.origins.update(dict.fromkeys(_places_in(value, place), origin))


def _places_in(value: Any, place: Place) -> list[Place]:
    """The place and every place inside the value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place, *(found for key, item in inside for found in _places_in(item, (*place, key)))]


def apply_environment(layer: Layer, environ: Mapping[str, str]) -> None:
    """Put `CLV__SECTION__KEY` variables over the layer, in the order of their names; keys are taken in lower case."""
    for name in sorted(environ):
        if name.upper().startswith(ENVIRONMENT_PREFIX):
            parts = name[len(ENVIRONMENT_PREFIX) :].lower().split("__")
            if all(parts):
                _put(layer, _place_of(parts), environ[name], name)
            else:
                expected = "CLV__SECTION__KEY, such as CLV__REPORTING__CURRENCY"
                layer.faults.append(Fault("this variable names no setting", where=name, expected=expected))


def apply_overrides(layer: Layer, overrides: Sequence[str]) -> None:
    """Put `key.key=value` texts over the layer, in their order."""
    for override in overrides:
        key, equals, raw = override.partition("=")
        parts = key.strip().split(".")
        if not equals or not all(parts):
            expected = "--set key.key=value, such as --set reporting.currency=EUR"
            found = key if equals else override.split(" ")[0]
            layer.faults.append(Fault("this override names no setting", where="--set", expected=expected, found=found))
        else:
            _put(layer, _place_of(parts), raw.strip(), f"--set {key.strip()}")
