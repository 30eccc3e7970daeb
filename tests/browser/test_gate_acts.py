"""The staff's action bar and sheets in a real browser: lane, reason, number and PIN, each wrong turn, both screens."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest
from playwright.sync_api import Locator, Page, expect

from gate_agent.acts import Act
from gate_agent.lane_state import LaneState
from gate_agent.screen.acts import act_pages
from gate_agent.screen.app import create_app, serve
from gate_agent.status import Alarm, AlarmKind, LaneStatus
from tests.browser.acting import FOUND, PIN, WrittenActs
from tests.browser.test_gate_alarms import TOO_SMALL
from tests.browser.test_gate_faces import SIZES, Gate, complaints, new_board
from tests.browser.test_gate_staff import ADMITTED, MISFITS, ONLINE, PHONE, SCANS, look
from tests.gate_agent.beijing import NOW_MS

pytestmark = pytest.mark.browser
__all__ = ["complaints"]

# What of the sheet is off the screen or cut off.
SHEET_MISFITS = """() => [...document.querySelectorAll(".sheet, .sheet *")].filter((one) => {
  const { left, top, right, bottom, width } = one.getBoundingClientRect();
  const off = left < 0 || top < 0 || right > innerWidth + 1 || bottom > innerHeight + 1;
  return width && (off || (one.clientWidth && one.scrollWidth > one.clientWidth + 1));
}).map((one) => one.outerHTML.slice(0, 150))"""


# A tap beside the next sheet a tenth of a second after it came: whether the sheet stays.
TAP_BESIDE = """() => {
  const scrim = document.getElementById("sheet");
  window.stays = new Promise((done) => scrim.addEventListener("shown", () => setTimeout(() => {
    scrim.click();
    done(!scrim.hidden);
  }, 100), { once: true }));
}"""


FORCED = Alarm(AlarmKind.FORCED, 1)


@dataclass
class Bar(Gate):
    """A gate whose staff can act."""

    acts: WrittenActs


@pytest.fixture
def gate() -> Iterator[Bar]:
    board, acts = new_board(), WrittenActs()
    board.status(ONLINE)
    for scan in (*SCANS[:-1], replace(ADMITTED, intent_seq=4711)):
        board.scan(scan)
    pages = act_pages(acts, board, lambda: NOW_MS)
    server, url = serve(create_app(board, lambda: NOW_MS, acts=pages, can=acts.can), 0)
    yield Bar(board, url, acts)
    server.close()


def key(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def bar(page: Page, name: str) -> None:
    page.get_by_role("navigation").get_by_role("button", name=name, exact=True).click()


def type_in(page: Page, keys: str) -> None:
    for one in keys:
        key(page, one).click()


@pytest.mark.parametrize("size", [*SIZES, PHONE], ids=str)
def test_every_key_an_alarm_and_the_whole_of_a_scan_are_in_sight(
    gate: Bar, page: Page, complaints: list[str], shoot: Callable[[Page, str], None], size: tuple[int, int]
) -> None:
    look(page, gate, size)
    for one in page.locator(".acts .act:visible").all():
        expect(one).to_be_in_viewport(ratio=1)
    page.locator(".scan", has_text="今日已入园").click()
    expect(page.locator(".past li")).to_have_count(3)
    if size != PHONE:  # there it scrolls
        for line in page.locator(".past li, .person dd").all():
            expect(line).to_be_in_viewport(ratio=1)
    gate.board.status(replace(ONLINE, alarms=(FORCED,)))
    told = page.get_by_role("alert").locator("p")
    expect(told).to_be_visible()
    shoot(page, f"gate/staff-whole-{size[0]}x{size[1]}")
    box = told.bounding_box()
    assert box is not None and box["width"] > size[0] * 0.6


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_letting_in_takes_a_lane_a_reason_and_a_pin(
    gate: Bar, page: Page, complaints: list[str], shoot: Callable[[Page, str], None], size: tuple[int, int]
) -> None:
    look(page, gate, size)
    assert page.evaluate(MISFITS) == []
    assert page.evaluate(TOO_SMALL) == []
    shoot(page, f"gate/staff-acts-{size[0]}x{size[1]}")
    page.get_by_role("button", name="2 号通道").click()
    expect(page.get_by_role("radio", name="2 入口")).to_be_checked()
    bar(page, "放行一次")
    sheet = page.get_by_role("dialog", name="放行一次")
    expect(sheet).to_contain_text("2 号通道 · 入园方向")
    do = key(page, "开闸放行")
    type_in(page, PIN[:3])
    page.get_by_text("票有效但读不出").click()
    expect(do).to_be_disabled()
    expect(sheet.locator(".pinrow .on")).to_have_count(3)
    assert page.evaluate(SHEET_MISFITS) == []
    assert page.evaluate(TOO_SMALL) == []
    shoot(page, f"gate/staff-pin-{size[0]}x{size[1]}")
    type_in(page, PIN[3:])
    assert PIN not in page.content()
    do.click()
    expect(page.get_by_role("dialog")).to_contain_text("今日已放行 3 人")
    assert [(wish.act, wish.lane, wish.reason) for wish in gate.acts.sent] == [(Act.LET_IN, 2, "unreadable")]
    shoot(page, f"gate/staff-done-{size[0]}x{size[1]}")
    expect(page.get_by_role("dialog")).to_have_count(0, timeout=6_000)


def test_a_wrong_pin_clears_the_dots_and_too_many_count_down(
    gate: Bar, page: Page, shoot: Callable[[Page, str], None]
) -> None:
    look(page, gate, SIZES[0])
    bar(page, "放行一次")
    page.get_by_text("工作出入").click()
    type_in(page, "4821")
    key(page, "开闸放行").click()
    expect(page.get_by_role("status").get_by_text("PIN 不对，还可试 2 次")).to_be_visible()
    expect(page.locator(".pinrow .on")).to_have_count(0)
    expect(page.get_by_role("radio", name="工作出入")).to_be_checked()
    gate.acts.pause_ms = 2_000
    page.keyboard.type("4822")
    key(page, "开闸放行").click()
    expect(page.locator(".told")).to_have_text("请等 2 秒", use_inner_text=True)
    expect(key(page, "1")).to_be_disabled()
    shoot(page, "gate/staff-pause-1280x800")
    expect(page.locator(".told")).to_have_text("请输入 PIN", use_inner_text=True)
    type_in(page, PIN)
    key(page, "开闸放行").click()
    expect(page.get_by_role("dialog")).to_contain_text("今日已放行 3 人")


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_group_is_counted_a_hold_timed_and_a_pass_found_by_its_number(
    gate: Bar, page: Page, complaints: list[str], shoot: Callable[[Page, str], None], size: tuple[int, int]
) -> None:
    look(page, gate, size)
    bar(page, "团体放行")
    type_in(page, "12")
    key(page, "PIN").click()
    type_in(page, PIN)
    page.locator(".choice").get_by_text("其他").click()
    assert page.evaluate(SHEET_MISFITS) == []
    shoot(page, f"gate/staff-group-{size[0]}x{size[1]}")
    key(page, "开始放行").click()
    expect(page.get_by_role("status").get_by_text("今日已放行 3 人")).to_be_visible()
    assert (gate.acts.sent[-1].act, gate.acts.sent[-1].count) == (Act.GROUP, 12)
    key(page, "关闭").click()
    bar(page, "常开")
    page.get_by_text("30 分钟").click()
    assert page.evaluate(SHEET_MISFITS) == []
    shoot(page, f"gate/staff-hold-{size[0]}x{size[1]}")
    page.keyboard.press("Escape")
    bar(page, "查找")
    type_in(page, "55207X")
    assert page.evaluate(SHEET_MISFITS) == []
    assert page.evaluate(TOO_SMALL) == []
    shoot(page, f"gate/staff-find-{size[0]}x{size[1]}")
    page.get_by_role("dialog").get_by_role("button", name="查找").click()
    found = page.get_by_role("dialog", name="找到 1 张")
    expect(found).to_contain_text("周*明 · …552073")
    assert gate.acts.sought == ["55207X"]
    assert page.evaluate(SHEET_MISFITS) == []
    shoot(page, f"gate/staff-found-{size[0]}x{size[1]}")
    found.get_by_role("button", name="周*明").click()
    expect(page.get_by_role("dialog", name="按票号放行")).to_contain_text("周*明")
    page.get_by_text("忘带卡").click()
    type_in(page, PIN)
    key(page, "放行").click()
    expect(page.get_by_role("status").get_by_text("已开闸")).to_be_visible()
    assert gate.acts.sent[-1].pass_id == FOUND.listed.pass_id


def test_a_double_tap_opens_once_and_a_tap_outside_closes(gate: Bar, page: Page, complaints: list[str]) -> None:
    look(page, gate, SIZES[0])
    page.evaluate(TAP_BESIDE)
    page.get_by_role("navigation").get_by_role("button", name="放行一次").dblclick()
    assert page.evaluate("window.stays"), "the second tap of a double one, beside the sheet the first one opened"
    expect(page.get_by_role("dialog", name="放行一次")).to_be_visible()
    page.get_by_text("工作出入").click()
    type_in(page, PIN)
    key(page, "开闸放行").dblclick()
    expect(page.get_by_role("dialog")).to_contain_text("今日已放行 3 人")
    assert len(gate.acts.sent) == 1
    key(page, "关闭").click()
    page.locator(".df").get_by_role("button", name="退还一次").click()
    expect(page.get_by_role("dialog", name="退还一次")).to_contain_text("李*花 · 10:42:16 · 1 号通道")
    page.wait_for_function("(before) => performance.now() > before + 600", arg=page.evaluate("performance.now()"))
    page.mouse.click(20, 400)
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_keys_that_make_no_sense_for_the_lane_are_away(gate: Bar, page: Page, complaints: list[str]) -> None:
    look(page, gate, SIZES[0])
    expect(key(page, "关闭通道")).to_be_visible()
    expect(key(page, "开放通道")).to_be_hidden()
    gate.board.status(replace(ONLINE, lanes=(LaneStatus(1, LaneState.CLOSED), *ONLINE.lanes[1:])))
    expect(key(page, "开放通道")).to_be_visible()
    expect(key(page, "关闭通道")).to_be_hidden()
    gate.board.status(replace(ONLINE, lanes=(LaneStatus(1, LaneState.HELD_OPEN), *ONLINE.lanes[1:])))
    expect(page.get_by_role("button", name="1 号通道 入口 常开")).to_be_visible()
    expect(key(page, "开放通道")).to_be_visible()
    expect(key(page, "常开")).to_be_hidden()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_more_has_the_rest_and_the_list_can_be_one_lane_s(
    gate: Bar, page: Page, complaints: list[str], shoot: Callable[[Page, str], None], size: tuple[int, int]
) -> None:
    look(page, gate, size)
    bar(page, "更多")
    more = page.get_by_role("dialog", name="更多")
    for name in ("试卡", "立即同步", "导出到 U 盘", "夜间配色"):
        expect(more.get_by_role("button", name=name)).to_be_visible()
    assert page.evaluate(SHEET_MISFITS) == []
    assert page.evaluate(TOO_SMALL) == []
    shoot(page, f"gate/staff-more-{size[0]}x{size[1]}")
    more.get_by_role("button", name="登记本机").click()
    page.get_by_label("登记码").fill("ABCD-1234")
    type_in(page, PIN)
    assert page.evaluate(SHEET_MISFITS) == []
    shoot(page, f"gate/staff-enrol-{size[0]}x{size[1]}")
    key(page, "登记").click()
    expect(page.get_by_role("status").get_by_text("已登记")).to_be_visible()
    assert (gate.acts.sent[-1].url, gate.acts.sent[-1].code) == ("https://centre.example", "ABCD-1234")
    key(page, "关闭").click()
    if size != SIZES[0]:
        bar(page, "更多")
    key(page, "1 号").click()
    expect(page.locator(".scan:not([hidden])")).to_have_count(5)
    gate.board.status(replace(ONLINE, lanes=(LaneStatus(1, LaneState.CLOSED), *ONLINE.lanes[1:])))
    expect(page.get_by_role("button", name="1 号通道 入口 已关闭")).to_be_visible()
