"""Charge an order at once: whoever placed or resumed it at the command line waits for the provider's answer."""

from __future__ import annotations

from uuid import UUID

from sync_server.centre import Centre
from sync_server.orders import progress
from sync_server.payments import transfers
from sync_server.payments.providers import clients_of


def charge_now(centre: Centre, transfer_id: UUID) -> None:
    """What the worker would do of it next, and what the order becomes by the answer, if there is one already."""
    with clients_of(centre) as clients:
        transfers.move_now(centre, clients, transfer_id)
    progress.take_payments(centre)
