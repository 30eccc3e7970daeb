"""Tickets on their way to be sold: who drafts, agrees, reviews; new prices go the same way, and orders keep theirs."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product as pairs
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from sync_server.audit.tables import event_log
from sync_server.catalog import publishing, sale
from sync_server.catalog.products import NewProduct, add_product, find_product
from sync_server.catalog.states import SALE
from sync_server.catalog.stock import add_stock
from sync_server.catalog.tables import (
    product,
    product_agreement,
    product_item,
    product_version,
    product_version_price,
    stock,
)
from sync_server.catalog.ticket_commands import COMMANDS
from sync_server.centre import Centre
from sync_server.checks import flaws_of
from sync_server.errors import NotAllowedError
from sync_server.orders import placing, refusals
from sync_server.orders.tables import order, order_item, ticket
from sync_server.people.identifying import Person
from tests.sync_server.operators import PASSWORD, employ
from tests.sync_server.test_checks import without_triggers
from tests.sync_server.town import Town, build_town


@dataclass
class Trade:
    """The town with somebody at each venue and two persons of the platform; every act on a product by one word."""

    town: Town
    people: dict[str, Person] = field(default_factory=dict)

    def do(self, act: Callable[..., Any], who: str, *arguments: Any, **named: Any) -> Any:
        with self.town.centre.write() as connection:
            return act(connection, self.people[who], *arguments, **named, now_ms=self.town.clock.now_ms)

    def combo(self, dist_price_fen: int = 9_000, **prices_fen: int) -> NewProduct:
        prices = {self.town.venues[name]: fen for name, fen in (prices_fen or {"bridge": 5_000, "park": 3_000}).items()}
        return NewProduct("COMBO", "联票", "Combo", dist_price_fen, prices, 30, total=1)

    def single(self, venue: str = "bridge") -> NewProduct:
        return NewProduct("SINGLE", "单票", "Single", 5_200, {self.town.venues[venue]: 5_000}, 7, total=1)

    def on_sale(self) -> int:
        """A combo that went the whole way, with stock."""
        number: int = self.do(publishing.draft, "composer", self.combo())
        self.do(publishing.submit, "composer", number)
        self.do(publishing.agree, "bridge", number, 5_000)
        self.do(publishing.agree, "park", number, 3_000)
        self.do(publishing.approve, "reviewer", number)
        with self.town.centre.write() as connection:
            add_stock(connection, find_product(connection, number).id, 9_000, 1_000, self.town.clock.now_ms)
        return number

    def state(self, number: int) -> str:
        with self.town.centre.read() as connection:
            return str(find_product(connection, number).sale)

    def place(self, number: int, count: int = 1) -> object:
        with self.town.centre.write() as connection:
            new = placing.NewOrder(number, count, "其他", self.town.distributor)
            return placing.place(self.town.centre, connection, new, "test")


def trade_at(centre: Centre) -> Trade:
    made = Trade(build_town(centre))
    for account, role, organisation in (
        ("composer", "operations", "1000"),
        ("reviewer", "operations", "1000"),
        ("finance", "finance", "1000"),
        ("bridge", "venue_manager", "2001"),
        ("park", "venue_manager", "2002"),
    ):
        made.people[account] = employ(centre, account, role, organisation)
    return made


@pytest.fixture
def trade(any_centre: Centre) -> Trade:
    return trade_at(any_centre)


def test_a_combo_goes_on_sale_once_every_venue_agreed_to_its_price(trade: Trade) -> None:
    number = trade.do(publishing.draft, "composer", trade.combo())
    assert trade.state(number) == "DRAFT"
    assert trade.place(number) == refusals.Unfit("this product is not on sale")
    trade.do(publishing.agree, "bridge", number, 5_000)  # before or after it is submitted
    trade.do(publishing.submit, "composer", number)
    with pytest.raises(NotAllowedError, match="1 venues of product"):
        trade.do(publishing.approve, "reviewer", number)
    with pytest.raises(NotAllowedError, match="is 3000 fen"):
        trade.do(publishing.agree, "park", number, 3_001)
    trade.do(publishing.agree, "park", number, 3_000)
    trade.do(publishing.agree, "park", number, 3_000)  # twice is once
    with pytest.raises(NotAllowedError, match="another person"):
        trade.do(publishing.approve, "composer", number)
    assert trade.state(number) == "IN_REVIEW"
    trade.do(publishing.approve, "reviewer", number)
    assert trade.state(number) == "ON_SALE"
    with trade.town.centre.read() as connection:
        assert len(connection.execute(sa.select(product_agreement)).all()) == 2
        assert flaws_of(connection) == []
        said = sa.select(event_log.c.action).where(event_log.c.action.like("product.%")).order_by(event_log.c.seq)
        assert connection.scalars(said).all() == [
            f"product.{word}" for word in ("draft", "agree", "submit", "agree", "approve")
        ]


def test_a_single_ticket_is_published_by_its_venue_and_reviewed_by_the_platform(trade: Trade) -> None:
    number = trade.do(publishing.draft, "bridge", trade.single())
    with pytest.raises(NotAllowedError, match="of its own"):
        trade.do(publishing.submit, "park", number)
    trade.do(publishing.submit, "bridge", number)
    with pytest.raises(NotAllowedError, match="reason"):
        trade.do(publishing.send_back, "reviewer", number, "")
    trade.do(publishing.send_back, "reviewer", number, "名称不清")
    assert trade.state(number) == "DRAFT"
    trade.do(publishing.submit, "bridge", number)
    trade.do(publishing.approve, "reviewer", number)
    assert trade.state(number) == "ON_SALE"
    with pytest.raises(NotAllowedError, match="no combo"):
        trade.do(publishing.agree, "bridge", number, 5_000)


def test_stock_is_its_authors_and_only_grows(trade: Trade) -> None:
    number = trade.do(publishing.draft, "bridge", trade.single())
    for who, said in (("park", "of its own"), ("composer", "products.publish")):
        with pytest.raises(NotAllowedError, match=said):
            trade.do(publishing.set_stock, who, number, 10)
    trade.do(publishing.set_stock, "bridge", number, 10)
    with pytest.raises(NotAllowedError, match="increased"):
        trade.do(publishing.set_stock, "bridge", number, 9)
    trade.do(publishing.set_stock, "bridge", number, 11)
    with pytest.raises(NotAllowedError, match="rows of stock"):
        trade.do(publishing.set_stock, "composer", trade.town.products["annual"], 2_000)
    with trade.town.centre.read() as connection:
        mine = sa.select(stock.c.total, stock.c.price_fen).join(product, product.c.id == stock.c.product_id)
        assert tuple(connection.execute(mine.where(product.c.number == number)).one()) == (11, 5_200)


REFUSED: list[tuple[str, str, str]] = [
    ("draft a single of another venue", "park", "of its own"),
    ("draft a single of another venue", "composer", "products.publish"),
    ("draft a combo", "bridge", "products.compose"),
    ("draft a combo", "finance", "products.compose"),
    ("draft a pass", "bridge", "products.compose"),
    ("draft a pass", "finance", "products.compose"),
    ("agree", "composer", "prices.agree"),
    ("submit", "bridge", "products.compose"),
    ("reprice", "bridge", "products.compose"),
    ("revise", "bridge", "products.compose"),
    ("approve", "bridge", "products.review"),
    ("send back", "finance", "products.review"),
]


@pytest.mark.parametrize(("act", "who", "said"), REFUSED)
def test_nobody_does_what_is_not_theirs(trade: Trade, act: str, who: str, said: str) -> None:
    number = trade.do(publishing.draft, "composer", trade.combo())
    prices = trade.combo().venue_prices_fen
    acts: dict[str, Callable[[], Any]] = {
        "draft a single of another venue": lambda: trade.do(publishing.draft, who, trade.single()),
        "draft a combo": lambda: trade.do(publishing.draft, who, trade.combo()),
        "draft a pass": lambda: trade.do(publishing.draft, who, replace(trade.combo(), kind="PASS")),
        "agree": lambda: trade.do(publishing.agree, who, number, 5_000),
        "submit": lambda: trade.do(publishing.submit, who, number),
        "reprice": lambda: trade.do(publishing.reprice, who, number, 9_000, prices),
        "revise": lambda: trade.do(publishing.revise, who, number, {"refundable": False}),
        "approve": lambda: trade.do(publishing.approve, who, number),
        "send back": lambda: trade.do(publishing.send_back, who, number, "因"),
    }
    with pytest.raises(NotAllowedError, match=said):
        acts[act]()
    assert trade.state(number) == "DRAFT"


def test_new_prices_are_a_new_version_and_orders_keep_theirs(trade: Trade) -> None:
    number = trade.on_sale()
    old = trade.place(number)
    bridge, park = trade.town.venues["bridge"], trade.town.venues["park"]
    with pytest.raises(NotAllowedError, match="ON_SALE"):
        trade.do(publishing.reprice, "composer", number, 10_000, {bridge: 5_000, park: 4_000})
    with trade.town.centre.write() as connection:
        sale.take_off(connection, find_product(connection, number).id, "涨价", 1, "test")
    with pytest.raises(NotAllowedError, match="same venues"):
        trade.do(publishing.reprice, "composer", number, 10_000, {bridge: 5_000})
    with pytest.raises(NotAllowedError, match="below"):
        trade.do(publishing.reprice, "composer", number, 8_999, {bridge: 5_000, park: 4_000})
    assert trade.do(publishing.reprice, "composer", number, 10_000, {bridge: 5_000, park: 4_000}) == 2
    trade.do(publishing.submit, "composer", number)
    with pytest.raises(NotAllowedError, match="2 venues"):
        trade.do(publishing.approve, "reviewer", number)  # what they agreed to was the version before
    trade.do(publishing.agree, "bridge", number, 5_000)
    trade.do(publishing.agree, "park", number, 4_000)
    trade.do(publishing.approve, "reviewer", number)
    new = trade.place(number)
    assert isinstance(old, placing.Placed)
    assert isinstance(new, placing.Placed)
    assert (old.amount_fen, new.amount_fen) == (9_000, 10_000)
    with trade.town.centre.read() as connection:
        rows = connection.execute(
            sa.select(order.c.product_version, order_item.c.venue_price_fen, order_item.c.share_fen)
            .join(ticket, ticket.c.order_id == order.c.id)
            .join(order_item, order_item.c.ticket_id == ticket.c.id)
            .order_by(order.c.placed_at_ms, order.c.product_version, order_item.c.venue_price_fen)
        ).all()
        assert [tuple(row) for row in rows] == [
            (1, 3_000, 3_375),
            (1, 5_000, 5_625),
            (2, 4_000, 4_444),
            (2, 5_000, 5_556),
        ]
        assert connection.scalars(sa.select(order.c.invest_basis)).all() == ["DIST_PRICE", "DIST_PRICE"]
        assert flaws_of(connection) == []


@pytest.mark.parametrize(("state", "event"), list(pairs(SALE.words, SALE.events)))
def test_no_other_move_is_possible(trade: Trade, state: str, event: str) -> None:
    number = trade.do(publishing.draft, "composer", trade.combo())
    trade.do(publishing.agree, "bridge", number, 5_000)
    trade.do(publishing.agree, "park", number, 3_000)
    with trade.town.centre.write() as connection:
        product_id = find_product(connection, number).id
        connection.execute(product.update().where(product.c.id == product_id).values(sale=state))

    def selling(move: Callable[..., Any], *arguments: Any) -> None:
        with trade.town.centre.write() as connection:
            move(connection, product_id, *arguments, 1, "test")

    acts: dict[str, Callable[[], Any]] = {
        "submit": lambda: trade.do(publishing.submit, "composer", number),
        "agree": lambda: trade.do(publishing.agree, "bridge", number, 5_000),
        "approve": lambda: trade.do(publishing.approve, "reviewer", number),
        "send_back": lambda: trade.do(publishing.send_back, "reviewer", number, "因"),
        "take_off": lambda: selling(sale.take_off, "因"),
        "put_on": lambda: selling(sale.put_on),
        "reprice": lambda: trade.do(publishing.reprice, "composer", number, 9_000, trade.combo().venue_prices_fen),
        "revise": lambda: trade.do(publishing.revise, "composer", number, {"refundable": False}),
    }
    assert acts.keys() == set(SALE.events)
    after = SALE.next(state, event)
    if after is None:
        with pytest.raises(NotAllowedError, match=state):
            acts[event]()
    else:
        acts[event]()
    assert trade.state(number) == (after or state)


@pytest.mark.parametrize(
    ("prices_fen", "dist_price_fen"),
    [({"bridge": 5_000}, 9_000), ({"bridge": 5_000, "park": 0}, 9_000), ({"bridge": 5_000, "park": 3_000}, 7_999)],
)
def test_a_combo_owes_several_venues_something_and_costs_no_less(
    trade: Trade, prices_fen: dict[str, int], dist_price_fen: int
) -> None:
    with pytest.raises(NotAllowedError):
        trade.do(publishing.draft, "composer", trade.combo(dist_price_fen, **prices_fen))


def test_a_combo_never_goes_on_sale_without_its_venues(trade: Trade) -> None:
    with pytest.raises(NotAllowedError, match="drafted"), trade.town.centre.write() as connection:
        add_product(connection, trade.combo(), trade.town.clock.now_ms)


PLANTED: list[tuple[str, sa.sql.dml.UpdateBase]] = [
    ("agreed", product_agreement.delete().where(product_agreement.c.version == 1)),
    ("newest version", product.update().values(dist_price_fen=product.c.dist_price_fen + 1)),
    ("newest version", product_item.update().values(venue_price_fen=product_item.c.venue_price_fen + 1)),
    ("newest version", product_version.delete()),
    ("newest version", product_version_price.delete()),
    ("newest version", product.update().values(version=0)),
]


@pytest.mark.parametrize(("rule", "statement"), PLANTED)
def test_a_planted_flaw_is_named(trade: Trade, rule: str, statement: sa.sql.dml.UpdateBase) -> None:
    number = trade.on_sale()
    with trade.town.centre.write() as connection:
        for table in (product_agreement, product_version, product_version_price):
            without_triggers(connection, table)
        connection.execute(statement)
        flaws = flaws_of(connection)
    assert [flaw for flaw in flaws if flaw.startswith("I6 (") and rule in flaw and f"product {number}" in flaw], flaws


def test_the_whole_way_by_commands(centre: Centre) -> None:
    trade = Trade(build_town(centre))
    for account, role, organisation in (("zhou", "operations", "1000"), ("wang", "operations", "1000")):
        employ(centre, account, role, organisation)
    employ(centre, "qiao", "venue_manager", "2001")
    employ(centre, "gong", "venue_manager", "2002")

    def run(who: str, *arguments: str) -> dict[str, Any]:
        organisation = {"qiao": "2001", "gong": "2002"}.get(who, "1000")
        proof = ("--organisation", organisation, "--account", who, "--password-stdin")
        done = CliRunner().invoke(COMMANDS[0], (*arguments, *proof), obj=lambda: centre, input=PASSWORD + "\n")
        assert done.exit_code == 0, (done.output, done.exception)
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    names = ("--name-zh", "双景联票", "--name-en", "Two venues")
    prices = ("--venue", "1=5000", "--venue", "2=3000")
    drafted = run("zhou", "draft-combo", *names, *prices, "--dist-price", "9000", "--days", "30")
    assert drafted == {"number": 4, "sale": "DRAFT", "version": 1}
    assert run("zhou", "stock", "4", "500") == {"number": 4, "total": 500}
    assert run("zhou", "submit", "4") == {"number": 4, "sale": "IN_REVIEW"}
    assert run("wang", "send-back", "4", "--reason", "价格待定") == {"number": 4, "sale": "DRAFT"}
    dearer = ("--venue", "1=5000", "--venue", "2=3500")
    assert run("zhou", "reprice", "4", "--dist-price", "9500", *dearer)["version"] == 2
    revised = run("zhou", "revise", "4", "--hold-deadline-h", "12", "--refund-charge-fee", "--not-refundable")
    said = {"hold_deadline_h": 12, "refundable": False, "refund_charge_fee": True}
    assert revised == {"number": 4, "sale": "DRAFT", "version": 3, **said}
    assert run("zhou", "revise", "4", "--hold-deadline-h", "24", "--refundable")["version"] == 4
    run("zhou", "submit", "4")
    assert run("qiao", "agree", "4", "--venue-price", "5000") == {"number": 4, "agreed": 5000}
    run("gong", "agree", "4", "--venue-price", "3500")
    assert run("wang", "approve", "4") == {"number": 4, "sale": "ON_SALE"}
    policies = ("--not-refundable", "--holder-required", "--pay-deadline-min", "60", "--hold-deadline-h", "6")
    single = run("qiao", "draft-single", *names, "--venue-price", "5000", "--days", "7", *policies)
    assert single == {"number": 5, "sale": "DRAFT", "version": 1}
    with centre.read() as connection:
        five, four = find_product(connection, 5), find_product(connection, 4)
        assert five.dist_price_fen == 5_000  # no margin unless one is named
        asked = (
            "refundable",
            "holder_required",
            "pay_deadline_min",
            "hold_deadline_h",
            "offline_limit",
            "on_expiry",
        )
        assert [five._mapping[name] for name in asked] == [False, True, 60, 6, 20, "REFUND"]
        assert [four._mapping[name] for name in asked] == [True, False, 30, 24, 20, "REFUND"]
        assert flaws_of(connection) == []
    assert trade.state(4) == "ON_SALE"
    placed = trade.place(4, 2)
    assert isinstance(placed, placing.Placed)
    assert placed.amount_fen == 19_000  # at the new price
