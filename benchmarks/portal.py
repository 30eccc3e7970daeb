"""A centre as real processes, with as many passes as a benchmark asks for, and gates enrolled at it."""

from __future__ import annotations

import random
import sqlite3
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from demo.centre import Centre
from demo.processes import Program, run_json
from sync_server import crypto
from sync_server.catalog.tables import product
from sync_server.centre import Centre as OpenCentre
from sync_server.centre import open_centre
from sync_server.issuance.passes import change_status
from sync_server.parties.tables import venue
from sync_server.settings import load_settings
from wire import moments

VENUE = 1
PRODUCTS = ("annual_pass", "annual_pass_24h")
DAYS_SOLD_OVER = 365
DAY_MIN = 24 * 60
ONE_IN_WITH_PHONE = 10
AT_ONCE = 50_000
STOCK = 10_000_000
DISTRIBUTOR_FEN = 10**12


class Portal(Centre):
    """The demo's centre, and its inside for filling and measuring."""

    def opened(self) -> OpenCentre:
        """The same centre in this process."""
        return open_centre(load_settings(None, None, self._env))

    def fill(self, passes: int) -> None:
        """So many annual passes at one venue, sold over a year: each with a name and a card, one in ten with a phone.

        What gates are told of, and nothing of the orders behind it.
        """
        centre = self.opened()
        with centre.read() as connection:
            venues = [one.hex for one in connection.scalars(sa.select(venue.c.id).where(venue.c.number == VENUE))]
            sold = product.c.number.in_([self.product(name) for name in PRODUCTS])
            products = [one.hex for one in connection.scalars(sa.select(product.c.id).where(sold))]
        chance = random.Random(1)
        with closing(sqlite3.connect(self.folder / "centre.db", isolation_level=None)) as db:
            db.execute("PRAGMA synchronous = OFF")
            db.execute("UPDATE stock SET total = ?", (STOCK,))
            for first in range(0, passes, AT_ONCE):
                rows = _rows(chance, centre, range(first, min(first + AT_ONCE, passes)), products, venues)
                db.execute("BEGIN")
                for table, some in rows.items():
                    names = tuple(some[0])
                    said = f"{table} ({', '.join(names)}) VALUES ({', '.join(f':{name}' for name in names)})"
                    db.executemany(f"INSERT INTO {said}", some)
                db.execute("COMMIT")
        centre.engine.dispose()

    def enrol(self, folder: Path) -> str:
        """A data directory of a gate that is enrolled and approved; its id."""
        enrol = ["gate-agent", "enrol", "--data", str(folder), "--url", self.url, "--code", self.enrolment_code(VENUE)]
        device = str(run_json(enrol)["device"])
        self.approve(device)
        return device


@contextmanager
def running(folder: Path, passes: int) -> Iterator[Portal]:
    """A centre with these passes and no list yet: it begins with `serve`. Stopped at the end, whatever happens."""
    folder.mkdir()
    portal = Portal(folder, distributor_fen=DISTRIBUTOR_FEN)
    try:
        portal.set_up()
        portal.fill(passes)
        yield portal
    finally:
        portal.stop()


@contextmanager
def agent(data_dir: Path, lanes: str = "--simulate") -> Iterator[Program]:
    """A gate's agent with its sync, from its READY line on."""
    command = ["gate-agent", "run", "--data", str(data_dir), "--screen-port", "0", lanes]
    program = Program(command, data_dir.with_suffix(".log"))
    try:
        program.wait_ready()
        yield program
    finally:
        program.stop()


def suspend(centre: OpenCentre, number: str) -> None:
    """As `sync-server pass suspend` does it."""
    with centre.write() as connection:
        change_status(connection, number, "suspend", "measured", centre.now_ms(), "benchmark")


def _rows(
    chance: random.Random, centre: OpenCentre, numbers: range, products: Sequence[str], venues: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """Rows by table."""
    today = moments.minute_floor(centre.now_ms()) // DAY_MIN * DAY_MIN
    rows: dict[str, list[dict[str, Any]]] = {}

    def add(table: str, **columns: Any) -> None:
        rows.setdefault(table, []).append(columns)

    for number in numbers:
        pass_id, ticket, card = chance.randbytes(8), uuid.UUID(int=chance.getrandbits(128)), uuid.UUID(int=number)
        day = today - chance.randrange(DAYS_SOLD_OVER) * DAY_MIN
        add(
            "pass",
            id=pass_id,
            number=f"{10**15 + number}",
            ticket_id=ticket.hex,
            product_id=chance.choice(products),
            status="ACTIVE",
            issue=1,
            not_before=day + chance.randrange(DAY_MIN),
            not_after=day + 366 * DAY_MIN,
            issued_at_ms=0,
            id_number_due=0,
        )
        for one in venues:
            add("entitlement", pass_id=pass_id, venue_id=one)
        masked = chance.choice(("王*", "李*花", "欧*平"))
        add("holder", ticket_id=ticket.hex, name_sealed=b"", name_index=b"", name_masked=masked)
        value = crypto.seal(
            centre.secrets, "credential.value_sealed", str(card), f"410200|{chance.getrandbits(36):09X}"
        )
        add(
            "credential",
            id=card.hex,
            pass_id=pass_id,
            kind="CARD_NUMBER",
            value_sealed=value,
            value_index=number.to_bytes(16, "big"),
            bound_at_ms=0,
        )
        if number % ONE_IN_WITH_PHONE == 0:
            public = bytes((chance.choice((2, 3)), *chance.randbytes(32)))
            add(
                "holder_key",
                pass_id=pass_id,
                generation=1,
                public=public,
                binding=b"signed",
                registered_by="benchmark",
                registered_at_ms=0,
                used_at_ms=0,
            )
    return rows
