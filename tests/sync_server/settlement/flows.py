"""The whole of money as a machine that Hypothesis drives: everybody does anything, in any order, at any time.

Visitors and a distributor order, pay, cancel; gates admit and tell later; operators refund, decide, resume, give up;
the providers fail in every way they can. After each step every rule of `sync-server check` holds, nothing was put
aside, and what each provider moved is in our book line by line (quality.md R7).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from sandbox_provider.faults import Fault, FaultKind
from sync_server.catalog.tables import product
from sync_server.errors import NotAllowedError
from sync_server.feed.tables import feed
from sync_server.issuance.credentials import bind_id_numbers
from sync_server.issuance.tables import issued_pass, pass_token
from sync_server.jobs.worker import LIST_STEPS, STEPS, move_transfers
from sync_server.orders import applying, closing, paying, placing
from sync_server.orders.states import UNPAID
from sync_server.orders.tables import item_claim, order, order_item, ticket
from sync_server.parties.tables import PAYOUT_MODES, venue
from sync_server.payments import abandoning, top_ups, transfers
from sync_server.payments.applying import apply_notice
from sync_server.payments.states import STOPPED
from sync_server.payments.tables import INCOMING, external_transfer
from sync_server.redemptions import decisions
from sync_server.redemptions.inboxes import in_inbox
from sync_server.redemptions.tables import decision, redemption
from sync_server.settlement import clawing_back, pass_refunds, refunding
from sync_server.settlement.paying_again import pay_again
from sync_server.settlement.payout_modes import set_payout_mode
from sync_server.settlement.tables import payout
from tests.sync_server.direct_provider import answer_of
from tests.sync_server.people_numbers import BEIJING, KAIFENG, traveller
from tests.sync_server.settlement.flow_checks import books_differ, flaws, settled_flaws
from tests.sync_server.settlement.flow_scene import PASS, TICKETS, Scene
from wire import moments
from wire.messages import EntryKind

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
PAUSES_MS = (1_000, 6_000, 6_000, 5 * MINUTE_MS, 31 * MINUTE_MS, 61 * MINUTE_MS, 25 * HOUR_MS, 4 * DAY_MS, 9 * DAY_MS)
TRAVELLERS = tuple(traveller(nth, area) for nth, area in ((1, KAIFENG), (2, KAIFENG), (3, KAIFENG), (4, BEIJING)))
OUTCOMES = (EntryKind.PASSED, EntryKind.PASSED, EntryKind.PASSED_ASSUMED, EntryKind.UNRESOLVED, EntryKind.ANNULLED)
METHODS = ("charge", "collect", "payout", "refund", "query", "cancel", "*")
FAULTS = (
    FaultKind.LOST_ANSWER,
    FaultKind.LOST_REQUEST,
    FaultKind.SYSTEM_ERROR,
    FaultKind.REFUSED,
    FaultKind.INSUFFICIENT,
    FaultKind.NONSENSE,
    FaultKind.DEFERRED,
)
NOT_HERE = {move_transfers, bind_id_numbers}
"""Steps of the worker: one goes through our own clients, one takes its time on purpose for every person."""
QUIET_TURNS = 4
nths = st.integers(0, 30)
soon = st.sampled_from([True, True, True, False])
"""Mostly the worker turns before anything else happens."""


def nth_of(rows: Sequence[Any], nth: int) -> Any:
    """One of the rows, or None where there is none."""
    return rows[nth % len(rows)] if rows else None


class Flows(RuleBasedStateMachine):
    """`open_scene` gives a fresh centre with its gates, providers and people."""

    steps = 0
    """Of all runs."""

    def __init__(self, open_scene: Callable[[], Scene]) -> None:
        super().__init__()
        self.scene = open_scene()
        self.centre, self.clock = self.scene.centre, self.scene.clock

    @initialize(who=st.lists(st.sampled_from(TRAVELLERS), min_size=1, max_size=2, unique=True))
    def open_for_business(self, who: list[Any]) -> None:
        """Some are sold already: gates and operators have something to do from the first step on."""
        for number in TICKETS:
            self._place(placing.NewOrder(number, 2, "其他", self.scene.distributors[0]), True)
        self._place(placing.NewOrder(PASS, len(who), "其他", None, tuple(who)), True)
        self._turn()
        self.pay_at_the_cashier(0, False)
        self.clock.pass_ms(6_000)
        self._turn()

    # --- people buy -------------------------------------------------------------------------------------------------

    @rule(number=st.sampled_from(TICKETS), count=st.integers(1, 3), by=st.integers(0, 1), pay=soon, turn=soon)
    def order_tickets(self, number: int, count: int, by: int, pay: bool, turn: bool) -> None:
        self._place(placing.NewOrder(number, count, "其他", self.scene.distributors[by]), pay)
        self._turn(turn)

    @rule(amount_fen=st.integers(1_000, 40_000), pay=soon)
    def pay_in(self, amount_fen: int, pay: bool) -> None:
        """The other distributor, at the cashier."""
        with self.centre.write() as connection:
            top_ups.begin(connection, self.scene.distributors[1], amount_fen, "distributor", self.clock())
        self._turn()
        if pay:
            self.pay_at_the_cashier(-1, True)

    @rule(nth=nths)
    def apply_for_what_is_held(self, nth: int) -> None:
        self._with_order(
            nth,
            ("PENDING_PAYMENT",),
            lambda connection, row: applying.apply(connection, row.number, "distributor", self.clock()),
            order.c.hold.is_not(None),
        )

    @rule(who=st.lists(st.sampled_from(TRAVELLERS), min_size=1, max_size=3, unique=True), pay=soon, turn=soon)
    def order_passes(self, who: list[Any], pay: bool, turn: bool) -> None:
        self._place(placing.NewOrder(PASS, len(who), "其他", None, tuple(who)), pay)
        self._turn(turn)
        if pay and turn:
            self.pay_at_the_cashier(-1, True)

    @rule(nth=nths, turn=soon)
    def pay(self, nth: int, turn: bool) -> None:
        self._with_order(nth, UNPAID, lambda connection, row: paying.pay(connection, row.id, "buyer", self.clock()))
        self._turn(turn)

    @rule(nth=nths)
    def cancel(self, nth: int) -> None:
        self._with_order(
            nth, UNPAID, lambda connection, row: closing.cancel(connection, row.number, "不去了", self.clock(), "buyer")
        )

    @rule(nth=nths, noticed=soon)
    def pay_at_the_cashier(self, nth: int, noticed: bool) -> None:
        waiting = self.scene.transfers_at_provider("status = 'WAITING' AND cashier_token IS NOT NULL")
        if (chosen := nth_of(waiting, nth)) is not None:
            self.scene.alipay.settle(chosen.out_no, self.clock())
            if noticed:
                self._notice(chosen.out_no)
                self._turn()

    # --- the providers ----------------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(FAULTS), method=st.sampled_from(METHODS), times=st.integers(1, 3))
    def fail(self, kind: FaultKind, method: str, times: int) -> None:
        delay_ms = 90_000 if kind is FaultKind.DEFERRED else 0
        self.scene.faults.add(Fault(kind, method, times, delay_ms))

    @rule(nth=nths, twice=st.booleans())
    def tell_unasked(self, nth: int, twice: bool) -> None:
        if (chosen := nth_of(self.scene.transfers_at_provider("kind <> 'cancelled'"), nth)) is not None:
            for _ in range(2 if twice else 1):
                self._notice(chosen.out_no)

    @rule(nth=nths)
    def move_what_was_refused(self, nth: int) -> None:
        """A provider that said no, or that a payment is cancelled, and then does it."""
        refused = self.scene.transfers_at_provider("status = 'FAILED' AND kind IN ('collect', 'charge', 'payout')")
        if (chosen := nth_of(refused, nth)) is not None and self.scene.betray(chosen.out_no):
            self._notice(chosen.out_no)

    @rule(amount_fen=st.integers(1_000, 60_000))
    def distributor_gets_money(self, amount_fen: int) -> None:
        self.scene.alipay.top_up("account-3001", amount_fen)

    # --- time and the worker ----------------------------------------------------------------------------------------

    @rule(ms=st.sampled_from(PAUSES_MS), turn=soon)
    def time_passes(self, ms: int, turn: bool) -> None:
        self._turn(turn)
        self.clock.pass_ms(ms)
        self._turn()

    @rule()
    def work(self) -> None:
        self._turn()

    @rule()
    def issuing_breaks_or_is_mended(self) -> None:
        """As where the key ends before what is sold: an annual pass that cannot be issued."""
        delay = sa.case((product.c.activation_delay_h == 24, 9_000), else_=24)
        with self.centre.write() as connection:
            connection.execute(product.update().where(product.c.number == PASS).values(activation_delay_h=delay))

    # --- gates ------------------------------------------------------------------------------------------------------

    @rule(nth=nths, at=st.integers(0, 2), outcome=st.sampled_from(OUTCOMES))
    def admit(self, nth: int, at: int, outcome: EntryKind) -> None:
        """A gate lets in by a code that is good by its dates, whatever has become of it that the gate cannot know."""
        now = moments.minute_floor(self.clock())
        with self.centre.read() as connection:
            shown = connection.execute(
                sa.select(issued_pass.c.id, issued_pass.c.number, issued_pass.c.ticket_id, pass_token.c.token)
                .join(pass_token, pass_token.c.pass_id == issued_pass.c.id)
                .where(issued_pass.c.not_before <= now, issued_pass.c.not_after > now)
                .order_by(issued_pass.c.issued_at_ms.desc(), issued_pass.c.id)
            ).all()
        if (chosen := nth_of(shown, nth)) is not None:
            self.scene.admit(at, chosen, outcome)

    @rule(at=st.integers(0, 2), part=st.booleans())
    def gate_tells(self, at: int, part: bool) -> None:
        self.scene.gates[at].tell(self.scene, part=part)

    @rule(at=st.integers(0, 2))
    def gate_repeats_itself(self, at: int) -> None:
        self.scene.gates[at].repeat(self.scene)

    @rule(at=st.integers(0, 2))
    def gate_gets_its_list(self, at: int) -> None:
        gate = self.scene.gates[at]
        with self.centre.read() as connection:
            row = connection.execute(sa.select(feed).where(feed.c.venue_id == gate.gate.device.venue_id)).one_or_none()
        if row is not None:
            gate.held = (row.epoch, row.version)

    # --- operators --------------------------------------------------------------------------------------------------

    @rule(nth=nths)
    def ask_ticket_back(self, nth: int) -> None:
        with self.centre.write() as connection, suppress(NotAllowedError):
            numbers = connection.scalars(
                sa.select(ticket.c.number)
                .join(order, order.c.id == ticket.c.order_id)
                .where(order.c.state == "ISSUED")
                .where(order.c.kind == "TICKET")
                .order_by(ticket.c.number)
            ).all()
            if (number := nth_of(numbers, nth)) is not None:
                refunding.ask(connection, number, "看错日期", self.clock(), "operator")

    @rule(nth=nths, part=st.booleans())
    def give_pass_back(self, nth: int, part: bool) -> None:
        amount_fen = 5_000 if part else None
        self._with_order(
            nth,
            ("ISSUED", "REFUND_FAILED", "ISSUE_FAILED"),
            lambda connection, row: pass_refunds.refund_pass(
                connection, row.number, "投诉", self.clock(), "operator", amount_fen
            ),
            order.c.kind == "PASS",
        )

    @rule(nth=nths)
    def resume(self, nth: int) -> None:
        with self.centre.write() as connection, suppress(NotAllowedError):
            if (chosen := nth_of(self._stopped(connection), nth)) is not None:
                transfers.resume(connection, chosen.id, "operator", "已充值", self.clock())

    @rule(nth=nths)
    def give_up_by_two_persons(self, nth: int) -> None:
        with self.centre.write() as connection, suppress(NotAllowedError):
            outgoing = [row for row in self._stopped(connection) if row.kind not in INCOMING]
            if (chosen := nth_of(outgoing, nth)) is not None:
                asked = abandoning.ask(connection, self.scene.one, chosen.id, "无法付款", self.clock())
                abandoning.confirm(connection, self.scene.other, asked, self.clock())

    @rule(nth=nths, honour=st.booleans())
    def decide_on_an_entry(self, nth: int, honour: bool) -> None:
        with self.centre.write() as connection, suppress(NotAllowedError):
            said = sa.exists().where(decision.c.redemption_id == redemption.c.id)
            query = sa.select(redemption.c.id).where(in_inbox(None), ~said).order_by(redemption.c.id)
            chosen = nth_of(connection.scalars(query).all(), nth)
            if chosen is not None and honour:
                decisions.honour(connection, self.scene.one, chosen, "网络中断", self.clock())
            elif chosen is not None:
                decisions.reject(connection, chosen, "重复", self.clock(), "operator")

    @rule(nth=nths)
    def refund_a_visit_by_two_persons(self, nth: int) -> None:
        with self.centre.write() as connection, suppress(NotAllowedError):
            visited = connection.execute(
                sa.select(ticket.c.number, venue.c.number.label("venue"))
                .join(order_item, order_item.c.ticket_id == ticket.c.id)
                .join(venue, venue.c.id == order_item.c.venue_id)
                .join(item_claim, item_claim.c.item_id == order_item.c.id)
                .where(item_claim.c.kind == "REDEEM")
                .order_by(ticket.c.number)
            ).all()
            if (chosen := nth_of(visited, nth)) is not None:
                who, now_ms = self.scene.one, self.clock()
                asked = clawing_back.ask(connection, who, chosen.number, chosen.venue, "投诉", now_ms)
                clawing_back.confirm(connection, self.scene.other, asked, now_ms)

    @rule(nth=nths)
    def pay_a_venue_again(self, nth: int) -> None:
        with self.centre.write() as connection, suppress(NotAllowedError):
            failed = sa.select(payout.c.number).where(payout.c.state == "FAILED").order_by(payout.c.number)
            if (number := nth_of(connection.scalars(failed).all(), nth)) is not None:
                pay_again(connection, self.scene.one, number, "账户已更正", self.clock())

    @rule(number=st.integers(1, 2), mode=st.sampled_from(PAYOUT_MODES))
    def pay_a_venue_otherwise(self, number: int, mode: str) -> None:
        with self.centre.write() as connection:
            set_payout_mode(connection, self.scene.one, number, mode, "景区要求", self.clock())

    # --- what always holds ------------------------------------------------------------------------------------------

    @invariant()
    def every_book_holds(self) -> None:
        Flows.steps += 1
        with self.centre.read() as connection:
            assert books_differ(connection, self.scene) == []
            assert flaws(connection) == []

    def teardown(self) -> None:
        """Providers behave, gates tell all: nothing stays open, and the books agree to the fen."""
        try:
            self.scene.faults.clear()
            for _ in range(QUIET_TURNS):
                self.clock.pass_ms(HOUR_MS + 1_000)
                for gate in self.scene.gates:
                    gate.tell(self.scene)
                self._turn()
            with self.centre.read() as connection:
                assert flaws(connection) == []
                assert books_differ(connection, self.scene) == []
                assert settled_flaws(connection, self.scene) == []
        finally:
            self.scene.close()

    def _place(self, new: placing.NewOrder, pay: bool) -> None:
        with self.centre.write() as connection:
            placed = placing.place_together(self.centre, connection, new, "buyer")
            if isinstance(placed, tuple) and pay:
                paying.pay(connection, placed[-1].order_id, "buyer", self.clock())

    def _with_order(
        self,
        nth: int,
        in_states: Sequence[str],
        act: Callable[[sa.Connection, Any], object],
        only: sa.ColumnElement[bool] | None = None,
    ) -> None:
        """Try an act on one of the orders in these states; that it is refused is an answer too."""
        with self.centre.write() as connection, suppress(NotAllowedError):
            query = sa.select(order).where(order.c.state.in_(in_states)).order_by(order.c.placed_at_ms, order.c.id)
            rows = connection.execute(query if only is None else query.where(only)).all()
            if (row := nth_of(rows, nth)) is not None:
                act(connection, row)

    def _stopped(self, connection: sa.Connection) -> Sequence[Any]:
        query = sa.select(external_transfer).where(external_transfer.c.state.in_(STOPPED))
        return connection.execute(query.order_by(external_transfer.c.created_at_ms, external_transfer.c.id)).all()

    def _notice(self, out_no: str) -> None:
        transfer = self.scene.alipay.find(out_no)
        assert transfer is not None
        with self.centre.write() as connection:
            apply_notice(connection, "ALIPAY", out_no, answer_of(transfer), self.clock())

    def _turn(self, now: bool = True) -> None:
        """What the provider put off, then the worker's steps once; or none of it."""
        if not now:
            return
        for out_no in self.scene.alipay.due_deferred(self.clock()):
            self.scene.alipay.settle(out_no, self.clock())
        transfers.move_due(self.centre, self.scene.clients)
        for step in (*STEPS, *LIST_STEPS):
            if step not in NOT_HERE:
                step(self.centre)
        transfers.move_due(self.centre, self.scene.clients)
