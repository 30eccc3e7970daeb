"""The service key, the only signing key a web process opens: receipts, and the time in the header Gate-Clock."""

from __future__ import annotations

from sync_server.centre import Centre
from sync_server.keys.pairs import SigningKey, open_service_key
from wire.envelope import NONCE_BYTES, sign_time

KEPT_MS = 10_000


class ServiceKey:
    """Keeps the opened key for KEPT_MS, so that a reply costs one signature and no look at the database."""

    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self._opened: tuple[int, SigningKey] | None = None

    def current(self) -> SigningKey:
        """The service key that signs now."""
        now_ms, opened = self._centre.now_ms(), self._opened
        if opened is None or not 0 <= now_ms - opened[0] < KEPT_MS:
            with self._centre.read() as connection:
                opened = (now_ms, open_service_key(connection, self._centre.secrets))
            self._opened = opened
        return opened[1]

    def clock_header(self, nonce_hex: str) -> str | None:
        """The time now, bound to the asker's nonce (wire.md §6); None for a request without a proper nonce."""
        try:
            nonce = bytes.fromhex(nonce_hex)
        except ValueError:
            return None
        if len(nonce) != NONCE_BYTES:
            return None
        key = self.current()
        return sign_time(self._centre.now_ms(), nonce, key.id, key.private)
