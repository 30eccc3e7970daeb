"""Staff's words on lanes as entries.db keeps them, so that a restart neither opens a closed lane nor lengthens a hold.

A lane held open ends by the boot clock. In another boot only a time that is trusted on both sides can tell how much of
it is left; without one it is over.
"""

from __future__ import annotations

import sqlite3

from gate_agent.lane_state import Order, Word
from gate_agent.time_trust import Now
from wire.messages import ClockTrust

_KEEP = "INSERT OR REPLACE INTO lane_order VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_LOAD = "SELECT lane, word, seq, who, boot, ends_boot_ms, ends_at_ms, held_ms FROM lane_order"


def keep(db: sqlite3.Connection, lane: int, order: Order, boot: str, now: Now) -> None:
    """Write down the word that stands from now on."""
    if order.word is Word.OPEN:
        db.execute("DELETE FROM lane_order WHERE lane = ?", (lane,))
        return
    left_ms = order.ends_ms - now.monotonic_ms
    ends_at_ms = now.at_ms + left_ms if now.at_ms is not None and now.trust is ClockTrust.TRUSTED else None
    db.execute(_KEEP, (lane, order.word, order.seq, order.who, boot, order.ends_ms, ends_at_ms, left_ms))


def load(db: sqlite3.Connection, boot: str, now: Now) -> dict[int, Order]:
    """The words that stand; a hold that is over is given as it was, for the lane to end."""
    orders: dict[int, Order] = {}
    for lane, word, seq, who, kept_boot, ends_boot_ms, ends_at_ms, held_ms in db.execute(_LOAD):
        ends_ms = 0
        if word == Word.HELD_OPEN:
            ends_ms = _ends_ms(ends_boot_ms, ends_at_ms, held_ms, kept_boot == boot, now)
        orders[lane] = Order(Word(word), ends_ms, seq, who)
    return orders


def _ends_ms(ends_boot_ms: int, ends_at_ms: int | None, held_ms: int, same_boot: bool, now: Now) -> int:
    """When the hold ends by this boot's clock: never later than if it began now."""
    if same_boot:
        return min(ends_boot_ms, now.monotonic_ms + held_ms)
    if ends_at_ms is None or now.at_ms is None or now.trust is not ClockTrust.TRUSTED:
        return now.monotonic_ms
    return now.monotonic_ms + min(max(0, ends_at_ms - now.at_ms), held_ms)
