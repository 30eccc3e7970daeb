"""The machine of an order item at its venue 景区状态: usage × money (money.md §2.3), and the words it is shown with.

A state is "<usage> <money>", with "hold" behind while a refund is asked for, or "clawback" once a visit that was paid
is refunded. None is stored: `settlement.item_status` derives it from the claim, the hold, the payout, the refund and
the claw-back. The events are what happens to those.
"""

from __future__ import annotations

from collections.abc import Iterable

from sync_server.machines import Machine, Row

USAGE_WORDS = {
    "INACTIVE": "待激活",
    "READY": "待游玩",
    "USED": "已游玩",
    "EXPIRED": "已失效",
    "CANCELLED": "已取消",
}
MONEY_WORDS = {
    "HELD": "待处理",
    "DUE": "待结算",
    "SETTLING": "结算中",
    "SETTLE_FAILED": "结算失败",
    "SETTLED": "已结算",
    "REFUND_DUE": "待退款",
    "REFUNDING": "退款中",
    "REFUND_FAILED": "退款失败",
    "REFUNDED": "已退款",
    "FORFEIT": "逾期不退",
}
MARK_WORDS = {"hold": "退款待处理", "clawback": "游玩后退款"}

OPEN = ("INACTIVE HELD", "READY HELD")
ASKED = ("INACTIVE HELD hold", "READY HELD hold")
PAYOUT = ("DUE", "SETTLING", "SETTLE_FAILED", "SETTLED")
REFUND = ("REFUND_DUE", "REFUNDING", "REFUND_FAILED", "REFUNDED")
STATES = (
    *OPEN,
    *ASKED,
    *(f"USED {money}" for money in PAYOUT),
    *(f"USED {money} clawback" for money in PAYOUT),
    *(f"EXPIRED {money}" for money in (*REFUND, "FORFEIT")),
    *(f"CANCELLED {money}" for money in REFUND),
)


def _words(state: str) -> str:
    usage, money, *marks = state.split()
    return "，".join([USAGE_WORDS[usage], MARK_WORDS[marks[0]] if marks else MONEY_WORDS[money]])


def _refund_rows(usage: str) -> Iterable[Row]:
    due, under_way, failed, done = (f"{usage} {money}" for money in REFUND)
    yield Row((due,), "refund_sent", under_way, "the refund is SENT")
    yield Row(
        (due, under_way), "refund_failed", failed, "the refund definitely failed, or lacks money", effects="alarm"
    )
    yield Row((under_way, failed), "refund_ok", done, "the refund SUCCEEDED", "P8")
    yield Row((done,), "refund_undone", failed, "two persons: it came back, or never was", "P8 reversed")
    yield Row((due,), "refund_credited", done, "the order was prepaid: in the same transaction", "P8 to 2010")


def _payout_rows(mark: str = "") -> Iterable[Row]:
    due, under_way, failed, done = (f"USED {money}{mark}" for money in PAYOUT)
    yield Row((due,), "payout_sent", under_way, "the payout is SENT", "P6 pending")
    yield Row(
        (due, under_way), "payout_failed", failed, "the payout definitely failed, or lacks money", effects="alarm"
    )
    yield Row((under_way, failed), "payout_ok", done, "the payout SUCCEEDED", "P6")
    yield Row(
        (failed,),
        "payout_again",
        due,
        "two persons gave the payout up; a person pays it again",
        "P6 void, P6 pending",
        "its line moves to a new payout",
    )
    yield Row((done,), "payout_undone", failed, "two persons: it came back, or never was", "P6 reversed")


