"""The documentation agrees with the code. `python tests/unit/test_docs.py --write` writes the generated pages anew.

Generated are docs/configuration.md, from the models of the settings, and docs/tables.md, from the contracts.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from clv_lib.contracts import CONTROL_TABLES, GOLD_TABLES, PUBLISHED_TABLES, SILVER_TABLES, TABLES
from clv_lib.contracts.acquisitions import CREDITS_TOGETHER
from clv_lib.contracts.attributes import attribute_history_rules
from clv_lib.contracts.experiments import assignment_rules
from clv_lib.contracts.identities import IDENTITIES
from clv_lib.contracts.inputs import (
    CONTRACTS,
    NEGATIVE_ORDER,
    PERIODS_TOGETHER,
    acquisition_rules,
    order_rules,
    refund_rules,
    spend_rules,
    subscription_rules,
)
from clv_lib.contracts.types import Field, InputContract, InputField, Rule, Table
from clv_lib.errors import exit_codes
from clv_lib.jars import PINNED_DELTA_VERSION, PINNED_SPARK_LINE, delta_package
from clv_lib.settings import Orders, OrdersSource, SegmentType, Settings, Source, load_settings

ROOT = Path(__file__).resolve().parents[2]
MARKDOWN = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
README_LINES = 260

_NOTE = "<!-- Generated: python tests/unit/test_docs.py --write -->"
_TYPE_NAMES = {str: "text", int: "whole number", bool: "true or false", float: "number"}
_BOUNDS = (("ge", "at least {}"), ("gt", "above {}"), ("le", "at most {}"), ("lt", "below {}"))

CONFIGURATION_HEAD = f"""# Configuration
{_NOTE}

One YAML file says everything that a run is told, besides `--as-of`. Needed are `lake`, `reporting.currency` and
`sources.orders.table`; everything else has the default below. A key that is not listed here is an error that names the
nearest one, and all faults are reported at once.

Values come in layers, the later over the earlier:

1. the default below,
2. the file of `--config`,
3. environment variables: `CLV__` and the key with `__` for each dot, such as `CLV__CHURN__INACTIVITY_DAYS=90`,
4. `--set key=value`, such as `--set churn.inactivity_days=90`; may be repeated.

`clv config show --config FILE` prints the result and where each value came from; `clv config schema` prints a JSON
schema for editors. SQL expressions may not read the clock or random numbers, since the same run must give the same
tables. Paths are absolute or relative to the folder in which the command is run; `..` and `~` are refused, and a source
may not lie inside the lake or around it.
"""

SOURCES_NOTE = """The input tables. Only `sources.orders` is required. A contract column that is not under `columns`
is taken from the source's column of the same name, if there is one; [tables.md](tables.md#inputs) lists them."""
SEGMENTS_NOTE = "Within a type each customer is in one segment; where its name is not known, in `unknown`."
SPARK_NOTE = "Keys that change results, such as the session's time zone and ANSI mode, are set by clv and refused here."

TABLES_HEAD = f"""# Tables
{_NOTE}

Every table that the job reads or writes, from `clv_lib/contracts`; `clv tables TABLE` and `clv contract SOURCE` print
their columns. Money is in the reporting currency unless a column says otherwise; a rate is a ratio: 0.05 is 5 %. What
is not defined is NULL, with a status column that says why. Figures are explained in [definitions.md](definitions.md).
"""


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; bars inside of cells are escaped."""
    lines = [header, ["---"] * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def code(text: str) -> str:
    """The text as code, nothing for no text."""
    return f"`{text}`" if text else ""


def type_name(annotation: Any) -> str:
    """How a value is written in YAML, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        return ("one of " if len(arguments) > 1 else "") + ", ".join(code(str(value)) for value in arguments)
    if origin is tuple:
        item = type_name(arguments[0])
        return "list of " + ("whole numbers" if item == "whole number" else item.removeprefix("one of "))
    if origin is dict:
        return f"mapping of text to {type_name(arguments[1])}"
    if origin is Union or type(None) in arguments:
        return type_name(next(part for part in arguments if part is not type(None)))
    return _TYPE_NAMES.get(annotation, {"date": "YYYY-MM-DD", "Decimal": "number"}.get(annotation.__name__, ""))


def bounds(field: FieldInfo) -> str:
    """The limits of a number, or of the length of a list, in words."""
    parts = [
        text.format(f"{getattr(constraint, name):g}")
        for constraint in field.metadata
        for name, text in _BOUNDS
        if hasattr(constraint, name)
    ]
    has_items = get_origin(field.annotation) is tuple and any(hasattr(one, "min_length") for one in field.metadata)
    return ", ".join([*parts, "not empty"] if has_items else parts)


