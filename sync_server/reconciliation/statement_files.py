"""A day's statement in files that somebody downloaded: JSON lines, or Alipay's own bills (docs/operate.md)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from sync_server.errors import NotAllowedError
from sync_server.money import MAX_FEN
from sync_server.payments.alipay_bill import MAX_BILL_BYTES, NotABill, is_bill, read_bill
from sync_server.payments.provider import StatementLine, day_of
from sync_server.reconciliation.statements_in import bounds

MAX_FILE_BYTES = 512 * 1024 * 1024
MAX_AT_MS = 4_102_444_800_000  # the year 2100
BESIDE_MS = 12 * 3_600_000
"""So far from its day a line may lie: enough for what a provider lists late, too little for the next day's file."""

Word = Annotated[str, Meta(min_length=1, max_length=32, pattern="^[^\\x00]*$")]
Number = Annotated[str, Meta(min_length=1, max_length=64, pattern="^[^\\x00]*$")]


class FileLine(msgspec.Struct, forbid_unknown_fields=True):
    """One line of a file; see `payments.provider.StatementLine`."""

    line_no: Number
    kind: Word
    amount_fen: Annotated[int, Meta(ge=-MAX_FEN, le=MAX_FEN)]
    at_ms: Annotated[int, Meta(ge=0, le=MAX_AT_MS)]
    fee_fen: Annotated[int, Meta(ge=0, le=MAX_FEN)] = 0
    out_no: Number | None = None
    provider_ref: Number | None = None
    account_ref: Number | None = None
    original_out_no: Number | None = None


def read_file(provider: str, day: date, file: Path, trades: Path | None = None) -> list[StatementLine]:
    """The lines of a day's statement; `trades`: Alipay's bill of the trades, beside that of the account.

    NotAllowedError names the line that cannot be read, or cannot be of that day.
    """
    data = _content(file, MAX_FILE_BYTES)
    if is_bill(data):
        if provider != "ALIPAY":
            raise NotAllowedError(f"{file} is a bill of Alipay's, not of {provider}'s")
        lines = _bill_lines(file, data, trades)
    elif trades is not None:
        raise NotAllowedError(f"{file} is no bill of Alipay's: --trades goes with one alone")
    else:
        lines = list(_json_lines(file, data))
    from_ms, to_ms = bounds(day)
    for line in lines:
        if not from_ms - BESIDE_MS <= line.at_ms < to_ms + BESIDE_MS:
            raise NotAllowedError(
                f"{file}: the line {line.line_no!r} is of {day_of(line.at_ms)}, this is no statement of {day}"
            )
    return lines


def _content(file: Path, max_bytes: int) -> bytes:
    try:
        if file.stat().st_size > max_bytes:
            raise NotAllowedError(f"{file} is larger than {max_bytes} bytes")
        return file.read_bytes()
    except OSError as error:
        raise NotAllowedError(f"{file} cannot be read: {error.strerror}") from error


def _json_lines(file: Path, data: bytes) -> Iterator[StatementLine]:
    decoder = msgspec.json.Decoder(FileLine)
    for number, text in enumerate(data.splitlines(), start=1):
        if not text.strip():
            continue
        try:
            yield StatementLine(**msgspec.structs.asdict(decoder.decode(text)))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise NotAllowedError(f"line {number} of {file} cannot be read: {error}") from error


def _bill_lines(file: Path, data: bytes, trades: Path | None) -> list[StatementLine]:
    try:
        lines = list(read_bill(data, None if trades is None else _content(trades, MAX_BILL_BYTES)))
    except NotABill as error:
        raise NotAllowedError(f"{file}{f' or {trades}' if trades else ''}: {error}") from error
    if trades is None and any(line.kind == "REFUND" for line in lines):
        raise NotAllowedError(
            f"{file} has refunds: their numbers are in that day's bill of the trades, give --trades too"
        )
    return lines
