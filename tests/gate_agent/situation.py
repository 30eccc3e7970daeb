"""Everything a decision may meet, to be changed one fact at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec

from gate_agent.decision import Admit, Facts, LetOut, Refuse, Rotating, decide, decide_exit
from gate_agent.time_trust import Now
from gate_agent.uses import UNUSED, PassUses, UsedCode
from gate_agent.venue import ListedPass, Venue
from hardware.card_reader import CardAuth
from tests.gate_agent import lists
from tests.gate_agent.venue import DAY_MIN, NOW_MINUTE, NOW_MS, VERSION, ZONE
from tests.wire import samples
from wire import moments
from wire.calendar import Calendar, Closure, DayRange, Hours
from wire.entitlement import PassStatus, Right, Rule, Uses
from wire.feed import HEAD_NOT_AFTER_MS, CodePolicy, Head, ProductDocument
from wire.messages import ClockTrust
from wire.presentation import step_at
from wire.reasons import Reason
from wire.token import Claims, Scope

PRODUCT = 7
TODAY = moments.day_number(NOW_MS, ZONE)


@dataclass(frozen=True)
class Situation:
    """Everything a decision may meet. As it stands: an annual pass in order, shown as a code, not used yet."""

    reading: Reason | None = None
    card: CardAuth | None = None
    listed: bool = True
    has_list: bool = True
    described: bool = True
    kind: str = "PASS"
    not_before: int = NOW_MINUTE - 30 * DAY_MIN
    not_after: int = NOW_MINUTE + 300 * DAY_MIN
    status: PassStatus = PassStatus.ACTIVE
    lowest_issue: int = 1
    issued_version: int = VERSION
    knows_time: bool = True
    floor_ms: int | None = NOW_MS
    signed_at_ms: int = NOW_MS
    accepts_plain_card: bool = True
    per_day: int | None = 2
    gap_min: int = 0
    leave_first: bool = False
    needs_card: bool = False
    party: int = 1
    slots: tuple[Hours, ...] = ()
    blackout: tuple[DayRange, ...] = ()
    hours: tuple[Hours, ...] = ()
    closed_days: tuple[DayRange, ...] = ()
    closures: tuple[Closure, ...] = ()
    uses: PassUses = UNUSED
    used_without_list: int = 0
    step: int | None = None
    last_step: int | None = None
    by_known_key: bool = True
    retired: bool = False
    code_policy: CodePolicy = CodePolicy.EITHER
    has_phone: bool = False
    static_again: bool = False
    trust: ClockTrust = ClockTrust.TRUSTED
    untrusted_ms: int = 0

    def decided(self) -> Admit | Refuse:
        """What the gate would say."""
        return decide(self.facts(), self.venue() if self.has_list else None, self.now())

    def let_out(self) -> LetOut | Refuse:
        """What the gate would say at a lane out of the venue."""
        return decide_exit(self.facts())

    def facts(self) -> Facts:
        """What is known of the presentation."""
        claims = Claims(
            samples.PASS_ID, PRODUCT, Scope.VENUE, lists.VENUE, self.not_before, self.not_after, 1, self.issued_version
        )
        reading = None if self.card is not None else self.reading or claims
        right = Right(self.status, self.not_before, self.not_after, self.lowest_issue, self.static_again)
        keys = samples.PASS_ROWS[0].holder_keys if self.has_phone else ()
        row = ListedPass(samples.PASS_ID, PRODUCT, right, "", "", None, keys)
        found = row if self.listed and self.has_list and self.reading is None else None
        uses = self.uses
        if self.last_step is not None:
            uses = replace(uses, last_code=UsedCode(self.last_step, NOW_MS, 1))
        rotating = None if self.step is None else Rotating(self.step, self.by_known_key, self.retired)
        return Facts(reading, self.card, found, uses, self.used_without_list, rotating)

    def venue(self) -> Venue:
        """The list with this one product."""
        product = ProductDocument(
            number=PRODUCT if self.described else PRODUCT + 1,
            kind=self.kind,
            name_zh="",
            name_en="",
            rule=Rule(
                per_day=self.per_day,
                gap_min=self.gap_min,
                leave_first=self.leave_first,
                party=self.party,
                needs_card=self.needs_card,
                slots=self.slots,
                blackout=self.blackout,
            ),
            code_policy=self.code_policy,
            offline_limit=2,
            max_unlisted_age_h=24,
        )
        document = msgspec.structs.replace(
            samples.DOCUMENT,
            products=(product,),
            calendar=Calendar(self.hours, self.closed_days, self.closures),
            accepts_plain_card=self.accepts_plain_card,
        )
        head = Head(
            samples.FEED_ID, lists.VENUE, 1, VERSION, VERSION, (), (), 5, 1, "Asia/Shanghai",
            self.signed_at_ms, self.signed_at_ms + HEAD_NOT_AFTER_MS,
        )  # fmt: skip
        return Venue(document, head)

    def now(self) -> Now:
        """The gate's time."""
        if self.knows_time:
            return Now(NOW_MS, self.trust, 5, NOW_MS, self.floor_ms, self.untrusted_ms)
        return Now(None, ClockTrust.UNKNOWN, 5, 0, self.floor_ms)


HALF_AN_HOUR_MS = 30 * moments.MINUTE_MS
USED = PassUses(Uses(total=1, today=1, this_month=1, this_year=1, since_last_ms=HALF_AN_HOUR_MS, inside=True))
AFTER_MIDNIGHT = (Hours(0, 1),)
ONLY_TODAY = (DayRange(TODAY, TODAY),)
OLD_HEAD = NOW_MS - HEAD_NOT_AFTER_MS
STEP = step_at(NOW_MS)
