"""Today's numbers for the staff, followed along the journal: who entered, who is inside, and who was refused why."""

from __future__ import annotations

from collections import Counter

from gate_agent.entries_view import EntriesView, Told
from gate_agent.events import came_and_went
from gate_agent.status import Counters
from wire.messages import COUNTING, EntryKind
from wire.moments import DAY_MS, HOUR_MS, MINUTE_MS
from wire.reasons import Reason

LOOK_BACK_ENTRIES = 50_000
"""How far back a day that has just begun, or an agent that has just started, looks for the entries of two days."""
_KNOWN = frozenset(Reason)


class Tally:
    """The numbers of one day of the venue's calendar. `counts_exits`: people who leave are seen at one of the lanes."""

    def __init__(self, counts_exits: bool = False) -> None:
        self._counts_exits = counts_exits
        self._day: int | None = None
        self._seq = 0
        self._older_seq = 0  # the newest entry of a day before yesterday; 0: none was seen
        self._entered: Counter[int] = Counter()  # by the hour
        self._entered_yesterday: Counter[int] = Counter()  # by the minute
        self._left = 0
        self._refused: Counter[Reason] = Counter()

    def follow(self, journal: EntriesView, day: int | None, now_ms: int | None) -> Counters:
        """The numbers at `now_ms` of `day`; nothing while either is not known."""
        if day is None or now_ms is None:
            return Counters()
        if day != self._day:
            self._day, self._seq, self._older_seq = day, journal.last_seq() - LOOK_BACK_ENTRIES, 0
            self._entered, self._entered_yesterday = Counter(), Counter()
            self._left, self._refused = 0, Counter()
        for told in journal.told_after(self._seq):
            self._seq = told.seq
            if told.day == day:
                self._count(told)
            elif told.day == day - 1:
                self._entered_yesterday[told.at_ms // MINUTE_MS] += _came(told)
            elif told.day is not None and told.day < day:
                self._older_seq = told.seq
        entered, this_hour = max(0, self._entered.total()), max(0, self._entered[now_ms // HOUR_MS])
        inside = max(0, entered - self._left) if self._counts_exits else None
        return Counters(entered, this_hour, inside, dict(self._refused), self._yesterday_by(now_ms - DAY_MS, journal))

    def _yesterday_by(self, then_ms: int, journal: EntriesView) -> int | None:
        """Who had entered yesterday by then; None unless the journal reaches back beyond that day with nothing pruned.

        Of a journal that began yesterday, or is too busy to be read so far back, part of a day would look like all."""
        if self._older_seq < max(1, journal.pruned_through()):  # below 1: carried over from a journal before this one
            return None
        by_minute = self._entered_yesterday.items()
        return max(0, sum(came for minute, came in by_minute if minute <= then_ms // MINUTE_MS))

    def _count(self, told: Told) -> None:
        self._entered[told.at_ms // HOUR_MS] += _came(told)
        if told.kind is EntryKind.REFUSED and told.reason in _KNOWN:  # a newer release may have written others
            self._refused[Reason(told.reason)] += 1
        elif told.kind is EntryKind.EVENT and told.reason is not None:
            self._left += came_and_went(told.reason)[1]


def _came(told: Told) -> int:
    """How many people came in by an entry; of one that was given back, one fewer."""
    if told.kind in COUNTING or told.kind is EntryKind.MANUAL:
        return 1
    if told.kind is EntryKind.RETURNED:
        return -1
    return came_and_went(told.reason)[0] if told.kind is EntryKind.EVENT and told.reason is not None else 0
