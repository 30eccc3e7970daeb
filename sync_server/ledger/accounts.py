"""The chart of accounts (money.md §3), and the name of one account: a code, and whom or what it is kept for."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

# code -> (what it holds, in English and Chinese)
CHART = {
    "1010": ("platform clearing", "平台清算户"),
    "2110": ("held ticket money, venue part", "代保管票款"),
    "2120": ("deferred margin", "待确认差价"),
    "2210": ("venue payable", "应付景区款"),
    "2510": ("deferred pass income", "递延年票收入"),
    "4010": ("charge fee", "扣款手续费收入"),
    "4020": ("payout fee", "打款手续费收入"),
    "4030": ("ticket margin", "票务差价收入"),
}
OWNED_CODES = frozenset({"2110", "2120", "2210", "2510"})


@dataclass(frozen=True)
class Account:
    """`owner` is the item (2110), order (2120, 2510) or venue (2210); the others have none."""

    code: str
    owner: UUID | None = None

    def __post_init__(self) -> None:
        if self.code not in CHART or (self.code in OWNED_CODES) != (self.owner is not None):
            raise ValueError(f"no such account: {self.name} (see the chart in {__name__})")

    @property
    def name(self) -> str:
        return self.code if self.owner is None else f"{self.code}:{self.owner.hex}"
