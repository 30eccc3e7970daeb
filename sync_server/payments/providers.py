"""The payment providers 支付通道: the clearing account that each one's money is booked on, and our client of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sync_server.centre import Centre
from sync_server.ledger.accounts import Account
from sync_server.payments.provider import Provider
from sync_server.payments.sandbox_client import client_of

VISITORS = "ALIPAY"
"""Where visitors pay at the cashier; every party has its own provider."""
CLEARING = {"ALIPAY": Account("1010"), "HUIJINBAO": Account("1020"), "OFFLINE": Account("1030")}


@contextmanager
def clients_of(centre: Centre) -> Iterator[Mapping[str, Provider]]:
    """A client of each provider that the settings describe, closed afterwards. Where none is, nothing moves."""
    clients: dict[str, Provider] = {}
    if centre.settings.provider_public_key_file is not None:
        clients |= {provider: client_of(centre, provider) for provider in ("ALIPAY", "HUIJINBAO")}
    try:
        yield clients
    finally:
        for client in clients.values():
            client.close()
