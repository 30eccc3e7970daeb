"""`check` names an item that went to the later of two rivals in one batch."""

from __future__ import annotations

import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.checks import flaws_of
from sync_server.orders.tables import item_claim
from sync_server.redemptions.tables import redemption
from tests.sync_server.test_checks import without_triggers
from tests.sync_server.town import START_MS, build_town

HOUR_MS = 3_600_000


def test_the_later_of_two_rivals_in_one_batch_that_has_the_item_is_named(any_centre: Centre) -> None:
    town = build_town(any_centre)
    [sold], gate = town.sell("single"), town.gate()
    later = gate.admit(sold, START_MS + 2 * HOUR_MS)
    first = gate.admit(sold, START_MS + HOUR_MS)  # by a clock that was set back
    town.clock.pass_ms(3 * HOUR_MS)
    town.upload(gate)
    with any_centre.write() as connection:
        assert flaws_of(connection) == []
        ids = {row.seq: row.id for row in connection.execute(sa.select(redemption))}
        outcome = sa.case((redemption.c.outcome == "CLAIMED", "CONFLICT"), else_="CLAIMED")
        connection.execute(redemption.update().values(outcome=outcome))
        without_triggers(connection, item_claim)
        connection.execute(item_claim.update().values(ref=ids[later].hex()))
        named = [flaw for flaw in flaws_of(connection) if "the first in time redeemed it" in flaw]
    assert [flaw.split("): ")[1] for flaw in named] == [f"redemption {ids[first].hex()} came before {ids[later].hex()}"]
