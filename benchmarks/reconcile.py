"""A day's statement of 10,000 lines against the ledger: the pure matching, and all of it on each database (< 2 s).

`./dev bench reconcile [--lines 10000] [--databases sqlite,postgres]`

All of it: the lines come in, their movements are found, each line is judged, the provider's fee on every tenth of them
is booked, and one in a hundred is a difference that becomes a case.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import sqlalchemy as sa

from benchmarks import rounds
from benchmarks.centre import databases, new_centre, opened
from sync_server.centre import Centre
from sync_server.db import new_id
from sync_server.ledger import book
from sync_server.ledger.accounts import Account
from sync_server.payments.provider import StatementLine, day_of
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.reconciliation import reconciling
from sync_server.reconciliation.matching import Movement, match
from sync_server.reconciliation.statements_in import bounds, take_in
from sync_server.reconciliation.tables import recon_case

AMOUNT_FEN = 5_231
LIMIT_S = 2.0


def settle_transfers(centre: Centre, count: int, at_ms: int) -> list[UUID]:
    """So many charges that succeeded, as placing, paying and booking leave them."""
    ids = [new_id(at_ms) for _ in range(count)]
    transfers, attempts, txns = [], [], []
    for one in ids:
        same = {"state": "SUCCEEDED", "provider_ref": f"P{one.hex[-20:]}", "changed_at_ms": at_ms}
        transfers.append(
            {
                **same,
                "id": one,
                "kind": "CHARGE",
                "subject_key": f"charge:{one.hex}",
                "subject_id": one,
                "provider": "ALIPAY",
                "account_ref": "distributor",
                "amount_fen": AMOUNT_FEN,
                "title": "benchmark",
                "attempts": 1,
                "created_at_ms": at_ms,
            }
        )
        attempts.append({**same, "transfer_id": one, "n": 1, "out_no": f"{one.hex}-1", "sent_at_ms": at_ms})
        sides = book.legs((Account("1010"), AMOUNT_FEN), (Account("4010"), -AMOUNT_FEN))
        txns.append(book.Txn(f"charge:{one.hex}", sides, at_ms, "benchmark"))
    with centre.write() as connection:
        connection.execute(external_transfer.insert(), transfers)
        connection.execute(transfer_attempt.insert(), attempts)
        book.post(connection, txns, at_ms)
    return ids


def lines_of(ids: Iterable[UUID], at_ms: int) -> list[StatementLine]:
    """What the provider says of them: every tenth with a fee, one in a hundred another amount."""
    return [
        StatementLine(
            f"L{number}",
            f"{one.hex}-1",
            "CHARGE",
            AMOUNT_FEN + (number % 100 == 0),
            31 if number % 10 == 0 else 0,
            at_ms,
            None,
            "distributor",
        )
        for number, one in enumerate(ids)
    ]


def reconcile_all(centre: Centre, lines: Sequence[StatementLine], at_ms: int) -> None:
    """The day's statement, and an empty one of the next day; judged and ended."""
    day = day_of(at_ms)
    with centre.write() as connection:
        take_in(connection, "ALIPAY", day, lines, centre.now_ms())
        take_in(connection, "ALIPAY", day + timedelta(days=1), [], centre.now_ms())
    while reconciling.reconcile(centre):
        pass
    with centre.read() as connection:
        cases = connection.scalar(sa.select(sa.func.count()).select_from(recon_case))
    assert cases == len(lines) // 100, cases


def match_alone(lines: Sequence[StatementLine], at_ms: int) -> None:
    """The same lines and movements, with nothing to read or write."""
    ours = [Movement(f"{line.out_no}", "CHARGE", AMOUNT_FEN, "SUCCEEDED", True, at_ms, at_ms) for line in lines]
    outcome = match(lines, ours, lambda _at_ms: True)
    assert len(outcome.judged) == len(lines)
    assert not outcome.lacking


def measure(kind: str, count: int, folder: Path) -> dict[str, float]:
    """One database's seconds: the median of several rounds, each on a copy of the same database."""
    folder.mkdir()
    with databases(kind, folder) as make:
        base = make.url("base")
        centre = new_centre(base, folder)
        at_ms = bounds(day_of(centre.now_ms()))[0] - 3 * 86_400_000 + 3_600_000
        lines = lines_of(settle_transfers(centre, count, at_ms), at_ms)
        secret_file = centre.settings.secret_file
        centre.engine.dispose()
        taken, pure = [], []
        for number in range(rounds.ROUNDS):
            copy = opened(make.copy(base, f"round{number}"), secret_file)
            taken.append(rounds.seconds(lambda: reconcile_all(copy, lines, at_ms)))  # noqa: B023  called at once
            pure.append(rounds.seconds(lambda: match_alone(lines, at_ms)))
            copy.engine.dispose()
    return {"match_s": statistics.median(pure), "reconcile_s": statistics.median(taken)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--databases", default="sqlite,postgres")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        found = {kind: measure(kind, asked.lines, Path(name) / kind) for kind in asked.databases.split(",")}
    rows = [
        [kind, f"{figures['match_s']:.3f}", f"{figures['reconcile_s']:.3f}", f"< {LIMIT_S:.0f}"]
        for kind, figures in found.items()
    ]
    rounds.table(rows, ["database", "matching alone, s", "all of it, s", "bar, s"])
    rounds.last_line(
        {
            "lines": asked.lines,
            **{f"{kind}_{name}": round(v, 3) for kind, each in found.items() for name, v in each.items()},
        }
    )


if __name__ == "__main__":
    main()
