"""Today's numbers for the staff, followed along the journal: who entered, this hour too, and who was refused why."""

from __future__ import annotations

from collections import Counter

from gate_agent.board import Counters
from gate_agent.entries_view import EntriesView
from wire.messages import COUNTING, EntryKind
from wire.reasons import Reason

LOOK_BACK_ENTRIES = 50_000
"""How far back a day that has just begun, or an agent that has just started, looks for the day's entries."""
HOUR_MS = 3_600_000


class Tally:
    """The numbers of one day of the venue's calendar."""

    def __init__(self) -> None:
        self._day: int | None = None
        self._seq = 0
        self._entered: Counter[int] = Counter()
        self._refused: Counter[Reason] = Counter()

    def follow(self, journal: EntriesView, day: int | None, now_ms: int | None) -> Counters:
        """The numbers at `now_ms` of `day`; nothing while either is not known."""
        if day is None or now_ms is None:
            return Counters()
        if day != self._day:
            self._day, self._seq = day, max(0, journal.last_seq() - LOOK_BACK_ENTRIES)
            self._entered, self._refused = Counter(), Counter()
        for told in journal.told_after(self._seq):
            self._seq = told.seq
            if told.day != day:
                continue
            if told.kind in COUNTING:
                self._entered[told.at_ms // HOUR_MS] += 1
            elif told.kind is EntryKind.REFUSED and told.reason is not None:
                self._refused[Reason(told.reason)] += 1
        return Counters(self._entered.total(), self._entered[now_ms // HOUR_MS], None, dict(self._refused))
