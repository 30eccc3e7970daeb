"""A small town for tests: two venues, an annual pass, a single ticket, a distributor, and gates that keep a journal."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.catalog.products import NewProduct, add_product
from sync_server.catalog.stock import add_stock
from sync_server.catalog.tables import product
from sync_server.centre import Centre
from sync_server.gates import enrolment, registry
from sync_server.gates.venue_keys import credential_key
from sync_server.issuance.issuing import issue_paid_orders
from sync_server.issuance.tables import issued_pass, pass_token
from sync_server.keys import key_set
from sync_server.keys.pairs import open_service_key
from sync_server.orders import paying, placing
from sync_server.orders.holders import Holder
from sync_server.orders.progress import take_payments
from sync_server.orders.tables import ticket
from sync_server.parties.parties import NewParty, add_party
from sync_server.payments import transfers
from sync_server.payments.provider import Instruction, NotKnown, Refused, Succeeded
from sync_server.redemptions.ingest import take_in
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.silent_provider import SilentProvider
from wire import signing
from wire.keyset import KeySet, read_key_set
from wire.messages import (
    BATCH_FORMAT,
    FIRST_HASH,
    Batch,
    ClockTrust,
    EnrolRequest,
    Entry,
    EntryKind,
    Presentation,
    ReadBatch,
    Receipt,
    batch_digest,
    encode_batch,
    encode_entry,
    entry_hash,
    read_batch,
    read_receipt,
)
from wire.token import evidence_of

__all__ = ["START_MS", "Clock", "Gate", "Sold", "Town", "build_town"]

ZONE = "Asia/Shanghai"
HOLDER = Holder("李小花", "110101199003078515", "13800001234")


class Sold(NamedTuple):
    """A pass or ticket as its owner has it."""

    pass_id: bytes
    number: str
    ticket_id: UUID
    token: str


class OpenHanded(SilentProvider):
    """A payment provider that moves every amount at once."""

    def send(self, instruction: Instruction) -> Succeeded:
        return Succeeded(f"paid-{instruction.out_no}", instruction.amount_fen)

    def query(self, instruction: Instruction) -> NotKnown:
        return NotKnown()

    def cancel(self, instruction: Instruction) -> Refused:
        return Refused("cancelled")


@dataclass
class Town:
    """Numbers: venues by name, products by name."""

    centre: Centre
    venues: dict[str, UUID] = field(default_factory=dict)
    products: dict[str, int] = field(default_factory=dict)
    distributor: UUID | None = None

    def sell(self, name: str, count: int = 1, holders: Sequence[Holder] = ()) -> list[Sold]:
        """Place, pay and issue one order of the product `name`."""
        centre = self.centre
        to_cashier = bool(holders)
        new = placing.NewOrder(
            self.products[name], count, "其他", None if to_cashier else self.distributor, tuple(holders)
        )
        with centre.write() as connection:
            placed = placing.place(centre, connection, new, "test")
            assert isinstance(placed, placing.Placed), placed
            paying.pay(connection, placed.order_id, "test", centre.now_ms())
        transfers.move_due(centre, {"ALIPAY": OpenHanded()})
        assert take_payments(centre) == 1
        assert issue_paid_orders(centre) == 1
        with centre.read() as connection:
            rows = connection.execute(
                sa.select(issued_pass.c.id, issued_pass.c.number, issued_pass.c.ticket_id, pass_token.c.token)
                .join(pass_token, pass_token.c.pass_id == issued_pass.c.id)
                .join(ticket, ticket.c.id == issued_pass.c.ticket_id)
                .where(ticket.c.order_id == placed.order_id)
                .order_by(ticket.c.seq)
            ).all()
        return [Sold(*row) for row in rows]

    @property
    def clock(self) -> Clock:
        """The centre's clock, which the test moves."""
        assert isinstance(self.centre.now_ms, Clock)
        return self.centre.now_ms

    def read_receipt(self, sealed: bytes) -> Receipt:
        """A receipt as a gate believes it."""
        with self.centre.read() as connection:
            published = key_set.newest(connection)
        keys = read_key_set(published.document, published.root_public)
        assert isinstance(keys, KeySet), keys
        said = read_receipt(sealed, keys, self.centre.now_ms())
        assert isinstance(said, Receipt), said
        return said

    def upload(self, gate: Gate, first: int = 1, last: int | None = None, **said: Any) -> Receipt:
        """Let the centre take in a gate's entries, by a batch that says this too; the receipt as the gate reads it."""
        with self.centre.write() as connection:
            sealed = self.take_in(connection, gate, first, last, **said)
        return self.read_receipt(sealed)

    def take_in(
        self, connection: Connection, gate: Gate, first: int = 1, last: int | None = None, **said: Any
    ) -> bytes:
        """The same in a transaction that goes on; the receipt as sent."""
        body = gate.batch(first, last, **said)
        read = read_batch(body)
        assert isinstance(read, ReadBatch), read
        signer = open_service_key(connection, self.centre.secrets)
        return take_in(connection, self.centre, gate.device, read, batch_digest(body), signer)

    def credential_key(self, venue: str) -> bytes:
        """The key of a venue's card hashes, made with its first gate."""
        with self.centre.read() as connection:
            return credential_key(connection, self.centre.secrets, self.venues[venue]).key

    def gate(self, venue: str = "bridge", name: str = "G1", *, approved: bool = True) -> Gate:
        """A gate that has enrolled; approved unless said otherwise."""
        centre = self.centre
        private = hashlib.sha256(f"{venue}/{name}".encode()).digest()
        with centre.write() as connection:
            root = key_set.newest(connection).root_public
            code = enrolment.make_code(connection, self.venues[venue], root, centre.now_ms(), "test")
            asked = EnrolRequest(code.secret, signing.public_key_of(private), "test 1.0", name)
            device = enrolment.enrol(connection, centre.secrets, asked, centre.now_ms())
            assert isinstance(device, bytes), device
            if approved:
                registry.approve(connection, device, centre.now_ms(), "test")
            found = registry.find_device(connection, device)
        assert found is not None
        return Gate(found, private)


