"""Money asked back before the end: revoked at once, given back when no gate can still let in, refused when one did."""

from __future__ import annotations

import json
from uuid import UUID

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from sync_server.catalog.channels import set_refund_hold
from sync_server.catalog.tables import product
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.feed.contents import After, chunks
from sync_server.feed.publishing import publish_feeds
from sync_server.feed.tables import feed
from sync_server.issuance.tables import entitlement
from sync_server.orders.tables import order, order_history, refund_hold, ticket
from sync_server.settlement import refunding
from sync_server.settlement.item_commands import items
from sync_server.settlement.item_states import refund_status
from sync_server.settlement.item_status import statuses_of
from sync_server.settlement.refunding import confirm_refunds
from tests.sync_server.conftest import Clock
from tests.sync_server.sandbox import World, money_flaws
from tests.sync_server.settlement.test_expiring import (
    MINUTES_MS,
    WEEK_MS,
    a_gate,
    assert_books_agree,
    posted,
    states,
    tell,
)
from tests.sync_server.town import build_town
from wire.entitlement import PassStatus

HOLD_MS = 72 * 3_600_000


def numbers(world: World, order_id: UUID) -> list[str]:
    with world.centre.read() as connection:
        query = sa.select(ticket.c.number).where(ticket.c.order_id == order_id).order_by(ticket.c.seq)
        return list(connection.scalars(query))


def ask(world: World, number: str) -> None:
    with world.centre.write() as connection:
        refunding.ask(connection, number, "看错日期", world.centre.now_ms(), "test")


def test_where_no_gate_can_let_in_it_goes_back_at_once(world: World) -> None:
    order_id = world.buy(2)
    world.turn()
    ask(world, numbers(world, order_id)[0])
    assert states(world, order_id) == ["INACTIVE HELD hold", "INACTIVE HELD"]
    assert refund_status(states(world, order_id)) == "退款待处理"
    with world.centre.write() as connection:  # a list that says it
        connection.execute(refund_hold.update().values(list_epoch=1, list_version=1))
    world.turn()
    assert states(world, order_id) == ["CANCELLED REFUNDED", "INACTIVE HELD"]
    assert refund_status(states(world, order_id)) == "已退 1/2"
    assert world.state(order_id) == "ISSUED"
    assert posted(world) == {"1010": 5200 + 62, "2110": -5000, "2120": -200, "4010": -62}
    assert_books_agree(world)
    with world.centre.read() as connection:
        row = connection.execute(sa.select(refund_hold)).one()
        events = connection.scalars(sa.select(order_history.c.event).order_by(order_history.c.seq)).all()
    assert row.ended_as == "CONFIRMED"
    assert events[-1] == "refund_asked"


