"""What the platform lacks at a provider for what waits there, and what a sweep from another one could do about it."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.ledger.balances import balance, free_fen
from sync_server.parties.tables import PROVIDERS
from sync_server.payments.providers import CLEARING
from sync_server.payments.tables import COMING_IN, external_transfer


class Suggestion(NamedTuple):
    """What waits for money at `target` exceeds what is there by `lacking_fen`; so much of it is free at `source`."""

    source: str
    target: str
    lacking_fen: int
    amount_fen: int


def suggestions(connection: Connection) -> list[Suggestion]:
    """What to sweep so that whatever lacks money can be resumed; nothing where nothing lacks.

    A sweep that lacks money itself is no reason for another one.
    """
    held_fen = {provider: balance(connection, CLEARING[provider]).posted_fen for provider in PROVIDERS}
    at_hand_fen = {provider: free_fen(connection, CLEARING[provider]) for provider in PROVIDERS}
    made = []
    for target in PROVIDERS:
        query = sa.select(sa.func.coalesce(sa.func.sum(external_transfer.c.amount_fen), 0)).where(
            external_transfer.c.provider == target,
            external_transfer.c.state == "INSUFFICIENT",
            external_transfer.c.kind.not_in((*COMING_IN, "SWEEP_OUT")),
        )
        lacking_fen = int(connection.execute(query).scalar_one()) - max(held_fen[target], 0)
        source = max((provider for provider in PROVIDERS if provider != target), key=lambda one: at_hand_fen[one])
        if lacking_fen > 0:
            made.append(Suggestion(source, target, lacking_fen, max(0, min(lacking_fen, at_hand_fen[source]))))
    return made
