"""For walks over machines: a worker has a look at one transfer, and its provider answers what the walk wants."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from sync_server import outbox
from sync_server.ledger.balances import trial_balance
from sync_server.ledger.tables import ledger_account
from sync_server.payments import transfers
from sync_server.payments.provider import Answer, StatementLine, day_of
from sync_server.reconciliation.reconciling import reconcile
from sync_server.reconciliation.statements_in import bounds, take_in
from sync_server.reconciliation.tables import recon_case
from tests.sync_server.conftest import Clock
from tests.sync_server.payments.test_transfers import Killed, ScriptedProvider
from tests.sync_server.sandbox import World

DAY_MS = 86_400_000


def looked_at(
    world: World, transfer_id: UUID, *answers: Answer | type[Killed], provider: str = "ALIPAY"
) -> list[tuple[str, str]]:
    """What the provider was asked; nothing, where the transfer needs nothing any more."""
    with world.centre.write() as connection:
        outbox.promise(connection, transfers.JOB, transfer_id, world.centre.now_ms())
    client = ScriptedProvider(list(answers))
    transfers.move_now(world.centre, {provider: client}, transfer_id)
    return client.calls


def stated(world: World, clock: Clock, out_no: str | None, kind: str, amount_fen: int) -> UUID:
    """The provider's statement of the day that ends now has this line alone, and it becomes a case: which one."""
    day, line_no = day_of(clock()), world.centre.new_id().hex
    clock.pass_ms(DAY_MS)
    line = StatementLine(line_no, out_no, kind, amount_fen, 0, bounds(day)[0], f"ref-{line_no}")
    with world.centre.write() as connection:
        take_in(connection, "ALIPAY", day, [line], clock())
    while reconcile(world.centre):
        pass
    with world.centre.read() as connection:
        of_line = sa.or_(recon_case.c.line_no == line_no, recon_case.c.subject == out_no)
        found: UUID = connection.scalars(sa.select(recon_case.c.id).where(of_line, recon_case.c.in_suspense)).one()
    return found


def books(connection: Connection) -> tuple[Counter[str], int]:
    """What is posted by account code, and how much is pending anywhere."""
    pending = sa.select(sa.func.coalesce(sa.func.sum(ledger_account.c.debits_pending_fen), 0))
    posted = Counter({line.code: line.balance_fen for line in trial_balance(connection)})
    return posted, int(connection.execute(pending).scalar_one())


def changes(before: Counter[str], after: Counter[str]) -> dict[str, int]:
    """By code, without those that stayed."""
    return {code: after[code] - before[code] for code in {*before, *after} if after[code] != before[code]}
