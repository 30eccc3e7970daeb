"""The pass code as a picture: a QR code of version 6 at level M, the quickest a camera reads (wire.md §2)."""

from __future__ import annotations

import io

import segno

QR_VERSION = 6
QUIET_ZONE_MODULES = 4


def qr_svg(token: str, scale: int = 4) -> str:
    """The code as an SVG element that can stand in a page; black on white, with its quiet zone."""
    code = segno.make_qr(token, version=QR_VERSION, error="m", mode="alphanumeric", boost_error=False)
    picture = io.BytesIO()
    code.save(picture, kind="svg", xmldecl=False, scale=scale, border=QUIET_ZONE_MODULES, dark="#000", light="#fff")
    return picture.getvalue().decode()
