"""A tablet's browser: it is paired by the form, acts by a PIN, and when forgotten is led to the form again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from gate_agent import browsers
from tests.browser.test_gate_faces import SIZES
from tests.browser.test_gate_staff import PHONE
from tests.gate_agent.stage import stage_at
from tests.gate_agent.tablet_house import STEWARD, House, house_at
from tests.gate_agent.venue import Venue

pytestmark = pytest.mark.browser


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with stage_at(tmp_path) as stage, house_at(stage, Venue(), tmp_path) as house:
        yield house


@pytest.fixture
def tablet(browser: Browser, house: House) -> Iterator[Page]:
    with browser.new_context(base_url=house.address, ignore_https_errors=True, locale="zh-CN") as context:
        yield context.new_page()


def test_a_tablet_is_paired_acts_and_is_forgotten(tablet: Page, house: House) -> None:
    tablet.goto("/")
    tablet.get_by_role("link", name="工作人员面").click()
    tablet.get_by_label("配对码").fill("000 000" if house.code() != "000 000" else "000 001")
    tablet.get_by_label("平板的名字").fill("平板 2")
    tablet.get_by_role("button", name="配对").click()
    expect(tablet.get_by_role("alert")).to_contain_text("配对码不对")
    tablet.get_by_label("配对码").fill(house.code())
    tablet.get_by_role("button", name="配对").click()

    expect(tablet.locator("time")).to_have_text(re.compile(r"\d\d:\d\d"))  # the scripts are there
    tablet.get_by_role("button", name="放行一次").click()
    tablet.get_by_text("协助老人、儿童").click()
    for digit in STEWARD:
        tablet.locator(f'[data-key="{digit}"]').click()
    tablet.get_by_role("button", name="开闸放行").click()
    expect(tablet.get_by_role("status").first).to_contain_text("已开闸")
    assert len(house.stage.pulses()) == 1

    browsers.forget(house.stage.data_dir, "平板 2")
    tablet.locator("[data-close]").click()
    tablet.get_by_role("button", name="团体放行").click()  # the same key again at once would be a double tap
    expect(tablet).to_have_url(re.compile("/staff/pair$"))


@pytest.mark.parametrize("size", [*SIZES, PHONE], ids=str)
def test_the_form_fits(tablet: Page, house: House, shoot: Callable[[Page, str], None], size: tuple[int, int]) -> None:
    tablet.set_viewport_size({"width": size[0], "height": size[1]})
    tablet.goto("/staff")
    tablet.get_by_label("配对码").fill("000 000")
    tablet.get_by_label("平板的名字").fill("平板 2")
    tablet.get_by_role("button", name="配对").click()
    expect(tablet.get_by_role("alert")).to_be_visible()
    assert tablet.evaluate("document.documentElement.scrollWidth <= innerWidth")
    shoot(tablet, f"gate/pair-{size[0]}x{size[1]}")


def test_a_tablet_that_is_forgotten_while_nobody_touches_it_is_led_to_the_form(tablet: Page, house: House) -> None:
    tablet.goto("/staff")
    tablet.get_by_label("配对码").fill(house.code())
    tablet.get_by_label("平板的名字").fill("平板 2")
    tablet.get_by_role("button", name="配对").click()
    expect(tablet.locator("time")).to_have_text(re.compile(r"\d\d:\d\d"))
    browsers.forget(house.stage.data_dir, "平板 2")
    expect(tablet).to_have_url(re.compile("/staff/pair$"), timeout=20_000)