def test_a_gate_that_does_not_know_is_waited_for_72_hours(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    a_gate(world, clock.now_ms)
    tell(world, confirmed_epoch=1, confirmed_version=4)
    ask(world, numbers(world, order_id)[0])
    with world.centre.write() as connection:
        connection.execute(refund_hold.update().values(list_epoch=1, list_version=5))
    clock.pass_ms(HOLD_MS - 1)
    world.turn()
    assert states(world, order_id) == ["INACTIVE HELD hold"]
    clock.pass_ms(1)
    world.turn()
    assert states(world, order_id) == ["CANCELLED REFUNDED"]
    assert world.state(order_id) == "CLOSED_REFUNDED"
    assert_books_agree(world)


def test_how_long_gates_are_waited_for_is_the_channels_and_holds_from_the_request_on(
    world: World, clock: Clock
) -> None:
    first, second = (numbers(world, world.buy())[0] for _ in range(2))
    world.turn()
    ask(world, first)
    with world.centre.write() as connection:
        with pytest.raises(NotAllowedError, match="1 to 720 hours"):
            set_refund_hold(connection, "其他", 721, clock.now_ms, "test")
        set_refund_hold(connection, "其他", 5, clock.now_ms, "test")
        set_refund_hold(connection, "云闪付app", 9, clock.now_ms, "test")
    ask(world, second)
    with world.centre.read() as connection:
        deadlines_ms = connection.scalars(
            sa.select(refund_hold.c.deadline_ms).order_by(refund_hold.c.deadline_ms)
        ).all()
    assert [one - clock.now_ms for one in deadlines_ms] == [5 * 3_600_000, HOLD_MS]


def test_a_gate_that_knows_is_not_waited_for(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    a_gate(world, clock.now_ms)
    ask(world, numbers(world, order_id)[0])
    with world.centre.write() as connection:
        connection.execute(refund_hold.update().values(list_epoch=1, list_version=5))
    tell(world, confirmed_epoch=1, confirmed_version=5)
    world.turn()
    assert states(world, order_id) == ["CANCELLED REFUNDED"]


def test_an_entry_made_before_wins_and_the_request_is_refused(world: World) -> None:
    order_id = world.buy()
    world.turn()
    ask(world, numbers(world, order_id)[0])
    world.enter(world.items(order_id)[0])
    assert states(world, order_id) == ["USED DUE"]
    world.turn()
    assert states(world, order_id) == ["USED SETTLED"]
    assert world.state(order_id) == "COMPLETED"
    with world.centre.read() as connection:
        assert connection.scalar(sa.select(refund_hold.c.ended_as)) == "REFUSED"
        assert money_flaws(connection) == []
    assert world.sandbox.book.balances()["venue"] == 4970


def test_what_cannot_be_asked_back(world: World) -> None:
    order_id = world.buy()
    number = numbers(world, order_id)[0]
    for text, match in ((number, "PENDING_PAYMENT"), ("nothing", "no ticket")):
        with pytest.raises((NotAllowedError, NotFoundError), match=match):
            ask(world, text)
    world.turn()
    with pytest.raises(NotAllowedError, match="reason"), world.centre.write() as connection:
        refunding.ask(connection, number, " ", 1, "test")
    ask(world, number)
    with pytest.raises(NotAllowedError, match="nothing of ticket"):
        ask(world, number)
    with world.centre.write() as connection:
        connection.execute(product.update().values(refundable=False))
    other = world.buy()
    world.turn()
    with pytest.raises(NotAllowedError, match="not refundable"):
        ask(world, numbers(world, other)[0])


def test_the_venues_list_revokes_it_and_says_from_which_version_on(any_centre: Centre) -> None:
    town = build_town(any_centre)
    sold, other = town.sell("single", 2)
    bridge = town.venues["bridge"]

    def listed() -> dict[bytes, PassStatus]:
        with any_centre.read() as connection:
            found = chunks(connection, any_centre, bridge, After(), with_id_numbers=False)
            return {row.pass_id: row.status for chunk in found for row in chunk.passes}

    publish_feeds(any_centre)
    publish_feeds(any_centre)
    with any_centre.write() as connection:
        number = connection.scalar(sa.select(ticket.c.number).where(ticket.c.id == sold.ticket_id))
        assert number is not None
        (item,) = refunding.ask(connection, number, "生病", any_centre.now_ms(), "test")
    assert listed() == {sold.pass_id: PassStatus.REVOKED, other.pass_id: PassStatus.ACTIVE}
    confirm_refunds(any_centre)
    with any_centre.read() as connection:
        assert connection.scalar(sa.select(refund_hold.c.list_version)) is None  # no list says it yet
        assert connection.scalar(sa.select(refund_hold.c.ended_as)) is None
    publish_feeds(any_centre)
    confirm_refunds(any_centre)
    with any_centre.read() as connection:
        held = connection.execute(sa.select(feed).where(feed.c.venue_id == bridge)).one()
        said = connection.scalar(sa.select(entitlement.c.listed_version).where(entitlement.c.item_id == item))
        row = connection.execute(sa.select(refund_hold)).one()
        statuses = [one.state for one in statuses_of(connection, _order_of(connection, sold.ticket_id))]
    assert (row.list_epoch, row.list_version, row.ended_as) == (held.epoch, said, "CONFIRMED")
    assert statuses == ["CANCELLED REFUND_DUE", "INACTIVE HELD"]
    assert listed()[sold.pass_id] is PassStatus.REVOKED


def _order_of(connection: sa.Connection, ticket_id: UUID) -> UUID:
    order_id: UUID = connection.scalars(sa.select(ticket.c.order_id).where(ticket.c.id == ticket_id)).one()
    return order_id


def test_a_command_says_what_each_venue_of_an_order_shows(world: World) -> None:
    order_id = world.buy(2)
    world.turn()
    first, second = numbers(world, order_id)
    ask(world, first)
    with world.centre.read() as connection:
        number = connection.scalar(sa.select(order.c.number).where(order.c.id == order_id))

    def shown(asked: str) -> Result:
        return CliRunner().invoke(items, [asked], obj=lambda: world.centre)

    *lines, told = [json.loads(line) for line in shown(str(number)).stdout.splitlines()]
    assert [(one["ticket"], one["state"], one["state_zh"]) for one in lines] == [
        (first, "INACTIVE HELD hold", ["待激活", "退款待处理"]),
        (second, "INACTIVE HELD", ["待激活", "待处理"]),
    ]
    assert (lines[0]["first_list_zh"], lines[0]["second_list_zh"]) == (["未使用", "待处理"], ["待激活", "待处理"])
    assert told == {"order": number, "state": "ISSUED", "refund_status_zh": "退款待处理"}
    assert "no order has the number 0" in str(shown("0").exception)


def test_what_was_asked_back_in_time_is_not_forfeited(world: World, clock: Clock) -> None:
    with world.centre.write() as connection:
        connection.execute(product.update().values(on_expiry="FORFEIT"))
    order_id = world.buy()
    world.turn()
    a_gate(world, clock.now_ms)
    tell(world, confirmed_epoch=1, confirmed_version=4)
    clock.pass_ms(WEEK_MS - MINUTES_MS)
    ask(world, numbers(world, order_id)[0])
    with world.centre.write() as connection:
        connection.execute(refund_hold.update().values(list_epoch=1, list_version=5))  # which never gets there
    clock.pass_ms(2 * MINUTES_MS)
    tell(world, synced_through_ms=clock.now_ms)
    for _ in range(2):
        world.turn()
    assert states(world, order_id) == ["EXPIRED REFUNDED"]
    assert world.state(order_id) == "CLOSED_REFUNDED"
    with world.centre.read() as connection:
        assert connection.scalar(sa.select(refund_hold.c.ended_as)) == "CONFIRMED"
    assert_books_agree(world)


def test_what_is_over_is_not_asked_back(world: World, clock: Clock) -> None:
    order_id = world.buy()
    world.turn()
    a_gate(world, clock.now_ms)  # cut off since
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    world.turn()
    with pytest.raises(NotAllowedError, match="is over: it goes back, or is kept, as it was sold"):
        ask(world, numbers(world, order_id)[0])
    assert states(world, order_id) == ["INACTIVE HELD"]
