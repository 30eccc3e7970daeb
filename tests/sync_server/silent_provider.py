"""What fakes of a payment provider have in common that only move money: they never speak unasked and keep no book."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from sync_server.payments.provider import Notice, StatementLine, Unclear


class SilentProvider:
    """Half of `payments.provider.Provider`; a fake adds send, query and cancel."""

    def statement(self, day: date) -> tuple[StatementLine, ...] | Unclear:
        return Unclear(f"nobody keeps a statement of {day} here")

    def read_notice(self, headers: Mapping[str, str], body: bytes) -> Notice | None:
        raise AssertionError(f"nobody sends notices here: {headers} {body!r}")

    def close(self) -> None:
        """It has no connections."""
