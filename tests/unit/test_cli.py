"""The command line without Spark: parsing, help, exit codes, errors, log formats, tables, the read-only guard."""

from __future__ import annotations

import datetime as dt
import json
import logging
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from clv_lib import __version__, doctor
from clv_lib import cli as command_line
from clv_lib.cli import main
from clv_lib.cli.logs import Journal, JsonFormatter, TextFormatter, error_text
from clv_lib.cli.outcomes import recorded
from clv_lib.cli.parser import build_parser
from clv_lib.cli.rendering import render, table_lines
from clv_lib.cli.statements import checked_statement, first_word
from clv_lib.contracts import CONTROL_TABLES, PUBLISHED_TABLES
from clv_lib.contracts.inputs import CONTRACTS
from clv_lib.errors import ConfigurationError, ContractError, Fault, QualityGateFailed, exit_codes
from clv_lib.steps import STEPS

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "run",
    "backfill",
    "step",
    "demo",
    "sql",
    "show",
    "runs",
    "rollback",
    "reproduce",
    "maintain",
    "views",
    "tables",
    "contract",
    "config",
    "doctor",
    "jars",
)

CONFIGURATION = """\
lake: {lake}
reporting: {{currency: GBP}}
sources: {{orders: {{table: {orders}}}}}
"""


@pytest.fixture
def config(tmp_path: Path) -> str:
    file = tmp_path / "shop.yaml"
    file.write_text(CONFIGURATION.format(lake=tmp_path / "lake", orders=tmp_path / "orders"), encoding="utf-8")
    return str(file)


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    heavy = "('pyspark', 'pandas', 'numpy', 'scipy', 'great_expectations', 'delta')"
    program = f"import clv_lib.cli, clv_lib.cli.parser, sys; print([m for m in {heavy} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_help_lists_every_command_and_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"\n    {name}" in text for name in COMMANDS)
    assert all(f"{code:>3}  {meaning}" in text for code, meaning in exit_codes().items())
    assert "130  interrupted" in text


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    assert f"usage: clv {name}" in capsys.readouterr().out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"clv {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "required: COMMAND"),
        (["rnu"], "did you mean run?"),
        (["run", "--config", "x.yaml"], "required: --as-of"),
        (["run", "--as-of", "2025-06-30"], "required: --config"),
        (["run", "--config", "x.yaml", "--as-of", "30.06.2025"], "is not a day such as 2025-06-30"),
        (["run", "--config", "x.yaml", "--as-of", "2025-02-30"], "is not a day such as 2025-06-30"),
        (["run", "--config", "x.yaml", "--as-of", "2025-06-30", "--accept-differences"], "--rebuild --accept-"),
        (["step", "intake", "--config", "x.yaml", "--as-of", "2025-06-30", "--accept-differences"], "add --rebuild"),
        (["run", "--conf", "x.yaml", "--as-of", "2025-06-30"], "required: --config"),
        (["step", "intak", "--config", "x.yaml", "--as-of", "2025-06-30"], "did you mean intake?"),
        (["show", "segments", "--config", "x.yaml", "--limit", "0"], "not a whole number above 0"),
        (["sql", "select 1", "--config", "x.yaml", "--format", "cvs"], "did you mean csv?"),
        (["config", "shwo"], "did you mean show?"),
        (["backfill", "--config", "x.yaml", "--from", "2025-02-01", "--to", "2025-01-01"], "2025-02-01 or later"),
        (["tables", "segment_metric"], "did you mean segment_metrics?"),
        (["contract", "order"], "did you mean orders?"),
    ],
)
def test_wrong_arguments_are_configuration_errors(
    arguments: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    streams = capsys.readouterr()
    assert expected in streams.err
    assert "to do:" in streams.err
    assert "Traceback" not in streams.err
    assert streams.out == ""


def test_arguments_of_a_run() -> None:
    given = [
        "run",
        "--config",
        "a.yaml",
        "--as-of",
        "2025-06-30",
        "--set",
        "a.b=1",
        "--set",
        "c=2",
        "--log-format",
        "json",
    ]
    arguments = build_parser().parse_args(given)
    assert arguments.as_of == dt.date(2025, 6, 30)
    assert arguments.overrides == ["a.b=1", "c=2"]
    assert (arguments.log_format, arguments.allow_older, arguments.summary_json) == ("json", False, None)
    assert (arguments.rebuild, arguments.accept_differences) == (False, False)
    assert build_parser().parse_args([*given, "--rebuild"]).rebuild


def test_each_job_is_a_thin_file_for_a_step_or_the_run() -> None:
    jobs = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "jobs").glob("*.py")}
    assert set(jobs) == {*STEPS, "run"}
    assert all(len(text.splitlines()) <= 25 for text in jobs.values())
    assert all(f'main(["step", "{name}", *sys.argv[1:]])' in jobs[name] for name in STEPS)


