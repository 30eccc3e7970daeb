"""Which visitor faces may be heard, and when: a lane can be without sound, and a venue has quiet hours."""

from __future__ import annotations

from dataclasses import dataclass

from gate_agent.screen import times


@dataclass(frozen=True, slots=True)
class Sounds:
    """`silent` lanes make none; nor does any from one minute of the day until the other, which may be past midnight."""

    silent: frozenset[int] = frozenset()
    quiet: tuple[int, int] | None = None

    def heard(self, lane: int, now_ms: int | None, zone: str) -> bool:
        """Whether a verdict at `lane` is heard now. A gate that does not know the time has no quiet hours."""
        if lane in self.silent:
            return False
        if self.quiet is None or now_ms is None:
            return True
        begins, ends = self.quiet
        minute = times.minute_of_day(now_ms, zone)
        return not (begins <= minute < ends if begins <= ends else minute >= begins or minute < ends)
