"""What a change of the sources concerns: the orders and refunds that a refresh judges again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from clv_lib.contracts.inputs import CONTRACTS
from clv_lib.contracts.put_aside import ORDERS, REFUNDS
from clv_lib.lake import Untraceable, read_source
from clv_lib.orders import refresh as concern
from clv_lib.orders.intake import LINE_KEY
from clv_lib.orders.mapping import contract_expressions
from clv_lib.pipeline.order_states import has_refunds, is_by_line, required_orders, union
from clv_lib.pipeline.workspace import possible_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from clv_lib.pipeline.workspace import Workspace

_MOST_STEPS = 5


@dataclass(frozen=True)
class Seen:
    """What changed in the sources since the run before: rows by source, and days with other exchange rates."""

    rows: dict[str, DataFrame]
    rates: DataFrame | None


@dataclass(frozen=True)
class Ids:
    """Keys of some orders and of some refunds, kept, and how many they are."""

    orders: DataFrame
    refunds: DataFrame
    order_count: int
    refund_count: int

    @property
    def sizes(self) -> tuple[int, int]:
        """Orders and refunds."""
        return self.order_count, self.refund_count


def concerned_ids(work: Workspace, before: concern.Before, seen: Seen) -> Ids:
    """The orders and refunds that must be judged again.

    An order that changed may become or cease to be the latest of its customer, that of refunds without one.
    To judge a refund its order and the other refunds of that order are needed, to judge an order line the others with
    its id. This is followed until nothing is added. Untraceable if that takes too many steps.
    """
    (orders, order_count), (refunds, refund_count) = (_changed_keys(work, before, seen, one) for one in concern.SOURCES)
    ids = Ids(orders, refunds, order_count, refund_count)
    if ids.sizes == (0, 0) or not has_refunds(work):
        return ids
    ids = _with_moved_refunds(work, before, seen, ids)
    for _ in range(_MOST_STEPS):
        sizes, ids = ids.sizes, _with_neighbours(work, before, seen, ids)
        if ids.sizes == sizes:
            return ids
    raise Untraceable("the changed rows concern others in too long a chain")


def by_files(before: concern.Before, name: str, keys: DataFrame) -> concern.Before:
    """Silver without the orders, or refunds, that can be none of the keys."""
    column = concern.SOURCES[name].key
    if name == ORDERS:
        return replace(before, orders=possible_rows(before.orders, column, keys, concern.KEY))
    return replace(before, refunds=possible_rows(before.refunds, column, keys, concern.KEY))


def _changed_keys(work: Workspace, before: concern.Before, seen: Seen, name: str) -> tuple[DataFrame, int]:
    """Keys of the rows of a source that changed, that are not in the future any more, or that are converted anew."""
    keys = concern.due(before, name, work.as_of)
    if name in seen.rows:
        keys = keys.unionByName(seen.rows[name].select(concern.key_of(concern.SOURCES[name].key)))
    if seen.rates is not None:
        keys = keys.unionByName(concern.converted_anew(before, name, seen.rates))
    return work.keep_ids(keys.distinct())


def _with_moved_refunds(work: Workspace, before: concern.Before, seen: Seen, ids: Ids) -> Ids:
    """The ids, and the refunds whose latest order may be another since these orders changed."""
    by_latest = concern.refunds_by_latest_order(before)
    if by_latest.isEmpty():
        return ids
    changes = seen.rows.get(ORDERS)
    orders, _ = work.keep_ids(union([ids.orders, *_sharing_lines(work, ids.orders, seen)]).distinct())
    customers, _ = work.keep_ids(concern.customers_since(by_files(before, ORDERS, orders), orders, changes))
    moved = concern.with_another_latest_order(by_latest, customers, customers.agg(F.min("since")).collect()[0][0])
    refunds, refund_count = work.keep_ids(ids.refunds.unionByName(moved).distinct())
    return replace(ids, refunds=refunds, refund_count=refund_count)


def _with_neighbours(work: Workspace, before: concern.Before, seen: Seen, ids: Ids) -> Ids:
    """The ids, and what is needed beside them to judge them."""
    found = [ids.orders, *_sharing_lines(work, ids.orders, seen)]
    if is_by_line(work):
        found.append(concern.orders_of_line_refunds(ids.refunds))
    if REFUNDS in work.sources:
        found.append(concern.orders_named(before, ids.refunds, seen.rows.get(REFUNDS)))
    orders, order_count = work.keep_ids(union(found).distinct())
    found = [ids.refunds]
    if is_by_line(work):
        found.append(concern.refunds_of_orders(orders))
    if REFUNDS in work.sources:
        found.append(concern.refunds_naming(before, orders))
    refunds, refund_count = work.keep_ids(union(found).distinct())
    return Ids(orders, refunds, order_count, refund_count)


def _sharing_lines(work: Workspace, orders: DataFrame, seen: Seen) -> list[DataFrame]:
    """Keys of the orders with lines that compete with lines of some orders; empty where lines have no ids."""
    if not is_by_line(work) or not _has_line_ids(work):
        return []
    lines = required_orders(work).select("order_id", LINE_KEY)
    return [concern.orders_sharing_lines(lines, orders, seen.rows.get(ORDERS))]


def _has_line_ids(work: Workspace) -> bool:
    pinned = work.sources[ORDERS]
    raw = read_source(work.lake.spark, pinned)
    return LINE_KEY in contract_expressions(raw, CONTRACTS[ORDERS], pinned.source.columns)
