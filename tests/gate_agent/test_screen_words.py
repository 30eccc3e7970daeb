"""Every reason and state has its sentence, in both languages, within its measure, and as it was drawn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gate_agent.faces import FAMILY, Enrolling, Family, LaneTrouble, Limit, State
from gate_agent.lane_state import LaneState
from gate_agent.screen import alarm_words, card_words, staff_words, words
from gate_agent.screen.labels import LABELS
from gate_agent.screen.staff_words import Telling
from gate_agent.screen.words import BREAK, LONGEST, LONGEST_LINE, Sentence
from gate_agent.status import AlarmKind, Side
from hardware.card_reader import CardTrouble
from wire.entitlement import StopCause
from wire.messages import ClockTrust
from wire.reasons import Reason

DRAWN = Path(__file__).parents[3] / "shared/design/look/gate/reasons.md"
LARGE = [
    *words.VISITOR.values(),
    *words.USED_UP.values(),
    *card_words.VISITOR.values(),
    *words.ENROLLING.values(),
    *card_words.ELECTRONIC.values(),
    words.NO_OTHER_LANE,
    words.LOST_CARD,
    words.FROZEN,
]
PUBLIC_NEVER = ("伪造", "网络错误", "系统异常", "作废")
BAND_ZH, BAND_EN = 15, 26  # characters side by side at 800×480; a Chinese one is as wide as two


def test_every_verdict_has_a_sentence_and_every_reason_a_telling() -> None:
    assert set(words.VISITOR) == {*Reason, *State} == set(FAMILY)
    assert set(staff_words.STAFF) == set(Reason)
    assert set(words.USED_UP) == set(staff_words.USED_UP) == set(Limit)
    assert set(staff_words.STOPPED) == set(StopCause)
    assert set(alarm_words.TROUBLES) == set(LaneTrouble)
    assert set(alarm_words.ALARMS) == set(AlarmKind)
    assert set(words.ENROLLING) == set(Enrolling)
    assert set(card_words.VISITOR) == set(card_words.STAFF) == set(CardTrouble)


def test_no_text_is_missing_in_either_language() -> None:
    assert all(sentence.zh and sentence.en for sentence in words.VISITOR.values())
    assert all(bool(sentence.fact_zh) == bool(sentence.fact_en) for sentence in words.VISITOR.values())
    tellings = [*staff_words.STAFF.values(), *staff_words.USED_UP.values(), *card_words.STAFF.values()]
    tellings += card_words.ELECTRONIC_STAFF.values()
    assert all(t.what_zh and t.say_zh and t.what_en and t.say_en for t in tellings)
    assert all(zh and en for zh, en in LABELS.values())


def test_labels_exist_for_what_the_board_can_name() -> None:
    wanted = [*LaneState, *Side, *(trust.name.lower() for trust in ClockTrust)]
    assert [name for name in wanted if name not in LABELS] == []


@pytest.mark.parametrize("sentence", LARGE, ids=lambda sentence: sentence.zh)
def test_the_large_text_keeps_its_measure(sentence: Sentence) -> None:
    lines = re.sub(r"\{\w+\}", "2", sentence.zh).split(BREAK)
    assert len(lines) <= 2
    assert sum(map(len, lines)) <= LONGEST
    assert max(map(len, lines)) <= LONGEST_LINE
    assert not any(word in sentence.zh + sentence.fact_zh for word in PUBLIC_NEVER)


def test_facts_that_stand_in_the_lowest_band_fit_it() -> None:
    retry = [words.VISITOR[verdict] for verdict, family in FAMILY.items() if family is Family.RETRY]
    variants = [*card_words.VISITOR.values(), *card_words.ELECTRONIC.values(), *words.ENROLLING.values()]
    for fact in (*retry, *variants):
        assert len(fact.fact_zh) <= BAND_ZH
        assert 2 * len(fact.fact_zh) + len(fact.fact_en) <= 2 * BAND_ZH + BAND_EN


def test_off_line_cards_are_told_the_fixed_sentence() -> None:
    sentence = words.VISITOR[Reason.NEEDS_NETWORK]
    assert sentence.zh.replace(BREAK, "") == "请出示年票码或刷实体社保卡"
    assert sentence.fact_zh.startswith("网络中断")


@pytest.mark.parametrize(
    ("template", "values", "filled"),
    [
        ("有效期至 {until}", {"until": "2027-03-14"}, "有效期至 2027-03-14"),
        ("有效期至 {until}", {"until": ""}, ""),
        ("有效期至 {until}", {}, ""),
        ("已作废（{cause}，{when}）。", {"cause": "退款"}, "已作废。"),
        ("Cancelled ({cause}).", {"cause": "refund"}, "Cancelled (refund)."),
        ("不是本系统的码（付款码）。", {}, "不是本系统的码（付款码）。"),
    ],
)
def test_an_unknown_fact_is_left_out_whole_never_shown_empty(
    template: str, values: dict[str, str], filled: str
) -> None:
    assert words.fill(template, values) == filled


if DRAWN.exists():  # the drawings are not part of this checkout

    def test_the_sentences_are_those_of_the_drawings() -> None:
        visitor, staff = _drawn()
        ours = {str(verdict): _cells(sentence) for verdict, sentence in words.VISITOR.items()}
        assert {name: row for name, row in visitor.items() if name not in ("admitted_uses", "frozen")} == ours
        assert visitor["frozen"] == _cells(words.FROZEN)
        for reason, telling in staff_words.STAFF.items():
            if reason not in (Reason.FORGED, Reason.USED_UP):  # their asides to the staff are not to be read aloud
                assert staff[reason] == telling


def _cells(sentence: Sentence) -> tuple[str, str, str, str]:
    return sentence.zh, sentence.en, sentence.fact_zh, sentence.fact_en


def _drawn() -> tuple[dict[str, tuple[str, str, str, str]], dict[str, Telling]]:
    """The tables of reasons.md: the visitor's four cells and the staff's, by name."""
    visitor: dict[str, tuple[str, str, str, str]] = {}
    staff: dict[str, Telling] = {}
    for section in DRAWN.read_text(encoding="utf-8").split("\n## "):
        for line in section.splitlines():
            if line.startswith("| `"):
                name, *cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
                if section.startswith("Reasons: staff"):
                    staff[name] = Telling(*(re.sub("^“(.*)”$", r"\1", cell) for cell in cells))
                else:
                    zh, en, fact_zh, fact_en = ("" if cell == "–" else cell for cell in cells[1:5])
                    visitor[name] = (zh, en, fact_zh, fact_en)
    return visitor, staff
