"""The payout machine 打款/结算单 (money.md §2.4); its events are what becomes of its transfer."""

from __future__ import annotations

from sync_server.machines import Machine, Row

PAYOUT = Machine(
    "payout",
    {"SEALED": "已封账", "PAID": "已打款", "FAILED": "打款失败"},
    (
        Row(("SEALED", "FAILED"), "paid", "PAID", "the payout SUCCEEDED", "P6"),
        Row(("SEALED",), "failed", "FAILED", "the payout definitely failed, or lacks money", effects="tried again"),
    ),
)

# What a transfer's state says of its payout; an unknown outcome says nothing.
EVENTS = {"SUCCEEDED": "paid", "DEFINITE_FAIL": "failed", "INSUFFICIENT": "failed"}
