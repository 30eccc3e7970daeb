"""The issuance's invariants (money.md §2.3, §2.5): who holds what was issued."""

from __future__ import annotations

from sync_server.invariants import Invariant

CHECKS = (
    Invariant(
        "I11",
        "a pass waits for its holder where its product asks for one and nobody is named, and only there",
        """
        SELECT 'pass ' || p.number FROM pass p
        JOIN product s ON s.id = p.product_id
        LEFT JOIN holder h ON h.ticket_id = p.ticket_id
        WHERE p.status <> 'REVOKED' AND (p.status = 'NOT_BOUND') <> (s.holder_required AND h.ticket_id IS NULL)
        """,
    ),
    Invariant(
        "I16",
        "nobody holds two annual passes of a product for the same day",
        """
        SELECT 'pass ' || p.number, 'pass ' || q.number FROM pass p
        JOIN product s ON s.id = p.product_id AND s.kind = 'PASS'
        JOIN holder h ON h.ticket_id = p.ticket_id
        JOIN holder g ON g.id_number_index = h.id_number_index AND g.ticket_id <> h.ticket_id
        JOIN pass q ON q.ticket_id = g.ticket_id AND q.product_id = p.product_id
        WHERE p.status <> 'REVOKED' AND q.status <> 'REVOKED' AND p.number < q.number
          AND p.not_before < q.not_after AND q.not_before < p.not_after
        """,
    ),
)
