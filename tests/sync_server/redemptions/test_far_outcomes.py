"""What became of an intent is told by the next journal of its gate: it counts as in one journal."""

from __future__ import annotations

from dataclasses import replace

import pytest
import sqlalchemy as sa

from sync_server.centre import Centre
from sync_server.redemptions.tables import redemption
from tests.sync_server.redemptions.test_outcomes import HOUR_MS, NOON_MS, claims, outcomes
from tests.sync_server.town import Town, build_town
from wire.far_entry import FarEntry
from wire.messages import EntryKind, Outcome, Superseded


@pytest.fixture
def town(centre: Centre) -> Town:
    return build_town(centre)


@pytest.fixture
def any_town(any_centre: Centre) -> Town:
    """On both dialects: where the statements differ."""
    return build_town(any_centre)


def test_a_right_that_the_journal_before_used_can_be_given_back(any_town: Town) -> None:
    [sold] = any_town.sell("single")
    gate = any_town.gate()
    intent = gate.admit(sold, NOON_MS)
    after = replace(gate, incarnation=b"journal2", entries=[], bodies=[], hashes=[])
    far = FarEntry(gate.incarnation, intent).evidence()
    after.write(EntryKind.RETURNED, NOON_MS + 60_000, ref_seq=-1, evidence=far, who="李")
    after.write(EntryKind.RETURNED, NOON_MS + 70_000, ref_seq=-1, evidence=far, who="李")  # a double tap
    after.admit(sold, NOON_MS + 120_000)
    after.admit(sold, NOON_MS + 180_000)
    any_town.clock.pass_ms(3 * HOUR_MS)
    any_town.upload(gate)
    receipt = any_town.upload(after, supersedes=Superseded(gate.incarnation, 2))
    assert receipt.verdicts == ((3, Outcome.RETURNED), (5, Outcome.CONFLICT))
    assert len(claims(any_town)) == 1


@pytest.mark.parametrize("journals", [(0, 1), (1, 0)])
def test_who_passed_late_counts_though_the_journal_changed_in_between(
    any_town: Town, journals: tuple[int, int]
) -> None:
    """The intent and its annulment came in one journal, the late passage in the next; whichever comes first here."""
    [sold] = any_town.sell("single")
    gate = any_town.gate()
    intent = gate.admit(sold, NOON_MS, EntryKind.ANNULLED)
    after = replace(gate, incarnation=b"journal2", entries=[], bodies=[], hashes=[])
    far = FarEntry(gate.incarnation, intent).evidence()
    for _ in range(2):  # said twice it is one admission
        after.write(EntryKind.PASSED_LATE, NOON_MS + 3_000, ref_seq=-1, pass_id=sold.pass_id, evidence=far)
    any_town.clock.pass_ms(3 * HOUR_MS)
    for one in journals:
        any_town.upload((gate, after)[one], supersedes=(None, Superseded(gate.incarnation, 2))[one])
    assert outcomes(any_town) == {(gate.device.id, intent): ("CLAIMED", None)}
    with any_town.centre.read() as connection:
        assert connection.scalar(sa.select(redemption.c.incarnation)) == gate.incarnation
    assert len(claims(any_town)) == 1
    after.write(EntryKind.RETURNED, NOON_MS + 60_000, ref_seq=-1, evidence=far, who="李")
    after.admit(sold, NOON_MS + 120_000)
    assert any_town.upload(after, 3).verdicts == ((4, Outcome.RETURNED),)


@pytest.mark.parametrize(
    "far",
    [b"", b"journal1", FarEntry(b"journal1", 0).evidence(), FarEntry(b"journal1", 2**64 - 1).evidence(), bytes(16)],
)
def test_a_return_of_nothing_gives_nothing_back(town: Town, far: bytes) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    gate.admit(sold, NOON_MS)
    gate.write(EntryKind.RETURNED, NOON_MS + 60_000, ref_seq=-1, evidence=far, who="李")
    gate.admit(sold, NOON_MS + 120_000)
    town.clock.pass_ms(3 * HOUR_MS)
    assert town.upload(gate).verdicts == ((1, Outcome.CLAIMED), (4, Outcome.CONFLICT))
