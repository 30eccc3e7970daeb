"""The agent's tools for a look from outside: codes in pictures, tokens from a stream, the journal as lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from wire import presentation, token
from wire.keyset import KeySet
from wire.messages import Entry
from wire.presentation import FullCode, ShortCode, StaticCode, read_presentation
from wire.reasons import Reason
from wire.token import Claims, Place, Token

MAX_LINE_BYTES = 4_096
"""Of a longer line only this much is looked at; no code is nearly as long."""
_CODE_KINDS = {StaticCode: "static", ShortCode: "short", FullCode: "full"}


def read_picture(path: Path, now_ns: Callable[[], int]) -> dict[str, object]:
    """The codes in a picture, and how long that took; `error` in place of codes for what is no picture."""
    from hardware import DeviceFault
    from hardware.camera_sources import read_gray
    from hardware.qr import read_picture as codes_in

    began_ns = now_ns()
    try:
        codes = [code.text for code in codes_in(read_gray(path))]
    except DeviceFault as fault:
        return {"file": str(path), "codes": [], "ms": 0.0, "error": str(fault)}
    return {"file": str(path), "codes": codes, "ms": round((now_ns() - began_ns) / 1e6, 3)}


def lines_of(stream: IO[bytes]) -> Iterator[str]:
    """The lines of any bytes, empty ones and a last one without an end included; of a huge one its beginning."""
    while piece := stream.readline(MAX_LINE_BYTES):
        line = piece
        while not piece.endswith(b"\n"):  # the rest of a long line is read and dropped
            piece = stream.readline(MAX_LINE_BYTES)
            if not piece:
                break
        yield line.removesuffix(b"\n").removesuffix(b"\r").decode("ascii", "surrogateescape")


def judge_token(text: str, keys: KeySet, place: Place, now_ms: int) -> dict[str, object]:
    """What the gate's own reading of a code comes to; the list, and with it a short code's key, has no say here."""
    code = read_presentation(text)
    signed = token.take_apart(text) if isinstance(code, StaticCode) else code
    reading: Claims | Reason
    claims = signed.claims if isinstance(signed, FullCode | Token) and signed.is_genuine(keys) else None
    if isinstance(signed, Token):
        reading = signed.read(keys, place, now_ms)
    elif isinstance(signed, FullCode):
        reading = presentation.read_full(signed, keys, place, now_ms)
        if isinstance(reading, Claims) and abs(signed.step - presentation.step_at(now_ms)) > 1:
            reading = Reason.CODE_TOO_OLD
    else:
        reading = Reason.NEEDS_FULL_CODE if isinstance(signed, ShortCode) else signed
    return {
        "ok": isinstance(reading, Claims),
        "reason": None if isinstance(reading, Claims) else reading,
        "pass": None if claims is None else claims.pass_id.hex(),
        "kind": _CODE_KINDS.get(type(code)),
    }


def exported(entry: Entry, chained: bytes) -> dict[str, object]:
    """An entry as the export writes it; docs/journal.md explains the fields."""
    return {
        "seq": entry.seq,
        "kind": entry.kind.name.lower(),
        "at_ms": entry.device_at_ms,
        "trust": entry.trust.name.lower(),
        "monotonic_ms": entry.monotonic_ms,
        "list": [entry.list_epoch, entry.list_version],
        "lane": entry.lane,
        "presentation": entry.presentation.name.lower(),
        "pass": _hex(entry.pass_id),
        "evidence": _hex(entry.evidence),
        "ref_seq": entry.ref_seq,
        "reason": entry.reason,
        "who": entry.who,
        "hash": chained.hex(),
    }


def line(told: dict[str, object]) -> str:
    """One line of JSON."""
    return json.dumps(told, ensure_ascii=False, separators=(",", ":"))


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()
