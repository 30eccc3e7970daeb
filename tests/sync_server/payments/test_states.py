"""Every state of a transfer × every event: what is in the table happens, everything else changes nothing."""

from __future__ import annotations

import pytest

from sync_server.payments.states import EVENTS, OPEN, TRANSITIONS, WORDS, next_state
from sync_server.payments.tables import TRANSFER_STATES

# money.md §2.2, written down by hand a second time
EXPECTED = {
    ("CREATED", "send"): "SENT",
    ("DEFINITE_FAIL", "send"): "SENT",
    ("SENT", "ok"): "SUCCEEDED",
    ("UNKNOWN", "ok"): "SUCCEEDED",
    ("SENT", "waiting"): "SENT",
    ("UNKNOWN", "waiting"): "SENT",
    ("SENT", "unclear"): "UNKNOWN",
    ("UNKNOWN", "unclear"): "UNKNOWN",
    ("SENT", "not_known"): "SENT",
    ("UNKNOWN", "not_known"): "SENT",
    ("SENT", "refused"): "DEFINITE_FAIL",
    ("UNKNOWN", "refused"): "DEFINITE_FAIL",
    ("SENT", "insufficient"): "INSUFFICIENT",
    ("UNKNOWN", "insufficient"): "INSUFFICIENT",
    ("INSUFFICIENT", "resume"): "CREATED",
}


@pytest.mark.parametrize("state", TRANSFER_STATES)
@pytest.mark.parametrize("event", EVENTS)
def test_the_cross_product(state: str, event: str) -> None:
    assert next_state(state, event) == EXPECTED.get((state, event))


def test_every_state_has_its_word_and_money_that_moved_stays_moved() -> None:
    assert set(WORDS) == set(TRANSFER_STATES)
    assert not [row for row in TRANSITIONS if "SUCCEEDED" in row.states]
    assert {row.next for row in TRANSITIONS if row.event == "send"} <= set(OPEN)
