"""The combo of money.md §3 in the sandbox's world: venues A, B and C, everybody at Huijinbao, fees of 0.60 %."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa

from sync_server.catalog import fees
from sync_server.centre import Centre
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance, trial_balance
from sync_server.orders import paying, placing
from sync_server.orders.tables import order, order_item, ticket
from sync_server.parties.parties import NewParty, add_party
from sync_server.payments.tables import external_transfer, transfer_attempt
from tests.sync_server.combos import combo_on_sale
from tests.sync_server.sandbox import YEAR_MINUTES, Sandbox, World, money_flaws

PRICES_FEN = {"A": 5_000, "B": 3_000, "C": 2_000}
DIST_PRICE_FEN = 11_000


class ComboWorld(World):
    """A world that sells a combo besides, whose distributor and venues have their accounts at Huijinbao."""

    def __init__(
        self,
        centre: Centre,
        sandbox: Sandbox,
        *,
        provider: str = "HUIJINBAO",
        dist_price_fen: int = DIST_PRICE_FEN,
        on_expiry: str = "REFUND",
        invest_basis: str = "DIST_PRICE",
    ) -> None:
        super().__init__(centre, sandbox)
        self.places: dict[str, UUID] = {}
        self.capital_fen = 0
        now_ms = centre.now_ms()

        def party(kind: str, number: str, name: str) -> UUID:
            sandbox.open_everywhere(name, 100_000_000 if kind == "DISTRIBUTOR" else 0)
            return add_party(connection, NewParty(kind, number, name, name, name, provider), "Asia/Shanghai", now_ms)

        with centre.write() as connection:
            add_party(connection, NewParty("PLATFORM", "1000", "平台", "Platform", "platform"), "Asia/Shanghai", now_ms)
            self.agency = party("DISTRIBUTOR", "3002", "agency")
            fees.add_fee_rule(connection, "CHARGE", self.agency, 60, now_ms)
            for number, name in enumerate(PRICES_FEN, 2002):
                self.places[name] = party("VENUE", str(number), f"venue-{name}")
                fees.add_fee_rule(connection, "PAYOUT", self.places[name], 60, now_ms)
        self.combo = combo_on_sale(
            centre,
            dist_price_fen,
            {self.places[name]: price_fen for name, price_fen in PRICES_FEN.items()},
            on_expiry=on_expiry,
            invest_basis=invest_basis,
            pay_deadline_min=YEAR_MINUTES,
        )

    def bring_capital(self, amount_fen: int) -> None:
        """Money of the platform's own at each provider, which our book does not know of."""
        self.sandbox.open_everywhere("platform", amount_fen)
        self.capital_fen += amount_fen

    def buy_combo(self, count: int = 1) -> UUID:
        """An order of the agency, with the pay command given."""
        with self.centre.write() as connection:
            placed = placing.place(
                self.centre, connection, placing.NewOrder(self.combo, count, "其他", self.agency), "test"
            )
            assert isinstance(placed, placing.Placed), placed
            paying.pay(connection, placed.order_id, "test", self.centre.now_ms())
        return placed.order_id

    def item(self, order_id: UUID, place: str, seq: int = 1) -> UUID:
        """The item of a ticket of the order at a venue."""
        mine = sa.and_(ticket.c.order_id == order_id, ticket.c.seq == seq, order_item.c.venue_id == self.places[place])
        with self.centre.read() as connection:
            query = sa.select(order_item.c.id).join(ticket, ticket.c.id == order_item.c.ticket_id).where(mine)
            found: UUID = connection.scalars(query).one()
        return found

    def visit(self, order_id: UUID, place: str, seq: int = 1) -> bytes:
        """Somebody enters with a ticket of the order."""
        self.venue = self.places[place]
        return self.enter(self.item(order_id, place, seq))

    def number(self, order_id: UUID) -> str:
        """订单号, by which the provider knows the order's fund."""
        with self.centre.read() as connection:
            return str(connection.scalars(sa.select(order.c.number).where(order.c.id == order_id)).one())

    def transfer(self, subject_key: str) -> Any:
        """The transfer of a key, or None: its id, state and amount."""
        with self.centre.read() as connection:
            query = sa.select(external_transfer.c.id, external_transfer.c.state, external_transfer.c.amount_fen)
            return connection.execute(query.where(external_transfer.c.subject_key == subject_key)).one_or_none()

    def balance(self, code: str, owner: UUID | None = None) -> int:
        """What an account holds in our book, in fen."""
        with self.centre.read() as connection:
            return balance(connection, Account(code, owner)).posted_fen

    def posted(self) -> dict[str, int]:
        """The balances that are not 0, by code."""
        with self.centre.read() as connection:
            return {line.code: line.balance_fen for line in trial_balance(connection) if line.balance_fen}

    def assert_books_agree(self, but: str = "no rule") -> None:
        """Every invariant holds, and each provider's own book says line by line what ours does."""
        with self.centre.read() as connection:
            assert [flaw for flaw in money_flaws(connection) if but not in flaw] == []
        for provider, code in ((self.sandbox.provider, "1010"), (self.sandbox.huijinbao, "1020")):
            assert self.balance(code) + self.capital_fen == provider.book.balances()["platform"]
            assert self._moved(provider.name.upper()) == {
                str(line["out_no"]): line["amount_fen"] for line in provider.book.statement("platform", 0, 1 << 60)
            }
        funds = {
            name: held for name, held in self.sandbox.huijinbao.book.balances().items() if name.startswith("fund:")
        }
        with self.centre.read() as connection:
            orders = connection.execute(sa.select(order.c.id, order.c.number)).all()
        ours = {f"fund:platform:{row.number}": self.balance("1110", row.id) for row in orders}
        assert {name: held for name, held in funds.items() if held} == {
            name: held for name, held in ours.items() if held
        }

    def _moved(self, provider: str) -> dict[str, int]:
        """Our numbers at a provider with what each changed its account by."""
        with self.centre.read() as connection:
            rows = connection.execute(
                sa.select(transfer_attempt.c.out_no, external_transfer)
                .join(external_transfer, external_transfer.c.id == transfer_attempt.c.transfer_id)
                .where(transfer_attempt.c.state == "SUCCEEDED", external_transfer.c.provider == provider)
            ).all()
        coming = ("CHARGE", "COLLECT", "FUND_SELL", "FUND_CLOSE", "SWEEP_IN", "TOP_UP")
        moved = {row.out_no: row.amount_fen + row.yield_fen if row.kind in coming else -row.amount_fen for row in rows}
        return {out_no: fen for out_no, fen in moved.items() if fen}
