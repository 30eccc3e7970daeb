"""Holders' photos: any picture made small and plain, kept sealed, gone with the pass it belongs to."""

from __future__ import annotations

import base64
import io
import warnings

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import crypto
from sync_server.audit.log import record
from sync_server.centre import Centre
from sync_server.db import new_id
from sync_server.errors import NotAllowedError
from sync_server.issuance.passes import find_pass
from sync_server.issuance.tables import pass_photo
from wire import moments
from wire.photo import MAX_PICTURE_BYTES

FORMATS = ("JPEG", "PNG")
MAX_FILE_BYTES = 10 * 1024 * 1024
MAX_SIDE_PX = 8_000
MAX_PIXELS = 30_000_000
KEPT_PX = (360, 450)
"""Four to five, as the staff screen shows it."""
QUALITIES = (85, 75, 65, 55, 45, 35, 25)
KEPT_AFTER_END_MINUTES = 24 * 60
"""Shorter than a pass stays in the lists, so that these still say that its photo is gone."""
MAX_FORGOTTEN = 1_000
_FIELD = "pass_photo.photo_sealed"


def small_picture(file: bytes) -> bytes:
    """The picture as a plain JPEG of at most MAX_PICTURE_BYTES, upright, with nothing else that the file carried.

    NotAllowedError: the file is no JPEG or PNG, too large, or broken; the text says which.
    """
    from PIL import Image, ImageOps  # the web processes never need it

    if len(file) > MAX_FILE_BYTES:
        raise NotAllowedError(f"a photo's file has at most {MAX_FILE_BYTES} bytes, not {len(file)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(file), formats=FORMATS)
        width, height = picture.size
        if max(width, height) > MAX_SIDE_PX or width * height > MAX_PIXELS:
            raise NotAllowedError(f"the picture has {width} x {height} pixels: make it smaller")
        upright = ImageOps.exif_transpose(picture).convert("RGB")
    except NotAllowedError:
        raise
    except Exception as error:  # a hostile file may break a decoder in any way
        raise NotAllowedError("this is no JPEG or PNG picture that can be read") from error
    upright.thumbnail(KEPT_PX)
    plain = Image.new("RGB", upright.size)
    plain.paste(upright)
    for quality in QUALITIES:
        made = io.BytesIO()
        plain.save(made, "JPEG", quality=quality, optimize=True)
        if made.tell() <= MAX_PICTURE_BYTES:
            return made.getvalue()
    raise NotAllowedError("the picture cannot be made small enough: it is noise")


def put_photo(centre: Centre, number: str, file: bytes, actor: str) -> int:
    """Keep a photo for the pass with this number, in place of the one it had; how many bytes it came to."""
    picture = small_picture(file)
    now_ms = centre.now_ms()
    with centre.write() as connection:
        row = find_pass(connection, number)
        if row.status == "REVOKED":
            raise NotAllowedError(f"the pass {row.number} is REVOKED: it needs no photo")
        photo_id = new_id(now_ms)
        sealed = crypto.seal(centre.secrets, _FIELD, str(photo_id), base64.b64encode(picture).decode())
        values = {"id": photo_id, "photo_sealed": sealed, "put_at_ms": now_ms, "due": True}
        values["delete_at_minute"] = row.not_after + KEPT_AFTER_END_MINUTES
        if connection.execute(pass_photo.update().where(_of(row.id)).values(values)).rowcount == 0:
            connection.execute(pass_photo.insert().values(pass_id=row.id, **values))
        record(connection, now_ms, actor, "pass.photo", f"pass:{row.number}", {"bytes": len(picture)})
    return len(picture)


def remove_photo(centre: Centre, number: str, actor: str) -> bool:
    """Forget a pass's photo, here and then at every gate; False when it has none."""
    with centre.write() as connection:
        row = find_pass(connection, number)
        held = forget_photo(connection, row.id)
        if held:
            record(connection, centre.now_ms(), actor, "pass.photo_removed", f"pass:{row.number}", {})
    return held


def forget_photo(connection: Connection, pass_id: bytes) -> bool:
    """Drop the picture now; its row stays until the gates' copies are gone. False when there is none."""
    held = sa.and_(_of(pass_id), pass_photo.c.photo_sealed.is_not(None))
    return connection.execute(pass_photo.update().where(held).values(photo_sealed=None, due=True)).rowcount == 1


def picture_of(connection: Connection, secrets: crypto.Secrets, pass_id: bytes) -> bytes | None:
    """The JPEG of a pass, or None."""
    row = connection.execute(sa.select(pass_photo).where(_of(pass_id))).one_or_none()
    if row is None or row.photo_sealed is None:
        return None
    return base64.b64decode(crypto.unseal(secrets, _FIELD, str(row.id), row.photo_sealed))


def forget_ended_photos(centre: Centre) -> int:
    """Worker step: drop the photos of passes that ended a day ago; how many. Those of revoked ones went at once."""
    now_minute = moments.minute_floor(centre.now_ms())
    ended = pass_photo.c.delete_at_minute <= now_minute
    over = sa.select(pass_photo.c.pass_id).where(ended, pass_photo.c.photo_sealed.is_not(None)).limit(MAX_FORGOTTEN)
    if not centre.finds(over):
        return 0
    with centre.write() as connection:
        mine = pass_photo.c.pass_id.in_(over)
        return connection.execute(pass_photo.update().where(mine).values(photo_sealed=None, due=True)).rowcount


def _of(pass_id: bytes) -> sa.ColumnElement[bool]:
    return pass_photo.c.pass_id == pass_id
