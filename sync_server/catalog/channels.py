"""Sales channels 渠道: data, seeded once; an order names the one it came through."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.audit.log import record
from sync_server.bulk import insert_missing
from sync_server.catalog.tables import channel
from sync_server.errors import NotAllowedError, NotFoundError

OTHER = "其他"
SEEDED = (
    ("汴捷办app", "Bianjieban app"),
    ("汴京通公众号", "Bianjingtong (WeChat)"),
    ("云闪付app", "UnionPay app"),
    ("人社公众号", "Social Security (WeChat)"),
    ("放新办公众号", "Fangxinban (WeChat)"),
    (OTHER, "Other"),
)
MAX_NAME = 32
MAX_REFUND_HOLD_H = 720


def seed_channels(connection: Connection) -> None:
    """Write those that are not there."""
    rows = [
        {"name": name, "name_en": name_en, "position": position, "open": True}
        for position, (name, name_en) in enumerate(SEEDED, 1)
    ]
    insert_missing(connection, channel, rows)


def all_channels(connection: Connection) -> Sequence[sa.Row[Any]]:
    """In their order, closed ones too."""
    return connection.execute(sa.select(channel).order_by(channel.c.position, channel.c.name)).all()


def takes_orders(connection: Connection, name: str) -> bool:
    """Whether an order may come through it."""
    return connection.scalar(sa.select(channel.c.open).where(channel.c.name == name)) is True


def add_channel(connection: Connection, name: str, name_en: str, now_ms: int, actor: str) -> None:
    """A further one, behind the others."""
    for text in (name, name_en):
        if not 0 < len(text) <= MAX_NAME or not text.isprintable():
            raise NotAllowedError(f"a channel's name has 1 to {MAX_NAME} printable characters")
    last = connection.scalar(sa.select(sa.func.max(channel.c.position))) or 0
    row = {"name": name, "name_en": name_en, "position": last + 1, "open": True}
    if not insert_missing(connection, channel, [row]):
        raise NotAllowedError(f"there is a channel {name} already")
    record(connection, now_ms, actor, "channel.add", f"channel:{name}", {"name_en": name_en})


def set_refund_hold(connection: Connection, name: str, hours: int, now_ms: int, actor: str) -> None:
    """Say how long refunds of what came through it wait at most for gates; those asked for already keep theirs."""
    if not 1 <= hours <= MAX_REFUND_HOLD_H:
        raise NotAllowedError(f"a refund waits 1 to {MAX_REFUND_HOLD_H} hours for gates, not {hours}")
    if not connection.execute(channel.update().where(channel.c.name == name).values(refund_hold_h=hours)).rowcount:
        raise NotFoundError(f"there is no channel {name!r}")
    record(connection, now_ms, actor, "channel.refund_hold", f"channel:{name}", {"hours": hours})


def set_open(connection: Connection, name: str, is_open: bool, now_ms: int, actor: str) -> None:
    """Close a channel for new orders, or open it again; the orders that came through it keep its name."""
    if not connection.execute(channel.update().where(channel.c.name == name).values(open=is_open)).rowcount:
        raise NotFoundError(f"there is no channel {name!r}")
    record(connection, now_ms, actor, "channel.open" if is_open else "channel.close", f"channel:{name}", {})