def default_text(field: FieldInfo) -> str:
    """The default as it would stand in the file."""
    if field.is_required():
        return "required"
    value = field.default
    if value is PydanticUndefined:
        return "none"
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, tuple):
        return code(f"[{', '.join(map(str, value))}]")
    return "none" if value is None else code(str(value))


def key_table(model: type[BaseModel], prefix: str) -> str:
    """Keys of a section with type, limits, default and description."""
    rows = []
    for name, field in model.model_fields.items():
        value = ", ".join(filter(None, (type_name(field.annotation), bounds(field))))
        rows.append((code(f"{prefix}{name}"), value, default_text(field), field.description or ""))
    return markdown_table(("key", "value", "default", "meaning"), rows)


def sections() -> Iterator[tuple[str, type[BaseModel]]]:
    """The sections of the settings that hold values alone, by their keys."""
    for name, field in Settings.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel) and name != "sources":
            yield name, annotation


def configuration_page() -> str:
    """docs/configuration.md."""
    about = {name: field.description for name, field in Settings.model_fields.items()}
    names = ", ".join(code(f"sources.{name}") for name in list(CONTRACTS)[1:])
    segments = f"A list. {about['segments']} {SEGMENTS_NOTE}"
    parts = [
        CONFIGURATION_HEAD,
        f"## lake\n\nRequired. {about['lake']}",
        *(f"## {name}\n\n{model.__doc__}\n\n{key_table(model, f'{name}.')}" for name, model in sections()),
        f"## sources\n\n{SOURCES_NOTE}\n\n{key_table(OrdersSource, 'sources.orders.')}",
        f"{names} take the same keys without `grain`:\n\n{key_table(Source, 'sources.NAME.')}",
        f"## segments\n\n{segments}",
    ]
    for model in get_args(get_args(SegmentType)[0]):
        kind = get_args(model.model_fields["type"].annotation)[0]
        parts.append(f"### type: {kind}\n\n{model.__doc__}\n\n{key_table(model, '')}")
    parts.append(f"## spark\n\n{about['spark']} {SPARK_NOTE}")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def field_rule(field: Field) -> str:
    """What the gate checks of a column."""
    return ", ".join(filter(None, ("not NULL" if field.required else "", code(field.check or ""))))


def table_section(table: Table) -> str:
    """A table with its grain, key, columns and rules."""
    head = f"### {table.name}\n\nGrain: {table.grain}. Key: {', '.join(map(code, table.key)) or 'none'}."
    if table.partition_by:
        head += f" Partitioned by {', '.join(map(code, table.partition_by))}."
    rows = [(code(f.name), code(f.type), f.description, field_rule(f)) for f in table.fields]
    rows += [(code(f.name), code(f.type), f.meaning, "computed by the view") for f in table.computed_on_read]
    rules = "\n".join(f"- `{rule.name}`: {rule.meaning}" for rule in table.rules)
    text = f"{head}\n\n{markdown_table(('column', 'type', 'meaning', 'rule'), rows)}"
    return f"{text}\n\nEach row must also keep:\n\n{rules}" if rules else text


def needed(contract: InputContract, field: InputField) -> str:
    """Whether a source must offer the column, and what is taken if it does not."""
    if field.required:
        return "yes"
    groups = [f"one of {' or '.join(map(code, group))}" for group in contract.one_of if field.name in group]
    return ", ".join(groups + [f"else {code(sql)}" for sql in field.defaults])


def contract_section(contract: InputContract) -> str:
    """An input contract with its grain, columns, and the rules that send a row to quarantine."""
    rows = [(code(f.name), code(f.type), f.meaning, needed(contract, f)) for f in contract.fields]
    without = f" Without it {contract.without}." if contract.without else " Needed by every run."
    text = f"### {contract.name} (input)\n\nGrain: {contract.grain}.{without}\n\n"
    text += markdown_table(("column", "type", "meaning", "needed"), rows)
    rules = row_rules(contract.name)
    if rules:
        reasons = [(code(rule.name), rule.meaning) for rule in rules]
        text += "\n\nA row that breaks one of these goes to `quarantined_rows`:\n\n"
        text += markdown_table(("reason", "rule"), reasons)
    return text


