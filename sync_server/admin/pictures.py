"""QR codes that only the operators' pages draw."""

from __future__ import annotations

import io

import segno


def enrolment_qr(base_url: str, code: str) -> str:
    """What a gate's own scanner reads in its enrolment mode: the centre's address and the one-time code, two lines."""
    picture = io.BytesIO()
    segno.make_qr(f"{base_url}\n{code}", error="m").save(
        picture, kind="svg", xmldecl=False, scale=4, border=0, dark="#14202b", light="#fff"
    )
    return picture.getvalue().decode()
