"""Where a product stands in its sale: only what is on sale is ordered; what was sold stays valid (features A7)."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit.log import record
from sync_server.catalog.states import SALE
from sync_server.catalog.tables import product
from sync_server.errors import NotAllowedError, NotFoundError

MAX_REASON_CHARACTERS = 200


def take_off(connection: Connection, product_id: UUID, reason: str, now_ms: int, actor: str) -> None:
    """From now on nobody orders it; orders that wait for their payment go on."""
    reason = checked_reason(reason)
    move(connection, product_id, "take_off")
    record(connection, now_ms, actor, "product.take_off", f"product:{product_id}", {"reason": reason})


def put_on(connection: Connection, product_id: UUID, now_ms: int, actor: str) -> None:
    """It may be ordered again."""
    move(connection, product_id, "put_on")
    record(connection, now_ms, actor, "product.put_on", f"product:{product_id}", {})


def move(connection: Connection, product_id: UUID, event: str, **changes: Any) -> str:
    """Let an event happen to a product, whose row nobody else changes from here on; the state it leads to."""
    mine = product.c.id == product_id
    state = connection.scalar(sa.select(product.c.sale).where(mine).with_for_update())
    if state is None:
        raise NotFoundError(f"no product has the id {product_id}")
    after = SALE.next(state, event)
    if after is None:
        raise NotAllowedError(f"the product is {state}: {event.replace('_', ' ')} is not possible")
    connection.execute(product.update().where(mine).values(sale=after, **changes))
    return after


def checked_reason(reason: str) -> str:
    """What a person gives as the reason of such an act; NotAllowedError for none."""
    if not 0 < len(reason) <= MAX_REASON_CHARACTERS or not reason.isprintable():
        raise NotAllowedError(f"this needs a reason of 1 to {MAX_REASON_CHARACTERS} characters")
    return reason
