"""The chart of accounts (money.md §3), and the name of one account: a code, and whom or what it is kept for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID


class Kept(NamedTuple):
    """What a code holds, in English and Chinese, what its accounts are kept for (None: there is one), its kind."""

    english: str
    chinese: str
    owner: str | None = None

    # `covered`: what is owed may not be paid out twice: credits never fall below debits, pending debits counted (I9).
    covered: bool = False


# By their first digit: 1 assets, 2 what is owed to others, 3 capital, 4 income, 5 expenses.
CHART = {
    "1010": Kept("platform clearing, Alipay", "平台清算户（支付宝）"),
    "1020": Kept("platform clearing, Huijinbao", "平台清算户（汇金宝）"),
    "1030": Kept("bank, off-line remittances", "银行存款（线下汇款）"),
    "1090": Kept("own transfers in transit", "在途资金"),
    "1110": Kept("wealth product at cost", "理财（成本）", "order"),
    "1220": Kept("venue receivable, claw-back", "应收景区款", "venue"),
    "1310": Kept("suspense", "待查款项"),
    "2010": Kept("prepaid by distributors", "经销商预存款", "distributor", covered=True),
    "2110": Kept("held ticket money, venue part", "代保管票款", "item", covered=True),
    "2120": Kept("deferred margin", "待确认差价", "order", covered=True),
    "2210": Kept("venue payable", "应付景区款", "venue", covered=True),
    "2310": Kept("refunds payable to distributors", "应退经销商款", "distributor", covered=True),
    "2320": Kept("refunds payable to visitors", "应退游客款", "order", covered=True),
    "2410": Kept("profit shares payable", "应付分润", "partner", covered=True),
    "2510": Kept("deferred pass income", "递延年票收入", "order", covered=True),
    "3010": Kept("profit appropriated", "已分配利润"),
    "4010": Kept("charge fee", "扣款手续费收入"),
    "4020": Kept("payout fee", "打款手续费收入"),
    "4030": Kept("ticket margin", "票务差价收入"),
    "4040": Kept("fund yield", "理财收益"),
    "4050": Kept("breakage", "逾期不退收入"),
    "4060": Kept("pass income", "年票收入"),
    "5010": Kept("provider fees", "通道手续费"),
    "5020": Kept("honoured late or double redemptions", "认可的迟到、重复核销"),
    "5030": Kept("fund loss", "理财亏损"),
    "5040": Kept("cost of pass visits", "年票入园成本"),
    "5090": Kept("write-off", "核销损失"),
}
OWNED_CODES = frozenset(code for code, kept in CHART.items() if kept.owner is not None)
COVERED_CODES = tuple(code for code, kept in CHART.items() if kept.covered)


@dataclass(frozen=True)
class Account:
    """`owner` is the id of what the chart says that the code is kept for."""

    code: str
    owner: UUID | None = None
    name: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        name = self.code if self.owner is None else f"{self.code}:{self.owner.hex}"
        object.__setattr__(self, "name", name)  # asked for again and again, and the rest never changes
        if self.code not in CHART or (self.code in OWNED_CODES) != (self.owner is not None):
            raise ValueError(f"no such account: {self.name} (see the chart in {__name__})")
