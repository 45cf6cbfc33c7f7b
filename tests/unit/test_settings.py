"""Configuration: layers and origins, and faults in the words that a stranger needs."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel, ValidationError

from clv_lib.errors import ConfigurationError
from clv_lib.settings import (
    AttributeSegments,
    LoadedSettings,
    Settings,
    SqlSegments,
    config_hash,
    json_schema,
    load_settings,
    show,
)
from clv_lib.settings.layers import FREE_MAPS

GOOD = """\
lake: ./build/lake
reporting: {currency: gbp, time_zone: Europe/London}
sources:
  orders:
    table: /data/bronze/online_retail
    grain: line
    columns: {order_id: Invoice, net_amount: "Quantity * UnitPrice"}
"""


def load(text: str = GOOD, *overrides: str, **environ: str) -> LoadedSettings:
    return load_settings("conf/my.yaml", overrides, environ, text=text)


def refused(text: str = GOOD, *overrides: str, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(text, *overrides, **environ)
    return str(caught.value)


# What is read


def test_a_small_file_is_enough() -> None:
    settings = load().settings
    assert settings.lake_is_path
    assert settings.reporting.currency == "GBP"
    assert settings.sources.orders.grain == "line"
    assert settings.sources.orders.columns["net_amount"] == "Quantity * UnitPrice"
    assert list(settings.sources.configured()) == ["orders"]
    assert [segment.type for segment in settings.segments] == ["rfm", "value_decile", "cohort", "channel"]
    assert settings.predictions.horizons_days == (90, 180, 365)
    assert settings.orders.earliest_date == dt.date(1990, 1, 1)
    assert settings.economics.target_ltv_to_cac == Decimal(3)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        load().settings.lake = "x"  # type: ignore[misc]


def test_each_layer_is_over_the_one_before() -> None:
    loaded = load(GOOD, "churn.inactivity_days=90", CLV__CHURN__INACTIVITY_DAYS="60", CLV__REPORTING__CURRENCY="eur")
    assert loaded.settings.churn.inactivity_days == 90
    assert loaded.settings.reporting.currency == "EUR"
    assert loaded.origin(("churn", "inactivity_days")) == "--set churn.inactivity_days"
    assert loaded.origin(("reporting", "currency")) == "CLV__REPORTING__CURRENCY"
    assert loaded.origin(("reporting", "time_zone")) == "conf/my.yaml:2"
    assert loaded.origin(("churn", "confidence_level")) == "default"


def test_no_file_is_needed_when_the_environment_says_everything() -> None:
    environ = {
        "CLV__LAKE": "main.clv",
        "CLV__REPORTING": "{currency: USD}",
        "CLV__SOURCES__ORDERS__TABLE": "main.bronze.orders",
        "CLV_LOG": "unrelated",
    }
    settings = load_settings(None, [], environ).settings
    assert not settings.lake_is_path
    assert not settings.sources.orders.is_path
    assert settings.reporting.time_zone == "UTC"


def test_sql_given_on_the_command_line_keeps_its_quotes() -> None:
    source = load(GOOD, "sources.orders.columns.currency_code='GBP'", "sources.orders.filter=a = 'b'").settings.sources
    assert source.orders.columns["currency_code"] == "'GBP'"
    assert source.orders.columns["order_id"] == "Invoice"
    assert source.orders.filter == "a = 'b'"


def test_spark_keys_keep_their_dots() -> None:
    settings = load(
        GOOD,
        "spark.spark.executor.memory=4g",
        "spark.executor.cores=2",
        CLV__SPARK="{spark.sql.shuffle.partitions: 8, spark.speculation: true}",
    ).settings
    assert settings.spark == {
        "spark.executor.memory": "4g",
        "spark.executor.cores": "2",
        "spark.sql.shuffle.partitions": "8",
        "spark.speculation": "true",
    }


def test_an_entry_of_a_list_can_be_set() -> None:
    text = GOOD + "segments: [{type: attribute, column: Industry}, {type: rfm}]\n"
    loaded = load(text, "segments.0.name=trade")
    first = loaded.settings.segments[0]
    assert isinstance(first, AttributeSegments)
    assert (first.name, first.column) == ("trade", "Industry")
    assert loaded.origin(("segments", 0, "name")) == "--set segments.0.name"


def test_attribute_segments_are_named_after_their_column() -> None:
    assert load(GOOD + "segments: [{type: attribute, column: Industry}]\n").settings.segments[0].name == "industry"


def test_sql_segments_keep_the_order_of_their_cases() -> None:
    text = GOOD + "segments: [{type: sql, name: size, cases: {whale: net > 1000, fish: net > 10}}]\n"
    segment = load(text).settings.segments[0]
    assert isinstance(segment, SqlSegments)
    assert list(segment.cases) == ["whale", "fish"]


def test_segments_with_economics_are_the_attributes_unless_named() -> None:
    segments = "segments: [{type: attribute, column: region}, {type: rfm}, {type: channel}]\n"
    assert load(GOOD + segments).settings.economic_segment_types() == ("region",)
    assert load(GOOD + segments, "economics.segment_types=[channel]").settings.economic_segment_types() == ("channel",)
    assert load(GOOD).settings.economic_segment_types() == ()


def test_the_economics_horizon_follows_the_longest_prediction() -> None:
    assert load(GOOD, "predictions.horizons_days=[60, 30]").settings.economics.horizon_days == 60


def test_groups_that_are_compared() -> None:
    assert load(GOOD).settings.compared_groups == ("channel", "first_order_value_band")
    text = GOOD + "segments: [{type: attribute, column: region}]\n"
    assert load(text).settings.compared_groups == ("first_order_value_band",)
    assert load(text, "predictions.compare_groups=[region]").settings.compared_groups == ("region",)
    assert load(text, "predictions.compare_groups=[]").settings.compared_groups == ()


def test_merge_keys_and_anchors_of_yaml_work() -> None:
    text = GOOD + "  refunds: &csv {table: ./r.csv, format: csv}\n  customers: {<<: *csv, table: ./c.csv}\n"
    loaded = load(text)
    assert loaded.settings.sources.customers is not None
    assert loaded.settings.sources.customers.format == "csv"
    assert loaded.origin(("sources", "customers", "format")) == "conf/my.yaml:8"
    assert loaded.origin(("sources", "customers", "table")) == "conf/my.yaml:9"


@pytest.mark.parametrize("table", ["orders", "bronze.orders", "main.bronze.orders", "s3a://b/orders", "./o", "dbfs:/o"])
def test_tables_are_paths_or_names(table: str) -> None:
    orders = load(GOOD, f"sources.orders.table={table}").settings.sources.orders
    assert orders.is_path == ("/" in table)


def test_a_csv_source_is_always_a_file() -> None:
    assert load(GOOD, "sources.orders.table=orders.csv", "sources.orders.format=CSV").settings.sources.orders.is_path


def test_a_parquet_source_that_ends_so_is_a_file() -> None:
    def is_path(table: str, stored_as: str) -> bool:
        return load(
            GOOD, f"sources.orders.table={table}", f"sources.orders.format={stored_as}"
        ).settings.sources.orders.is_path

    assert is_path("orders.parquet", "parquet") and not is_path("main.bronze.orders", "parquet")
    assert not is_path("bronze.orders", "parquet") and not is_path("main.bronze.parquet", "delta")


# What is refused: each case is (text that is changed, its replacement, what the error must say)

BAD = {
    "unknown key": ("grain: line", "grian: line", ["unknown key grian", "did you mean grain?", "conf/my.yaml:6"]),
    "unknown section": ("lake:", "lakes:", ["unknown key lakes", "did you mean lake?", "lake is missing"]),
    "wrong choice": ("grain: line", "grain: lines", ["sources.orders.grain", "'order' or 'line'", '"lines"']),
    "no section": ("reporting: {currency: gbp, time_zone: Europe/London}\n", "", ["such as reporting: {currency:"]),
    "no currency": ("currency: gbp, ", "", ["reporting.currency is missing", "ISO 4217", "conf/my.yaml:2"]),
    "currency": ("gbp", "pound", ["not a currency code", "such as GBP or EUR", '"POUND"'.lower()]),
    "norway": ("gbp", "no", ["reporting.currency", "quote it", "false"]),
    "zone": ("Europe/London", "Europe/Londn", ["did you mean Europe/London?", "conf/my.yaml:2"]),
    "machine zone": ("Europe/London", "localtime", ["this time zone does not exist", "UTC"]),
    "offset": ("Europe/London", "+01:00", ["this time zone does not exist"]),
    "empty sql": ("order_id: Invoice", 'order_id: ""', ["sources.orders.columns.order_id", "expression is empty"]),
    "clock": ("order_id: Invoice", "order_id: now()", ["now gives another result on every run", "--as-of"]),
    "random": ("order_id: Invoice", "order_id: uuid ( )", ["uuid gives another result on every run"]),
    "number for sql": ("order_id: Invoice", "order_id: 3", ["quote it", "conf/my.yaml:7"]),
    "traversal": ("./build/lake", "../lake", ["must not contain ..", "absolute path", "conf/my.yaml:1"]),
    "hidden traversal": ("/data/bronze/online_retail", "s3a://b/x/../y", ["must not contain .."]),
    "home": ("./build/lake", "~/lake", ["~ is not expanded"]),
    "three parts": ("./build/lake", "a.b.c", ["schema or catalog.schema", '"a.b.c"']),
    "injection": ("/data/bronze/online_retail", '"a; drop table b"', ["neither a path nor", "catalog.schema.table"]),
    "backquotes": ("/data/bronze/online_retail", '"/a` b"', ["must not contain quotes, backquotes"]),
    "web page": ("/data/bronze/online_retail", "https://a.b/c", ["cannot be opened at this kind of address", "s3a://"]),
    "credentials": ("/data/bronze/online_retail", "s3a://me:hidden@b/o", ["credentials", "s3a://<redacted>@b/o"]),
    "same place": ("/data/bronze/online_retail", "build//lake/./", ["a source and the lake overlap", "./build/lake"]),
    "inside": ("/data/bronze/online_retail", "build/lake/o", ["overlap", "conf/my.yaml:5", "of its own"]),
    "around": ("/data/bronze/online_retail", "./build", ["a source and the lake overlap"]),
    "csv": ("/data/bronze/online_retail", "./o.csv.gz", ["looks like csv", "read as delta", "add format: csv"]),
    "twice": ("reporting:", "lake: b\nreporting:", ["the key lake is there twice", "line 1", "conf/my.yaml:2"]),
    "tab": ("    grain", "\tgrain", ["not valid YAML", "YAML does not allow tabs", "conf/my.yaml:6"]),
    "colon": ("grain: line", "grain: a: b", ["not valid YAML", "quote values", "conf/my.yaml:6"]),
    "boolean key": ("lake:", "yes: 1\nlake:", ["this key is not text", 'write "yes":']),
}
ADDED = {
    "no mapping": ("churn: 90", ["churn cannot be used", "a mapping of keys and values", "90"]),
    "days": ("churn: {inactivity_days: 0}", ["churn.inactivity_days", "greater than or equal to 31", "conf/my.yaml:8"]),
    "truth": ("churn: {inactivity_days: yes}", ["truth value, not a number"]),
    "percent": ("gate: {max_quarantined_rate: 5%}", ["gate.max_quarantined_rate", "such as 0.05", '"5%"']),
    "rate": ("gate: {max_quarantined_rate: 5}", ["less than or equal to 1"]),
    "not a number": ("predictions: {annual_discount_rate: .nan}", ["annual_discount_rate", "finite number"]),
    "order of limits": ("gate: {warn_quarantined_rate: 0.1}", ["comes after the refusal", "(0.05)"]),
    "horizons": ("predictions: {horizons_days: [90, 90]}", ["a horizon is given twice"]),
    "parts of a holdout": (
        "predictions: {holdout_days: 90, holdout_horizons_days: [90]}",
        ["no shorter parts of the holdout", "below 90"],
    ),
    "no horizons": ("predictions: {horizons_days: []}", ["predictions.horizons_days"]),
    "lags": ("economics: {spend_lag_months: [1, 1]}", ["a lag is given twice"]),
    "no lags": ("economics: {spend_lag_months: []}", ["economics.spend_lag_months"]),
    "cost of a type": ("economics: {segment_types: [rfm, nothing]}", ["economics.segment_types", "cohort, channel"]),
    "other horizon": ("economics: {horizon_days: 30}", ["economics.horizon_days", "90, 180, 365"]),
    "moving groups": (
        "segments: [{type: rfm}, {type: channel}]\npredictions: {compare_groups: [rfm]}",
        ["predictions.compare_groups", "must not depend on what they buy", "channel, first_order_value_band"],
    ),
    "unknown groups": (
        "predictions: {compare_groups: [colour]}",
        ["predictions.compare_groups", "attribute and channel"],
    ),
    "groups twice": ("predictions: {compare_groups: [channel, channel]}", ["each once"]),
    "group by": ("predictions: {group_by: cohort}", ["predictions.group_by", "none, auto, channel"]),
    "model": ("predictions: {model: pareto}", ["'mbg_nbd' or 'pareto_nbd'"]),
    "date": ("orders: {earliest_date: yesterday}", ["YYYY-MM-DD"]),
    "list": ("orders: {exclude_statuses: failed}", ["a list in brackets"]),
    "purpose": ("economics: {spend_purposes: [sales]}", ["economics.spend_purposes[0]", "'acquisition'"]),
    "type": ("segments: [{type: atribute}]", ["segment type does not exist", "did you mean attribute?"]),
    "no type": ("segments: [{name: x}]", ["segments[0].type", "value_decile"]),
    "bare type": ("segments: [rfm]", ["segments[0]", "{type: rfm}"]),
    "no column": ("segments: [{type: attribute, colum: x}]", ["segments[0].column is missing", "did you mean column?"]),
    "bad column": ("segments: [{type: attribute, name: x, column: a b}]", ["not a column name"]),
    "same names": ("segments: [{type: rfm}, {type: cohort, name: rfm}]", ["two segment types have one name", "rfm"]),
    "bad name": ("segments: [{type: rfm, name: My RFM}]", ["lower-case letters", '"My RFM"']),
    "no cases": ("segments: [{type: sql, name: a, cases: {}}]", ["segments[0].cases"]),
    "reserved": ("segments: [{type: sql, name: a, cases: {Unknown: b}}]", ["'Unknown' is reserved", "by themselves"]),
    "short key": ("spark: {executor.memory: 4g}", ["full key, such as spark.executor.memory"]),
    "fixed key": ("spark: {spark.sql.session.timeZone: UTC}", ["set by clv", "reporting.time_zone"]),
    "endless": ("spark: &a {spark.x: *a}", ["anchors"]),
}


@pytest.mark.parametrize(("old", "new", "says"), BAD.values(), ids=BAD)
def test_a_changed_line_is_refused_with_what_to_do(old: str, new: str, says: list[str]) -> None:
    assert old in GOOD
    message = refused(GOOD.replace(old, new, 1))
    for part in says:
        assert part in message, message


@pytest.mark.parametrize(("line", "says"), ADDED.values(), ids=ADDED)
def test_an_added_line_is_refused_with_what_to_do(line: str, says: list[str]) -> None:
    message = refused(f"{GOOD}{line}\n")
    for part in says:
        assert part in message, message


def test_all_faults_are_told_at_once() -> None:
    text = GOOD.replace("gbp", "pound").replace("grain: line", "grain: rows")
    message = refused(text, "churn.inactivity=1", "nothing", CLV__RETENTION__SNAPSHOTS_TO_KEEP="none", CLV__="1")
    assert message.startswith("the configuration has 6 faults")
    assert "churn.inactivity (--set churn.inactivity)" in message
    assert "retention.snapshots_to_keep (CLV__RETENTION__SNAPSHOTS_TO_KEEP)" in message
    assert "--set key.key=value" in message
    assert "CLV__SECTION__KEY" in message
    assert "clv config show --config conf/my.yaml" in message


@pytest.mark.parametrize(
    ("override", "says"),
    [("segments.0.name=x", "set it as a whole"), ("=1", "names no setting"), ("lake..x=1", "names no setting")],
)
def test_overrides_of_places_that_do_not_exist(override: str, says: str) -> None:
    assert says in refused(GOOD, override)


def test_a_list_of_refused_values_is_not_said_to_be_empty_as_well() -> None:
    assert "1 fault" in refused(GOOD, "predictions.horizons_days=[abc]")
    assert "at least 1 of them" in refused(GOOD, "predictions.horizons_days=[]")


def test_an_index_outside_of_the_list_is_told() -> None:
    assert "an index is below 1" in refused(GOOD + "segments: [{type: rfm}]\n", "segments.4.name=x")


def test_without_a_file_the_missing_keys_and_the_option_are_named() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_settings(None)
    assert "lake is missing" in str(caught.value)
    assert "--config FILE" in str(caught.value)


@pytest.mark.parametrize(("text", "says"), [("", "is empty"), ("# only\n", "is empty"), ("- a", "keys and values")])
def test_files_that_hold_no_configuration(text: str, says: str) -> None:
    assert says in refused(text)


def test_a_missing_file_is_told_with_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text(GOOD)
    with pytest.raises(ConfigurationError) as caught:
        load_settings(tmp_path / "dmo.yaml")
    assert f"did you mean {tmp_path / 'demo.yaml'}?" in str(caught.value)
    (tmp_path / "other.yaml").write_text(GOOD)
    with pytest.raises(ConfigurationError, match="give the path of a YAML file"):
        load_settings(tmp_path / "nope.yaml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"lake: \xe9")
    cases: list[tuple[str | Path, str]] = [
        (tmp_path / "latin.yaml", "UTF-8"),
        (tmp_path, "cannot be read"),
        (tmp_path / "no" / "x.yaml", "no folder"),
        ("s3a://bucket/x.yaml", "--files"),
    ]
    for path, says in cases:
        with pytest.raises(ConfigurationError) as caught:
            load_settings(path)
        assert says in str(caught.value)


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD, encoding="utf-8-sig")
    assert load_settings(tmp_path / "a.yaml").origin(("lake",)) == f"{tmp_path / 'a.yaml'}:1"


def test_links_to_the_lake_are_found(tmp_path: Path) -> None:
    (tmp_path / "lake").mkdir()
    (tmp_path / "alias").symlink_to(tmp_path / "lake")
    assert "overlap" in refused(GOOD, f"lake=file://{tmp_path}/lake", f"sources.orders.table={tmp_path}/alias/orders")


def test_places_that_only_begin_alike_do_not_overlap() -> None:
    assert load(GOOD, "lake=s3://b/clv", "sources.orders.table=s3a://b/clv_bronze/orders").settings.lake == "s3://b/clv"
    assert "overlap" in refused(GOOD, "lake=s3://b/clv", "sources.orders.table=s3a://b/clv/orders")
    assert "overlap" in refused(GOOD, "lake=main.clv", "sources.orders.table=main.clv.orders")


def test_functions_named_in_text_or_with_arguments_are_allowed() -> None:
    expression = "if(note = 'now()', unix_timestamp(at), `rand()`)"
    assert load(GOOD, f"sources.orders.columns.a={expression}").settings.sources.orders.columns["a"] == expression


# Secrets

SECRETS = ("spark.hadoop.fs.s3a.secret.key", "spark.x.PASSWORD", "spark.hadoop.token", "spark.fs.azure.account.key.x")


@pytest.mark.parametrize("key", SECRETS)
@pytest.mark.parametrize("style", ["text", "yaml", "json"])
def test_secrets_are_never_shown(key: str, style: Any) -> None:
    shown = "\n".join(show(load(GOOD, f"spark.{key}=hidden", "sources.orders.options.password=hidden"), style))
    assert "hidden" not in shown
    assert shown.count("<redacted>") == 2


def test_secrets_are_not_in_errors() -> None:
    for line in ("spark: {spark.my.secret: [hidden]}", "spark: {my.secret: hidden}", "spark: [secret, 'hidden]"):
        assert "hidden" not in refused(f"{GOOD}{line}\n")
    assert "hidden" not in refused(GOOD, "sparc.secret=hidden")


# Showing, hashing, documentation


def test_show_gives_each_value_with_its_origin() -> None:
    lines = [line.split("  #") for line in show(load(GOOD, "churn.lifetime_cap_months=48"))]
    shown = {text.strip(): origin.strip() for text, origin in lines}
    assert shown['sources.orders.columns.order_id: "Invoice"'] == "conf/my.yaml:7"
    assert shown["churn.lifetime_cap_months: 48"] == "--set churn.lifetime_cap_months"
    assert shown["sources.orders.options: {}"] == "default"
    assert shown['segments[0].type: "rfm"'] == "default"
    assert shown["predictions.horizons_days: [90, 180, 365]"] == "default"


def test_what_is_shown_as_yaml_is_a_configuration_with_the_same_hash() -> None:
    loaded = load(GOOD + "segments: [{type: sql, name: size, cases: {z: net > 9, a: net > 1}}]\n")
    again = load("\n".join(show(loaded, "yaml")))
    assert again.settings == loaded.settings
    assert config_hash(again.settings) == config_hash(loaded.settings)


def test_what_is_shown_as_json_has_value_and_origin() -> None:
    shown = json.loads("\n".join(show(load(), "json")))
    assert shown["lake"] == {"value": "./build/lake", "origin": "conf/my.yaml:1"}


@pytest.mark.parametrize("override", ["lake=/other", "retention.snapshots_to_keep=9", "spark.executor.memory=1g"])
def test_the_hash_ignores_what_changes_no_figure(override: str) -> None:
    assert config_hash(load(GOOD, override).settings) == config_hash(load().settings)


def test_the_hash_ignores_spelling() -> None:
    spelled = load(GOOD, "economics.target_ltv_to_cac=3.0", "reporting.currency=GBP", "predictions.model=AUTO")
    assert config_hash(spelled.settings) == config_hash(load().settings)
    assert len(config_hash(spelled.settings)) == 64


@pytest.mark.parametrize(
    "override", ["churn.inactivity_days=179", "sources.orders.filter=a > 0", "orders.max_amount=99.5", "segments=[]"]
)
def test_the_hash_sees_what_changes_figures(override: str) -> None:
    assert config_hash(load(GOOD, override).settings) != config_hash(load().settings)


def test_the_hash_sees_the_order_of_cases() -> None:
    cases = ["{z: net > 9, a: net > 1}", "{a: net > 1, z: net > 9}"]
    hashes = {config_hash(load(f"{GOOD}segments: [{{type: sql, name: s, cases: {c}}}]\n").settings) for c in cases}
    assert len(hashes) == 2


def _objects(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield "Settings", schema
    yield from schema["$defs"].items()


def test_every_key_is_described_and_unknown_keys_are_refused_in_the_schema() -> None:
    schema = json_schema()
    for name, model in _objects(schema):
        assert model["additionalProperties"] is False
        for key, described in model["properties"].items():
            referred = schema["$defs"].get(described.get("$ref", "").rpartition("/")[2], {})
            assert len(described.get("description") or referred.get("description", "")) > 10, f"{name}.{key}"


def _all_models(model: type[BaseModel]) -> set[type[BaseModel]]:
    found: set[type[BaseModel]] = set()
    waiting = [model]
    while waiting:
        found.add(current := waiting.pop())
        waiting += [m for m in current.__subclasses__() if m not in found]
    return found


def test_every_mapping_with_free_keys_is_known_to_the_layers() -> None:
    from clv_lib.settings.segments import Section

    maps = {
        name
        for model in _all_models(Section)
        for name, field in model.model_fields.items()
        if str(field.annotation).startswith("dict[")
    }
    assert maps == FREE_MAPS


def test_yaml_shown_for_the_defaults_is_read_by_any_yaml_reader() -> None:
    assert Settings.model_validate(yaml.safe_load("\n".join(show(load(), "yaml")))) == load().settings
