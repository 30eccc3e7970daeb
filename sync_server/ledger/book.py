"""Writing the book: balanced transactions, each under a key that says what it is for, none ever written twice.

`post` writes many in a few statements. Account rows are locked in the order of their ids, whatever the order of the
legs, so that two writers never wait for each other in a circle (money.md §0.6).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from sync_server.bulk import Key, Value, add_to, among, append, as_key, insert_missing
from sync_server.db import MAX_BIND_VALUES, batches, is_sqlite, new_id
from sync_server.errors import KeyReusedError, NotFoundError, OverdrawnError
from sync_server.ledger.accounts import COVERED_CODES, Account
from sync_server.ledger.tables import ledger_account, ledger_txn, posting

PENDING_SUFFIX = ":pending"
MAX_LEGS = 1_000


class Leg(NamedTuple):
    """One side of a transaction: amount > 0 is a debit, < 0 a credit."""

    account: Account
    amount_fen: int


@dataclass(frozen=True)
class Txn:
    """What is to be written. `key` says what it is for ("redeem:<item>"); `pending` announces it without doing it.

    `reverses` names the transaction that it corrects.
    """

    key: str
    legs: tuple[Leg, ...]
    effective_at_ms: int
    actor: str
    pending: bool = False
    reverses: UUID | None = None

    def __post_init__(self) -> None:
        amounts = [leg.amount_fen for leg in self.legs]
        if not 2 <= len(amounts) <= MAX_LEGS or 0 in amounts or sum(amounts) != 0:
            raise ValueError(f"{self.key} needs 2 to {MAX_LEGS} legs, none 0, that sum to 0; it has {amounts}")


def legs(*sides: tuple[Account, int]) -> tuple[Leg, ...]:
    """Legs without those of 0 fen, which the book does not write."""
    return tuple(Leg(account, amount_fen) for account, amount_fen in sides if amount_fen)


def post(connection: Connection, txns: Sequence[Txn], now_ms: int) -> int:
    """Write the transactions; those whose key is in the book with the same body are left alone. How many were new.

    The same key with another body is a KeyReusedError; more debits than credits on what is owed to somebody (money.md
    I9) is an OverdrawnError; either way nothing of the call stands.
    """
    rows = []
    for txn in txns:
        layer = "pending" if txn.pending else "posted"
        lines = [_Line(layer, leg.account, leg.amount_fen) for leg in txn.legs]
        key = txn.key + PENDING_SUFFIX if txn.pending else txn.key
        rows.append(_Row(key, lines, txn.effective_at_ms, txn.actor, reverses=txn.reverses))
    return _write(connection, rows, now_ms)


def resolve(
    connection: Connection,
    key: str,
    happened: bool,
    effective_at_ms: int,
    actor: str,
    now_ms: int,
    besides: Sequence[Leg] = (),
) -> bool:
    """End the pending transaction of a key: it happened (posted under the key itself) or not (`<key>:void`).

    `besides` are legs that sum to 0, known only now that it happened: posted with it, as one transaction. True when
    this call did it, False when it was done before.
    """
    pending = _written(connection, key + PENDING_SUFFIX, "pending")
    if not pending:
        raise NotFoundError(f"the book has no pending transaction {key!r}")
    planned = _legs_of(pending)
    lines = [_Line("resolved", *leg) for leg in planned]
    if happened:
        lines += [_Line("posted", *leg) for leg in _added_up(planned, besides)]
    row = _Row(key if happened else f"{key}:void", lines, effective_at_ms, actor, resolves=pending[0].id)
    return _write(connection, [row], now_ms) == 1


def announced(connection: Connection, key: str) -> tuple[Leg, ...]:
    """What the pending transaction of a key said, whatever became of it."""
    return _legs_of(_written(connection, key + PENDING_SUFFIX, "pending"))


def reverse(connection: Connection, key: str, effective_at_ms: int, actor: str, now_ms: int) -> bool:
    """Undo what was posted under a key by a transaction of its own (`reverse:<key>`) that names it.

    Nothing is ever changed in the book: this is the only correction there is. True when this call did it, False when it
    was done before.
    """
    posted = _written(connection, key, "posted")
    if not posted:
        raise NotFoundError(f"the book has nothing posted under {key!r} that could be reversed")
    lines = [_Line("posted", leg.account, -leg.amount_fen) for leg in _legs_of(posted)]
    row = _Row(f"reverse:{key}", lines, effective_at_ms, actor, reverses=posted[0].id)
    return _write(connection, [row], now_ms) == 1


def _written(connection: Connection, key: str, layer: str) -> Sequence[Row[Any]]:
    """The lines of this layer that stand under exactly this key, in their order."""
    query: sa.Select[Any] = (
        sa.select(ledger_txn.c.id, ledger_account.c.code, ledger_account.c.owner_id, posting.c.amount_fen)
        .select_from(ledger_txn.join(posting).join(ledger_account))
        .where(ledger_txn.c.txn_key == key, posting.c.layer == layer)
    )
    return connection.execute(query.order_by(posting.c.leg)).all()


def _legs_of(rows: Sequence[Row[Any]]) -> tuple[Leg, ...]:
    return tuple(Leg(Account(row.code, row.owner_id), row.amount_fen) for row in rows)


def _added_up(planned: Sequence[Leg], besides: Sequence[Leg]) -> tuple[Leg, ...]:
    """Both in one, a leg per account; what was announced stays as it is where nothing came besides."""
    if not besides:
        return tuple(planned)
    sums: defaultdict[Account, int] = defaultdict(int)
    for leg in (*planned, *besides):
        sums[leg.account] += leg.amount_fen
    return legs(*sums.items())


class _Line(NamedTuple):
    layer: str
    account: Account
    amount_fen: int


class _Row(NamedTuple):
    key: str
    lines: list[_Line]
    effective_at_ms: int
    actor: str
    resolves: UUID | None = None
    reverses: UUID | None = None

    def body_hash(self) -> bytes:
        """What the key stands for: the lines in any order; not the time, which a retry may state anew."""
        body = sorted((line.layer, line.account.name, line.amount_fen) for line in self.lines)
        return sha256(msgspec.json.encode(body)).digest()


def _write(connection: Connection, rows: Sequence[_Row], now_ms: int) -> int:
    new = _insert_txns(connection, rows, now_ms)
    if not new:
        return 0
    lines = [line for _, row in new for line in row.lines]
    accounts = _accounts(connection, {line.account.name: line.account for line in lines}, now_ms)
    _add_to_totals(connection, lines, accounts)
    postings: list[dict[str, Value]] = [
        {
            "txn_id": txn_id,
            "leg": leg,
            "layer": layer,
            "account_id": accounts[account.name].id,
            "amount_fen": amount_fen,
        }
        for txn_id, row in new
        for leg, (layer, account, amount_fen) in enumerate(row.lines)
    ]
    append(connection, posting, postings)
    return len(new)


def _insert_txns(connection: Connection, rows: Sequence[_Row], now_ms: int) -> list[tuple[UUID, _Row]]:
    """Insert what is new; UNIQUE decides which, also against a transaction that runs beside this one."""
    wanted: dict[str, tuple[UUID, bytes, _Row]] = {}
    for row in rows:
        body_hash = row.body_hash()
        if row.key in wanted and wanted[row.key][1] != body_hash:
            raise KeyReusedError(f"the ledger key {row.key!r} stands for two different transactions in one call")
        wanted.setdefault(row.key, (new_id(now_ms), body_hash, row))
    values = [
        {
            "id": txn_id,
            "txn_key": key,
            "body_hash": body_hash,
            "effective_at_ms": row.effective_at_ms,
            "recorded_at_ms": now_ms,
            "resolves": row.resolves,
            "reverses": row.reverses,
            "actor": row.actor,
        }
        for key, (txn_id, body_hash, row) in sorted(wanted.items())
    ]
    if insert_missing(connection, ledger_txn, values) == len(values):
        return [(txn_id, row) for txn_id, _, row in wanted.values()]
    new, known = [], set()
    for keys in batches(sorted(wanted), MAX_BIND_VALUES):
        query = sa.select(ledger_txn.c.txn_key, ledger_txn.c.id, ledger_txn.c.body_hash)
        for there in connection.execute(query.where(among(connection, ledger_txn.c.txn_key, keys))):
            txn_id, body_hash, row = wanted[there.txn_key]
            if there.body_hash != body_hash:
                raise KeyReusedError(f"the ledger key {there.txn_key!r} is in the book with other postings")
            known.add(there.txn_key)
            if there.id == txn_id:
                new.append((txn_id, row))
    if refused := sorted(wanted.keys() - known):
        raise KeyReusedError(f"the book has ended or reversed otherwise what {refused[0]!r} is about")
    return new


class _Kept(NamedTuple):
    """An account as it is before: its id, and by how much its credits exceed its debits, those on their way counted."""

    id: Key
    left_fen: int


def _accounts(connection: Connection, by_name: Mapping[str, Account], now_ms: int) -> dict[str, _Kept]:
    """These accounts by name, all locked in the order of their ids, those that are new opened before (in the order of
    their names).
    """
    totals = ledger_account.c
    left = totals.credits_posted_fen - totals.debits_posted_fen - totals.debits_pending_fen
    found = sa.select(totals.name, as_key(totals.id), left).where(among(connection, totals.name, sorted(by_name)))
    there = connection.execute(found).all()
    missing = sorted(by_name.keys() - {name for name, *_ in there})
    if missing:
        opened: list[dict[str, Value]] = [
            {"id": new_id(now_ms), "name": name, "code": by_name[name].code, "owner_id": by_name[name].owner}
            for name in missing
        ]
        insert_missing(connection, ledger_account, opened)
    if missing or not is_sqlite(connection):
        there = connection.execute(found.order_by(totals.id).with_for_update()).all()
    return {name: _Kept(row_id, left_fen) for name, row_id, left_fen in there}


TOTALS = ("debits_posted_fen", "credits_posted_fen", "debits_pending_fen", "credits_pending_fen")


def _add_to_totals(connection: Connection, lines: Sequence[_Line], accounts: Mapping[str, _Kept]) -> None:
    """The table's CHECK would refuse an overdraft, too; here it is said whose money is lacking, and how much."""
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    taken: dict[str, Account] = {}
    for layer, account, amount_fen in lines:
        mine = sums[account.name]
        column = (0 if layer == "posted" else 2) + (0 if amount_fen > 0 else 1)
        mine[column] += -abs(amount_fen) if layer == "resolved" else abs(amount_fen)
        if amount_fen > 0 and account.code in COVERED_CODES:
            taken[account.name] = account
    for name, account in taken.items():
        debits, credits_, debits_pending, _ = sums[name]
        left_fen = accounts[name].left_fen + credits_ - debits - debits_pending
        if left_fen < 0:
            raise OverdrawnError(account.code, account.owner, -left_fen)
    add_to(connection, ledger_account, TOTALS, [(accounts[name].id, *added) for name, added in sums.items()])
