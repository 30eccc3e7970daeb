"""The catalogue's invariant (money.md I16)."""

from __future__ import annotations

from sync_server.invariants import Invariant

CHECKS = (
    Invariant(
        "I16",
        "no stock row has more reserved and sold than it holds",
        """
        SELECT 'stock ' || CAST(id AS VARCHAR(36)) FROM stock
        WHERE reserved + sold > total OR reserved < 0 OR sold < 0
        """,
    ),
)
