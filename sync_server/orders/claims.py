"""The one claim that ends an item: whoever inserts the row first has it, everyone else learns that it is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import Value, insert_missing
from sync_server.db import MAX_BIND_VALUES, batches
from sync_server.orders.tables import item_claim

EXPIRED = "expired"
REQUESTED = "requested"
UNISSUED = "unissued"
"""What a claim that no redemption made refers to: the end of the item's time, a refund somebody asked for, or that its
order could not be issued."""


class Claim(NamedTuple):
    """An item ends as `kind` for the sake of `ref` (REDEEM: the redemption's id in hex)."""

    item_id: UUID
    kind: str
    ref: str
    at_ms: int


def claim_items(connection: Connection, claims: Sequence[Claim], now_ms: int) -> set[UUID]:
    """Try to end these items, each named once, in the caller's transaction; those whose claim stands as asked.

    The same claim again (same item, kind and ref) stands as before: doing it twice is doing it once.
    """
    wanted = {claim.item_id: claim for claim in claims}
    if len(wanted) != len(claims):
        raise ValueError("an item is claimed twice in one call: decide which claim is the first")
    rows: list[dict[str, Value]] = [
        {**claim._asdict(), "recorded_at_ms": now_ms} for claim in sorted(claims, key=lambda claim: claim.item_id.bytes)
    ]
    if insert_missing(connection, item_claim, rows) == len(rows):
        return set(wanted)
    standing = claims_of(connection, list(wanted))
    return {item for item, kept in standing.items() if (kept.kind, kept.ref) == (wanted[item].kind, wanted[item].ref)}


def claims_of(connection: Connection, item_ids: Sequence[UUID]) -> Mapping[UUID, Claim]:
    """The claims that ended these items."""
    columns = sa.select(item_claim.c.item_id, item_claim.c.kind, item_claim.c.ref, item_claim.c.at_ms)
    found: dict[UUID, Claim] = {}
    for part in batches(item_ids, MAX_BIND_VALUES):
        for row in connection.execute(columns.where(item_claim.c.item_id.in_(part))):
            found[row.item_id] = Claim(*row)
    return found
