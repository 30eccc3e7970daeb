"""The decision: every reason there is, and for every two that meet, the earlier one in the closed order."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from gate_agent.decision import FAR_FROM_EDGE_MS, Admit, Cover, Facts, LetOut, Refuse, Rotating, decide, may_be_reused
from gate_agent.uses import PassUses
from hardware.card_reader import CardAuth
from tests.gate_agent.situation import AFTER_MIDNIGHT, OLD_HEAD, ONLY_TODAY, STEP, TODAY, USED, Situation
from tests.gate_agent.venue import NOW_MINUTE, NOW_MS, VERSION
from wire import moments
from wire.calendar import Closure, DayRange
from wire.entitlement import PassStatus
from wire.feed import CodePolicy
from wire.messages import ClockTrust
from wire.moments import HOUR_MS
from wire.reasons import Reason

ORDER = list(Reason)
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
    (Reason.NEEDS_CARD, {"needs_card": True, "card": None}),
    (Reason.VENUE_CLOSED, {"hours": AFTER_MIDNIGHT}),
    (Reason.VENUE_CLOSED, {"closed_days": ONLY_TODAY}),
    (Reason.VENUE_CLOSED, {"closures": (Closure(NOW_MINUTE, None),)}),
    (Reason.BLACKOUT, {"blackout": ONLY_TODAY}),
    (Reason.WRONG_TIME_SLOT, {"slots": AFTER_MIDNIGHT}),
    (Reason.USED_UP, {"per_day": 1, "uses": USED}),
    (Reason.ALREADY_INSIDE, {"leave_first": True, "uses": USED}),
    (Reason.TOO_SOON, {"gap_min": 31, "uses": USED}),
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
        *(Reason.NEEDS_NETWORK, Reason.OTHER_LANE),
    }
    by_the_conductor = {Reason.LANE_CLOSED, Reason.CANNOT_RECORD, Reason.FAULT}
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
    assert len(PAIRS) > 350


def test_a_code_will_not_do_where_the_card_is_wanted_and_staff_may_find_the_pass_by_its_number() -> None:
    assert isinstance(Situation(needs_card=True, card=CardAuth.NONE).decided(), Admit)
    found = replace(Situation(needs_card=True).facts(), reading=None)
    assert isinstance(decide(found, Situation(needs_card=True).venue(), Situation().now()), Admit)


def test_a_short_code_is_a_code_too_where_the_card_is_wanted() -> None:
    shown = Situation(needs_card=True, step=STEP)
    short = replace(shown.facts(), reading=None)
    assert decide(short, shown.venue(), shown.now()) == Refuse(Reason.NEEDS_CARD)


def test_a_party_goes_in_on_one_presentation() -> None:
    verdict = Situation(party=3).decided()
    assert isinstance(verdict, Admit)
    assert verdict.persons == 3


@pytest.mark.parametrize(
    ("closure", "closed"),
    [
        (Closure(NOW_MINUTE, None), True),
        (Closure(NOW_MINUTE + 1, None), False),
        (Closure(NOW_MINUTE, NOW_MINUTE + 60), False),  # it may be over by now
    ],
)
def test_without_the_time_a_closure_holds_that_began_and_has_no_end(closure: Closure, closed: bool) -> None:
    verdict = Situation(knows_time=False, closures=(closure,)).decided()
    assert verdict == Refuse(Reason.VENUE_CLOSED) if closed else isinstance(verdict, Admit)


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
        ({"issued_version": VERSION + 1, "uses": USED, "per_day": 1}, Reason.USED_UP),
        ({"issued_version": VERSION + 1, "blackout": ONLY_TODAY}, Reason.BLACKOUT),
        ({"issued_version": VERSION + 1, "needs_card": True}, Reason.NEEDS_CARD),
        ({"issued_version": VERSION + 1, "uses": USED, "gap_min": 31}, Reason.TOO_SOON),
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
        ({"hours": AFTER_MIDNIGHT, "closed_days": ONLY_TODAY}, True),
        ({"slots": AFTER_MIDNIGHT}, False),
        ({"blackout": (DayRange(TODAY - 9, TODAY - 1),)}, True),
        ({"blackout": ONLY_TODAY}, False),
        ({"blackout": (DayRange(TODAY + 30, TODAY + 40),)}, False),
        ({"blackout": (DayRange(TODAY + 31, TODAY + 40),)}, True),
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
