"""The decision: every reason there is, and for every two that meet, the earlier one in the closed order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import msgspec
import pytest

from gate_agent.decision import (
    FAR_FROM_EDGE_MS,
    HOUR_MS,
    Admit,
    Cover,
    Facts,
    LetOut,
    Refuse,
    Rotating,
    Venue,
    decide,
    decide_exit,
    may_be_reused,
)
from gate_agent.pass_list import ListedPass
from gate_agent.trusted_time import Now
from gate_agent.uses import UNUSED, PassUses, UsedCode
from hardware.card_reader import CardAuth
from tests.gate_agent import lists
from tests.gate_agent.venue import DAY_MIN, NOW_MINUTE, NOW_MS, VERSION
from tests.wire import samples
from wire import moments
from wire.entitlement import PassStatus, Right, Rule, Uses
from wire.feed import HEAD_NOT_AFTER_MS, CodePolicy, Head, ProductDocument
from wire.messages import ClockTrust
from wire.presentation import step_at
from wire.reasons import Reason
from wire.token import Claims, Scope

PRODUCT = 7
ORDER = list(Reason)


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
        return decide(self._facts(), self._venue() if self.has_list else None, self._now())

    def let_out(self) -> LetOut | Refuse:
        """What the gate would say at a lane out of the venue."""
        return decide_exit(self._facts())

    def _facts(self) -> Facts:
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

    def _venue(self) -> Venue:
        product = ProductDocument(
            number=PRODUCT if self.described else PRODUCT + 1,
            kind=self.kind,
            name_zh="",
            name_en="",
            rule=Rule(per_day=1),
            code_policy=self.code_policy,
            offline_limit=2,
            max_unlisted_age_h=24,
        )
        document = msgspec.structs.replace(
            samples.DOCUMENT, products=(product,), accepts_plain_card=self.accepts_plain_card
        )
        head = Head(
            samples.FEED_ID, lists.VENUE, 1, VERSION, VERSION, (), (), 5, 1, "Asia/Shanghai",
            self.signed_at_ms, self.signed_at_ms + HEAD_NOT_AFTER_MS,
        )  # fmt: skip
        return Venue(document, head)

    def _now(self) -> Now:
        if self.knows_time:
            return Now(NOW_MS, self.trust, 5, NOW_MS, self.floor_ms, self.untrusted_ms)
        return Now(None, ClockTrust.UNKNOWN, 5, 0, self.floor_ms)


USED = PassUses(Uses(total=1, today=1))
OLD_HEAD = NOW_MS - HEAD_NOT_AFTER_MS
STEP = step_at(NOW_MS)
CODE_REASONS = [
    *(Reason.NOT_OURS, Reason.MALFORMED, Reason.NEEDS_UPDATE, Reason.WRONG_PURPOSE, Reason.UNKNOWN_KEY),
    *(Reason.WRONG_VENUE, Reason.UNKNOWN_PRODUCT, Reason.EXPIRED, Reason.NOT_YET_ACTIVE, Reason.FORGED),
]
Flaw = tuple[Reason, dict[str, object]]


def code_flaw(reason: Reason) -> Flaw:
    """A code that reading alone refuses."""
    return reason, {"reading": reason, "card": None}


def can_both_be(one: Flaw, other: Flaw) -> bool:
    """Whether no fact would have to be two things at once."""
    return all(other[1].get(key, value) == value for key, value in one[1].items())


FLAWS: list[Flaw] = [
    *(code_flaw(reason) for reason in CODE_REASONS),
    (Reason.UNKNOWN_PRODUCT, {"described": False}),
    (Reason.EXPIRED, {"not_after": NOW_MINUTE}),
    (Reason.NOT_YET_ACTIVE, {"not_before": NOW_MINUTE + 1}),
    (Reason.NOT_IN_LIST, {"listed": False, "card": None}),
    (Reason.REPLACED, {"lowest_issue": 2, "card": None}),
    (Reason.REVOKED, {"status": PassStatus.REVOKED}),
    (Reason.SUSPENDED, {"status": PassStatus.SUSPENDED}),
    (Reason.NOT_BOUND, {"status": PassStatus.NOT_BOUND}),
    (Reason.REPLACED, {"step": STEP, "retired": True, "card": None}),
    (Reason.NEEDS_ROTATING_CODE, {"has_phone": True, "step": None, "card": None}),
    (Reason.NEEDS_FULL_CODE, {"step": STEP, "by_known_key": False, "card": None}),
    (Reason.CODE_TOO_OLD, {"step": STEP - 2, "card": None}),
    (Reason.CODE_REUSED, {"step": STEP, "last_step": STEP, "card": None}),
    (Reason.CLOCK_UNKNOWN, {"knows_time": False, "step": STEP, "card": None}),
    (Reason.CLOCK_UNKNOWN, {"knows_time": False, "kind": "SINGLE"}),
    (Reason.CLOCK_UNKNOWN, {"knows_time": False, "floor_ms": None}),
    (Reason.CARD_UNKNOWN, {"card": CardAuth.NONE, "listed": False}),
    (Reason.CARD_UNAUTHENTICATED, {"card": CardAuth.NONE, "accepts_plain_card": False}),
    (Reason.USED_UP, {"uses": USED}),
    (Reason.OFFLINE_LIMIT, {"kind": "SINGLE", "signed_at_ms": OLD_HEAD, "used_without_list": 2}),
]
LIST_SAYS = {Reason.EXPIRED, Reason.NOT_YET_ACTIVE, Reason.REPLACED, Reason.REVOKED, Reason.SUSPENDED, Reason.NOT_BOUND}
HIDES: dict[Reason, set[Reason]] = {
    Reason.CLOCK_UNKNOWN: {  # no time, no dates
        *(Reason.EXPIRED, Reason.NOT_YET_ACTIVE, Reason.CODE_TOO_OLD, Reason.OFFLINE_LIMIT)
    },
    Reason.CARD_UNKNOWN: LIST_SAYS | {Reason.CLOCK_UNKNOWN, Reason.UNKNOWN_PRODUCT},  # no row, no word of it
    Reason.NOT_IN_LIST: LIST_SAYS | {Reason.UNKNOWN_PRODUCT},
}
"""What cannot apply together with a reason, because that reason takes away what it would rest on."""


def test_as_it_stands_it_is_admitted() -> None:
    verdict = Situation().decided()
    assert isinstance(verdict, Admit)
    assert verdict.cover is Cover.LISTED
    assert isinstance(Situation(card=CardAuth.NONE).decided(), Admit)


@pytest.mark.parametrize(("reason", "changes"), FLAWS)
def test_every_reason(reason: Reason, changes: dict[str, object]) -> None:
    assert replace(Situation(), **changes).decided() == Refuse(reason)  # type: ignore[arg-type]


def test_every_reason_the_gate_can_give_today_is_in_the_table() -> None:
    later = {  # given by what later releases add
        *(Reason.NEEDS_NETWORK, Reason.NEEDS_CARD, Reason.VENUE_CLOSED, Reason.BLACKOUT, Reason.WRONG_TIME_SLOT),
        *(Reason.ALREADY_INSIDE, Reason.TOO_SOON, Reason.OTHER_LANE, Reason.LANE_CLOSED),
    }
    by_the_conductor = {Reason.CANNOT_RECORD, Reason.FAULT}
    assert {reason for reason, _ in FLAWS} == set(Reason) - later - by_the_conductor


PAIRS = [pair for pair in combinations(FLAWS, 2) if can_both_be(*pair)]


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_of_two_reasons_the_earlier_one_is_given(one: Flaw, other: Flaw) -> None:
    apply = {one[0], other[0]} - HIDES.get(one[0], set()) - HIDES.get(other[0], set())
    if "reading" in one[1]:  # a code that was not believed is not looked up in the list
        apply = {one[0]}
    verdict = replace(Situation(), **(one[1] | other[1])).decided()  # type: ignore[arg-type]
    assert verdict == Refuse(min(apply, key=ORDER.index))


def test_most_reasons_can_meet() -> None:
    assert len(PAIRS) > 150


def test_without_a_list_nothing_is_admitted() -> None:
    assert Situation(has_list=False).decided() == Refuse(Reason.NOT_IN_LIST)
    assert Situation(has_list=False, card=CardAuth.HSM).decided() == Refuse(Reason.CARD_UNKNOWN)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"issued_version": VERSION + 1}, None),
        ({"issued_version": VERSION}, Reason.NOT_IN_LIST),
        ({"issued_version": VERSION + 1, "signed_at_ms": NOW_MS - 24 * HOUR_MS + 1}, None),
        ({"issued_version": VERSION + 1, "signed_at_ms": NOW_MS - 24 * HOUR_MS}, Reason.NOT_IN_LIST),
        ({"issued_version": VERSION + 1, "used_without_list": 1}, None),
        ({"issued_version": VERSION + 1, "used_without_list": 2}, Reason.OFFLINE_LIMIT),
        ({"issued_version": VERSION + 1, "uses": USED}, Reason.USED_UP),
        ({"issued_version": VERSION + 1, "knows_time": False}, Reason.NOT_IN_LIST),
    ],
)
def test_a_genuine_code_that_is_not_listed(changes: dict[str, object], reason: Reason | None) -> None:
    verdict = replace(Situation(listed=False), **changes).decided()  # type: ignore[arg-type]
    if reason is None:
        assert isinstance(verdict, Admit)
        assert verdict.cover is Cover.UNLISTED
    else:
        assert verdict == Refuse(reason)


@pytest.mark.parametrize(
    ("kind", "used_without_list", "cover"),
    [("PASS", 2, Cover.LISTED), ("SINGLE", 1, Cover.LIST_PAST_END), ("COMBO", 1, Cover.LIST_PAST_END)],
)
def test_past_its_end_a_list_limits_tickets_and_not_annual_passes(
    kind: str, used_without_list: int, cover: Cover
) -> None:
    verdict = Situation(kind=kind, signed_at_ms=OLD_HEAD, used_without_list=used_without_list).decided()
    assert isinstance(verdict, Admit)
    assert verdict.cover is cover


FLOOR_MINUTE = moments.minute_floor(NOW_MS)
FAR_MIN = FAR_FROM_EDGE_MS // moments.MINUTE_MS


@pytest.mark.parametrize(
    ("changes", "admitted"),
    [
        ({}, True),
        ({"not_after": FLOOR_MINUTE + FAR_MIN + 1}, True),
        ({"not_after": FLOOR_MINUTE + FAR_MIN}, False),
        ({"not_before": FLOOR_MINUTE}, True),
        ({"not_before": FLOOR_MINUTE + 1}, False),
        ({"uses": PassUses(in_this_boot=1)}, False),
        ({"kind": "SINGLE"}, False),
        ({"kind": "COMBO"}, False),
        ({"floor_ms": None}, False),
        ({"card": CardAuth.NONE}, True),
    ],
)
def test_without_the_time_only_an_annual_pass_far_from_its_edges_once(
    changes: dict[str, object], admitted: bool
) -> None:
    verdict = replace(Situation(knows_time=False), **changes).decided()  # type: ignore[arg-type]
    assert isinstance(verdict, Admit) if admitted else verdict == Refuse(Reason.CLOCK_UNKNOWN)


@pytest.mark.parametrize(("auth", "admitted"), [(CardAuth.NONE, False), (CardAuth.PSAM, True), (CardAuth.HSM, True)])
def test_a_venue_may_want_cards_to_prove_themselves(auth: CardAuth, admitted: bool) -> None:
    assert isinstance(Situation(card=auth, accepts_plain_card=False).decided(), Admit) is admitted


@pytest.mark.parametrize(("reason", "changes"), FLAWS)
def test_out_gets_every_genuine_pass_of_this_venue(reason: Reason, changes: dict[str, object]) -> None:
    verdict = replace(Situation(), **changes).let_out()  # type: ignore[arg-type]
    stays = reason is Reason.CARD_UNKNOWN or "reading" in changes  # reading without dates finds neither of them
    assert verdict == (Refuse(reason) if stays else LetOut())


@pytest.mark.parametrize(
    ("policy", "has_phone", "static_again", "needs_rotating"),
    [
        (CodePolicy.EITHER, False, False, False),
        (CodePolicy.EITHER, True, False, True),
        (CodePolicy.EITHER, True, True, False),
        (CodePolicy.STATIC, True, False, False),
        (CodePolicy.ROTATING, False, False, True),
        (CodePolicy.ROTATING, True, True, True),
    ],
)
def test_whether_the_static_form_will_do(
    policy: CodePolicy, has_phone: bool, static_again: bool, needs_rotating: bool
) -> None:
    static = Situation(code_policy=policy, has_phone=has_phone, static_again=static_again)
    assert (
        static.decided() == Refuse(Reason.NEEDS_ROTATING_CODE)
        if needs_rotating
        else isinstance(static.decided(), Admit)
    )
    assert isinstance(replace(static, step=STEP).decided(), Admit)
    assert isinstance(replace(static, card=CardAuth.NONE).decided(), Admit)


def test_an_unlisted_static_code_of_a_rotating_product_will_not_do() -> None:
    unlisted = Situation(listed=False, issued_version=VERSION + 1, code_policy=CodePolicy.ROTATING)
    assert unlisted.decided() == Refuse(Reason.NEEDS_ROTATING_CODE)
    assert isinstance(replace(unlisted, step=STEP).decided(), Admit)


@pytest.mark.parametrize(
    ("trust", "held_h", "steps"),
    [
        (ClockTrust.TRUSTED, 0, 1),
        (ClockTrust.HELD, 0, 1),
        (ClockTrust.HELD, 5.99, 1),
        (ClockTrust.HELD, 6, 2),
        (ClockTrust.HELD, 12, 3),
        (ClockTrust.HELD, 18, 4),
        (ClockTrust.HELD, 23.99, 4),
    ],
)
def test_how_far_a_step_may_be_off(trust: ClockTrust, held_h: float, steps: int) -> None:
    now = Situation(trust=trust, untrusted_ms=round(held_h * HOUR_MS))
    for off in range(-9, 10):
        verdict = replace(now, step=STEP + off).decided()
        assert isinstance(verdict, Admit) if abs(off) <= steps else verdict == Refuse(Reason.CODE_TOO_OLD)


def test_held_for_a_day_staff_decide_on_rotating_codes_and_on_nothing_else() -> None:
    held = Situation(trust=ClockTrust.HELD, untrusted_ms=24 * HOUR_MS)
    assert isinstance(held.decided(), Admit)
    for step in (STEP, STEP - 100):
        assert replace(held, step=step).decided() == Refuse(Reason.CLOCK_UNKNOWN)
    assert replace(held, step=STEP, last_step=STEP).decided() == Refuse(Reason.CODE_REUSED)


@pytest.mark.parametrize(("last", "reused"), [(STEP - 1, False), (STEP, True), (STEP + 1, True)])
def test_steps_only_rise(last: int, reused: bool) -> None:
    verdict = Situation(step=STEP, last_step=last).decided()
    assert verdict == Refuse(Reason.CODE_REUSED) if reused else isinstance(verdict, Admit)


def test_only_a_reason_after_code_reused_waits_for_the_journal() -> None:
    facts = Facts(None, rotating=Rotating(STEP))
    waits = [reason for reason in Reason if may_be_reused(facts, Refuse(reason))]
    assert waits == ORDER[ORDER.index(Reason.CLOCK_UNKNOWN) :]
    assert not any(may_be_reused(Facts(None), Refuse(reason)) for reason in Reason)
