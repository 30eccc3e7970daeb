"""Redemptions cleared into payouts, with all their postings, and every invariant checked on what came of it (P15).

`./dev bench clearing [--redemptions 100000] [--modes DAILY,PER_REDEMPTION] [--databases sqlite,postgres]`

Three venues are entered with tickets of orders of ten, which a distributor has paid; the clock runs for what the worker
does: P4 for each, P10 for each order, the lines, the orders completed; at the end of the day the payouts are sealed and
their transfers requested. Paying is the provider's. Then `sync-server check` runs over all of it.
"""

from __future__ import annotations

import argparse
import secrets
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from benchmarks import rounds
from benchmarks.centre import databases, enrol, new_centre, opened
from sync_server.bulk import append
from sync_server.catalog.tables import product, stock
from sync_server.centre import Centre
from sync_server.checks import flaws_at
from sync_server.db import batches, is_sqlite, new_id
from sync_server.jobs.worker import collect_seldom
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.orders.tables import item_claim, order, order_item, ticket
from sync_server.parties.tables import party, venue
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.redemptions.tables import entry, redemption
from sync_server.settlement.clearing import clear_redemptions
from sync_server.settlement.sealing import seal_payouts
from sync_server.settlement.tables import payout, payout_line
from wire.messages import EntryKind

TICKETS_AN_ORDER = 10
ORDERS_AT_ONCE = 500
PRICE_FEN, SHARE_FEN, FEE_FEN = 5_000, 5_200, 30
DAY_MS = 86_400_000
VENUES = 3

Rows = defaultdict[sa.Table, list[dict[str, Any]]]


