"""Where `flows` plays: a small town laid out once, a copy of it for every run, gates that tell when they like."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import count
from itertools import product as product_of
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from sandbox_provider.book import Book
from sandbox_provider.faults import Faults
from sandbox_provider.tables import CANCELLED, Transfer
from sync_server.catalog import fees, stock
from sync_server.catalog.discounts import NewDiscount, add_discount
from sync_server.catalog.products import NewProduct, add_product, find_product
from sync_server.catalog.tables import product
from sync_server.centre import Centre
from sync_server.keys import key_set
from sync_server.keys.pairs import open_service_key
from sync_server.parties.parties import NewParty, add_party
from sync_server.parties.tables import PROVIDERS, party
from sync_server.payments.provider import StatementLine, day_of
from sync_server.payments.tables import TRANSFER_KINDS
from sync_server.people.identifying import Person
from sync_server.profit import sharing
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.tables import provider_fee
from sync_server.redemptions.ingest import take_in
from tests.sync_server.combos import combo_on_sale
from tests.sync_server.conftest import Clock
from tests.sync_server.direct_provider import APP_ID, DirectProvider
from tests.sync_server.operators import employ
from tests.sync_server.people_numbers import KAIFENG
from tests.sync_server.settlement.flow_lies import LATE, Lie
from tests.sync_server.settlement.flow_pass_checks import Bought, GivenBack, Terms
from tests.sync_server.town import Gate, Sold, Town
from wire.messages import EntryKind, ReadBatch, batch_digest, read_batch

TICKETS = (1, 2)
PASS = 3
COMBOS = (4, 5)
ZONE = "Asia/Shanghai"
CAPITAL_FEN = 30_000
"""The platform's own at each provider, which our book does not know of."""
PARTIES = (
    ("PLATFORM", "1000", "ALIPAY"),
    ("VENUE", "2001", "ALIPAY"),
    ("VENUE", "2002", "HUIJINBAO"),
    ("DISTRIBUTOR", "3001", "ALIPAY"),
    ("DISTRIBUTOR", "3002", "ALIPAY"),
    ("DISTRIBUTOR", "3003", "HUIJINBAO"),
    ("PARTNER", "4001", "ALIPAY"),
    ("PARTNER", "4002", "ALIPAY"),
)


@dataclass
class Talking:
    """A gate with its journal, how much of it the centre was sent, and the list it holds."""

    gate: Gate
    sent: int = 0
    held: tuple[int, int] = (0, 0)
    last_body: bytes | None = None

    def tell(self, scene: Scene, *, part: bool = False) -> None:
        """Send what was not sent, or half of it; a batch without entries is a sign of life."""
        end = len(self.gate.entries)
        if part:
            end = self.sent + (end - self.sent) // 2
        echo = None if self.last_body is None else batch_digest(self.last_body)
        body = self.gate.batch(
            self.sent + 1,
            end,
            echo=echo,
            complete_seq=len(self.gate.entries),
            held_epoch=self.held[0],
            held_version=self.held[1],
        )
        self.sent, self.last_body = end, body
        scene.take_in(self.gate, body)

    def repeat(self, scene: Scene) -> None:
        """The last batch once more, as after a lost answer."""
        if self.last_body is not None:
            scene.take_in(self.gate, self.last_body)


class Writes:
    """How many statements that may write a database was given; what is rolled back counts too."""

    WORDS = ("INSERT", "UPDATE", "DELETE", "WITH")

    def __init__(self, engine: sa.Engine) -> None:
        self.count = 0
        sa.event.listen(engine, "before_cursor_execute", self._note)

    def _note(self, _connection: object, _cursor: object, statement: str, *_others: object) -> None:
        self.count += statement.lstrip()[:6].upper().startswith(self.WORDS)


@dataclass
class Layout:
    """What is the same in every copy: gates, people, distributors."""

    gates: Sequence[Gate]
    one: Person
    other: Person
    distributors: tuple[UUID, UUID, UUID]
    """One is charged directly, one pays in before, one is charged directly at Huijinbao."""
    stated: Sequence[UUID]
    """Who gets statements."""


