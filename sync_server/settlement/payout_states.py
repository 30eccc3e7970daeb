"""The payout machine 打款/结算单 (money.md §2.4); most of its events are what becomes of its transfer."""

from __future__ import annotations

from sync_server.machines import Machine, Row

PAYOUT = Machine(
    "payout",
    {"OPEN": "收集中", "SEALED": "已封账", "PAID": "已打款", "FAILED": "打款失败", "REPLACED": "已改付"},
    (
        Row(
            ("OPEN",),
            "sealed",
            "SEALED",
            "the venue's day or week is over; PER_REDEMPTION: at its first line",
            "P6 pending; what is clawed back is netted (P16)",
            "the transfer",
        ),
        Row(("OPEN",), "nothing_to_pay", "PAID", "the same, and fees or claw-backs leave nothing", "P16"),
        Row(("SEALED", "FAILED"), "paid", "PAID", "the transfer SUCCEEDED", "P6"),
        Row(
            ("SEALED",),
            "failed",
            "FAILED",
            "the transfer definitely failed, lacks money, or was given up by two persons",
            effects="tried again, unless it was given up",
        ),
        Row(("PAID",), "undone", "FAILED", "two persons: it came back, or never was", "P6 reversed"),
        Row(
            ("FAILED",),
            "replaced",
            "REPLACED",
            "the transfer is VOID and nothing moved under it; a person, with a reason",
            effects="all lines move to a new payout, sealed at once, with a transfer of its own",
        ),
    ),
)

# What a transfer's state says of its payout; an unknown outcome says nothing.
EVENTS = {"SUCCEEDED": "paid", "DEFINITE_FAIL": "failed", "INSUFFICIENT": "failed", "VOID": "failed"}