class Filling:
    """Orders as placing, paying, issuing and the gates leave them, a table at a time."""

    def __init__(self, centre: Centre) -> None:
        self._centre, self._now_ms, self._seq = centre, centre.now_ms() - DAY_MS, 0
        self._device = enrol(centre, "bench").device
        with centre.read() as connection:
            sold = sa.select(product.c.id, stock.c.id.label("stock_id")).join(stock, stock.c.product_id == product.c.id)
            self._product, self._stock = connection.execute(sold.where(product.c.kind == "SINGLE").limit(1)).one()
            self._venues = connection.scalars(sa.select(venue.c.id).order_by(venue.c.number).limit(VENUES)).all()
            distributors = sa.select(party.c.id).where(party.c.kind == "DISTRIBUTOR").limit(1)
            self._distributor = connection.scalars(distributors).one()
        self._cash, self._cash_fen = self._id(), 0

    def fill(self, redemptions: int) -> None:
        """So many that wait to be cleared."""
        with self._centre.write() as connection:
            cash: dict[str, Any] = {"id": self._cash, "name": "1010", "code": "1010", "owner_id": None}
            append(connection, ledger_account, [{**cash, "debits_posted_fen": 0, "credits_posted_fen": 0}])
            for part in batches(range(redemptions // TICKETS_AN_ORDER), ORDERS_AT_ONCE):
                rows: Rows = defaultdict(list)
                for _ in part:
                    self._order(rows)
                for table, listed in rows.items():
                    append(connection, table, listed)
            mine = ledger_account.update().where(ledger_account.c.id == self._cash)
            connection.execute(mine.values(debits_posted_fen=self._cash_fen))
            sold = stock.update().where(stock.c.id == self._stock)
            connection.execute(sold.values(total=stock.c.total + redemptions, sold=stock.c.sold + redemptions))

    def _id(self) -> UUID:
        return new_id(self._now_ms)

    def _order(self, rows: Rows) -> None:
        self._now_ms += 1  # as in life: a moment for each order, one for all of its items
        order_id, now_ms, price_fen = self._id(), self._now_ms, SHARE_FEN * TICKETS_AN_ORDER
        times = {"pay_deadline_ms": now_ms, "placed_at_ms": now_ms, "paid_at_ms": now_ms, "issued_at_ms": now_ms}
        named = {"id": order_id, "number": order_id.hex, "kind": "TICKET", "product_id": self._product}
        named |= {"distributor_id": self._distributor, "payment_group": order_id, "state": "ISSUED", "channel": "bench"}
        fen = {"list_fen": price_fen, "discount_fen": 0, "dist_price_fen": price_fen, "charge_fee_fen": 0}
        rows[order].append({**named, **times, **fen, "count": TICKETS_AN_ORDER, "paid_fen": price_fen})
        items = [self._ticket(rows, order_id, seq) for seq in range(1, TICKETS_AN_ORDER + 1)]
        self._paid(rows, order_id, price_fen, items)

    def _ticket(self, rows: Rows, order_id: UUID, seq: int) -> UUID:
        """A ticket for one of the venues, entered there."""
        ticket_id, item_id, redemption_id = self._id(), self._id(), secrets.token_bytes(16)
        now_ms, venue_id = self._now_ms, self._venues[seq % len(self._venues)]
        named = {"id": ticket_id, "number": ticket_id.hex, "order_id": order_id, "seq": seq}
        rows[ticket].append({**named, "stock_id": self._stock, "dist_price_fen": SHARE_FEN})
        item = {"id": item_id, "ticket_id": ticket_id, "venue_id": venue_id, "venue_price_fen": PRICE_FEN}
        rows[order_item].append({**item, "share_fen": SHARE_FEN, "payout_fee_fen": FEE_FEN})
        claim = {"item_id": item_id, "kind": "REDEEM", "ref": redemption_id.hex(), "at_ms": now_ms}
        rows[item_claim].append({**claim, "recorded_at_ms": now_ms})
        journal = {"device_id": self._device.id, "incarnation": b"journal1", "venue_id": venue_id}
        self._seq += 2
        for kind, at, ref in ((EntryKind.INTENT, self._seq, None), (EntryKind.PASSED, self._seq + 1, self._seq)):
            told = {"seq": at, "hash": bytes(32), "body": b"", "kind": int(kind), "lane": 1, "presentation": 1}
            rows[entry].append({**journal, **told, "ref_seq": ref, "occurred_at_ms": now_ms, "received_at_ms": now_ms})
        counted = {"id": redemption_id, "outcome": "CLAIMED", "ticket_id": ticket_id, "item_id": item_id}
        times = {"occurred_at_ms": now_ms, "recorded_at_ms": now_ms, "use_counted_at_ms": now_ms}
        rows[redemption].append({**journal, **counted, **times, "seq": self._seq})
        return item_id

    def _paid(self, rows: Rows, order_id: UUID, price_fen: int, items: Sequence[UUID]) -> None:
        """The charge that succeeded, and P2."""
        transfer_id, txn_id, now_ms, key = self._id(), self._id(), self._now_ms, f"charge:{order_id.hex}"
        times = {"created_at_ms": now_ms, "changed_at_ms": now_ms}
        named = {"id": transfer_id, "kind": "CHARGE", "subject_key": key, "subject_id": order_id, "provider": "ALIPAY"}
        named |= {"party_id": self._distributor, "account_ref": "distributor", "title": "bench", "state": "SUCCEEDED"}
        done = {"provider_ref": transfer_id.hex, "attempts": 1, "amount_fen": price_fen}
        rows[external_transfer].append({**named, **done, **times})
        attempt = {"transfer_id": transfer_id, "n": 1, "out_no": f"{transfer_id.hex}-1", "state": "SUCCEEDED"}
        sent = {"provider_ref": transfer_id.hex, "sent_at_ms": now_ms, "changed_at_ms": now_ms}
        rows[transfer_attempt].append({**attempt, **sent})
        txn = {"id": txn_id, "txn_key": key, "body_hash": bytes(32), "effective_at_ms": now_ms}
        rows[ledger_txn].append({**txn, "recorded_at_ms": now_ms, "actor": "benchmark"})
        self._cash_fen += price_fen
        legs = [(self._cash, price_fen)]
        owned = [("2110", item_id, PRICE_FEN) for item_id in items]
        owned.append(("2120", order_id, price_fen - PRICE_FEN * len(items)))
        for code, owner, fen in owned:
            account = {"id": self._id(), "name": f"{code}:{owner.hex}", "code": code, "owner_id": owner}
            rows[ledger_account].append({**account, "debits_posted_fen": 0, "credits_posted_fen": fen})
            legs.append((account["id"], -fen))  # type: ignore[arg-type]  # it is the id
        for number, (account_id, fen) in enumerate(legs):
            place = {"txn_id": txn_id, "leg": number, "layer": "posted", "account_id": account_id}
            rows[posting].append({**place, "amount_fen": fen})


def measure(base: Centre, url: str, mode: str, count: int) -> dict[str, Any]:
    """Seconds of clearing, sealing and checking on a copy of the filled database."""
    shift_ms = 0
    copy = opened(url, base.settings.secret_file)
    centre = Centre(copy.settings, copy.engine, copy.secrets, lambda: copy.now_ms() + shift_ms)
    with centre.write() as connection:
        connection.execute(party.update().where(party.c.kind == "VENUE").values(payout_mode=mode))
    clear_s = rounds.seconds(lambda: _dry(centre, clear_redemptions))
    shift_ms = DAY_MS
    seal_s = rounds.seconds(lambda: _dry(centre, seal_payouts))
    began = time.perf_counter()
    flaws = flaws_at(centre)
    check_s = time.perf_counter() - began
    with centre.read() as connection:
        lines = connection.scalar(sa.select(sa.func.count()).select_from(payout_line))
        payouts = connection.scalar(sa.select(sa.func.count()).select_from(payout))
    assert lines == count, (lines, count)
    assert not flaws, flaws[:3]
    centre.engine.dispose()
    return {
        "clear_s": round(clear_s, 1),
        "seal_s": round(seal_s, 2),
        "check_s": round(check_s, 1),
        "a_second": round(count / (clear_s + seal_s)),
        "payouts": payouts,
    }


def _dry(centre: Centre, step: Callable[[Centre], int]) -> None:
    while step(centre):
        pass


def main() -> None:
    """Prints the table and the line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redemptions", type=int, default=100_000)
    parser.add_argument("--modes", default="DAILY,PER_REDEMPTION")
    parser.add_argument("--databases", default="sqlite,postgres")
    asked = parser.parse_args()
    collect_seldom()  # as the worker's process does
    count = asked.redemptions // TICKETS_AN_ORDER * TICKETS_AN_ORDER
    figures: dict[str, Any] = {"benchmark": "clearing", "redemptions": count, "load": round(rounds.load(), 1)}
    lines = []
    for kind in asked.databases.split(","):
        with tempfile.TemporaryDirectory() as folder, databases(kind, Path(folder)) as make:
            base_url = make.url("base")
            base = new_centre(base_url, Path(folder))
            Filling(base).fill(count)
            if not is_sqlite(base.engine):  # as autovacuum does in time
                with base.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                    connection.exec_driver_sql("ANALYZE")
            base.engine.dispose()
            for mode in asked.modes.split(","):
                found = measure(base, make.copy(base_url, mode.lower()), mode, count)
                figures[f"{kind}_{mode.lower()}"] = found
                lines.append((kind, mode, *found.values()))
    rounds.table(lines, ("database", "payout mode", "clear s", "seal s", "check s", "redemptions/s", "payouts"))
    rounds.last_line(figures)


if __name__ == "__main__":
    main()
