"""Orders, issued passes, entries, stock, users and the log: what is listed, found, masked and linked."""

from __future__ import annotations

import re

import pytest
import sqlalchemy as sa

from sync_server import setbacks
from sync_server.audit import log
from sync_server.audit.tables import event_log
from sync_server.errors import NotAllowedError
from sync_server.gates.tables import device
from sync_server.issuance.issuing import STEP
from sync_server.issuance.passes import token_of
from sync_server.issuance.qr import qr_svg
from sync_server.issuance.tables import issued_pass
from sync_server.orders.tables import holder, order, ticket
from sync_server.people.tables import operator
from tests.sync_server.admin import town as filled
from tests.sync_server.admin.conftest import SignedInAs
from tests.sync_server.admin.forms import send
from tests.sync_server.admin.town import PEOPLE, Town

NUMBERS_IN_FULL = [text for person in PEOPLE for text in person]


def events(town: Town, action: str) -> list[tuple[str, str, str]]:
    """(actor, subject, detail) of everything logged under an action."""
    with town.centre.read() as connection:
        rows = connection.execute(sa.select(event_log).where(event_log.c.action == action).order_by(event_log.c.seq))
        return [(row.actor, row.subject, row.detail) for row in rows]


def pass_number(town: Town, name_masked: str) -> str:
    """The number of the pass of this holder."""
    with town.centre.read() as connection:
        query = sa.select(issued_pass.c.number).join(holder, holder.c.ticket_id == issued_pass.c.ticket_id)
        return str(connection.scalars(query.where(holder.c.name_masked == name_masked)).one())


def test_orders_stand_newest_first_with_their_words_and_money(signed_in_as: SignedInAs, town: Town) -> None:
    page = signed_in_as("zhoumin").get("/admin/orders").text
    assert re.findall(r'data-href="/admin/orders/(\d+)', page) == town.pass_orders[::-1]
    assert re.findall(r'data-state="(\w+)"', page) == ["PENDING_PAYMENT", "ISSUING", *["ISSUED"] * 4]
    for text in ("出票成功", "待支付", "出票中", "¥198.00", "李*花", "138****6024", "汴捷办app", "11-21 09:33"):
        assert text in page, text


def test_ticket_orders_have_their_own_list(signed_in_as: SignedInAs, town: Town) -> None:
    page = signed_in_as("zhoumin").get("/admin/ticket-orders").text
    assert re.findall(r'data-href="/admin/orders/(\d+)', page) == town.ticket_orders[::-1]
    assert "汴京旅行社" in page
    assert "3 张" in page


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("state=ISSUED", 4),
        ("state=nonsense", 6),
        ("channel=汴捷办app", 3),
        ("from=2026-11-21&to=2026-11-21", 6),
        ("from=2026-11-22", 0),
        ("to=2026-11-20", 0),
        ("from=nonsense", 6),
        ("number=1", 0),
    ],
)
def test_orders_are_filtered(signed_in_as: SignedInAs, arguments: str, expected: int) -> None:
    page = signed_in_as("zhoumin").get(f"/admin/orders?{arguments}").text
    assert len(re.findall(r'data-href="/admin/orders/', page)) == expected
    assert ("没有符合条件的订单" in page) == (expected == 0)


@pytest.mark.slow
def test_an_order_and_a_pass_are_found_by_their_number_and_opened(signed_in_as: SignedInAs, town: Town) -> None:
    browser = signed_in_as("zhoumin")
    for address, number in (("orders", town.pass_orders[2]), ("passes", pass_number(town, "王*国"))):
        response = send(browser, f"/admin/{address}", number=f" {number} ")
        (link,) = re.findall(r'data-href="([^"]+)"', browser.get(response.location).text)
        assert number in browser.get(link.replace("&amp;", "&")).text


def test_a_phone_is_searched_by_post_found_exactly_and_kept_out_of_the_address(
    signed_in_as: SignedInAs, town: Town
) -> None:
    browser = signed_in_as("zhoumin")
    response = send(browser, "/admin/orders", phone=" 13812346024 ", state="ISSUED")
    assert "13812346024" not in response.location
    page = browser.get(response.location).text
    assert re.findall(r'data-href="/admin/orders/(\d+)', page) == town.pass_orders[:1]
    assert "13812346024" not in page
    assert len(events(town, "person.searched")) == 1
    assert "13812346024" not in str(events(town, "person.searched"))
    part = send(browser, "/admin/orders", phone="1381234")
    assert "没有符合条件的订单" in browser.get(part.location).text


def test_a_person_is_found_by_name_and_by_id_number_however_typed(signed_in_as: SignedInAs, town: Town) -> None:
    browser = signed_in_as("zhoumin")
    for field, text in (("name", "赵秀兰"), ("id_number", "410203 19530812 0420"), ("phone", "13612345502")):
        response = send(browser, "/admin/passes", **{field: text})
        assert re.findall(r'data-href="/admin/passes/(\d+)', browser.get(response.location).text) == [
            pass_number(town, "赵*兰")
        ]


