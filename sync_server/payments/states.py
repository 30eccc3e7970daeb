"""The transfer machine T (money.md §2.2). An attempt at the provider walks the same rows from SENT on."""

from __future__ import annotations

from sync_server.machines import Machine, Row

OPEN = ("SENT", "UNKNOWN")
"""The outcome of an attempt is open: no other may be made."""
STOPPED = ("CREATED", "DEFINITE_FAIL", "INSUFFICIENT")
"""Nothing is under way at the provider."""
FINAL = ("SUCCEEDED", "VOID")

TRANSFER = Machine(
    "transfer",
    {
        "CREATED": "待执行",
        "SENT": "执行中",
        "UNKNOWN": "待确认",
        "SUCCEEDED": "成功",
        "DEFINITE_FAIL": "失败待重试",
        "INSUFFICIENT": "余额不足",
        "VOID": "已撤销",
    },
    (
        Row(
            ("CREATED", "DEFINITE_FAIL"),
            "send",
            "SENT",
            "no attempt is open, nothing moved and stayed after it was given up, its time is not over; "
            "no bank is said to have paid it",
            effects="the attempt `<transfer>-<n>` is committed before the call",
        ),
        Row(OPEN, "ok", "SUCCEEDED", "the amount is ours", "the pending transaction is posted"),
        Row(OPEN, "waiting", "SENT", effects="asked again after a pause of 5 s to 1 h"),
        Row(OPEN, "unclear", "UNKNOWN", effects="asked again after a pause of 5 s to 1 h"),
        Row(OPEN, "not_known", "SENT", "its time is not over", effects="sent again under the same number"),
        Row(
            OPEN,
            "refused",
            "DEFINITE_FAIL",
            effects="a new attempt after a pause; a visitor begins it anew; an arrival (SWEEP_IN): as unclear",
        ),
        Row(
            OPEN,
            "insufficient",
            "INSUFFICIENT",
            effects="waits for a person; at the cashier: as refused; an arrival (SWEEP_IN): as unclear",
        ),
        Row(
            ("INSUFFICIENT", "DEFINITE_FAIL"),
            "resume",
            "CREATED",
            "a person, with a reason; its time is not over; no bank is said to have paid it; nothing moved and stayed "
            "after it was given up",
        ),
        Row(
            STOPPED,
            "abandon",
            "VOID",
            "an order's payment: its deadline is over; others: two persons, while no bank is said to have paid it; "
            "a refund only if it moved after all; the closing of a fund only if it holds nothing; no sweep's arrival",
            "the pending transaction is void",
        ),
        Row(
            ("INSUFFICIENT", "DEFINITE_FAIL", "VOID"),
            "remitted",
            "SUCCEEDED",
            "a payout, refund or late entry, VOID: a refund that came back; two persons, with a voucher; nothing moved "
            "and stayed after it was given up",
            "what was announced is posted, on 1030",
            "an attempt with the provider OFFLINE",
        ),
        Row(
            ("SUCCEEDED",),
            "remitted_beside",
            "SUCCEEDED",
            "as remitted: a bank paid it although it was made otherwise",
            "1310 against 1030",
            "an attempt with the provider OFFLINE, which moved too: a case DOUBLE_PAID",
        ),
        Row(
            (*STOPPED, "VOID"),
            "accepted",
            "SUCCEEDED",
            "an attempt moved after it was given up; two persons; no payout that was replaced, no payment of a closed "
            "order, no move of a fund that is closed, no sweep's arrival",
            "what was announced is posted, on 1310",
            "that attempt, too",
        ),
        Row(
            OPEN,
            "other_amount_done",
            "SUCCEEDED",
            "two persons, with the case of the statement's line, which has another amount",
            "what was announced is posted; what differs stays with the case, on 1310",
        ),
        Row(
            OPEN,
            "other_amount",
            "DEFINITE_FAIL",
            "the same, but for a sweep's arrival and the closing of a fund",
            "P14: what moved",
            "the attempt moved beside the transfer, which is given up at once; an order's payment with its order",
        ),
        Row(
            ("CREATED", *OPEN),
            "returned",
            "VOID",
            "a sweep's arrival; two persons, with the case of the line or the voucher by which it came back",
            "the pending transaction is void; 1310 or 1030 against 1090",
            "its attempt counts as failed",
        ),
        Row(
            ("SUCCEEDED",),
            "undone",
            "DEFINITE_FAIL",
            "a payout or refund that its provider made; two persons, with the case of the line by which it came back, "
            "or of the movement that is in no statement",
            "what was posted is reversed, and announced anew; what came back less: 5010",
            "the attempt is REVERSED; a payout is given up at once; a refund is resumed, or paid by bank",
        ),
        Row(STOPPED, "late_ok", "SUCCEEDED", "the amount is ours", "the pending transaction is posted", "alarm"),
        *(
            Row((state,), "extra_ok", state, "the amount is ours", "P14, or P18 for an order that was closed", "alarm")
            for state in ("SENT", "UNKNOWN", "SUCCEEDED", "VOID")
        ),
        *(
            Row(
                (state,),
                "extra_other",
                state,
                "another amount, of an attempt that had failed",
                "P14",
                "alarm; nothing of it is sent, resumed or paid by bank before that is accepted or came back",
            )
            for state in (*STOPPED, *OPEN, *FINAL)
        ),
    ),
)
