"""What a transfer does to the accounts when its moment comes: it takes here and gives there, or ends with why not."""

from __future__ import annotations

import secrets
import sqlite3

from sandbox_provider import funds
from sandbox_provider.tables import AT_THE_CASHIER, PAYMENTS, Conflict, Order, Transfer, find_transfer, value_of


def payer_of(connection: sqlite3.Connection, order: Order) -> str | None:
    """Who paid what is given back; no more is given back than was paid."""
    paid = None if order.original is None else find_transfer(connection, "out_no", order.original)
    if paid is None or paid.app_id != order.app_id or paid.status != "SUCCESS" or paid.kind not in PAYMENTS:
        raise Conflict(f"{order.original} is no payment that could be given back")
    query = (
        "SELECT COALESCE(SUM(amount_fen), 0) FROM transfer "
        "WHERE original = ? AND kind = 'refund' AND status IN ('WAITING', 'SUCCESS')"
    )
    given_back = int(connection.execute(query, (order.original,)).fetchone()[0])
    if given_back + order.amount_fen > paid.amount_fen:
        raise Conflict(f"of {order.original} {paid.amount_fen - given_back} fen are left to be given back")
    return paid.account


def settle(connection: sqlite3.Connection, out_no: str, now_ms: int) -> None:
    """Move the money of a waiting transfer, or say why not."""
    transfer = find_transfer(connection, "out_no", out_no)
    assert transfer is not None
    source, target = _sides(transfer)
    if transfer.kind == "fund_buy":
        funds.open_fund(connection, str(target), now_ms)
    if transfer.kind in {"fund_buy", "fund_sell", "fund_close"}:
        funds.accrue(connection, funds.account_of(transfer.app_id, transfer.account), now_ms)
    for name in (source, target):
        if name is not None and balance_of(connection, name) is None:
            end(connection, out_no, "FAILED", f"there is no account {name}", now_ms)
            return
    if transfer.kind != "fund_close":
        _move(connection, transfer, source, target, 0, now_ms)
    elif (principal_fen := balance_of(connection, str(source))) != transfer.amount_fen:
        end(connection, out_no, "FAILED", f"the principal of {source} is {principal_fen} fen", now_ms)
    else:
        yield_fen = max(funds.take_yield(connection, str(source)), -transfer.amount_fen)
        connection.execute("UPDATE transfer SET yield_fen = ? WHERE out_no = ?", (yield_fen, out_no))
        _move(connection, transfer, source, target, yield_fen, now_ms)


def end(connection: sqlite3.Connection, out_no: str, status: str, reason: str | None, now_ms: int) -> None:
    """A transfer's last word; one that succeeded gets the provider's own number."""
    reference = f"SP{secrets.token_hex(10).upper()}" if status == "SUCCESS" else None
    connection.execute(
        "UPDATE transfer SET status = ?, reason = ?, provider_ref = ?, ended_at_ms = ? WHERE out_no = ?",
        (status, reason, reference, now_ms, out_no),
    )


def balance_of(connection: sqlite3.Connection, account: str) -> int | None:
    """None: there is no such account."""
    row = connection.execute("SELECT balance_fen FROM account WHERE name = ?", (account,)).fetchone()
    return None if row is None else int(row[0])


def _sides(transfer: Transfer) -> tuple[str | None, str | None]:
    """Whose account the money leaves and whose it reaches; None: outside of this provider.

    A purse at the cashier is not in the book and never empty.
    """
    fund = funds.account_of(transfer.app_id, transfer.account)
    match transfer.kind:
        case "payout" | "refund":
            return transfer.app_id, transfer.account
        case "fund_buy":
            return transfer.app_id, fund
        case "fund_sell" | "fund_close":
            return fund, transfer.app_id
        case "sweep_out":
            return transfer.app_id, None
        case kind if kind in AT_THE_CASHIER or kind == "sweep_in":
            return None, transfer.app_id
    return transfer.account, transfer.app_id


def _move(
    connection: sqlite3.Connection,
    transfer: Transfer,
    source: str | None,
    target: str | None,
    yield_fen: int,
    now_ms: int,
) -> None:
    """The movement and the merchant's fee for it; nothing of it when an account holds too little."""
    moved_fen = transfer.amount_fen + yield_fen
    fee_fen = value_of(connection, f"fee:{transfer.kind}") if moved_fen else 0
    changes = {name: 0 for name in (source, target, transfer.app_id) if name is not None}
    for name, change_fen in ((source, -transfer.amount_fen), (target, moved_fen), (transfer.app_id, -fee_fen)):
        if name is not None:
            changes[name] += change_fen
    for name, change_fen in changes.items():
        if (balance_of(connection, name) or 0) + change_fen < 0:
            end(connection, transfer.out_no, "INSUFFICIENT", f"account {name} holds too little", now_ms)
            return
    for name, change_fen in changes.items():
        connection.execute("UPDATE account SET balance_fen = balance_fen + ? WHERE name = ?", (change_fen, name))
    if moved_fen:
        connection.execute(
            "INSERT INTO movement (out_no, from_account, to_account, amount_fen, fee_fen, at_ms) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            (transfer.out_no, source, target, moved_fen, fee_fen, now_ms),
        )
    end(connection, transfer.out_no, "SUCCESS", None, now_ms)
