"""Every state of a transfer × every event: what is in the table happens, everything else changes nothing."""

from __future__ import annotations

import pytest

from sync_server.payments.states import OPEN, TRANSFER
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
    ("DEFINITE_FAIL", "resume"): "CREATED",
    ("INSUFFICIENT", "remitted"): "SUCCEEDED",
    ("DEFINITE_FAIL", "remitted"): "SUCCEEDED",
    ("VOID", "remitted"): "SUCCEEDED",
    ("SUCCEEDED", "remitted_beside"): "SUCCEEDED",
    ("CREATED", "abandon"): "VOID",
    ("DEFINITE_FAIL", "abandon"): "VOID",
    ("INSUFFICIENT", "abandon"): "VOID",
    ("CREATED", "accepted"): "SUCCEEDED",
    ("INSUFFICIENT", "accepted"): "SUCCEEDED",
    ("DEFINITE_FAIL", "accepted"): "SUCCEEDED",
    ("VOID", "accepted"): "SUCCEEDED",
    **{(state, "other_amount_done"): "SUCCEEDED" for state in ("SENT", "UNKNOWN")},
    **{(state, "other_amount"): "DEFINITE_FAIL" for state in ("SENT", "UNKNOWN")},
    ("SUCCEEDED", "undone"): "DEFINITE_FAIL",
    ("CREATED", "returned"): "VOID",
    ("SENT", "returned"): "VOID",
    ("UNKNOWN", "returned"): "VOID",
    ("CREATED", "late_ok"): "SUCCEEDED",
    ("DEFINITE_FAIL", "late_ok"): "SUCCEEDED",
    ("INSUFFICIENT", "late_ok"): "SUCCEEDED",
    ("SENT", "extra_ok"): "SENT",
    ("UNKNOWN", "extra_ok"): "UNKNOWN",
    ("SUCCEEDED", "extra_ok"): "SUCCEEDED",
    ("VOID", "extra_ok"): "VOID",
    **{(state, "extra_other"): state for state in TRANSFER_STATES},
}


@pytest.mark.parametrize("state", TRANSFER_STATES)
@pytest.mark.parametrize("event", TRANSFER.events)
def test_the_cross_product(state: str, event: str) -> None:
    assert TRANSFER.next(state, event) == EXPECTED.get((state, event))


def test_money_that_moved_stays_moved_and_what_is_open_is_never_given_up() -> None:
    out = {(row.event, row.next) for row in TRANSFER.rows if "SUCCEEDED" in row.states and row.next != "SUCCEEDED"}
    assert out == {("undone", "DEFINITE_FAIL")}  # VOID is an end, too, where nothing moved
    assert not [row for row in TRANSFER.rows if row.event == "abandon" and set(OPEN) & set(row.states)]
    assert {row.next for row in TRANSFER.rows if row.event == "send"} <= set(OPEN)
