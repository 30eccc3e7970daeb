"""The operators' pages in a real browser: signing in with the captcha, an order, a gate let in, each page looked at."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, ConsoleMessage, Page, expect
from werkzeug.serving import WSGIRequestHandler, make_server

from sync_server.create_app import app_of
from sync_server.crypto import make_secrets
from sync_server.gates import enrolment
from sync_server.people.tables import captcha
from tests.sync_server.admin.town import PASSWORD, Town, build
from tests.sync_server.conftest import Clock, centre_at, lay_tables
from wire import signing
from wire.messages import EnrolRequest, read_enrolment_code

pytestmark = pytest.mark.browser

DESK = (1440, 900)
NARROW = (1180, 800)
PHONE = (390, 844)
ALL_PAGES = {
    "zhoumin": (
        ("overview", "/admin/"),
        ("orders", "/admin/orders"),
        ("order", "/admin/orders/{pass_order}"),
        ("orders-empty", "/admin/orders?number=1"),
        ("ticket-orders", "/admin/ticket-orders"),
        ("ticket-order", "/admin/orders/{ticket_order}"),
        ("stock", "/admin/stock"),
        ("issued", "/admin/passes"),
        ("entries", "/admin/entries"),
        ("products", "/admin/products"),
        ("product", "/admin/products/2"),
        ("product-rule", "/admin/products/2/rule"),
        ("product-off", "/admin/products/1/off"),
        ("calendars", "/admin/calendars"),
        ("calendar", "/admin/calendars/2"),
        ("calendar-unset", "/admin/calendars/1"),
        ("calendar-edit", "/admin/calendars/2/edit"),
        ("calendar-close", "/admin/calendars/1/close"),
        ("gates", "/admin/gates"),
        ("gate", "/admin/gates/{gate}"),
        ("gate-compare", "/admin/gates/{pending_gate}"),
        ("gate-enrol-venue", "/admin/gates/enrol"),
        ("gate-revoke", "/admin/gates/{gate}/revoke"),
        ("payouts", "/admin/payouts"),
    ),
    "qianwen": (
        ("overview-finance", "/admin/"),
        ("ledger", "/admin/ledger"),
        ("ledger-account", "/admin/ledger?code=2210"),
    ),
    "xulan": (
        ("overview-platform", "/admin/"),
        ("denied-platform", "/admin/audit"),
        ("users", "/admin/users"),
        ("user-new", "/admin/users/new"),
    ),
    "shenji": (
        ("overview-auditor", "/admin/"),
        ("audit", "/admin/audit"),
        ("denied", "/admin/orders"),
        ("missing", "/admin/nothing-here"),
    ),
}
EXPECTED_STATUS = {"denied": 403, "denied-platform": 403, "missing": 404}


# What does not fit though the page is no wider than the window: things outside the bar or a card that does not scroll,
# a bar of two rows, and blank between the logo and the bar of a phone.
MISFITS = """() => {
  const wrong = [];
  const box = (element) => element.getBoundingClientRect();
  const [side, logo, top] = [".side", ".logo", ".top"].map((name) => document.querySelector(name));
  if (innerWidth < 821 && box(side).height > box(logo).height + 2) wrong.push("blank under the logo");
  if (box(top).height > 58) wrong.push("a bar of two rows");
  for (const element of document.querySelectorAll(".top > *, .main > *, .card > *, dialog[open] > *")) {
    const frame = box(element.parentElement), own = box(element);
    if (own.width && (own.right > frame.right + 1 || own.left < frame.left - 1)) wrong.push(element.outerHTML);
    const spills = element.scrollWidth > element.clientWidth + 1 && getComputedStyle(element).overflowX === "visible";
    if (element.clientWidth && spills) wrong.push(`spills: ${element.outerHTML}`);
  }
  for (const table of document.querySelectorAll(".tbl")) {
    const frame = table.parentElement;
    const scrolls = getComputedStyle(frame).overflowX === "auto";
    if (frame.scrollWidth > frame.clientWidth + 1 && !scrolls) wrong.push(`a table cut off: ${table.textContent}`);
  }
  for (const grid of document.querySelectorAll(".cols, .hero, .today")) {
    const alone = grid.children.length === 1 && box(grid.children[0]).width < box(grid).width - 2;
    if (!grid.children.length && grid.checkVisibility() || alone) wrong.push(`left empty: ${grid.className}`);
  }
  return wrong;
}"""


class _Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002  werkzeug's name
        """Requests are not news in a test."""


@dataclass
class Site:
    """The centre of a small town, served."""

    town: Town
    url: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("admin")
    url = f"sqlite:///{folder / 'centre.db'}"
    lay_tables(url)
    clock = Clock()
    town = build(centre_at(url, folder, make_secrets(), clock), clock)
    server = make_server("127.0.0.1", 0, app_of(town.centre), threaded=True, request_handler=_Quiet)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Site(town, f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    thread.join()
    server.server_close()
    town.centre.engine.dispose()


@pytest.fixture
def desk(browser: Browser) -> Iterator[Page]:
    """A window on an operator's desk."""
    context = browser.new_context(viewport={"width": DESK[0], "height": DESK[1]}, locale="zh-CN")
    yield context.new_page()
    context.close()


