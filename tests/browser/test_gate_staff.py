"""The staff's face and the simulator in a real browser: both screens and languages, the tapped row, the moving list."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from gate_agent.board import Board, EarlierUse, Scan, ShownBy
from gate_agent.faces import FaceFacts, Label, LaneTrouble, State
from gate_agent.lane_state import LaneState
from gate_agent.screen.app import create_app, serve
from gate_agent.screen.simulation import simulation
from gate_agent.screen.streams import BEAT_S
from gate_agent.status import Alarm, AlarmKind, Counters, LaneStatus, Side, Status
from hardware.simulated import SimulatedLane
from hardware.turnstile import Direction
from tests.browser.test_gate_faces import SIZES, Gate, complaints, new_board
from tests.gate_agent.beijing import NOW_MS, at
from wire.messages import ClockTrust
from wire.reasons import Reason

pytestmark = pytest.mark.browser
__all__ = ["complaints"]

PASS = Label("旅游年票", "Annual pass")
PATIENCE_MS = 10_000
DESK, PHONE = (1440, 900), (390, 844)
LANES = (LaneStatus(1, LaneState.OPEN), LaneStatus(2, LaneState.OPEN), LaneStatus(3, LaneState.OPEN, Side.EXIT))
ONLINE = Status(
    lanes=LANES,
    venue=Label("汴河虹桥景区", "Rainbow Bridge"),
    gate="北门 · 闸机 G-02",
    enrolled=True,
    online=True,
    list_version=7,
    list_at_ms=at(21, 10, 41),
    clock=ClockTrust.TRUSTED,
    disk_percent=41,
    readers_ok=6,
    readers_all=6,
    relays_ok=3,
    relays_all=3,
    temperature_c=58,
    counters=Counters(
        3482,
        412,
        1906,
        {
            Reason.USED_UP: 21,
            Reason.CODE_TOO_OLD: 14,
            Reason.NOT_YET_ACTIVE: 6,
            Reason.WRONG_VENUE: 4,
            Reason.FORGED: 1,
            Reason.EXPIRED: 1,
        },
    ),
)
OFFLINE = replace(
    ONLINE,
    online=False,
    offline_since_ms=at(21, 9, 42),
    waiting=128,
    list_at_ms=at(21, 9, 43),
    clock=ClockTrust.HELD,
    readers_ok=5,
    temperature_c=71,
    lanes=(
        *LANES[:2],
        LaneStatus(3, LaneState.OUT_OF_ORDER, Side.EXIT, trouble=LaneTrouble.READER),
    ),
    alarms=(Alarm(AlarmKind.READER, 3, at(21, 9, 58)),),
)
USED = Scan(
    lane=2,
    verdict=Reason.USED_UP,
    at_ms=at(21, 10, 41, 52),
    facts=FaceFacts(at_ms=at(21, 9, 12), at_lane=2, until_ms=at(1, 0, month=10)),
    holder="周*明",
    product=PASS,
    ticket_last6="552073",
    earlier=(EarlierUse(at(21, 9, 12), 2), EarlierUse(at(15, 15, 31), 1), EarlierUse(at(2, 10, 3), None)),
)
ADMITTED = Scan(
    lane=1,
    verdict=State.ADMITTED,
    at_ms=at(21, 10, 42, 16),
    facts=FaceFacts(entries_today=1, until_ms=at(15, 0, month=3, year=2027)),
    holder="李*花",
    product=PASS,
    ticket_last6="308412",
    passed=True,
    earlier=(EarlierUse(at(16, 9, 20), 2), EarlierUse(at(8, 14, 5), 1)),
)
SCANS = (
    Scan(1, Reason.NOT_YET_ACTIVE, at(21, 10, 40, 30), facts=FaceFacts(from_ms=at(23, 10, 20)), holder="孙*丽"),
    Scan(2, Reason.NOT_IN_LIST, at(21, 10, 40, 47), ticket_last6="771205"),
    Scan(1, Reason.CODE_TOO_OLD, at(21, 10, 41, 9), facts=FaceFacts(age_s=86), holder="赵*军", product=PASS),
    Scan(1, State.ADMITTED, at(21, 10, 41, 22), facts=FaceFacts(entries_today=1), holder="赵*军", product=PASS),
    Scan(2, State.ADMITTED, at(21, 10, 41, 31), ShownBy.CARD, FaceFacts(entries_today=1), "陈*芳", PASS),
    Scan(
        1, State.ADMITTED, at(21, 10, 41, 40), facts=FaceFacts(venues_left=3), holder="王*强", product=Label("五景联票")
    ),
    USED,
    ADMITTED,
)

# What does not fit: text off the screen or over its neighbour. A long meta line may end in an ellipsis.
MISFITS = """() => {
  const wrong = [];
  const box = (element) => element.getBoundingClientRect();
  if (document.documentElement.scrollWidth > innerWidth) wrong.push("the page is too wide");
  for (const element of document.querySelectorAll(".row1 *, .row2 *, .alarm *, .count *, .why *, .dh *, .db *")) {
    const { left, right, top, width } = box(element);
    const name = `${element.tagName} ${element.textContent.trim()}`;
    if (!width || top > innerHeight) continue;
    if (left < -1 || right > innerWidth + 1) wrong.push(`off the screen: ${name}`);
    if (element.clientWidth && element.scrollWidth > element.clientWidth + 1) wrong.push(`cut off: ${name}`);
  }
  for (const row of document.querySelectorAll(".row1, .row2")) {
    const parts = [...row.children].filter((part) => box(part).width > 0);
    for (const [one, other] of parts.flatMap((one, at) => parts.slice(at + 1).map((other) => [box(one), box(other)]))) {
      const apart = other.left >= one.right - 1 || one.left >= other.right - 1
        || other.top >= one.bottom - 1 || one.top >= other.bottom - 1;
      if (!apart) wrong.push(`overlap: ${row.textContent.trim()}`);
    }
  }
  for (const title of document.querySelectorAll(".scan .r")) {
    if (title.scrollWidth > title.clientWidth + 1) wrong.push(`cut off: ${title.textContent}`);
  }
  return wrong;
}"""


@pytest.fixture
def gate() -> Iterator[Gate]:
    board = new_board()
    board.status(ONLINE)
    for scan in SCANS:
        board.scan(scan)
    server, url = serve(create_app(board, lambda: NOW_MS, beat_s=BEAT_S), 0)
    yield Gate(board, url)
    server.close()


def look(page: Page, gate: Gate, size: tuple[int, int], query: str = "") -> None:
    page.set_default_timeout(PATIENCE_MS)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"{gate.url}/staff{query}")
    expect(page.locator(".now time")).to_have_text("10:42:18")


@pytest.mark.parametrize("size", [*SIZES, DESK, PHONE], ids=str)
def test_the_staff_s_face_fits(
    gate: Gate, page: Page, complaints: list[str], shoot: Callable[[Page, str], None], size: tuple[int, int]
) -> None:
    for lang in ("zh", "en"):
        for name, status in (("online", ONLINE), ("offline", OFFLINE)):
            gate.board.status(status)
            look(page, gate, size, f"?lang={lang}")
            expect(page.locator(".scan.sel")).to_have_count(1)
            assert page.evaluate(MISFITS) == [], (lang, name)
            shoot(page, f"gate/staff-{name}{'' if lang == 'zh' else '-en'}-{size[0]}x{size[1]}")


@pytest.mark.parametrize("size", [*SIZES, PHONE], ids=str)
def test_a_tapped_row_shows_what_to_say_and_stays_while_new_scans_come(
    gate: Gate, page: Page, complaints: list[str], shoot: Callable[[Page, str], None], size: tuple[int, int]
) -> None:
    look(page, gate, size)
    page.locator(".scan", has_text="今日已入园").click()
    expect(page.locator(".sayit")).to_contain_text("您今天 09:12 已从2号通道入园")
    expect(page.locator(".detail")).to_be_visible()
    assert page.evaluate(MISFITS) == []
    shoot(page, f"gate/staff-scan-{size[0]}x{size[1]}")
    gate.board.scan(replace(ADMITTED, holder="新*人"))
    expect(page.locator(".scan")).to_have_count(len(SCANS) + 1)
    expect(page.locator(".scan.sel")).to_contain_text("周*明")
    expect(page.locator(".dh")).to_contain_text("今日已入园")
    if size != SIZES[0]:
        page.get_by_label("返回").click()
        expect(page.locator(".detail")).to_be_hidden()
        expect(page.locator(".scan.sel")).to_contain_text("新*人")


def test_without_a_tap_the_detail_follows_the_newest(gate: Gate, page: Page, complaints: list[str]) -> None:
    look(page, gate, SIZES[0])
    expect(page.locator(".dh")).to_contain_text("李*花")
    gate.board.scan(replace(USED, verdict=Reason.EXPIRED))
    expect(page.locator(".dh")).to_contain_text("此票已过期")
    expect(page.locator(".scan.sel")).to_contain_text("此票已过期")


def test_a_list_that_is_being_read_does_not_move(gate: Gate, page: Page, complaints: list[str]) -> None:
    for _ in range(10):
        gate.board.scan(ADMITTED)
    look(page, gate, SIZES[1])
    page.evaluate("document.getElementById('list').scrollTop = 100")
    gate.board.scan(replace(ADMITTED, holder="新*人"))
    gate.board.scan(replace(ADMITTED, holder="新*人"))
    newer = page.locator(".newer")
    expect(newer).to_have_text("↑ 2 条新记录")
    expect(page.locator(".scan", has_text="新*人")).to_have_count(0)
    newer.click()
    expect(page.locator(".scan", has_text="新*人")).to_have_count(2)
    expect(newer).to_be_hidden()


def test_only_refusals_can_be_listed_and_night_is_remembered(
    gate: Gate, page: Page, complaints: list[str], shoot: Callable[[Page, str], None]
) -> None:
    look(page, gate, SIZES[0])
    expect(page.locator(".list .seg button:visible")).to_have_text(["全部", "只看拒绝"])  # no acts: no lane is picked
    page.get_by_role("button", name="只看拒绝").click()
    expect(page.locator(".scan:visible")).to_have_count(4)
    page.get_by_role("button", name="夜间配色").click()
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "night")
    shoot(page, "gate/staff-night-1280x800")


def test_a_frozen_staff_face_is_covered_and_says_so(page: Page, shoot: Callable[[Page, str], None]) -> None:
    board = new_board()
    board.scan(USED)
    server, url = serve(create_app(board, lambda: NOW_MS, beat_s=3600), 0)
    look(page, Gate(board, url), SIZES[0])
    expect(page.locator(".stale")).to_have_css("opacity", "1", timeout=10_000)
    expect(page.locator(".stale")).to_have_css("pointer-events", "auto")
    expect(page.locator(".stale")).to_contain_text("画面与闸机断开，下面不是最新情况")
    expect(page.locator(".stale .last")).to_have_text("最后更新 10:42:18")
    shoot(page, "gate/staff-frozen-1280x800")
    server.close()


@pytest.mark.parametrize("size", [*SIZES, PHONE], ids=str)
def test_before_the_first_scan_the_staff_s_face_is_calm(
    page: Page, complaints: list[str], shoot: Callable[[Page, str], None], size: tuple[int, int]
) -> None:
    board = new_board()
    server, url = serve(create_app(board, lambda: NOW_MS, beat_s=BEAT_S), 0)
    look(page, Gate(board, url), size)
    expect(page.locator(".list")).to_contain_text("还没有验票")
    if size == SIZES[0]:
        expect(page.locator(".detail")).to_contain_text("有人验票后，这里写着对游客怎么说")
    assert page.evaluate(MISFITS) == []
    shoot(page, f"gate/staff-first-{size[0]}x{size[1]}")
    server.close()


def test_a_page_that_is_not_there_leads_back(gate: Gate, page: Page, shoot: Callable[[Page, str], None]) -> None:
    for path in ("/lane/77", "/nothing-here"):
        for width, height in (DESK, PHONE):
            page.set_viewport_size({"width": width, "height": height})
            response = page.goto(gate.url + path)
            assert response is not None
            assert response.status == 404
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            shoot(page, f"gate/missing-{width}x{height}")
    page.get_by_role("link", name="全部画面").click()
    expect(page.get_by_role("link", name="工作人员面")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# What does not fit the simulator: an element outside its card, or the page wider than the window.
SPILLS = """() => [...document.querySelectorAll(".lane *")].filter((element) => {
  const [inner, card] = [element.getBoundingClientRect(), element.closest(".lane").getBoundingClientRect()];
  return inner.width && !element.closest("svg") && (inner.left < card.left || inner.right > card.right + 1);
}).map((element) => element.outerHTML).concat(document.documentElement.scrollWidth > innerWidth ? ["the page"] : [])"""


@pytest.mark.parametrize("size", [DESK, PHONE], ids=str)
def test_two_busy_simulated_lanes_fit(
    page: Page, complaints: list[str], shoot: Callable[[Page, str], None], size: tuple[int, int]
) -> None:
    lanes = {number: SimulatedLane(number) for number in (1, 2)}
    server, url = serve(create_app(Board((1, 2), lambda: 0), lambda: None, simulation(lanes)), 0)
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"{url}/sim")
    for long in ("pass", "grant", "lane"):
        lanes[1].turnstile.open_for(Direction.IN, 200, {long: "0f" * 60})
    expect(page.locator(".moments").first).to_contain_text("0f" * 60)
    assert page.evaluate(SPILLS) == []
    cards = page.locator(".lane")
    assert cards.evaluate_all("cards => Math.max(...cards.map((one) => one.getBoundingClientRect().right))") > (
        0.95 * size[0]
    )
    shoot(page, f"gate/simulator-{size[0]}x{size[1]}")
    server.close()
    for lane in lanes.values():
        lane.close()


def test_the_simulator_moves_the_arm_and_shows_what_happened(
    page: Page, complaints: list[str], shoot: Callable[[Page, str], None]
) -> None:
    lane = SimulatedLane(1)
    server, url = serve(create_app(Board((1,), lambda: 0), lambda: None, simulation({1: lane})), 0)
    page.goto(f"{url}/sim")
    expect(page.locator("[data-of=arm]")).to_have_text("locked")
    page.get_by_role("button", name="balk").click()
    expect(page.locator(".moments")).to_contain_text("stands before the arm to balk")
    lane.turnstile.open_for(Direction.IN, 200, {"pass": "ab"})
    expect(page.locator(".arm")).to_have_attribute("data-arm", re.compile("unlocked|turning"))
    shoot(page, "gate/simulator-1280x720")
    page.locator("input[name=text]").fill("GATE:ABC")
    page.get_by_role("button", name="by scanner").click()
    expect(page.locator(".moments")).to_contain_text("characters 8")
    assert lane.scanner.next_line(0) == "GATE:ABC"
    server.close()
    lane.close()


def test_the_simulator_says_that_a_text_is_too_long_for_a_code(page: Page) -> None:
    lane = SimulatedLane(1)
    server, url = serve(create_app(Board((1,), lambda: 0), lambda: None, simulation({1: lane})), 0)
    page.goto(f"{url}/sim")
    said = page.locator(".said")
    for characters, sentence in ((1001, "a phone shows 1 to 1000 characters, not 1001"), (70_000, "Too Large")):
        page.locator("input[name=text]").fill("7" * characters)
        page.get_by_role("button", name="to camera").click()
        expect(said).to_contain_text(sentence)
    server.close()
    lane.close()
