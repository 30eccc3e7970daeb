"""An order's last items end in two transactions at the same time: whoever is later sees that nothing is left of it."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import Balance, balance
from sync_server.orders.claims import EXPIRED, REQUESTED
from sync_server.orders.tables import order_item
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.giving_back import end_items, unclaimed_items
from tests.sync_server.beside import Beside
from tests.sync_server.sandbox import World, money_flaws

pytestmark = pytest.mark.postgres


def end(world: World, connection: sa.Connection, item_id: UUID, ref: str, *, forfeit: bool = False) -> None:
    rows = connection.execute(unclaimed_items().where(order_item.c.id == item_id)).all()
    assert end_items(connection, rows, ref, world.centre.now_ms(), "test", forfeit=forfeit) == {item_id}


def refunds(world: World, item_id: UUID) -> None:
    with world.centre.write() as connection:
        end(world, connection, item_id, REQUESTED)


def visits(world: World, item_id: UUID) -> None:
    world.enter(item_id)
    assert clear_redemptions(world.centre) == 1


@pytest.mark.parametrize("other", [refunds, visits])
def test_who_ends_an_order_beside_another_sees_it_end(
    postgres_world: World, other: Callable[[World, UUID], None]
) -> None:
    world = postgres_world
    order_id = world.buy(2)
    world.turn()
    one, two = world.items(order_id)
    with world.centre.write() as connection:
        end(world, connection, one, EXPIRED, forfeit=True)
        later = Beside(world.centre, lambda: other(world, two))
    later.finish()
    assert world.state(order_id) == "COMPLETED"
    with world.centre.read() as connection:
        assert balance(connection, Account("2120", order_id)) == Balance(0, 0)
        early = ("I11", "I15")  # they were ended by hand, before their time
        assert [flaw for flaw in money_flaws(connection) if not flaw.startswith(early)] == []
