"""`check` names what is wrong with payouts, claw-backs, pools and income: each flaw planted, seen, and taken back."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.checks import flaws_of
from sync_server.db import new_id
from sync_server.ledger.tables import ledger_account
from sync_server.orders.tables import charge_back
from sync_server.redemptions.tables import redemption
from sync_server.settlement.paying_again import pay_again
from sync_server.settlement.tables import (
    clawback,
    debt_end,
    income_month,
    payout,
    payout_adjustment,
    payout_line,
    visit_pool,
)
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.sandbox import World, money_flaws
from tests.sync_server.settlement.test_payouts import clawed_back, given_up, used
from tests.sync_server.settlement.test_visits import a_pass_in_use, visit


def everything(world: World, clock: Clock) -> None:
    """A payout that was paid again, a claw-back that was kept back of another, a visit, a pass that earns."""
    two = two_of_finance(world.centre)
    a_pass_in_use(world, clock)
    world.buy(9)  # so that there is money
    order_id = used(world)
    number = given_up(world, clock, two)
    with world.centre.write() as connection:
        pay_again(connection, two[0], number, "another account", clock.now_ms)
    world.turn()
    clawed_back(world, clock, order_id, two)
    used(world, 2)
    visit(world)
    world.turn()


def test_each_planted_flaw_is_named(world: World, clock: Clock) -> None:
    everything(world, clock)
    a_line = sa.select(payout_line.c.redemption_id).where(payout_line.c.kind == "REDEEM").limit(1).scalar_subquery()
    now = {"booked_by": "nobody", "booked_at_ms": 0}
    pooled = {"product_id": world.annual, "month": "2026-09", "amount_fen": 100, "visits": 1}
    borne = {"distributor_id": world.distributor, "amount_fen": 5000, "honoured_at_ms": 0}
    owed = {"party_id": world.venue, "amount_fen": 5, "asked_at_ms": 0}
    receivable = ledger_account.update().where(ledger_account.c.code == "1220")
    replaced = payout.update().where(payout.c.state == "REPLACED")
    planted: list[tuple[str, sa.sql.dml.UpdateBase]] = [
        ("paid by one other", replaced.values(total_fen=1)),
        ("sum of its lines", payout_adjustment.delete()),
        ("a payout line belongs", redemption.update().values(outcome="LATE")),
        ("payable was debited", clawback.update().values(netted_fen=1)),
        ("claw-back kept", clawback.update().values(netted_fen=1)),
        ("claw-back kept", clawback.update().values(owed_fen=clawback.c.owed_fen + 1)),
        ("neither kept nor ended", receivable.values(debits_posted_fen=9_999)),
        ("pool holds", visit_pool.insert().values(**pooled, **now)),
        ("defers nothing", income_month.insert().values(month="2030-01", end_minute=9_999_999, done_at_ms=1)),
        ("distributor bears", charge_back.insert().values(redemption_id=a_line, **borne)),
        ("what a party owed ended", debt_end.insert().values(id=new_id(0), **owed)),
        ("what a party owed ended", charge_back.insert().values(redemption_id=a_line, **borne, given_up_at_ms=1)),
        ("marked as cleared", redemption.update().values(cleared_at_ms=None)),
    ]  # fmt: skip
    with world.centre.write() as connection:
        assert money_flaws(connection) == []
        for rule, statement in planted:
            with connection.begin_nested() as planting:
                connection.execute(statement)
                found = [flaw for flaw in flaws_of(connection) if rule in flaw.split("):")[0]]
                planting.rollback()
            assert found and found[0].split("): ")[1], rule
