"""The order machines as tables: ticket orders (money.md §2.4) and annual-pass orders (§2.5)."""

from __future__ import annotations

from typing import NamedTuple


class Transition(NamedTuple):
    """An order of this kind in this state goes on this event to the next."""

    kind: str
    state: str
    event: str
    next: str


TRANSITIONS = (
    Transition("TICKET", "PENDING_PAYMENT", "paid", "PAID"),
    Transition("TICKET", "PAID", "issued", "ISSUED"),
    Transition("TICKET", "ISSUED", "finished", "COMPLETED"),
    Transition("PASS", "PENDING_PAYMENT", "paid", "ISSUING"),
    Transition("PASS", "ISSUING", "issued", "ISSUED"),
)

# (kind, state) -> 订单状态 as operators and visitors read it
WORDS = {
    ("TICKET", "PENDING_PAYMENT"): "等待支付",
    ("TICKET", "PAID"): "支付成功",
    ("TICKET", "ISSUED"): "出票成功",
    ("TICKET", "COMPLETED"): "交易成功",
    ("PASS", "PENDING_PAYMENT"): "待支付",
    ("PASS", "ISSUING"): "出票中",
    ("PASS", "ISSUED"): "出票成功",
}

AWAITING_ISSUE = ("PAID", "ISSUING")


def next_state(kind: str, state: str, event: str) -> str | None:
    """Where an event leads, or None where it has no place: then nothing changes."""
    found = (row.next for row in TRANSITIONS if (row.kind, row.state, row.event) == (kind, state, event))
    return next(found, None)
