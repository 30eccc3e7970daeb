"""One order: where its money went, what became of each ticket, and what is still to come."""

from __future__ import annotations

import re

import sqlalchemy as sa

from sync_server.issuance.issuing import issue_paid_orders
from sync_server.orders.history import add
from sync_server.orders.paying import pay
from sync_server.orders.placing import NewOrder, Placed, place
from sync_server.orders.progress import take_payments
from sync_server.orders.tables import order, ticket
from sync_server.parties.tables import party
from sync_server.payments import transfers
from sync_server.settlement import pass_refunds, refunding
from sync_server.settlement.item_status import refund_statuses
from tests.sync_server.admin.conftest import SignedInAs
from tests.sync_server.admin.town import Town

HOLD_MS = 73 * 3_600_000  # longer than a refund waits for gates


def bought(town: Town, count: int) -> str:
    """An issued order of tickets that nobody used."""
    with town.centre.write() as connection:
        distributor = connection.scalars(sa.select(party.c.id).where(party.c.kind == "DISTRIBUTOR")).one()
        placed = place(town.centre, connection, NewOrder(3, count, "其他", distributor), "test")
        assert isinstance(placed, Placed)
        pay(connection, placed.order_id, "test", town.clock.now_ms)
    move(town)
    take_payments(town.centre)
    issue_paid_orders(town.centre)
    return placed.number


def move(town: Town) -> None:
    transfers.move_due(town.centre, {"ALIPAY": town.bank})


def asked_back(town: Town, number: str) -> str:
    """The number of the order's first ticket."""
    with town.centre.write() as connection:
        mine = sa.select(ticket.c.number).join(order, order.c.id == ticket.c.order_id).where(order.c.number == number)
        first: str = connection.scalars(mine.order_by(ticket.c.seq)).all()[0]
        refunding.ask(connection, first, "行程取消", town.clock.now_ms, "test")
    return first


def test_the_orders_of_a_page_are_asked_for_their_refunds_together(town: Town) -> None:
    numbers = [bought(town, 2), bought(town, 1)]
    for number in numbers:
        asked_back(town, number)
    seen: list[str] = []
    with town.centre.read() as connection:
        ids = connection.scalars(sa.select(order.c.id).where(order.c.number.in_(numbers))).all()
        sa.event.listen(connection, "before_cursor_execute", lambda _c, _cursor, said, *_rest: seen.append(said))
        assert sorted(refund_statuses(connection, ids)) == sorted(ids)
    assert len(seen) == 2


def test_money_that_left_stands_below_zero_with_its_ticket_and_its_postings(
    signed_in_as: SignedInAs, town: Town
) -> None:
    number = bought(town, 2)
    asked = asked_back(town, number)
    town.clock.pass_ms(HOLD_MS)
    refunding.confirm_refunds(town.centre)
    move(town)
    page = signed_in_as("qianwen").get(f"/admin/orders/{number}").text
    flows = page[page.index("收付记录") : page.index("票与景区")]
    assert re.findall(r'<td class="money">([^<]+)</td>', flows) == ["−¥52.00", "+¥104.62"]
    assert re.search(rf'退款<span class="sub code">{asked}<', flows)
    assert '<dt>退还</dt><dd class="num">−¥52.00</dd>' in page
    booked = page[page.index("<h3>记账分录</h3>") :]
    assert {key.split(":")[0] for key in re.findall(r"/admin/ledger/([^\"]+)\"", booked)} == {
        "charge",
        "expire",
        "refund",
    }


def test_of_a_pass_given_back_in_part_the_rest_is_said_to_be_kept(signed_in_as: SignedInAs, town: Town) -> None:
    number = town.pass_orders[0]
    with town.centre.write() as connection:
        pass_refunds.refund_pass(connection, number, "搬家", town.clock.now_ms, "test", 15_000)
    move(town)
    pass_refunds.follow_pass_refunds(town.centre)
    page = signed_in_as("qianwen").get(f"/admin/orders/{number}").text
    flows = page[page.index("收付记录") : page.index("<h3>年票</h3>")]
    assert re.findall(r'<td class="money">([^<]+)</td>', flows) == ["−¥150.00", "+¥198.00"]
    assert '<dt>不退</dt><dd class="num">¥48.00</dd>' in page


def test_what_is_asked_back_says_so_on_the_order_and_in_the_list(signed_in_as: SignedInAs, town: Town) -> None:
    number = bought(town, 2)
    asked_back(town, number)
    finance = signed_in_as("qianwen")
    page = finance.get(f"/admin/orders/{number}").text
    tickets = page[page.index("<h3>票与景区</h3>") :]
    assert re.findall(r'data-state="(\w+)"', tickets) == ["INACTIVE", "hold", "INACTIVE", "HELD"]
    listed = finance.get("/admin/ticket-orders").text
    assert [text.count('data-state="退款待处理"') for text in (listed, page)] == [1, 2]  # in the head too
    town.clock.pass_ms(HOLD_MS)
    refunding.confirm_refunds(town.centre)
    move(town)
    assert signed_in_as("qianwen").get(f"/admin/orders/{number}").text.count("已退 1/2") == 2


def test_a_pass_that_was_given_back_is_not_issued_any_more(signed_in_as: SignedInAs, town: Town) -> None:
    number = town.pass_orders[0]
    page = signed_in_as("qianwen").get(f"/admin/orders/{number}").text
    assert 'data-state="ACTIVE"' in page[page.index("<h3>年票</h3>") :]
    with town.centre.write() as connection:
        pass_refunds.refund_pass(connection, number, "搬家", town.clock.now_ms, "test")
    page = signed_in_as("qianwen").get(f"/admin/orders/{number}").text
    assert 'data-state="REFUNDING"' in page[page.index("<h3>年票</h3>") :]


def test_a_held_order_names_one_last_moment(signed_in_as: SignedInAs, town: Town) -> None:
    with town.centre.write() as connection:
        waiting = connection.scalars(sa.select(order.c.number).where(order.c.state == "PENDING_PAYMENT")).one()
        page = f"/admin/orders/{waiting}"
    finance = signed_in_as("qianwen")
    assert "最晚付款时间" in finance.get(page).text
    with town.centre.write() as connection:
        connection.execute(
            order.update()
            .where(order.c.number == waiting)
            .values(hold="INSUFFICIENT", hold_deadline_ms=town.clock.now_ms + 1)
        )
    held = finance.get(page).text
    assert "最晚等到" in held
    assert "最晚付款时间" not in held


def test_an_order_of_which_not_all_was_visited_is_not_all_used(signed_in_as: SignedInAs, town: Town) -> None:
    number = bought(town, 1)
    with town.centre.write() as connection:
        order_id = connection.scalars(sa.select(order.c.id).where(order.c.number == number)).one()
        add(connection, order_id, "finished", "COMPLETED", town.clock.now_ms, "system:orders")
    page = signed_in_as("qianwen").get(f"/admin/orders/{number}").text
    assert "<b>全部结束</b>" in page
    assert "全部核销" not in page
