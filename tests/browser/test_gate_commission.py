"""Commissioning a lane at the staff's face: every step and its keys on each screen, and all of it at a real agent."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page, expect

from gate_agent import staff
from gate_agent.acts import Came
from gate_agent.commission_acts import Answer
from gate_agent.commissioning import ANOTHER_ARM, NO_ARM, Flaw, FlawKind, Step, TrialTold, text_of
from gate_agent.faces import Face, FaceFacts
from gate_agent.lane_state import LaneState
from gate_agent.screen.acts import act_pages
from gate_agent.screen.app import create_app, serve
from gate_agent.staff import Role
from gate_agent.status import LaneStatus
from hardware.turnstile import Role as Input
from tests.browser.acting import WrittenActs
from tests.browser.test_gate_acts import Bar, bar, key, type_in
from tests.browser.test_gate_alarms import FORCED, TOO_SMALL
from tests.browser.test_gate_faces import SIZES, complaints, new_board
from tests.browser.test_gate_staff import MISFITS, ONLINE, SCANS, look
from tests.gate_agent.agent_process import AgentProcess, journal_of, running
from tests.gate_agent.beijing import NOW_MS
from tests.gate_agent.venue import Venue
from tests.waiting import until
from wire.messages import EntryKind
from wire.reasons import Reason

pytestmark = pytest.mark.browser
__all__ = ["complaints"]

PHONE = (390, 844)
EVERYWHERE = (*SIZES, PHONE)
DIGITS = "482913"
TOLD = TrialTold(7, 2, Step.CODE, 1, 5, DIGITS, unread=2)
SUPERVISOR = "583920"
LANES = (ONLINE.lanes[0], LaneStatus(2, LaneState.COMMISSIONING), ONLINE.lanes[2])

# What of the banner, and of the action bar, is off the screen or cut off; the banner may not lie over the list.
BANNER_MISFITS = """() => {
  const list = document.querySelector(".body").getBoundingClientRect();
  return [...document.querySelectorAll(".trial, .trial *, .acts .act")].filter((one) => {
    const { left, right, bottom, width } = one.getBoundingClientRect();
    const over = one.closest(".trial") ? bottom > list.top + 1 : bottom > innerHeight + 1;
    const cut = one.clientWidth && one.scrollWidth > one.clientWidth + 1;
    return width && (left < -1 || right > innerWidth + 1 || over || cut);
  }).map((one) => one.outerHTML.slice(0, 120));
}"""


@pytest.fixture
def gate() -> Iterator[Bar]:
    board, acts = new_board(), WrittenActs()
    board.status(replace(ONLINE, lanes=LANES, trial=TOLD))
    for scan in SCANS:
        board.scan(scan)
    server, url = serve(create_app(board, lambda: NOW_MS, acts=act_pages(acts, board, lambda: NOW_MS), can=acts.can), 0)
    yield Bar(board, url, acts)
    server.close()


def tell(gate: Bar, **changes: Any) -> None:
    gate.board.status(replace(ONLINE, lanes=LANES, trial=replace(TOLD, **changes)))


@pytest.mark.parametrize("size", EVERYWHERE, ids=str)
def test_every_step_says_what_to_do_and_has_its_keys(
    gate: Bar, page: Page, complaints: list[str], shoot: Callable[[Page, str], None], size: tuple[int, int]
) -> None:
    look(page, gate, size)
    banner = page.locator("#trial")
    for step, place, says in (
        (Step.CODE, 1, f"拍下通道屏上的码 {DIGITS}"),
        (Step.ARM, 2, "哪条通道的闸臂开了？"),
        (Step.SETTLE, 3, "请等闸臂锁好"),
        (Step.WALK, 3, "请一个人走过去（第 1 次，最多 3 次）"),
        (Step.FIRE, 4, "触发消防信号，再复位"),
        (Step.TAMPER, 5, "打开闸机外壳，再关上"),
    ):
        tell(gate, step=step, place=place, pulses=1)
        expect(banner).to_contain_text(says)
        expect(banner).to_contain_text(f"2 号通道调试 · 第 {place} 步，共 5 步")
        assert page.evaluate(BANNER_MISFITS) == []
        assert page.evaluate(TOO_SMALL) == []
        if size != PHONE:
            assert page.evaluate(MISFITS) == []
        shoot(page, f"gate/staff-commission-{step}-{size[0]}x{size[1]}")
    expect(page.get_by_role("button", name="2 号通道")).to_contain_text("调试中")


@pytest.mark.parametrize("size", EVERYWHERE, ids=str)
def test_how_it_ended_stays_until_it_is_read(
    gate: Bar, page: Page, complaints: list[str], shoot: Callable[[Page, str], None], size: tuple[int, int]
) -> None:
    look(page, gate, size)
    for flaw, says in (
        (Flaw(FlawKind.OTHER_ARM, lane=1), "开的是 1 号通道的闸臂。请对调两条通道的接线"),
        (Flaw(FlawKind.READ_ELSEWHERE, lane=3), "3 号通道的读头读到了本通道的码"),
        (
            Flaw(FlawKind.NOT_AT_REST, (Input.PASSAGE_IN, Input.READY), detail="passage_in=27:no,ready=23:nc"),
            "设置里改写 passage_in=27:no,ready=23:nc",
        ),
    ):
        tell(gate, step=Step.FAILED, place=0, flaw=flaw)
        expect(page.locator("#trial")).to_contain_text(says)
        assert page.evaluate(BANNER_MISFITS) == []
    shoot(page, f"gate/staff-commission-failed-{size[0]}x{size[1]}")
    tell(gate, step=Step.DONE, place=0)
    expect(page.locator("#trial")).to_contain_text("调试完成，接线已记下")
    shoot(page, f"gate/staff-commission-done-{size[0]}x{size[1]}")
    key(page, "知道了").click()
    gate.board.status(ONLINE)
    expect(page.locator(".trial")).to_have_count(0)
    assert gate.acts.answered == [(7, Step.DONE, Answer.CLOSE, 0)]


def test_keys_say_which_arm_moved_what_is_not_tried_and_that_it_is_enough(
    gate: Bar, page: Page, complaints: list[str]
) -> None:
    look(page, gate, SIZES[0])
    tell(gate, step=Step.ARM, place=2)
    for name, arm in (("2 号", 2), ("都没动", NO_ARM), ("别的闸机", ANOTHER_ARM)):
        answer(page, name)
        tell(gate, step=Step.WALK, place=3)
        expect(page.locator("#trial")).to_contain_text("走过去")
        tell(gate, step=Step.ARM, place=2)
        expect(key(page, "都没动")).to_be_enabled()
        assert gate.acts.answered[-1] == (7, Step.ARM, Answer.ARM, arm)
    tell(gate, step=Step.TAMPER, place=5)
    key(page, "这次不试").click()
    tell(gate, step=Step.WALK, place=3)
    expect(page.locator("#trial")).to_contain_text("走过去")
    key(page, "取消调试").click()
    expect(page.locator(".trial button").first).to_be_disabled()
    until(lambda: len(gate.acts.answered) == 5, what="the last key is told")
    assert [(step, answer) for _, step, answer, _ in gate.acts.answered[-2:]] == [
        (Step.TAMPER, Answer.SKIP),
        (Step.WALK, Answer.CANCEL),
    ]


def test_a_key_that_came_too_late_says_so(gate: Bar, page: Page) -> None:
    look(page, gate, SIZES[0])
    gate.acts.came = Came.LANE_SILENT
    key(page, "取消调试").click()
    expect(page.locator("#trial")).to_contain_text("通道没有应答")
    expect(key(page, "取消调试")).to_be_enabled()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_an_alarm_stands_above_it(
    gate: Bar, page: Page, shoot: Callable[[Page, str], None], size: tuple[int, int]
) -> None:
    look(page, gate, size)
    gate.board.status(replace(ONLINE, lanes=LANES, trial=TOLD, alarms=(FORCED,)))
    expect(page.get_by_role("alert")).to_contain_text("有人闯闸")
    assert page.evaluate(BANNER_MISFITS) == []
    shoot(page, f"gate/staff-commission-alarm-{size[0]}x{size[1]}")


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_lane_says_that_it_is_tried_and_shows_its_code(
    gate: Bar, page: Page, complaints: list[str], shoot: Callable[[Page, str], None], size: tuple[int, int]
) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    for name, facts in (
        ("code", FaceFacts(on_trial=True, commission=DIGITS, to_lane=1)),
        ("alone", FaceFacts(on_trial=True, commission=DIGITS)),
        ("tried", FaceFacts(on_trial=True, to_lane=1)),
    ):
        gate.board.rest(2, Face(Reason.LANE_CLOSED, facts))
        page.goto(f"{gate.url}/lane/2")
        expect(page.locator("#face")).to_contain_text("本通道")
        expect(page.locator("#face")).to_contain_text("调试中")
        expect(page.locator(".say > svg[viewBox]")).to_have_count(1 if facts.commission else 0)
        shoot(page, f"gate/visitor-commission-{name}-{size[0]}x{size[1]}")


def answer(page: Page, name: str) -> None:
    """One key of the banner; the list has a key for each lane too."""
    page.locator("#trial").get_by_role("button", name=name, exact=True).click()


def post(agent: AgentProcess, path: str, body: dict[str, object]) -> None:
    urlopen(Request(f"{agent.ready['screen']}{path}", json.dumps(body).encode())).close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    Venue().settle(tmp_path)
    staff.add(tmp_path, "张国", Role.SUPERVISOR, SUPERVISOR)
    with running(tmp_path, [f"{lane}:reader=sim,turnstile=sim" for lane in (1, 2)], "--simulate") as agent:
        yield agent


def begin(page: Page, agent: AgentProcess) -> None:
    """The supervisor begins at lane 1."""
    page.goto(f"{agent.ready['screen']}/staff")
    bar(page, "更多")
    page.get_by_role("dialog", name="更多").get_by_role("button", name="调试").click()
    expect(page.get_by_role("dialog", name="调试")).to_contain_text("1 号通道")
    type_in(page, SUPERVISOR)
    key(page, "开始调试").click()
    expect(page.get_by_role("dialog")).to_contain_text("调试已开始")
    key(page, "关闭").click()


def show_code(page: Page, agent: AgentProcess, lane: int = 1) -> None:
    """The code of lane 1's screen is held to every reader of a lane."""
    page.goto(f"{agent.ready['screen']}/lane/1")
    digits = page.locator(".fact").inner_text()
    page.goto(f"{agent.ready['screen']}/staff")
    text = text_of(1, digits)
    post(agent, f"/sim/lane/{lane}/show", {"text": text, "seed": 3})
    post(agent, f"/sim/lane/{lane}/show", {"text": text, "to": "scanner"})
    post(agent, f"/sim/lane/{lane}/card", {"area": "410200", "number": "A1", "identification": "AB"})


