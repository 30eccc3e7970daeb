"""`check` names what ended too early, or otherwise than it was sold: each planted in a good centre, and seen."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from sync_server.catalog.tables import stock
from sync_server.gates.tables import incarnation
from sync_server.orders.tables import item_claim, order, order_item, refund_hold
from sync_server.settlement.tables import clawback
from tests.sync_server.conftest import Clock
from tests.sync_server.sandbox import World, money_flaws
from tests.sync_server.settlement.test_balance_checks import named, planted
from tests.sync_server.settlement.test_expiring import MINUTES_MS, WEEK_MS, a_gate, tell
from tests.sync_server.settlement.test_refunding import ask, numbers
from tests.sync_server.test_checks import without_triggers


@pytest.fixture
def ended(world: World, clock: Clock) -> World:
    """At a gate's venue one ticket was used, one given back on request, one at its end; one is valid still."""
    a_gate(world, clock.now_ms)
    used, asked, _over = world.buy(), world.buy(), world.buy()
    world.turn()
    world.enter(world.items(used)[0])
    ask(world, numbers(world, asked)[0])
    with world.centre.write() as connection:
        connection.execute(refund_hold.update().values(list_epoch=1, list_version=5))
    tell(world, confirmed_epoch=1, confirmed_version=5)
    world.turn()
    clock.pass_ms(WEEK_MS + MINUTES_MS)
    tell(world, synced_through_ms=clock.now_ms)
    world.turn()
    world.buy()
    world.turn()
    return world


AT_THE_END, ON_REQUEST = (item_claim.c.ref == ref for ref in ("expired", "requested"))
ENDED = order_item.c.id.in_(sa.select(item_claim.c.item_id).where(AT_THE_END))
ASKED = order_item.c.id.in_(sa.select(item_claim.c.item_id).where(ON_REQUEST))
OPEN_ORDER = order.c.first_end.is_not(None)
OWED = {"venue_id": sa.select(order_item.c.venue_id).limit(1).scalar_subquery(), "owed_fen": 4970, "agreed_at_ms": 0}

PLANTED: list[tuple[str, sa.sql.dml.UpdateBase]] = [
    ("no item expired before its end", order_item.update().where(ENDED).values(valid_to=99_999_999)),
    ("no item expired before its end", order_item.update().where(ENDED).values(valid_from=None, valid_to=None)),
    ("no item expired before its end", item_claim.update().where(AT_THE_END).values(at_ms=0)),
    ("no item expired before its end", incarnation.update().values(synced_through_ms=incarnation.c.first_seen_ms)),
    ("confirmed once its venue's list", refund_hold.delete()),
    ("confirmed once its venue's list", refund_hold.update().values(list_epoch=None, list_version=None)),
    ("confirmed once its venue's list", incarnation.update().values(synced_through_ms=None)),
    ("a request for a refund ended as its item", refund_hold.update().values(ended_as="REFUSED")),
    ("a request for a refund ended as its item", item_claim.delete().where(ON_REQUEST)),
    ("and as it was sold", order_item.update().where(ENDED).values(on_expiry="FORFEIT")),
    ("and as it was sold", order_item.update().where(ASKED).values(refundable=False)),
    ("and as it was sold", order.update().where(order.c.state == "COMPLETED").values(state="PAID")),
    ("what was clawed back", clawback.insert().values(id=sa.null(), **OWED)),
    ("knows when the first", order.update().where(OPEN_ORDER).values(first_end=None)),
    ("what is sold of a stock row", stock.update().values(sold=stock.c.sold + 1)),
    ("what is sold of a stock row", stock.update().where(stock.c.sold > 0).values(sold=stock.c.sold - 1)),
]  # fmt: skip


def test_each_planted_flaw_is_named(ended: World) -> None:
    first = sa.select(order_item.c.id).where(ENDED).limit(1)
    with ended.centre.write() as connection:
        assert money_flaws(connection) == []
        without_triggers(connection, item_claim)
        for rule, statement in PLANTED:
            made = statement
            if statement.table is clawback:
                made = clawback.insert().values(id=ended.centre.new_id(), item_id=connection.scalar(first), **OWED)
            with planted(connection, made) as flaws:
                assert named(flaws, rule), (rule, str(made), flaws)
