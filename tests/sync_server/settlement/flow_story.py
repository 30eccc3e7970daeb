"""One long story in which each kind of step of `flows` really happens: none of them is there for nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sandbox_provider.faults import FaultKind
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.recon_cases import VENUE_OWES
from tests.sync_server.settlement.flow_buying import TRAVELLERS
from tests.sync_server.settlement.flow_lies import LIES
from tests.sync_server.settlement.flows import DAY_MS, HOUR_MS, MINUTE_MS, Flows
from wire.messages import EntryKind

MAX_TRIES = 31


class Story:
    """Tells a machine what to do, and looks at everything after each step as Hypothesis does."""

    def __init__(self, machine: Flows) -> None:
        self.machine = machine

    def tell(self) -> None:
        """From the first sale to the end of the accounts."""
        self.machine.open_for_business([TRAVELLERS[0]], 1)
        self.people_buy()
        self.gates_let_in()
        self.passes_visit()
        self.passes_are_renewed_and_given_back()
        self.money_comes_late_or_twice()
        self.entries_come_late()
        self.statements_lie()
        self.books_are_closed()
        self.machine.teardown()

    def do(self, what: str, act: Callable[[int], object]) -> None:
        """Until it really happened, with one row after another."""
        before = self.machine.happened[what]
        for nth in range(MAX_TRIES):
            act(nth)
            self.machine.every_book_holds()
            if self.machine.happened[what] > before:
                return
        raise AssertionError(f"{what} never happens")

    def waits(self, ms: int) -> None:
        self.machine.time_passes(ms, True)
        self.machine.every_book_holds()

    def people_buy(self) -> None:
        machine = self.machine
        self.do("order_passes", lambda _: machine.order_passes([*TRAVELLERS[1:3]], True, True))
        self.do("order_tickets", lambda _: machine.order_tickets(1, 3, 0, False, False))
        self.do("cancel", machine.cancel)
        self.do("order_tickets", lambda _: machine.order_tickets(2, 1, 0, False, False))
        self.do("pay", lambda nth: machine.pay(nth, True))
        self.do("order_tickets", lambda _: machine.order_tickets(1, 3, 1, True, True))  # its balance is 0
        self.do("apply_for_what_is_held", machine.apply_for_what_is_held)
        self.do("refuse_an_application", lambda nth: machine.decide_on_an_application(nth, False))
        self.do("pay_in", lambda _: machine.pay_in(40_000, True))
        self.do("pay_in_by_bank", lambda _: machine.pay_in_by_bank(20_000))
        self.do("let_go_on", lambda nth: machine.decide_on_an_application(nth, True))
        self.do("pay_back_by_bank", lambda _: machine.pay_back_by_bank(100))
        machine.issuing_breaks_or_is_mended()
        self.do("order_tickets", lambda _: machine.order_tickets(2, 2, 0, True, True))
        self.do("give_back_what_is_not_issued", machine.give_back_what_is_not_issued)
        machine.issuing_breaks_or_is_mended()
        self.do("order_combos", lambda _: machine.order_combos(4, 2, 2, True, True))
        self.do("order_combos", lambda _: machine.order_combos(5, 2, 0, True, True))  # paid where no fund is
        self.do("tell_unasked", lambda nth: machine.tell_unasked(nth, "HUIJINBAO", True))
        machine.funds_yield(120)

    def gates_let_in(self) -> None:
        machine = self.machine
        self.do("agree_on_visits", lambda _: machine.agree_on_visits("PER_VISIT", (600, 0)))
        self.waits(25 * HOUR_MS)
        for at in (0, 2):
            for shown in range(8):
                self.do("admit", partial(self.admit, shown, at))
        self.waits(31 * MINUTE_MS)
        for _ in range(2):
            self.do("refund_a_visit_by_two_persons", machine.refund_a_visit_by_two_persons)
        self.do("give_up_a_debt", lambda nth: machine.give_up_a_debt(f"200{1 + nth % 2}"))

    def passes_visit(self) -> None:
        """For a tariff at one of both venues, once given back by staff before the gate told it; then for nothing."""
        machine = self.machine
        self.do("order_passes", lambda _: machine.order_passes([TRAVELLERS[3]], True, True))
        self.waits(25 * HOUR_MS)  # it is the newest that is valid
        machine.admit(0, 0, EntryKind.PASSED, False)
        self.do("staff_give_a_right_back", lambda _: machine.staff_give_a_right_back(-1, 0))
        for at in (0, 2):
            self.admit(0, at, 0)
        self.do("agree_on_visits", lambda _: machine.agree_on_visits("NONE", (600, 600)))
        for at in (0, 2, 2):
            self.admit(0, at, 0)

    def passes_are_renewed_and_given_back(self) -> None:
        """Over a month and more, so that the one is over in which somebody came."""
        machine = self.machine
        for nth in range(4):
            machine.order_passes([TRAVELLERS[0]], True, True)
            self.waits(9 * DAY_MS)
            if nth == 0:  # the one that visited is in the middle of its days
                self.do("give a part back", lambda nth: machine.give_pass_back(-1 - nth, 5_000))
        self.do("renew", lambda nth: machine.order_passes([TRAVELLERS[nth % len(TRAVELLERS)]], True, True))
        for _ in range(2):  # the second time each says that the first was heard
            for at in range(3):
                machine.gate_tells(at, False)
        self.do("share_a_pool", lambda _: machine.share_a_pool(0, 1_001))
        machine.share_a_pool(0, 1_001)
        for _ in range(2):
            self.do("earn_a_month", lambda _: machine.earn_a_month())
        for event in ("suspend", "resume", "revoke"):
            self.do(event, partial(machine.stop_a_pass, event=event))

    def admit(self, shown: int, at: int, _try: int) -> None:
        self.machine.admit(shown, at, EntryKind.PASSED, True)

    def money_comes_late_or_twice(self) -> None:
        machine = self.machine
        machine.fail(FaultKind.REFUSED, "charge", 1)
        machine.order_tickets(1, 1, 0, True, True)
        self.do("move_what_was_refused", machine.move_what_was_refused)
        for what in ("remit_by_bank", "give_up_by_two_persons"):
            machine.fail(FaultKind.INSUFFICIENT, "payout", 3)
            self.do(what, partial(self.sell_admit_and, getattr(machine, what)))
            machine.scene.faults.clear()
        self.do("pay_a_venue_again", self.give_up_and_pay_again)
        machine.fail(FaultKind.REFUSED, "payout", 3)
        self.do("accept_what_moved", self.give_up_what_moves_and_accept)
        machine.scene.faults.clear()
        machine.fail(FaultKind.INSUFFICIENT, "charge", 1)
        machine.order_tickets(1, 1, 0, True, True)
        self.do("resume", machine.resume)
        self.do("write_off", self.pay_beside_and_let_owe)
        self.do("take_a_case_on", machine.take_a_case_on)
        self.do("venue_repays", lambda nth: machine.venue_repays(nth % 2, 6_000))
        self.do("pay_a_venue_otherwise", lambda _: machine.pay_a_venue_otherwise(1, "DAILY"))
        self.do("sweep", lambda _: machine.sweep("ALIPAY", 1_000))
        machine.fail(FaultKind.INSUFFICIENT, "fund_buy", 1)
        machine.order_combos(4, 1, 2, True, True)
        self.do("help_with_what_lacks_money", lambda _: machine.help_with_what_lacks_money())

    def sell_admit_and(self, act: Callable[[int], object], nth: int) -> None:
        """There is a payout to fail."""
        self.machine.order_tickets(1, 1, 0, True, True)
        self.machine.admit(0, 0, EntryKind.PASSED, True)
        act(nth)

    def give_up_and_pay_again(self, nth: int) -> None:
        """Whatever else failed is given up too, until it was a payout."""
        self.machine.give_up_by_two_persons(nth)
        self.machine.work()
        self.machine.pay_a_venue_again(nth)

    def give_up_what_moves_and_accept(self, nth: int) -> None:
        """What the provider refuses is given up, and moves all the same."""
        self.sell_admit_and(self.machine.give_up_by_two_persons, nth)
        self.machine.move_what_was_refused(nth)
        self.machine.reconcile()
        self.machine.accept_what_moved(nth)

    def pay_beside_and_let_owe(self, nth: int) -> None:
        """A bank pays what a provider paid; where it was a payout, its venue owes it."""
        self.machine.remit_beside(nth)
        self.machine.reconcile()
        self.machine.settle_a_case(-1, VENUE_OWES)

    def entries_come_late(self) -> None:
        """A gate that is cut off lets in by a ticket which is given back meanwhile; its distributor bears that."""
        machine = self.machine
        self.do("late_entries_are_borne_by", lambda _: machine.late_entries_are_borne_by(0, "DISTRIBUTOR"))
        for honour, what in ((True, "honour_an_entry"), (False, "reject_an_entry")):
            machine.order_tickets(1, 1, 0, True, True)
            machine.admit(0, 0, EntryKind.PASSED, False)
            self.do("ask_ticket_back", machine.ask_ticket_back)
            for nth in range(MAX_TRIES):
                machine.ask_ticket_back(nth)  # whichever of them it was
            self.waits(4 * DAY_MS)
            machine.gate_tells(0, False)
            self.do(what, partial(machine.decide_on_an_entry, honour=honour))
            machine.work()

    def statements_lie(self) -> None:
        machine = self.machine
        for each in (*LIES, Difference.FOREIGN):
            comes_in = machine.happened[f"lie {each}"] == 0
            self.do(f"lie {each}", partial(self.a_day_is_told, each, comes_in))
        for _ in range(2):
            self.a_day_is_told(None, True, 0)
        self.do("reconcile", lambda _: machine.reconcile())
        self.do("offset_two_cases", lambda _: machine.offset_two_cases())
        self.do("write_off", lambda nth: machine.settle_a_case(nth, "5090"))
        self.do("settle_a_case", lambda nth: machine.settle_a_case(nth, "5010"))

    def a_day_is_told(self, what: Difference | None, comes_in: bool, nth: int) -> None:
        """A day in which something was sold, and then its statement."""
        self.machine.order_tickets(1, 1, 0, True, True)
        self.waits(2 * DAY_MS)
        self.machine.statements_come_in("ALIPAY", what, nth, comes_in)

    def books_are_closed(self) -> None:
        machine = self.machine
        for _ in machine.scene.layout.stated:
            self.do("make_a_statement", machine.make_a_statement)
        self.do("share_the_profit", lambda _: machine.share_the_profit())
        self.do("pay_a_partner_by_two_persons", lambda _: machine.pay_a_partner_by_two_persons())
