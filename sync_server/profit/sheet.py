"""The profit report of combo tickets 联票利润报表 as a sheet, in any of the formats."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from sync_server.profit.report import Month, OrderProfit
from sync_server.sheets.sheet import Column, Kind, Sheet, local_time

COLUMNS = {
    "product_number": Column("产品", Kind.TEXT, 6),
    "order_number": Column("订单号", Kind.TEXT, 24),
    "dist_price_fen": Column("经销商结算价", Kind.FEN, 13),
    "charge_fee_fen": Column("扣款手续费", Kind.FEN, 11),
    "payout_fee_fen": Column("打款手续费", Kind.FEN, 11),
    "margin_fen": Column("票务差价", Kind.FEN, 11),
    "yield_fen": Column("理财收益", Kind.FEN, 11),
    "breakage_fen": Column("逾期不退", Kind.FEN, 11),
    "honoured_fen": Column("认可付款", Kind.FEN, 11),
    "loss_fen": Column("理财亏损", Kind.FEN, 11),
    "profit_fen": Column("利润", Kind.FEN, 11),
}


def profit_sheet(month: Month, orders: Iterable[OrderProfit], zone: ZoneInfo, now_ms: int) -> Sheet:
    """One line per order that earned or cost something in the month; expenses stand below 0."""
    rows = [tuple(getattr(one, name) for name in COLUMNS) for one in orders]
    facts = (("期间", month.name), ("笔数", str(len(rows))), ("生成时间", local_time(now_ms, zone)))
    return Sheet(f"联票利润报表 {month.name}", facts, tuple(COLUMNS.values()), rows, now_ms, zone)
