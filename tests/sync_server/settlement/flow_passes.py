"""What is done with annual passes in `flows`: bought and renewed, stopped, given back; visits are paid, months earn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy.engine import Connection

from sync_server.catalog.tables import VISIT_SETTLEMENTS
from sync_server.issuance.passes import change_status
from sync_server.issuance.tables import issued_pass
from sync_server.orders import placing
from sync_server.orders.refusals import AlreadyHeld
from sync_server.orders.tables import order
from sync_server.settlement import pass_refunds, pools, visit_terms
from sync_server.settlement.income import earn_income
from sync_server.settlement.months import month_named
from tests.sync_server.settlement.flow_buying import TRAVELLERS, Buying
from tests.sync_server.settlement.flow_pass_checks import (
    Bought,
    GivenBack,
    Terms,
    begin_ms,
    is_over,
    pool_flaws,
    unpaid_visits,
)
from tests.sync_server.settlement.flow_scene import PASS, ZONE
from tests.sync_server.settlement.flow_sights import where
from tests.sync_server.settlement.flow_turns import NothingThereError, nth_of, nths, soon

tariffs_fen = st.sampled_from([0, 1, 333, 600])
a_month_is_over = precondition(lambda machine: is_over(machine.scene.first_day, machine.clock()))


class Passes(Buying):
    """The rules."""

    @rule(who=st.lists(st.sampled_from(TRAVELLERS), min_size=1, max_size=3, unique=True), pay=soon, turn=soon)
    def order_passes(self, who: list[Any], pay: bool, turn: bool) -> None:
        self.place_passes("order_passes", who, pay)
        self.turn(turn)
        if pay and turn:
            self.pay_at_the_cashier(-1, True)

    def place_passes(self, what: str, who: Sequence[Any], pay: bool) -> None:
        """First ones and renewals; none for anybody where one of them holds one that does not end soon."""
        with self.centre.read() as connection:
            begins = [begin_ms(connection, self.scene, each.name, self.clock() + 1) for each in who]
        placed = self.place(what, placing.NewOrder(PASS, len(who), "其他", None, tuple(who)), pay)
        assert isinstance(placed, AlreadyHeld) == (None in begins), (placed, begins)
        if isinstance(placed, AlreadyHeld):
            self.happened["hold one already"] += 1
        elif isinstance(placed, tuple):
            for one, each, begins_ms in zip(placed, who, begins, strict=True):
                self.scene.passes[one.order_id] = Bought(each.name, begins_ms or 0)
                self.happened["renew"] += bool(begins_ms)

    @where("issued passes")
    @rule(nth=nths, event=st.sampled_from(["suspend", "resume", "revoke"]))
    def stop_a_pass(self, nth: int, event: str) -> None:
        """For a while or for good; its money stays where it is."""
        query = sa.select(issued_pass.c.number).order_by(issued_pass.c.issued_at_ms.desc(), issued_pass.c.id)
        with self.acting(event) as connection:
            number = nth_of(connection.scalars(query).all(), nth)
            change_status(connection, number, event, "投诉", self.clock(), "operator")

    @where("passes")
    @rule(nth=nths, amount_fen=st.none() | st.integers(1, 19_000))
    def give_pass_back(self, nth: int, amount_fen: int | None) -> None:
        states = ("ISSUED", "REFUND_FAILED", "ISSUE_FAILED")
        with self.acting("give_pass_back") as connection:
            row = self.nth_order(connection, nth, states, order.c.kind == "PASS")
            done = pass_refunds.refund_pass(connection, row.number, "投诉", self.clock(), "operator", amount_fen)
            if row.state != "REFUND_FAILED":
                self.scene.given_back[row.id] = GivenBack(done.amount_fen, self.clock())
                self.happened["give a part back"] += done.amount_fen < row.dist_price_fen

    # --- visits and income ------------------------------------------------------------------------------------------

    @rule(how=st.sampled_from(VISIT_SETTLEMENTS), fen=st.tuples(tariffs_fen, tariffs_fen))
    def agree_on_visits(self, how: str, fen: Sequence[int]) -> None:
        """What both venues get for each."""
        with self.acting("agree_on_visits") as connection:
            tariffs = dict(zip(self.scene.layout.stated, fen if how == "PER_VISIT" else (), strict=False))
            self.scene.terms.append(self.agree(connection, how, {venue: fen for venue, fen in tariffs.items() if fen}))

    def agree(self, connection: Connection, how: str, tariffs: dict[UUID, int]) -> Terms:
        if how == "PER_VISIT":
            asked = visit_terms.ask(connection, self.scene.one, PASS, tariffs, "合同", self.clock())
            visit_terms.confirm(connection, self.scene.other, asked, self.clock())
        else:
            visit_terms.settle(connection, self.scene.one, PASS, how, "合同", self.clock())
        return Terms(self.clock(), tariffs)

    @a_month_is_over
    @where("unpaid visits")
    @rule(nth=nths, amount_fen=st.integers(1, 5_000))
    def share_a_pool(self, nth: int, amount_fen: int) -> None:
        """Of a month with visits that nobody was paid for, once."""
        with self.acting("share_a_pool") as connection:
            terms, counted = self.agree(connection, "POOL", {}), unpaid_visits(connection, self.clock())
            month = nth_of(list(counted), nth)
            named = month_named(month, ZONE)
            asked = pools.ask(connection, self.scene.one, PASS, named, amount_fen, "合同", self.clock())
            shares = pools.confirm(connection, self.scene.other, asked, self.clock())
            assert pool_flaws(shares, amount_fen, counted[month]) == []
            assert month not in self.scene.pools
            self.scene.terms.append(terms)
            self.scene.pools[month] = amount_fen

    @a_month_is_over
    @rule()
    def earn_a_month(self) -> None:
        """What passes earned in it is booked, some time after its end."""
        with self.trying("earn_a_month"):
            if not earn_income(self.centre):
                raise NothingThereError
