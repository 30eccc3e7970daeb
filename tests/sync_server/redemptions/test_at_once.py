"""Many gates at once: each item is claimed once, nobody waits for ever, the same batch twice at once is one batch."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.db import is_sqlite
from sync_server.feed.tables import pass_use
from sync_server.gates.tables import incarnation
from sync_server.invariants import broken
from sync_server.orders.tables import item_claim
from sync_server.redemptions import decisions
from sync_server.redemptions.checks import CHECKS
from sync_server.redemptions.tables import entry, redemption
from sync_server.redemptions.uses import count_uses
from tests.sync_server.town import HOLDER, START_MS, Gate, build_town
from tests.waiting import until
from wire import presentation
from wire.feed import UseRow
from wire.messages import EntryKind, Presentation, Receipt, Superseded, redemption_id

GATES = 4
TICKETS = 12
ROUNDS = 6
HOUR_MS = 3_600_000


def at_once(acts: Sequence[Callable[[], object]]) -> list[BaseException]:
    """Run them all in threads of their own that begin together; what they raised."""
    begin, failures = threading.Barrier(len(acts)), list[BaseException]()

    def run(act: Callable[[], object]) -> None:
        begin.wait()
        try:
            act()
        except Exception as error:  # a thread's failure is the test's to see
            failures.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failures


def test_gates_that_all_admitted_the_same_tickets(any_centre: Centre) -> None:
    town = build_town(any_centre)
    sold = town.sell("single", TICKETS)
    gates = [town.gate(name=f"G{n}") for n in range(GATES)]
    for n, gate in enumerate(gates):
        for one in sold[n:] + sold[:n] if n % 2 else reversed(sold):
            gate.admit(one, START_MS + HOUR_MS)
    town.clock.pass_ms(2 * HOUR_MS)
    receipts: list[Receipt] = []

    def upload(n: int) -> None:
        receipts.append(town.upload(gates[n % GATES]))

    assert at_once([lambda n=n: upload(n) for n in range(2 * GATES)]) == []  # type: ignore[misc]  # each its own n
    assert len(receipts) == 2 * GATES
    assert all(receipts.count(each) == 2 for each in receipts)
    with any_centre.read() as connection:
        outcomes = Counter(connection.execute(sa.select(redemption.c.outcome)).scalars())
        assert outcomes == {"CLAIMED": TICKETS, "CONFLICT": TICKETS * (GATES - 1)}
        assert connection.scalar(sa.select(sa.func.count()).select_from(item_claim)) == TICKETS
        assert connection.scalar(sa.select(sa.func.count()).select_from(entry)) == 2 * TICKETS * GATES
        for check in CHECKS:
            assert broken(connection, check) == [], check


def code_at(at_ms: int) -> dict[str, Any]:
    """What a rotating code leaves in an entry; who drew it is nobody's phone."""
    step = presentation.step_at(at_ms).to_bytes(4, "big")
    return {"presentation": Presentation.SHORT, "evidence": step + bytes(64)}


WAITING = "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


def waits(centre: Centre) -> bool:
    """Whether somebody waits for what another transaction holds; on SQLite every writer does."""
    if is_sqlite(centre.engine):
        return True
    with centre.read() as connection:
        return bool(connection.scalar(sa.text(WAITING)))


def test_a_copied_code_is_seen_as_copied_by_whoever_comes_at_the_same_instant(any_centre: Centre) -> None:
    """Nothing else keeps two visits on an annual pass apart: there is no item to claim."""
    town = build_town(any_centre)
    [sold] = town.sell("annual", holders=[HOLDER])
    one, other = town.gate(), town.gate("park", "G2")
    at_ms = START_MS + 25 * HOUR_MS
    for gate in (one, other):
        gate.admit(sold, at_ms, **code_at(at_ms))
    town.clock.pass_ms(26 * HOUR_MS)
    done = threading.Event()

    def upload() -> None:
        town.upload(other)
        done.set()

    with any_centre.write() as connection:
        town.take_in(connection, one)
        thread = threading.Thread(target=upload)
        thread.start()
        until(lambda: done.is_set() or waits(any_centre))
    thread.join()
    with any_centre.read() as connection:
        assert list(connection.scalars(sa.select(redemption.c.copied))) == [True, True]


