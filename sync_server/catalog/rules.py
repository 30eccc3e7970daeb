"""The entry rules of products, in versions that are never changed; who judges by them is `wire.entitlement`.

A rule holds for what was sold before as well, with one exception: how often a ticket opens in all is what its buyer
paid for and stays as it was.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit.log import record
from sync_server.catalog.products import check_ranges
from sync_server.catalog.tables import product, product_rule
from sync_server.errors import NotAllowedError, NotFoundError
from wire.entitlement import Rule

LIMITS = ("per_day", "per_month", "per_year", "total")
"""From the narrowest to the widest."""


def rules(connection: Connection) -> dict[UUID, Rule]:
    """The rule of every product, by two statements however many there are."""
    first = sa.select(product.c.id, product.c.per_day, product.c.total)
    found = {row.id: Rule(per_day=row.per_day, total=row.total) for row in connection.execute(first)}
    newest = sa.select(product_rule.c.product_id, sa.func.max(product_rule.c.version)).group_by(
        product_rule.c.product_id
    )
    key = sa.tuple_(product_rule.c.product_id, product_rule.c.version)
    for row in connection.execute(sa.select(product_rule).where(key.in_(newest))):
        found[row.product_id] = msgspec.json.decode(row.rule, type=Rule)
    return found


def rule_version(connection: Connection, product_id: UUID) -> int:
    """The number of its newest rule; 0: the one it was added with."""
    mine = sa.select(sa.func.max(product_rule.c.version)).where(product_rule.c.product_id == product_id)
    return connection.scalar(mine) or 0


def versions(connection: Connection, product_id: UUID, limit: int) -> Sequence[sa.Row[Any]]:
    """Its later rules, the newest first."""
    mine = sa.select(product_rule).where(product_rule.c.product_id == product_id)
    return connection.execute(mine.order_by(product_rule.c.version.desc()).limit(limit)).all()


def set_rule(
    connection: Connection, product_id: UUID, rule: Rule, now_ms: int, actor: str, *, after_version: int | None = None
) -> int:
    """Put a rule in force; the version. The same again makes no version.

    NotAllowedError for a rule that contradicts itself or what was sold, and when it is not `after_version` any more.
    """
    sold = connection.execute(sa.select(product).where(product.c.id == product_id).with_for_update()).one_or_none()
    if sold is None:
        raise NotFoundError(f"no product has the id {product_id}")
    version, before = rule_version(connection, product_id), rules(connection)[product_id]
    if after_version is not None and version != after_version:
        raise NotAllowedError(f"the rule was changed meanwhile: it is at version {version}, not {after_version}")
    if sold.kind != "PASS" and rule.total != sold.total:
        raise NotAllowedError(f"a ticket opens as often as it was sold for, {sold.total or 'without limit'} in all")
    if (flaw := contradiction(rule)) is not None:
        raise NotAllowedError(f"{flaw[0]} is more than {flaw[1]}: it would never be reached")
    if rule == before:
        return version
    text = msgspec.json.encode(rule).decode()
    msgspec.json.decode(text, type=Rule)  # what no gate takes is a ValidationError here, not at the gate
    row = {"product_id": product_id, "version": version + 1, "rule": text, "changed_at_ms": now_ms, "actor": actor}
    connection.execute(product_rule.insert().values(row))
    told = msgspec.to_builtins(rule) | {"slots": len(rule.slots), "blackout": len(rule.blackout)}
    record(connection, now_ms, actor, "product.rule", f"product:{product_id}", {"version": version + 1, **told})
    return version + 1


def set_offline(connection: Connection, sold: sa.Row[Any], asked: Mapping[str, int], now_ms: int, actor: str) -> None:
    """How far a cut-off gate believes codes that its list does not name yet: put in force, for what was sold, too."""
    check_ranges(asked)
    connection.execute(product.update().where(product.c.id == sold.id).values(dict(asked)))
    record(connection, now_ms, actor, "product.offline", f"product:{sold.id}", dict(asked))


def contradiction(rule: Rule) -> tuple[str, str] | None:
    """A limit that is above a wider one, and that one."""
    told = [(name, getattr(rule, name)) for name in LIMITS if getattr(rule, name) is not None]
    for at, (narrow, most) in enumerate(told):
        for wide, more in told[at + 1 :]:
            if most > more:
                return narrow, wide
    return None
