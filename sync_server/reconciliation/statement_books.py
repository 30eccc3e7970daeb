"""What the lines of a provider's statement book, fees (P13) and what we cannot explain (P14); what they stand for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import among, insert_missing
from sync_server.db import MAX_BIND_VALUES, batches
from sync_server.ledger import book
from sync_server.ledger.tables import ledger_txn
from sync_server.payments.providers import CLEARING
from sync_server.reconciliation.case_states import OPEN
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.matching import Judged
from sync_server.reconciliation.movements import Ours
from sync_server.reconciliation.recon_cases import FEES, SUSPENSE, explained
from sync_server.reconciliation.tables import recon_case, statement_match

ACTOR = "system:reconciliation"


def line_key(provider: str, line_no: str) -> str:
    """The ledger key of what a line leaves unexplained; its fee has `:fee` behind it."""
    return f"stmt:{provider}:{line_no}"


def book_lines(
    connection: Connection, provider: str, judged: Sequence[Judged], found: Mapping[str, Ours], now_ms: int
) -> None:
    """P13 and P14 of these lines, and which transactions each of them stands for."""
    clearing, txns, roles, mine = CLEARING[provider], [], {}, {}
    for one in judged:
        key = line_key(provider, one.line.line_no)
        if one.fee_fen:
            sides = book.legs((FEES, one.fee_fen), (clearing, -one.fee_fen))
            txns.append(book.Txn(f"{key}:fee", sides, one.line.at_ms, ACTOR))
            roles[f"{key}:fee"] = (one.line.line_no, "FEE")
        if one.suspense_fen:
            sides = book.legs((clearing, one.suspense_fen), (SUSPENSE, -one.suspense_fen))
            txns.append(book.Txn(key, sides, one.line.at_ms, ACTOR))
            roles[key] = (one.line.line_no, "SUSPENSE")
        if one.mine:
            mine[one.line.line_no] = found[str(one.line.out_no)]
    book.post(connection, txns, now_ms)
    _note_matches(connection, provider, roles, mine)
    _end_missing(connection, [ours.ledger_key for ours in mine.values()], now_ms)


def correct_line(connection: Connection, provider: str, line: sa.Row[Any], ours: Ours, now_ms: int) -> None:
    """What was in suspense is a movement of ours after all: that much of it is taken out again."""
    stand_for(connection, provider, line, ours.ledger_key, ours.movement.amount_fen, now_ms)
    _end_missing(connection, [ours.ledger_key], now_ms)


def stand_for(
    connection: Connection, provider: str, line: sa.Row[Any], ledger_key: str, amount_fen: int, now_ms: int
) -> None:
    """The same of any transaction that moved so much on the provider's clearing account."""
    key = f"{line_key(provider, line.line_no)}:matched"
    sides = book.legs((SUSPENSE, amount_fen), (CLEARING[provider], -amount_fen))
    book.post(connection, [book.Txn(key, sides, line.at_ms, ACTOR)], now_ms)
    roles = {key: (line.line_no, "CORRECTION"), ledger_key: (line.line_no, "MOVEMENT")}
    _note_matches(connection, provider, roles, {})


def _note_matches(
    connection: Connection, provider: str, roles: Mapping[str, tuple[str, str]], mine: Mapping[str, Ours]
) -> None:
    """What each line stands for: ledger key -> line and role, and line -> the movement that it is."""
    rows: list[dict[str, Any]] = [
        {"txn_id": ours.txn_id, "provider": provider, "line_no": line_no, "role": "MOVEMENT"}
        for line_no, ours in mine.items()
        if ours.txn_id is not None
    ]
    for keys in batches(sorted(roles), MAX_BIND_VALUES):
        query = sa.select(ledger_txn.c.txn_key, ledger_txn.c.id).where(among(connection, ledger_txn.c.txn_key, keys))
        for key, txn_id in connection.execute(query):
            line_no, role = roles[key]
            rows.append({"txn_id": txn_id, "provider": provider, "line_no": line_no, "role": role})
    insert_missing(connection, statement_match, rows)


def _end_missing(connection: Connection, keys: Sequence[str], now_ms: int) -> None:
    """Movements that were missing at the provider and have their line now."""
    missing = sa.select(recon_case).where(
        recon_case.c.difference == Difference.MISSING_THERE, recon_case.c.state.in_(OPEN)
    )
    wanted = set(keys)
    for case in connection.execute(missing).all():
        if case.subject in wanted:
            explained(connection, case, 0, now_ms)