@pytest.mark.parametrize("what", ["an operator decides", "staff give back"])
def test_whoever_wants_an_entry_and_its_pass_takes_the_pass_first(any_centre: Centre, what: str) -> None:
    """The others hold the pass and then want all its entries: in another order both would wait for ever."""
    town = build_town(any_centre)
    [sold] = town.sell("double")
    one, other = town.gate(), town.gate(name="G2")
    at_ms = START_MS + HOUR_MS
    unproven = one.admit(sold, at_ms, **code_at(at_ms))
    one.write(EntryKind.RETURNED, at_ms + 2, ref_seq=unproven, who="李")
    other.admit(sold, at_ms, **code_at(at_ms))
    other.admit(sold, at_ms)
    town.clock.pass_ms(2 * HOUR_MS)
    town.upload(one, 1, 2)
    done = threading.Event()
    failures: list[BaseException] = []

    def come_between() -> None:
        failures.extend(at_once([partial(town.upload, other)]))
        done.set()

    def act() -> None:
        if what == "staff give back":
            town.upload(one, 3)
            return
        with any_centre.write() as connection:
            entry_id = redemption_id(one.device.id, one.incarnation, unproven)
            decisions.accept(connection, entry_id, "seen on the camera", town.clock.now_ms, "周敏")

    locks_pass = ("SELECT pass.id", "FOR NO KEY UPDATE")
    with before(any_centre, locks_pass, come_between, lambda: done.is_set() or waits(any_centre)):
        act()
    assert failures == []
    with any_centre.read() as connection:
        assert len(connection.execute(sa.select(redemption)).all()) == 3
        for check in CHECKS:
            assert broken(connection, check) == [], check


@contextmanager
def before(
    centre: Centre, words: tuple[str, str], come_between: Callable[[], None], gone_far: Callable[[], bool]
) -> Iterator[None]:
    """Let somebody else come between, when the first statement with these words is about to begin here.

    On SQLite, where a writer is alone, afterwards.
    """
    between = threading.Thread(target=come_between)

    def begin(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if not is_sqlite(centre.engine) and between.ident is None and all(word in statement for word in words):
            between.start()
            until(gone_far)

    sa.event.listen(centre.engine, "before_cursor_execute", begin)
    yield
    sa.event.remove(centre.engine, "before_cursor_execute", begin)
    assert is_sqlite(centre.engine) == (between.ident is None)
    if between.ident is None:
        between.start()
    between.join()


def test_two_boxes_that_act_as_one_gate_are_both_frozen_and_neither_waits_for_the_other(any_centre: Centre) -> None:
    town = build_town(any_centre)
    for nth in range(ROUNDS):
        old = town.gate(name=f"G{nth}")
        new = Gate(old.device, old.private, b"journal2")
        for box in (old, new):
            box.write(EntryKind.EVENT, START_MS, reason="started")
        town.upload(old)
        followed = Superseded(old.incarnation, 1, old.hashes[0])
        town.upload(new, supersedes=followed)
        for box in (old, new):
            box.write(EntryKind.EVENT, START_MS, reason="started")
        assert at_once([partial(town.upload, old, 2), partial(town.upload, new, 2, supersedes=followed)]) == []
    with any_centre.read() as connection:
        causes = list(connection.scalars(sa.select(incarnation.c.frozen_cause)))
    assert len(causes) == 2 * ROUNDS and all(causes)


def test_two_workers_count_the_uses_of_one_pass(any_centre: Centre) -> None:
    town = build_town(any_centre)
    [sold] = town.sell("annual", holders=[HOLDER])
    one, other = town.gate(), town.gate(name="G2")
    for gate in (one, other):
        gate.admit(sold, START_MS + 25 * HOUR_MS)
    town.clock.pass_ms(26 * HOUR_MS)
    town.upload(one)
    done = threading.Event()
    failures: list[BaseException] = []

    def second_worker() -> None:
        town.upload(other)
        failures.extend(at_once([lambda: count_uses(any_centre)]))
        done.set()

    with before(any_centre, ("INSERT", "pass_use"), second_worker, lambda: done.is_set() or waits(any_centre)):
        count_uses(any_centre)
    assert failures == []
    with any_centre.read() as connection:
        row = connection.scalars(sa.select(pass_use.c.row)).one()
    assert msgspec.msgpack.decode(row, type=UseRow).total == 2
