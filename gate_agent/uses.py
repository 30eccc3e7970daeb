"""How often a pass was used: the gate's own entries and what the centre knows, each entry counted once (pure)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from wire.entitlement import Uses
from wire.feed import UseRow
from wire.messages import EntryKind

EXIT = "exit"
"""The reason of the event by which a lane out of the venue says that a pass left (its pass id stands beside it)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One entry of a pass in the journal. `day` None: the time was not known; `boot` and `monotonic_ms` always are."""

    seq: int
    kind: EntryKind
    ref_seq: int | None
    lane: int
    at_ms: int | None
    day: int | None
    boot: str
    monotonic_ms: int
    code_step: int | None = None
    """Of the rotating code that was shown."""


@dataclass(frozen=True, slots=True)
class UsedCode:
    """The newest rotating code of a pass that opened something here: whatever came of it, no older one opens again."""

    step: int
    at_ms: int | None
    lane: int


@dataclass(frozen=True, slots=True)
class LastUse:
    """The newest use of a pass. Both None: the centre only knows that there was one."""

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


@dataclass(frozen=True, slots=True)
class Today:
    """The day in question: its number, and the monotonic ms at which it began in this boot. None: not known."""

    boot: str
    day: int | None
    began_monotonic_ms: int | None


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


def count(steps: Iterable[Step], today: Today, centre: UseRow | None, already_counted: frozenset[int]) -> PassUses:
    """Uses of one pass. `already_counted` are seqs of this journal that the centre's row includes (its marks)."""
    in_order = sorted(steps, key=lambda step: step.seq)
    standing: dict[int, tuple[Step, bool]] = {}
    known: set[int] = set()
    for step in in_order:
        if step.kind not in COUNTS_AFTER:
            continue
        intent_seq = step.seq if step.ref_seq is None else step.ref_seq
        intent = standing[intent_seq][0] if intent_seq in standing else step
        standing[intent_seq] = (intent, COUNTS_AFTER[step.kind])
        if step.seq in already_counted:
            known.add(intent_seq)
    used = {intent_seq: intent for intent_seq, (intent, counts) in standing.items() if counts}
    new = [intent for intent_seq, intent in used.items() if intent_seq not in known]
    centre_today = centre.on_day if centre is not None and centre.day == today.day else 0
    return PassUses(
        counted=Uses(
            total=len(new) + (centre.total if centre is not None else 0),
            today=sum(_is_today(intent, today) for intent in new) + centre_today,
        ),
        in_this_boot=sum(intent.boot == today.boot for intent in used.values()),
        last=_last(list(used.values()), centre),
        last_code=_last_code(in_order),
    )


def _is_today(intent: Step, today: Today) -> bool:
    if today.day is not None and intent.day is not None:
        return intent.day == today.day
    if intent.boot != today.boot:
        return False
    # One of the two times is not known, but both lie in this boot: its own clock tells them apart.
    return today.began_monotonic_ms is None or intent.monotonic_ms >= today.began_monotonic_ms


def _last_code(steps: list[Step]) -> UsedCode | None:
    shown = [UsedCode(step.code_step, step.at_ms, step.lane) for step in steps if step.code_step is not None]
    return max(shown, key=lambda code: code.step, default=None)


def _last(used: list[Step], centre: UseRow | None) -> LastUse | None:
    if used:
        newest = max(used, key=lambda intent: intent.seq)
        if centre is None or newest.day is None or centre.day <= newest.day:
            return LastUse(newest.at_ms, newest.lane)
    return LastUse(None, None) if centre is not None and centre.total else None
