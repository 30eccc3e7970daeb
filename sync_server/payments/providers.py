"""The payment providers 支付通道: the clearing account that each one's money is booked on, and our client of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from sync_server.centre import Centre
from sync_server.ledger.accounts import Account
from sync_server.parties.tables import PROVIDERS
from sync_server.payments import alipay_client, sandbox_client
from sync_server.payments.provider import Provider

VISITORS = "ALIPAY"
"""Where visitors pay at the cashier; every party has its own provider."""
CLEARING = {"ALIPAY": Account("1010"), "HUIJINBAO": Account("1020"), "OFFLINE": Account("1030")}


@contextmanager
def clients_of(centre: Centre) -> Iterator[Mapping[str, Provider]]:
    """A client of each provider that the settings describe, closed afterwards. Where none is, nothing moves."""
    clients: dict[str, Provider] = {}
    if centre.settings.provider_public_key_file is not None:
        clients = {provider: sandbox_client.client_of(centre, provider) for provider in PROVIDERS}
    if centre.settings.alipay_app_id is not None:
        clients["ALIPAY"] = alipay_client.client_of(centre)
    try:
        yield clients
    finally:
        for client in clients.values():
            client.close()
