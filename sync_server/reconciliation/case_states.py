"""The machine of a reconciliation case 对账差异: a difference that somebody has to explain."""

from __future__ import annotations

from sync_server.machines import Machine, Row

OPEN = ("OPEN", "ASSIGNED")

CASE = Machine(
    "reconciliation case",
    {"OPEN": "待认领", "ASSIGNED": "处理中", "RESOLVED": "已解决"},
    (
        Row(OPEN, "assign", "ASSIGNED", "an operator, with the permission", effects="audit"),
        Row(OPEN, "explain", "RESOLVED", "no money is unexplained; a note", effects="audit"),
        Row(
            OPEN,
            "offset",
            "RESOLVED",
            "another open case in suspense has the opposite amount",
            effects="audit; what moved after it was given up came back, and may be made again",
        ),
        Row(
            OPEN,
            "write_off",
            "RESOLVED",
            "two persons",
            "1310, or the clearing account, against 5090, 5010, 1030; a payout made twice: 1310 against its venue's "
            "1220; a payment made twice: 1310 against 2310 or 2320, and its refund; a DOUBLE_LINE that moved nothing: "
            "1310 against the clearing account",
            "against 5090, 5010 or 1030: what moved after it was given up is settled, and may be made again",
        ),
        Row(
            OPEN,
            "accept",
            "RESOLVED",
            "two persons: what moved after it was given up is what the transfer was to move",
            "1310 against what the transfer is for",
            "the transfer SUCCEEDED; that it was given up is settled, what else moved under it is DOUBLE_PAID; where "
            "another amount moved the case stays open, as AMOUNT_OFF of what differs",
        ),
        Row(
            OPEN,
            "match",
            "RESOLVED",
            "a later statement or a later answer explains it, or two persons: by it a sweep came back, or a transfer "
            "of which another amount moved is done, or given up",
            "1310 is cleared of it; of another amount what differs stays",
        ),
    ),
)
