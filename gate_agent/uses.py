"""How often a pass was used: the gate's own entries and what the centre knows, each entry counted once (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gate_agent.events import EventWord
from wire import moments
from wire.entitlement import Uses
from wire.feed import UseRow
from wire.messages import EntryKind
from wire.moments import DAY_MS

SAME_USE_MS = 60_000
"""How far the centre's time of an entry may lie after the gate's own."""


@dataclass(frozen=True, slots=True)
class PassEntry:
    """One entry of a pass in the journal. `day` None: the time was not known; `boot` and `monotonic_ms` always are."""

    seq: int
    kind: EntryKind
    ref_seq: int | None
    lane: int
    at_ms: int | None
    day: int | None
    boot: str
    monotonic_ms: int
    step: int | None = None
    """Of the rotating code that was shown."""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class UsedCode:
    """The newest rotating code of a pass that opened something here: whatever came of it, no older one opens again."""

    step: int
    at_ms: int | None
    lane: int


@dataclass(frozen=True, slots=True)
class LastUse:
    """The newest use of a pass. `lane` None: at another gate, as the centre says; both None: it cannot say when."""

    at_ms: int | None
    lane: int | None


NO_USES = Uses()


@dataclass(frozen=True, slots=True)
class PassUses:
    """What the decision needs to know of earlier uses; `in_this_boot`: admitted here since the machine came up."""

    counted: Uses = NO_USES
    in_this_boot: int = 0
    last: LastUse | None = None
    last_code: UsedCode | None = None


UNUSED = PassUses()
STILL_INSIDE = frozenset({EventWord.EXIT_ANNULLED, EventWord.EXIT_UNRESOLVED})
"""After one of these the newest exit counts for nothing."""


@dataclass(frozen=True, slots=True)
class Today:
    """The day in question: its number, and the monotonic ms at which it began in this boot. None: not known.

    `monotonic_ms` and `at_ms` are the moment itself, on both clocks.
    """

    boot: str
    day: int | None
    began_monotonic_ms: int | None
    monotonic_ms: int = 0
    at_ms: int | None = None


COUNTS_AFTER: dict[EntryKind, bool] = {
    EntryKind.INTENT: True,
    EntryKind.PASSED: True,
    EntryKind.PASSED_ASSUMED: True,
    EntryKind.ANNULLED: False,
    EntryKind.PASSED_LATE: True,
    EntryKind.UNRESOLVED: True,
    EntryKind.RETURNED: False,
}
"""Whether a right is used once this was written for it; the last word on an intent is what holds."""


@dataclass(slots=True)
class _Counted:
    """How an intent stands by its last word: now, and as far as the centre's row has counted this journal."""

    intent: PassEntry
    now: bool = False
    then: bool = False


def count(entries: Iterable[PassEntry], today: Today, centre: UseRow | None, counted_through: int) -> PassUses:
    """Uses of one pass. The centre's row includes the entries of this journal up to `counted_through`; 0: none."""
    in_order = sorted(entries, key=lambda entry: entry.seq)
    standing: dict[int, _Counted] = {}
    left = [0]
    for entry in in_order:
        if entry.kind is EntryKind.EVENT and entry.reason == EventWord.EXIT:
            left.append(entry.seq)
        elif entry.kind is EntryKind.EVENT and entry.reason in STILL_INSIDE and len(left) > 1:
            left.pop()
        if entry.kind not in COUNTS_AFTER:
            continue
        one = standing.setdefault(entry.seq if entry.ref_seq is None else entry.ref_seq, _Counted(entry))
        one.now = COUNTS_AFTER[entry.kind]
        if entry.seq <= counted_through:
            one.then = one.now
    used = {intent_seq: one.intent for intent_seq, one in standing.items() if one.now}
    newest = used[max(used)] if used else None
    total, day, month, year = _of_centre(centre, today)
    # What became a use since the centre counted is added to its row, what is none any more is taken off.
    since = [(one.intent, one.now - one.then) for one in standing.values() if one.now is not one.then]
    month_days, year_days = _days_before(today)

    def more(days_before: int) -> int:
        return sum(by for intent, by in since if _is_within(intent, today, days_before))

    return PassUses(
        counted=Uses(
            total=total + sum(by for _, by in since),
            today=day + more(0),
            this_month=month + more(month_days),
            this_year=year + more(year_days),
            since_last_ms=_since_last_ms(newest, today, centre),
            inside=newest is not None and left[-1] < newest.seq and _is_within(newest, today, 0),
        ),
        in_this_boot=sum(intent.boot == today.boot for intent in used.values()),
        last=_last(newest, centre),
        last_code=_last_code(in_order),
    )


def _days_before(today: Today) -> tuple[int, int]:
    """How many days of the month, and of the year, have gone by before this one; none while the day is not known."""
    if today.day is None:
        return 0, 0
    date = moments.date_of(today.day)
    return date.day - 1, date.timetuple().tm_yday - 1


def _is_within(intent: PassEntry, today: Today, days_before: int) -> bool:
    """Whether it was today or on one of so many days before."""
    if today.day is not None and intent.day is not None:
        return today.day - days_before <= intent.day <= today.day
    if intent.boot != today.boot:
        return False
    # One of the two times is not known, but both lie in this boot: its own clock tells them apart.
    began_ms = today.began_monotonic_ms
    return began_ms is None or intent.monotonic_ms >= began_ms - days_before * DAY_MS


def _last_code(entries: list[PassEntry]) -> UsedCode | None:
    shown = [UsedCode(entry.step, entry.at_ms, entry.lane) for entry in entries if entry.step is not None]
    return max(shown, key=lambda code: code.step, default=None)


def _of_centre(centre: UseRow | None, today: Today) -> tuple[int, int, int, int]:
    """What the centre counted ever, today, this month and this year."""
    if centre is None:
        return 0, 0, 0, 0
    if today.day is None or centre.day > today.day:
        return centre.total, 0, 0, 0
    ago = today.day - centre.day
    month_days, year_days = _days_before(today)
    return (
        centre.total,
        centre.on_day if ago == 0 else 0,
        centre.in_month if ago <= month_days else 0,
        centre.in_year if ago <= year_days else 0,
    )


def _since_last_ms(newest: PassEntry | None, today: Today, centre: UseRow | None) -> int | None:
    """The time since the newest use of which it is known."""
    ago: list[int] = []
    if newest is not None and newest.boot == today.boot:
        ago.append(today.monotonic_ms - newest.monotonic_ms)
    elif newest is not None and newest.day is not None and newest.at_ms is not None and today.at_ms is not None:
        ago.append(today.at_ms - newest.at_ms)
    if centre is not None and centre.last_ms is not None and today.at_ms is not None:
        ago.append(today.at_ms - centre.last_ms)
    return max(0, min(ago)) if ago else None


def _last(newest: PassEntry | None, centre: UseRow | None) -> LastUse | None:
    """The newest use, here or as the centre says."""
    if newest is not None and (centre is None or not _is_later(centre, newest)):
        return LastUse(newest.at_ms, newest.lane)
    return LastUse(centre.last_ms, None) if centre is not None and centre.total else None


def _is_later(centre: UseRow, newest: PassEntry) -> bool:
    if newest.day is None or newest.at_ms is None or newest.day != centre.day or centre.last_ms is None:
        return newest.day is not None and centre.day > newest.day
    return centre.last_ms - newest.at_ms > SAME_USE_MS
