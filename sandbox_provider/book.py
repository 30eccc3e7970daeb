"""The provider's own book in SQLite: accounts, transfers unique by the merchant's number, movements, notices to send.

What it says is what was paid: reconciliation and tests compare the centre's ledger with it line by line.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

SCHEMA = """
CREATE TABLE IF NOT EXISTS merchant (
    app_id TEXT PRIMARY KEY, public_key TEXT NOT NULL, account TEXT NOT NULL REFERENCES account (name));
CREATE TABLE IF NOT EXISTS account (
    name TEXT PRIMARY KEY, balance_fen INTEGER NOT NULL CHECK (balance_fen >= 0));
CREATE TABLE IF NOT EXISTS transfer (
    out_no TEXT PRIMARY KEY, app_id TEXT NOT NULL REFERENCES merchant (app_id), kind TEXT NOT NULL, account TEXT,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0), title TEXT NOT NULL, notice_url TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('WAITING', 'SUCCESS', 'FAILED', 'INSUFFICIENT')),
    reason TEXT, provider_ref TEXT UNIQUE, cashier_token TEXT UNIQUE, settle_at_ms INTEGER,
    created_at_ms INTEGER NOT NULL, ended_at_ms INTEGER, original TEXT REFERENCES transfer (out_no));
CREATE TABLE IF NOT EXISTS movement (
    id INTEGER PRIMARY KEY, out_no TEXT NOT NULL UNIQUE REFERENCES transfer (out_no),
    from_account TEXT, to_account TEXT, amount_fen INTEGER NOT NULL CHECK (amount_fen > 0), at_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS notice (
    id INTEGER PRIMARY KEY, out_no TEXT NOT NULL REFERENCES transfer (out_no),
    send_at_ms INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, delivered INTEGER NOT NULL DEFAULT 0);
CREATE TRIGGER IF NOT EXISTS movement_update BEFORE UPDATE ON movement
    BEGIN SELECT RAISE(ABORT, 'movements are append-only'); END;
CREATE TRIGGER IF NOT EXISTS movement_delete BEFORE DELETE ON movement
    BEGIN SELECT RAISE(ABORT, 'movements are append-only'); END;
"""

PAYMENTS = ("charge", "collect")
CANCELLED = "cancelled"
"""The kind of a number that was cancelled before it was used."""


class Order(msgspec.Struct, frozen=True):
    """What a merchant asks for. `account` is the other side: who is charged or paid; none at the cashier.

    A refund goes to whoever paid `original`, whatever `account` says.
    """

    app_id: str
    out_no: str
    account: str | None
    amount_fen: int
    title: str
    notice_url: str
    original: str | None = None


class Transfer(msgspec.Struct, frozen=True):
    """A transfer as the book has it."""

    out_no: str
    app_id: str
    kind: str
    account: str | None
    amount_fen: int
    title: str
    notice_url: str
    status: str
    reason: str | None
    provider_ref: str | None
    cashier_token: str | None
    settle_at_ms: int | None
    created_at_ms: int
    ended_at_ms: int | None
    original: str | None


class Conflict(Exception):
    """The same number came with another content."""


class Book:
    """One file. Every method is one transaction on a connection of its own: safe from all threads."""

    def __init__(self, file: Path) -> None:
        self._file = file
        with self._open() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(SCHEMA)
            if not connection.execute("SELECT 1 FROM pragma_table_info('transfer') WHERE name = 'original'").fetchone():
                connection.execute("ALTER TABLE transfer ADD COLUMN original TEXT REFERENCES transfer (out_no)")

    def add_merchant(self, app_id: str, public_key: str) -> None:
        """Register a merchant (its account has its name), or give it another key."""
        self.top_up(app_id, 0)
        with self._write() as connection:
            connection.execute(
                "INSERT INTO merchant VALUES (?, ?, ?) "
                "ON CONFLICT (app_id) DO UPDATE SET public_key = excluded.public_key",
                (app_id, public_key, app_id),
            )

    def merchant_key(self, app_id: str) -> str | None:
        """The merchant's public key (PEM)."""
        with self._open() as connection:
            row = connection.execute("SELECT public_key FROM merchant WHERE app_id = ?", (app_id,)).fetchone()
        return None if row is None else str(row[0])

    def top_up(self, account: str, amount_fen: int) -> int:
        """Open the account if need be and put money into it; its balance."""
        with self._write() as connection:
            connection.execute("INSERT INTO account VALUES (?, 0) ON CONFLICT DO NOTHING", (account,))
            query = "UPDATE account SET balance_fen = balance_fen + ? WHERE name = ? RETURNING balance_fen"
            return int(connection.execute(query, (amount_fen, account)).fetchone()[0])

    def balances(self) -> dict[str, int]:
        """Every account."""
        with self._open() as connection:
            return dict(connection.execute("SELECT name, balance_fen FROM account ORDER BY name").fetchall())

    def find(self, out_no: str) -> Transfer | None:
        """The transfer with this number."""
        with self._open() as connection:
            return _transfer(connection, "out_no", out_no)

    def find_cashier(self, token: str) -> Transfer | None:
        """The transfer of a cashier's address."""
        with self._open() as connection:
            return _transfer(connection, "cashier_token", token)

    def act(self, kind: str, order: Order, now_ms: int, outcome: str | None = None, defer_ms: int = 0) -> Transfer:
        """Do what is asked for, once: the same number again is the same transfer. `outcome` plays a failure instead."""
        with self._write() as connection:
            known = _transfer(connection, "out_no", order.out_no)
            if known is not None:
                if known.kind == CANCELLED:
                    return known
                asked = (order.app_id, kind, order.amount_fen, order.original)
                same_account = kind == "refund" or known.account == order.account
                if (known.app_id, known.kind, known.amount_fen, known.original) != asked or not same_account:
                    raise Conflict(f"{order.out_no} was used for something else")
                return known
            account = _payer(connection, order) if kind == "refund" else order.account
            waits = kind == "collect" or defer_ms > 0
            token = secrets.token_urlsafe(16) if kind == "collect" else None
            connection.execute(
                "INSERT INTO transfer (out_no, app_id, kind, account, amount_fen, title, notice_url, status, "
                "cashier_token, settle_at_ms, created_at_ms, original) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, 'WAITING', ?, ?, ?, ?)",
                (
                    order.out_no,
                    order.app_id,
                    kind,
                    account,
                    order.amount_fen,
                    order.title,
                    order.notice_url,
                    token,
                    now_ms + defer_ms if defer_ms else None,
                    now_ms,
                    order.original,
                ),
            )
            if outcome is not None:
                _end(connection, order.out_no, outcome, f"played: {outcome.lower()}", now_ms)
            elif not waits:
                _settle(connection, order.out_no, now_ms)
            made = _transfer(connection, "out_no", order.out_no)
            assert made is not None
            return made

    def cancel(self, app_id: str, out_no: str, now_ms: int) -> Transfer:
        """A waiting transfer ends; a number never heard of is kept, so that nothing can ever move under it."""
        with self._write() as connection:
            known = _transfer(connection, "out_no", out_no)
            if known is None:
                connection.execute(
                    "INSERT INTO transfer (out_no, app_id, kind, amount_fen, title, notice_url, status, created_at_ms) "
                    "VALUES (?, ?, ?, 1, '', '', 'WAITING', ?)",
                    (out_no, app_id, CANCELLED, now_ms),
                )
            if known is None or known.status == "WAITING":
                _end(connection, out_no, "FAILED", "cancelled", now_ms)
            made = _transfer(connection, "out_no", out_no)
            assert made is not None
            return made

    def settle(self, out_no: str, now_ms: int) -> Transfer | None:
        """Let a waiting transfer happen (the visitor paid, the delay is over); None when it no longer waits."""
        with self._write() as connection:
            known = _transfer(connection, "out_no", out_no)
            if known is None or known.status != "WAITING":
                return None
            _settle(connection, out_no, now_ms)
            return _transfer(connection, "out_no", out_no)

    def due_deferred(self, now_ms: int) -> list[str]:
        """Numbers whose delay is over."""
        query = "SELECT out_no FROM transfer WHERE status = 'WAITING' AND settle_at_ms <= ?"
        with self._open() as connection:
            return [row[0] for row in connection.execute(query, (now_ms,))]

    def statement(self, app_id: str, from_ms: int, to_ms: int) -> list[dict[str, object]]:
        """Every movement of the merchant's account in [from, to), signed as the account saw it."""
        query = """
            SELECT m.id AS line_no, m.out_no, t.kind, t.provider_ref, t.account,
                   CASE WHEN m.to_account = ? THEN m.amount_fen ELSE -m.amount_fen END AS amount_fen, m.at_ms
            FROM movement m JOIN transfer t ON t.out_no = m.out_no
            WHERE t.app_id = ? AND m.at_ms >= ? AND m.at_ms < ? ORDER BY m.id
        """
        with self._open() as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, (app_id, app_id, from_ms, to_ms))]

    def promise_notice(self, out_no: str, send_at_ms: int) -> None:
        """A notice about the transfer is to be sent."""
        with self._write() as connection:
            connection.execute("INSERT INTO notice (out_no, send_at_ms) VALUES (?, ?)", (out_no, send_at_ms))

    def due_notices(self, now_ms: int, limit: int) -> list[tuple[int, str, int]]:
        """(id, number, tries so far) of what is to be sent now."""
        query = "SELECT id, out_no, tries FROM notice WHERE NOT delivered AND send_at_ms <= ? ORDER BY id LIMIT ?"
        with self._open() as connection:
            return list(connection.execute(query, (now_ms, limit)).fetchall())

    def mark_notice(self, notice_id: int, delivered: bool, send_at_ms: int) -> None:
        """It arrived, or is to be tried again."""
        with self._write() as connection:
            connection.execute(
                "UPDATE notice SET delivered = ?, tries = tries + 1, send_at_ms = ? WHERE id = ?",
                (delivered, send_at_ms, notice_id),
            )

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._file, isolation_level=None, timeout=10)) as connection:
            connection.execute("PRAGMA foreign_keys=ON")
            yield connection

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._open() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:  # whatever it was, nothing of it may stay
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")