def told(agent: AgentProcess) -> list[tuple[str | None, str | None]]:
    """The events of the journal, with who."""
    return [(entry.reason, entry.who) for entry in journal_of(agent.data_dir) if entry.kind is EntryKind.EVENT]


def test_a_supervisor_commissions_a_lane_of_the_running_agent(
    agent: AgentProcess, page: Page, complaints: list[str]
) -> None:
    begin(page, agent)
    show_code(page, agent)
    answer(page, "1 号")
    expect(page.locator("#trial")).to_contain_text("触发消防信号", timeout=20_000)
    key(page, "这次不试").click()
    for what in ("tamper", "none"):
        post(agent, "/sim/lane/1/fault", {"what": what})
    expect(page.locator("#trial")).to_contain_text("调试完成")
    key(page, "知道了").click()
    expect(page.locator(".trial")).to_have_count(0)
    expect(page.get_by_role("button", name="1 号通道")).to_contain_text("正常", timeout=20_000)
    words = ["commission", "test_pulse", "test_pulse", "commissioned"]
    assert [event for event in told(agent) if event[1] is not None] == [(word, "张国") for word in words]


def test_the_wrong_arm_ends_it_and_the_next_try_may_begin(agent: AgentProcess, page: Page) -> None:
    begin(page, agent)
    show_code(page, agent)
    answer(page, "2 号")
    expect(page.locator("#trial")).to_contain_text("开的是 2 号通道的闸臂")
    key(page, "知道了").click()
    expect(page.get_by_role("button", name="1 号通道")).to_contain_text("正常", timeout=20_000)
    begin(page, agent)
    expect(page.locator("#trial")).to_contain_text("第 1 步")
    assert ("commission_ended: other_arm", "张国") in told(agent)


def test_another_lanes_reader_is_told_at_once(agent: AgentProcess, page: Page) -> None:
    begin(page, agent)
    show_code(page, agent, lane=2)
    expect(page.locator("#trial")).to_contain_text("2 号通道的读头读到了本通道的码")


def test_a_killed_agent_leaves_nothing_half_written(agent: AgentProcess, page: Page) -> None:
    begin(page, agent)
    show_code(page, agent)
    expect(page.locator("#trial")).to_contain_text("哪条通道的闸臂开了")
    agent.kill()
    assert [reason for reason, _ in told(agent)] == ["commission", "test_pulse"]
    with running(agent.data_dir, ["1:reader=sim,turnstile=sim"], "--simulate") as again:
        page.goto(f"{again.ready['screen']}/staff")
        expect(page.get_by_role("button", name="1 号通道")).to_contain_text("正常")
        expect(page.locator(".trial")).to_have_count(0)
