"""What buyers do in `flows`: visitors and distributors order, pay, pay in, cancel, or stop half way."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from sync_server.orders import applying, closing, paying, placing
from sync_server.orders.refusals import Refusal
from sync_server.orders.states import UNPAID
from sync_server.orders.tables import order
from sync_server.payments import top_ups
from tests.sync_server.people_numbers import BEIJING, KAIFENG, traveller
from tests.sync_server.settlement.flow_scene import COMBOS, TICKETS
from tests.sync_server.settlement.flow_sights import where
from tests.sync_server.settlement.flow_turns import Turns, nth_of, nths, soon

TRAVELLERS = tuple(traveller(nth, area) for nth, area in ((1, KAIFENG), (2, KAIFENG), (3, KAIFENG), (4, BEIJING)))
sellers = st.integers(0, 2)


class Buying(Turns):
    """The rules."""

    @rule(number=st.sampled_from(TICKETS), count=st.integers(1, 3), by=sellers, pay=soon, turn=soon)
    def order_tickets(self, number: int, count: int, by: int, pay: bool, turn: bool) -> None:
        """Some with their visitors' names."""
        named = TRAVELLERS[:count] if count > 1 else ()
        self.place("order_tickets", placing.NewOrder(number, count, "其他", self.scene.distributors[by], named), pay)
        self.turn(turn)

    @rule(number=st.sampled_from(COMBOS), count=st.integers(1, 2), by=sellers, pay=soon, turn=soon)
    def order_combos(self, number: int, count: int, by: int, pay: bool, turn: bool) -> None:
        """Invested once they are issued: what was paid at Alipay has to be swept first."""
        self.place("order_combos", placing.NewOrder(number, count, "其他", self.scene.distributors[by]), pay)
        self.turn(turn)

    @rule(amount_fen=st.integers(1_000, 40_000), pay=soon)
    def pay_in(self, amount_fen: int, pay: bool) -> None:
        """The distributor who pays before, at the cashier."""
        with self.acting("pay_in") as connection:
            top_ups.begin(connection, self.scene.distributors[1], amount_fen, "distributor", self.clock())
        self.turn()
        if pay:
            self.pay_at_the_cashier(-1, True)

    @where("held")
    @rule(nth=nths)
    def apply_for_what_is_held(self, nth: int) -> None:
        with self.acting("apply_for_what_is_held") as connection:
            row = self.nth_order(connection, nth, ("PENDING_PAYMENT",), order.c.hold.is_not(None))
            applying.apply(connection, row.number, "distributor", self.clock())

    @where("held")
    @rule(nth=nths, run=st.booleans())
    def decide_on_an_application(self, nth: int, run: bool) -> None:
        """An operator lets what is held go on, if the money is there; or refuses what was applied for."""
        with self.acting("let_go_on" if run else "refuse_an_application") as connection:
            row = self.nth_order(connection, nth, ("PENDING_PAYMENT",), order.c.hold.is_not(None))
            (applying.run if run else applying.refuse)(connection, row.number, self.scene.one, "来电", self.clock())

    @where("unpaid")
    @rule(nth=nths, turn=soon)
    def pay(self, nth: int, turn: bool) -> None:
        with self.acting("pay") as connection:
            paying.pay(connection, self.nth_order(connection, nth, UNPAID).id, "buyer", self.clock())
        self.turn(turn)

    @where("unpaid")
    @rule(nth=nths)
    def cancel(self, nth: int) -> None:
        with self.acting("cancel") as connection:
            number = self.nth_order(connection, nth, UNPAID).number
            closing.cancel(connection, number, "不去了", self.clock(), "buyer")

    @where("at the cashier")
    @rule(nth=nths, noticed=soon)
    def pay_at_the_cashier(self, nth: int, noticed: bool) -> None:
        with self.trying("pay_at_the_cashier"):
            chosen = nth_of(self.scene.at_the_cashier(), nth)
            self.scene.alipay.settle(chosen.out_no, self.clock())
            if noticed:
                self.notice("ALIPAY", chosen.out_no)
                self.turn()

    def place(self, what: str, new: placing.NewOrder, pay: bool) -> tuple[placing.Placed, ...] | Refusal | None:
        """An order, or its refusal; with the pay command given or not."""
        placed = None
        with self.acting(what) as connection:
            placed = placing.place_together(self.centre, connection, new, "buyer")
            if isinstance(placed, tuple) and pay:
                paying.pay(connection, placed[-1].order_id, "buyer", self.clock())
        return placed
