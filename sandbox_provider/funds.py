"""Fund accounts: one per merchant and reference, principal at cost, and a yield that grows by the day beside it.

The principal is the balance of the account `fund:<app>:<reference>`; the yield is nobody's until the fund is closed.
"""

from __future__ import annotations

import sqlite3

from sandbox_provider.tables import set_value, value_of

DAY_MS = 24 * 3_600_000
PER_YIELD = 10_000  # the daily rate is in basis points of the principal
RATE = "fund_bps_a_day"


def account_of(app_id: str, reference: str | None) -> str:
    """The account that holds the principal of a merchant's fund."""
    return f"fund:{app_id}:{reference}"


def open_fund(connection: sqlite3.Connection, account: str, now_ms: int) -> None:
    """Open it unless it is open."""
    connection.execute("INSERT INTO account VALUES (?, 0) ON CONFLICT DO NOTHING", (account,))
    connection.execute("INSERT INTO fund VALUES (?, 0, ?) ON CONFLICT DO NOTHING", (account, now_ms))


def accrue(connection: sqlite3.Connection, account: str, now_ms: int) -> None:
    """Add the yield of each whole day since the last time (below 0: a loss)."""
    connection.execute(
        """
        UPDATE fund SET yield_fen = yield_fen + days * (principal_fen * ? / ?),
                        accrued_until_ms = accrued_until_ms + days * ?
        FROM (SELECT balance_fen AS principal_fen FROM account WHERE name = ?),
             (SELECT (? - accrued_until_ms) / ? AS days FROM fund WHERE account = ?)
        WHERE account = ? AND days > 0
        """,
        (value_of(connection, RATE), PER_YIELD, DAY_MS, account, now_ms, DAY_MS, account, account),
    )


def take_yield(connection: sqlite3.Connection, account: str) -> int:
    """What has grown so far; none of it is left."""
    row = connection.execute("SELECT yield_fen FROM fund WHERE account = ?", (account,)).fetchone()
    connection.execute("UPDATE fund SET yield_fen = 0 WHERE account = ?", (account,))
    return 0 if row is None else int(row[0])


def set_rate(connection: sqlite3.Connection, bps_a_day: int, now_ms: int) -> None:
    """Another daily rate from now on, in basis points; below 0 funds lose."""
    for (account,) in connection.execute("SELECT account FROM fund").fetchall():
        accrue(connection, account, now_ms)
    set_value(connection, RATE, bps_a_day)


def set_yield(connection: sqlite3.Connection, account: str, yield_fen: int, now_ms: int) -> None:
    """What a fund has yielded so far, whatever its rate."""
    open_fund(connection, account, now_ms)
    connection.execute("UPDATE fund SET yield_fen = ? WHERE account = ?", (yield_fen, account))