def test_one_order_tells_its_whole_story(signed_in_as: SignedInAs, town: Town) -> None:
    page = signed_in_as("qianwen").get(f"/admin/orders/{town.ticket_orders[1]}").text
    for text in (
        "状态历史",
        "交易成功",
        "支付成功",
        "已游玩",
        "已结算",
        "¥156.94",
        "¥50.00",
        "手续费 ¥0.30",
    ):
        assert text in page, text
    assert page.index("<b>全部结束</b><small>交易成功") < page.index("<b>下单</b><small>等待支付")
    assert "<b>发起付款</b><small>等待支付" not in page  # the state is named where it changed
    links = re.findall(r'href="(/admin/ledger/[^"]+)"', page)
    assert len(links) >= 5
    for link in links:
        assert signed_in_as("qianwen").get(link).status_code == 200, link


@pytest.mark.parametrize(("kind", "says"), [("TICKET", "可全额退款"), ("PASS", "自动全额退款")])
def test_an_order_that_cannot_be_issued_says_so_until_it_is_given_back(
    signed_in_as: SignedInAs, town: Town, kind: str, says: str
) -> None:
    number, state = (town.ticket_orders[1], "PAID") if kind == "TICKET" else (town.pass_orders[1], "ISSUING")
    this = order.c.number == number
    with town.centre.write() as connection:
        order_id = connection.scalars(sa.select(order.c.id).where(this)).one()
        setbacks.put_aside(connection, STEP, order_id.bytes, NotAllowedError("no key"), town.clock())
        connection.execute(order.update().where(this).values(state=state))
    page = signed_in_as("qianwen").get(f"/admin/orders/{number}").text
    assert "暂时不能出票，系统继续重试" in page and says in page
    with town.centre.write() as connection:
        connection.execute(order.update().where(this).values(state="ISSUE_FAILED"))
    page = signed_in_as("qianwen").get(f"/admin/orders/{number}").text
    assert "暂时不能出票" not in page and 'data-state="ISSUE_FAILED"' in page


def test_the_drawer_stands_over_the_list_it_was_opened_from(signed_in_as: SignedInAs, town: Town) -> None:
    page = signed_in_as("zhoumin").get(f"/admin/orders/{town.pass_orders[1]}?state=ISSUED").text
    assert '<div class="shell" inert>' in page
    assert 'data-closes href="/admin/orders?state=ISSUED"' in page
    assert f'data-previous href="/admin/orders/{town.pass_orders[2]}?state=ISSUED"' in page
    assert f'data-next href="/admin/orders/{town.pass_orders[0]}?state=ISSUED"' in page


def test_no_list_and_no_detail_shows_a_person_in_full(signed_in_as: SignedInAs, town: Town) -> None:
    browser = signed_in_as("zhoumin")
    paths = ["/admin/", "/admin/orders", "/admin/passes", "/admin/entries"]
    paths += [f"/admin/orders/{number}" for number in town.pass_orders]
    paths += [f"/admin/passes/{pass_number(town, '李*花')}", f"/admin/passes/{pass_number(town, '李*花')}/reveal"]
    for path in paths:
        page = browser.get(path).text
        assert [text for text in NUMBERS_IN_FULL if text in page] == [], path


def test_a_pass_shows_its_dates_venues_visits_and_order(signed_in_as: SignedInAs, town: Town) -> None:
    page = signed_in_as("zhoumin").get(f"/admin/passes/{pass_number(town, '李*花')}").text
    for text in (
        "使用中",
        "4102**********8266",
        "2027-11-20 24:00",
        "汴河虹桥景区、龙亭公园",
        "1 次",
        town.pass_orders[0],
    ):
        assert text in page, text


def test_a_pass_is_what_its_dates_say(signed_in_as: SignedInAs, town: Town) -> None:
    browser = signed_in_as("zhoumin")
    assert len(re.findall("data-href", browser.get("/admin/passes?state=ACTIVE").text)) == 4
    town.clock.pass_ms(400 * 24 * filled.HOUR_MS)
    browser = signed_in_as("zhoumin")
    assert len(re.findall("data-href", browser.get("/admin/passes?state=EXPIRED").text)) == 4
    assert "没有符合条件的票" in browser.get("/admin/passes?state=WAITING").text


