"""The image captcha of the sign-in page: its text stays in the database, lives five minutes and serves once."""

from __future__ import annotations

import secrets

import sqlalchemy as sa
from captcha.image import ImageCaptcha
from sqlalchemy.engine import Connection

from sync_server.people.tables import captcha

CHARACTERS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # without 0 O 1 I, which look alike
LENGTH = 4
LIFETIME_MS = 5 * 60_000
MAX_OPEN_PER_ADDRESS = 60
WIDTH_PX, HEIGHT_PX = 264, 96  # shown at half of it
INK, GROUND = (12, 150, 126), (238, 245, 243)  # the library draws dark ink paler than bright ink

_painter = ImageCaptcha(WIDTH_PX, HEIGHT_PX, font_sizes=(64, 70, 76))


def open_captcha(connection: Connection, address: str, now_ms: int) -> tuple[str, str] | None:
    """A new one as (id, answer), clearing away the expired; None when the address has too many open."""
    connection.execute(captcha.delete().where(captcha.c.expires_at_ms <= now_ms))
    count = sa.select(sa.func.count()).select_from(captcha).where(captcha.c.address == address)
    if connection.execute(count).scalar_one() >= MAX_OPEN_PER_ADDRESS:
        return None
    row = {
        "id": secrets.token_hex(16),
        "answer": "".join(secrets.choice(CHARACTERS) for _ in range(LENGTH)),
        "address": address,
        "expires_at_ms": now_ms + LIFETIME_MS,
    }
    connection.execute(captcha.insert().values(row))
    return str(row["id"]), str(row["answer"])


def use_captcha(connection: Connection, captcha_id: str, text: str, now_ms: int) -> bool:
    """Was this its text? Right or wrong, it is used up."""
    taken = connection.execute(
        captcha.delete().where(captcha.c.id == captcha_id).returning(captcha.c.answer, captcha.c.expires_at_ms)
    ).one_or_none()
    return taken is not None and taken.expires_at_ms > now_ms and text.strip().upper() == taken.answer


def picture(answer: str) -> bytes:
    """The answer as a PNG that people read more easily than programs."""
    return _painter.generate(answer, bg_color=GROUND, fg_color=INK).getvalue()
