"""To whom an annual pass is sold, for how much: terms, imported lists, discounts; what is charged is in the book."""

from __future__ import annotations

from datetime import date

import pytest
import requests
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from sync_server.catalog.discounts import NewDiscount, add_discount, end_discount
from sync_server.catalog.person_lists import Imported, WrongLines, import_list, list_named
from sync_server.catalog.products import find_product
from sync_server.catalog.tables import discount, listed_person
from sync_server.catalog.terms import Terms, set_terms
from sync_server.centre import Centre
from sync_server.db import new_id
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.id_numbers import age_on, is_of_area
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.orders import paying, placing
from sync_server.orders.holders import Holder
from sync_server.orders.refusals import NotEligible, Refusal, words_zh
from sync_server.orders.tables import order, ticket
from tests.sync_server.conftest import Clock
from tests.sync_server.orders.test_closing import cashier
from tests.sync_server.people_numbers import BEIJING, KAIFENG, id_number, traveller
from tests.sync_server.sandbox import World
from tests.sync_server.settlement.test_expiring import assert_books_agree
from tests.sync_server.town import build_town

PASS = 2
DAY_MS = 24 * 3_600_000
LOCAL = traveller(1)
STRANGER = traveller(2, BEIJING)
OLD_STRANGER = traveller(3, BEIJING, "19560921")  # 70 years old on the day of the tests' clock
NEARLY_OLD = traveller(4, BEIJING, "19560922")
FOREIGNER = Holder("John Smith", "E12345678", "13800000009")


def ask(world: World, who: Holder) -> placing.Placed | Refusal:
    with world.centre.write() as connection:
        return placing.place(world.centre, connection, placing.NewOrder(PASS, 1, "其他", None, (who,)), "test")


def sell_to(world: World, terms: Terms) -> None:
    with world.centre.write() as connection:
        set_terms(connection, find_product(connection, PASS), terms, world.centre.now_ms(), "test")


def offer(world: World, new: NewDiscount) -> None:
    with world.centre.write() as connection:
        add_discount(connection, find_product(connection, PASS), new, world.centre.now_ms(), "test")


def listed(world: World, name: str, *people: Holder) -> None:
    lines = ["证件号,姓名", *(f"{who.id_number},{who.name}" for who in people)]
    with world.centre.write() as connection:
        assert import_list(world.centre, connection, name, lines, "test") == Imported(len(people), 0)


def price(world: World, who: Holder) -> tuple[int, int, str | None]:
    """What is charged, what the discount takes off, and why."""
    placed = ask(world, who)
    assert isinstance(placed, placing.Placed), placed
    with world.centre.read() as connection:
        row = connection.execute(sa.select(order).where(order.c.id == placed.order_id)).one()
        sold_for = connection.scalar(sa.select(ticket.c.dist_price_fen).where(ticket.c.order_id == row.id))
    assert placed.amount_fen == row.dist_price_fen == sold_for == row.list_fen - row.discount_fen
    return row.dist_price_fen, row.discount_fen, row.discount_reason


def test_who_is_not_of_the_area_is_told_whom_to_call(world: World) -> None:
    sell_to(world, Terms("AREAS", ("4102", "4101"), hotline="0371-12345"))
    for who in (STRANGER, FOREIGNER):
        refusal = ask(world, who)
        assert refusal == NotEligible(who.name, "0371-12345")
        assert words_zh(refusal) == "您暂不符合本年票办理条件，请致电 0371-12345"
    assert isinstance(ask(world, LOCAL), placing.Placed)


def test_an_imported_list_says_who_may_buy_and_keeps_no_number(world: World) -> None:
    listed(world, "低保家庭", STRANGER)
    with world.centre.read() as connection:
        mine = list_named(connection, "低保家庭")
        stored = b"".join(connection.scalars(sa.select(listed_person.c.person_index)))
    assert str(STRANGER.id_number).encode() not in stored
    sell_to(world, Terms("LIST", person_list_id=mine))
    refusal = ask(world, LOCAL)
    assert refusal == NotEligible(LOCAL.name, None)
    assert words_zh(refusal) == "您暂不符合本年票办理条件"
    assert isinstance(ask(world, STRANGER), placing.Placed)
    listed(world, "低保家庭", LOCAL)  # the new file is the list
    assert isinstance(ask(world, LOCAL), placing.Placed)
    assert ask(world, STRANGER) == NotEligible(STRANGER.name, None)


def test_a_list_with_wrong_lines_is_not_taken(world: World) -> None:
    good = id_number()
    lines = [
        "\ufeffID_number",
        good,
        "",
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        f'"{good}",again',
        "x" * 201,
        "E 1",
    ]
    with world.centre.write() as connection:
        done = import_list(world.centre, connection, "旧名单", lines, "test")
        assert isinstance(done, WrongLines)
        assert [number for number, _ in done.first] == [4, 6]
        assert "check digit" in done.first[0][1]
        with pytest.raises(NotFoundError):
            list_named(connection, "旧名单")
        assert import_list(world.centre, connection, "新名单", [good, good.lower(), "E 1"], "test") == Imported(2, 1)
        with pytest.raises(NotAllowedError, match="nobody"):
            import_list(world.centre, connection, "空", ["证件号", ""], "test")