@dataclass
class Scene:
    """One run's own centre, providers and gates, and what the run has to remember."""

    centre: Centre
    clock: Clock
    books: Mapping[str, Book]
    layout: Layout
    put_away: Callable[[], None]
    faults: Faults = field(default_factory=Faults)
    gates: list[Talking] = field(default_factory=list)
    taken_until: dict[str, date] = field(default_factory=dict)
    """The last day of each provider whose statement is in."""
    expected: set[tuple[Difference, str]] = field(default_factory=set)
    """The cases that lies of statements have to become: about a line, or about our number at the provider."""
    beyond_fen: Counter[str] = field(default_factory=Counter)
    """What a provider's statements said to have moved beyond what it moved."""
    statements: dict[UUID, list[tuple[date, sa.Row[Any]]]] = field(default_factory=dict)
    """Of each party, with the last day of each."""
    partners_paid: set[tuple[str, UUID]] = field(default_factory=set)
    passes: dict[UUID, Bought] = field(default_factory=dict)
    """By their orders; those given back are in `given_back` too."""
    given_back: dict[UUID, GivenBack] = field(default_factory=dict)
    terms: list[Terms] = field(default_factory=list)
    pools: dict[str, int] = field(default_factory=dict)
    """What venues were given for the visits of a month."""
    _seen: tuple[object, ...] = ()
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        for book in self.books.values():
            book.add_merchant(APP_ID, "")
            book.top_up(APP_ID, CAPITAL_FEN)
            for number in ("3001", "3002", "3003", "2001", "2002"):
                book.top_up(f"account-{number}", 150_000 if number in {"3001", "3003"} else 0)
        self.alipay = self.books["ALIPAY"]
        self.clients = {name: DirectProvider(book, self.faults, self.clock) for name, book in self.books.items()}
        self.gates = [Talking(Gate(gate.device, gate.private)) for gate in self.layout.gates]
        self.one, self.other, self.distributors = self.layout.one, self.layout.other, self.layout.distributors
        self.writes = Writes(self.centre.engine)
        self._watches = [sqlite3.connect(book.file) for book in self.books.values()]
        self.first_day = day_of(self.clock())
        self.taken_until = dict.fromkeys(self.books, self.first_day - timedelta(days=1))

    def close(self) -> None:
        """The run is over; nothing of it is kept."""
        for watch in self._watches:
            watch.close()
        self.put_away()

    def anything_new(self) -> bool:
        """Whether anything was written, here or at a provider, since this was asked last."""
        theirs = tuple(watch.execute("PRAGMA data_version").fetchone() for watch in self._watches)
        before, self._seen = self._seen, (self.writes.count, *theirs)
        return self._seen != before

    def take_in(self, gate: Gate, body: bytes) -> None:
        """A batch reaches the centre."""
        read = read_batch(body)
        assert isinstance(read, ReadBatch), read
        with self.centre.write() as connection:
            signer = open_service_key(connection, self.centre.secrets)
            take_in(connection, self.centre, gate.device, read, batch_digest(body), signer)

    def admit(self, at: int, shown: sa.Row[Any], outcome: EntryKind) -> None:
        """A gate writes down that it let somebody in, and how that ended."""
        talking = self.gates[at]
        self.clock.pass_ms(2_000)
        epoch, version = talking.held
        sold = Sold(shown.id, shown.number, shown.ticket_id, shown.token)
        talking.gate.admit(sold, self.clock() - 1_900, outcome, list_epoch=epoch, list_version=version)

    def providers_catch_up(self) -> None:
        """What they put off happens now; what was sent from one to the other arrives."""
        for name, book in self.books.items():
            for out_no in book.due_deferred(self.clock()):
                book.settle(out_no, self.clock())
            for other in self.books.values():
                if other is not book:
                    book.fetch_from(other, name.lower(), self.clock())

    def at_the_cashier(self) -> list[Transfer]:
        """What somebody may pay now."""
        return [each for each in self.alipay.transfers() if each.status == "WAITING" and each.cashier_token]

    def asked_for(self, provider: str) -> list[Transfer]:
        """All that a provider was asked for."""
        return [each for each in self.books[provider].transfers() if each.kind != CANCELLED]

    def refused(self) -> list[Transfer]:
        """What Alipay said that it had not done, and could do all the same."""
        kinds = {"collect", "charge", "payout"}
        return [each for each in self.alipay.transfers() if each.status == "FAILED" and each.kind in kinds]

    def expect(self, provider: str, lie: Difference, line: StatementLine, told: Lie) -> None:
        """A statement says something else than its true line."""
        if told.told:
            moved_fen = sum(each.amount_fen - each.fee_fen for each in told.told)
            self.beyond_fen[provider] += moved_fen - (line.amount_fen - line.fee_fen)
        if lie is not LATE:
            self.expected.add((lie, str(line.out_no) if told.about is None else f"{provider}:{told.about}"))

    def next_number(self, kind: str) -> str:
        """For a paper that needs one of its own."""
        return f"{kind}{next(self._numbers)}"


