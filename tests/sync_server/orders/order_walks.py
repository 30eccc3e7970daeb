"""What the walks over the order machines share: an order, its payment at a provider that says what it is told to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.errors import NotAllowedError
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.orders import closing, paying
from sync_server.orders.progress import take_payments
from sync_server.orders.tables import order, order_history, order_item, ticket
from sync_server.payments import transfers
from sync_server.payments.applying import apply_notice
from sync_server.payments.provider import Answer, Succeeded
from sync_server.payments.tables import INCOMING, external_transfer
from sync_server.people.identifying import Person
from sync_server.reconciliation import undoing
from tests.sync_server.conftest import Clock
from tests.sync_server.payments.looking import looked_at, stated
from tests.sync_server.sandbox import World

HOUR_MS = 3_600_000


class Facts(NamedTuple):
    """All that an event may change: the state, what happened, and what is posted and pending for the order, by code."""

    state: str
    history: tuple[str, ...]
    posted: Counter[str]
    pending: Counter[str]


@dataclass
class Walked:
    """An order on its way through its machine; subclasses add what their kind has of its own."""

    world: World
    clock: Clock
    two: tuple[Person, Person]
    id: UUID
    ways: ClassVar[dict[str, tuple[str, ...]]]
    """The events that lead to each state."""

    def go(self, state: str) -> None:
        for event in self.ways[state]:
            getattr(self, event)()
        assert self.row.state == state, (self.row.state, state)

    # --- events that both kinds have --------------------------------------------------------------------------------

    def pay(self) -> None:
        with self.trying() as connection:
            paying.pay(connection, self.id, "test", self.clock())

    def cancelled(self) -> None:
        with self.trying() as connection:
            closing.cancel(connection, self.row.number, "test", self.clock(), "test")
        closing.close_unpaid(self.world.centre)

    def timed_out(self) -> None:
        with self.world.centre.write() as connection:
            connection.execute(order.update().where(order.c.id == self.id).values(pay_deadline_ms=self.clock()))
        closing.close_unpaid(self.world.centre)

    def paid_late(self) -> None:
        self.says(self.payment, Succeeded("late", self.row.dist_price_fen + self.row.charge_fee_fen))
        closing.give_back_late_payments(self.world.centre)

    def refund_undone(self) -> None:
        """Two persons say that what went back came back; where nothing did, nobody can."""
        if (refund := self.back) is None:
            return
        case_id = stated(self.world, self.clock, None, "RETURN", refund.amount_fen)
        with self.trying() as connection:
            asked = undoing.ask(connection, self.two[0], case_id, refund.id, "it came back", self.clock())
            undoing.confirm(connection, self.two[1], asked, self.clock())

    def answered(self, answer: Answer) -> None:
        """The provider is asked to let the buyer pay, if nobody did yet; it says so, and the order hears of it."""
        if self.payment is None:
            self.pay()
        self.says(self.payment, answer)
        take_payments(self.world.centre)

    # --- what they need ---------------------------------------------------------------------------------------------

    @contextmanager
    def trying(self) -> Iterator[Connection]:
        """A transaction that may be refused, and then changes nothing."""
        with suppress(NotAllowedError), self.world.centre.write() as connection:
            yield connection

    def says(self, transfer: Any, answer: Answer) -> None:
        """The worker has a look at a transfer and is answered so; or, where nothing is sent any more, unasked."""
        if transfer is None:
            return
        calls = looked_at(self.world, transfer.id, answer)
        if not calls and transfer.attempts:
            with self.world.centre.write() as connection:
                number = transfers.number_of(transfer.id, transfer.attempts)
                apply_notice(connection, "ALIPAY", number, answer, self.clock())

    @property
    def row(self) -> Any:
        with self.world.centre.read() as connection:
            return connection.execute(sa.select(order).where(order.c.id == self.id)).one()

    @property
    def back(self) -> Any:
        """The transfer that gives its money back, or None."""
        raise NotImplementedError

    @property
    def payment(self) -> Any:
        """The transfer that pays it, or None."""
        return self.transfer(self.id, INCOMING)

    def transfer(self, subject_id: UUID, kinds: tuple[str, ...]) -> Any:
        mine = sa.and_(external_transfer.c.subject_id == subject_id, external_transfer.c.kind.in_(kinds))
        with self.world.centre.read() as connection:
            return connection.execute(sa.select(external_transfer).where(mine)).one_or_none()

    def facts(self) -> Facts:
        with self.world.centre.read() as connection:
            history = sa.select(order_history.c.event).where(order_history.c.order_id == self.id)
            happened = connection.scalars(history.order_by(order_history.c.seq)).all()
            posted, pending = _books(connection, self.id)
        return Facts(self.row.state, tuple(happened), posted, pending)


def _books(connection: Connection, order_id: UUID) -> tuple[Counter[str], Counter[str]]:
    """What is posted by code, and what is pending, of the transactions that name the order or one of its items."""
    items = sa.select(order_item.c.id).join(ticket, ticket.c.id == order_item.c.ticket_id)
    names = [order_id, *connection.scalars(items.where(ticket.c.order_id == order_id))]
    query = (
        sa.select(ledger_account.c.code, posting.c.layer, posting.c.amount_fen)
        .select_from(posting.join(ledger_account).join(ledger_txn, ledger_txn.c.id == posting.c.txn_id))
        .where(sa.or_(*(ledger_txn.c.txn_key.contains(name.hex) for name in names)))
    )
    posted, pending = Counter[str](), Counter[str]()
    for code, layer, amount_fen in connection.execute(query):
        if layer == "posted":
            posted[code] += amount_fen
        else:
            pending[code] += amount_fen if layer == "pending" else -amount_fen
    return _not_zero(posted), _not_zero(pending)


def _not_zero(amounts: Counter[str]) -> Counter[str]:
    return Counter({code: fen for code, fen in amounts.items() if fen})
