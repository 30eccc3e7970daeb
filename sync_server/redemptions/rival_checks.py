"""Of the rivals for one item that came in one batch, the first in time has it (money.md I14)."""

from __future__ import annotations

from sync_server.invariants import Invariant

CHECKS = (
    Invariant(
        "I14",
        "of the admissions on one item that came in one batch, the first in time redeemed it",
        """
        SELECT 'redemption ' || ENCODE(r.id, 'hex'), 'came before', ENCODE(w.id, 'hex') FROM redemption r
        JOIN redemption w ON w.item_id = r.item_id AND w.outcome = 'CLAIMED'
        LEFT JOIN redemption_decision d ON d.redemption_id = r.id
        WHERE r.outcome IN ('REPEAT', 'RETURNED', 'CONFLICT') AND d.redemption_id IS NULL
          AND w.device_id = r.device_id AND w.recorded_at_ms = r.recorded_at_ms
          AND (r.occurred_at_ms, r.id) < (w.occurred_at_ms, w.id)
        """,  # one that an operator accepted later on was no rival then
    ),
)