def row_rules(name: str) -> tuple[Rule, ...]:
    """Row rules of an input with the default limits."""
    day, amount = Orders().earliest_date.isoformat(), int(Orders().max_amount)
    if name == "orders":
        return (*order_rules(day, amount), NEGATIVE_ORDER)
    if name == "customer_acquisitions":
        return (*acquisition_rules(), *CREDITS_TOGETHER)
    if name == "subscriptions":
        return (*subscription_rules(day, amount), *PERIODS_TOGETHER)
    if name == "experiment_assignments":
        return assignment_rules(day)
    if name == "customer_attributes_history":
        return attribute_history_rules()
    rules = {"refunds": refund_rules, "marketing_spend": spend_rules}
    return rules[name](day, amount) if name in rules else ()


def tables_page() -> str:
    """docs/tables.md."""
    snapshot = "Stored with a further column `snapshot_id`, by which they are partitioned; readers' views leave it out."
    identities = markdown_table(("name", "meaning"), [(code(one.name), one.meaning) for one in IDENTITIES])
    parts = [
        TABLES_HEAD,
        "## Silver\n\nOne state per run, read at a Delta version.",
        *map(table_section, SILVER_TABLES),
        f"## Gold\n\n{snapshot}",
        *map(table_section, GOLD_TABLES),
        "## Control\n\nKept by the job itself; read them, do not write them.",
        *map(table_section, CONTROL_TABLES),
        f"## Sums that must agree\n\nThe gate compares them exactly.\n\n{identities}",
        "## Inputs\n\nWhat a source is mapped to. Limits in the rules are the defaults of the configuration.",
        *map(contract_section, CONTRACTS.values()),
    ]
    return "\n\n".join(part.strip() for part in parts) + "\n"


PAGES = {"docs/configuration.md": configuration_page, "docs/tables.md": tables_page}


def blocks(path: Path, language: str) -> list[str]:
    """The code blocks of one language in a Markdown file."""
    return re.findall(rf"^```{language}\n(.*?)^```$", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(path: Path) -> set[str]:
    """The anchors of a Markdown file's headings, as hosts of code make them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_generated_page_is_up_to_date(name: str) -> None:
    found = (ROOT / name).read_text(encoding="utf-8")
    assert found == PAGES[name](), "run: python tests/unit/test_docs.py --write"


@pytest.mark.parametrize("path", MARKDOWN, ids=lambda path: path.name)
def test_relative_links_lead_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8"))
    for link in (one for one in links if not re.match(r"[a-z]+:", one)):
        file, _, anchor = link.partition("#")
        target = (path.parent / file) if file else path
        assert target.exists(), f"{path.name}: {link}"
        assert not anchor or anchor in anchors(target), f"{path.name}: {link}"


def test_configurations_in_the_readme_load() -> None:
    whole = [text for text in blocks(ROOT / "README.md", "yaml") if "lake" in yaml.safe_load(text)]
    assert whole
    for text in whole:
        load_settings("README.md", text=text)


def test_exit_codes_in_the_readme_are_those_of_the_code() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = {int(number): meaning for number, meaning in re.findall(r"^\| (\d+) \| (.+) \|$", text, re.MULTILINE)}
    assert {number: meaning for number, meaning in listed.items() if number != 130} == exit_codes()


def test_readme_names_every_published_table_and_the_pinned_delta() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [table.name for table in PUBLISHED_TABLES if f"`{table.name}`" not in text] == []
    assert delta_package(PINNED_SPARK_LINE, PINNED_DELTA_VERSION) in text
    assert len(text.splitlines()) < README_LINES


@pytest.mark.parametrize(("page", "least"), [("README.md", 5), ("docs/queries.md", 10)])
def test_queries_fit_the_published_tables(page: str, least: int) -> None:
    duckdb = pytest.importorskip("duckdb")
    database = duckdb.connect()
    for table in TABLES.values():
        columns = ", ".join(f"{name} {duckdb_type(kind)}" for name, kind in table.read_schema.items())
        database.execute(f"CREATE TABLE {table.name} ({columns})")
    queries = blocks(ROOT / page, "sql")
    assert len(queries) >= least
    for query in queries:
        database.execute(query)


def duckdb_type(kind: str) -> str:
    """DuckDB's name of a Spark type."""
    inner = re.fullmatch(r"array<(\w+)>", kind)
    if inner:
        return f"{duckdb_type(inner[1])}[]"
    return kind.replace("string", "varchar").replace("map<", "map(").replace(">", ")")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/unit/test_docs.py --write")
    for page, render in PAGES.items():
        (ROOT / page).write_text(render(), encoding="utf-8")
