"""An annual pass comes to be sold: drafted and reviewed by commands, with rows of stock that are raised and priced."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from sync_server.audit.tables import event_log
from sync_server.catalog import pass_stock, publishing
from sync_server.catalog.pass_stock import StockRow, rows_of
from sync_server.catalog.products import NewProduct, find_product
from sync_server.catalog.stock import price_now, reserve, sell
from sync_server.catalog.tables import product, stock
from sync_server.centre import Centre
from sync_server.checks import flaws_of
from sync_server.errors import NotAllowedError, NotFoundError
from sync_server.orders import placing
from sync_server.orders.holders import Holder
from sync_server.orders.refusals import PriceChanged
from sync_server.orders.tables import order
from sync_server.people.identifying import Person
from tests.sync_server.command_line import command
from tests.sync_server.operators import PASSWORD, employ
from tests.sync_server.people_numbers import id_number
from tests.sync_server.town import Town, build_town

HOUR_MS = 3_600_000


@dataclass
class Office:
    """A town with two persons of the platform's operations."""

    town: Town
    zhou: Person
    wang: Person

    def do(self, act: Callable[..., Any], *arguments: Any, who: Person | None = None, **named: Any) -> Any:
        with self.town.centre.write() as connection:
            return act(connection, who or self.zhou, *arguments, **named, now_ms=self.town.clock.now_ms)

    def run(self, group: str, *arguments: str, account: str = "") -> list[dict[str, Any]]:
        proof = ("--organisation", "1000", "--account", account, "--password-stdin") if account else ()
        done = CliRunner().invoke(
            command(group), (*arguments, *proof), obj=lambda: self.town.centre, input=PASSWORD + "\n"
        )
        assert done.exit_code == 0, (done.output, done.exception)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def place(self, number: int, person: int, **named: Any) -> object:
        """One pass for the nth person, at the cashier."""
        who = Holder("李小花", id_number(nth=person), "13800001234")
        with self.town.centre.write() as connection:
            new = placing.NewOrder(number, 1, "其他", holders=(who,), **named)
            return placing.place(self.town.centre, connection, new, "test")

    def rows(self, number: int) -> list[StockRow]:
        with self.town.centre.read() as connection:
            return rows_of(connection, number)

    def actions(self) -> list[tuple[str, str]]:
        said = sa.select(event_log.c.action, event_log.c.actor).where(event_log.c.action.like("stock.%"))
        with self.town.centre.read() as connection:
            return [tuple(row) for row in connection.execute(said.order_by(event_log.c.seq))]


def open_office(centre: Centre) -> Office:
    town = build_town(centre)
    return Office(town, employ(centre, "zhou", "operations"), employ(centre, "wang", "operations"))


@pytest.fixture
def office(centre: Centre) -> Office:
    return open_office(centre)


def amount(placed: object) -> int:
    assert isinstance(placed, placing.Placed), placed
    return placed.amount_fen


def test_a_pass_is_made_reviewed_stocked_and_sold_by_commands(any_centre: Centre) -> None:
    office = open_office(any_centre)
    town = office.town
    names = ("--name-zh", "古城年票", "--name-en", "Old town pass")
    drafted = office.run(
        "product", "draft-pass", *names, "--venue", "1", "--venue", "2", "--price", "9900", "--days", "365",
        "--per-day", "2", "--pay-deadline-min", "45", "--offline-limit", "5", account="zhou",
    )  # fmt: skip
    assert drafted == [{"number": 4, "sale": "DRAFT", "version": 1}]
    office.run("product", "terms", "4", "--hotline", "12345")
    assert office.run("stock", "add", "4", "1", account="zhou") == [
        {"product": 4, "row": 1, "price_fen": 9_900, "total": 1}
    ]
    office.run("stock", "add", "4", "100", "--price", "12900", account="zhou")
    office.run("product", "submit", "4", account="zhou")
    office.run("product", "approve", "4", account="wang")

    assert amount(office.place(4, 1)) == 9_900
    assert amount(office.place(4, 2)) == 12_900
    listed = office.run("stock", "list", "--product", "4")
    assert listed == [
        {"product": 4, "row": 1, "price_fen": 9_900, "total": 1, "reserved": 1, "sold": 0, "left": 0},
        {"product": 4, "row": 2, "price_fen": 12_900, "total": 100, "reserved": 1, "sold": 0, "left": 99},
    ]
    assert len(office.run("stock", "list")) == 5  # the town's products too
    assert office.run("stock", "raise", "4", "1", "2", account="zhou") == [{"product": 4, "row": 1, "total": 2}]
    assert office.run("stock", "price", "4", "1", "9500", account="zhou") == [
        {"product": 4, "row": 1, "price_fen": 9_500, "before_fen": 9_900}
    ]
    assert amount(office.place(4, 3)) == 9_500
    with town.centre.read() as connection:
        sold = find_product(connection, 4)
        assert (sold.kind, sold.activation_delay_h, sold.offline_limit, sold.holder_required) == ("PASS", 24, 5, True)
        mine = sa.select(order.c.list_fen, order.c.pay_deadline_ms - order.c.placed_at_ms).order_by(order.c.list_fen)
        assert [tuple(row) for row in connection.execute(mine)] == [
            (9_500, 45 * 60_000), (9_900, 45 * 60_000), (12_900, 45 * 60_000),
        ]  # fmt: skip
        assert flaws_of(connection) == []
    zhou = office.zhou.actor
    assert office.actions() == [("stock.add", zhou), ("stock.add", zhou), ("stock.raise", zhou), ("stock.price", zhou)]


