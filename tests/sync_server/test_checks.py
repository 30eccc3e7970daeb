"""`check` finds what is planted: one wrong row per invariant, named; and an untouched centre has no flaw."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from sync_server.catalog.tables import stock
from sync_server.checks import flaws_of
from sync_server.db import is_sqlite
from sync_server.ledger.tables import ledger_account, ledger_txn, posting
from sync_server.orders.tables import item_claim, order, order_item
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.redemptions.tables import entry, redemption
from sync_server.settlement.tables import payout, payout_line
from tests.sync_server.sandbox import World, money_flaws


def settled(world: World) -> UUID:
    """One ticket bought, used and paid; one bought and not used."""
    order_id = world.buy()
    world.buy()
    world.turn()
    world.enter(world.items(order_id)[0])
    world.turn()
    return order_id


def test_an_untouched_centre_has_no_flaw(world: World) -> None:
    settled(world)
    with world.centre.read() as connection:
        assert money_flaws(connection) == []


CHARGE = sa.select(ledger_txn.c.id).where(ledger_txn.c.txn_key.like("charge:%")).limit(1).scalar_subquery()

STRANGE_ENTRY: dict[str, Any] = {
    "device_id": b"nobody's" * 2, "incarnation": bytes(8), "seq": 1, "hash": bytes(32), "body": b"", "kind": 11,
    "lane": 1, "presentation": 0, "venue_id": UUID(int=1), "occurred_at_ms": 0, "received_at_ms": 0,
}  # fmt: skip

STILL_HELD = (  # of the item that was used
    ledger_account.update()
    .where(ledger_account.c.code == "2110", ledger_account.c.debits_posted_fen > 0)
    .values(credits_posted_fen=ledger_account.c.credits_posted_fen + 1)
)
IS_PAYOUT = external_transfer.c.kind == "PAYOUT"
NOT_USED = (
    sa.select(order_item.c.id).where(order_item.c.id.not_in(sa.select(item_claim.c.item_id))).limit(1).scalar_subquery()
)

TOGETHER = {
    "payment_group": sa.select(order.c.id).where(order.c.state == "COMPLETED").limit(1).scalar_subquery(),
    "state": "PENDING_PAYMENT",
}

PLANTED: list[tuple[str, str, sa.sql.dml.UpdateBase]] = [
    ("I1", "postings sum", posting.update().where(posting.c.leg == 0).values(amount_fen=1)),
    ("I1", "in each layer", posting.update().where(posting.c.leg == 0).values(layer="pending")),
    ("I1", "without postings", posting.delete()),
    ("I2", "totals", ledger_account.update().values(credits_posted_fen=ledger_account.c.credits_posted_fen + 1)),
    ("I4", "ended by a redemption that counts", redemption.update().values(outcome="REPEAT")),
    ("I13", "holds the claim", item_claim.update().values(kind="FORFEIT", ref="expired")),
    ("I4", "money goes back", item_claim.update().values(kind="REFUND", ref="requested")),
    ("I10", "holds back no margin", order.update().values(state="COMPLETED")),
    ("I10", "completed when every item ended", order.update().values(state="COMPLETED")),
    (
        "I10",
        "waits for the end of its items",
        order.update().where(order.c.state == "COMPLETED").values(state="ISSUED", first_end=9),
    ),
    ("I6", "could still succeed", order.update().values(state="CLOSED_UNPAID", paid_fen=0)),
    ("I12", "void in the book", external_transfer.update().values(state="VOID", provider_ref=None)),
    ("I12", "moved beside a transfer", transfer_attempt.update().values(state="EXTRA")),
    ("I18", "undoes exactly", ledger_txn.update().where(ledger_txn.c.txn_key.like("redeem:%")).values(reverses=CHARGE)),
    ("I13", "gate that is known", entry.insert().values(STRANGE_ENTRY)),
    ("I4", "payout line", redemption.update().values(outcome="REPEAT")),
    ("I5", "sum of its lines", payout.update().values(total_fen=1)),
    ("I5", "payable", ledger_account.update().where(ledger_account.c.code == "2210").values(debits_posted_fen=9)),
    ("I6", "items share", order_item.update().values(share_fen=order_item.c.share_fen + 1)),
    ("I6", "charged", order.update().values(charge_fee_fen=0, paid_fen=0)),
    ("I6", "exactly when its charge", order.update().values(paid_fen=0)),
    ("I6", "all unpaid in one state", order.update().where(order.c.state == "ISSUED").values(**TOGETHER)),
    ("I16", "reserved of a stock row", stock.update().values(reserved=1)),
    ("I16", "name is down", order.update().values(kind="PASS", state="ISSUING")),
    ("I7", "held", order_item.update().values(venue_price_fen=4999)),
    ("I7", "held", STILL_HELD),
    ("I4", "marked as cleared", payout_line.delete()),
    ("I4", "payout line", payout_line.update().values(item_id=NOT_USED)),
    ("I4", "money goes back", external_transfer.update().where(IS_PAYOUT).values(kind="REFUND", subject_id=NOT_USED)),
    ("I13", "counts is a redemption", redemption.update().values(seq=redemption.c.seq + 1)),
    ("I13", "from an entry that counts", redemption.update().values(seq=redemption.c.seq + 1)),
    ("I10", "closed as refunded exactly", order.update().values(state="CLOSED_REFUNDED")),
    ("I12", "reference", transfer_attempt.update().values(provider_ref="another")),
    (
        "I12",
        "posted",
        external_transfer.update().values(subject_key="x" + external_transfer.c.subject_key),
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "rule", "statement"), PLANTED, ids=[f"{name}-{rule}" for name, rule, _ in PLANTED])
def test_a_planted_flaw_is_named(world: World, name: str, rule: str, statement: sa.sql.dml.UpdateBase) -> None:
    settled(world)
    with world.centre.write() as connection:
        without_triggers(connection, posting)
        without_triggers(connection, item_claim)
        without_triggers(connection, ledger_txn)
        connection.execute(statement)
        flaws = flaws_of(connection)
    found = [flaw for flaw in flaws if flaw.startswith(f"{name} (") and rule in flaw.split("):")[0]]
    assert found, flaws
    assert found[0].split("): ")[1]


def test_a_lost_guard_is_named(world: World) -> None:
    with world.centre.write() as connection:
        without_triggers(connection, ledger_txn)
        flaws = flaws_of(connection)
    assert "guards: trigger ledger_txn__append_only_update is missing" in flaws


def without_triggers(connection: sa.Connection, table: sa.Table) -> None:
    for what in ("update", "delete"):
        on = "" if is_sqlite(connection) else f" ON {table.name}"
        connection.exec_driver_sql(f"DROP TRIGGER {table.name}__append_only_{what}{on}")
