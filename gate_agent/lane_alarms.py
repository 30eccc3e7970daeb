"""What at the lanes calls for staff and since when, each once, whoever saw it (pure).

Something happens, and is over when staff have looked or after ALARM_MS; or it stands, for exactly as long as it is so.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from gate_agent.status import Alarm, AlarmKind
from gate_agent.time_trust import Now

ALARM_MS = 600_000
"""How long something that is over calls for staff."""
HAPPENS = frozenset({AlarmKind.FORCED, AlarmKind.BACKWARDS, AlarmKind.SECOND_PERSON, AlarmKind.ANNULLED_OFTEN})
TROUBLES = frozenset({AlarmKind.RECORD, AlarmKind.CROSSED, AlarmKind.MOVED, AlarmKind.TURNSTILE, AlarmKind.READER})
"""A lane's trouble, by another name."""


class LaneAlarms:
    """Of all lanes of one box; an alarm of no lane is of every one. Its user locks."""

    def __init__(self) -> None:
        self._since: dict[Alarm, tuple[int, int]] = {}  # by the boot clock, and for people

    def happened(self, alarm: Alarm, now: Now) -> None:
        """It calls for staff from now on, though it did before."""
        self._since[alarm] = (now.monotonic_ms, now.record_ms)

    def stands(self, alarm: Alarm, on: bool, now: Now) -> None:
        """It is so, or no longer."""
        if on:
            self._since.setdefault(alarm, (now.monotonic_ms, now.record_ms))
        else:
            self._since.pop(alarm, None)

    def troubles(self, alarms: Collection[Alarm], now: Now) -> None:
        """All the trouble that there is now: what is not named is over."""
        for over in [alarm for alarm in self._since if alarm.kind in TROUBLES and alarm not in alarms]:
            del self._since[over]
        for alarm in alarms:
            self.stands(alarm, True, now)

    def attended(self, lane: int) -> None:
        """Staff have looked after what happened at a lane."""
        for alarm in [alarm for alarm in self._since if alarm.kind in HAPPENS and alarm.lane == lane]:
            del self._since[alarm]

    def forget(self, now: Now) -> None:
        """What happened long ago calls for nobody."""
        for alarm, (boot_ms, _) in list(self._since.items()):
            if alarm.kind in HAPPENS and now.monotonic_ms - boot_ms > ALARM_MS:
                del self._since[alarm]

    def __contains__(self, alarm: Alarm) -> bool:
        return alarm in self._since

    def all(self) -> tuple[Alarm, ...]:
        """Each with its since."""
        return tuple(replace(alarm, since_ms=since_ms) for alarm, (_, since_ms) in self._since.items())
