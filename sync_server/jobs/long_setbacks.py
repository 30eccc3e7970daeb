"""Jobs: work that fails again and again is somebody's to look at; `sync-server setbacks` says what and why."""

from __future__ import annotations

from sync_server import setbacks
from sync_server.centre import Centre
from sync_server.notices.promising import Promise, promise

HOUR_MS = 3_600_000
TOLD_AFTER_MS = HOUR_MS
MAX_TOLD = 500


def tell_long_setbacks(centre: Centre) -> int:
    """Promise to tell of each row that failed for an hour, once; how many were told of now."""
    with centre.write() as connection:
        now_ms = centre.now_ms()
        found = setbacks.untold(connection, now_ms - TOLD_AFTER_MS, now_ms, MAX_TOLD)
        promise(connection, now_ms, *(_promise(one, now_ms) for one in found))
        setbacks.note_told(connection, found, now_ms)
        return len(found)


def forget_ended_setbacks(centre: Centre) -> int:
    """Forget what no step tries any more; how many rows."""
    with centre.write() as connection:
        return setbacks.forget_ended(connection, centre.now_ms())


def _promise(one: setbacks.Setback, now_ms: int) -> Promise:
    """Of the reason only the kind of error: its text may name people."""
    hours = (now_ms - one.first_at_ms) // HOUR_MS
    values = {"step": one.step, "hours": hours, "error": one.reason.partition(":")[0]}
    return Promise("setback", f"{one.step}:{one.subject}:{one.first_at_ms}", values, cause=f"setback:{one.step}")
