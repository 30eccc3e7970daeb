"""What two persons say of the bank in `flows`: paid in and back, remitted, once more beside the provider, repaid."""

from __future__ import annotations

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import rule
from sqlalchemy.engine import Connection

from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.payments import remitting, top_ups
from sync_server.payments.provider import day_of
from sync_server.payments.tables import COMING_IN, external_transfer
from sync_server.payments.vouchers import Voucher
from sync_server.settlement import debts, paying_back, repaying
from tests.sync_server.settlement.flow_operators import stopped
from tests.sync_server.settlement.flow_sights import where
from tests.sync_server.settlement.flow_turns import Turns, nth_of, nths

venues = st.integers(0, 1)


class Bank(Turns):
    """The rules."""

    @rule(amount_fen=st.integers(1_000, 60_000))
    def pay_in_by_bank(self, amount_fen: int) -> None:
        with self.acting("pay_in_by_bank") as connection:
            whose, now_ms = self.scene.distributors[1], self.clock()
            voucher, who = self.voucher(), self.scene.one
            asked = top_ups.ask(connection, who, whose, amount_fen, voucher, "汇款", now_ms)
            top_ups.confirm(connection, self.scene.other, asked, now_ms)

    @rule(amount_fen=st.integers(1, 30_000))
    def pay_back_by_bank(self, amount_fen: int) -> None:
        """Of what a distributor paid in, and does not owe."""
        with self.acting("pay_back_by_bank") as connection:
            left_fen, now_ms = self.owed_fen(connection, "2010", 2), self.clock()
            voucher, who = self.voucher(), self.scene.one
            asked = paying_back.ask(connection, who, "3002", amount_fen, voucher, "不再合作", now_ms)
            paying_back.confirm(connection, self.scene.other, asked, now_ms)
            assert self.owed_fen(connection, "2010", 2) == left_fen - amount_fen >= 0

    @where("remittable")
    @rule(nth=nths)
    def remit_by_bank(self, nth: int) -> None:
        with self.acting("remit_by_bank") as connection:
            by_bank = [row for row in stopped(connection) if row.kind not in COMING_IN or row.kind == "CHARGE"]
            chosen = nth_of(by_bank, nth)
            asked = remitting.ask(connection, self.scene.one, chosen.id, self.voucher(), "线下汇款", self.clock())
            remitting.confirm(connection, self.scene.other, asked, self.clock())

    @where("paid out")
    @rule(nth=nths)
    def remit_beside(self, nth: int) -> None:
        """What the provider had moved already."""
        done = sa.select(external_transfer.c.id).where(
            external_transfer.c.state == "SUCCEEDED", external_transfer.c.kind.in_(["PAYOUT", "REFUND"])
        )
        with self.acting("remit_beside") as connection:
            chosen = nth_of(connection.scalars(done.order_by(external_transfer.c.id)).all(), nth)
            who, now_ms = self.scene.one, self.clock()
            asked = remitting.ask(connection, who, chosen, self.voucher(), "线下汇款", now_ms, beside=True)
            remitting.confirm(connection, self.scene.other, asked, now_ms)

    # --- debts ------------------------------------------------------------------------------------------------------

    @where("venue debts")
    @rule(at=venues, amount_fen=st.integers(1, 10_000))
    def venue_repays(self, at: int, amount_fen: int) -> None:
        """What it owes, or more: that is the venue's again."""
        with self.acting("venue_repays") as connection:
            debt_fen, due_fen = -self.owed_fen(connection, "1220", at), self.owed_fen(connection, "2210", at)
            voucher, now_ms = self.voucher(), self.clock()
            asked = repaying.ask(connection, self.scene.one, f"200{at + 1}", amount_fen, voucher, "归还", now_ms)
            repaying.confirm(connection, self.scene.other, asked, now_ms)
            assert -self.owed_fen(connection, "1220", at) == max(0, debt_fen - amount_fen)
            assert self.owed_fen(connection, "2210", at) == due_fen + max(0, amount_fen - debt_fen)

    @where("debts")
    @rule(number=st.sampled_from(["2001", "2002", "3001", "3002", "3003"]))
    def give_up_a_debt(self, number: str) -> None:
        """Of a venue, or of a distributor that bears late entries."""
        with self.acting("give_up_a_debt") as connection:
            asked, _ = debts.ask_write_off(connection, self.scene.one, number, "无法追回", self.clock())
            debts.confirm(connection, self.scene.other, asked, self.clock())
            if number.startswith("2"):
                assert self.owed_fen(connection, "1220", int(number) - 2001) == 0

    def owed_fen(self, connection: Connection, code: str, at: int) -> int:
        """What we owe a venue, the first or the second, or the distributor who pays before; below 0: it owes us."""
        owners = (*self.scene.layout.stated[:2], self.scene.distributors[1])
        return -balance(connection, Account(code, owners[at])).posted_fen

    def voucher(self) -> Voucher:
        return Voucher("工商银行", day_of(self.clock()), self.scene.next_number("V"))