def test_a_price_that_changed_before_the_order_is_asked_about(office: Office) -> None:
    annual = office.town.products["annual"]
    office.do(pass_stock.price_row, annual, 1, 20_800)
    assert office.place(annual, 1, expected_fen=19_800) == PriceChanged(20_800)
    assert amount(office.place(annual, 1, expected_fen=20_800)) == 20_800


def test_stock_of_a_pass_only_grows(office: Office) -> None:
    annual = office.town.products["annual"]
    with pytest.raises(NotAllowedError, match="1000 are on sale, 999 would be fewer"):
        office.do(pass_stock.raise_row, annual, 1, 999)
    office.do(pass_stock.raise_row, annual, 1, 1_001)
    assert [row.total for row in office.rows(annual)] == [1_001]


REFUSED: list[tuple[str, Callable[[Office], Any], str]] = [
    (
        "add",
        lambda office: office.do(pass_stock.add_row, 1, 10, who=employ(office.town.centre, "q", "finance")),
        "edit",
    ),
    ("raise", lambda office: office.do(pass_stock.raise_row, 2, 1, 2_000), "is a SINGLE"),
    ("price", lambda office: office.do(pass_stock.price_row, 2, 1, 2_000), "is a SINGLE"),
    ("no row", lambda office: office.do(pass_stock.price_row, 1, 2, 2_000), "no row 2"),
    ("free", lambda office: office.do(pass_stock.price_row, 1, 1, 0), "1 fen at least"),
    ("free row", lambda office: office.do(pass_stock.add_row, 1, 10, price_fen=0), "1 fen at least"),
]


@pytest.mark.parametrize(("act", "said"), [(act, said) for _, act, said in REFUSED], ids=[name for name, *_ in REFUSED])
def test_what_cannot_be_done_to_stock_says_why(office: Office, act: Callable[[Office], Any], said: str) -> None:
    before = office.rows(1)
    with pytest.raises((NotAllowedError, NotFoundError), match=said):
        act(office)
    assert office.rows(1) == before
    assert office.actions() == []


def test_the_next_price_is_that_of_the_row_that_sells_now(office: Office) -> None:
    centre, annual = office.town.centre, office.town.products["annual"]

    def now_fen(number: int) -> int:
        with office.town.centre.read() as connection:
            return connection.scalars(sa.select(price_now()).where(product.c.number == number)).one()

    office.do(pass_stock.add_row, annual, 10, price_fen=25_000)
    assert now_fen(annual) == 19_800
    with centre.write() as connection:
        (taken,) = reserve(connection, find_product(connection, annual).id, 1_000)  # type: ignore[misc]  # enough left
        sell(connection, {taken.stock_id: 1_000})
    assert now_fen(annual) == 25_000
    with centre.write() as connection:
        connection.execute(stock.delete())
    assert now_fen(annual) == 19_800
    assert now_fen(office.town.products["single"]) == 5_200


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"validity_days": 3_661}, "validity_days is 1 to 3660"),
        ({"pay_deadline_min": 0}, "pay_deadline_min is 1 to"),
        ({"hold_deadline_h": 0}, "hold_deadline_h is 1 to 720"),
        ({"offline_limit": -1}, "offline_limit is 0 to"),
        ({"activation_delay_h": 721}, "activation_delay_h is 0 to 720"),
        ({"validity_days": 2, "activation_delay_h": 24}, "would end before it begins"),
    ],
)
def test_no_product_is_drafted_that_could_not_be_kept(office: Office, changed: dict[str, Any], said: str) -> None:
    venue = office.town.venues["bridge"]
    new = NewProduct("PASS", "年票", "Pass", 9_900, {venue: 0}, 365, holder_required=True)
    with pytest.raises(NotAllowedError, match=said):
        office.do(publishing.draft, replace(new, **changed))


def test_a_venue_is_named_once(office: Office) -> None:
    arguments = (
        "--name-zh",
        "年票",
        "--name-en",
        "Pass",
        "--price",
        "1",
        "--days",
        "9",
        "--venue",
        "1",
        "--venue",
        "1",
    )
    proof = ("--organisation", "1000", "--account", "zhou", "--password-stdin")
    done = CliRunner().invoke(
        command("product"),
        ("draft-pass", *arguments, *proof),
        obj=lambda: office.town.centre,
        input=PASSWORD + "\n",
    )
    assert (done.exit_code, "named twice" in done.stderr) == (2, True)
