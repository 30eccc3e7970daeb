"""A device that asks on line, and what the centre wrote down of it."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from sync_server.redemptions.tables import entry, redemption
from tests.sync_server.device_api.box import Box, town_keys
from tests.sync_server.town import Town
from wire.redeem import REDEEM_FORMAT, Redeem, RedeemAnswer, ShownCard, encode_redeem, read_answer


class Handheld(Box):
    """A device that asks on line; each presentation is a request of its own."""

    def show(self, shown: str | ShownCard, request_id: int | None = None, **more: Any) -> RedeemAnswer:
        asked = Redeem(REDEEM_FORMAT, self.id_bytes(request_id), shown, **more)
        body = encode_redeem(asked)
        answer = self.ask("POST", "/device/v1/redeem", body)
        assert answer.status_code == 200, answer.json
        read = read_answer(answer.data, self.gate.device.id, body, town_keys(self.town), self.town.clock.now_ms)
        assert isinstance(read, RedeemAnswer), read
        return read

    def id_bytes(self, request_id: int | None) -> bytes:
        return (self.requests + 1_000 if request_id is None else request_id).to_bytes(16, "big")


def outcomes(town: Town) -> list[tuple[int, str]]:
    with town.centre.read() as connection:
        rows = connection.execute(sa.select(redemption.c.seq, redemption.c.outcome).order_by(redemption.c.seq))
        return [(row.seq, row.outcome) for row in rows]


def journal(town: Town) -> list[sa.Row[Any]]:
    with town.centre.read() as connection:
        return list(connection.execute(sa.select(entry).order_by(entry.c.seq)))
