"""Today's numbers for the staff, followed along the journal: who entered, who is inside, and who was refused why."""

from __future__ import annotations

from collections import Counter

from gate_agent.entries_view import EntriesView, Told
from gate_agent.events import came_and_went
from gate_agent.status import Counters
from wire.messages import COUNTING, EntryKind
from wire.moments import HOUR_MS
from wire.reasons import Reason

LOOK_BACK_ENTRIES = 50_000
"""How far back a day that has just begun, or an agent that has just started, looks for the day's entries."""
_KNOWN = frozenset(Reason)


class Tally:
    """The numbers of one day of the venue's calendar. `counts_exits`: people who leave are seen at one of the lanes."""

    def __init__(self, counts_exits: bool = False) -> None:
        self._counts_exits = counts_exits
        self._day: int | None = None
        self._seq = 0
        self._entered: Counter[int] = Counter()
        self._left = 0
        self._refused: Counter[Reason] = Counter()

    def follow(self, journal: EntriesView, day: int | None, now_ms: int | None) -> Counters:
        """The numbers at `now_ms` of `day`; nothing while either is not known."""
        if day is None or now_ms is None:
            return Counters()
        if day != self._day:
            self._day, self._seq = day, journal.last_seq() - LOOK_BACK_ENTRIES
            self._entered, self._left, self._refused = Counter(), 0, Counter()
        for told in journal.told_after(self._seq):
            self._seq = told.seq
            if told.day == day:
                self._count(told)
        entered, this_hour = max(0, self._entered.total()), max(0, self._entered[now_ms // HOUR_MS])
        inside = max(0, entered - self._left) if self._counts_exits else None
        return Counters(entered, this_hour, inside, dict(self._refused))

    def _count(self, told: Told) -> None:
        if told.kind in COUNTING or told.kind is EntryKind.MANUAL:
            self._entered[told.at_ms // HOUR_MS] += 1
        elif told.kind is EntryKind.RETURNED:
            self._entered[told.at_ms // HOUR_MS] -= 1
        elif told.kind is EntryKind.REFUSED and told.reason in _KNOWN:  # a newer release may have written others
            self._refused[Reason(told.reason)] += 1
        elif told.kind is EntryKind.EVENT and told.reason is not None:
            came, left = came_and_went(told.reason)
            self._entered[told.at_ms // HOUR_MS] += came
            self._left += left
