"""An entry that lost its ticket is paid all the same where an operator says so (P15), once, out of our own money."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from sync_server.db import new_id
from sync_server.errors import NotAllowedError
from sync_server.parties.parties import NewParty, add_party
from sync_server.redemptions import decisions
from sync_server.redemptions.tables import entry, redemption
from sync_server.settlement.tables import payout_line
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import employ
from tests.sync_server.sandbox import World
from tests.sync_server.settlement.test_expiring import WEEK_MS, assert_books_agree, posted, states
from wire.messages import EntryKind


def lost(world: World, item_id: object, outcome: str) -> bytes:
    """A further entry on an item whose claim is gone, as `redemptions.ingest` writes it."""
    now_ms = world.centre.now_ms()
    redemption_id = new_id(now_ms).bytes
    seq = int.from_bytes(redemption_id[8:], "big") >> 2
    journal = {"device_id": bytes(16), "incarnation": bytes(8), "venue_id": world.venue, "occurred_at_ms": now_ms}
    row = {**journal, "id": redemption_id, "outcome": outcome, "item_id": item_id, "recorded_at_ms": now_ms}
    told = {**journal, "hash": bytes(32), "body": b"", "lane": 1, "presentation": 1, "received_at_ms": now_ms}
    with world.centre.write() as connection:
        connection.execute(entry.insert().values(**told, seq=seq, kind=int(EntryKind.INTENT)))
        connection.execute(entry.insert().values(**told, seq=seq + 1, kind=int(EntryKind.PASSED), ref_seq=seq))
        connection.execute(redemption.insert().values(**row, seq=seq))
    return redemption_id


def staff(world: World) -> None:
    with world.centre.write() as connection:
        platform = NewParty("PLATFORM", "1000", "平台", "Platform", "platform")
        add_party(connection, platform, "Asia/Shanghai", world.centre.now_ms())


@pytest.mark.parametrize("outcome", ["CONFLICT", "LATE"])
def test_the_venue_is_paid_once_more_and_the_platform_bears_it(world: World, clock: Clock, outcome: str) -> None:
    staff(world)
    may, may_not = employ(world.centre, "qian", "finance"), employ(world.centre, "admin", "platform_admin")
    order_id = world.buy(2)
    world.turn()
    items = world.items(order_id)
    for item in items:
        world.enter(item)
    world.buy()  # so that there is money to pay it with
    world.turn()
    before = posted(world)
    entry_id = lost(world, items[0], outcome)
    world.turn()
    assert posted(world) == before  # nobody said so
    with pytest.raises(NotAllowedError, match="permission"), world.centre.write() as connection:
        decisions.honour(connection, may_not, entry_id, "网络中断", clock.now_ms)
    with world.centre.write() as connection:
        decisions.honour(connection, may, entry_id, "网络中断", clock.now_ms)
    with pytest.raises(NotAllowedError, match="already"), world.centre.write() as connection:
        decisions.honour(connection, may, entry_id, "again", clock.now_ms)
    for _ in range(3):
        world.turn()
    assert posted(world) == {**before, "1010": before["1010"] - 4970, "4020": -90, "5020": 5000}
    assert world.sandbox.book.balances()["venue"] == 3 * 4970
    with world.centre.read() as connection:
        line = connection.execute(sa.select(payout_line).where(payout_line.c.redemption_id == entry_id)).one()
    assert (line.kind, line.item_id, line.net_fen) == ("HONOUR", items[0], 4970)
    assert states(world, order_id) == ["USED SETTLED"] * 2
    assert_books_agree(world)


def test_what_an_operator_said_stands_whatever_becomes_known_before_it_is_cleared(world: World, clock: Clock) -> None:
    """As afterwards, when it is paid already: that staff had given the right back before."""
    staff(world)
    who = employ(world.centre, "qian", "finance")
    order_id = world.buy(2)
    world.turn()
    world.enter(world.items(order_id)[0])
    world.turn()
    entry_id = lost(world, world.items(order_id)[0], "CONFLICT")
    with world.centre.write() as connection:
        decisions.honour(connection, who, entry_id, "网络中断", clock.now_ms)
        connection.execute(redemption.update().where(redemption.c.id == entry_id).values(outcome="RETURNED"))
    world.turn()
    assert posted(world)["5020"] == 5000
    assert_books_agree(world)


def test_an_entry_after_a_refund_is_paid_beside_it(world: World, clock: Clock) -> None:
    staff(world)
    who = employ(world.centre, "qian", "finance")
    other = world.buy()
    world.turn()
    world.enter(world.items(other)[0])  # so that the gate is known
    order_id = world.buy()
    world.turn()
    clock.pass_ms(WEEK_MS + 120_000)
    world.turn()
    entry_id = lost(world, world.items(order_id)[0], "LATE")
    with world.centre.write() as connection:
        decisions.honour(connection, who, entry_id, "闸机离线", clock.now_ms)
    world.turn()
    assert states(world, order_id) == ["EXPIRED REFUNDED"]
    assert posted(world)["5020"] == 5000


def test_what_counted_or_has_no_proof_is_not_honoured(world: World, clock: Clock) -> None:
    staff(world)
    who = employ(world.centre, "qian", "finance")
    order_id = world.buy()
    world.turn()
    world.enter(world.items(order_id)[0])
    entry_id = lost(world, world.items(order_id)[0], "UNPROVEN")
    with pytest.raises(NotAllowedError, match="UNPROVEN"), world.centre.write() as connection:
        decisions.honour(connection, who, entry_id, "please", clock.now_ms)
