"""Which intents count, once each, whatever is missing of a journal and whatever its clock says."""

from __future__ import annotations

import pytest

from sync_server.centre import Centre
from tests.sync_server.redemptions.test_outcomes import outcomes
from tests.sync_server.town import START_MS, Town, build_town
from wire.messages import ClockTrust, EntryKind, Outcome

HOUR_MS = 3_600_000
NOON_MS = START_MS + 2 * HOUR_MS


@pytest.fixture
def town(centre: Centre) -> Town:
    return build_town(centre)


def test_an_outcome_that_came_first_counts_though_the_batch_of_its_intent_goes_on(town: Town) -> None:
    [one, two] = town.sell("single", 2)
    gate = town.gate()
    first = gate.admit(one, NOON_MS)
    gate.admit(two, NOON_MS + 10_000)
    town.clock.pass_ms(3 * HOUR_MS)
    town.upload(gate, 2, 2)
    assert town.upload(gate, 1, 3).verdicts == ((first, Outcome.CLAIMED),)


def test_an_intent_counts_once_though_a_later_batch_brings_another_outcome(town: Town) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    seq = gate.admit(sold, NOON_MS)
    gate.write(EntryKind.PASSED_LATE, NOON_MS + 4_000, ref_seq=seq)
    town.clock.pass_ms(3 * HOUR_MS)
    town.upload(gate, 1, 2)
    assert town.upload(gate, 3).verdicts == ((seq, Outcome.CLAIMED),)
    assert len(outcomes(town)) == 1


@pytest.mark.parametrize(
    ("trust", "outcome"),
    [(ClockTrust.TRUSTED, "IMPLAUSIBLE"), (ClockTrust.HELD, "CLAIMED"), (ClockTrust.UNKNOWN, "CLAIMED")],
)
def test_only_a_trusted_clock_says_that_a_ticket_had_not_begun(town: Town, trust: ClockTrust, outcome: str) -> None:
    [sold] = town.sell("single")
    gate = town.gate()
    gate.admit(sold, START_MS - 24 * HOUR_MS, trust=trust)
    town.upload(gate)
    assert [said for said, _ in outcomes(town).values()] == [outcome]
