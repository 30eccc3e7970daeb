"""The tables of a provider's book (SQLite), and a transfer as one row of it."""

from __future__ import annotations

import sqlite3

import msgspec

SCHEMA = """
CREATE TABLE IF NOT EXISTS merchant (
    app_id TEXT PRIMARY KEY, public_key TEXT NOT NULL, account TEXT NOT NULL REFERENCES account (name));
CREATE TABLE IF NOT EXISTS account (
    name TEXT PRIMARY KEY, balance_fen INTEGER NOT NULL CHECK (balance_fen >= 0));
CREATE TABLE IF NOT EXISTS fund (
    account TEXT PRIMARY KEY REFERENCES account (name), yield_fen INTEGER NOT NULL, accrued_until_ms INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS terms (what TEXT PRIMARY KEY, value INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS transfer (
    out_no TEXT PRIMARY KEY, app_id TEXT NOT NULL REFERENCES merchant (app_id), kind TEXT NOT NULL, account TEXT,
    amount_fen INTEGER NOT NULL CHECK (amount_fen > 0 OR amount_fen = 0 AND kind = 'fund_close'), title TEXT NOT NULL,
    notice_url TEXT NOT NULL, status TEXT NOT NULL CHECK (status IN ('WAITING', 'SUCCESS', 'FAILED', 'INSUFFICIENT')),
    reason TEXT, provider_ref TEXT UNIQUE, cashier_token TEXT UNIQUE, settle_at_ms INTEGER,
    created_at_ms INTEGER NOT NULL, ended_at_ms INTEGER, original TEXT, yield_fen INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS movement (
    id INTEGER PRIMARY KEY, out_no TEXT NOT NULL UNIQUE REFERENCES transfer (out_no),
    from_account TEXT, to_account TEXT, amount_fen INTEGER NOT NULL CHECK (amount_fen > 0),
    fee_fen INTEGER NOT NULL DEFAULT 0 CHECK (fee_fen >= 0), at_ms INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS movement_at ON movement (at_ms);
CREATE TABLE IF NOT EXISTS departure (
    out_no TEXT PRIMARY KEY REFERENCES transfer (out_no), arrives_at_ms INTEGER NOT NULL,
    arrived INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS notice (
    id INTEGER PRIMARY KEY, out_no TEXT NOT NULL REFERENCES transfer (out_no),
    send_at_ms INTEGER NOT NULL, tries INTEGER NOT NULL DEFAULT 0, delivered INTEGER NOT NULL DEFAULT 0);
CREATE TRIGGER IF NOT EXISTS movement_update BEFORE UPDATE ON movement
    BEGIN SELECT RAISE(ABORT, 'movements are append-only'); END;
CREATE TRIGGER IF NOT EXISTS movement_delete BEFORE DELETE ON movement
    BEGIN SELECT RAISE(ABORT, 'movements are append-only'); END;
"""

AT_THE_CASHIER = ("collect", "top_up")
"""Paid by somebody at the cashier, who has no account here."""
PAYMENTS = ("charge", "collect")
"""What may be given back."""
KINDS = (*PAYMENTS, "top_up", "payout", "refund", "fund_buy", "fund_sell", "fund_close", "sweep_out", "sweep_in")
CANCELLED = "cancelled"
"""The kind of a number that was cancelled before it was used."""


class Order(msgspec.Struct, frozen=True):
    """What a merchant asks for. `account` is the other side: who is charged or paid; none at the cashier.

    A refund goes to whoever paid `original`, whatever `account` says. For fund moves `account` names the merchant's
    fund; a fund_close tells the principal. A sweep_out names in `account` the provider that the merchant's money goes
    to, and in `original` the number under which it arrives there; a sweep_in waits there for its own number to arrive.
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
    yield_fen: int


class Conflict(Exception):
    """The same number came with another content, or what is asked for cannot be."""


def find_transfer(connection: sqlite3.Connection, column: str, value: str) -> Transfer | None:
    """The transfer whose `column` (one of the unique ones) is `value`."""
    names = ", ".join(Transfer.__struct_fields__)
    row = connection.execute(f"SELECT {names} FROM transfer WHERE {column} = ?", (value,)).fetchone()  # noqa: S608
    return None if row is None else Transfer(*row)


def value_of(connection: sqlite3.Connection, what: str) -> int:
    """One of the provider's terms (a fee, a rate); 0 until it is set."""
    row = connection.execute("SELECT value FROM terms WHERE what = ?", (what,)).fetchone()
    return 0 if row is None else int(row[0])


def set_value(connection: sqlite3.Connection, what: str, value: int) -> None:
    """Change one of the provider's terms."""
    put = "INSERT INTO terms VALUES (?, ?) ON CONFLICT (what) DO UPDATE SET value = excluded.value"
    connection.execute(put, (what, value))
