"""Whose request it is when a reverse proxy stands in front of the centre: the limits per address count by this."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

FORWARDED = "HTTP_X_FORWARDED_FOR"
MAX_HOPS = 8
"""Proxies one behind the other; what stands further left is not looked at."""

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def networks_of(text: str) -> tuple[Network, ...]:
    """Addresses and networks (`10.0.0.0/8`), apart by spaces or commas; ValueError names what is neither."""
    return tuple(ip_network(one) for one in text.replace(",", " ").split())


class BehindProxies:
    """Puts the address that the trusted proxies vouch for in the place of the last proxy's own.

    Each proxy appends whom it was asked by, so the list is read from its right end: past the trusted ones stands the
    first that nobody of ours wrote, and everything further left may be invented. Without trust nothing is read.
    """

    def __init__(self, app: WSGIApplication, trusted: tuple[Network, ...]) -> None:
        self._app = app
        self._trusted = trusted

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """As every WSGI application."""
        peer = _address_of(environ.get("REMOTE_ADDR", ""))
        if peer is not None and self._trusts(peer):
            environ["REMOTE_ADDR"] = str(self._asker(peer, environ.get(FORWARDED, "")))
        return self._app(environ, start_response)

    def _asker(self, peer: Address, forwarded: str) -> Address:
        for said in reversed(forwarded.rsplit(",", MAX_HOPS)[-MAX_HOPS:]):
            told = _address_of(said.strip())
            if told is None:
                return peer
            peer = told
            if not self._trusts(peer):
                return peer
        return peer

    def _trusts(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def _address_of(text: str) -> Address | None:
    """An IPv4 address that comes as IPv6 is taken as what it is."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped
