"""What venues get for visits with an annual pass: nothing, a tariff each, or a share of a month's pool.

A tariff is paid out of the platform's money, and nobody but who types it says how much: two persons agree to it, as to
every price. That visits cost nothing, or wait for a pool, one person says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals import approvals
from sync_server.approvals.approvals import Act, Person, Request
from sync_server.audit.log import record
from sync_server.catalog.products import find_product
from sync_server.catalog.tables import VISIT_SETTLEMENTS, product, product_item, visit_tariff
from sync_server.errors import NotAllowedError
from sync_server.money import yuan
from sync_server.parties.tables import venue
from sync_server.people.permissions import Permission, need
from sync_server.settlement.tables import visit_tariff_asked

TARIFFS = Act("visits.tariffs", Permission.PAYOUTS_MANAGE)
MAX_REASON_CHARACTERS = 200


def settle(connection: Connection, who: Person, product_number: int, settlement: str, reason: str, now_ms: int) -> None:
    """From now on visits with a pass cost nothing (NONE), or wait for their month's POOL."""
    need(who, Permission.PAYOUTS_MANAGE)
    text = reason.strip()
    if not 0 < len(text) <= MAX_REASON_CHARACTERS:
        raise NotAllowedError(f"a change needs a reason of 1 to {MAX_REASON_CHARACTERS} characters")
    if settlement not in VISIT_SETTLEMENTS or settlement == "PER_VISIT":
        raise NotAllowedError(f"{settlement} needs a tariff above 0 for at least one venue")
    _set(connection, who, _annual(connection, product_number), settlement, {}, {"reason": text}, now_ms)


def ask(
    connection: Connection, who: Person, product_number: int, tariffs_fen: Mapping[UUID, int], reason: str, now_ms: int
) -> UUID:
    """Ask that venues get a tariff for each visit; the id of the request, which another person confirms."""
    _check(connection, _annual(connection, product_number), tariffs_fen)
    request_id = approvals.request(connection, who, TARIFFS, f"product:{product_number}", reason, now_ms)
    asked = [{"approval_id": request_id, "venue_id": one, "tariff_fen": fen} for one, fen in tariffs_fen.items()]
    connection.execute(visit_tariff_asked.insert(), asked)
    return request_id


def confirm(connection: Connection, who: Person, request_id: UUID, now_ms: int) -> None:
    """Confirm another person's request: it holds for what is cleared from now on."""
    agreed = approvals.confirm(connection, who, TARIFFS, request_id, now_ms)
    sold, tariffs_fen = _annual(connection, _named(agreed.subject)), _asked(connection, request_id)
    _check(connection, sold, tariffs_fen)
    detail = {"reason": agreed.reason, "asked_by": str(agreed.requested_by)}
    _set(connection, who, sold, "PER_VISIT", tariffs_fen, detail, now_ms)


def in_words(connection: Connection, asked: Request, _now_ms: int) -> str:
    """What is done once another person confirms."""
    tariffs_fen = _asked(connection, asked.id)
    each = ", ".join(f"{yuan(fen)} yuan at venue {number}" for number, fen in _by_number(connection, tariffs_fen))
    return f"each visit with product {_named(asked.subject)} costs {each}, of what is cleared from then on"


def _by_number(connection: Connection, tariffs_fen: Mapping[UUID, int]) -> list[tuple[str, int]]:
    """Each venue's number and its tariff."""
    mine = sa.select(venue.c.id, venue.c.number).where(venue.c.id.in_(tariffs_fen)).order_by(venue.c.number)
    return [(str(number), tariffs_fen[one]) for one, number in connection.execute(mine)]


def _named(subject: str) -> int:
    return int(subject.removeprefix("product:"))


def _asked(connection: Connection, request_id: UUID) -> dict[UUID, int]:
    query = sa.select(visit_tariff_asked.c.venue_id, visit_tariff_asked.c.tariff_fen)
    rows = connection.execute(query.where(visit_tariff_asked.c.approval_id == request_id))
    return {row.venue_id: row.tariff_fen for row in rows}


def _annual(connection: Connection, product_number: int) -> sa.Row[Any]:
    sold = find_product(connection, product_number)
    if sold.kind != "PASS":
        raise NotAllowedError(f"annual passes are settled {', '.join(VISIT_SETTLEMENTS)}, other products by redemption")
    return sold


def _check(connection: Connection, sold: sa.Row[Any], tariffs_fen: Mapping[UUID, int]) -> None:
    if min(tariffs_fen.values(), default=0) <= 0:
        raise NotAllowedError("PER_VISIT needs a tariff above 0 for at least one venue, the others none")
    opened = set(connection.scalars(sa.select(product_item.c.venue_id).where(product_item.c.product_id == sold.id)))
    if tariffs_fen.keys() - opened:
        raise NotAllowedError(f"product {sold.number} does not open all of these venues")


def _set(
    connection: Connection,
    who: Person,
    sold: sa.Row[Any],
    settlement: str,
    tariffs_fen: Mapping[UUID, int],
    detail: dict[str, Any],
    now_ms: int,
) -> None:
    connection.execute(product.update().where(product.c.id == sold.id).values(visit_settlement=settlement))
    connection.execute(visit_tariff.delete().where(visit_tariff.c.product_id == sold.id))
    for venue_id, fen in tariffs_fen.items():
        connection.execute(visit_tariff.insert().values(product_id=sold.id, venue_id=venue_id, tariff_fen=fen))
    detail = {"settlement": settlement, "tariffs_fen": dict(_by_number(connection, tariffs_fen)), **detail}
    record(connection, now_ms, who.actor, "product.visits", f"product:{sold.number}", detail)
