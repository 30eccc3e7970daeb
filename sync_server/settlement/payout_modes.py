"""How often a venue is paid 打款方式: at each redemption, once a local day, or once an ISO week."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.approvals.approvals import Person
from sync_server.audit.log import record
from sync_server.errors import NotAllowedError
from sync_server.parties.parties import venue_by_number
from sync_server.parties.tables import PAYOUT_MODES, party
from sync_server.people.permissions import Permission, need

MAX_REASON_CHARACTERS = 200


def set_payout_mode(
    connection: Connection, who: Person, venue_number: int, mode: str, reason: str, now_ms: int
) -> None:
    """What is cleared from now on is paid so; a payout that collects already is sealed at its own end."""
    need(who, Permission.PAYOUTS_MANAGE)
    if mode not in PAYOUT_MODES:
        raise NotAllowedError(f"{mode!r} is none of {', '.join(PAYOUT_MODES)}")
    text = reason.strip()
    if not 0 < len(text) <= MAX_REASON_CHARACTERS:
        raise NotAllowedError(f"a change needs a reason of 1 to {MAX_REASON_CHARACTERS} characters")
    venue_id = venue_by_number(connection, venue_number)
    before = connection.scalar(sa.select(party.c.payout_mode).where(party.c.id == venue_id))
    connection.execute(party.update().where(party.c.id == venue_id).values(payout_mode=mode))
    detail = {"before": before, "mode": mode, "reason": text}
    record(connection, now_ms, who.actor, "payout.mode", f"venue:{venue_id}", detail)
