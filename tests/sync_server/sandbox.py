"""A real sandbox provider over real HTTP in a thread, and the centre's small world that buys and sells through it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from uuid import UUID

import msgspec
import sqlalchemy as sa
from flask import Flask
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from sandbox_provider.app import create_apps
from sandbox_provider.book import Book
from sandbox_provider.faults import Fault, FaultKind, Faults
from sandbox_provider.provider import NAMES, Provider, acquaint
from sandbox_provider.signing import load_or_make_key
from sync_server.bulk import insert_missing
from sync_server.catalog import fees, products, stock
from sync_server.centre import Centre
from sync_server.checks import flaws_of
from sync_server.crypto import public_key_of
from sync_server.db import new_id
from sync_server.gates.journals import KEPT_HERE
from sync_server.gates.tables import device, incarnation
from sync_server.orders import applying, closing, paying, placing, progress
from sync_server.orders.claims import Claim, claim_items
from sync_server.orders.tables import order, order_item, ticket
from sync_server.parties.parties import NewParty, add_party
from sync_server.payments.provider import Provider as Client
from sync_server.payments.providers import clients_of
from sync_server.payments.top_ups import close_top_ups
from sync_server.payments.transfers import move_due
from sync_server.redemptions.tables import entry, redemption
from sync_server.settlement.charging_back import charge_back_late
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.expiring import expire_items
from sync_server.settlement.finishing import close_refunded
from sync_server.settlement.funds import buy_funds, close_funds, sell_from_funds
from sync_server.settlement.pass_refunds import follow_pass_refunds, refund_failed_issues
from sync_server.settlement.paying_back import free_pay_backs
from sync_server.settlement.payouts import follow_transfers
from sync_server.settlement.refunding import confirm_refunds
from sync_server.settlement.sealing import seal_payouts
from sync_server.settlement.visits import clear_visits
from wire import moments
from wire.messages import EntryKind

CONTROL_TOKEN = "control"
WEEK_MINUTES = 7 * 24 * 60
YEAR_MINUTES = 365 * 24 * 60  # so long a ticket may be paid: tests that try a provider for days are not about deadlines
POLL_S = 0.02  # how long a stop may take

# Each is read once: OpenSSL tries a private key out whenever it reads it, for longer than a small test takes.
key_in = cache(load_or_make_key)
merchant_key_of = cache(public_key_of)
_idle: list[DispatcherMiddleware] = []


class Sandbox:
    """The providers as a test sees them: their books and faults, their notices sent when told; Alipay's come first."""

    def __init__(self, folder: Path, key_folder: Path, now_ms: Callable[[], int]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.public_key_file = key_folder / "provider.pub.pem"
        key = key_in(key_folder)
        providers = [
            Provider(name, Book(folder / f"{name}.db"), key, Faults(), CONTROL_TOKEN, now_ms) for name in NAMES
        ]
        acquaint(providers)
        self.provider, self.huijinbao = providers
        self.book, self.faults = self.provider.book, self.provider.faults
        self.url = self._serve(providers)

    def _serve(self, providers: Sequence[Provider]) -> str:
        """Begin to answer; the address."""
        self._apps = _apps_for(providers)
        self._server = make_server("127.0.0.1", 0, self._apps, threaded=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(POLL_S,), daemon=True)
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def play(self, kind: FaultKind, method: str = "*", times: int = 1, delay_ms: int = 0) -> None:
        self.faults.add(Fault(kind, method, times, delay_ms))

    def open_everywhere(self, account: str, amount_fen: int) -> None:
        """An account at each provider."""
        for provider in (self.provider, self.huijinbao):
            provider.book.top_up(account, amount_fen)

    def stop(self) -> None:
        for provider in (self.provider, self.huijinbao):
            provider.stopping.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        _idle.append(self._apps)


def _apps_for(providers: Sequence[Provider]) -> DispatcherMiddleware:
    """Those of a sandbox that has stopped, if there is one: Flask compiles an application's addresses for 20 ms."""
    if not _idle:
        return create_apps(providers)
    apps = _idle.pop()
    for provider in providers:
        app = apps.mounts[f"/{provider.name}"]
        assert isinstance(app, Flask)
        app.extensions["provider"] = provider
    return apps


@contextmanager
def running(folder: Path, key_folder: Path, now_ms: Callable[[], int]) -> Iterator[Sandbox]:
    sandbox = Sandbox(folder, key_folder, now_ms)
    try:
        yield sandbox
    finally:
        sandbox.stop()


def with_provider(centre: Centre, sandbox: Sandbox) -> Centre:
    """The same centre, knowing these providers, which know it."""
    for provider in (sandbox.provider, sandbox.huijinbao):
        provider.book.add_merchant("platform", merchant_key_of(centre.secrets))
    settings = msgspec.structs.replace(
        centre.settings, provider_url=sandbox.url, provider_public_key_file=sandbox.public_key_file
    )
    return Centre(settings, centre.engine, centre.secrets, centre.now_ms)


def money_flaws(connection: sa.Connection) -> list[str]:
    """What `check` finds, but for the gates' journals: these tests write redemptions without entries beneath them."""
    return [flaw for flaw in flaws_of(connection) if "every redemption comes from an entry" not in flaw]


class World:
    """One venue, one distributor, one single ticket (5200/5000, fees 0.60 %) and one annual pass (19800)."""

    def __init__(self, centre: Centre, sandbox: Sandbox, tickets: int = 100_000) -> None:
        self.centre, self.sandbox = with_provider(centre, sandbox), sandbox
        self._opened = ExitStack()
        self.clients: Mapping[str, Client] = self._opened.enter_context(clients_of(self.centre))
        now_ms = centre.now_ms()
        with centre.write() as connection:
            venue = NewParty("VENUE", "2001", "汴河", "Bridge", "venue")
            distributor = NewParty("DISTRIBUTOR", "3001", "旅行社", "Travel", "distributor")
            self.venue = add_party(connection, venue, "Asia/Shanghai", now_ms)
            self.distributor = add_party(connection, distributor, "Asia/Shanghai", now_ms)
            prices = {self.venue: 5000}
            single = products.NewProduct(
                "SINGLE", "单票", "Ticket", 5200, prices, 7, total=1, pay_deadline_min=YEAR_MINUTES
            )
            annual = products.NewProduct("PASS", "年票", "Pass", 19800, {self.venue: 0}, 365, holder_required=True)
            self.single = products.add_product(connection, single, now_ms)
            self.annual = products.add_product(connection, annual, now_ms)
            stock.add_stock(connection, self.single, 5200, tickets, now_ms)
            stock.add_stock(connection, self.annual, 19800, tickets, now_ms)
            fees.add_fee_rule(connection, "CHARGE", self.distributor, 60, now_ms)
            fees.add_fee_rule(connection, "PAYOUT", self.venue, 60, now_ms)
        sandbox.open_everywhere("distributor", 100_000_000)
        sandbox.open_everywhere("venue", 0)

    def buy(self, count: int = 1, pay: bool = True) -> UUID:
        """A distributor's order of single tickets, with the pay command given."""
        new = placing.NewOrder(1, count, "其他", self.distributor)
        with self.centre.write() as connection:
            placed = placing.place(self.centre, connection, new, "test")
            assert isinstance(placed, placing.Placed), placed
            if pay:
                paying.pay(connection, placed.order_id, "test", self.centre.now_ms())
        return placed.order_id

    def issue(self) -> None:
        """What the issuance step does to the order (its own tests try it whole): valid for a week from now."""
        now = moments.minute_floor(self.centre.now_ms())
        with self.centre.write() as connection:
            for row in progress.orders_to_issue(connection):
                progress.mark_issued(connection, row.id, now, now + WEEK_MINUTES, self.centre.now_ms())

    def turn(self) -> None:
        """The worker's money steps once, and the issuing between them."""
        move_due(self.centre, self.clients)
        progress.take_payments(self.centre)
        close_top_ups(self.centre)
        free_pay_backs(self.centre)
        charge_back_late(self.centre)
        applying.go_on_after_top_up(self.centre)
        closing.close_unpaid(self.centre)
        closing.give_back_late_payments(self.centre)
        self.issue()
        seal_payouts(self.centre)
        buy_funds(self.centre)
        clear_redemptions(self.centre)
        clear_visits(self.centre)
        confirm_refunds(self.centre)
        expire_items(self.centre)
        sell_from_funds(self.centre)
        close_funds(self.centre)
        refund_failed_issues(self.centre)
        move_due(self.centre, self.clients)
        follow_transfers(self.centre)
        follow_pass_refunds(self.centre)
        close_refunded(self.centre)

    def items(self, order_id: UUID) -> list[UUID]:
        query = (
            sa.select(order_item.c.id)
            .join(ticket, ticket.c.id == order_item.c.ticket_id)
            .where(ticket.c.order_id == order_id)
            .order_by(ticket.c.seq)
        )
        with self.centre.read() as connection:
            return list(connection.scalars(query))

    def enter(self, item_id: UUID, redemption_id: bytes | None = None) -> bytes:
        """A redemption that counts and the entries it comes from, as `redemptions.ingest` writes them."""
        now_ms = self.centre.now_ms()
        redemption_id = redemption_id or new_id(now_ms).bytes
        seq = int.from_bytes(redemption_id[8:], "big") >> 2
        journal = {"device_id": bytes(16), "incarnation": KEPT_HERE, "venue_id": self.venue, "occurred_at_ms": now_ms}
        row = {**journal, "id": redemption_id, "outcome": "CLAIMED", "item_id": item_id, "recorded_at_ms": now_ms}
        told = {**journal, "hash": bytes(32), "body": b"", "lane": 1, "presentation": 1, "received_at_ms": now_ms}
        seen = {"through_seq": 0, "highest_seq": 0, "first_seen_ms": now_ms, "last_seen_ms": now_ms}
        checks = {"device_id": bytes(16), "incarnation": KEPT_HERE, **seen}  # on line, so that no journal is waited for
        gate = {
            "id": bytes(16),
            "venue_id": self.venue,
            "name": "G1",
            "public_key": bytes(32),
            "state": "active",
            "reads_id_numbers": False,
            "software": "test",
            "enrolled_at_ms": now_ms,
        }
        with self.centre.write() as connection:
            assert claim_items(connection, [Claim(item_id, "REDEEM", redemption_id.hex(), now_ms)], now_ms)
            insert_missing(connection, device, [gate])
            insert_missing(connection, incarnation, [checks])
            connection.execute(entry.insert().values(**told, seq=seq, kind=int(EntryKind.INTENT)))
            connection.execute(entry.insert().values(**told, seq=seq + 1, kind=int(EntryKind.PASSED), ref_seq=seq))
            connection.execute(redemption.insert().values(**row, seq=seq))
        return redemption_id

    def close(self) -> None:
        """Let go of the connections."""
        self._opened.close()

    def state(self, order_id: UUID) -> str:
        with self.centre.read() as connection:
            return str(connection.scalar(sa.select(order.c.state).where(order.c.id == order_id)))
