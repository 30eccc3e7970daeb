"""What the staff's face says: strip, alarm, counters, list and detail."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gate_agent.board import EarlierUse, Scan, ShownBy
from gate_agent.faces import FaceFacts, Family, Label, LaneTrouble, Limit, State
from gate_agent.lane_state import LaneState
from gate_agent.screen import scans, strip
from gate_agent.screen.alarms import alarm_lines
from gate_agent.screen.speech import Speech
from gate_agent.status import Alarm, AlarmKind, LaneStatus, Side, Status
from tests.gate_agent.beijing import NOW_MS, ZONE, at
from wire.messages import ClockTrust
from wire.reasons import Reason

ZH = Speech("zh", ZONE, NOW_MS)
EN = Speech("en", ZONE, NOW_MS)
LANES = (LaneStatus(1, LaneState.OPEN), LaneStatus(2, LaneState.OPEN), LaneStatus(3, LaneState.CLOSED, Side.EXIT))
FINE = Status(
    lanes=LANES,
    venue=Label("汴河虹桥景区", ""),
    enrolled=True,
    online=True,
    list_version=7,
    list_at_ms=at(21, 10, 41),
    clock=ClockTrust.TRUSTED,
)
CUT = replace(FINE, online=False, offline_since_ms=at(21, 9, 42), waiting=1280, list_at_ms=at(21, 9, 43))


def pill(status: Status, speech: Speech = ZH) -> str:
    link = strip.strip(status, speech).link
    return " · ".join((link.head, *link.parts))


def test_the_link_says_since_when_whether_it_still_admits_what_waits_and_how_old_the_list_is() -> None:
    assert pill(FINE) == "在线 · 名单 10:41 · 待上传 0"
    assert pill(CUT) == "离线 自 09:42 · 仍在放行 · 待上传 1,280 · 名单 09:43"
    assert pill(CUT, EN) == "Off line since 09:42 · still admitting · 1,280 waiting · list 09:43"
    assert pill(replace(CUT, list_at_ms=at(21, 8, 0))).endswith("名单已 2 小时未更新")
    assert pill(replace(CUT, offline_since_ms=at(20, 9, 42))).startswith("离线 自 11-20 09:42")


def test_a_cut_off_gate_with_no_list_or_no_open_lane_does_not_claim_to_admit() -> None:
    assert "仍在放行" not in pill(replace(CUT, list_version=None))
    assert "仍在放行" not in pill(replace(CUT, lanes=LANES[2:]))
    assert pill(Status(lanes=LANES)) == "本机未登记"


def test_a_list_past_its_end_is_said_in_the_link_and_is_an_alarm() -> None:
    old = replace(CUT, list_expired=True)
    assert pill(old).endswith("名单过期")
    assert [line.key for line in strip.strip(old, ZH).alarms] == ["list_expired-0"]


def test_off_line_alone_is_no_alarm() -> None:
    assert strip.strip(CUT, ZH).alarms == ()


def test_lanes_say_their_state_and_what_troubles_them() -> None:
    broken = replace(LANES[0], state=LaneState.OUT_OF_ORDER, trouble=LaneTrouble.READER)
    held = LaneStatus(4, LaneState.HELD_OPEN, until_ms=at(21, 11, 30))
    fire = LaneStatus(5, LaneState.FIRE)
    chips = strip.strip(replace(FINE, lanes=(broken, *LANES[1:], held, fire)), ZH).chips
    assert [(chip.lane, chip.side, chip.state, chip.mark, chip.tint) for chip in chips] == [
        (1, "入口", "读头故障", "m-fault", "bad"),
        (2, "入口", "正常", "m-go", ""),
        (3, "出口", "已关闭", "m-lane", "off"),
        (4, "入口", "常开 至 11:30", "i-hold", "held"),
        (5, "入口", "消防已开", "m-fault", "bad"),
    ]


def test_the_worst_alarm_stands_first_and_sends_visitors_to_the_nearest_open_lane() -> None:
    reader = LaneStatus(3, LaneState.OUT_OF_ORDER, Side.ENTRY, trouble=LaneTrouble.READER)
    unplugged = Alarm(AlarmKind.READER, 3, at(21, 9, 58))
    (line,) = alarm_lines(replace(FINE, lanes=(*LANES[:2], reader), alarms=(unplugged,)), ZH)
    assert (line.first, line.second) == (
        "3 号通道读头未连接，入口已停用",
        "请检查 USB 线，或把读头插回原来的口；游客请走 2 号通道。09:58 起",
    )
    lanes = (reader, LaneStatus(4, LaneState.OPEN, Side.EXIT))
    (line,) = alarm_lines(replace(FINE, lanes=lanes, alarms=(unplugged,)), ZH)
    assert "请走" not in line.second, "nobody who wants in is sent to the exit"
    forced = Alarm(AlarmKind.FORCED, 2, at(21, 10, 40))
    crossed = Alarm(AlarmKind.CROSSED, 1, None, other_lane=2)
    alarms = (unplugged, crossed, Alarm(AlarmKind.RECORD), forced)
    lines = alarm_lines(replace(FINE, lanes=(reader,), list_expired=True, alarms=alarms), ZH)
    assert [line.key for line in lines] == ["record-0", "forced-2", "crossed-1", "reader-3", "list_expired-0"]
    assert (lines[1].first, lines[1].second) == ("2 号通道有人闯闸", "请到通道查看。10:40 起")
    assert lines[2].first == "1、2 号通道接反"


@pytest.mark.parametrize("kind", list(AlarmKind))
def test_every_alarm_says_what_is_wrong_and_what_to_do_in_both_languages(kind: AlarmKind) -> None:
    for speech in (ZH, EN):
        (line,) = alarm_lines(replace(FINE, alarms=(Alarm(kind, 1, None, other_lane=2),)), speech)
        assert len(line.first) > 5 and len(line.second) > 5
        assert "{" not in line.first + line.second and "None" not in line.first


def test_devices_that_are_not_known_are_left_out_and_wrong_ones_counted() -> None:
    assert [item.label for item in strip.strip(FINE, ZH).health] == ["时钟"]
    status = replace(
        FINE, clock=ClockTrust.HELD, disk_percent=85, readers_ok=5, readers_all=6, relays_ok=3, relays_all=3
    )
    shown = strip.strip(status, EN)
    assert [(item.value, item.level) for item in shown.health] == [
        ("held", "w"),
        ("85% nearly full", "w"),
        ("5/6", "x"),
        ("3/3", ""),
    ]
    assert shown.wrong == 3
    assert all(item.why for item in shown.health)


@pytest.mark.parametrize(
    ("changed", "value", "why"),
    [
        ({"clock": ClockTrust.UNKNOWN}, "未知", "断电后没有对时"),
        ({"disk_percent": 99, "disk_full": True}, "已满", "停止放行"),
        ({"temperature_c": 71}, "71 ℃", "还在正常范围"),
        ({"temperature_c": 81}, "81 ℃ 过热", "已降低识别频率"),
        ({"temperature_c": 58}, "58 ℃", "正常"),
        ({"relays_ok": 1, "relays_all": 2}, "1/2", "电源和接线"),
    ],
)
def test_each_device_says_what_its_state_means(changed: dict[str, Any], value: str, why: str) -> None:
    items = strip.strip(replace(FINE, **changed), ZH).health
    assert any(item.value == value and why in item.why for item in items)


def test_refusals_are_counted_by_what_was_told_largest_first_the_rest_together() -> None:
    refused = {
        Reason.USED_UP: 21,
        Reason.NOT_OURS: 3,
        Reason.WRONG_PURPOSE: 2,
        Reason.FORGED: 4,
        Reason.NOT_IN_LIST: 6,
        Reason.EXPIRED: 2,
        Reason.BLACKOUT: 1,
    }
    assert scans.bars(refused, ZH) == (
        ("今日已入园", 21),
        ("不在名单", 6),
        ("这不是入园码", 5),
        ("签名不对", 4),
        ("其他", 3),
    )
    assert scans.bars({}, ZH) == ()


def test_rows_put_the_name_first_when_admitted_and_the_reason_first_when_refused() -> None:
    product = Label("旅游年票", "Annual pass")
    admitted = Scan(1, State.ADMITTED, at(21, 10, 42), ShownBy.CARD, FaceFacts(entries_today=1), "李*花", product)
    refused = Scan(2, Reason.USED_UP, at(21, 10, 41), facts=FaceFacts(at_ms=at(21, 9, 12), at_lane=2), holder="周*明")
    unknown = Scan(2, Reason.NOT_IN_LIST, None, ticket_last6="771205")
    rows = scans.rows([admitted, refused, unknown], ZH)
    assert [(row.headline, row.meta, row.time, row.place) for row in rows] == [
        ("李*花 · 请入园", "旅游年票 · 今日第1次", "10:42:00", "1 号 · 刷卡"),
        ("今日已入园", "周*明 · 今日 09:12 · 2号通道", "10:41:00", "2 号 · 扫码"),
        ("请工作人员协助", "签名正确，但名单里没有这张票 · …771205", "", "2 号 · 扫码"),
    ]
    nameless = replace(admitted, holder="", ticket_last6="887002")
    assert scans.rows([nameless], ZH)[0].headline == "…887002 · 请入园"
    assert scans.rows([admitted], EN)[0].headline == "李*花 · Please enter"
    assert len(scans.rows([admitted] * 100, ZH)) == scans.ROWS_LIMIT


def test_the_detail_says_first_what_to_say_then_what_is_known() -> None:
    scan = Scan(
        lane=2,
        verdict=Reason.USED_UP,
        at_ms=at(21, 10, 41),
        facts=FaceFacts(at_ms=at(21, 9, 12), at_lane=2, until_ms=at(1, 0, month=10)),
        holder="周*明",
        ticket_last6="552073",
        earlier=(EarlierUse(at(21, 9, 12), 2), EarlierUse(at(15, 15, 31), None)),
    )
    detail = scans.detail(scan, ZH)
    assert detail.say == "您今天 09:12 已从2号通道入园，此票每天限一次。"
    assert detail.what == "今日次数已用：09:12 2号通道入园。"
    assert [value for _, _, value in detail.facts] == ["周*明", "…552073", "至 2026-09-30"]
    assert [(use.time, use.place) for use in detail.earlier] == [
        ("今天 09:12", "2 号通道 · 入园"),
        ("11-15 15:31", "其他闸机 · 入园"),
    ]


@pytest.mark.parametrize(
    ("verdict", "facts", "say"),
    [
        (Reason.EXPIRED, FaceFacts(), "此票已过期"),
        (Reason.USED_UP, FaceFacts(at_ms=at(20, 9, 12)), "您 11-20 09:12 已从其他闸机入园，此票每天限一次。"),
        (
            Reason.USED_UP,
            FaceFacts(at_ms=at(20, 9, 12), at_lane=3, limit=Limit.TOTAL),
            "这张票的次数用完了，最近一次是 11-20 09:12 3号通道。",
        ),
        (State.ADMITTED, FaceFacts(), "请往里走，祝您游园愉快。"),
    ],
)
def test_there_is_always_something_to_say(verdict: State | Reason, facts: FaceFacts, say: str) -> None:
    assert scans.detail(Scan(1, verdict, None, facts=facts), ZH).say == say


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_has_a_line_and_a_detail_in_both_languages_without_a_gap(reason: Reason) -> None:
    for speech in (ZH, EN):
        scan = Scan(1, reason, None)
        detail, row = scans.detail(scan, speech), scans.rows([scan], speech)[0]
        assert detail.say and row.headline
        assert not any("{" in text or "}" in text for text in (detail.say, detail.what, row.meta, row.headline))


def test_a_code_of_the_past_and_one_of_the_future_are_told_apart() -> None:
    old, ahead = (Scan(1, Reason.CODE_TOO_OLD, NOW_MS, facts=FaceFacts(age_s=age_s)) for age_s in (86, -86))
    assert (scans.rows([old], ZH)[0].meta, scans.rows([ahead], ZH)[0].meta) == ("86 秒前的码", "手机快 86 秒")
    assert scans.detail(old, EN).what == "Live code made 86 s ago: screenshot, stuck page or wrong phone time."
    assert scans.detail(ahead, EN).what == "Live code 86 s ahead of this gate: the phone's time is wrong."


def test_what_was_only_checked_never_looks_as_if_somebody_had_been_let_in() -> None:
    scan = Scan(1, State.ADMITTED, NOW_MS, facts=FaceFacts(entries_today=1), holder="李*花", checked=True)
    (row,) = scans.rows([scan], ZH)
    assert (row.family, row.headline) == (Family.STAFF, "仅查询 · 请入园")
    assert scans.detail(scan, ZH).say == "工作人员查询中"
