"""A pass bought before the end of the one held begins when that one ends (money.md §2.6)."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from sync_server.catalog.tables import product
from sync_server.centre import Centre
from sync_server.checks import flaws_of
from sync_server.errors import NotAllowedError
from sync_server.issuance.tables import issued_pass, pass_token
from sync_server.orders import closing, persons
from sync_server.orders.holders import Holder
from sync_server.orders.placing import NewOrder, Placed, place
from sync_server.orders.refusals import AlreadyHeld, Refusal
from sync_server.orders.tables import order, person_product, person_renewal
from sync_server.settlement.pass_refunds import refund_pass
from tests.sync_server.beside import Beside
from tests.sync_server.people_numbers import traveller
from tests.sync_server.town import Town, build_town
from wire import moments
from wire.token import unverified_claims

DAY_MS = 24 * 3_600_000
WHO = traveller(1)


@pytest.fixture
def town(any_centre: Centre) -> Town:
    return build_town(any_centre)


def spans(town: Town) -> list[tuple[int, int]]:
    """Of every pass, as signed into its code, the first issued first."""
    with town.centre.read() as connection:
        tokens = connection.scalars(
            sa.select(pass_token.c.token)
            .join(issued_pass, issued_pass.c.id == pass_token.c.pass_id)
            .order_by(issued_pass.c.issued_at_ms)
        ).all()
    claims = [unverified_claims(token) for token in tokens]
    return [(each.not_before, each.not_after) for each in claims]


def ask(town: Town, who: Holder = WHO) -> Placed | Refusal:
    new = NewOrder(town.products["annual"], 1, "其他", None, (who,))
    with town.centre.write() as connection:
        return place(town.centre, connection, new, "test")


def test_it_begins_where_the_old_one_ends_and_leaves_it_alone(town: Town) -> None:
    town.sell("annual", holders=[WHO])
    [old] = spans(town)
    days = (moments.minute_ms(old[1]) - town.clock.now_ms) // DAY_MS
    town.clock.pass_ms((days - 60) * DAY_MS - DAY_MS)
    assert ask(town) == AlreadyHeld(WHO.name)
    town.clock.pass_ms(2 * DAY_MS)
    town.sell("annual", holders=[WHO])
    first, renewal = spans(town)
    assert first == old
    assert renewal[0] == old[1]
    zone = ZoneInfo("Asia/Shanghai")
    begin, end = (datetime.fromtimestamp(moments.minute_ms(minute) / 1000, zone) for minute in renewal)
    assert (end.date() - begin.date()).days == 365
    assert (end.hour, end.minute) == (0, 0)
    assert ask(town) == AlreadyHeld(WHO.name), "one renewal at a time"
    with town.centre.read() as connection:
        assert flaws_of(connection) == []
    # the old one is over: the renewal is what is held, and is itself renewed
    town.clock.now_ms = moments.minute_ms(renewal[1]) - 30 * DAY_MS
    town.sell("annual", holders=[WHO])
    assert spans(town)[2][0] == renewal[1]
    # and long after everything ended it is a first one again, with its delay
    town.clock.now_ms = moments.minute_ms(spans(town)[2][1]) + DAY_MS
    town.sell("annual", holders=[WHO])
    assert spans(town)[3][0] == moments.minute_ceil(town.clock.now_ms + DAY_MS)


def test_bought_in_the_last_hours_it_still_waits_its_delay(town: Town) -> None:
    town.sell("annual", holders=[WHO])
    [old] = spans(town)
    town.clock.now_ms = moments.minute_ms(old[1]) - 3_600_000
    town.sell("annual", holders=[WHO])
    assert spans(town)[1][0] == moments.minute_ceil(town.clock.now_ms + DAY_MS)
    with town.centre.read() as connection:
        assert flaws_of(connection) == []


def test_how_early_is_the_products_choice(town: Town) -> None:
    town.sell("annual", holders=[WHO])
    town.clock.pass_ms(DAY_MS)
    assert ask(town) == AlreadyHeld(WHO.name)
    with town.centre.write() as connection:
        connection.execute(product.update().values(renewal_days=366))
    assert isinstance(ask(town), Placed)


def test_a_renewal_is_given_back_alone(town: Town) -> None:
    town.sell("annual", holders=[WHO])
    [old] = spans(town)
    town.clock.now_ms = moments.minute_ms(old[1]) - 10 * DAY_MS
    town.sell("annual", holders=[WHO])
    refund(town, -1)
    with town.centre.read() as connection:
        assert connection.scalar(sa.select(person_product.c.until_ms)) == moments.minute_ms(old[1])
        assert connection.scalar(sa.select(sa.func.count()).select_from(person_renewal)) == 0
    assert statuses(town) == ["ACTIVE", "REVOKED"]
    town.sell("annual", holders=[WHO])
    assert spans(town)[2][0] == old[1]


def test_what_is_renewed_goes_back_after_its_renewal_and_the_person_may_buy_at_once(town: Town) -> None:
    with town.centre.write() as connection:
        connection.execute(product.update().values(renewal_days=366))
    town.sell("annual", holders=[WHO])
    town.clock.pass_ms(DAY_MS)
    town.sell("annual", holders=[WHO])
    with town.centre.write() as connection:
        connection.execute(product.update().values(renewal_days=60))
    with pytest.raises(NotAllowedError, match="which begins only where this pass ends: give it back first"):
        refund(town, 0)
    assert statuses(town) == ["ACTIVE", "ACTIVE"], "nothing of it was done"
    refund(town, -1)
    refund(town, 0)
    assert statuses(town) == ["REVOKED", "REVOKED"]
    town.clock.pass_ms(60_000)
    town.sell("annual", holders=[WHO])
    assert spans(town)[2][0] == moments.minute_ceil(town.clock.now_ms + DAY_MS)
    with town.centre.read() as connection:
        assert flaws_of(connection) == []


def test_an_unpaid_renewal_is_cancelled_first(town: Town) -> None:
    town.sell("annual", holders=[WHO])
    [old] = spans(town)
    town.clock.now_ms = moments.minute_ms(old[1]) - 10 * DAY_MS
    placed = ask(town)
    assert isinstance(placed, Placed)
    with pytest.raises(NotAllowedError, match=f"by order {placed.number} .PENDING_PAYMENT..*: cancel it first"):
        refund(town, 0)
    cancel_it(town, placed)
    refund(town, 0)
    placed = ask(town)
    assert isinstance(placed, Placed)
    with town.centre.read() as connection:
        assert connection.scalar(sa.select(order.c.starts_at_ms).where(order.c.id == placed.order_id)) is None


@pytest.mark.parametrize("any_centre", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_nobody_renews_what_is_just_being_given_back(town: Town) -> None:
    with town.centre.write() as connection:  # so that stock keeps nobody waiting
        connection.execute(product.update().values(refund_frees_stock=False))
    town.sell("annual", holders=[WHO])
    [old] = spans(town)
    town.clock.now_ms = moments.minute_ms(old[1]) - 10 * DAY_MS
    with town.centre.write() as connection:
        [first] = connection.scalars(sa.select(order.c.id)).all()
        new = NewOrder(town.products["annual"], 1, "其他", None, (WHO,))
        placed = place(town.centre, connection, new, "test")
        late = Beside(town.centre, lambda: refund(town, 0))
    with pytest.raises(NotAllowedError, match="was renewed by order"):
        late.finish()
    assert isinstance(placed, Placed)
    cancel_it(town, placed)
    with town.centre.write() as connection:
        assert persons.renewal_of(connection, first) is None
        late = Beside(town.centre, lambda: ask(town))
        persons.let_go(connection, first)
    late.finish()
    with town.centre.read() as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(person_renewal)) == 0


def test_two_passes_for_the_same_day_are_a_flaw_that_is_named(town: Town) -> None:
    town.sell("annual", holders=[WHO])
    with town.centre.write() as connection:  # as if nobody had put the name down
        connection.execute(person_product.delete())
    town.sell("annual", holders=[WHO])
    with town.centre.read() as connection:
        assert [flaw for flaw in flaws_of(connection) if flaw.startswith("I16 (nobody holds two annual passes")]


def cancel_it(town: Town, placed: Placed) -> None:
    """An order that nobody paid."""
    with town.centre.write() as connection:
        closing.cancel(connection, placed.number, "moved away", town.clock.now_ms, "test")
    assert closing.close_unpaid(town.centre) == 1


def statuses(town: Town) -> list[str]:
    """Of every pass, the first issued first."""
    with town.centre.read() as connection:
        return list(connection.scalars(sa.select(issued_pass.c.status).order_by(issued_pass.c.issued_at_ms)))


def refund(town: Town, at: int) -> UUID:
    """Give the order at this place back."""
    with town.centre.write() as connection:
        numbers = connection.execute(
            sa.select(order.c.id, order.c.number).where(order.c.state == "ISSUED").order_by(order.c.placed_at_ms)
        ).all()
        refund_pass(connection, numbers[at].number, "投诉", town.clock.now_ms, "operator")
        found: UUID = numbers[at].id
        return found
