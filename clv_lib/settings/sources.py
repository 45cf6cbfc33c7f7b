"""The input tables: where they are, how they are stored, and how their columns become those of the contract."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from clv_lib.settings import values as check
from clv_lib.settings.segments import Section, SqlText


def _scalar_as_text(value: Any) -> Any:
    """Spark options are text; YAML reads `true` and `4` as other types."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else value


def lower(value: Any) -> Any:
    """Text without surrounding blanks, in lower case; anything else as it is."""
    return value.strip().lower() if isinstance(value, str) else value


def empty_map(value: Any) -> Any:
    """`key:` with nothing behind it is an empty mapping."""
    return {} if value is None else value


OptionText = Annotated[str, BeforeValidator(_scalar_as_text)]


class Source(Section):
    """An input table and how its columns become the columns of the contract."""

    table: str = Field(description="Path or URI of the table, or its name: table, schema.table, catalog.schema.table.")
    format: Annotated[Literal["delta", "parquet", "csv"], BeforeValidator(lower)] = Field(
        default="delta", description="How the table is stored: delta, parquet or csv."
    )
    filter: SqlText | None = Field(
        default=None, description="SQL predicate over the table's own columns; only rows where it is true are read."
    )
    columns: Annotated[dict[str, SqlText], BeforeValidator(empty_map)] = Field(
        default_factory=dict,
        description="Contract column to SQL expression over the table's own columns; others are taken by their name.",
    )
    options: Annotated[dict[str, OptionText], BeforeValidator(empty_map)] = Field(
        default_factory=dict,
        description="Options of Spark's reader, such as sep; of csv header is true and escape a quote, unless given.",
    )

    @property
    def is_path(self) -> bool:
        """True if `table` is a path or URI; a csv source always is, and so is one that ends in .parquet."""
        return self.format == "csv" or check.is_path(self.table) or self._is_file_of_parquet()

    @model_validator(mode="after")
    def _location(self) -> Source:
        fault = self._location_fault()
        if fault is not None:
            details = InitErrorDetails(type=fault, loc=("table",), input=self.table)
            raise ValidationError.from_exception_data("Source", [details])
        return self

    def _location_fault(self) -> PydanticCustomError | None:
        stored_as = self.table.lower().removesuffix("/").removesuffix(".gz").rpartition(".")[2]
        if stored_as in ("csv", "parquet") and stored_as != self.format and not self._is_name_of_table():
            hint = f"add format: {stored_as}"
            return check.refusal(f"this looks like {stored_as}, but is read as {self.format}", next_step=hint)
        try:
            if self.is_path:
                check.check_path(self.table or "''")
            else:
                check.check_location(self.table, max_parts=3, shape="table, schema.table or catalog.schema.table")
        except PydanticCustomError as fault:
            return fault
        return None

    def _is_file_of_parquet(self) -> bool:
        return self.format == "parquet" and self.table.lower().endswith(".parquet")

    def _is_name_of_table(self) -> bool:
        return self.table.count(".") == 2 and not check.is_path(self.table)


class OrdersSource(Source):
    """The order table, the only source that is needed."""

    grain: Annotated[Literal["order", "line"], BeforeValidator(lower)] = Field(
        default="order",
        description="What a row is: order, or line (added up to orders; negative lines become refunds).",
    )


class Sources(Section):
    """Where the inputs are. What depends on a source that is not given is absent, with a reason."""

    orders: OrdersSource = Field(description="Orders or order lines.", examples=["{table: ./orders}"])
    refunds: Source | None = Field(default=None, description="Refunds of orders.")
    customers: Source | None = Field(default=None, description="Attributes of customers.")
    customer_attributes_history: Source | None = Field(
        default=None, description="Attributes of customers by period: which were valid on which day."
    )
    marketing_spend: Source | None = Field(default=None, description="Marketing spend by day and channel.")
    customer_acquisitions: Source | None = Field(
        default=None, description="Credits of customers to channels and campaigns, by attribution model."
    )
    subscriptions: Source | None = Field(default=None, description="Periods of subscriptions with their charges.")
    plans: Source | None = Field(default=None, description="Planned new customers by month, with their cost.")
    experiment_assignments: Source | None = Field(default=None, description="Customers and the variants they got.")
    exchange_rates: Source | None = Field(default=None, description="Exchange rates by day.")

    def configured(self) -> dict[str, Source]:
        """The sources that are given, by name, in the order of the models' fields."""
        given = {name: getattr(self, name) for name in type(self).model_fields}
        return {name: source for name, source in given.items() if source is not None}
