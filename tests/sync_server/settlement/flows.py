"""The whole of money as a machine that Hypothesis drives: everybody does anything, in any order, at any time.

Visitors and distributors order, pay, cancel; gates admit and tell later; operators refund, decide, resume, give up,
sweep; accountants reconcile, state, share; the providers fail in every way they can. After each step every rule of
`sync-server check` holds, nothing was put aside, and what each provider moved is in our book line by line (R7).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from sync_server.orders import placing
from tests.sync_server.settlement.flow_accounting import Accounting
from tests.sync_server.settlement.flow_buying import TRAVELLERS
from tests.sync_server.settlement.flow_checks import books_differ, flaws, settled_flaws
from tests.sync_server.settlement.flow_gates import Gates
from tests.sync_server.settlement.flow_operators import Operators
from tests.sync_server.settlement.flow_pass_checks import pass_flaws
from tests.sync_server.settlement.flow_passes import Passes
from tests.sync_server.settlement.flow_providers import Providers
from tests.sync_server.settlement.flow_scene import COMBOS, TICKETS, Scene
from tests.sync_server.settlement.flow_sights import sights
from tests.sync_server.settlement.flow_turns import soon
from wire.messages import EntryKind

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
PAUSES_MS = (1_000, 5 * MINUTE_MS, 31 * MINUTE_MS, 61 * MINUTE_MS)
QUIET_TURNS = 4
two = st.lists(st.sampled_from(TRAVELLERS), min_size=1, max_size=2, unique=True)


class Flows(Passes, Providers, Gates, Operators, Accounting):
    """All the rules, and what holds after each of them."""

    steps = 0
    """Of all runs."""

    def __init__(self, open_scene: Callable[[], Scene]) -> None:
        super().__init__(open_scene)

    @initialize(who=two, chance=st.integers(0, 99))
    def open_for_business(self, who: list[Any], chance: int) -> None:
        """Some are sold already, and some have come: there is something to do from the first step on.

        Hypothesis begins with the simplest run, which does one thing again and again: that one ends here.
        """
        if not chance:
            reject()
        direct, _, at_huijinbao = self.scene.distributors
        for number in (*TICKETS, *COMBOS):
            by = at_huijinbao if number in COMBOS else direct
            self.place("open", placing.NewOrder(number, 2, "其他", by), True)
        self.place_passes("open", who, True)
        self.turn()
        self.pay_at_the_cashier(0, False)
        for shown, at in ((0, 0), (1, 0), (0, 2), (1, 2)):
            self.admit(shown, at, EntryKind.PASSED, True)
        self.turn()

    @rule(ms=st.sampled_from(PAUSES_MS), turn=soon)
    def time_passes(self, ms: int, turn: bool) -> None:
        self.turn(turn)
        self.clock.pass_ms(ms)
        self.turn()

    @rule()
    def a_day_passes(self) -> None:
        self.time_passes(25 * HOUR_MS, True)

    @rule(days=st.sampled_from([4, 9]))
    def days_pass(self, days: int) -> None:
        self.time_passes(days * DAY_MS, True)

    @rule()
    def work(self) -> None:
        self.turn()

    @invariant()
    def every_book_holds(self) -> None:
        """Looked at after each step that wrote anything: what nobody touched holds as it did."""
        Flows.steps += 1
        if not self.scene.anything_new():
            return
        self.happened["looked through"] += 1
        with self.centre.read() as connection:
            self.there = sights(connection, self.scene)
            self.nothing_is_wrong(books_differ(connection, self.scene) + flaws(connection))

    def nothing_is_wrong(self, found: list[str]) -> None:
        assert not found, "\n".join(found)

    def teardown(self) -> None:
        """Providers behave, gates tell all, statements are true: nothing stays open, the books agree to the fen."""
        try:
            if not self.there:
                return
            self.scene.faults.clear()
            for _ in range(QUIET_TURNS):
                self.clock.pass_ms(HOUR_MS + 1_000)
                for gate in self.scene.gates:
                    gate.tell(self.scene)
                self.turn()
            self.end_the_accounts()
            with self.centre.read() as connection:
                self.nothing_is_wrong(flaws(connection) + books_differ(connection, self.scene))
                self.nothing_is_wrong(settled_flaws(connection, self.scene) + pass_flaws(connection, self.scene))
        finally:
            self.scene.close()
