"""A provider that says what a test wants in its statements, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.ledger.accounts import Account
from sync_server.ledger.balances import balance
from sync_server.notices.tables import notice
from sync_server.payments.provider import StatementLine, day_of
from sync_server.payments.tables import external_transfer, transfer_attempt
from sync_server.reconciliation import reconciling
from sync_server.reconciliation.differences import Difference
from sync_server.reconciliation.statements_in import take_in
from sync_server.reconciliation.tables import (
    recon_case,
)
from tests.sync_server.conftest import START_MS, Clock
from tests.sync_server.sandbox import World, money_flaws

DAY_MS = 86_400_000
TODAY = day_of(START_MS)
TOMORROW = TODAY + timedelta(days=1)


def said(world: World, day: date) -> list[StatementLine]:
    """The sandbox's own statement of a day, as our client reads it."""
    lines = world.clients["ALIPAY"].statement(day)
    assert isinstance(lines, tuple), lines
    return list(lines)


def tell(world: World, clock: Clock, lines: Sequence[StatementLine], *, next_day: bool = True) -> None:
    """The statement of today comes in with these lines, the next day's with none, and both are judged."""
    clock.now_ms = max(clock.now_ms, START_MS + 3 * DAY_MS)
    for day, each in ((TODAY, lines), (TOMORROW, [])):
        if day == TODAY or next_day:
            with world.centre.write() as connection:
                take_in(connection, "ALIPAY", day, each, clock.now_ms)
    judge(world)


def judge(world: World) -> None:
    while reconciling.reconcile(world.centre):
        pass


def sell_and_pay(world: World, count: int = 1) -> None:
    """So many orders of one ticket, each used and paid to the venue."""
    orders = [world.buy() for _ in range(count)]
    world.turn()
    for order_id in orders:
        world.enter(world.items(order_id)[0])
    world.turn()


def cases(world: World) -> dict[str, tuple[str, int, bool]]:
    """Difference -> state, amount, whether it is in suspense."""
    with world.centre.read() as connection:
        rows = connection.execute(sa.select(recon_case)).all()
    found = {row.difference: (row.state, row.amount_fen, row.in_suspense) for row in rows}
    assert len(found) == len(rows)
    return found


def told_of(world: World, kind: str) -> list[dict[str, str]]:
    """The variables of what was promised of this kind."""
    with world.centre.read() as connection:
        found = connection.scalars(sa.select(notice.c.variables).where(notice.c.kind == kind).order_by(notice.c.id))
        return [json.loads(variables) for variables in found]


def case_id(world: World, difference: Difference) -> Any:
    with world.centre.read() as connection:
        return connection.scalars(sa.select(recon_case.c.id).where(recon_case.c.difference == difference)).one()


def posted(world: World, code: str) -> int:
    with world.centre.read() as connection:
        return balance(connection, Account(code)).posted_fen


def flaws(world: World) -> list[str]:
    with world.centre.read() as connection:
        return money_flaws(connection)


def payout_state(world: World) -> str:
    with world.centre.read() as connection:
        query = sa.select(external_transfer.c.state).where(external_transfer.c.kind == "PAYOUT")
        return str(connection.scalars(query).one())


def payout_line(world: World) -> StatementLine:
    """A line that the provider should not have: of the payout's newest attempt."""
    with world.centre.read() as connection:
        query = sa.select(transfer_attempt.c.out_no).join(
            external_transfer, external_transfer.c.id == transfer_attempt.c.transfer_id
        )
        payouts = query.where(external_transfer.c.kind == "PAYOUT").order_by(transfer_attempt.c.n.desc())
        number = connection.scalars(payouts.limit(1)).one()
    return StatementLine("late", number, "PAYOUT", -4970, 0, START_MS, "SP-late", "venue")


@dataclass(frozen=True)
class Opened:
    """What a command is given, with a centre that is open already."""

    centre: Centre

    def __call__(self) -> Centre:
        return self.centre