def lay_out(centre: Centre) -> Layout:
    """A platform, two venues with three gates, three distributors, a partner; tickets and combos kept or given back
    at their end, a pass.

    The pass lasts a fortnight so that renewals happen, and few are in stock at first.
    """
    key_set.create_first(centre)
    town = Town(centre)
    now_ms = centre.now_ms()
    with centre.write() as connection:
        parties = {
            number: add_party(
                connection, NewParty(kind, number, number, number, f"account-{number}", provider), ZONE, now_ms
            )
            for kind, number, provider in PARTIES
        }
        connection.execute(party.update().where(party.c.id == parties["3002"]).values(funding="PREPAID"))
        bridge, park = town.venues["bridge"], town.venues["park"] = parties["2001"], parties["2002"]
        for new in products_of(bridge, park):
            product_id = add_product(connection, new, now_ms)
            few = 4 if new.kind == "PASS" else 40
            stock.add_stock(connection, product_id, new.dist_price_fen, few, now_ms)
            stock.add_stock(connection, product_id, new.dist_price_fen + 1_000, 1_000, now_ms)
        resident = NewDiscount("RESIDENT", 15_000, areas=(KAIFENG,))
        add_discount(connection, find_product(connection, PASS), resident, now_ms, "test")
        distributors = parties["3001"], parties["3002"], parties["3003"]
        for distributor in distributors:
            fees.add_fee_rule(connection, "CHARGE", distributor, 60, now_ms)
        for venue in (bridge, park):
            fees.add_fee_rule(connection, "PAYOUT", venue, 60, now_ms)
        for provider, kind in product_of(PROVIDERS, TRANSFER_KINDS):
            agreed = {"provider": provider, "kind": kind, "bps": 0, "min_fen": 0, "valid_from_ms": now_ms}
            connection.execute(provider_fee.insert().values(agreed))
    for basis, on_expiry in (("DIST_PRICE", "REFUND"), ("VENUE_PRICE", "FORFEIT")):
        prices = {bridge: 5_000, park: 3_000}
        combo_on_sale(centre, 9_000, prices, days=5, on_expiry=on_expiry, invest_basis=basis, pay_deadline_min=60)
    gates = [town.gate("bridge", "G1"), town.gate("bridge", "G2"), town.gate("park", "G3")]
    one, other = (employ(centre, account, "finance") for account in ("qian", "sun"))
    with centre.write() as connection:
        connection.execute(product.update().values(renewal_days=10))
        for combo in COMBOS:
            combo_id = find_product(connection, combo).id
            sharing.agree(connection, one, combo_id, parties["4001"], 3_333, "合同", now_ms)
            sharing.agree(connection, one, combo_id, parties["4002"], 3_334, "合同", now_ms)
    return Layout(gates, one, other, distributors, (bridge, park, *distributors))


def products_of(bridge: UUID, park: UUID) -> tuple[NewProduct, ...]:
    """What is sold beside combos."""
    return (
        NewProduct(
            "SINGLE",
            "单票",
            "Ticket",
            5_200,
            {bridge: 5_000},
            7,
            total=1,
            pay_deadline_min=60,
            refund_charge_fee=True,
        ),
        NewProduct(
            "SINGLE", "特价票", "Special", 3_000, {park: 2_500}, 3, total=1, on_expiry="FORFEIT", refundable=False
        ),
        NewProduct(
            "PASS", "双周票", "Pass", 19_800, {bridge: 0, park: 0}, 14, activation_delay_h=24, holder_required=True
        ),
    )


def books_in(folder: Path) -> Mapping[str, Book]:
    """Empty books of the providers."""
    folder.mkdir(parents=True)
    return {name: Book(folder / f"{name}.db") for name in ("ALIPAY", "HUIJINBAO")}
