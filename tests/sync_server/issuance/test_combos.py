"""A combo ticket: one token that opens every venue of it once; used, or given back, at one the others stay open."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.checks import flaws_of
from sync_server.feed.publishing import publish_feeds
from sync_server.keys import key_set
from sync_server.orders.tables import order, order_item, ticket
from sync_server.redemptions.tables import redemption
from sync_server.redemptions.uses import count_uses
from sync_server.settlement.item_states import refund_status
from sync_server.settlement.item_status import statuses_of
from sync_server.settlement.refunding import ask
from tests.sync_server.combos import combo_on_sale
from tests.sync_server.feed.fetching import fetch
from tests.sync_server.town import START_MS, Sold, Town, build_town
from wire.entitlement import PassStatus
from wire.keyset import KeySet, read_key_set
from wire.token import Claims, Place, Scope, read_token

HOUR_MS = 3_600_000


@pytest.fixture
def town(any_centre: Centre) -> Town:
    made = build_town(any_centre)
    prices = {made.venues["bridge"]: 5_000, made.venues["park"]: 3_000}
    made.products["combo"] = combo_on_sale(any_centre, 9_000, prices)
    return made


def statuses(town: Town, sold: Sold) -> dict[str, str]:
    """The state of the ticket's item at each venue."""
    names = {venue_id: name for name, venue_id in town.venues.items()}
    with town.centre.read() as connection:
        order_id = connection.scalars(sa.select(ticket.c.order_id).where(ticket.c.id == sold.ticket_id)).one()
        return {
            names[one.venue_id]: one.state
            for one in statuses_of(connection, order_id)
            if one.ticket_id == sold.ticket_id
        }


def test_one_token_names_the_lists_of_its_venues(town: Town) -> None:
    first, second = town.sell("combo", 2)
    with town.centre.read() as connection:
        published = key_set.newest(connection)
        keys = read_key_set(published.document, published.root_public)
        assert isinstance(keys, KeySet)
        rows = connection.execute(
            sa.select(order_item.c.share_fen, order_item.c.valid_from, order_item.c.valid_to).order_by(order_item.c.id)
        ).all()
        assert connection.scalars(sa.select(order.c.first_end)).one() == rows[0].valid_to
    assert sorted(row.share_fen for row in rows) == [3_375, 3_375, 5_625, 5_625]
    assert len({(row.valid_from, row.valid_to) for row in rows}) == 1  # one end for all its venues
    publish_feeds(town.centre)
    for sold in (first, second):
        for at, venue in enumerate(("bridge", "park"), 1):
            claims = read_token(sold.token, keys, Place(at), town.clock.now_ms)
            assert isinstance(claims, Claims), claims
            assert claims.scope_kind is Scope.LIST
            fetched = fetch(town, venue)
            assert fetched.passes[sold.pass_id].status is PassStatus.ACTIVE
            (rule,) = (one.rule for one in fetched.documents[-1].products if one.number == claims.product)
            assert rule.total == 1  # at each venue


def test_used_at_one_venue_it_opens_the_other_and_the_first_no_more(town: Town) -> None:
    (sold,) = town.sell("combo")
    bridge, park = town.gate("bridge"), town.gate("park")
    bridge.admit(sold, START_MS + HOUR_MS)
    town.clock.pass_ms(2 * HOUR_MS)
    town.upload(bridge)
    assert statuses(town, sold) == {"bridge": "USED DUE", "park": "INACTIVE HELD"}
    count_uses(town.centre)
    publish_feeds(town.centre)
    assert sold.pass_id in fetch(town, "bridge").uses
    assert sold.pass_id not in fetch(town, "park").uses
    assert fetch(town, "park").passes[sold.pass_id].status is PassStatus.ACTIVE
    park.admit(sold, START_MS + 3 * HOUR_MS)
    bridge.admit(sold, START_MS + 3 * HOUR_MS)
    town.clock.pass_ms(2 * HOUR_MS)
    town.upload(park)
    town.upload(bridge, 3)
    assert statuses(town, sold) == {"bridge": "USED DUE", "park": "USED DUE"}
    with town.centre.read() as connection:
        outcomes = connection.execute(sa.select(redemption.c.venue_id, redemption.c.outcome)).all()
        assert sorted(row.outcome for row in outcomes if row.venue_id == town.venues["bridge"]) == [
            "CLAIMED",
            "CONFLICT",
        ]
        assert [row.outcome for row in outcomes if row.venue_id == town.venues["park"]] == ["CLAIMED"]
        assert flaws_of(connection) == []


def test_asked_back_after_one_visit_the_other_venue_alone_is_revoked(town: Town) -> None:
    (sold,) = town.sell("combo")
    bridge = town.gate("bridge")
    bridge.admit(sold, START_MS + HOUR_MS)
    town.clock.pass_ms(2 * HOUR_MS)
    town.upload(bridge)
    with town.centre.write() as connection:
        number = connection.scalars(sa.select(ticket.c.number).where(ticket.c.id == sold.ticket_id)).one()
        (item,) = ask(connection, number, "改行程", town.clock.now_ms, "test")
        assert (
            connection.scalars(sa.select(order_item.c.venue_id).where(order_item.c.id == item)).one()
            == (town.venues["park"])
        )
    publish_feeds(town.centre)
    assert fetch(town, "park").passes[sold.pass_id].status is PassStatus.REVOKED
    assert fetch(town, "bridge").passes[sold.pass_id].status is PassStatus.ACTIVE
    assert statuses(town, sold) == {"bridge": "USED DUE", "park": "INACTIVE HELD hold"}
    assert refund_status(list(statuses(town, sold).values())) == "退款待处理"
