"""What accountants do in `flows`: take statements in, reconcile, settle cases, state, share profit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from sync_server.parties.tables import PROVIDERS
from sync_server.payments.provider import StatementLine, day_of
from sync_server.profit import sharing
from sync_server.profit.report import month_of
from sync_server.profit.tables import profit_allocation
from sync_server.reconciliation import accepting, recon_cases, reconciling, statements_in
from sync_server.reconciliation.case_states import OPEN
from sync_server.reconciliation.differences import BY_ATTEMPT, Difference
from sync_server.reconciliation.tables import recon_case
from sync_server.statements import numbered
from tests.sync_server.settlement.flow_bank import Bank
from tests.sync_server.settlement.flow_checks import statement_flaws
from tests.sync_server.settlement.flow_lies import CHANGED, LATE, LIES, Lie, lie
from tests.sync_server.settlement.flow_scene import ZONE
from tests.sync_server.settlement.flow_sights import where
from tests.sync_server.settlement.flow_turns import NothingThereError, nth_of, nths

DAY_MS = 24 * 60 * 60_000
MONTHS = ("2026-09", "2026-10", "2026-11", "2026-12")
MAX_ROUNDS = 100


class Accounting(Bank):
    """The rules."""

    # --- reconciliation ---------------------------------------------------------------------------------------------

    @precondition(lambda machine: any(machine.lacking_days(provider) for provider in PROVIDERS))
    @rule(provider=st.sampled_from(PROVIDERS), what=st.sampled_from([None, *LIES]), nth=nths, comes_in=st.booleans())
    def statements_come_in(self, provider: str, what: Difference | None, nth: int, comes_in: bool) -> None:
        """Of all days that are over; in one of their lines there may be a lie."""
        days = self.lacking_days(provider)
        true = {day: self.scene.clients[provider].statement(day) for day in days}
        lines = [(day, line) for day in days for line in true[day]]
        lied: tuple[date, StatementLine, Lie] | None = None
        if what is not None and lines:
            day, line = lines[nth % len(lines)]
            told = lie(what, line, self.scene.next_number("x"), comes_in=comes_in)
            if told is not None and not (what is LATE and day == days[-1]):
                lied = day, line, told
                self.scene.expect(provider, what, line, told)
                self.happened[f"lie {what}"] += 1
        for day in days:
            self.take_in(provider, day, true[day], lied, what)
        if days:
            self.happened["statements_come_in"] += 1

    def take_in(
        self,
        provider: str,
        day: date,
        true: Sequence[StatementLine],
        lied: tuple[date, StatementLine, Lie] | None,
        what: Difference | None,
    ) -> None:
        """One day's statement, with the lie that was told of one of its lines."""
        told = list(true)
        if lied is not None and lied[0] == day:
            told = [each for line in true for each in (lied[2].told if line is lied[1] else (line,))]
        if lied is not None and what is LATE and day == lied[0] + timedelta(days=1):
            begins_ms = statements_in.bounds(day)[0]
            told.append(replace(lied[1], at_ms=begins_ms))
        with self.centre.write() as connection:
            statements_in.take_in(connection, provider, day, told, self.clock())
        if lied is not None and what is CHANGED and day == lied[0]:
            again = [replace(line, amount_fen=line.amount_fen + 1) if line is lied[1] else line for line in told]
            with self.centre.write() as connection:
                statements_in.take_in(connection, provider, day, again, self.clock())
        self.scene.taken_until[provider] = day

    def lacking_days(self, provider: str) -> list[date]:
        """Those over whose statement is not in."""
        first, today = self.scene.taken_until[provider] + timedelta(days=1), day_of(self.clock())
        return [first + timedelta(days=each) for each in range((today - first).days)]

    @where("lines")
    @rule()
    def reconcile(self) -> None:
        with self.trying("reconcile"):
            if not self.reconciled():
                raise NothingThereError

    def reconciled(self) -> int:
        """Until nothing is left to do; how much was done."""
        done = 0
        for _ in range(MAX_ROUNDS):
            part = reconciling.reconcile(self.centre)
            if not part:
                return done
            done += part
        raise AssertionError(f"reconciliation does not end in {MAX_ROUNDS} rounds")

    @where("cases")
    @rule(nth=nths, to=st.sampled_from((*recon_cases.WRITE_OFF_TO, recon_cases.VENUE_OWES, recon_cases.GIVEN_BACK)))
    def settle_a_case(self, nth: int, to: str) -> None:
        """With money unexplained two persons write it off; else one explains it."""
        query = sa.select(recon_case).where(recon_case.c.state.in_(OPEN)).order_by(recon_case.c.id)
        with self.acting("settle_a_case") as connection:
            chosen, who, now_ms = nth_of(connection.execute(query).all(), nth), self.scene.one, self.clock()
            if chosen.amount_fen and chosen.difference != Difference.LINE_CHANGED:
                asked = recon_cases.ask_write_off(connection, who, chosen.id, to, "查明", now_ms)
                recon_cases.confirm_write_off(connection, self.scene.other, asked, now_ms)
                self.happened["write_off"] += 1
            else:
                recon_cases.explain(connection, who, chosen.id, "查明", now_ms)

    @where("cases")
    @rule(nth=nths)
    def take_a_case_on(self, nth: int) -> None:
        query = sa.select(recon_case.c.id).where(recon_case.c.state.in_(OPEN)).order_by(recon_case.c.id)
        with self.acting("take_a_case_on") as connection:
            chosen = nth_of(connection.scalars(query).all(), nth)
            recon_cases.assign(connection, self.scene.one, chosen, "sun", self.clock())

    @where("moved beside")
    @rule(nth=nths)
    def accept_what_moved(self, nth: int) -> None:
        """After two persons gave it up: it was what the transfer was to move after all."""
        moved = sa.select(recon_case.c.id).where(recon_case.c.state.in_(OPEN), recon_case.c.in_suspense)
        with self.acting("accept_what_moved") as connection:
            beside = moved.where(recon_case.c.difference.in_(BY_ATTEMPT)).order_by(recon_case.c.id)
            chosen, now_ms = nth_of(connection.scalars(beside).all(), nth), self.clock()
            asked = accepting.ask(connection, self.scene.one, chosen, "查明", now_ms)
            accepting.confirm(connection, self.scene.other, asked, now_ms)

    @where("cases")
    @rule()
    def offset_two_cases(self) -> None:
        """What came too much, and went back."""
        query = sa.select(recon_case).where(recon_case.c.state.in_(OPEN), recon_case.c.in_suspense)
        with self.acting("offset_two_cases") as connection:
            cases = connection.execute(query.where(recon_case.c.amount_fen != 0).order_by(recon_case.c.id)).all()
            pairs = [(one, two) for one in cases for two in cases if one.amount_fen == -two.amount_fen > 0]
            one, two = nth_of(pairs, 0)
            recon_cases.offset(connection, self.scene.one, one.id, two.id, "原路退回", self.clock())

    # --- statements of our own, and profit --------------------------------------------------------------------------

    @precondition(lambda machine: day_of(machine.clock()) > machine.scene.first_day)
    @rule(nth=nths)
    def make_a_statement(self, nth: int) -> None:
        """Of a party, from where its last one ended to yesterday."""
        party_id = self.scene.layout.stated[nth % len(self.scene.layout.stated)]
        made = self.scene.statements.setdefault(party_id, [])
        first = made[-1][0] + timedelta(days=1) if made else self.scene.first_day
        with self.acting("make_a_statement") as connection:
            last = day_of(self.clock()) - timedelta(days=1)
            if last < first:
                raise NothingThereError
            row = numbered.make(connection, self.scene.one, party_id, first, last, ZoneInfo(ZONE), self.clock())
            assert statement_flaws(connection, row) == []
            assert row.opening_fen == (made[-1][1].closing_fen if made else 0)
            made.append((last, row))

    @precondition(lambda machine: str(day_of(machine.clock())) > MONTHS[1])
    @rule()
    def share_the_profit(self) -> None:
        """Of the first month that is over and not shared."""
        with self.acting("share_the_profit") as connection:
            shared = set(connection.scalars(sa.select(profit_allocation.c.month)))
            month = month_of(next(name for name in MONTHS if name not in shared), ZONE)
            if not sharing.allocate(connection, self.scene.one, month, self.clock()):
                raise NothingThereError

    @where("shares")
    @rule()
    def pay_a_partner_by_two_persons(self) -> None:
        owed = sa.select(profit_allocation.c.month, profit_allocation.c.partner_id).order_by(profit_allocation.c.month)
        with self.acting("pay_a_partner_by_two_persons") as connection:
            for month, partner_id in dict.fromkeys((row.month, row.partner_id) for row in connection.execute(owed)):
                if (month, partner_id) not in self.scene.partners_paid:
                    self.pay_partner(connection, month, partner_id)
                    return
            raise NothingThereError

    def pay_partner(self, connection: sa.Connection, month: str, partner_id: Any) -> None:
        now_ms = self.clock()
        paid = (connection, self.scene.one, month, partner_id, "1030", self.voucher(), "share", now_ms)
        asked = sharing.ask_to_pay(*paid)
        sharing.confirm_payment(connection, self.scene.other, asked, now_ms)
        self.scene.partners_paid.add((month, partner_id))

    def end_the_accounts(self) -> None:
        """Every day's statement comes in, true from now on, until no day can tell anything new."""
        for _ in range(2):
            self.clock.pass_ms(2 * DAY_MS)
            for provider in PROVIDERS:
                for day in self.lacking_days(provider):
                    self.take_in(provider, day, self.scene.clients[provider].statement(day), None, None)
            self.reconciled()
