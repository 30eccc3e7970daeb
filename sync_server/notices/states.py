"""The machine of one short message to one recipient."""

from __future__ import annotations

from sync_server.machines import Machine, Row

MESSAGE = Machine(
    "message",
    {
        "WAITING": "待发送",
        "SENDING": "发送中",
        "SENT": "已发送",
        "DELIVERED": "已送达",
        "FAILED": "发送失败",
        "SUPPRESSED": "未发送",
    },
    (
        Row(
            ("WAITING",), "hold", "SUPPRESSED", "the same was told within half an hour", effects="counted in a summary"
        ),
        Row(("WAITING",), "switched_off", "SUPPRESSED", "the kind is switched off"),
        Row(("WAITING",), "send", "SENDING", "it is not too old", effects="committed before the call"),
        Row(("WAITING",), "too_old", "FAILED", "a day, a sign-in code five minutes, after it was written"),
        Row(("SENDING",), "accepted", "SENT", effects="its delivery is asked for"),
        Row(("SENDING",), "refused", "FAILED", effects="the gateway's reason is kept"),
        Row(("SENDING",), "later", "WAITING", "the gateway took nothing", effects="tried again after a pause"),
        Row(("SENDING",), "unclear", "SENDING", effects="the gateway is asked whether it has it"),
        Row(("SENDING",), "not_known", "WAITING", "the gateway does not have it", effects="tried again after a pause"),
        Row(("SENDING",), "given_up", "FAILED", "too old and the gateway did not say, or it is not ours any more"),
        Row(("WAITING", "SENDING", "SENT"), "unreadable", "FAILED", "its number or its values do not open any more"),
        Row(("SENDING", "SENT"), "delivered", "DELIVERED"),
        Row(("SENDING", "SENT"), "undelivered", "FAILED", effects="the network's reason is kept"),
    ),
)
"""To send one again, a person has another message written: what became of the first stays as it was."""