def test_the_code_is_the_passes_own_and_every_look_is_logged(signed_in_as: SignedInAs, town: Town) -> None:
    number = pass_number(town, "王*国")
    browser = signed_in_as("zhoumin")
    assert "code.svg" not in browser.get(f"/admin/passes/{number}").text
    assert events(town, "pass.code_shown") == []
    assert "code.svg" in browser.get(f"/admin/passes/{number}?code=show").text
    response = browser.get(f"/admin/passes/{number}/code.svg")
    with town.centre.read() as connection:
        pass_id = connection.scalars(sa.select(issued_pass.c.id).where(issued_pass.c.number == number)).one()
        assert response.text == qr_svg(token_of(connection, pass_id))
    assert response.headers["Cache-Control"] == "no-store"
    assert [subject for _, subject, _ in events(town, "pass.code_shown")] == [f"pass:{number}"]


def test_a_person_is_shown_in_full_only_for_a_reason_that_is_logged(signed_in_as: SignedInAs, town: Town) -> None:
    number = pass_number(town, "赵*兰")
    address, browser = f"/admin/passes/{number}/reveal", signed_in_as("zhoumin")
    for fields in ({}, {"reason": "caller", "note": "短"}, {"reason": "made-up", "note": "本人来电核对"}):
        refused = send(browser, address, **fields)
        assert refused.status_code == 400, fields
        assert "赵秀兰" not in refused.text
    assert events(town, "person.revealed") == []
    page = send(browser, address, reason="caller", note="本人来电核对").text
    for text in ("赵秀兰", "410203195308120420", "13612345502", 'data-left-s="60"'):
        assert text in page, text
    ((_, subject, detail),) = events(town, "person.revealed")
    assert subject == f"pass:{number}"
    assert "本人来电核对" in detail
    assert "赵秀兰" not in detail


def test_a_bearer_ticket_has_nobody_to_show(signed_in_as: SignedInAs, town: Town) -> None:
    with town.centre.read() as connection:
        joined = issued_pass.join(ticket, ticket.c.id == issued_pass.c.ticket_id).join(order)
        bearer = sa.select(issued_pass.c.number).select_from(joined).where(order.c.kind == "TICKET")
        number = connection.scalars(bearer).first()
    page, browser = f"/admin/passes/{number}", signed_in_as("zhoumin")
    detail = browser.get(page).text
    assert "不记名" in detail
    assert 'data-state="USED"' in detail  # a ticket that was used up is not 使用中
    assert browser.get(f"{page}/reveal").status_code == 404
    response = send(browser, page, f"{page}/reveal", reason="caller", note="本人来电核对")
    assert response.status_code == 404


def test_entries_stand_newest_first_with_what_they_counted_as(signed_in_as: SignedInAs, town: Town) -> None:
    page = signed_in_as("zhoumin").get("/admin/entries").text
    states = re.findall(r'data-state="(\w+)"', page)
    assert states[:4] == ["NOT_ENTERED", "REFUSED", "REFUSED", "CONFLICT"]
    assert sorted(states[4:]) == ["CLAIMED"] * 7 + ["PASS_VISIT"] * 4
    for text in ("不是入园码", "次数已用完", "虹桥东门 1 号", "2 道"):
        assert text in page, text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [("state=CONFLICT", 1), ("state=REFUSED", 2), ("venue=1", 15), ("venue=2", 0), ("venue=x", 0), ("pass=1", 0)],
)
def test_entries_are_filtered(signed_in_as: SignedInAs, arguments: str, expected: int) -> None:
    page = signed_in_as("zhoumin").get(f"/admin/entries?{arguments}").text
    assert len(re.findall(r'data-state="', page)) == expected


def test_stock_adds_up(signed_in_as: SignedInAs) -> None:
    page = signed_in_as("zhoumin").get("/admin/stock").text
    assert [re.sub(r"\s", "", figure) for figure in re.findall(r'<span class="v">([^<]+)</span>', page)] == [
        "20,000",
        "5",
        "1",
        "19,994",
    ]


@pytest.mark.slow
def test_an_operator_is_added_signs_in_and_is_shut_out(signed_in_as: SignedInAs, town: Town) -> None:
    boss = signed_in_as("xulan")
    form = {
        "organisation": "1000",
        "role": "finance",
        "name": "新人",
        "account": "xinren",
        "password": "a long password",
    }
    for field, text, problem in (
        ("account", "X", "帐号要 3 至 32 个"),
        ("password", "short", "密码要 10 至 128 个字符"),
        ("name", " ", "请写姓名"),
        ("account", "qianwen", "已有同名帐号"),
        ("role", "king", "不能用这个角色"),
    ):
        refused = send(boss, "/admin/users/new", **{**form, field: text})
        assert (refused.status_code, problem in refused.text) == (400, True), field
        assert "a long password" not in refused.text
    assert send(boss, "/admin/users/new", **form).status_code == 302
    newcomer = signed_in_as("xinren")
    assert newcomer.get("/admin/payouts").status_code == 200
    with town.centre.read() as connection:
        added = connection.scalars(sa.select(operator.c.id).where(operator.c.account == "xinren")).one()
    assert send(boss, "/admin/users", f"/admin/users/{added.hex}/state", state="DISABLED").status_code == 302
    assert newcomer.get("/admin/payouts").status_code == 302
    assert len(events(town, "operator.state")) == 1


