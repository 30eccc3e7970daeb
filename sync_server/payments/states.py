"""The transfer machine T as a table (money.md §2.2): the code walks it, the docs print it, a test tries every cell."""

from __future__ import annotations

from typing import NamedTuple


class Transition(NamedTuple):
    """From any of these states, this event leads there."""

    states: tuple[str, ...]
    event: str
    next: str


TRANSITIONS = (
    Transition(("CREATED", "DEFINITE_FAIL"), "send", "SENT"),
    Transition(("SENT", "UNKNOWN"), "ok", "SUCCEEDED"),
    Transition(("SENT", "UNKNOWN"), "waiting", "SENT"),
    Transition(("SENT", "UNKNOWN"), "unclear", "UNKNOWN"),
    Transition(("SENT", "UNKNOWN"), "not_known", "SENT"),  # sent again under the same number
    Transition(("SENT", "UNKNOWN"), "refused", "DEFINITE_FAIL"),
    Transition(("SENT", "UNKNOWN"), "insufficient", "INSUFFICIENT"),
    Transition(("INSUFFICIENT",), "resume", "CREATED"),
)

# state -> what people read
WORDS = {
    "CREATED": "待执行",
    "SENT": "执行中",
    "UNKNOWN": "待确认",
    "SUCCEEDED": "成功",
    "DEFINITE_FAIL": "失败待重试",
    "INSUFFICIENT": "余额不足",
}

OPEN = ("SENT", "UNKNOWN")  # the outcome of an attempt is open: no other may be made
EVENTS = tuple(dict.fromkeys(row.event for row in TRANSITIONS))


def next_state(state: str, event: str) -> str | None:
    """Where an event leads, or None where it has no place: then nothing changes."""
    return next((row.next for row in TRANSITIONS if state in row.states and event == row.event), None)
