"""A statement as a sheet that people keep, in any of the formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy.engine import Connection

from sync_server.money import yuan
from sync_server.sheets.csv_file import csv_bytes
from sync_server.sheets.pdf_file import pdf_bytes
from sync_server.sheets.sheet import Column, Kind, Sheet, local_time
from sync_server.sheets.xlsx_file import xlsx_bytes
from sync_server.statements.numbered import find, rows_of

TITLES = {"VENUE": "景区财务报表", "DISTRIBUTOR": "经销商财务报表"}
# What a line is about, by the first word of its ledger key.
SUBJECTS = {
    "charge": "扣款",
    "chargeback": "退款后入园扣款",
    "late": "订单关闭后到账",
    "topup": "充值",
    "paidback": "退还预存款",
    "redeem": "核销",
    "honour": "认可核销",
    "visit": "年票入园",
    "returned": "年票入园退回",
    "pool": "年票分成",
    "expire": "应退票款",
    "clawback": "退回已游玩票款",
    "case": "重复付款",
    "netting": "抵扣",
    "repaid": "归还欠款",
    "writeoff": "核销欠款",
    "refund": "退款",
    "reverse": "冲回",
    "payout": "打款",
    "pass": "年票",
}
COLUMNS = (
    Column("时间", Kind.MOMENT, 19),
    Column("事项", Kind.TEXT, 10),
    Column("订单号", Kind.TEXT, 22),
    Column("票号", Kind.TEXT, 22),
    Column("票价", Kind.FEN, 11),
    Column("手续费", Kind.FEN, 10),
    Column("净额", Kind.FEN, 14),
    Column("收付", Kind.FEN, 14),
    Column("结算单号", Kind.TEXT, 20),
    Column("通道流水号", Kind.TEXT, 22),
)


def sheet_of(connection: Connection, number: str, zone: ZoneInfo) -> Sheet:
    """The sheet of a statement. 净额: what the platform owes the party more; 收付: paid to it, below 0 by it."""
    head = find(connection, number)
    facts = (
        ("报表编号", head.number),
        ("机构", f"{head.name_zh}（{head.org_number}）"),
        ("期间", f"{head.from_day} 至 {head.to_day}"),
        ("期初应付余额", yuan(head.opening_fen)),
        ("期末应付余额", yuan(head.closing_fen)),
        ("笔数", str(head.lines)),
        ("生成时间", local_time(head.made_at_ms, zone)),
    )
    rows = [
        (
            row.at_ms,
            SUBJECTS.get(row.txn_key.split(":")[0], "其他"),
            row.order_number,
            row.ticket_number,
            row.price_fen,
            row.fee_fen,
            row.owed_fen,
            row.moved_fen,
            row.payout_number,
            row.provider_ref,
        )
        for row in rows_of(connection, head.id)
    ]
    return Sheet(f"{TITLES[head.kind]} {head.number}", facts, COLUMNS, rows, head.made_at_ms, zone)


def writers(font_file: Path) -> Mapping[str, Callable[[Sheet], bytes]]:
    """Format -> how a sheet is written in it."""
    return {"xlsx": xlsx_bytes, "csv": csv_bytes, "pdf": lambda sheet: pdf_bytes(sheet, font_file)}
