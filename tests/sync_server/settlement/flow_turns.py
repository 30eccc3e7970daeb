"""What every rule of `flows` stands on: a run's scene, the worker's turn, people's acts, and a count of all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import sqlalchemy as sa
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine
from sqlalchemy.engine import Connection

from sync_server.errors import NotAllowedError
from sync_server.issuance.credentials import bind_id_numbers
from sync_server.jobs.worker import LIST_STEPS, STEPS, move_transfers
from sync_server.orders.tables import order
from sync_server.payments import transfers
from sync_server.payments.applying import apply_notice
from tests.sync_server.direct_provider import answer_of
from tests.sync_server.settlement.flow_scene import Scene

NOT_HERE = {move_transfers, bind_id_numbers}
"""Steps of the worker: one goes through our own clients, one takes its time on purpose for every person."""
A_WHILE_MS = 6_000  # so long that what failed once is tried again
nths = st.integers(0, 30)
soon = st.sampled_from([True, True, True, False])
"""Mostly the worker turns before anything else happens."""


class NothingThereError(NotAllowedError):
    """Somebody would act, and there is nothing to act on."""


def nth_of(rows: Sequence[Any], nth: int) -> Any:
    """One of the rows."""
    if not rows:
        raise NothingThereError
    return rows[nth % len(rows)]


class Turns(RuleBasedStateMachine):
    """`open_scene` gives a fresh centre with its gates, providers and people."""

    happened: Counter[str] = Counter()
    """What was really done, in all runs."""

    there: frozenset[str] = frozenset()
    """What there is to act on, by the names of `flow_sights`."""

    def __init__(self, open_scene: Callable[[], Scene]) -> None:
        super().__init__()
        self.scene = open_scene()
        self.centre, self.clock = self.scene.centre, self.scene.clock

    @contextmanager
    def trying(self, what: str) -> Iterator[None]:
        """Something that counts under this name if it is done; that it is refused is an answer too.

        No two of them are of the same moment, so that rows lie in the order in which they came.
        """
        self.clock.pass_ms(1)
        with suppress(NotAllowedError):
            yield
            self.happened[what] += 1

    @contextmanager
    def acting(self, what: str) -> Iterator[Connection]:
        """The same in a transaction, of which nothing stays where it is refused."""
        with self.trying(what), self.centre.write() as connection:
            yield connection

    def nth_order(
        self, connection: Connection, nth: int, states: Sequence[str], only: sa.ColumnElement[bool] | None = None
    ) -> Any:
        """One of the orders in these states, the oldest first."""
        query = sa.select(order).where(order.c.state.in_(states)).order_by(order.c.placed_at_ms, order.c.id)
        return nth_of(connection.execute(query if only is None else query.where(only)).all(), nth)

    def notice(self, provider: str, out_no: str) -> None:
        """A provider tells of a number by itself."""
        transfer = self.scene.books[provider].find(out_no)
        assert transfer is not None
        with self.centre.write() as connection:
            apply_notice(connection, provider, out_no, answer_of(transfer), self.clock())

    def turn(self, now: bool = True) -> None:
        """What the providers put off, then the worker's steps once; or none of it."""
        if not now:
            return
        self.clock.pass_ms(A_WHILE_MS)
        self.scene.providers_catch_up()
        transfers.move_due(self.centre, self.scene.clients)
        for step in (*STEPS, *LIST_STEPS):
            if step not in NOT_HERE:
                step(self.centre)
        transfers.move_due(self.centre, self.scene.clients)