def test_nobody_shuts_out_themselves(signed_in_as: SignedInAs, town: Town) -> None:
    boss = signed_in_as("xulan")
    with town.centre.read() as connection:
        own = connection.scalars(sa.select(operator.c.id).where(operator.c.account == "xulan")).one()
    assert send(boss, "/admin/users", f"/admin/users/{own.hex}/state", state="DISABLED").status_code == 400
    assert boss.get("/admin/users").status_code == 200


def test_the_log_is_searched_by_person_action_and_subject(signed_in_as: SignedInAs, town: Town) -> None:
    number = pass_number(town, "王*国")
    signed_in_as("zhoumin").get(f"/admin/passes/{number}/code.svg")
    auditor = signed_in_as("shenji")
    for arguments in ("person=zhoumin", "person=周敏", "action=pass.code_shown", f"subject=pass:{number}"):
        page = auditor.get(f"/admin/audit?{arguments}").text
        assert page.count("查看年票码</td>") == 1, arguments
        assert "添加用户</td>" not in page, arguments
    assert "没有符合条件的记录" in auditor.get("/admin/audit?person=nobody").text
    with town.centre.read() as connection:
        assert log.first_flaw(connection) is None


def test_a_long_list_is_walked_there_and_back_by_its_links(signed_in_as: SignedInAs, town: Town) -> None:
    with town.centre.write() as connection:
        for n in range(70):
            log.record(connection, town.clock.now_ms, "test", "gate.revoke", f"gate:{n:032x}", {"reason": str(n)})
    auditor, address = signed_in_as("shenji"), "/admin/audit?action=gate.revoke"
    seen, addresses = [], []
    for step in ("next", "next", "next", "prev", "prev", "next", "prev", "prev"):
        page = auditor.get(address).text
        seen.append(re.findall(r"理由: (\d+)", page))
        addresses.append(address)
        found = re.search(rf'rel="{step}" href="([^"]+)"', page)
        assert found is not None, addresses
        address = found[1].replace("&amp;", "&")
        assert address.count("before=") + address.count("after=") == 1
    assert [int(n) for n in seen[0] + seen[1] + seen[2]] == list(range(69, 9, -1))
    assert (seen[4], seen[5], seen[6], seen[7]) == (seen[2], seen[1], seen[2], seen[1])
    assert 'rel="prev"' not in auditor.get(address).text


def test_hostile_names_are_only_text(signed_in_as: SignedInAs, town: Town) -> None:
    evil = "<script>alert(1)</script>'\"{{7*7}}"
    with town.centre.write() as connection:
        connection.execute(device.update().where(device.c.id == town.gates["虹桥东门 1 号"]).values(name=evil))
        connection.execute(holder.update().values(name_masked=evil[:60]))
    browser = signed_in_as("zhoumin")
    for path in ("/admin/", "/admin/gates", "/admin/entries", "/admin/orders", "/admin/passes"):
        page = browser.get(path).text
        assert "<script>alert" not in page, path
        assert "&lt;script&gt;alert" in page, path
    searched = browser.get("/admin/orders", query_string={"number": evil}).text
    assert "<script>alert" not in searched


def test_the_log_tells_amounts_acts_and_persons_in_words(signed_in_as: SignedInAs, town: Town) -> None:
    with town.centre.write() as connection:
        asker = connection.scalars(sa.select(operator.c.id).where(operator.c.account == "qianwen")).one()
        detail = {"amount_fen": 5_000_000, "act": "transfer.remit", "asked_by": str(asker), "told": None, "needs": "x"}
        log.record(connection, town.clock.now_ms, "command-line", "approval.request", "transfer:07", detail)
    page = signed_in_as("shenji").get("/admin/audit").text
    for line in ("金额: ¥50,000.00", "动作: 手动汇款", "申请人: 钱文", "需要权限: x"):
        assert f">{line}<" in page, line
    assert "None" not in page


def test_the_log_tells_what_a_revision_changed_in_words(signed_in_as: SignedInAs, town: Town) -> None:
    with town.centre.write() as connection:
        now_ms = town.clock.now_ms
        revised = {"before": {"refundable": True, "hold_deadline_h": 24}, "after": {"refundable": False}}
        log.record(connection, now_ms, "command-line", "product.revise", "product:7", revised)
        log.record(connection, now_ms, "command-line", "product.visits", "product:8", {"tariffs_fen": {"2001": 600}})
    page = signed_in_as("shenji").get("/admin/audit").text
    for line in ("原为: hold_deadline_h 24, 可退 是", "改为: 可退 否", "每次入园结算价: 2001 ¥6.00"):
        assert f">{line}<" in page, line
