"""Every state of a transfer × every event, on real rows: what is in the table happens, all else changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.errors import NotAllowedError
from sync_server.keys.key_set import create_first
from sync_server.payments import abandoning, remitting, sweeps, transfers
from sync_server.payments.applying import apply_notice
from sync_server.payments.provider import (
    Answer,
    Insufficient,
    NotKnown,
    Refused,
    Succeeded,
    Unclear,
    Waiting,
)
from sync_server.payments.states import FINAL, OPEN, TRANSFER
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.payments.vouchers import Voucher
from sync_server.people.identifying import Person
from sync_server.reconciliation import accepting, other_amounts, returned_sweeps, undoing
from sync_server.reconciliation.reconciling import reconcile
from sync_server.reconciliation.tables import recon_case
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.tables import payout, payout_line
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.payments.looking import books, changes, looked_at, stated
from tests.sync_server.payments.test_states import EXPECTED
from tests.sync_server.payments.test_transfers import Killed, ScriptedProvider
from tests.sync_server.sandbox import World, money_flaws
from tests.sync_server.settlement.test_item_states import an_item

PAYOUT_FEN, SWEEP_FEN, OTHER_FEN = 4_970, 100, 5_040
BOOKS = {
    "ok": {"1010": -PAYOUT_FEN, "2210": PAYOUT_FEN},
    "late_ok": {"1010": -PAYOUT_FEN, "2210": PAYOUT_FEN},
    "extra_ok": {"1010": -PAYOUT_FEN, "1310": PAYOUT_FEN},
    "extra_other": {"1010": -OTHER_FEN, "1310": OTHER_FEN},
    "accepted": {"1310": -PAYOUT_FEN, "2210": PAYOUT_FEN},
    "remitted": {"1030": -PAYOUT_FEN, "2210": PAYOUT_FEN},
    "remitted_beside": {"1030": -PAYOUT_FEN, "1310": PAYOUT_FEN},
    "returned": {"1030": SWEEP_FEN, "1090": -SWEEP_FEN},
    "other_amount_done": {"1310": -PAYOUT_FEN, "2210": PAYOUT_FEN},
    "undone": {"1310": PAYOUT_FEN, "2210": -PAYOUT_FEN},
}
"""What an event posts, by account code; the others post nothing."""
BEFORE = {
    "accepted": "moved_another_amount",
    "other_amount_done": "statement_is_odd",
    "other_amount": "statement_is_odd",
    "undone": "came_back",
}
"""What has to have happened, which changes no state."""
AT_ONCE = {"other_amount": "VOID", "undone": "VOID"}
"""The state after the one that the event leads to, in the same transaction: a payout is given up."""
SAME_WORD = ("ok", "late_ok", "extra_ok")
"""The provider says that the money moved: which of these it is, the state tells, and whose attempt it speaks of."""
ELSEWHERE = {("VOID", "remitted"): "only a refund that came back: test_money_came_back; a payout is paid again"}


@dataclass
class Walked:
    """A payout in a state that it reached by its second attempt, where it needs one; or the arrival of a sweep."""

    world: World
    clock: Clock
    two: tuple[Person, Person]
    id: UUID
    provider: str = "ALIPAY"
    case_id: UUID | None = None

    # --- the ways there ---------------------------------------------------------------------------------------------

    def go(self, state: str) -> None:
        if self.provider == "ALIPAY":
            self.asked(Refused("closed"))
        getattr(self, f"to_{state.lower()}")()

    def moved_another_amount(self) -> None:
        """The first attempt did, after it was given up."""
        self.extra_other()
        while reconcile(self.world.centre):
            pass
        mine = sa.select(recon_case.c.id).where(recon_case.c.subject == self.number(1), recon_case.c.in_suspense)
        with self.world.centre.read() as connection:
            self.case_id = connection.scalars(mine).one()

    def statement_is_odd(self) -> None:
        """It has another amount under the newest number."""
        self.case_id = stated(self.world, self.clock, self.newest, "PAYOUT", -OTHER_FEN)

    def came_back(self) -> None:
        """As much, under nobody's number."""
        self.case_id = stated(self.world, self.clock, None, "RETURN", PAYOUT_FEN)

    def to_created(self) -> None:
        if self.provider == "ALIPAY":
            self.resume()

    def to_sent(self) -> None:
        self.asked(Waiting())

    def to_unknown(self) -> None:
        self.asked(Unclear("time-out"))

    def to_succeeded(self) -> None:
        self.asked(self.success)

    def to_definite_fail(self) -> None:
        """By its first attempt."""

    def to_insufficient(self) -> None:
        self.asked(Insufficient("empty"))

    def to_void(self) -> None:
        if self.provider != "ALIPAY":
            self.returned()
        else:
            self.abandon()

    # --- the events -------------------------------------------------------------------------------------------------

    def send(self) -> None:
        """The process dies at its first word to the provider."""
        with suppress(Killed):
            self.asked(Killed)

    def ok(self) -> None:
        self.told(self.newest, self.success)

    def waiting(self) -> None:
        self.told(self.newest, Waiting())

    def unclear(self) -> None:
        self.told(self.newest, Unclear("time-out"))

    def not_known(self) -> None:
        """Asked for what is under way the provider never heard of it: it is sent again, under the same number."""
        if self.row.state not in OPEN:
            self.told(self.newest, NotKnown())
            return
        number = self.newest
        calls = self.asked(NotKnown(), Waiting())
        assert calls == [("query", number), ("send", number)]

    def refused(self) -> None:
        self.told(self.newest, Refused("closed"))

    def insufficient(self) -> None:
        self.told(self.newest, Insufficient("empty"))

    def resume(self) -> None:
        with self.trying() as connection:
            transfers.resume(connection, self.two[0], self.id, "topped up", self.clock())

    def abandon(self) -> None:
        with self.trying() as connection:
            asked = abandoning.ask(connection, self.two[0], self.id, "account closed", self.clock())
            abandoning.confirm(connection, self.two[1], asked, self.clock())

    def remitted(self) -> None:
        self._remit(beside=False)

    def remitted_beside(self) -> None:
        self._remit(beside=True)

    def accepted(self) -> None:
        """What the first attempt moved is what the transfer was to move."""
        with self.trying() as connection:
            asked = accepting.ask(connection, self.two[0], self.case, "the receipt is here", self.clock())
            accepting.confirm(connection, self.two[1], asked, self.clock())

    def undone(self) -> None:
        with self.trying() as connection:
            asked = undoing.ask(connection, self.two[0], self.case, self.id, "it came back", self.clock())
            undoing.confirm(connection, self.two[1], asked, self.clock())

    def other_amount_done(self) -> None:
        self._other_amount("done")

    def other_amount(self) -> None:
        self._other_amount("given-up")

    def returned(self) -> None:
        with self.trying() as connection:
            asked = returned_sweeps.ask(
                connection, self.two[0], self.id, self._voucher(), "their bank refused it", self.clock()
            )
            returned_sweeps.confirm(connection, self.two[1], asked, self.clock())

    def late_ok(self) -> None:
        self.told(self.number(1), self.success)

    def extra_ok(self) -> None:
        self.told(self.number(1), self.success)

    def extra_other(self) -> None:
        self.told(self.number(1), Succeeded("other", OTHER_FEN))

    # --- what they need ---------------------------------------------------------------------------------------------

    @contextmanager
    def trying(self) -> Iterator[Connection]:
        """A transaction that may be refused, and then changes nothing."""
        with suppress(NotAllowedError), self.world.centre.write() as connection:
            yield connection

    def asked(self, *answers: Answer | type[Killed]) -> list[tuple[str, str]]:
        """The worker has a look at it now, and the provider answers so; what it was asked."""
        calls = looked_at(self.world, self.id, *answers, provider=self.provider)
        self.clock.pass_ms(3_600_000)
        return calls

    def told(self, number: str, answer: Answer) -> None:
        """The provider says so unasked."""
        with self.world.centre.write() as connection:
            assert apply_notice(connection, self.provider, number, answer, self.clock())

    def _other_amount(self, outcome: other_amounts.Outcome) -> None:
        with self.trying() as connection:
            asked = other_amounts.ask(connection, self.two[0], self.case, outcome, "as they say", self.clock())
            other_amounts.confirm(connection, self.two[1], asked, self.clock())

    def _remit(self, *, beside: bool) -> None:
        with self.trying() as connection:
            asked = remitting.ask(
                connection, self.two[0], self.id, self._voucher(), "the venue waits", self.clock(), beside=beside
            )
            remitting.confirm(connection, self.two[1], asked, self.clock())

    def _voucher(self) -> Voucher:
        return Voucher("工商银行", date(2026, 9, 21), self.id.hex)

    @property
    def case(self) -> UUID:
        assert self.case_id is not None
        return self.case_id

    @property
    def success(self) -> Succeeded:
        return Succeeded(f"ref-{self.newest}", self.row.amount_fen)

    @property
    def newest(self) -> str:
        return self.number(max(self.row.attempts, 1))

    def number(self, n: int) -> str:
        return transfers.number_of(self.id, n)

    @property
    def row(self) -> Any:
        with self.world.centre.read() as connection:
            return connection.execute(sa.select(external_transfer).where(external_transfer.c.id == self.id)).one()

    @property
    def attempts(self) -> list[Any]:
        mine = sa.select(transfer_attempt).where(transfer_attempt.c.transfer_id == self.id)
        with self.world.centre.read() as connection:
            return list(connection.execute(mine.order_by(transfer_attempt.c.n)).all())


