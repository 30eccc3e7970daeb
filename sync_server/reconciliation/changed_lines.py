"""A line of the provider's statement that comes again and says something else 对账单内容变动: a case for a person.

What it said first stands in the table, and what two persons wrote off of earlier cases stands in the book: a case is
about what the line says beyond both. Only what it says now is open.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server.bulk import among
from sync_server.db import MAX_BIND_VALUES, batches
from sync_server.reconciliation.case_states import OPEN
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.recon_cases import MAX_NOTE_CHARACTERS, NewCase, open_cases, outdated
from sync_server.reconciliation.tables import recon_case

SAID = ("out_no", "provider_ref", "kind", "amount_fen", "fee_fen", "account_ref", "original_out_no", "at_ms")
"""What a line says: columns of `statement_line`, attributes of `StatementLine`."""
_AS_FIRST = "it says again what it said first"


def differs(row: Mapping[str, Any], line: sa.Row[Any], names: Sequence[str] = SAID) -> bool:
    """Whether the line said something else first."""
    return any(getattr(line, name) != row[name] for name in names)


def tell_changes(
    connection: Connection,
    provider: str,
    rows: Sequence[Mapping[str, Any]],
    known: Mapping[str, sa.Row[Any]],
    now_ms: int,
) -> int:
    """Open a case of each thing that these lines say anew, end those of what they say no more; how many are new."""
    earlier = _earlier(connection, provider, [row["line_no"] for row in rows])
    new = []
    for row in rows:
        line, cases = known[row["line_no"]], earlier[row["line_no"]]
        case = _case(row, line, cases) if cases or differs(row, line) else None
        open_ = [one for one in cases if one.state in OPEN]
        stays = [one for one in open_ if case is not None and _says_the_same(one, case)]
        for one in open_:
            if one not in stays:
                outdated(connection, one, now_ms)
        if case is not None and not stays:
            new.append(case)
    return open_cases(connection, new, now_ms)


def _earlier(connection: Connection, provider: str, numbers: Sequence[str]) -> dict[str, list[sa.Row[Any]]]:
    """The cases that changes of these lines opened before, which nobody settles meanwhile."""
    query = sa.select(recon_case).where(
        recon_case.c.difference == Difference.LINE_CHANGED, recon_case.c.provider == provider
    )
    found: defaultdict[str, list[sa.Row[Any]]] = defaultdict(list)
    for some in batches(numbers, MAX_BIND_VALUES):
        mine = query.where(among(connection, recon_case.c.line_no, some)).order_by(recon_case.c.id)
        for case in connection.execute(mine.with_for_update()):
            found[case.line_no].append(case)
    return found


def _case(row: Mapping[str, Any], line: sa.Row[Any], earlier: Sequence[sa.Row[Any]]) -> NewCase | None:
    """What the line says now, if it is neither in the book nor explained."""
    changes = [f"{name}: {getattr(line, name)} -> {row[name]}" for name in SAID if getattr(line, name) != row[name]]
    note = "; ".join(changes) or _AS_FIRST
    booked_fen = sum(one.amount_fen for one in earlier if one.settled_as == "WRITTEN_OFF")
    beyond_fen = (row["amount_fen"] - row["fee_fen"]) - (line.amount_fen - line.fee_fen) - booked_fen
    subject = f"{row['provider']}:{line.line_no}:{sha256(note.encode()).hexdigest()[:8]}-{len(earlier)}"
    note = note[:MAX_NOTE_CHARACTERS]
    case = NewCase(Difference.LINE_CHANGED, row["provider"], subject, beyond_fen, line_no=line.line_no, note=note)
    if not beyond_fen and (not changes or any(_booked_as(one, case) for one in earlier)):
        return None
    explained = any(one.settled_as == "EXPLAINED" and _says_the_same(one, case) for one in earlier)
    return None if explained else case


def _booked_as(one: sa.Row[Any], case: NewCase) -> bool:
    return one.settled_as == "WRITTEN_OFF" and _word(one.subject) == _word(case.subject)


def _says_the_same(one: sa.Row[Any], case: NewCase) -> bool:
    return _word(one.subject) == _word(case.subject) and bool(one.amount_fen == case.amount_fen)


def _word(subject: str) -> str:
    """The digest of what the line said, without how many cases it had before."""
    return subject.rpartition(":")[2].partition("-")[0]