def build_town(centre: Centre) -> Town:
    """Venues "bridge" (1) and "park" (2); products "annual", "single" (bridge), "double" (bridge, two entries)."""
    key_set.create_first(centre)
    town = Town(centre)
    now_ms = centre.now_ms()
    with centre.write() as connection:

        def party(kind: str, number: str, zh: str, en: str) -> UUID:
            return add_party(connection, NewParty(kind, number, zh, en, f"account-{number}"), ZONE, now_ms)

        def sells(name: str, new: NewProduct) -> None:
            product_id = add_product(connection, new, now_ms)
            add_stock(connection, product_id, new.dist_price_fen, 1_000, now_ms)
            number = connection.scalar(sa.select(product.c.number).where(product.c.id == product_id))
            assert number is not None
            town.products[name] = number

        party("PLATFORM", "1000", "平台", "Platform")
        town.distributor = party("DISTRIBUTOR", "3001", "旅行社", "Travel")
        bridge = town.venues["bridge"] = party("VENUE", "2001", "虹桥", "Bridge")
        park = town.venues["park"] = party("VENUE", "2002", "公园", "Park")
        sells(
            "annual",
            NewProduct(
                "PASS", "年票", "Annual", 19_800, {bridge: 0, park: 0}, 365, activation_delay_h=24, per_day=3,
                holder_required=True,
            ),
        )  # fmt: skip
        sells("single", NewProduct("SINGLE", "单票", "Single", 5_200, {bridge: 5_000}, 7, total=1))
        sells("double", NewProduct("SINGLE", "双次票", "Double", 9_000, {bridge: 8_000}, 7, total=2))
    return town


@dataclass
class Gate:
    """A gate's journal as its agent would write it: entries in order, each hashed onto the one before."""

    device: registry.Device
    private: bytes
    incarnation: bytes = b"journal1"
    entries: list[Entry] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    hashes: list[bytes] = field(default_factory=list)

    def write(self, kind: EntryKind, at_ms: int, **more: Any) -> int:
        """Append one entry; its number."""
        seq = len(self.entries) + 1
        fixed: dict[str, Any] = {
            "trust": ClockTrust.TRUSTED,
            "monotonic_ms": seq * 1000,
            "list_epoch": 1,
            "list_version": 1,
            "lane": 1,
        }
        entry = Entry(seq=seq, kind=kind, device_at_ms=at_ms, **{**fixed, **more})
        self.entries.append(entry)
        self.bodies.append(encode_entry(entry))
        self.hashes.append(entry_hash(self.hashes[-1] if self.hashes else FIRST_HASH, self.bodies[-1]))
        return seq

    def intend(self, sold: Sold, at_ms: int, **more: Any) -> int:
        """Write the intent to admit a shown code."""
        shown: dict[str, Any] = {
            "presentation": Presentation.STATIC,
            "pass_id": sold.pass_id,
            "evidence": evidence_of(sold.token),
        }
        return self.write(EntryKind.INTENT, at_ms, **{**shown, **more})

    def admit(self, sold: Sold, at_ms: int, outcome: EntryKind = EntryKind.PASSED, **more: Any) -> int:
        """Write an intent and its outcome; the intent's number."""
        intent = self.intend(sold, at_ms, **more)
        self.write(outcome, at_ms + 1_500, ref_seq=intent, pass_id=sold.pass_id)
        return intent

    def batch(self, first: int = 1, last: int | None = None, **said: Any) -> bytes:
        """The entries from `first` to `last` (to the end unless given) as the body of a batch that says this too."""
        end = len(self.entries) if last is None else last
        before = self.hashes[first - 2] if first > 1 else FIRST_HASH
        return encode_batch(
            Batch(
                format=BATCH_FORMAT,
                device=self.device.id,
                incarnation=self.incarnation,
                first_seq=first,
                previous_hash=before,
                last_hash=self.hashes[end - 1] if end >= first else before,
                entries=tuple(self.bodies[first - 1 : end]),
                key_set_version=1,
                waiting=len(self.entries) - end,
                software="test 1.0",
                **{"held_epoch": 1, "held_version": 1, **said},
            )
        )

    def read(self, first: int = 1, last: int | None = None, **said: Any) -> ReadBatch:
        """The same, as the centre reads it."""
        read = read_batch(self.batch(first, last, **said))
        assert isinstance(read, ReadBatch), read
        return read
