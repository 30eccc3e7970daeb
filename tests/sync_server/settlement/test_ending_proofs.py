"""`check` names an item that ended unused though an admission was still to come that was made before."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.checks import flaws_of
from sync_server.gates.tables import incarnation
from sync_server.orders.tables import refund_hold, ticket
from sync_server.settlement.ending_proofs import RULE
from sync_server.settlement.expiring import expire_items
from sync_server.settlement.refunding import ask, confirm_refunds
from tests.sync_server.town import START_MS, Gate, Sold, Town, build_town
from wire.messages import ClockTrust

HOUR_MS = 3_600_000
TEN_DAYS_MS = 240 * HOUR_MS


@pytest.fixture
def town(any_centre: Centre) -> Town:
    return build_town(any_centre)


def with_a_gate(town: Town) -> tuple[Gate, Sold]:
    """It has spoken, and has said how far its journal is complete of no moment yet."""
    gate, [sold] = town.gate(), town.sell("single")
    town.upload(gate)
    return gate, sold


def said_to_be_complete(town: Town, **said: int) -> None:
    """Far too much, by a fault that this stands for."""
    with town.centre.write() as connection:
        connection.execute(incarnation.update().values(synced_through_ms=START_MS + 2 * TEN_DAYS_MS, **said))


def named(town: Town) -> list[str]:
    with town.centre.read() as connection:
        flaws = flaws_of(connection)
    assert [flaw for flaw in flaws if not flaw.startswith(RULE)] == []
    return flaws


@pytest.mark.parametrize(
    ("made", "proves"),
    [
        ({}, True),
        ({"trust": ClockTrust.HELD}, False),
        ({"at_ms": START_MS + 8 * 24 * HOUR_MS}, False),
    ],
    ids=["in its time", "by a clock that was not sure", "after its time"],
)
def test_what_expired_while_an_entry_of_its_time_was_on_its_way(town: Town, made: dict[str, Any], proves: bool) -> None:
    gate, sold = with_a_gate(town)
    said_to_be_complete(town)
    town.clock.pass_ms(TEN_DAYS_MS)
    assert expire_items(town.centre) == 1
    assert named(town) == []
    town.clock.pass_ms(HOUR_MS)
    gate.admit(sold, **{"at_ms": START_MS + HOUR_MS, **made})
    town.upload(gate)
    assert bool(named(town)) is proves


def test_a_journal_that_was_given_up_in_time_proves_nothing(town: Town) -> None:
    gate, sold = with_a_gate(town)
    with town.centre.write() as connection:
        connection.execute(incarnation.update().values(retired_at_ms=START_MS))
    town.clock.pass_ms(TEN_DAYS_MS)
    assert expire_items(town.centre) == 1
    gate.admit(sold, START_MS + HOUR_MS)
    town.clock.pass_ms(1)
    town.upload(gate)
    assert named(town) == []


@pytest.mark.parametrize(("list_version", "proves"), [(4, True), (5, False)])
def test_what_was_given_back_while_an_entry_under_an_older_list_was_on_its_way(
    town: Town, list_version: int, proves: bool
) -> None:
    gate, sold = with_a_gate(town)
    said_to_be_complete(town, confirmed_epoch=1, confirmed_version=5)
    with town.centre.write() as connection:
        number = connection.scalars(sa.select(ticket.c.number).where(ticket.c.id == sold.ticket_id)).one()
        ask(connection, number, "another day", START_MS, "test")
        connection.execute(refund_hold.update().values(list_epoch=1, list_version=5))
    assert confirm_refunds(town.centre) == 1
    town.clock.pass_ms(HOUR_MS)
    gate.admit(sold, START_MS + 60_000, list_version=list_version)
    town.upload(gate)
    assert bool(named(town)) is proves
