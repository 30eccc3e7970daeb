"""Fee rates by party, product and date; what they come to is frozen onto the order (money.md Q8)."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.catalog.tables import fee_rule, product
from sync_server.db import new_id
from sync_server.errors import NotAllowedError
from sync_server.money import bounds_flaw, fee_of
from sync_server.parties.tables import party

PAYS = {"CHARGE": "DISTRIBUTOR", "PAYOUT": "VENUE"}
"""Of whom a fee of each kind is ever taken."""


def add_fee_rule(
    connection: Connection,
    kind: str,
    party_id: UUID,
    bps: int,
    now_ms: int,
    *,
    product_id: UUID | None = None,
    min_fen: int = 0,
    max_fen: int | None = None,
    valid_from_ms: int | None = None,
) -> UUID:
    """Set the rate of a party from a moment on (now unless given), for one product or for all that have none."""
    paying = connection.execute(sa.select(party.c.kind, party.c.org_number).where(party.c.id == party_id)).one()
    if paying.kind != PAYS[kind]:
        raise NotAllowedError(f"{paying.org_number} is a {paying.kind}: a {kind} fee is paid by a {PAYS[kind]}")
    if (flaw := bounds_flaw(min_fen, max_fen)) is not None:
        raise NotAllowedError(flaw)
    rule_id = new_id(now_ms)
    connection.execute(
        fee_rule.insert().values(
            id=rule_id,
            party_id=party_id,
            product_id=product_id,
            kind=kind,
            bps=bps,
            min_fen=min_fen,
            max_fen=max_fen,
            valid_from_ms=now_ms if valid_from_ms is None else valid_from_ms,
        )
    )
    return rule_id


def fee_rules(connection: Connection, party_id: UUID | None) -> Sequence[sa.RowMapping]:
    """All rates, of one party or of every one, with the organisation and product they are for, the newest last."""
    query = (
        sa.select(
            party.c.org_number,
            fee_rule.c.kind,
            product.c.number.label("product"),
            fee_rule.c.bps,
            fee_rule.c.min_fen,
            fee_rule.c.max_fen,
            fee_rule.c.valid_from_ms,
        )
        .join(party, party.c.id == fee_rule.c.party_id)
        .outerjoin(product, product.c.id == fee_rule.c.product_id)
        .order_by(party.c.org_number, fee_rule.c.kind, fee_rule.c.valid_from_ms, fee_rule.c.id)
    )
    chosen = query if party_id is None else query.where(fee_rule.c.party_id == party_id)
    return connection.execute(chosen).mappings().all()


def fee_for(connection: Connection, kind: str, party_id: UUID, product_id: UUID, amount_fen: int, now_ms: int) -> int:
    """The fee on an amount today: the product's own rule before the party's, the newest in force; none: 0.

    Never more than the amount itself, so that a venue is never paid less than nothing.
    """
    rule = connection.execute(
        sa.select(fee_rule)
        .where(
            fee_rule.c.kind == kind,
            fee_rule.c.party_id == party_id,
            sa.or_(fee_rule.c.product_id == product_id, fee_rule.c.product_id.is_(None)),
            fee_rule.c.valid_from_ms <= now_ms,
        )
        .order_by(fee_rule.c.product_id.is_(None), fee_rule.c.valid_from_ms.desc(), fee_rule.c.id.desc())
        .limit(1)
    ).one_or_none()
    if rule is None:
        return 0
    return min(fee_of(amount_fen, rule.bps, rule.min_fen, rule.max_fen), amount_fen)
