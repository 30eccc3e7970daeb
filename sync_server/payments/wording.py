"""A transfer as people name it to one another: what it is for, how much, to or from whom."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.money import yuan
from sync_server.parties.accounts import SettlementAccount
from sync_server.parties.parties import party_words
from sync_server.payments.tables import external_transfer


def transfer_words(connection: Connection, transfer_id: UUID) -> str:
    """Its kind, amount, title, party, account and state."""
    row = connection.execute(sa.select(external_transfer).where(external_transfer.c.id == transfer_id)).one()
    party = "" if row.party_id is None else f", {party_words(connection, row.party_id)}"
    account = "" if row.account_ref is None else f", {SettlementAccount(row.provider, row.account_ref).masked}"
    return f"{row.kind} of {yuan(row.amount_fen)} yuan ({row.title}{party}{account}; {row.state})"
