"""The payment providers 支付通道: the clearing account that each one's money is booked on, and our client of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.ledger.accounts import Account
from sync_server.parties.tables import PROVIDERS
from sync_server.payments import alipay_client, sandbox_client
from sync_server.payments.provider import Provider
from sync_server.settings import Settings

VISITORS = "ALIPAY"
"""Where visitors pay at the cashier; every party has its own provider."""
CLEARING = {"ALIPAY": Account("1010"), "HUIJINBAO": Account("1020"), "OFFLINE": Account("1030")}


def need_sweeps(settings: Settings, source: str) -> None:
    """NotAllowedError where the platform's money leaves a provider through the bank alone."""
    if source == "ALIPAY" and settings.alipay_app_id is not None:
        raise NotAllowedError(
            "Alipay sends nothing to another provider: withdraw it to your bank and pay it in there"
            " (docs/operate.md, 银行与通道之间)"
        )


def need_payable(settings: Settings, kind: str, provider: str, account_ref: str) -> None:
    """NotAllowedError: a venue's account at Alipay to which Alipay cannot pay."""
    real = provider == "ALIPAY" and settings.alipay_app_id is not None
    if real and kind == "VENUE" and not alipay_client.is_user_id(account_ref):
        digits = alipay_client.USER_ID_DIGITS
        raise NotAllowedError(f"{account_ref!r} is no Alipay user id: a venue is paid to its {digits} digits, 2088…")


def unreached(settings: Settings) -> tuple[str, ...]:
    """The providers that the settings say nothing of: no money moves there."""
    if settings.provider_public_key_file is not None:
        return ()
    return tuple(one for one in PROVIDERS if one != "ALIPAY" or settings.alipay_app_id is None)


def no_money_moves(providers: Sequence[str]) -> str:
    """What whoever waits for money there is told."""
    return (
        f"no money moves at {', '.join(providers)}: the settings name no such provider"
        " (provider_public_key_file, alipay_app_id)"
    )


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
