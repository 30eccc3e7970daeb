"""The order machines: ticket orders (money.md §2.4) and annual-pass orders (§2.5)."""

from __future__ import annotations

from sync_server.machines import Machine, Row

UNPAID = ("PENDING_PAYMENT", "PAY_FAILED")
"""May still be paid, cancelled, or run out of time."""
CLOSED_BEFORE_PAYMENT = ("CLOSED_UNPAID", "CANCELLED", "TIMED_OUT")
"""What arrives for one of these all the same is given back (P18)."""
AWAITING_ISSUE = ("PAID", "ISSUING")

_CLOSING = "no payment is under way: one that was is cancelled at the provider first"

TICKET_ORDER = Machine(
    "ticket order",
    {
        "PENDING_PAYMENT": "等待支付",
        "PAID": "支付成功",
        "ISSUE_FAILED": "出票失败",
        "ISSUED": "出票成功",
        "COMPLETED": "交易成功",
        "CLOSED_UNPAID": "交易关闭1",
        "CLOSED_REFUNDED": "交易关闭2",
    },
    (
        Row(("PENDING_PAYMENT",), "pay", "PENDING_PAYMENT", "before its deadline", "P2 pending", "the charge"),
        Row(
            ("PENDING_PAYMENT",),
            "held",
            "PENDING_PAYMENT",
            "the charge is INSUFFICIENT, or the prepaid balance does not cover it",
            effects="24 h for a top-up and 申请出票, counted from the first time",
        ),
        Row(("PENDING_PAYMENT",), "resumed", "PENDING_PAYMENT", "申请出票, or a person with a reason"),
        Row(
            ("PENDING_PAYMENT",),
            "paid",
            "PAID",
            "the charge SUCCEEDED; prepaid: the balance covers it",
            "P2; P2' at once",
            "stock is sold",
        ),
        Row(("PENDING_PAYMENT",), "cancelled", "CLOSED_UNPAID", _CLOSING, "void", "stock is free again"),
        Row(("PENDING_PAYMENT",), "timed_out", "CLOSED_UNPAID", _CLOSING, "void", "stock is free again"),
        Row(("CLOSED_UNPAID",), "paid_late", "CLOSED_UNPAID", books="P18", effects="all of it is given back"),
        Row(("PAID",), "issued", "ISSUED", "all tickets or none", effects="tokens, lists"),
        Row(
            ("PAID",),
            "issue_failed",
            "ISSUE_FAILED",
            "permission and reason, once issuing was tried for an hour",
            "P7 of every item, with all of the charge fee",
            "every item is CANCELLED REFUND_DUE; stock is free again; the distributor is told",
        ),
        Row(("ISSUE_FAILED",), "refunded", "CLOSED_REFUNDED", "every item is REFUNDED"),
        Row(("ISSUED",), "finished", "COMPLETED", "the last item ended, one at least was visited", "P10"),
        Row(("ISSUED",), "forfeited", "COMPLETED", "the last item ended, none was visited, one forfeited", "P10"),
        Row(("ISSUED",), "refunded", "CLOSED_REFUNDED", "every item is REFUNDED", "P10: nothing is left"),
        Row(("CLOSED_REFUNDED",), "refund_undone", "ISSUED", "two persons: a refund came back, or never was"),
        Row(("CLOSED_REFUNDED",), "unissued_refund_undone", "ISSUE_FAILED", "the same, where it was never issued"),
    ),
)

PASS_ORDER = Machine(
    "annual-pass order",
    {
        "PENDING_PAYMENT": "待支付",
        "PAY_FAILED": "支付失败",
        "CANCELLED": "已取消",
        "TIMED_OUT": "超时取消",
        "ISSUING": "出票中",
        "ISSUED": "出票成功",
        "ISSUE_FAILED": "出票失败",
        "REFUNDING": "退款中",
        "REFUNDED": "退款成功",
        "REFUND_FAILED": "退款失败",
    },
    (
        Row(UNPAID, "pay", "PENDING_PAYMENT", "before its deadline", "P17 pending", "the cashier"),
        Row(("PENDING_PAYMENT",), "pay_failed", "PAY_FAILED", "the payment failed for good", effects="may pay again"),
        Row(UNPAID, "cancelled", "CANCELLED", _CLOSING, "void", "stock and person are free again"),
        Row(UNPAID, "timed_out", "TIMED_OUT", _CLOSING, "void", "stock and person are free again"),
        *(
            Row((state,), "paid_late", state, books="P18", effects="all of it is given back")
            for state in ("CANCELLED", "TIMED_OUT")
        ),
        Row(UNPAID, "paid", "ISSUING", "the payment SUCCEEDED", "P17", "stock is sold"),
        Row(("ISSUING",), "issued", "ISSUED", "one live pass per person and product", effects="token, lists"),
        Row(("ISSUING",), "issue_failed", "ISSUE_FAILED", "tried for an hour", effects="refunded by itself"),
        Row(
            ("ISSUED", "ISSUE_FAILED"),
            "refund",
            "REFUNDING",
            "permission and reason, or ISSUE_FAILED; no renewal of it is bought; the pass is revoked",
            "Dr 2510 (4060 as far as earned; 4010 if it was never issued), Cr 2320; what is kept Cr 4050",
            "stock and person are free again",
        ),
        Row(("REFUND_FAILED",), "refund", "REFUNDING", "permission and reason", effects="the refund goes on"),
        Row(("REFUNDING",), "refund_failed", "REFUND_FAILED", "the refund definitely failed", effects="tried again"),
        Row(("REFUNDING", "REFUND_FAILED"), "refunded", "REFUNDED", "the refund SUCCEEDED", "Dr 2320, Cr 1010"),
        Row(("REFUNDED",), "refund_undone", "REFUND_FAILED", "two persons: the refund came back, or never was"),
    ),
)

APPLICATION = Machine(
    "application to issue",
    {"APPLIED": "待处理", "RUN": "已执行", "REFUSED": "已拒绝", "LAPSED": "已失效"},
    (
        Row(
            ("APPLIED",),
            "run",
            "RUN",
            "the balance covers the order; of a direct debit: at once",
            "P2'; of a direct debit P2 pending",
            "the order is paid, or charged again",
        ),
        Row(("APPLIED",), "refuse", "REFUSED", "an operator, with a reason", effects="the distributor may apply again"),
        Row(("APPLIED",), "lapse", "LAPSED", "the order is closed: cancelled, or its hold deadline is over"),
    ),
)

MACHINES = {"TICKET": TICKET_ORDER, "PASS": PASS_ORDER}

# (kind, state) -> 订单状态 as operators and visitors read it
WORDS = {(kind, state): word for kind, machine in MACHINES.items() for state, word in machine.words.items()}


def next_state(kind: str, state: str, event: str) -> str | None:
    """Where an event leads, or None where it has no place: then nothing changes."""
    return MACHINES[kind].next(state, event)