ITEM = Machine(
    "order item",
    {state: _words(state) for state in STATES},
    (
        Row(("INACTIVE HELD",), "bind", "READY HELD", "the visitor is named", effects="list delta"),
        Row(
            (*OPEN, *ASKED),
            "redeem",
            "USED DUE",
            "venue, time and evidence are good; the claim is won",
            "P4",
            "the payout; a refund that was asked for is refused",
        ),
        Row(
            (*OPEN, *ASKED),
            "expire",
            "EXPIRED REFUND_DUE",
            "on_expiry REFUND; over, and every journal of the venue is complete beyond the end; the claim is won",
            "P7",
            "the refund",
        ),
        Row(OPEN, "forfeit", "EXPIRED FORFEIT", "the same, on_expiry FORFEIT", "P11"),
        Row(
            ASKED,
            "forfeit",
            "EXPIRED REFUND_DUE",
            "the same: what was asked back in time is not kept",
            "P7",
            "the refund",
        ),
        *(
            Row(
                (state,), "refund_asked", f"{state} hold", "sold as refundable; not over", effects="revoked in the list"
            )
            for state in OPEN
        ),
        Row(
            ASKED,
            "refund_confirmed",
            "CANCELLED REFUND_DUE",
            "all journals of the venue know the list that revokes it, or its channel's 72 h are over; the claim is won",
            "P7",
            "the refund",
        ),
        *_payout_rows(),
        Row(
            ("USED SETTLED",),
            "clawed_back",
            "USED SETTLED clawback",
            "two persons, with a reason",
            "P16",
            "the buyer's share goes back; the venue's next payouts are less by what it had got",
        ),
        *_payout_rows(" clawback"),
        *_refund_rows("EXPIRED"),
        *_refund_rows("CANCELLED"),
    ),
)

# The source's first list of venue states (single tickets), by usage where the money has no word of its own.
_FIRST_BY_MONEY = {
    **dict.fromkeys(("DUE", "SETTLING", "REFUND_DUE", "REFUNDING"), "待处理"),
    "FORFEIT": "已过期",
    **{money: MONEY_WORDS[money] for money in ("SETTLE_FAILED", "SETTLED", "REFUND_FAILED", "REFUNDED")},
}
_FIRST_BY_USAGE = {
    "INACTIVE": "未使用",
    "READY": "未使用",
    "USED": "已使用",
    "EXPIRED": "已过期",
    "CANCELLED": "已取消",
}
# The second list (combo tickets).
_SECOND_BY_MONEY = {
    **dict.fromkeys(("DUE", "SETTLING", "SETTLE_FAILED"), "待结算"),
    **dict.fromkeys(("REFUND_DUE", "REFUNDING", "REFUND_FAILED"), "待退款"),
    **{money: MONEY_WORDS[money] for money in ("SETTLED", "REFUNDED", "FORFEIT")},
}


def first_list(usage: str, money: str) -> tuple[str, str]:
    """未使用 已使用 已过期, and 待处理 已结算 已退款 结算失败 退款失败: usage and money as the first list says them."""
    return _FIRST_BY_USAGE[usage], _FIRST_BY_MONEY.get(money, MONEY_WORDS["HELD"])


def second_list(usage: str, money: str) -> tuple[str, str]:
    """待激活 待游玩 已游玩 已失效, and 待结算 待退款 已退款: usage and money as the second list says them."""
    return USAGE_WORDS[usage], _SECOND_BY_MONEY.get(money, MONEY_WORDS["HELD"])


def refund_status(states: Iterable[str]) -> str | None:
    """退款状态 of an order from its items' states (money.md §2.4), the first that fits; None: nothing is refunded."""
    held, moneys = False, []
    for state in states:
        _usage, money, *marks = state.split()
        held |= "hold" in marks
        moneys.append(money)
    refunded = moneys.count("REFUNDED")
    if held or {"REFUND_DUE", "REFUND_FAILED"} & set(moneys):
        return "退款待处理"
    if "REFUNDING" in moneys:
        return "退款中"
    if not refunded:
        return None
    if refunded == len(moneys):
        return "退款成功"
    if set(moneys) <= {"REFUNDED", "SETTLED", "FORFEIT"}:
        return "部分退款成功"
    return f"已退 {refunded}/{len(moneys)}"
