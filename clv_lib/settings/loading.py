"""From a YAML file, CLV__ variables and --set to one `Settings`, all faults at once; and back to readable text."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import ValidationError

from clv_lib.errors import ConfigurationError, Fault, nearest
from clv_lib.settings.faults import validation_faults
from clv_lib.settings.layers import (
    Layer,
    Place,
    apply_environment,
    apply_overrides,
    read_yaml,
    show_place,
)
from clv_lib.settings.models import Settings
from clv_lib.settings.secrets import REDACTED, is_secret

DEFAULT_ORIGIN = "default"
# Where results are stored and how fast they are made, not what they are.
NOT_IN_HASH = ("lake", "retention", "maintenance", "spark")

ShowFormat = Literal["text", "yaml", "json"]


@dataclass(frozen=True)
class LoadedSettings:
    """The settings and, by place (`sources.orders.table`), the origin of each value that was given."""

    settings: Settings
    origins: Mapping[Place, str]

    def origin(self, place: Place) -> str:
        """`conf/demo.yaml:12`, `CLV__X`, `--set x` or `default`."""
        return self.origins.get(place, DEFAULT_ORIGIN)


def load_settings(
    path: str | Path | None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    *,
    text: str | None = None,
) -> LoadedSettings:
    """Read the layers: defaults, then the file, then `CLV__SECTION__KEY` of `environ`, then `overrides`.

    `path` is a local YAML file or None for no file; with `text` the file is not read and `path` only names it.
    Raises one ConfigurationError with every fault that was found.
    """
    layer = Layer()
    if text is not None or path is not None:
        name = str(path) if path is not None else "configuration"
        layer = read_yaml(_read(Path(name)) if text is None else text, name)
    if layer.faults:
        raise _configuration_error(layer.faults, path)
    apply_environment(layer, environ or {})
    apply_overrides(layer, overrides)
    faults = list(layer.faults)
    try:
        settings = Settings.model_validate(layer.values)
    except ValidationError as error:
        faults += validation_faults(error, layer.values, layer.origins)
    if faults:
        raise _configuration_error(faults, path)
    return LoadedSettings(settings, dict(layer.origins))


def _configuration_error(faults: list[Fault], path: str | Path | None) -> ConfigurationError:
    count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
    return ConfigurationError(
        f"the configuration has {count}",
        next_step=f"correct it, then look at the result with: clv config show --config {path}"
        if path is not None
        else "give a file with --config FILE, such as conf/demo.yaml",
        faults=faults,
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise _no_such_file(path) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            "the configuration file is not text in UTF-8",
            where=str(path),
            expected="a YAML file in UTF-8",
            found=f"byte {error.start} is {error.object[error.start]:#04x}",
        ) from error
    except OSError as error:
        raise ConfigurationError(
            "the configuration file cannot be read",
            where=str(path),
            expected="a YAML file that this user may read",
            found=error.strerror or type(error).__name__,
        ) from error


def _no_such_file(path: Path) -> ConfigurationError:
    if "://" in str(path) or str(path).startswith(("s3:", "s3a:", "dbfs:")):
        return ConfigurationError(
            "the configuration file is not on this machine",
            where=str(path),
            expected="a local YAML file",
            next_step="copy it here, or let spark-submit bring it with --files",
        )
    folder = path.parent
    others = sorted(p.name for p in folder.glob("*.y*ml")) if folder.is_dir() else []
    by_stem = {Path(name).stem: name for name in others}
    like = nearest(path.stem, by_stem)
    close = by_stem[like] if like else (others[0] if len(others) == 1 else None)
    return ConfigurationError(
        "the configuration file does not exist",
        where=str(path),
        found=f"in {folder}: {', '.join(others) or 'no YAML file'}" if folder.is_dir() else f"no folder {folder}",
        next_step=f"did you mean {folder / close}?" if close else "give the path of a YAML file with --config",
    )


def _plain(value: Any) -> Any:
    """Values that JSON and YAML know; decimals in one spelling, so that 3 and 3.0 are the same."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if isinstance(value, dt.date) else value


def _redact(value: Any, place: Place = ()) -> Any:
    if isinstance(value, dict):
        return {key: _redact(item, (*place, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_redact(item, (*place, index)) for index, item in enumerate(value)]
    return REDACTED if is_secret(place) else value


def _leaves(value: Any, place: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Scalars, empty containers and lists of scalars with their places."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _leaves(item, (*place, key))
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for index, item in enumerate(value):
            yield from _leaves(item, (*place, index))
    else:
        yield place, value


def show(loaded: LoadedSettings, style: ShowFormat = "text") -> list[str]:
    """Lines of the settings in force, secrets redacted.

    text: `key: value  # origin` per value. yaml: a file that gives the same settings. json: value and origin by key.
    """
    values = _redact(_plain(loaded.settings.model_dump()))
    if style == "yaml":
        return str(yaml.safe_dump(values, sort_keys=False, allow_unicode=True)).splitlines()
    leaves = [(place, value, loaded.origin(place)) for place, value in _leaves(values)]
    if style == "json":
        named = {show_place(place): {"value": value, "origin": origin} for place, value, origin in leaves}
        return json.dumps(named, indent=2, ensure_ascii=False).splitlines()
    texts = [f"{show_place(place)}: {json.dumps(value, ensure_ascii=False)}" for place, value, _ in leaves]
    width = min(60, max(map(len, texts)))
    return [f"{text:<{width}}  # {origin}" for text, (_, _, origin) in zip(texts, leaves, strict=True)]


def recorded_text(settings: Settings) -> str:
    """What in the settings can change a published figure, as JSON that gives them again; secrets redacted."""
    return json.dumps(_redact(_plain(settings.model_dump(exclude=set(NOT_IN_HASH)))), ensure_ascii=False)


def config_hash(settings: Settings) -> str:
    """SHA-256 (64 hex digits) of everything in the settings that can change a published figure.

    The same for another lake, retention or Spark configuration. The order of SQL segment cases counts, that of
    other mappings does not.
    """
    values = _plain(settings.model_dump(exclude=set(NOT_IN_HASH)))
    for segment in values["segments"]:
        if "cases" in segment:
            segment["cases"] = list(segment["cases"].items())
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()


def json_schema() -> dict[str, Any]:
    """JSON schema of the configuration file, for editors and for the documentation."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Settings.model_json_schema()}
