"""Where `flows` plays: a small town laid out once, a copy of it for every run, gates that tell when they like."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from sandbox_provider.book import Book
from sandbox_provider.faults import Faults
from sandbox_provider.settling import settle
from sandbox_provider.tables import Transfer
from sync_server.catalog import fees, stock
from sync_server.catalog.discounts import NewDiscount, add_discount
from sync_server.catalog.products import NewProduct, add_product, find_product
from sync_server.catalog.tables import product
from sync_server.centre import Centre
from sync_server.keys import key_set
from sync_server.keys.pairs import open_service_key
from sync_server.parties.parties import NewParty, add_party
from sync_server.parties.tables import party
from sync_server.people.identifying import Person
from sync_server.redemptions.ingest import take_in
from tests.sync_server.conftest import Clock
from tests.sync_server.direct_provider import APP_ID, DirectProvider
from tests.sync_server.operators import employ
from tests.sync_server.people_numbers import KAIFENG
from tests.sync_server.town import Gate, Sold, Town
from wire.messages import EntryKind, ReadBatch, batch_digest, read_batch

TICKETS = (1, 2)
PASS = 3
ZONE = "Asia/Shanghai"


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


@dataclass
class Layout:
    """What is the same in every copy: gates, people, distributors."""

    gates: Sequence[Gate]
    one: Person
    other: Person
    distributors: tuple[UUID, UUID]
    """One is charged directly, one pays in before."""


@dataclass
class Scene:
    """One run's own centre, providers and gates."""

    centre: Centre
    clock: Clock
    books: Mapping[str, Book]
    layout: Layout
    close: Callable[[], None]
    faults: Faults = field(default_factory=Faults)
    gates: list[Talking] = field(default_factory=list)

    def __post_init__(self) -> None:
        for book in self.books.values():
            book.add_merchant(APP_ID, "")
            for account, amount_fen in (
                ("account-3001", 150_000),
                ("account-3002", 0),
                ("account-2001", 0),
                ("account-2002", 0),
            ):
                book.top_up(account, amount_fen)
        self.alipay = self.books["ALIPAY"]
        self.clients = {name: DirectProvider(book, self.faults, self.clock) for name, book in self.books.items()}
        self.gates = [Talking(Gate(gate.device, gate.private)) for gate in self.layout.gates]
        self.one, self.other, self.distributors = self.layout.one, self.layout.other, self.layout.distributors

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

    def transfers_at_provider(self, condition: str) -> list[Transfer]:
        """What Alipay's book has, oldest first."""
        with self.alipay._open() as connection:
            names = ", ".join(Transfer.__struct_fields__)
            rows = connection.execute(f"SELECT {names} FROM transfer WHERE {condition} ORDER BY rowid")
            return [Transfer(*row) for row in rows]

    def betray(self, out_no: str) -> bool:
        """Let the provider do after all what it said it had not done; whether it could."""
        with self.alipay._write() as connection:
            connection.execute("UPDATE transfer SET status = 'WAITING', reason = NULL WHERE out_no = ?", (out_no,))
            settle(connection, out_no, self.clock())
            done: tuple[str] = connection.execute("SELECT status FROM transfer WHERE out_no = ?", (out_no,)).fetchone()
            return done[0] == "SUCCESS"


def lay_out(centre: Centre) -> Layout:
    """A platform, two venues with three gates, two distributors; tickets kept or given back at their end, a pass.

    The pass lasts a fortnight so that renewals happen, and few are in stock at first.
    """
    key_set.create_first(centre)
    town = Town(centre)
    now_ms = centre.now_ms()
    with centre.write() as connection:
        parties = {
            number: add_party(connection, NewParty(kind, number, number, number, f"account-{number}"), ZONE, now_ms)
            for kind, number in (
                ("PLATFORM", "1000"),
                ("VENUE", "2001"),
                ("VENUE", "2002"),
                ("DISTRIBUTOR", "3001"),
                ("DISTRIBUTOR", "3002"),
            )
        }
        connection.execute(party.update().where(party.c.id == parties["3002"]).values(funding="PREPAID"))
        bridge, park = town.venues["bridge"], town.venues["park"] = parties["2001"], parties["2002"]
        wanted = (
            NewProduct("SINGLE", "单票", "Ticket", 5_200, {bridge: 5_000}, 7, total=1, pay_deadline_min=60),
            NewProduct(
                "SINGLE", "特价票", "Special", 3_000, {park: 2_500}, 3, total=1, on_expiry="FORFEIT", refundable=False
            ),
            NewProduct(
                "PASS", "双周票", "Pass", 19_800, {bridge: 0, park: 0}, 14, activation_delay_h=24, holder_required=True
            ),
        )
        for new in wanted:
            product_id = add_product(connection, new, now_ms)
            few = 4 if new.kind == "PASS" else 40
            stock.add_stock(connection, product_id, new.dist_price_fen, few, now_ms)
            stock.add_stock(connection, product_id, new.dist_price_fen + 1_000, 1_000, now_ms)
        connection.execute(product.update().values(renewal_days=10))
        resident = NewDiscount("RESIDENT", 15_000, areas=(KAIFENG,))
        add_discount(connection, find_product(connection, PASS), resident, now_ms, "test")
        for distributor in (parties["3001"], parties["3002"]):
            fees.add_fee_rule(connection, "CHARGE", distributor, 60, now_ms)
        for venue in (bridge, park):
            fees.add_fee_rule(connection, "PAYOUT", venue, 60, now_ms)
    gates = [town.gate("bridge", "G1"), town.gate("bridge", "G2"), town.gate("park", "G3")]
    people = [employ(centre, account, "finance") for account in ("qian", "sun")]
    return Layout(gates, people[0], people[1], (parties["3001"], parties["3002"]))


def books_in(folder: Path) -> Mapping[str, Book]:
    """Empty books of the providers."""
    folder.mkdir(parents=True)
    return {name: Book(folder / f"{name}.db") for name in ("ALIPAY", "HUIJINBAO")}
