"""Alipay's bills of a day: CSV files in GBK, most often in a zip, with lines of `#` around the table.

The bill of the account (signcustomer) has every change of the balance, fees as lines of their own; the bill of the
trades (trade) alone says which of our refund numbers a refund had. Columns are found by their names: Alipay adds some.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime

from sync_server.payments.alipay_signing import fen_of
from sync_server.payments.provider import CALENDAR, StatementLine

MAX_BILL_BYTES = 256 * 1024 * 1024  # unpacked: a million lines have half of that
ENCODING = "gb18030"  # GBK and what newer files add to it
KINDS = {"在线支付": "COLLECT", "交易付款": "COLLECT", "交易退款": "REFUND", "转账": "PAYOUT", "收费": "FEE"}
"""Alipay's 业务类型 as our kinds; others keep their own word. A fee is no movement: its line has the amount 0.

Alipay has one word for all that is paid to us: COLLECT stands for a CHARGE and a TOP_UP as well.
"""
FEE = "FEE"
COMMENT = b"#"
LINE_NUMBER, REFUND_NUMBER = "账务流水号", "退款批次号/请求号"
_OUR_NUMBER = re.compile(r"(?<![0-9a-f])([0-9a-f]{32})[_-]([0-9]{1,6})(?![0-9])")


class NotABill(ValueError):
    """The file is not what was asked for."""


def is_bill(file: bytes) -> bool:
    """Whether it begins as a bill does, packed or not."""
    return file.startswith((b"PK", COMMENT))


def read_bill(account: bytes, trades: bytes | None) -> tuple[StatementLine, ...]:
    """The lines of a day's account bill, in order; `trades`: the trades' bill, if there was any trade."""
    refunds = _refund_numbers(_rows(trades, REFUND_NUMBER)) if trades is not None else {}
    return tuple(_line(row, refunds) for row in _rows(account, LINE_NUMBER))


def our_number(text: str) -> str | None:
    """Our number in a text of Alipay, where `_` stands for `-`; None: there is none."""
    found = _OUR_NUMBER.search(text)
    return None if found is None else f"{found[1]}-{found[2]}"


def _rows(file: bytes, needed: str) -> Iterator[dict[str, str]]:
    """The table's rows by column name; the bill that was meant has the column `needed`."""
    try:
        text = (file if file.startswith(COMMENT) else _unpacked(file)).decode(ENCODING)
    except (zipfile.BadZipFile, UnicodeDecodeError, NotImplementedError) as error:
        raise NotABill(f"the bill cannot be unpacked: {error}") from error
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    table = csv.reader(lines)
    names = [name.strip() for name in next(table, [])]
    if names and needed not in names:
        raise NotABill(f"it has no column {needed}: is it another kind of bill?")
    for values in table:
        if len(values) < len(names):
            raise NotABill(f"a line of the bill has {len(values)} of {len(names)} columns")
        yield {name: value.strip() for name, value in zip(names, values, strict=False)}


def _unpacked(file: bytes) -> bytes:
    """Whichever file in the zip is the detailed one."""
    with zipfile.ZipFile(io.BytesIO(file)) as opened:
        parts = [one for one in opened.infolist() if "汇总" not in _name_of(one) and _name_of(one).endswith(".csv")]
        if len(parts) != 1 or parts[0].file_size > MAX_BILL_BYTES:
            raise NotABill(f"a bill holds one table of at most {MAX_BILL_BYTES} bytes, this one has {len(parts)}")
        return opened.read(parts[0])


def _name_of(part: zipfile.ZipInfo) -> str:
    """Names are in GBK, which zip knows nothing of."""
    return part.filename if part.flag_bits & 0x800 else part.filename.encode("cp437").decode(ENCODING, "replace")


def _refund_numbers(rows: Iterator[dict[str, str]]) -> dict[tuple[str, int], list[str]]:
    """Our numbers of the day's refunds by payment and amount: those of one payment and amount are worth the same."""
    numbers: defaultdict[tuple[str, int], list[str]] = defaultdict(list)
    for row in rows:
        if row.get("业务类型") == "退款" and (number := our_number(row.get(REFUND_NUMBER, ""))):
            numbers[row.get("商户订单号", ""), abs(_amount(row, "订单金额（元）"))].append(number)
    return numbers


def _line(row: Mapping[str, str], refunds: Mapping[tuple[str, int], list[str]]) -> StatementLine:
    try:
        at = datetime.strptime(row["发生时间"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=CALENDAR)
        kind = KINDS.get(row["业务类型"], row["业务类型"])
        number = our_number(row["商户订单号"]) or our_number(row.get("备注", ""))
        line_no = row[LINE_NUMBER]
    except (KeyError, ValueError) as error:
        raise NotABill(f"a line of the bill cannot be read: {error}") from error
    amount_fen = _amount(row, "收入金额（+元）") - abs(_amount(row, "支出金额（-元）"))
    fee_fen, original = 0, None
    if kind == FEE and amount_fen < 0:
        amount_fen, fee_fen = 0, -amount_fen
    if kind == "REFUND":
        original = our_number(row["商户订单号"])
        waiting = refunds.get((row["商户订单号"], abs(amount_fen)))
        number = waiting.pop(0) if waiting else None
    at_ms = int(at.timestamp()) * 1000
    if kind == "PAYOUT" and amount_fen > 0:  # one word for both ways
        kind = "SWEEP_IN" if number else row["业务类型"]
    reference = row.get("业务流水号") or None
    return StatementLine(line_no, number, kind, amount_fen, fee_fen, at_ms, reference, original_out_no=original)


def _amount(row: Mapping[str, str], column: str) -> int:
    text = row.get(column, "")
    fen = fen_of(text.replace("+", "")) if text else 0
    if fen is None:
        raise NotABill(f"{text!r} in the column {column} is no amount")
    return fen