def test_a_job_passes_its_arguments_and_exit_code_on() -> None:
    command = [sys.executable, str(ROOT / "jobs" / "intake.py"), "--config", "none.yaml", "--as-of", "2025-06-30"]
    answer = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert answer.returncode == 2
    assert "the configuration file does not exist" in answer.stderr


def test_a_missing_configuration_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "--config", "nowhere/shop.yaml", "--as-of", "2025-06-30"]) == 2
    assert "nowhere/shop.yaml" in capsys.readouterr().err


def test_errors_are_one_json_line_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["runs", "--config", "nowhere/shop.yaml", "--log-format", "json"]
    assert main(given) == 2
    error = json.loads(capsys.readouterr().err)
    assert (error["error"], error["exit_code"]) == ("ConfigurationError", 2)
    assert error["where"] == "nowhere/shop.yaml"


def test_config_show_says_where_values_come_from(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--config", config, "--set", "churn.inactivity_days=90"]) == 0
    lines = {line.partition(":")[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["churn.inactivity_days"].split() == [
        "churn.inactivity_days:",
        "90",
        "#",
        "--set",
        "churn.inactivity_days",
    ]
    assert lines["reporting.currency"].endswith(f"# {config}:2")


def test_config_show_as_json_and_schema_are_json(config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "--config", config, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["reporting.currency"]["value"] == "GBP"
    assert main(["config", "schema"]) == 0
    assert "sources" in json.loads(capsys.readouterr().out)["properties"]


def test_tables_come_with_their_grain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables"]) == 0
    text = capsys.readouterr().out
    assert all(table.name in text and table.grain in text for table in (*PUBLISHED_TABLES, *CONTROL_TABLES))


def test_columns_come_with_type_and_meaning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tables", "customer_metrics"]) == 0
    text = capsys.readouterr().out
    assert "historic_clv_amount" in text
    assert "decimal(28,4)" in text
    assert "key: customer_id" in text


def test_contract_says_what_is_needed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["contract", "orders"]) == 0
    lines = {line.split()[0]: line.split()[1:3] for line in capsys.readouterr().out.splitlines() if line.strip()}
    assert lines["order_id"] == ["string", "yes"]
    assert lines["net_amount"] == ["decimal(18,4)", "one"]


def test_contract_says_what_is_not_known_without_the_source(capsys: pytest.CaptureFixture[str]) -> None:
    assert [name for name, one in CONTRACTS.items() if one.without is None] == ["orders"]
    for name, one in CONTRACTS.items():
        assert main(["contract", name]) == 0
        said = capsys.readouterr().out.splitlines()[1]
        assert said == (f"without it: {one.without}" if one.without else "needed by every run")


def test_a_crash_is_1_with_a_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command_line, "build_parser", lambda: 1 / 0)
    assert main(["tables"]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command_line, "build_parser", interrupt)
    assert main(["tables"]) == 130
    assert "interrupted" in capsys.readouterr().err


def _record(text: str, level: int = logging.INFO, **context: str) -> logging.LogRecord:
    record = logging.LogRecord("clv", level, __file__, 1, text, None, None)
    record.__dict__.update(context)
    return record


def test_text_lines_have_run_and_step() -> None:
    line = TextFormatter().format(_record("wrote segments: 12 rows", run_id="20250630-3f9ac1aa00bb", step="segments"))
    assert line[8:] == " 3f9ac1 segments    wrote segments: 12 rows"
    assert TextFormatter().format(_record("no", logging.WARNING)).endswith("warning: no")
    assert TextFormatter().format(_record("warning: no", logging.WARNING)).count("warning") == 1


def test_json_lines_have_run_and_step() -> None:
    line = json.loads(JsonFormatter().format(_record("a\nb", run_id="20250630-3f9ac1aa00bb", step="audit")))
    assert line["msg"] == "a\nb"
    assert (line["level"], line["logger"], line["run_id"], line["step"]) == (
        "INFO",
        "clv",
        "20250630-3f9ac1aa00bb",
        "audit",
    )
    assert line["ts"].endswith("+00:00")


def test_error_text_holds_all_faults() -> None:
    error = ContractError("two faults", faults=[Fault("a", where="x"), Fault("b")], next_step="mend")
    assert error_text(error, "text") == f"error: {error}"
    assert [fault["what"] for fault in json.loads(error_text(error, "json"))["faults"]] == ["a", "b"]


def test_a_failed_run_leaves_its_summary(tmp_path: Path) -> None:
    path, journal = tmp_path / "new" / "summary.json", Journal()
    journal.emit(_record("started", run_id="20250630-3f9ac1aa00bb", step="intake"))
    journal.emit(_record("started", run_id="20250630-3f9ac1aa00bb", step="audit"))
    with pytest.raises(QualityGateFailed), recorded(str(path), dt.date(2025, 6, 30), journal):
        raise QualityGateFailed("refused", next_step="mend")
    written = json.loads(path.read_text(encoding="utf-8"))
    assert (written["status"], written["exit_code"], written["failed_step"]) == ("failed", 4, "audit")
    assert written["run_id"] == "20250630-3f9ac1aa00bb"
    assert written["error"]["next_step"] == "mend"


def test_a_crash_leaves_its_summary_too(tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    with pytest.raises(ZeroDivisionError), recorded(str(path), dt.date(2025, 6, 30), Journal()):
        raise ZeroDivisionError("no")
    assert json.loads(path.read_text(encoding="utf-8"))["exit_code"] == 1


def test_a_summary_that_cannot_be_written_is_found_before_the_run(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with (
        pytest.raises(ConfigurationError, match="summary file"),
        recorded(str(tmp_path / "file" / "summary.json"), dt.date(2025, 6, 30), Journal()),
    ):
        pytest.fail("the run must not start")


ROWS = [("b2b", 12, Decimal("1234.5000"), None, True), ("b2c", 3, Decimal("7.0000"), 0.25, False)]
COLUMNS = ("name", "n", "amount", "share", "ok")


def test_a_table_is_aligned_without_noise() -> None:
    assert table_lines(COLUMNS, ROWS) == [
        "name     n   amount  share  ok",
        "----  ----  -------  -----  -----",
        "b2b     12  1234.50   NULL  true",
        "b2c      3     7.00   0.25  false",
    ]


def test_csv_is_exact() -> None:
    assert list(render(COLUMNS, ROWS, "csv")) == ["name,n,amount,share,ok", "b2b,12,1234.5,,true", "b2c,3,7,0.25,false"]


def test_json_is_exact_and_typed() -> None:
    rows = [(Decimal("12345678901234567890.1234"), dt.date(2025, 6, 30), ["a"], {"k": None}, float("nan"))]
    text = "\n".join(render(("amount", "day", "list", "map", "nan"), rows, "json"))
    assert "12345678901234567890.1234" in text
    parsed = json.loads(text)[0]
    assert (parsed["day"], parsed["list"], parsed["map"], parsed["nan"]) == ("2025-06-30", ["a"], {"k": None}, None)


def test_no_rows_in_each_format() -> None:
    assert list(render(("a",), [], "csv")) == ["a"]
    assert "".join(render(("a",), [], "json")) == "[]"
    assert list(render(("a",), [], "table")) == ["a", "----"]


@pytest.mark.parametrize(
    "statement",
    [
        "select 1",
        " SELECT 1;",
        "with a as (select 1) select * from a",
        "(select 1)",
        "-- x\n/* y */ show tables",
        "describe segments",
    ],
)
def test_reading_statements_pass(statement: str) -> None:
    assert checked_statement(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "delete from segments",
        "DROP TABLE x",
        "-- select\ninsert into x values (1)",
        "",
        "from x insert into y select *",
    ],
)
def test_writing_statements_are_refused(statement: str, config: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sql", "--config", config, statement]) == 2
    assert "clv sql only reads" in capsys.readouterr().err


def test_the_first_word_ignores_comments_and_brackets() -> None:
    assert first_word("  ( -- drop\n /* delete */ ( select 1))") == "SELECT"
    assert first_word("--") == ""


def test_the_doctor_ends_with_the_gravest_fault() -> None:
    contract, config, machine = (doctor.Check(doctor.FAIL, "x", "y", "z", code) for code in (3, 2, 6))
    assert doctor.exit_code_of([doctor.Check(doctor.OK, "x", "y"), doctor.Check(doctor.WARN, "x", "y")]) == 0
    assert doctor.exit_code_of([contract, machine, config]) == 6
    assert doctor.exit_code_of([contract, config]) == 2
    assert doctor.exit_code_of([contract]) == 3


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("4.1.4", doctor.OK),
        ("4.0.0", doctor.OK),
        ("4.2.0", doctor.WARN),
        ("3.5.1", doctor.WARN),
        ("not installed", doctor.FAIL),
    ],
)
def test_the_doctor_knows_which_versions_fit(version: str, status: str) -> None:
    check = doctor.package_check("pyspark", version, "4.0", "4.2")
    assert check.status == status
    assert bool(check.next_step) == (status != doctor.OK)


def test_the_doctor_looks_at_the_clock() -> None:
    now = dt.datetime(2026, 1, 1, tzinfo=dt.timezone.utc)
    assert doctor.clock_check(now, now.timestamp() - 20).status == doctor.OK
    assert doctor.clock_check(now, now.timestamp() - 1000).status == doctor.FAIL
    assert doctor.clock_check(now.replace(year=1970), None).exit_code == 6


def test_a_failed_check_keeps_all_faults_and_names_the_next_step_once() -> None:
    check = doctor.failed("source", ContractError("2 faults", faults=[Fault("a"), Fault("b")], next_step="map them"))
    assert (check.status, check.exit_code, check.next_step) == (doctor.FAIL, 3, "map them")
    assert check.found.splitlines() == ["2 faults", "  1. a", "  2. b"]