def a_walked(world: World, clock: Clock, two: tuple[Person, Person], state: str, event: str) -> Walked:
    """A payout that is not asked for yet; for what happens to arrivals alone, one, but where none ever stands."""
    item = an_item(world, clock, "INACTIVE", two)
    if event == "returned" and state not in ("DEFINITE_FAIL", "INSUFFICIENT"):
        return Walked(world, clock, two, an_arrival(world, clock, two[0]), "HUIJINBAO")
    item.redeem()
    clear_redemptions(world.centre)
    mine = sa.select(payout.c.transfer_id).join(payout_line, payout_line.c.payout_id == payout.c.id)
    with world.centre.read() as connection:
        found = connection.scalars(mine.where(payout_line.c.item_id == item.id)).one()
    return Walked(world, clock, two, found)


def an_arrival(world: World, clock: Clock, who: Person) -> UUID:
    """Of a sweep that left Alipay."""
    with world.centre.write() as connection:
        sweep_id = sweeps.ask(connection, who, "ALIPAY", "HUIJINBAO", SWEEP_FEN, "combos", clock())
    of_sweep = sa.select(external_transfer.c.id).where(external_transfer.c.subject_id == sweep_id)
    with world.centre.read() as connection:
        left = connection.scalars(of_sweep).one()
    transfers.move_now(world.centre, {"ALIPAY": ScriptedProvider([Succeeded("left", SWEEP_FEN)])}, left)
    assert sweeps.follow_sweeps(world.centre) == 1
    with world.centre.read() as connection:
        found: UUID = connection.scalars(of_sweep.where(external_transfer.c.kind == "SWEEP_IN")).one()
    return found


