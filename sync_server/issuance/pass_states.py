"""The pass machine 年票状态 (money.md §2.6): stored is what a person decided; dates and the order tell the rest."""

from __future__ import annotations

from sync_server.machines import Machine, Row

STORED = ("ACTIVE", "SUSPENDED", "REVOKED", "NOT_BOUND")
"""In the words of wire.entitlement.PassStatus; the other states of the machine are derived (`derived`)."""
DATED = ("WAITING", "ACTIVE", "EXPIRED")

PASS = Machine(
    "pass",
    {
        "NOT_BOUND": "待激活",
        "WAITING": "待生效",
        "ACTIVE": "使用中",
        "EXPIRED": "已过期",
        "SUSPENDED": "已冻结",
        "REFUNDING": "退票中",
        "REFUNDED": "已退票",
        "REVOKED": "已作废",
    },
    (
        Row(("NOT_BOUND",), "bind", "WAITING", "a traveller is named"),
        Row(("WAITING",), "begins", "ACTIVE", "by its dates"),
        Row(("WAITING", "ACTIVE"), "ends", "EXPIRED", "by its dates"),
        Row(DATED, "suspend", "SUSPENDED", "permission and reason", effects="list delta"),
        Row(("SUSPENDED",), "resume", "ACTIVE", "permission and reason; by its dates", effects="list delta"),
        Row((*DATED, "SUSPENDED", "NOT_BOUND"), "revoke", "REVOKED", "permission and reason", effects="list delta"),
        Row(
            (*DATED, "SUSPENDED", "NOT_BOUND", "REVOKED"),
            "refund",
            "REFUNDING",
            "its order is REFUNDING",
            effects="revoked for good; a refund that fails keeps it so",
        ),
        Row(("REFUNDING",), "refunded", "REFUNDED", "its order is REFUNDED"),
    ),
)

# From stored status and event to stored status; what is not here is refused.
MOVES = {
    (status, event): after
    for status in STORED
    for event in ("suspend", "resume", "revoke")
    if (after := PASS.next(status, event)) is not None
}


def derived(status: str, order_state: str, not_before: int, not_after: int, now: int) -> str:
    """What a pass shows. Minutes as in tokens, the validity half-open."""
    if status == "REVOKED":
        return {"REFUNDING": "REFUNDING", "REFUND_FAILED": "REFUNDING", "REFUNDED": "REFUNDED"}.get(order_state, status)
    if status != "ACTIVE":
        return status
    return "WAITING" if now < not_before else "ACTIVE" if now < not_after else "EXPIRED"
