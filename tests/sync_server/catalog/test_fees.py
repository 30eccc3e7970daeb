"""Which fee rule holds for whom, and what it comes to."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from sync_server.catalog import fees, products
from sync_server.centre import Centre
from sync_server.errors import NotAllowedError
from sync_server.money import fee_of
from sync_server.orders.tables import order, order_item, ticket
from sync_server.parties.parties import NewParty, add_party
from tests.sync_server.conftest import Clock
from tests.sync_server.sandbox import World

NOW_MS = 1_790_000_000_000


def test_the_products_own_rule_comes_first_then_the_newest_in_force(centre: Centre) -> None:
    with centre.write() as connection:
        venue = add_party(connection, NewParty("VENUE", "2001", "汴河", "Bridge", "v"), "Asia/Shanghai", NOW_MS)
        new = products.NewProduct("SINGLE", "单票", "Ticket", 5200, {venue: 5000}, 7)
        one, other = (products.add_product(connection, new, NOW_MS) for _ in range(2))

        def fee(product: object, kind: str = "PAYOUT", amount_fen: int = 5000, now_ms: int = NOW_MS) -> int:
            return fees.fee_for(connection, kind, venue, product, amount_fen, now_ms)  # type: ignore[arg-type]  # one of the two

        assert fee(one) == 0
        fees.add_fee_rule(connection, "PAYOUT", venue, 60, NOW_MS)
        assert (fee(one), fee(one, now_ms=NOW_MS - 1), fee(one, "CHARGE")) == (30, 0, 0)
        fees.add_fee_rule(connection, "PAYOUT", venue, 100, NOW_MS, product_id=one)
        fees.add_fee_rule(connection, "PAYOUT", venue, 200, NOW_MS, valid_from_ms=NOW_MS + 10)
        assert (fee(one), fee(other)) == (50, 30)
        assert (fee(one, now_ms=NOW_MS + 10), fee(other, now_ms=NOW_MS + 10)) == (50, 100)


@given(
    amount_fen=st.integers(0, 10**9),
    bps=st.integers(0, 10_000),
    min_fen=st.integers(0, 10**4),
    max_fen=st.none() | st.integers(0, 10**6),
)
def test_a_rate_is_rounded_half_up_and_held_between_its_bounds(
    amount_fen: int, bps: int, min_fen: int, max_fen: int | None
) -> None:
    exact = Decimal(amount_fen * bps) / 10_000
    rounded = int(exact.quantize(Decimal(1), ROUND_HALF_UP))
    wanted = max(rounded, min_fen)
    assert fee_of(amount_fen, bps, min_fen, max_fen) == (wanted if max_fen is None else min(wanted, max_fen))


def test_what_was_frozen_on_an_order_stays(world: World, clock: Clock) -> None:
    before = world.buy()
    clock.pass_ms(1)
    with world.centre.write() as connection:
        fees.add_fee_rule(connection, "CHARGE", world.distributor, 1_000, clock.now_ms)
        fees.add_fee_rule(connection, "PAYOUT", world.venue, 1_000, clock.now_ms, product_id=world.single)
    after = world.buy()
    with world.centre.read() as connection:
        frozen = {
            row.id: (row.charge_fee_fen, row.payout_fee_fen)
            for row in connection.execute(
                sa.select(order.c.id, order.c.charge_fee_fen, order_item.c.payout_fee_fen)
                .join(ticket, ticket.c.order_id == order.c.id)
                .join(order_item, order_item.c.ticket_id == ticket.c.id)
            )
        }
    assert frozen == {before: (31, 30), after: (520, 500)}


def test_bounds_hold_and_no_fee_is_more_than_the_amount(centre: Centre) -> None:
    with centre.write() as connection:
        venue = add_party(connection, NewParty("VENUE", "2001", "汴河", "Bridge", "v"), "Asia/Shanghai", NOW_MS)
        product = products.add_product(
            connection, products.NewProduct("SINGLE", "单票", "Ticket", 5200, {venue: 5000}, 7), NOW_MS
        )
        fees.add_fee_rule(connection, "PAYOUT", venue, 60, NOW_MS, min_fen=20, max_fen=40)
        wanted = {5: 5, 100: 20, 5000: 30, 100_000: 40}
        assert {a: fees.fee_for(connection, "PAYOUT", venue, product, a, NOW_MS) for a in wanted} == wanted


def test_a_ticket_cannot_cost_less_than_its_venue_is_owed(centre: Centre) -> None:
    with centre.write() as connection:
        venue = add_party(connection, NewParty("VENUE", "2001", "汴河", "Bridge", "v"), "Asia/Shanghai", NOW_MS)
        for kind, price_fen, owed_fen in (("SINGLE", 4999, 5000), ("SINGLE", 5000, 0), ("PASS", 5000, 1)):
            with pytest.raises(NotAllowedError):
                products.add_product(
                    connection, products.NewProduct(kind, "x", "x", price_fen, {venue: owed_fen}, 7), NOW_MS
                )
