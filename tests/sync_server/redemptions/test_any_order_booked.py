"""Whatever order, split and repetition the gates' batches come in, the same book stands at the end (R8, I14)."""

from __future__ import annotations

from collections import Counter
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
from sync_server.settlement import visit_terms
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.expiring import expire_items
from sync_server.settlement.finishing import close_refunded
from sync_server.settlement.visits import clear_visits
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
from wire.messages import EntryKind, ReadBatch, batch_digest, read_batch

pytestmark = pytest.mark.slow("money")

EXAMPLES = {"sqlite": 200, "postgresql": 60}
AFTER_THE_END_MS = 9 * 24 * 60 * MINUTE_MS
SETTLED = ("2110", "2120", "2210")  # what is held for items, left of margins, and owed to venues: at the end nothing
COST = ("4020", "5040")  # of visits: what comes and goes with one that is cleared, and then given back

given_back = st.builds(
    Act,
    what=st.sampled_from(["admit", "give back", "give back", "late"]),
    sold=st.sampled_from([2, 3, 3, 3]),
    minute=st.integers(0, 8),
    outcome=st.just(EntryKind.PASSED),
)
visits_given_back = st.lists(st.lists(given_back, min_size=1, max_size=7), min_size=4, max_size=4)
"""Little happens but visits with the annual pass, and that staff give them back."""

Book = dict[str, tuple[int, ...]]


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
    town, two = made.town, [employ(any_centre, account, "finance") for account in ("qian", "sun")]
    tariffs_fen = {town.venues["bridge"]: 300, town.venues["park"]: 170}
    with any_centre.write() as connection:
        now_ms, annual = any_centre.now_ms(), town.products["annual"]
        asked = visit_terms.ask(connection, two[0], annual, tariffs_fen, "agreed", now_ms)
        visit_terms.confirm(connection, two[1], asked, now_ms)
    return made


def book_after(scene: Scene, gates: list[Gate], bodies: Sequence[bytes], *, clear_each: bool) -> Book:
    """Every account when these batches have come, all of it is cleared and paid, and what nobody used went back.

    `clear_each`: what counted, and was given back, is cleared after each batch, not when all have come.
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
                clear_visits(centre)
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
    return {name: tuple(amounts) for name, *amounts in connection.execute(sa.select(totals.name, *fen))}


def in_the_end(book: Book) -> Book:
    """The same, whether a visit was given back before it was paid or after: of a venue what it got and does not owe
    again, of the cash what venues owe of it, too, of visits what they cost."""
    same, owed_fen, got_fen = dict(book), 0, Counter[str]()
    for name, (debit, credit, *_) in book.items():
        code, _, venue = name.partition(":")
        if code in ("2210", "1220"):
            got_fen[venue] += debit if code == "2210" else -debit
            owed_fen += debit - credit if code == "1220" else 0
            del same[name]
        elif code in COST:
            same[name] = (debit - credit,)
    debit, credit, *pending = book["1010"]
    got = {f"got by {venue}": (fen,) for venue, fen in got_fen.items() if fen}
    costs = {name: same[name] for name in COST if any(same.get(name, ()))}
    others = {name: amounts for name, amounts in same.items() if name not in COST}
    return others | costs | got | {"1010": (debit - credit + owed_fen, *pending)}


@pytest.mark.parametrize("scripts", [journals, visits_given_back], ids=["all that happens", "visits given back"])
def test_any_order_split_and_repetition_give_the_same_book(
    scene: Scene, times: Callable[[int], int], scripts: st.SearchStrategy[list[list[Act]]]
) -> None:
    """Only which of two rivals wins may differ, and they are paid alike. A visit that is given back costs nothing,
    whether it was paid before the centre heard of it or not."""
    dialect = scene.town.centre.engine.dialect.name

    @settings(max_examples=times(EXAMPLES[dialect]), suppress_health_check=[HealthCheck.too_slow])
    @given(data=st.data(), played=scripts)
    def holds(data: st.DataObject, played: list[list[Act]]) -> None:
        gates = [play(gate, scene.sold, script) for gate, script in zip(scene.gates, played, strict=True)]
        whole = [gate.batch(1, None, **words_of(gate, gates)) for gate in gates]
        in_order = book_after(scene, gates, whole, clear_each=False)
        shuffled = book_after(scene, gates, data.draw(deliveries(gates)), clear_each=True)
        assert in_the_end(shuffled) == in_the_end(in_order)
        for book in (in_order, shuffled):
            held = {name: amounts for name, amounts in book.items() if name.startswith(SETTLED)}
            assert held and all(debit == credit and not any(pending) for debit, credit, *pending in held.values())

    holds()
