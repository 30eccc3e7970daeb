"""A provider's own book in SQLite: accounts, transfers unique by the merchant's number, movements, notices to send.

What it says is what was paid: reconciliation and tests compare the centre's ledger with it line by line.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sandbox_provider import funds
from sandbox_provider.settling import end, payer_of, settle
from sandbox_provider.tables import (
    AT_THE_CASHIER,
    CANCELLED,
    SCHEMA,
    Conflict,
    Order,
    Transfer,
    find_transfer,
    set_value,
)


class Book:
    """One file. Every method is one transaction on a connection of its own: safe from all threads."""

    def __init__(self, file: Path) -> None:
        self.file = file
        with self._open() as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.executescript(SCHEMA)

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
            return find_transfer(connection, "out_no", out_no)

    def transfers(self) -> list[Transfer]:
        """Every transfer, in the order in which they were asked for."""
        names = ", ".join(Transfer.__struct_fields__)
        with self._open() as connection:
            rows = connection.execute(f"SELECT {names} FROM transfer ORDER BY rowid")  # noqa: S608  our own fields
            return [Transfer(*row) for row in rows]

    def find_cashier(self, token: str) -> Transfer | None:
        """The transfer of a cashier's address."""
        with self._open() as connection:
            return find_transfer(connection, "cashier_token", token)

    def act(
        self,
        kind: str,
        order: Order,
        now_ms: int,
        outcome: str | None = None,
        defer_ms: int = 0,
        travel_ms: int = 0,
    ) -> Transfer:
        """Do what is asked for, once: the same number again is the same transfer. `outcome` plays a failure instead.

        It happens after `defer_ms`; what goes to another provider arrives there `travel_ms` after it was asked for.
        """
        with self._write() as connection:
            known = find_transfer(connection, "out_no", order.out_no)
            if known is not None:
                if known.kind == CANCELLED:
                    return known
                asked = (order.app_id, kind, order.amount_fen, order.original)
                same_account = kind == "refund" or known.account == order.account
                if (known.app_id, known.kind, known.amount_fen, known.original) != asked or not same_account:
                    raise Conflict(f"{order.out_no} was used for something else")
                return known
            account = payer_of(connection, order) if kind == "refund" else order.account
            waits = kind in AT_THE_CASHIER or kind == "sweep_in" or defer_ms > 0
            token = secrets.token_urlsafe(16) if kind in AT_THE_CASHIER else None
            settle_at_ms = now_ms + defer_ms if defer_ms else None
            _insert(connection, kind, order, account, token, settle_at_ms, now_ms)
            if outcome is not None:
                end(connection, order.out_no, outcome, f"played: {outcome.lower()}", now_ms)
            elif not waits:
                settle(connection, order.out_no, now_ms)
            if kind == "sweep_out":
                depart = "INSERT INTO departure (out_no, arrives_at_ms) VALUES (?, ?)"
                connection.execute(depart, (order.out_no, now_ms + travel_ms))
            made = find_transfer(connection, "out_no", order.out_no)
            assert made is not None
            return made

    def cancel(self, app_id: str, out_no: str, now_ms: int) -> Transfer:
        """A waiting transfer ends; a number never heard of is kept, so that nothing can ever move under it."""
        with self._write() as connection:
            known = find_transfer(connection, "out_no", out_no)
            if known is None:
                connection.execute(
                    "INSERT INTO transfer (out_no, app_id, kind, amount_fen, title, notice_url, status, created_at_ms) "
                    "VALUES (?, ?, ?, 1, '', '', 'WAITING', ?)",
                    (out_no, app_id, CANCELLED, now_ms),
                )
            if known is None or known.status == "WAITING":
                end(connection, out_no, "FAILED", "cancelled", now_ms)
            made = find_transfer(connection, "out_no", out_no)
            assert made is not None
            return made

    def settle(self, out_no: str, now_ms: int) -> Transfer | None:
        """Let a waiting transfer happen (the visitor paid, the delay is over); None when it no longer waits."""
        with self._write() as connection:
            known = find_transfer(connection, "out_no", out_no)
            if known is None or known.status != "WAITING":
                return None
            settle(connection, out_no, now_ms)
            return find_transfer(connection, "out_no", out_no)

    def settle_after_all(self, out_no: str, now_ms: int) -> bool:
        """Let a transfer that ended as not done happen all the same, as no provider should; whether it could."""
        with self._write() as connection:
            again = "UPDATE transfer SET status = 'WAITING', reason = NULL WHERE out_no = ? AND status = 'FAILED'"
            if connection.execute(again, (out_no,)).rowcount == 0:
                return False
            settle(connection, out_no, now_ms)
            done = find_transfer(connection, "out_no", out_no)
            return done is not None and done.status == "SUCCESS"

    def due_deferred(self, now_ms: int) -> list[str]:
        """Numbers whose delay is over."""
        query = "SELECT out_no FROM transfer WHERE status = 'WAITING' AND settle_at_ms <= ?"
        with self._open() as connection:
            return [row[0] for row in connection.execute(query, (now_ms,))]

    def statement(
        self, app_id: str, from_ms: int, to_ms: int, after: int = 0, limit: int = 1 << 40
    ) -> list[dict[str, object]]:
        """The movements of the merchant's account in [from, to), signed as the account saw it, from line `after` on."""
        query = """
            SELECT m.id AS line_no, m.out_no, t.kind, t.provider_ref, t.account, t.original,
                   CASE WHEN m.to_account = t.app_id THEN m.amount_fen ELSE -m.amount_fen END AS amount_fen,
                   m.fee_fen, m.at_ms
            FROM movement m JOIN transfer t ON t.out_no = m.out_no
            WHERE t.app_id = ? AND m.at_ms >= ? AND m.at_ms < ? AND m.id > ? ORDER BY m.id LIMIT ?
        """
        with self._open() as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, (app_id, from_ms, to_ms, after, limit))]

    def set_fee(self, kind: str, fee_fen: int) -> None:
        """What every movement of this kind costs the merchant from now on."""
        with self._write() as connection:
            set_value(connection, f"fee:{kind}", fee_fen)

    def set_fund_rate(self, bps_a_day: int, now_ms: int) -> None:
        """What funds yield from now on, in basis points a day."""
        with self._write() as connection:
            funds.set_rate(connection, bps_a_day, now_ms)

    def set_fund_yield(self, app_id: str, reference: str, yield_fen: int, now_ms: int) -> None:
        """What a fund has yielded so far, whatever the rate."""
        with self._write() as connection:
            funds.set_yield(connection, funds.account_of(app_id, reference), yield_fen, now_ms)

    def departures(self, towards: str, now_ms: int) -> list[Transfer]:
        """Sweeps out that are to arrive at that provider by now and have not."""
        names = ", ".join(f"t.{name}" for name in Transfer.__struct_fields__)
        query = f"""
            SELECT {names} FROM departure d JOIN transfer t ON t.out_no = d.out_no
            WHERE NOT d.arrived AND d.arrives_at_ms <= ? AND t.status = 'SUCCESS' AND lower(t.account) = ?
        """  # noqa: S608  names of our own fields
        with self._open() as connection:
            return [Transfer(*row) for row in connection.execute(query, (now_ms, towards))]

    def fetch_from(self, other: Book, name: str, now_ms: int) -> list[str]:
        """Take in what merchants sent here, to the provider of this name, from another; what somebody waited for."""
        awaited = []
        for sent in other.departures(name, now_ms):
            arrived = Order(sent.app_id, str(sent.original), None, sent.amount_fen, sent.title, "")
            if self.arrive(arrived, now_ms):
                awaited.append(arrived.out_no)
            other.mark_arrived(sent.out_no)
        return awaited

    def mark_arrived(self, out_no: str) -> None:
        """A departure is over."""
        with self._write() as connection:
            connection.execute("UPDATE departure SET arrived = 1 WHERE out_no = ?", (out_no,))

    def arrive(self, order: Order, now_ms: int) -> bool:
        """Money of the merchant comes in from another provider, once per number; whether somebody asked for it.

        It comes whatever was answered to that: it left the other provider.
        """
        with self._write() as connection:
            known = find_transfer(connection, "out_no", order.out_no)
            if known is None:
                _insert(connection, "sweep_in", order, order.account, None, None, now_ms)
            asked = known is not None and known.kind == "sweep_in" and known.status != "SUCCESS"
            if known is None or asked:
                put = "UPDATE transfer SET amount_fen = ? WHERE out_no = ?"
                connection.execute(put, (order.amount_fen, order.out_no))
                settle(connection, order.out_no, now_ms)
            return asked

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
        with closing(sqlite3.connect(self.file, isolation_level=None, timeout=10)) as connection:
            connection.execute("PRAGMA foreign_keys=ON")
            connection.execute("PRAGMA synchronous=OFF")  # a stand-in outlives kills, not power cuts
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


def _insert(
    connection: sqlite3.Connection,
    kind: str,
    order: Order,
    account: str | None,
    cashier_token: str | None,
    settle_at_ms: int | None,
    now_ms: int,
) -> None:
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
            cashier_token,
            settle_at_ms,
            now_ms,
            order.original,
        ),
    )
