"""Why an order is not taken, and what the visitor reads then (features U4)."""

from __future__ import annotations

from dataclasses import dataclass

from sync_server.catalog.stock import OutOfStock


@dataclass(frozen=True)
class Unfit:
    """The order cannot be taken as asked; the reason is for the person who asked."""

    reason: str


@dataclass(frozen=True)
class AlreadyHeld:
    """This person has an open order or a live pass of this product."""

    holder_name: str


@dataclass(frozen=True)
class NotEligible:
    """The product is not sold to this person; who knows better calls the hotline."""

    holder_name: str
    hotline: str | None


@dataclass(frozen=True)
class PriceChanged:
    """All of it costs this now, not what was expected: the buyer confirms it by asking again."""

    now_fen: int


Refusal = OutOfStock | Unfit | AlreadyHeld | NotEligible | PriceChanged


def words_zh(refusal: Refusal) -> str:
    """The visitor's sentence, as the manual has it."""
    match refusal:
        case OutOfStock():
            return "活动火爆，库存紧张，正在增加库存..."
        case AlreadyHeld():
            return "该游客已办理本年票"
        case NotEligible():
            call = "" if refusal.hotline is None else f"，请致电 {refusal.hotline}"
            return f"您暂不符合本年票办理条件{call}"
        case PriceChanged():
            return f"价格已变为 {refusal.now_fen // 100}.{refusal.now_fen % 100:02d} 元，请确认后重新提交"
        case Unfit():
            return refusal.reason