def captcha_answer(site: Site, page: Page) -> str:
    """What stands in the picture: asked of the database by its number, which only the newest row can have."""
    expect(page.locator("#captcha-picture")).to_have_js_property("complete", True)
    with site.town.centre.read() as connection:
        newest = sa.select(captcha.c.answer).order_by(sa.literal_column("rowid").desc()).limit(1)
        return str(connection.scalars(newest).one())


def sign_in(site: Site, page: Page, account: str) -> None:
    page.goto(f"{site.url}/admin/sign-in")
    page.get_by_label("机构号").fill("1000")
    page.get_by_label("帐号").fill(account)
    page.get_by_label("密码").fill(PASSWORD)
    page.get_by_label("验证码", exact=True).fill(captcha_answer(site, page))
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("11月21日 星期六")


def test_signing_in_with_the_captcha(site: Site, desk: Page, shoot: Callable[[Page, str], None]) -> None:
    desk.goto(f"{site.url}/admin/orders")
    expect(desk.get_by_role("heading", name="登录")).to_be_visible()
    shoot(desk, "admin/signin-1440x900")
    first = desk.locator("#captcha-picture").get_attribute("src")
    desk.get_by_label("帐号").fill("zhoumin")
    desk.get_by_label("换一张").click()  # a new picture, and what was typed stays
    expect(desk.locator("#captcha-picture")).not_to_have_attribute("src", str(first))
    expect(desk.get_by_label("帐号")).to_have_value("zhoumin")
    desk.get_by_label("机构号").fill("1000")
    desk.get_by_label("密码").fill("wrong password")
    desk.get_by_label("验证码", exact=True).fill(captcha_answer(site, desk))
    desk.get_by_role("button", name="登录").click()
    expect(desk.get_by_role("alert")).to_contain_text("机构号、帐号或密码不正确")
    shoot(desk, "admin/signin-error-1440x900")
    desk.get_by_label("密码").fill(PASSWORD)
    desk.get_by_label("验证码", exact=True).fill(captcha_answer(site, desk))
    desk.get_by_role("button", name="登录").click()
    expect(desk).to_have_url(f"{site.url}/admin/orders")  # where one wanted to go
    desk.get_by_role("button", name="退出").click()
    expect(desk.get_by_role("heading", name="登录")).to_be_visible()


def press(page: Page, key: str) -> None:
    """Press a key once the page listens."""
    page.wait_for_load_state()
    page.keyboard.press(key)


def test_an_order_is_opened_walked_and_closed_by_keys(site: Site, desk: Page) -> None:
    sign_in(site, desk, "zhoumin")
    desk.get_by_text("公共服务").click()
    desk.get_by_role("link", name="年票订单管理").click()
    expect(desk.get_by_role("heading", level=1)).to_have_text("年票订单管理")
    numbers = site.town.pass_orders[::-1]
    press(desk, "j")
    press(desk, "j")
    expect(desk.locator("tr.on")).to_contain_text(numbers[1])
    press(desk, "Enter")
    drawer = desk.get_by_role("dialog")
    expect(drawer.get_by_role("heading", level=2)).to_have_text(numbers[1])
    expect(drawer).to_contain_text("状态历史")
    press(desk, "j")
    expect(drawer.get_by_role("heading", level=2)).to_have_text(numbers[2])
    press(desk, "k")
    expect(drawer.get_by_role("heading", level=2)).to_have_text(numbers[1])
    press(desk, "Escape")
    expect(drawer).to_have_count(0)
    expect(desk.locator("tbody tr")).to_have_count(len(numbers))
    press(desk, "/")
    expect(desk.get_by_label("订单编号")).to_be_focused()
    desk.keyboard.type(numbers[0])
    press(desk, "Enter")
    expect(desk.locator("tbody tr")).to_have_count(1)
    desk.get_by_role("button", name="EN").click()
    expect(desk.get_by_role("heading", level=1)).to_have_text("Annual-pass orders")


def test_a_gate_is_let_in(site: Site, desk: Page, shoot: Callable[[Page, str], None]) -> None:
    sign_in(site, desk, "zhoumin")
    desk.goto(f"{site.url}/admin/gates")
    desk.get_by_role("link", name="登记闸机").click()
    desk.get_by_role("dialog").get_by_label("景区").select_option(label="龙亭公园")
    desk.get_by_role("button", name="生成登记码").click()
    expect(desk.get_by_alt_text("登记二维码")).to_have_js_property("complete", True)
    expect(desk.locator("[data-left-s]")).to_have_text(re.compile(r"1[45]:\d\d"))
    shoot(desk, "admin/gate-enrol-1440x900")

    code = read_enrolment_code(desk.locator("#code").inner_text())
    assert code is not None
    public = signing.public_key_of(b"\x09" * 32)
    with site.town.centre.write() as connection:  # a box types the code
        request = EnrolRequest(code.secret, public, "gate-agent 0.2.0", "龙亭西门 1 号")
        enrolment.enrol(connection, site.town.centre.secrets, request, site.town.clock.now_ms)

    six = " ".join(signing.check_characters(public).replace("-", ""))
    expect(desk.get_by_role("img", name=six)).to_be_visible(timeout=10_000)  # the page noticed by itself
    shoot(desk, "admin/gate-enrol-compare-1440x900")
    desk.get_by_role("button", name="六个都一样，启用").click()
    expect(desk.get_by_role("heading", level=1)).to_have_text("龙亭西门 1 号")
    expect(desk.get_by_role("status")).to_contain_text("龙亭西门 1 号 已启用")

    desk.get_by_role("link", name="吊销").click()
    button = desk.get_by_role("button", name="吊销 龙亭西门 1 号")
    expect(button).to_be_disabled()
    expect(desk.get_by_role("link", name="不吊销")).to_be_focused()
    desk.get_by_label("理由").fill("装错了地方")
    desk.get_by_label("我确认要吊销的就是这一台").check()
    button.click()
    expect(desk.locator("main h1 ~ p .chip")).to_have_text("已吊销")


