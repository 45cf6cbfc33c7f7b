"""What a snapshot must satisfy before it is published: profiles and intake counts become integers with bounds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from clv_lib.contracts.put_aside import INPUT
from clv_lib.contracts.types import Identity, Severity, Table
from clv_lib.quality.profile import UNIQUE_KEY, TableProfile

if TYPE_CHECKING:
    from clv_lib.settings import Gate

Kind = Literal["structure", "row_count", "rule", "key", "identity", "conservation", "quarantine"]

PPM = 1_000_000
MONEY_UNITS = 10_000
"""Units of the last digit in one unit of money: amounts are kept to 0.0001."""


@dataclass(frozen=True)
class Expectation:
    """One integer that must lie between two bounds, both allowed; a bound of None is open.

    `observed` of None means that it could not be measured, which is never good. `detail` says in words what was
    found, where the integer alone does not tell; it holds no values of single rows.
    """

    table_name: str
    name: str
    meaning: str
    severity: Severity
    kind: Kind
    observed: int | None
    minimum: int | None = 0
    maximum: int | None = 0
    detail: str = ""

    @property
    def label(self) -> str:
        """`table.name`, which is unique in a run."""
        return f"{self.table_name}.{self.name}"

    @property
    def threshold(self) -> str:
        """The bounds in words."""
        if self.minimum == self.maximum:
            return str(self.minimum)
        bounds = (("at least", self.minimum or None), ("at most", self.maximum))
        return ", ".join(f"{word} {bound}" for word, bound in bounds if bound is not None) or "any number"

    @property
    def observed_value(self) -> str | None:
        """What was found, in words; None: not measured."""
        return self.detail or (None if self.observed is None else str(self.observed))

    @property
    def unexpected_count(self) -> int | None:
        """Rows, keys, columns or units of the last digit that break it; None where the integer is no such count."""
        return self.observed if self.maximum == 0 else None


@dataclass(frozen=True)
class SourceIntake:
    """What became of the rows of one source.

    `differences` are input less the sum of all dispositions, by name: `rows`, and per currency the money in units
    of 0.0001; each must be 0, and None means that it is not known.
    """

    source_name: str
    input_rows: int
    quarantined_rows: int
    differences: Mapping[str, int | None]


def source_intakes(rows: Iterable[tuple[str, str, str, int, Decimal]]) -> tuple[SourceIntake, ...]:
    """Read `conservation`: (source_name, currency_code, disposition, row_count, amount) rows, one intake per source.

    A source without an `input` row has lost its count: every disposition then shows as a difference.
    """
    counts: dict[str, int] = defaultdict(int)
    quarantined: dict[str, int] = defaultdict(int)
    differences: dict[str, dict[str, Fraction]] = defaultdict(lambda: defaultdict(Fraction))
    for source, currency, disposition, row_count, amount in rows:
        sign = 1 if disposition == INPUT else -1
        differences[source]["rows"] += sign * row_count
        differences[source][currency] += sign * Fraction(amount) * MONEY_UNITS
        counts[source] += row_count if disposition == INPUT else 0
        quarantined[source] += row_count if disposition == "quarantined" else 0
    return tuple(
        SourceIntake(source, counts[source], quarantined[source], {k: _away_from_zero(v) for k, v in by_name.items()})
        for source, by_name in sorted(differences.items())
    )


def expectations(
    tables: Sequence[Table],
    profiles: Mapping[str, TableProfile],
    identities: Iterable[Identity],
    limits: Gate,
    intake: Sequence[SourceIntake],
) -> tuple[Expectation, ...]:
    """Everything that must hold for this snapshot, one expectation each.

    `tables` are those that the run wrote: one without a profile fails. An identity is expected if all its tables
    were written; the tables that are absent for want of a source take theirs with them.
    """
    written = {table.name: profiles.get(table.name, TableProfile(table.name, None)) for table in tables}
    return (
        *(one for table in tables for one in _of_table(table, written[table.name], limits)),
        *(_of_identity(identity, written) for identity in identities if _tables_of(identity) <= set(written)),
        *_of_sources(intake, limits),
    )


def intake_expectations(
    orders: Table, accepted_orders: int, limits: Gate, intake: Sequence[SourceIntake]
) -> tuple[Expectation, ...]:
    """What must hold of the intake before anything is computed from it; all of it is among `expectations`, too.

    `accepted_orders` are rows of the source that went into `orders`, the table of orders.
    """
    return (_row_count(orders, accepted_orders, limits), *_of_sources(intake, limits))


def _of_table(table: Table, found: TableProfile, limits: Gate) -> Iterator[Expectation]:
    name, faults = table.name, found.structure_faults
    count = found.row_count
    not_measured = count is None and not faults
    meaning = "the stored columns and types are those of the contract"
    structure = None if not_measured else len(faults)
    yield Expectation(name, "structure", meaning, "error", "structure", structure, detail="; ".join(faults))
    if faults:
        # Nothing else can be measured in such a table, and a list of what was not hides the cause.
        return
    yield _row_count(table, count, limits)
    for rule in table.all_rules():
        yield Expectation(name, rule.name, rule.meaning, rule.severity, "rule", found.violations.get(rule.name))
    if table.key:
        meaning = f"{', '.join(table.key)} identify a row"
        yield Expectation(name, UNIQUE_KEY, meaning, "error", "key", found.duplicate_key_count)


def _row_count(table: Table, count: int | None, limits: Gate) -> Expectation:
    least = 0 if table.may_be_empty or limits.allow_empty else 1
    return Expectation(table.name, "row_count", "the table has rows", "error", "row_count", count, least, None)


def _of_identity(identity: Identity, profiles: Mapping[str, TableProfile]) -> Expectation:
    left, right = _side(identity.left, profiles), _side(identity.right, profiles)
    names = [" + ".join(f"{table}.{measure}" for table, measure in side) for side in (identity.left, identity.right)]
    return Expectation(
        table_name=identity.left[0][0],
        name=identity.name,
        meaning=identity.meaning,
        severity="error",
        kind="identity",
        observed=_difference(left, right),
        detail=f"{names[0]} = {_text(left)}, {names[1]} = {_text(right)}",
    )


def _tables_of(identity: Identity) -> set[str]:
    return {table for table, _ in (*identity.left, *identity.right)}


def _side(terms: Sequence[tuple[str, str]], profiles: Mapping[str, TableProfile]) -> tuple[Fraction, int] | None:
    """The sum of the terms with its units per 1 (counts: 1, money: 10000); None if a term is not known."""
    total, units = Fraction(0), 1
    for table_name, measure in terms:
        found = profiles[table_name]
        value = found.measures.get(measure)
        if value is None and measure in found.measures and found.row_count == 0:
            value = 0  # SQL gives NULL for a sum over no rows
        if value is None:
            return None
        total += Fraction(value)
        units = MONEY_UNITS if isinstance(value, Decimal) else units
    return total, units


def _difference(left: tuple[Fraction, int] | None, right: tuple[Fraction, int] | None) -> int | None:
    if left is None or right is None:
        return None
    return math.ceil(abs(left[0] - right[0]) * max(left[1], right[1]))


def _text(side: tuple[Fraction, int] | None) -> str:
    if side is None:
        return "NULL"
    value, units = side
    return str(int(value)) if units == 1 else _exact(value)


def _exact(value: Fraction) -> str:
    scaled = _away_from_zero(value * MONEY_UNITS)
    whole, rest = divmod(abs(scaled), MONEY_UNITS)
    return f"{'-' if scaled < 0 else ''}{whole}.{rest:04d}"


def _away_from_zero(value: Fraction) -> int:
    return math.ceil(value) if value > 0 else math.floor(value)


def _of_sources(intake: Sequence[SourceIntake], limits: Gate) -> Iterator[Expectation]:
    meaning = "the intake of at least one source is known"
    yield Expectation("conservation", "sources", meaning, "error", "row_count", len(intake), 1, None)
    for source in intake:
        yield from _of_source(source, limits)


def _of_source(source: SourceIntake, limits: Gate) -> Iterator[Expectation]:
    name = source.source_name
    for what, difference in source.differences.items():
        things = f"every row of {name}" if what == "rows" else f"all money of {name} in {what}"
        observed = None if difference is None else abs(difference)
        yield Expectation(
            table_name="conservation",
            name=f"{name}_{what}_conserved",
            meaning=f"{things} is accounted for",
            severity="error",
            kind="conservation",
            observed=observed,
        )
    yield _quarantine(source, "warn", "warning", limits.warn_quarantined_rate)
    yield _quarantine(source, "max", "error", limits.max_quarantined_rate)


def quarantine_name(source_name: str, word: str) -> str:
    """The name of the expectation over the quarantined share of a source; `word` is warn or max."""
    return f"{source_name}_{word}_quarantined_ppm"


def _quarantine(source: SourceIntake, word: str, severity: Severity, rate: float) -> Expectation:
    ppm = _ppm(source.quarantined_rows, source.input_rows)
    return Expectation(
        table_name="quarantined_rows",
        name=quarantine_name(source.source_name, word),
        meaning=f"quarantined rows of {source.source_name} stay within gate.{word}_quarantined_rate ({rate})",
        severity=severity,
        kind="quarantine",
        observed=ppm,
        maximum=math.floor(Fraction(str(rate)) * PPM),
        detail=f"{source.quarantined_rows} of {source.input_rows} rows, {ppm} per million",
    )


def _ppm(part: int, whole: int) -> int:
    """Parts per million, rounded up, so that one bad row among billions is not 0."""
    if whole <= 0:
        return PPM if part > 0 else 0
    return math.ceil(Fraction(part * PPM, whole))