def test_one_discount_applies_the_lowest_that_holds(world: World, clock: Clock) -> None:
    listed(world, "教师", FOREIGNER)
    with world.centre.read() as connection:
        teachers = list_named(connection, "教师")
    offer(world, NewDiscount("RESIDENT", 15000, areas=("4102",)))
    offer(world, NewDiscount("SENIOR", 9900, min_age=70))
    offer(world, NewDiscount("LISTED", 12000, person_list_id=teachers))
    offer(world, NewDiscount("RESIDENT", 19000, areas=("11",)))
    with world.centre.write() as connection:  # as where the list price fell below it since: nobody pays more
        connection.execute(discount.update().where(discount.c.price_fen == 19000).values(price_fen=25000))
    assert price(world, LOCAL) == (15000, 4800, "RESIDENT")
    assert price(world, OLD_STRANGER) == (9900, 9900, "SENIOR")
    assert price(world, NEARLY_OLD) == (19800, 0, None)
    assert price(world, FOREIGNER) == (12000, 7800, "LISTED")
    begin = clock.now_ms + DAY_MS
    offer(world, NewDiscount("PROMOTION", 10000, from_ms=begin, until_ms=begin + DAY_MS))
    assert price(world, traveller(11)) == (15000, 4800, "RESIDENT")
    clock.now_ms = begin
    assert price(world, traveller(12)) == (10000, 9800, "PROMOTION")
    assert price(world, traveller(13, BEIJING, "19400101")) == (9900, 9900, "SENIOR")
    clock.now_ms = begin + DAY_MS
    assert price(world, traveller(14)) == (15000, 4800, "RESIDENT")
    with world.centre.write() as connection:
        resident = connection.scalars(sa.select(discount.c.id).where(discount.c.price_fen == 15000)).one()
        end_discount(connection, resident, clock.now_ms, "test")
        with pytest.raises(NotFoundError):
            end_discount(connection, resident, clock.now_ms, "test")
    assert price(world, traveller(15)) == (19800, 0, None)


def test_the_charged_price_is_what_the_book_defers(world: World, clock: Clock) -> None:
    offer(world, NewDiscount("RESIDENT", 15000, areas=(KAIFENG,)))
    placed = ask(world, LOCAL)
    assert isinstance(placed, placing.Placed)
    with world.centre.write() as connection:
        paying.pay(connection, placed.order_id, "test", clock.now_ms)
    world.turn()
    requests.post(cashier(world), timeout=5)
    clock.pass_ms(60_000)
    world.turn()
    with world.centre.read() as connection:
        assert balance(connection, Account("2510", placed.order_id)).posted_fen == -15000
        assert connection.scalar(sa.select(order.c.paid_fen)) == 15000
    assert_books_agree(world)


def test_what_contradicts_itself_is_refused(world: World) -> None:
    listed(world, "教师", FOREIGNER)
    wrong_discounts = (
        NewDiscount("RESIDENT", 0, areas=("41",)),
        NewDiscount("RESIDENT", 1),
        NewDiscount("SENIOR", 1, areas=("41",)),
        NewDiscount("SENIOR", 1, min_age=200),
        NewDiscount("RESIDENT", 1, areas=("410",)),
        NewDiscount("RESIDENT", 1, areas=("4a",)),
        NewDiscount("RESIDENT", 1, areas=("41",), min_age=60),
        NewDiscount("PROMOTION", 1, from_ms=5, until_ms=5),
        NewDiscount("PROMOTION", 1, until_ms=5),
        NewDiscount("RESIDENT", 1, areas=("41",), from_ms=5),
        NewDiscount("SENIOR", 1, min_age=60, from_ms=0),
        NewDiscount("SENIOR", 1, min_age=60, from_ms=5, until_ms=6),
    )
    for new in wrong_discounts:
        with pytest.raises(NotAllowedError):
            offer(world, new)
    for terms in (Terms("AREAS"), Terms("ANYONE", ("41",)), Terms(renewal_days=-1), Terms(hotline="")):
        with pytest.raises(NotAllowedError):
            sell_to(world, terms)
    with world.centre.write() as connection:
        single = find_product(connection, 1)
        with pytest.raises(NotAllowedError, match="only annual passes"):
            set_terms(connection, single, Terms(), 0, "test")
        with pytest.raises(NotAllowedError, match="only annual passes"):
            add_discount(connection, single, NewDiscount("SENIOR", 1, min_age=60), 0, "test")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "SENIOR", "min_age": 60, "from_ms": 5},
        {"kind": "SENIOR", "min_age": 60, "from_ms": 5, "until_ms": 6},
        {"kind": "PROMOTION", "from_ms": 5},
        {"kind": "PROMOTION", "from_ms": 5, "until_ms": 5},
    ],
)
def test_the_table_holds_no_days_but_a_promotions(any_centre: Centre, wrong: dict[str, object]) -> None:
    build_town(any_centre)
    with any_centre.write() as connection:
        sold = find_product(connection, 1)
        row = {"id": new_id(0), "product_id": sold.id, "price_fen": 1, "added_at_ms": 0, **wrong}
        with pytest.raises(sa.exc.IntegrityError, match="dates"):
            connection.execute(discount.insert().values(row))


@given(st.dates(min_value=date(1920, 1, 1)), st.dates())
def test_an_age_is_the_birthdays_that_were(born: date, today: date) -> None:
    number = id_number(born=born.strftime("%Y%m%d"))
    age = age_on(number, today)
    assert age is not None
    years = range(born.year + 1, today.year + 1)
    birthdays = sum((year, born.month, born.day) <= (today.year, today.month, today.day) for year in years)
    if today >= born:
        assert age == birthdays
    assert age_on("E12345678", today) is None


def test_an_area_is_the_beginning_of_a_resident_number() -> None:
    number = id_number("410203")
    assert [is_of_area(number, [area]) for area in ("41", "4102", "410203", "42", "410204")] == [True] * 3 + [False] * 2
    assert not is_of_area("4102", ["41"])
    assert is_of_area(f" {number.lower()} ", ["11", "41"])
