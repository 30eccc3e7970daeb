"""Many gates at once: each item is claimed once, nobody waits for ever, the same batch twice at once is one batch."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.invariants import broken
from sync_server.orders.tables import item_claim
from sync_server.redemptions.checks import CHECKS
from sync_server.redemptions.tables import entry, redemption
from tests.sync_server.town import START_MS, build_town
from wire.messages import Receipt

GATES = 4
TICKETS = 12
HOUR_MS = 3_600_000


def at_once(acts: list[Callable[[], None]]) -> list[BaseException]:
    """Run them all in threads of their own that begin together; what they raised."""
    begin, failures = threading.Barrier(len(acts)), list[BaseException]()

    def run(act: Callable[[], None]) -> None:
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
