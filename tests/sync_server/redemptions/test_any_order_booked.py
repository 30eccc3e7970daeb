"""Whatever order, split and repetition the gates' batches come in, the same book stands at the end (R8, I14)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import chain

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Connection

from sync_server.centre import Centre
from sync_server.ledger.balances import trial_balance
from sync_server.ledger.tables import ledger_account
from sync_server.orders.tables import order
from sync_server.payments.transfers import move_due
from sync_server.redemptions.ingest import take_in
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.expiring import expire_items
from sync_server.settlement.finishing import close_refunded
from sync_server.settlement.visits import clear_visits, set_visit_settlement
from tests.sync_server.operators import employ
from tests.sync_server.redemptions.test_any_order import (
    MINUTE_MS,
    Act,
    Scene,
    build_scene,
    deliveries,
    journals,
    play,
    sign_of_life,
    words_of,
)
from tests.sync_server.town import Gate, OpenHanded
from wire.messages import ReadBatch, batch_digest, read_batch

pytestmark = pytest.mark.slow("money")

EXAMPLES = {"sqlite": 200, "postgresql": 60}
AFTER_THE_END_MS = 9 * 24 * 60 * MINUTE_MS
SETTLED = ("2110", "2120", "2210")  # what is held for items, left of margins, and owed to venues: at the end nothing

Book = dict[str, tuple[int, int, int, int]]


@dataclass(frozen=True, kw_only=True)
class Undone(Centre):
    """A centre whose transactions are parts of one that is forgotten."""

    connection: Connection

    @contextmanager
    def _part(self) -> Iterator[Connection]:
        with self.connection.begin_nested():
            yield self.connection

    def write(self) -> AbstractContextManager[Connection]:
        return self._part()

    def read(self) -> AbstractContextManager[Connection]:
        return nullcontext(self.connection)


@pytest.fixture
def scene(any_centre: Centre) -> Scene:
    """Visits with annual passes cost something here, otherwise at each venue."""
    made = build_scene(any_centre)
    town, finance = made.town, employ(any_centre, "finance", "finance")
    tariffs_fen = {town.venues["bridge"]: 300, town.venues["park"]: 170}
    with any_centre.write() as connection:
        now_ms, annual = any_centre.now_ms(), town.products["annual"]
        set_visit_settlement(connection, finance, annual, "PER_VISIT", tariffs_fen, "agreed", now_ms)
    return made


def book_after(scene: Scene, gates: list[Gate], bodies: Sequence[bytes], *, clear_each: bool) -> Book:
    """Every account when these batches have come, all of it is cleared and paid, and what nobody used went back.

    `clear_each`: what counted is cleared after each batch, not when all have come.
    """
    real, clock = scene.town.centre, scene.town.clock
    with ExitStack() as ended:
        connection = ended.enter_context(real.engine.connect())
        ended.callback(connection.begin().rollback)
        ended.callback(setattr, clock, "now_ms", clock.now_ms)
        centre = Undone(real.settings, real.engine, real.secrets, real.now_ms, connection=connection)
        for body in chain(map(sign_of_life, gates), bodies):
            _take_in(centre, scene, body)
            if clear_each:
                clear_redemptions(centre)
        _end(centre, scene, gates)
        assert sum(line.balance_fen for line in trial_balance(connection)) == 0
        open_orders = sa.select(order.c.number).where(order.c.kind == "TICKET", order.c.state == "ISSUED")
        assert connection.scalars(open_orders).all() == [], "not settled to the end"
        return _book(connection)


def _end(centre: Undone, scene: Scene, gates: list[Gate]) -> None:
    """The gates tell that they have told all, when the tickets are over; then the worker finds nothing more to do."""
    said = [sign_of_life(gate) for gate in gates]
    for _ in range(3):  # with each receipt a watermark comes up to the one before
        said = [
            gate.batch(len(gate.entries) + 1, **{**words_of(gate, gates), "echo": batch_digest(before)})
            for gate, before in zip(gates, said, strict=True)
        ]
        for body in said:
            _take_in(centre, scene, body)
        scene.town.clock.pass_ms(AFTER_THE_END_MS)
    while sum(step(centre) for step in (clear_redemptions, clear_visits, expire_items, close_refunded)) or move_due(
        centre, {"ALIPAY": OpenHanded()}
    ):
        pass


def _take_in(centre: Undone, scene: Scene, body: bytes) -> None:
    read = read_batch(body)
    assert isinstance(read, ReadBatch), read
    [device] = {gate.device.id: gate.device for gate in scene.gates if gate.device.id == read.batch.device}.values()
    take_in(centre.connection, centre, device, read, batch_digest(body), scene.signer)


def _book(connection: Connection) -> Book:
    """Debits and credits, posted and pending, of all accounts that were ever used."""
    totals = ledger_account.c
    fen = (totals.debits_posted_fen, totals.credits_posted_fen, totals.debits_pending_fen, totals.credits_pending_fen)
    rows = connection.execute(sa.select(totals.name, *fen))
    return {name: (debit, credit, out, coming) for name, debit, credit, out, coming in rows}


def test_any_order_split_and_repetition_give_the_same_book(scene: Scene, times: Callable[[int], int]) -> None:
    """Only which of two rivals wins may differ, and they are paid alike.

    Visits are cleared when all has come: one that is given back before it is cleared costs nothing.
    """
    dialect = scene.town.centre.engine.dialect.name

    @settings(max_examples=times(EXAMPLES[dialect]), suppress_health_check=[HealthCheck.too_slow])
    @given(data=st.data(), scripts=journals)
    def holds(data: st.DataObject, scripts: list[list[Act]]) -> None:
        gates = [play(gate, scene.sold, script) for gate, script in zip(scene.gates, scripts, strict=True)]
        whole = [gate.batch(1, None, **words_of(gate, gates)) for gate in gates]
        in_order = book_after(scene, gates, whole, clear_each=False)
        shuffled = book_after(scene, gates, data.draw(deliveries(gates)), clear_each=True)
        assert shuffled == in_order
        held = {name: amounts for name, amounts in in_order.items() if name.startswith(SETTLED)}
        assert held and all(debit == credit and not any(pending) for debit, credit, *pending in held.values())

    holds()
