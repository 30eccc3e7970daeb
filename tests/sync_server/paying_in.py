"""A distributor's balance, for tests: what its bank paid in, as two persons of the platform say (P1)."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count
from uuid import UUID

import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.parties.parties import NewParty, add_party
from sync_server.parties.tables import party
from sync_server.payments import top_ups
from sync_server.payments.vouchers import Voucher
from tests.sync_server.operators import employ

_NUMBERS = count(1)


def top_up(centre: Centre, distributor_id: UUID, amount_fen: int) -> None:
    """Under a voucher that no other top-up has."""
    number, now_ms = next(_NUMBERS), centre.now_ms()
    with centre.write() as connection:
        if connection.scalar(sa.select(party.c.id).where(party.c.kind == "PLATFORM")) is None:
            add_party(connection, NewParty("PLATFORM", "1000", "平台", "Platform", "platform"), "Asia/Shanghai", now_ms)
    one, other = (employ(centre, f"teller{number}{which}", "finance") for which in "ab")
    voucher = Voucher("工商银行", datetime.fromtimestamp(now_ms / 1000, UTC).date(), f"T{number}")
    with centre.write() as connection:
        asked = top_ups.ask(connection, one, distributor_id, amount_fen, voucher, "充值", now_ms)
        top_ups.confirm(connection, other, asked, now_ms)
