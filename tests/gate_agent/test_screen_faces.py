"""What a visitor face says, word for word, and what it leaves out."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gate_agent.board import Shown
from gate_agent.faces import NO_FACTS, Face, FaceFacts, Label, LaneTrouble, Limit, State, Verdict
from gate_agent.lane_state import LaneState
from gate_agent.screen.visitor import FaceView, view
from gate_agent.status import LaneStatus, Side, Status, Way
from tests.gate_agent.beijing import NOW_MS, at
from wire.reasons import Reason

LANE = LaneStatus(1, LaneState.OPEN, Side.ENTRY, Way.LEFT)
STATUS = Status(lanes=(LANE,), venue=Label("汴河虹桥景区", "Rainbow Bridge"))


def face(verdict: Verdict, facts: FaceFacts = NO_FACTS, now_ms: int | None = NOW_MS) -> FaceView:
    told = Face(verdict, facts, "李*花", Label("汴京旅游年票", "Annual pass"))
    return view(LANE, Shown(told, 7), STATUS, now_ms)


def test_idle_invites_with_both_ways_to_show_a_pass() -> None:
    idle = face(State.IDLE)
    assert idle.lines == ("请出示年票码", "或刷社保卡")
    assert (idle.band.zh, idle.place, idle.way) == ("一人一票，依次通过", "入口 · 汴河虹桥景区", None)


def test_an_admission_shows_name_product_count_and_where_to_walk() -> None:
    admitted = face(State.ADMITTED, FaceFacts(entries_today=1, until_ms=at(15, 0, month=3, year=2027)))
    assert (admitted.lines, admitted.holder, admitted.product) == (("请入园",), "李*花", "汴京旅游年票")
    assert admitted.band.zh == "今日第1次 · 有效期至 2027-03-14"
    assert admitted.way is not None
    assert (admitted.way.direction, admitted.way.zh, admitted.way.en) == (Way.LEFT, "请向左走", "Please enter")
    assert admitted.place == "入口"


@pytest.mark.parametrize(
    ("facts", "band"),
    [
        (FaceFacts(entries_today=2), "今日第2次"),
        (FaceFacts(entries_today=2, count=50), "今日第2次"),
        (FaceFacts(left_here=3, entries_today=1), "本景区还可入园 3 次"),
        (FaceFacts(left_here=0), "本次用完，祝您游园愉快"),
        (FaceFacts(venues_left=3, venues_all=5), "还可游 3 个景区"),
        (FaceFacts(until_ms=at(1, 0, month=12), entries_today=1), "还有 9 天到期 · 2026-11-30"),
    ],
)
def test_the_line_of_an_admission_follows_the_rule(facts: FaceFacts, band: str) -> None:
    assert face(State.ADMITTED, facts).band.zh == band


def test_venues_of_a_combo_are_drawn_as_pips() -> None:
    assert face(State.ADMITTED, FaceFacts(venues_left=3, venues_all=5)).pips == ("used", "now", "", "", "")
    assert face(State.ADMITTED, FaceFacts(venues_left=30, venues_all=50)).pips == ()


def test_a_refusal_never_shows_who_or_what_was_refused() -> None:
    for reason in Reason:
        refused = face(reason, FaceFacts(to_lane=2))
        assert (refused.holder, refused.product) == ("", "")


@pytest.mark.parametrize(
    ("facts", "line", "fact"),
    [
        (FaceFacts(at_ms=at(21, 9, 12), at_lane=2), "今日已入园", "今日 09:12 · 2号通道"),
        (FaceFacts(at_ms=at(21, 9, 12)), "今日已入园", "今日 09:12 · 其他闸机"),
        (FaceFacts(at_ms=at(20, 9, 12), at_lane=2, limit=Limit.TOTAL), "次数已用完", "11-20 09:12 · 2号通道"),
        (
            FaceFacts(at_ms=at(20, 9, 12, year=2025), at_lane=2, limit=Limit.TOTAL),
            "次数已用完",
            "2025-11-20 09:12 · 2号通道",
        ),
        (FaceFacts(limit=Limit.DAY), "今日次数已用完", ""),
    ],
)
def test_a_used_up_pass_names_its_limit_and_latest_use(facts: FaceFacts, line: str, fact: str) -> None:
    used = face(Reason.USED_UP, facts)
    assert (used.lines, used.fact) == ((line,), fact)


def test_dates_that_are_not_known_leave_no_empty_fact() -> None:
    assert face(Reason.EXPIRED).fact == ""
    assert face(Reason.EXPIRED, FaceFacts(until_ms=at(1, 0))).fact == "有效期至 2026-10-31"
    assert face(Reason.NOT_YET_ACTIVE, FaceFacts(from_ms=at(23, 10, 20))).fact == "将于 11月23日 10:20 起可用"
    assert (
        face(Reason.NOT_YET_ACTIVE, FaceFacts(from_ms=at(3, 0, month=1, year=2027))).fact
        == "将于 2027年1月3日 00:00 起可用"
    )


def test_a_gate_without_a_time_still_says_what_it_knows() -> None:
    used = face(Reason.USED_UP, FaceFacts(at_ms=at(20, 9, 12), at_lane=2), now_ms=None)
    assert used.fact == "今日 09:12 · 2号通道"
    assert face(State.ADMITTED, FaceFacts(entries_today=1), now_ms=None).band.zh == "今日第1次"


@pytest.mark.parametrize(
    ("verdict", "with_lane", "without"),
    [
        (Reason.LANE_CLOSED, ("本通道", "关闭"), ("本通道关闭", "请工作人员协助")),
        (Reason.CANNOT_RECORD, ("本机", "暂停验票"), ("本机暂停验票", "请工作人员协助")),
        (Reason.OTHER_LANE, ("请走", "2号通道"), ("请工作人员协助",)),
        (State.STARTING, ("正在启动",), ("正在启动", "请工作人员协助")),
    ],
)
def test_who_is_sent_away_is_told_the_lane_or_else_to_wait_for_staff(
    verdict: Verdict, with_lane: tuple[str, ...], without: tuple[str, ...]
) -> None:
    sent = face(verdict, FaceFacts(to_lane=2))
    assert sent.way is not None
    assert (sent.lines, sent.way.to_lane, sent.way.direction) == (with_lane, 2, Way.RIGHT)
    staying = face(verdict)
    assert (staying.lines, staying.way) == (without, None)
    assert staying.en.endswith("Please wait for our staff")


def test_a_broken_lane_reassures_and_names_a_code_for_service() -> None:
    broken = face(Reason.FAULT, FaceFacts(to_lane=2, trouble=LaneTrouble.READER))
    assert (broken.band.zh, broken.band.code) == ("次数没有扣", "读头未连接 · E-R1")


def test_the_headline_s_size_follows_its_longest_line() -> None:
    sizes = {Reason.USED_UP: "w5", Reason.EXPIRED: "w5", Reason.CODE_TOO_OLD: "w6", Reason.FORGED: "w7"}
    assert {reason: face(reason).width for reason in sizes} == sizes
    assert face(State.FIRE).width == "w6", "two lines of five stand no larger than two lines of six"


def test_an_exit_says_so() -> None:
    lane = replace(LANE, side=Side.EXIT)
    assert view(lane, Shown(Face(State.EXIT), 1), STATUS, NOW_MS).place == "出口"
    held = view(lane, Shown(Face(State.HELD_OPEN), 1), STATUS, NOW_MS)
    assert held.lines == ("通道常开", "请直接出园")
    for verdict in Reason:
        if verdict not in (Reason.USED_UP, Reason.ALREADY_INSIDE, Reason.TOO_SOON):  # these are about an entry
            assert not any("入园" in line for line in view(lane, Shown(Face(verdict), 1), STATUS, NOW_MS).lines)
