"""The table of acts: who may do what, what each asks for, and that every act, reason and answer has words."""

from __future__ import annotations

import pytest

from gate_agent.acts import TERMS, Act, Ask, Came, Result, Unfit, Wish, read_wish, tried
from gate_agent.lane_state import PARTY_LIMIT
from gate_agent.list_find import NotSought
from gate_agent.recognition import CardTap
from gate_agent.screen import act_sheets, act_words
from gate_agent.screen.act_sheets import ICONS
from gate_agent.screen.labels import LABELS
from gate_agent.screen.speech import Speech
from gate_agent.staff import Role
from gate_agent.sync_state import TroubleKind
from hardware.card_reader import PULLED, CardAuth, CardRead
from tests.gate_agent.beijing import ZONE
from wire.reasons import Reason

LANES = (1, 2)
FULL = {
    "once": "x",
    "lane": "2",
    "reason": "other",
    "count": "3",
    "minutes": "30",
    "seq": "17",
    "pass": "00" * 8,
    "url": " https://centre ",
    "code": "ABCD",
}


def test_every_act_has_its_line_and_its_words() -> None:
    assert set(TERMS) == set(act_words.EFFECTS) == set(act_words.DO) == set(act_words.DONE) == set(ICONS) == set(Act)
    assert {f"act_{act}" for act in Act} <= set(LABELS)
    assert {word for terms in TERMS.values() for word in terms.reasons} == set(act_words.REASONS)
    assert set(act_words.UNFIT) == set(Unfit)
    assert set(act_words.NOT_SOUGHT) == set(NotSought)
    assert set(act_words.CAME) == set(Came) - {Came.DONE, Came.CENTRE}
    assert set(TroubleKind) <= set(act_words.CENTRE)


def test_what_opens_for_long_or_leaves_the_box_needs_a_supervisor() -> None:
    supervisors = {act for act, terms in TERMS.items() if terms.role is Role.SUPERVISOR}
    assert supervisors == {Act.HOLD, Act.COMMISSION, Act.EXPORT, Act.ENROL, Act.ENROL_SCAN, Act.PAIR}


def test_what_moves_an_arm_for_visitors_or_a_right_needs_a_reason() -> None:
    without = {act for act, terms in TERMS.items() if not terms.reasons}
    box = {Act.SYNC, Act.EXPORT, Act.ENROL, Act.ENROL_SCAN, Act.PAIR}
    assert without == {Act.CHECK, Act.TEST_CARD, Act.COMMISSION, Act.OPEN} | box


@pytest.mark.parametrize("act", Act)
def test_a_form_is_read_by_its_line_and_nothing_else_of_it_is_kept(act: Act) -> None:
    wish = read_wish(act, FULL, LANES)
    assert isinstance(wish, Wish)
    asks = TERMS[act].asks
    assert (wish.count == 3) == (asks is Ask.COUNT)
    assert (wish.minutes == 30) == (asks is Ask.MINUTES)
    assert (wish.entry_seq == 17) == (asks is Ask.ENTRY)
    assert (wish.pass_id == bytes(8)) == (asks is Ask.LISTED)
    assert (wish.url, wish.code) == (("https://centre", "ABCD") if asks is Ask.CENTRE else ("", ""))
    assert wish.lane == (2 if TERMS[act].at_lane else 0)


@pytest.mark.parametrize(
    ("act", "field", "value", "lacks"),
    [
        (Act.LET_IN, "lane", "3", Unfit.NO_LANE),
        (Act.LET_IN, "lane", "", Unfit.NO_LANE),
        (Act.LET_IN, "lane", "1; drop", Unfit.NO_LANE),
        (Act.LET_IN, "reason", "", Unfit.NO_REASON),
        (Act.LET_IN, "reason", "because I say so", Unfit.NO_REASON),
        (Act.GROUP, "count", "1", Unfit.NO_COUNT),
        (Act.GROUP, "count", str(PARTY_LIMIT + 1), Unfit.NO_COUNT),
        (Act.GROUP, "count", "9" * 40, Unfit.NO_COUNT),
        (Act.GROUP, "count", "-3", Unfit.NO_COUNT),
        (Act.GROUP, "count", "３", Unfit.NO_COUNT),
        (Act.HOLD, "minutes", "1440", Unfit.NO_MINUTES),
        (Act.RETURN, "seq", "", Unfit.NO_ENTRY),
        (Act.COUNTER, "pass", "zz", Unfit.NOT_FOUND),
        (Act.ENROL, "code", "  ", Unfit.NO_CODE),
    ],
)
def test_a_form_that_lacks_something_is_told_what(act: Act, field: str, value: str, lacks: Unfit) -> None:
    assert read_wish(act, {**FULL, field: value}, LANES) is lacks


@pytest.mark.parametrize("lang", ["zh", "en"])
def test_of_a_card_that_is_tried_only_the_ends_of_its_numbers_are_seen(lang: str) -> None:
    card = CardRead("410200", "A12345678", "0123456789ABCDEF", "41020319900307773X", CardAuth.PSAM)
    said = act_sheets.answer(Act.TEST_CARD, Result(Came.DONE, tried=tried(CardTap(card))), Speech(lang, ZONE, None))
    assert all(part in said for part in ("410200", "*****5678", "************CDEF", "4102**********773X", "PSAM"))
    assert not any(number in said for number in (card.number, card.identification, str(card.id_number)))
    plain = CardRead("410200", "", "ABCD")
    said = act_sheets.answer(Act.TEST_CARD, Result(Came.DONE, tried=tried(CardTap(plain))), Speech(lang, ZONE, None))
    assert "ABCD" not in said


@pytest.mark.parametrize("came", [came for came in Came if came is not Came.DONE])
@pytest.mark.parametrize("lang", ["zh", "en"])
def test_every_answer_fills_its_sentence(came: Came, lang: str) -> None:
    result = Result(came, "李*芳", 2, 3, 4, 5_000, Reason.USED_UP, TroubleKind.UNREACHABLE, "…", PULLED)
    for act in Act:
        assert not {"{", "}"} & set(act_sheets.answer(act, result, Speech(lang, ZONE, None)))


@pytest.mark.parametrize("act", Act)
def test_every_act_that_was_done_says_so(act: Act) -> None:
    said = act_sheets.answer(act, Result(Came.DONE, "李*芳", 2, 3, 4, tried=PULLED), Speech("zh", ZONE, None))
    assert said and not {"{", "}"} & set(said)
