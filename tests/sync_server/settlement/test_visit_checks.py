"""`check` names a visit with a pass whose booking is not its line's, or that was given back and costs something."""

from __future__ import annotations

import pytest

from sync_server.ledger.tables import ledger_txn
from sync_server.redemptions.tables import entry, redemption
from sync_server.settlement.tables import clawback, payout_line
from tests.sync_server.conftest import Clock
from tests.sync_server.operators import two_of_finance
from tests.sync_server.sandbox import World, money_flaws
from tests.sync_server.settlement.test_balance_checks import named, planted
from tests.sync_server.settlement.test_visits import a_pass_in_use, give_back, settle, visit
from tests.sync_server.test_checks import without_triggers
from wire.messages import EntryKind

AS_BOOKED, GIVEN_BACK, BY_NAME = "booked as its line says", "staff gave back costs nothing", "booked back by name"


@pytest.fixture
def visits(world: World, clock: Clock) -> tuple[bytes, bytes]:
    """One that was paid, one that was given back after it was."""
    a_pass_in_use(world, clock)
    settle(world, two_of_finance(world.centre), "PER_VISIT", 600)
    kept, returned = visit(world), visit(world)
    visit(world, given_back=True)
    world.turn()
    give_back(world, returned)
    world.turn()
    return kept, returned


def test_each_planted_flaw_is_named(world: World, visits: tuple[bytes, bytes]) -> None:
    kept, returned = visits
    dearer = {"gross_fen": payout_line.c.gross_fen + 10, "net_fen": payout_line.c.net_fen + 10}
    cheaper = {"fee_fen": payout_line.c.fee_fen - 1, "net_fen": payout_line.c.net_fen + 1}
    owed = {"id": world.centre.new_id(), "venue_id": world.venue, "owed_fen": 596, "agreed_at_ms": 0}
    back = ledger_txn.c.txn_key == f"returned:{returned.hex()}"
    mine = clawback.c.redemption_id == returned
    with world.centre.write() as connection:
        assert money_flaws(connection) == []
        without_triggers(connection, ledger_txn)
        without_triggers(connection, entry)
        for rules, statement in (
            ({AS_BOOKED}, payout_line.update().where(payout_line.c.redemption_id == kept).values(dearer)),
            ({AS_BOOKED}, payout_line.update().where(payout_line.c.redemption_id == kept).values(cheaper)),
            ({AS_BOOKED}, ledger_txn.update().values(txn_key="x" + ledger_txn.c.txn_key)),
            ({GIVEN_BACK}, redemption.update().where(redemption.c.id == kept).values(cleared_at_ms=None)),
            ({GIVEN_BACK}, entry.delete().where(entry.c.kind == int(EntryKind.RETURNED))),
            ({GIVEN_BACK}, clawback.delete().where(mine)),
            ({GIVEN_BACK, BY_NAME}, clawback.insert().values(redemption_id=kept, **owed)),
            ({BY_NAME}, clawback.update().where(mine).values(owed_fen=600)),
            ({BY_NAME}, ledger_txn.update().where(back).values(reverses=None)),
            ({BY_NAME}, ledger_txn.update().where(back).values(txn_key="another")),
        ):
            with planted(connection, statement) as flaws:
                assert [rule for rule in rules if not named(flaws, rule)] == [], (rules, str(statement), flaws)
