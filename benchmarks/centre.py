"""A centre to measure: its database on SQLite or PostgreSQL, tickets sold in bulk, a gate, and the real web process."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import crypto, db, schema
from sync_server.catalog.tables import product, stock
from sync_server.centre import Centre
from sync_server.demo_data import add_demo_data
from sync_server.gates import enrolment, registry
from sync_server.gates.registry import Device
from sync_server.issuance.tables import entitlement, issued_pass, pass_token
from sync_server.keys import key_set
from sync_server.keys.pairs import open_pass_key
from sync_server.orders.tables import order, order_item, ticket
from sync_server.parties.tables import venue
from sync_server.settings import Settings
from wire import moments, signing
from wire.keyset import KeySet, read_key_set
from wire.messages import EnrolRequest
from wire.token import Claims, Scope, evidence_of, sign_token

VENUE_PRICE_FEN = 5_000
ROWS_AT_ONCE = 500
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")
Statement = tuple[str, Any]


@dataclass(frozen=True)
class Ticket:
    """A single ticket that opens the venue once."""

    pass_id: bytes
    token: str


@dataclass(frozen=True)
class Enrolled:
    """A gate that was approved."""

    device: Device
    private: bytes


def new_centre(url: str, folder: Path) -> Centre:
    """Tables, keys, parties and products in an empty database; its secrets in `folder`."""
    settings = Settings(database_url=url, secret_file=folder / "secrets")
    engine = db.open_engine(url)
    schema.migrate(engine)
    made = crypto.make_secrets()
    if not settings.secret_file.exists():
        crypto.write_secrets(settings.secret_file, made)
    centre = Centre(settings, engine, crypto.read_secrets(settings.secret_file))
    key_set.create_first(centre)
    add_demo_data(centre)
    return centre


def opened(url: str, secret_file: Path) -> Centre:
    """A centre on a copy of the database of another."""
    return Centre(
        Settings(database_url=url, secret_file=secret_file), db.open_engine(url), crypto.read_secrets(secret_file)
    )


@contextlib.contextmanager
def statements_of(centre: Centre) -> Iterator[list[Statement]]:
    """What the centre says to its driver meanwhile, but for the beginning and end of transactions."""
    seen: list[Statement] = []

    def note(_c: object, _cursor: object, statement: str, parameters: Any, *_rest: object) -> None:
        if not statement.startswith("BEGIN"):
            seen.append((statement, parameters))

    sa.event.listen(centre.engine, "before_cursor_execute", note)
    yield seen
    sa.event.remove(centre.engine, "before_cursor_execute", note)


def keys_of(centre: Centre) -> KeySet:
    """As a gate believes them."""
    with centre.read() as connection:
        published = key_set.newest(connection)
    keys = read_key_set(published.document, published.root_public)
    assert isinstance(keys, KeySet), keys
    return keys


def enrol(centre: Centre, name: str) -> Enrolled:
    """A new gate at the first venue."""
    private = secrets.token_bytes(32)
    with centre.write() as connection:
        venue_id = connection.scalars(sa.select(venue.c.id).where(venue.c.number == 1)).one()
        root = key_set.newest(connection).root_public
        code = enrolment.make_code(connection, venue_id, root, centre.now_ms(), "benchmark")
        asked = EnrolRequest(code.secret, signing.public_key_of(private), "benchmark", name)
        device = enrolment.enrol(connection, centre.secrets, asked, centre.now_ms())
        assert isinstance(device, bytes), device
        registry.approve(connection, device, centre.now_ms(), "benchmark")
        found = registry.find_device(connection, device)
    assert found is not None
    return Enrolled(found, private)


def sell(centre: Centre, count: int) -> list[Ticket]:
    """Single tickets for the first venue, written as placing, paying and issuing leave them, but for the book.

    The database looks at its tables then, as PostgreSQL does by itself within a minute.
    """
    with centre.write() as connection:
        single = sa.select(product.c.id, product.c.number, stock.c.id).join(stock, stock.c.product_id == product.c.id)
        product_id, number, stock_id = connection.execute(single.where(product.c.kind == "SINGLE")).one()
        venue_id = connection.scalars(sa.select(venue.c.id).where(venue.c.number == 1)).one()
        connection.execute(stock.update().where(stock.c.id == stock_id).values(total=stock.c.total + count))
        key = open_pass_key(connection, centre.secrets)
        order_id = _order(connection, centre, product_id, count)
        now_ms, sold = centre.now_ms(), []
        begin = moments.minute_ceil(now_ms) - 60
        for part in db.batches(range(count), ROWS_AT_ONCE):
            rows: dict[sa.Table, list[dict[str, object]]] = {}
            for seq in part:
                ticket_id, item_id, pass_id = centre.new_id(), centre.new_id(), secrets.token_bytes(8)
                claims = Claims(pass_id, number, Scope.VENUE, 1, begin, begin + 60_000, 1, 1)
                token = sign_token(claims, key.id, key.private)
                sold.append(Ticket(pass_id, token))
                for table, row in _rows(claims, token, ticket_id, item_id, order_id, stock_id, venue_id).items():
                    common = {"number": f"{ticket_id.hex}"[:32], "seq": seq + 1, "key_id": key.id}
                    common |= {"product_id": product_id, "issued_at_ms": now_ms, "signed_at_ms": now_ms}
                    wanted = {name: value for name, value in common.items() if name in table.c}
                    rows.setdefault(table, []).append({**wanted, **row})
            for table, listed in rows.items():
                connection.execute(table.insert(), listed)
        connection.exec_driver_sql("ANALYZE")
    return sold


def _order(connection: Connection, centre: Centre, product_id: UUID, count: int) -> UUID:
    order_id, now_ms = centre.new_id(), centre.now_ms()
    price = VENUE_PRICE_FEN * count
    connection.execute(
        order.insert().values(
            id=order_id, number=order_id.hex[:32], kind="TICKET", product_id=product_id, payment_group=order_id,
            state="ISSUED", pay_deadline_ms=now_ms, count=count, list_fen=price, discount_fen=0, dist_price_fen=price,
            charge_fee_fen=0, paid_fen=price, channel="其他", placed_at_ms=now_ms, paid_at_ms=now_ms,
            issued_at_ms=now_ms,
        )
    )  # fmt: skip
    return order_id


def _rows(
    claims: Claims, token: str, ticket_id: UUID, item_id: UUID, order_id: UUID, stock_id: UUID, venue_id: UUID
) -> dict[sa.Table, dict[str, object]]:
    """One ticket's row in each table."""
    dates = {"not_before": claims.not_before, "not_after": claims.not_after}
    return {
        ticket: {"id": ticket_id, "order_id": order_id, "stock_id": stock_id, "dist_price_fen": VENUE_PRICE_FEN},
        order_item: {
            "id": item_id, "ticket_id": ticket_id, "venue_id": venue_id, "venue_price_fen": VENUE_PRICE_FEN,
            "share_fen": VENUE_PRICE_FEN, "payout_fee_fen": 30,
            "valid_from": claims.not_before, "valid_to": claims.not_after,
        },
        issued_pass: {
            "id": claims.pass_id, "ticket_id": ticket_id, "status": "ACTIVE", "issue": 1, "id_number_due": False,
            **dates,
        },
        pass_token: {
            "pass_id": claims.pass_id, "issue": 1, "token": token, "evidence": evidence_of(token), "issued_version": 1,
        },
        entitlement: {"pass_id": claims.pass_id, "venue_id": venue_id, "item_id": item_id},
    }  # fmt: skip