def test_personal_data_hides_itself_again(site: Site, desk: Page, shoot: Callable[[Page, str], None]) -> None:
    sign_in(site, desk, "zhoumin")
    desk.clock.install()
    desk.goto(f"{site.url}/admin/passes")
    desk.get_by_role("row", name="李*花").get_by_role("link", name="详情").click()
    shoot(desk, "admin/issued-detail-1440x900")
    desk.get_by_role("link", name="查看全文").click()
    shoot(desk, "admin/issued-reveal-1440x900")
    desk.get_by_text("核对来电或到场的本人").click()
    desk.get_by_role("textbox", name=re.compile("^备注")).fill("本人来电核对生效时间")
    desk.get_by_role("button", name="显示 60 秒").click()
    expect(desk.locator("#revealed")).to_contain_text("李小花")
    desk.wait_for_load_state()  # the page counts down from here
    desk.clock.run_for(61_000)
    expect(desk.locator("#revealed")).to_have_count(0)
    expect(desk.get_by_role("dialog")).to_contain_text("李*花")


@pytest.mark.parametrize("account", ALL_PAGES)
def test_every_page_fits_and_says_nothing_to_the_console(
    site: Site, desk: Page, shoot: Callable[[Page, str], None], account: str
) -> None:
    said: list[str] = []
    desk.on("console", lambda message: said.append(_said(message)))
    desk.on("pageerror", lambda error: said.append(str(error)))
    sign_in(site, desk, account)
    names = {
        "pass_order": site.town.pass_orders[0],
        "ticket_order": site.town.ticket_orders[1],
        "gate": site.town.gates["虹桥东门 2 号"].hex(),
        "pending_gate": site.town.gates["龙亭北门 1 号"].hex(),
    }
    for name, address in ALL_PAGES[account]:
        response = desk.goto(site.url + address.format(**names))
        assert response is not None
        assert response.status == EXPECTED_STATUS.get(name, 200), name
        for width, height in (DESK, NARROW, PHONE):
            desk.set_viewport_size({"width": width, "height": height})
            wide, window = desk.evaluate("[document.documentElement.scrollWidth, innerWidth]")
            assert wide <= window, f"{name} at {width}: {wide} px wide"
            assert desk.evaluate(MISFITS) == [], f"{name} at {width}"
            shoot(desk, f"admin/{name}-{width}x{height}")
        desk.set_viewport_size({"width": DESK[0], "height": DESK[1]})
    wanted = [f"status of {status}" for name, status in EXPECTED_STATUS.items() if name in dict(ALL_PAGES[account])]
    assert len(said) == len(wanted), said
    assert all(words in line for words, line in zip(wanted, said, strict=True)), said


def _said(message: ConsoleMessage) -> str:
    return f"{message.type}: {message.text}"


def test_the_pages_work_without_scripts(site: Site, browser: Browser) -> None:
    context = browser.new_context(java_script_enabled=False, locale="zh-CN")
    page = context.new_page()
    page.goto(f"{site.url}/admin/sign-in")
    page.wait_for_load_state("networkidle")
    page.get_by_label("机构号").fill("1000")
    page.get_by_label("帐号").fill("zhoumin")
    page.get_by_label("密码").fill(PASSWORD)
    with site.town.centre.read() as connection:
        newest = sa.select(captcha.c.answer).order_by(sa.literal_column("rowid").desc()).limit(1)
        page.get_by_label("验证码", exact=True).fill(str(connection.scalars(newest).one()))
    page.get_by_role("button", name="登录").click()
    page.goto(f"{site.url}/admin/orders/{site.town.pass_orders[0]}")
    expect(page.get_by_role("dialog")).to_contain_text("状态历史")
    page.get_by_label("关闭（Esc）").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    context.close()


@pytest.mark.parametrize("address", ["/admin/payouts?tab=all", "/admin/orders", "/admin/ticket-orders"])
def test_a_phone_shows_how_much_without_a_swipe(site: Site, desk: Page, address: str) -> None:
    desk.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    sign_in(site, desk, "qianwen")
    desk.goto(f"{site.url}{address}")
    for amount in desk.locator("td.money").all():
        box = amount.bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= PHONE[0]