def happens(state: str, event: str) -> str | None:
    """Which event of the table it is; None: none has a place there."""
    if (state, event) in ELSEWHERE or (state, event) == ("SUCCEEDED", "ok"):  # the very same once more
        return None
    words = SAME_WORD if event == "ok" else SAME_WORD[1:] if event in SAME_WORD else (event,)
    return next((word for word in words if (state, word) in EXPECTED), None)


@pytest.mark.slow("money")
@pytest.mark.parametrize("state", TRANSFER.words)
def test_the_whole_cross_product_on_real_rows(world: World, clock: Clock, state: str) -> None:
    create_first(world.centre)
    two = two_of_finance(world.centre)
    for event in TRANSFER.events:
        one = a_walked(world, clock, two, state, event)
        one.go(state)
        if event in BEFORE:
            getattr(one, BEFORE[event])()
        assert one.row.state == state, event
        row, attempts = one.row, one.attempts
        with world.centre.read() as connection:
            posted, pending_fen = books(connection)
        getattr(one, event)()
        happened = happens(state, event)
        after = one.row
        if happened is None:
            assert (after, one.attempts) == (row, attempts), (state, event)
        else:
            assert after.state == AT_ONCE.get(happened, EXPECTED[state, happened]), (state, event)
        ended = after.state in FINAL and state not in FINAL
        with world.centre.read() as connection:
            posted_after, pending_after_fen = books(connection)
            assert changes(posted, posted_after) == BOOKS.get(str(happened), {}), (state, event)
            assert pending_fen - pending_after_fen == (row.amount_fen if ended else 0), (state, event)
            assert money_flaws(connection) == [], (state, event)