class Floor:
    """The bare driver on a copy of the database."""

    def __init__(self, url: str) -> None:
        self._engine = db.open_engine(url)
        pooled = self._engine.raw_connection()
        self._driver: Any = pooled.driver_connection
        self._is_sqlite = db.is_sqlite(self._engine)

    def play(self, transactions: Sequence[Sequence[Statement]]) -> None:
        """Each one's statements and a commit that reaches the disk."""
        cursor = self._driver.cursor()
        for statements in transactions:
            if self._is_sqlite:
                cursor.execute("BEGIN IMMEDIATE")
            for statement, parameters in statements:
                cursor.execute(statement, parameters)
                if cursor.description is not None:
                    cursor.fetchall()
            self._driver.commit()


@dataclass(frozen=True)
class Web:
    """The running web process, as `sync-server run` starts it."""

    url: str
    master: int

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        return int(self.url.rpartition(":")[2])

    def cpu_s(self) -> float:
        """Processor seconds so far, of all its processes; those of PostgreSQL are its own."""
        children = Path(f"/proc/{self.master}/task/{self.master}/children").read_text().split()
        return sum(_cpu_s(pid) for pid in (self.master, *map(int, children)))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND


@contextlib.contextmanager
def web(url: str, secret_file: Path, module: str = "sync_server") -> Iterator[Web]:
    """A web process on a database."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--database", url, "run", "--port", "0"],
        stdout=subprocess.PIPE,
        env={**os.environ, "SYNC_SERVER_SECRET_FILE": str(secret_file)},
    )
    try:
        assert process.stdout is not None
        word, _, said = process.stdout.readline().decode().partition(" ")
        assert word == "READY", f"the centre did not start: {word!r}"
        yield Web(json.loads(said)["url"], process.pid)
    finally:
        process.terminate()
        process.wait()


class SqliteFiles:
    """Databases beside each other, copied as files."""

    name = "SQLite"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def url(self, name: str) -> str:
        """Of a database that need not be there yet."""
        return f"sqlite:///{self._folder / name}.db"

    def copy(self, url: str, name: str) -> str:
        """The URL of a copy; nobody may be connected to the original."""
        shutil.copy(str(sa.make_url(url).database), str(sa.make_url(self.url(name)).database))
        return self.url(name)


class PostgresDatabases:
    """Databases of one cluster whose commits reach the disk, copied as templates."""

    name = "PostgreSQL"

    def __init__(self, url: str) -> None:
        """`url`: an empty database of the cluster."""
        self._any = sa.make_url(url)

    def url(self, name: str) -> str:
        """Of a new empty database."""
        self._create(name, "template0")
        return self._any.set(database=name).render_as_string(hide_password=False)

    def copy(self, url: str, name: str) -> str:
        """The URL of a copy; nobody may be connected to the original."""
        self._create(name, str(sa.make_url(url).database))
        return self._any.set(database=name).render_as_string(hide_password=False)

    def _create(self, name: str, template: str) -> None:
        desk = sa.create_engine(self._any.set(database="postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with desk.connect() as connection:
            connection.exec_driver_sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}" ENCODING \'UTF8\'')


@contextlib.contextmanager
def databases(kind: str, folder: Path) -> Iterator[SqliteFiles | PostgresDatabases]:
    """`sqlite` or `postgres`; the latter a cluster of its own, stopped at the end."""
    if kind == "sqlite":
        yield SqliteFiles(folder)
        return
    from tests import postgres

    programs = postgres.programs()
    if programs is None:
        raise SystemExit("PostgreSQL is not installed: apt install postgresql")
    cluster = postgres.Cluster(programs)
    cluster.start(durable=True)
    try:
        yield PostgresDatabases(cluster.create_database())
    finally:
        cluster.stop()
