"""The staff's alarms in a real browser: the worst first, heard once and again, muted, explained; and touch targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from playwright.sync_api import Page, expect

from gate_agent.status import Alarm, AlarmKind
from tests.browser.test_gate_faces import HEAR, SIZES, Gate, complaints
from tests.browser.test_gate_staff import MISFITS, OFFLINE, ONLINE, gate, look
from tests.gate_agent.beijing import at

pytestmark = pytest.mark.browser
__all__ = ["complaints", "gate"]

FORCED = Alarm(AlarmKind.FORCED, 1, at(21, 10, 40))
SOUND = [[880, 150], [660, 150], [880, 150], [660, 150]]

# Every control smaller than a gloved finger needs.
TOO_SMALL = """() => [...document.querySelectorAll("button, a, input, [role=button]")].filter((one) => {
  const { width, height } = one.getBoundingClientRect();
  return width && (width < 55.9 || height < 55.9);
}).map((one) => one.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_everything_wrong_is_told_with_what_to_do(
    gate: Gate, page: Page, complaints: list[str], shoot: Callable[[Page, str], None], size: tuple[int, int]
) -> None:
    for lang in ("en", "zh"):
        gate.board.status(
            replace(OFFLINE, alarms=(FORCED, Alarm(AlarmKind.SENSOR, 2), *OFFLINE.alarms), list_expired=True)
        )
        look(page, gate, size, f"?lang={lang}")
        assert page.evaluate(MISFITS) == []
    shoot(page, f"gate/staff-alarms-{size[0]}x{size[1]}")
    alarm = page.get_by_role("alert")
    expect(alarm).to_contain_text("1 号通道有人闯闸")
    expect(alarm).to_contain_text("另有 3 条")
    page.get_by_role("button", name="去处理").click()
    sheet = page.get_by_role("dialog", name="本机状况")
    expect(sheet.locator("li").first).to_contain_text("1 号通道有人闯闸请到通道查看")
    expect(sheet).to_contain_text("3 号通道读头未连接，出口已停用")
    expect(sheet).to_contain_text("本机自己走时，验票照常")
    assert page.evaluate(TOO_SMALL) == []
    shoot(page, f"gate/staff-state-{size[0]}x{size[1]}")
    page.keyboard.press("Escape")
    expect(sheet).to_be_hidden()
    expect(page.get_by_role("button", name="去处理")).to_be_focused()


def test_an_alarm_is_heard_when_it_comes_and_not_again_once_muted(
    gate: Gate, page: Page, complaints: list[str]
) -> None:
    page.add_init_script(HEAR)
    look(page, gate, SIZES[0])
    gate.board.status(replace(ONLINE, alarms=(FORCED,)))
    expect(page.get_by_role("alert")).to_contain_text("有人闯闸")
    assert page.evaluate("window.heard") == SOUND
    page.get_by_role("button", name="静音 10 分钟").click()
    expect(page.get_by_role("alert")).to_contain_text("已静音")
    gate.board.status(replace(ONLINE, alarms=(FORCED,), waiting=1))
    gate.board.status(ONLINE)
    expect(page.locator(".alarm")).to_have_count(0)
    gate.board.status(replace(ONLINE, alarms=(FORCED,)))
    expect(page.get_by_role("alert")).to_contain_text("已静音")
    assert page.evaluate("window.heard") == SOUND
    gate.board.status(replace(ONLINE, alarms=(FORCED, Alarm(AlarmKind.FIRE))))
    expect(page.get_by_role("alert")).to_contain_text("消防信号已触发")
    assert page.evaluate("window.heard") == [*SOUND, *SOUND]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_second_tap_and_the_veil_do_not_get_lost_in_a_sheet(
    gate: Gate, page: Page, complaints: list[str], size: tuple[int, int]
) -> None:
    look(page, gate, size)
    assert page.evaluate(TOO_SMALL) == []
    page.locator(".link:visible").dblclick()
    sheet = page.get_by_role("dialog", name="本机状况")
    expect(sheet).to_be_visible()
    expect(sheet).to_contain_text("与中心连通")
    expect(page.get_by_role("button", name="关闭", exact=True)).to_be_focused()
    layers = "() => ['.stale', '#sheet'].map((name) => Number(getComputedStyle(document.querySelector(name)).zIndex))"
    veil, scrim = page.evaluate(layers)
    assert veil > scrim
    page.clock.install()
    page.get_by_role("button", name="关闭", exact=True).press("Shift")  # somebody is there: half a minute from now
    page.clock.run_for(29_000)
    expect(sheet).to_be_visible()
    page.clock.run_for(2_000)
    expect(sheet).to_be_hidden()
