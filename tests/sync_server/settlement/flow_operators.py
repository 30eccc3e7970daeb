"""What operators do in `flows`: refund, resume, give up, decide, pay again, sweep, and change the rules."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import rule
from sqlalchemy.engine import Connection

from sync_server.catalog.tables import product
from sync_server.orders.progress import GIVE_UP_ISSUING_MS
from sync_server.orders.tables import item_claim, order, order_item, ticket
from sync_server.parties.tables import LATE_LIABILITIES, PAYOUT_MODES, PROVIDERS, venue
from sync_server.payments import abandoning, sweeps, transfers
from sync_server.payments.lacking import suggestions
from sync_server.payments.states import STOPPED
from sync_server.payments.tables import INCOMING, external_transfer
from sync_server.redemptions import decisions
from sync_server.redemptions.inboxes import in_inbox
from sync_server.redemptions.tables import decision, redemption
from sync_server.settlement import clawing_back, refunding, unissued
from sync_server.settlement.charging_back import set_late_liability
from sync_server.settlement.paying_again import pay_again
from sync_server.settlement.payout_modes import set_payout_mode
from sync_server.settlement.tables import payout
from tests.sync_server.settlement.flow_scene import PASS, TICKETS
from tests.sync_server.settlement.flow_sights import where
from tests.sync_server.settlement.flow_turns import NothingThereError, Turns, nth_of, nths


class Operators(Turns):
    """The rules."""

    @rule()
    def issuing_breaks_or_is_mended(self) -> None:
        """As where the key ends before what is sold: of passes, and of one of the tickets."""
        hours = product.c.activation_delay_h
        delay = sa.case((hours < 9_000, hours + 9_000), else_=hours - 9_000)
        some = product.c.number.in_((PASS, TICKETS[-1]))
        with self.centre.write() as connection:
            connection.execute(product.update().where(some).values(activation_delay_h=delay))

    @where("stuck")
    @rule(nth=nths)
    def give_back_what_is_not_issued(self, nth: int) -> None:
        """An hour is waited for, in which the worker does not turn."""
        with self.acting("give_back_what_is_not_issued") as connection:
            row = self.nth_order(connection, nth, ("PAID",))
            self.clock.pass_ms(GIVE_UP_ISSUING_MS)
            unissued.give_back(connection, row.number, "没有密钥", self.clock(), "operator")

    @where("tickets")
    @rule(nth=nths)
    def ask_ticket_back(self, nth: int) -> None:
        issued = sa.and_(order.c.state == "ISSUED", order.c.kind == "TICKET")
        query = sa.select(ticket.c.number).join(order, order.c.id == ticket.c.order_id).where(issued)
        with self.acting("ask_ticket_back") as connection:
            number = nth_of(connection.scalars(query.order_by(ticket.c.number)).all(), nth)
            refunding.ask(connection, number, "看错日期", self.clock(), "operator")

    @where("stopped")
    @rule(nth=nths)
    def resume(self, nth: int) -> None:
        with self.acting("resume") as connection:
            chosen = nth_of(stopped(connection), nth)
            transfers.begin_again(connection, chosen.id, self.clock())

    @where("outgoing")
    @rule(nth=nths)
    def give_up_by_two_persons(self, nth: int) -> None:
        with self.acting("give_up_by_two_persons") as connection:
            chosen = nth_of([row for row in stopped(connection) if row.kind not in INCOMING], nth)
            asked = abandoning.ask(connection, self.scene.one, chosen.id, "无法付款", self.clock())
            abandoning.confirm(connection, self.scene.other, asked, self.clock())

    @where("inbox")
    @rule(nth=nths, honour=st.booleans())
    def decide_on_an_entry(self, nth: int, honour: bool) -> None:
        said = sa.exists().where(decision.c.redemption_id == redemption.c.id)
        query = sa.select(redemption.c.id).where(in_inbox(None), ~said).order_by(redemption.c.id)
        with self.acting("honour_an_entry" if honour else "reject_an_entry") as connection:
            chosen = nth_of(connection.scalars(query).all(), nth)
            if honour:
                decisions.honour(connection, self.scene.one, chosen, "网络中断", self.clock())
            else:
                decisions.reject(connection, chosen, "重复", self.clock(), "operator")

    @rule(by=st.integers(0, 2), liability=st.sampled_from(LATE_LIABILITIES))
    def late_entries_are_borne_by(self, by: int, liability: str) -> None:
        with self.acting("late_entries_are_borne_by") as connection:
            number = f"300{by + 1}"
            set_late_liability(connection, self.scene.one, number, liability, "合同", self.clock())

    @where("visited")
    @rule(nth=nths)
    def refund_a_visit_by_two_persons(self, nth: int) -> None:
        visited = (
            sa.select(ticket.c.number, venue.c.number.label("venue"))
            .join(order_item, order_item.c.ticket_id == ticket.c.id)
            .join(venue, venue.c.id == order_item.c.venue_id)
            .join(item_claim, item_claim.c.item_id == order_item.c.id)
            .where(item_claim.c.kind == "REDEEM")
            .order_by(ticket.c.number, venue.c.number)
        )
        with self.acting("refund_a_visit_by_two_persons") as connection:
            chosen, now_ms = nth_of(connection.execute(visited).all(), nth), self.clock()
            asked = clawing_back.ask(connection, self.scene.one, chosen.number, chosen.venue, "投诉", now_ms)
            clawing_back.confirm(connection, self.scene.other, asked, now_ms)

    @where("unpaid payouts")
    @rule(nth=nths)
    def pay_a_venue_again(self, nth: int) -> None:
        failed = sa.select(payout.c.number).where(payout.c.state == "FAILED").order_by(payout.c.number)
        with self.acting("pay_a_venue_again") as connection:
            number = nth_of(connection.scalars(failed).all(), nth)
            pay_again(connection, self.scene.one, number, "账户已更正", self.clock())

    @rule(number=st.integers(1, 2), mode=st.sampled_from(PAYOUT_MODES))
    def pay_a_venue_otherwise(self, number: int, mode: str) -> None:
        with self.acting("pay_a_venue_otherwise") as connection:
            set_payout_mode(connection, self.scene.one, number, mode, "景区要求", self.clock())

    @rule(source=st.sampled_from(PROVIDERS), amount_fen=st.integers(1, 50_000))
    def sweep(self, source: str, amount_fen: int) -> None:
        with self.acting("sweep") as connection:
            target = next(provider for provider in PROVIDERS if provider != source)
            sweeps.ask(connection, self.scene.one, source, target, amount_fen, "调拨", self.clock())

    @where("lacking")
    @rule()
    def help_with_what_lacks_money(self) -> None:
        """As the alarm suggests it: move money over; then, with a later step, what lacked it is resumed."""
        with self.acting("help_with_what_lacks_money") as connection:
            self.sweep_as_suggested(connection)
            lacking = [row for row in stopped(connection) if row.state == "INSUFFICIENT" and row.kind not in INCOMING]
            if not lacking:
                raise NothingThereError
            for row in lacking:
                transfers.begin_again(connection, row.id, self.clock())

    def sweep_as_suggested(self, connection: Connection) -> None:
        """What waits for money at one provider, from the other."""
        for one in suggestions(connection):
            if one.amount_fen:
                who, now_ms = self.scene.one, self.clock()
                sweeps.ask(connection, who, one.source, one.target, one.amount_fen, "余额不足", now_ms)


def stopped(connection: Connection) -> Sequence[Any]:
    """Transfers of which nothing is under way, the oldest first."""
    query = sa.select(external_transfer).where(external_transfer.c.state.in_(STOPPED))
    return connection.execute(query.order_by(external_transfer.c.created_at_ms, external_transfer.c.id)).all()
