"""Two transactions of a PostgreSQL database that really run beside one another: one is open, the other comes to it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from uuid import UUID

import sqlalchemy as sa

from sync_server.catalog.tables import stock
from sync_server.centre import Centre
from sync_server.ledger.tables import ledger_account

POLL_S = 0.01
MAX_WAIT_S = 20
WAITING = sa.text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
)


class Beside:
    """Another thread acts; it was begun as soon as it waits for a lock, or is done."""

    def __init__(self, centre: Centre, act: Callable[[], object]) -> None:
        self._act = act
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        give_up = monotonic() + MAX_WAIT_S
        while self._thread.is_alive() and not _somebody_waits(centre):
            assert monotonic() < give_up, "it neither waits nor ends"
            self._thread.join(POLL_S)

    def finish(self) -> None:
        """What it waited for is over: it ends, and so does the test if it failed."""
        self._thread.join(MAX_WAIT_S)
        assert not self._thread.is_alive(), "it still waits"
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._act()
        except Exception as error:  # of another thread: `finish` raises it
            self._error = error


def _somebody_waits(centre: Centre) -> bool:
    with centre.engine.connect() as connection:
        return bool(connection.scalar(WAITING))


def assert_stock_comes_first(centre: Centre, stock_id: UUID, act: Callable[[], object]) -> None:
    """While `act` waits for this stock row it holds no account that whoever has the row will want."""
    with centre.write() as connection:
        connection.execute(sa.select(stock.c.id).where(stock.c.id == stock_id).with_for_update())
        later = Beside(centre, act)
        assert connection.execute(sa.select(ledger_account.c.id).with_for_update(nowait=True)).all()
    later.finish()