def _transfer(connection: sqlite3.Connection, column: str, value: str) -> Transfer | None:
    names = ", ".join(Transfer.__struct_fields__)
    row = connection.execute(f"SELECT {names} FROM transfer WHERE {column} = ?", (value,)).fetchone()  # noqa: S608
    return None if row is None else Transfer(*row)


def _payer(connection: sqlite3.Connection, order: Order) -> str | None:
    """Who paid what is given back; no more is given back than was paid."""
    paid = None if order.original is None else _transfer(connection, "out_no", order.original)
    if paid is None or paid.app_id != order.app_id or paid.status != "SUCCESS" or paid.kind not in PAYMENTS:
        raise Conflict(f"{order.original} is no payment that could be given back")
    query = "SELECT COALESCE(SUM(amount_fen), 0) FROM transfer WHERE original = ? AND status IN ('WAITING', 'SUCCESS')"
    given_back = int(connection.execute(query, (order.original,)).fetchone()[0])
    if given_back + order.amount_fen > paid.amount_fen:
        raise Conflict(f"of {order.original} {paid.amount_fen - given_back} fen are left to be given back")
    return paid.account


def _settle(connection: sqlite3.Connection, out_no: str, now_ms: int) -> None:
    """Move the money, or say why not. The visitor's purse at the cashier is not in the book and never empty."""
    transfer = _transfer(connection, "out_no", out_no)
    assert transfer is not None
    source, target = transfer.account, transfer.app_id
    if transfer.kind in {"payout", "refund"}:
        source, target = target, source
    accounts = [name for name in (source, target) if name is not None]
    for name in accounts:
        if connection.execute("SELECT 1 FROM account WHERE name = ?", (name,)).fetchone() is None:
            _end(connection, out_no, "FAILED", f"there is no account {name}", now_ms)
            return
    if source is not None:
        take = "UPDATE account SET balance_fen = balance_fen - ? WHERE name = ? AND balance_fen >= ?"
        if not connection.execute(take, (transfer.amount_fen, source, transfer.amount_fen)).rowcount:
            _end(connection, out_no, "INSUFFICIENT", f"account {source} holds too little", now_ms)
            return
    give = "UPDATE account SET balance_fen = balance_fen + ? WHERE name = ?"
    connection.execute(give, (transfer.amount_fen, target))
    connection.execute(
        "INSERT INTO movement (out_no, from_account, to_account, amount_fen, at_ms) VALUES (?, ?, ?, ?, ?)",
        (out_no, source, target, transfer.amount_fen, now_ms),
    )
    _end(connection, out_no, "SUCCESS", None, now_ms, f"SP{secrets.token_hex(10).upper()}")


def _end(
    connection: sqlite3.Connection, out_no: str, status: str, reason: str | None, now_ms: int, ref: str | None = None
) -> None:
    connection.execute(
        "UPDATE transfer SET status = ?, reason = ?, provider_ref = ?, ended_at_ms = ? WHERE out_no = ?",
        (status, reason, ref, now_ms, out_no),
    )
